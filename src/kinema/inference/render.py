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
    from kinema.video import Video

    Frame = NDArray[np.uint8]

_INK = (255, 255, 255)
_BAND = (16, 20, 26)
_MOST_ROWS, _MOST_NAMES = 4, 3
"""Rows of a ribbon of segments, and names beside each other."""


class Painter:
    """Draws onto frames of one size.

    Args:
        prediction: with a timeline.
        size: height and width of the frames.
        pixel_aspect: width of a pixel over its height; letters keep their shape.
    """

    def __init__(self, prediction: Prediction, size: tuple[int, int], pixel_aspect: float = 1.0) -> None:
        self.prediction = prediction
        self.height, self.width = size
        self.band = max(1, min(max(28, round(self.height * 0.11)), self.height // 2))
        self.ends_s = self._ends_s()
        self.font_size, self.aspect = max(self.band * 0.42, 4.0), pixel_aspect
        self.colours = class_colours(prediction.labels)
        self.ribbon = self._draw_ribbon()
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

    def _ends_s(self) -> NDArray[np.float64]:
        """When each strip ends [n]."""
        assert self.prediction.timeline is not None
        return self.prediction.timeline.cells_s[:, 1]

    def _draw_ribbon(self) -> Frame:
        """The segments over the time of the video."""
        ribbon = Image.new("RGB", (self.width, max(1, self.band // 4)), _BAND)
        draw, scale = ImageDraw.Draw(ribbon), self.width / self.prediction.span.duration_s
        for segment in self.prediction.segments:
            box = (segment.span.start_s * scale, 0, segment.span.end_s * scale, ribbon.height)
            draw.rectangle(box, fill=self.colours[segment.label])
        return np.asarray(ribbon)

    def _draw_strip(self, row: int) -> Frame:
        """Label, score and a bar as long as the score, [band w c]."""
        timeline = self.prediction.timeline
        assert timeline is not None
        scores = timeline.scores[row]
        best = int(scores.argmax())
        label, score = timeline.labels[best], float(scores[best])
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


class SegmentPainter(Painter):
    """Draws the names of the segments at each time, side by side if they overlap, and nothing where there is none.

    The ribbon has a row for each label that was found, up to four; further labels share the rows.
    """

    def _ends_s(self) -> NDArray[np.float64]:
        spans = [segment.span for segment in self.prediction.segments]
        borders_s = np.unique([time_s for span in spans for time_s in (span.start_s, span.end_s)])
        return np.append(borders_s, np.inf)

    def _draw_ribbon(self) -> Frame:
        names = list(dict.fromkeys(segment.label for segment in self.prediction.segments))
        rows = min(max(len(names), 1), _MOST_ROWS)
        ribbon = Image.new("RGB", (self.width, max(rows, round(self.band / 4 * (1 + (rows - 1) / 2)))), _BAND)
        draw, scale = ImageDraw.Draw(ribbon), self.width / self.prediction.span.duration_s
        for segment in self.prediction.segments:
            row = names.index(segment.label) % rows
            top, bottom = row * ribbon.height // rows, (row + 1) * ribbon.height // rows - 1
            end = max(segment.span.end_s * scale - 1, segment.span.start_s * scale)
            draw.rectangle((segment.span.start_s * scale, top, end, bottom), fill=self.colours[segment.label])
        return np.asarray(ribbon)

    def _draw_strip(self, row: int) -> Frame:
        """Name, score and a coloured bar for each segment between two borders, the best first, [band w c]."""
        first_s = self.ends_s[row - 1] if row else -np.inf
        there = [s for s in self.prediction.segments if s.span.start_s <= first_s < s.span.end_s]
        best = sorted(there, key=lambda segment: -segment.score)[:_MOST_NAMES]
        width = max(round(self.width * self.aspect), 1)
        image = Image.new("RGB", (width, self.band), _BAND)
        draw, edge = ImageDraw.Draw(image), round(self.band * 0.3)
        for place, segment in enumerate(best):
            left, right = place * width // len(best), (place + 1) * width // len(best)
            draw.rectangle((left, 0, right - 2, max(2, self.band // 12)), fill=self.colours[segment.label])
            number = f"{segment.score:.0%}" if 0 <= segment.score <= 1 else f"{segment.score:.3g}"
            number_width = text_width(number, self.font_size)
            name = fitted(fonts.drawable(segment.label), right - left - 3 * edge - number_width, self.font_size)
            draw_text(draw, (left + edge, self.band / 2), name, self.font_size)
            draw_text(draw, (right - edge - number_width, self.band / 2), number, self.font_size)
        return np.asarray(image.resize((self.width, self.band)) if width != self.width else image)


def render(
    prediction: Prediction,
    path: str | Path,
    advance: Callable[[int], None] = lambda count: None,
    image_fps: float = IMAGE_FPS,
    painter: type[Painter] = Painter,
) -> None:
    """Write the video of a prediction with labels drawn onto it, completely or not at all.

    Args:
        prediction: its video file must still exist.
        path: the new file; its ending chooses the container (.mp4, .webm, .mkv, .gif).
        advance: called with the number of frames written since the last call.
        image_fps: frame rate of a folder of pictures, as it was predicted.
        painter: `Painter` draws the best label at each time, `SegmentPainter` the segments.

    Raises:
        VideoError: the video cannot be read.
        OutputError: the new file cannot be written.
    """
    undrawn = frozenset(segment.label for segment in prediction.segments if fonts.has_no_font(segment.label))
    if undrawn:
        fonts.warn_without_font(undrawn)

    def painter_for(video: Video) -> Callable[[Frame, float], Frame]:
        return painter(prediction, (video.info.height, video.info.width), video.pixel_aspect).paint

    paint_video(prediction.path, path, painter_for, advance, image_fps)


def paint_video(
    source: str,
    path: str | Path,
    painter_for: Callable[[Video], Callable[[Frame, float], Frame]],
    advance: Callable[[int], None] = lambda count: None,
    image_fps: float = IMAGE_FPS,
) -> None:
    """Write a video whose frames are those of another one, painted, with its times and sound.

    Args:
        source: the video.
        path: the new file.
        painter_for: for the open video, a function that paints a frame [h w c] displayed at a time in seconds.
        advance: called with the number of frames written since the last call.
        image_fps: frame rate of a folder of pictures.

    Raises:
        VideoError: the video cannot be read.
        OutputError: the new file cannot be written.
    """
    with open_video(source, image_fps=image_fps) as video:
        info, size = video.info, (video.info.height, video.info.width)
        paint = painter_for(video)
        ends_s = np.append(video.times_s[1:], info.duration_s)
        steps = np.arange(info.num_frames) / info.fps
        # lost frames leave a gap
        uneven = bool(np.abs(video.times_s - steps).max() > 0.25 / info.fps)
        sound = None if video.zero_s is None else SoundSource(source, video.zero_s)
        with VideoWriter(path, info.fps, size, pixel_aspect=video.pixel_aspect, uneven=uneven, sound=sound) as writer:
            for index, time_s, frame in video.iterate():
                painted = paint(frame, time_s)
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
