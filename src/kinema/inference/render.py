"""Draw a prediction onto its video: label and score, a ribbon of the segments below, and a mark at the current time.

One frame is in memory at a time. The new video has the mean frame rate of the original; if frames are unevenly spaced,
they are repeated or left out so that times stay right.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from kinema.charts import OTHER, PALETTE
from kinema.types import IMAGE_FPS
from kinema.video import open_video
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
    """

    def __init__(self, prediction: Prediction, size: tuple[int, int]) -> None:
        assert prediction.timeline is not None
        self.prediction, self.timeline = prediction, prediction.timeline
        self.height, self.width = size
        self.band = max(1, min(max(28, round(self.height * 0.11)), self.height // 2))
        self.ends_s = self.timeline.cells_s[:, 1]
        self.font = ImageFont.load_default(max(self.band * 0.46, 4))
        best = [label for label, _ in prediction.top(len(PALETTE) - 1)]
        self.colours = dict(zip(best, PALETTE, strict=False))
        ribbon = Image.new("RGB", (self.width, max(1, self.band // 4)), _BAND)
        draw, scale = ImageDraw.Draw(ribbon), self.width / prediction.span.duration_s
        for segment in prediction.segments:
            box = (segment.span.start_s * scale, 0, segment.span.end_s * scale, ribbon.height)
            draw.rectangle(box, fill=self.colours.get(segment.label, OTHER))
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
        image = Image.new("RGB", (self.width, self.band), _BAND)
        draw = ImageDraw.Draw(image)
        edge = round(self.band * 0.3)
        draw.rectangle((0, 0, round(self.width * score), max(2, self.band // 12)), fill=self.colours.get(label, OTHER))
        number = f"{score:.0%}"
        room = self.width - 3 * edge - draw.textlength(number, self.font)
        draw.text((edge, self.band / 2), _fitted(label, room, draw, self.font), _INK, self.font, anchor="lm")
        draw.text((self.width - edge, self.band / 2), number, _INK, self.font, anchor="rm")
        return np.asarray(image)


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
    with open_video(prediction.path, image_fps=image_fps) as video:
        size = (video.info.height, video.info.width)
        painter = Painter(prediction, size)
        with VideoWriter(path, video.info.fps, size) as writer:
            for time_s, frame in _evenly_spaced(video.iterate(), video.info.fps, video.info.num_frames):
                writer.write(painter.paint(frame, time_s))
                advance(1)


def _evenly_spaced(frames: Iterator[tuple[int, float, Frame]], fps: float, count: int) -> Iterator[tuple[float, Frame]]:
    """Time and frame at a constant rate: `count` frames, or more if the last frame is later than that."""
    written = 0
    current: Frame | None = None
    for _, time_s, frame in frames:
        while current is not None and (written + 0.5) / fps < time_s:
            yield written / fps, current
            written += 1
        current = frame
    while current is not None and written < max(count, 1):
        yield written / fps, current
        written += 1


def _fitted(
    text: str, room: float, draw: ImageDraw.ImageDraw, font: ImageFont.FreeTypeFont | ImageFont.ImageFont
) -> str:
    """The text; if it is longer than `room` pixels, its beginning and dots."""
    if draw.textlength(text, font) <= room:
        return text
    while len(text) > 1 and draw.textlength(text + "…", font) > room:
        text = text[:-1]
    return text + "…"
