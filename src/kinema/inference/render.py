"""Draw a prediction onto its video: label and score, a ribbon of the segments below, and a mark at the current time.

One frame is in memory at a time. The new video has the frames of the original with their times, its pixel aspect and its sound.
Labels are drawn in fonts of the system (`kinema.fonts`), each class in its colour (`charts.class_colours`).
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from kinema import fonts
from kinema.charts import class_colours
from kinema.types import IMAGE_FPS
from kinema.video import open_video
from kinema.video.sound import SoundSource
from kinema.video.writer import VideoWriter

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kinema.predictions import Prediction

    Frame = NDArray[np.uint8]

_INK = (255, 255, 255)
_BAND = (16, 20, 26)


class Painter:
    """Draws onto frames of one size.

    Args:
        prediction: with a timeline.
        size: height and width of the frames.
        pixel_aspect: width of a pixel over its height; letters keep their shape.
    """

    def __init__(self, prediction: Prediction, size: tuple[int, int], pixel_aspect: float = 1.0) -> None:
        assert prediction.timeline is not None
        self.prediction, self.timeline = prediction, prediction.timeline
        self.height, self.width = size
        self.band = max(1, min(max(28, round(self.height * 0.11)), self.height // 2))
        self.ends_s = self.timeline.cells_s[:, 1]
        self.font_size, self.aspect = max(self.band * 0.42, 4.0), pixel_aspect
        self.colours = class_colours(prediction.labels)
        ribbon = Image.new("RGB", (self.width, max(1, self.band // 4)), _BAND)
        draw, scale = ImageDraw.Draw(ribbon), self.width / prediction.span.duration_s
        for segment in prediction.segments:
            box = (segment.span.start_s * scale, 0, segment.span.end_s * scale, ribbon.height)
            draw.rectangle(box, fill=self.colours[segment.label])
        self.ribbon = np.asarray(ribbon)
        self._row = -1
        self._strip: Frame = np.empty((0, 0, 3), np.uint8)

    def paint(self, frame: Frame, time_s: float) -> Frame:
        """A copy of the frame [h w c] with the label of that time drawn onto it."""
        row = min(int(np.searchsorted(self.ends_s, time_s, side="right")), len(self.ends_s) - 1)
        if row != self._row:  # text is drawn when it changes, not for every frame
            self._row, self._strip = row, self._draw_strip(row)
        painted = frame.copy()
        bottom = self.height - self.ribbon.shape[0]
        area = painted[bottom - self.band : bottom]
        area[:] = (area * 0.25 + self._strip * 0.75).astype(np.uint8)
        painted[bottom:] = self.ribbon
        mark = min(int(time_s / self.prediction.span.duration_s * self.width), self.width - 1)
        painted[bottom:, max(mark - 1, 0) : mark + 2] = 255
        return painted

    def _draw_strip(self, row: int) -> Frame:
        """Label, score and a bar as long as the score, [band w c]."""
        scores = self.timeline.scores[row]
        best = int(scores.argmax())
        label, score = self.timeline.labels[best], float(scores[best])
        width = max(round(self.width * self.aspect), 1)
        image = Image.new("RGB", (width, self.band), _BAND)
        draw = ImageDraw.Draw(image)
        edge = round(self.band * 0.3)
        draw.rectangle((0, 0, round(width * score), max(2, self.band // 12)), fill=self.colours[label])
        number = f"{score:.0%}"
        number_width = text_width(number, self.font_size)
        drawn = fonts.drawable(label)
        draw_text(
            draw, (edge, self.band / 2), fitted(drawn, width - 3 * edge - number_width, self.font_size), self.font_size
        )
        draw_text(draw, (width - edge - number_width, self.band / 2), number, self.font_size)
        return np.asarray(image.resize((self.width, self.band)) if width != self.width else image)


def render(
    prediction: Prediction,
    path: str | Path,
    advance: Callable[[int], None] = lambda count: None,
    image_fps: float = IMAGE_FPS,
) -> None:
    """Write the video of a prediction with labels drawn onto it, completely or not at all.

    Args:
        prediction: its video file must still exist.
        path: the new file; its ending chooses the container (.mp4, .webm, .mkv, .gif).
        advance: called with the number of frames written since the last call.
        image_fps: frame rate of a folder of pictures, as it was predicted.

    Raises:
        VideoError: the video cannot be read.
        OutputError: the new file cannot be written.
    """
    undrawn = frozenset(segment.label for segment in prediction.segments if fonts.has_no_font(segment.label))
    if undrawn:
        fonts.warn_without_font(undrawn)
    with open_video(prediction.path, image_fps=image_fps) as video:
        info, size = video.info, (video.info.height, video.info.width)
        painter = Painter(prediction, size, video.pixel_aspect)
        ends_s = np.append(video.times_s[1:], info.duration_s)
        steps = np.arange(info.num_frames) / info.fps
        # lost frames leave a gap
        uneven = bool(np.abs(video.times_s - steps).max() > 0.25 / info.fps)
        sound = None if video.zero_s is None else SoundSource(prediction.path, video.zero_s)
        with VideoWriter(path, info.fps, size, pixel_aspect=video.pixel_aspect, uneven=uneven, sound=sound) as writer:
            for index, time_s, frame in video.iterate():
                painted = painter.paint(frame, time_s)
                if uneven:
                    writer.write(painted, (time_s, float(ends_s[index])))
                else:
                    while writer.num_frames <= index:  # a frame that could not be decoded shows the next one
                        writer.write(painted)
                advance(1)


@functools.cache
def _font(file: str, size: float) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(file, size)


def text_width(text: str, size: float) -> float:
    """The width in pixels of a drawable text."""
    return sum(_font(file, size).getlength(part) for file, part in fonts.runs(text))


def draw_text(draw: ImageDraw.ImageDraw, place: tuple[float, float], text: str, size: float) -> None:
    """Draw a drawable text from its left end and middle on."""
    x, y = place
    for file, part in fonts.runs(text):
        draw.text((x, y), part, _INK, _font(file, size), anchor="lm")
        x += _font(file, size).getlength(part)


def fitted(text: str, room: float, size: float) -> str:
    """The text; if it is longer than `room` pixels, its beginning and dots."""
    if text_width(text, size) <= room:
        return text
    while len(text) > 1 and text_width(text + "…", size) > room:
        text = text[:-1]
    return text + "…"
