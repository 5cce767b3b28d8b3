"""Draw tracks onto their video: a box in the colour of the person, with name and score, and what the person does.

Between two detections the box moves evenly. A person's colour goes by the number of the track, a label's by the label.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw

from kinema import fonts
from kinema.charts import PALETTE, class_colours
from kinema.inference.render import draw_text, fitted, paint_video, text_width
from kinema.types import IMAGE_FPS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kinema.tracks import Track, VideoTracks
    from kinema.video import Video

    Frame = NDArray[np.uint8]

_BACK = (16, 20, 26)
_GAP_S, _GAP_STEPS = 1.0, 2.5
"""Boxes are drawn in gaps of at most one second, or of two missed frames at low rates."""
_MOST_LABELS = 3


class TrackPainter:
    """Draws the tracks of a video onto its frames.

    Args:
        video: with its tracks.
        pixel_aspect: width of a pixel over its height; letters keep their shape.
    """

    def __init__(self, video: VideoTracks, pixel_aspect: float = 1.0) -> None:
        self._tracks, self._aspect = video.tracks, pixel_aspect
        self._line = max(2, round(min(video.info.height, video.info.width) / 200))
        self._font_size = max(video.info.height * 0.032, 9.0)
        self._most_width = video.info.width * pixel_aspect / 2
        labels = {label.label for track in video.tracks for label in track.labels}
        self._colours = class_colours([*video.classes, *sorted(labels - set(video.classes))])
        steps = [np.diff(track.times_s).min() for track in video.tracks if len(track) > 1]
        self._gap_s = max(_GAP_S, _GAP_STEPS * float(min(steps, default=0)))
        self._tag = lru_cache(256)(self._draw_tag)

    def paint(self, frame: Frame, time_s: float) -> Frame:
        """A copy of the frame [h w c] with the boxes at that time."""
        there = [track for track in self._tracks if track.times_s[0] - 1e-6 <= time_s <= track.times_s[-1] + 1e-6]
        boxes = [track.boxes_at(np.array([time_s]), self._gap_s)[0] for track in there]
        image = Image.fromarray(frame)
        draw = ImageDraw.Draw(image)
        seen = [(track, box) for track, box in zip(there, boxes, strict=True) if not np.isnan(box[0])]
        for track, box in seen:
            draw.rectangle(tuple(box.tolist()), outline=colour_of(track.id), width=self._line)
        taken: list[tuple[int, int, int, int]] = []
        for track, box in seen:
            tag = self._tag(track.id, self._lines(track, time_s))
            left = int(np.clip(box[0], 0, max(image.width - tag.width, 0)))
            top = int(box[1]) - tag.height if box[1] >= tag.height else max(int(box[1]), 0)
            while any(_meet((left, top, left + tag.width, top + tag.height), other) for other in taken):
                top += tag.height
            taken.append((left, top, left + tag.width, top + tag.height))
            image.paste(tag, (left, top))
        return np.asarray(image)

    def _lines(self, track: Track, time_s: float) -> tuple[tuple[str, str], ...]:
        """Text and colour of each line of a tag."""
        score = float(np.interp(time_s, track.times_s, track.scores))
        there = [one for one in track.labels if one.span.start_s <= time_s < one.span.end_s]
        best = sorted(there, key=lambda one: -one.score)[:_MOST_LABELS]
        named = ((f"{one.label} {one.score:.0%}", self._colours[one.label]) for one in best)
        return ((f"person {track.id}  {score:.0%}", colour_of(track.id)), *named)

    def _draw_tag(self, number: int, lines: tuple[tuple[str, str], ...]) -> Image.Image:
        size = self._font_size
        texts = [fitted(fonts.drawable(text), self._most_width, size) for text, _ in lines]
        height, edge = round(size * 1.5), round(size * 0.4)
        width = round(max(text_width(text, size) for text in texts)) + 3 * edge
        tag = Image.new("RGB", (width, height * len(lines)), _BACK)
        draw = ImageDraw.Draw(tag)
        for row, (text, (_, colour)) in enumerate(zip(texts, lines, strict=True)):
            draw.rectangle((0, row * height, edge, (row + 1) * height - 1), fill=colour)
            draw_text(draw, (2 * edge, (row + 0.5) * height), text, size)
        return tag.resize((max(round(width / self._aspect), 1), tag.height)) if self._aspect != 1 else tag


def _meet(first: tuple[int, int, int, int], second: tuple[int, int, int, int]) -> bool:
    """Whether two boxes share a pixel."""
    return first[0] < second[2] and second[0] < first[2] and first[1] < second[3] and second[1] < first[3]


def colour_of(number: int) -> str:
    """The colour of a track by its number, from 1."""
    return PALETTE[(number - 1) % len(PALETTE)]


def render_tracks(
    video: VideoTracks,
    path: str | Path,
    advance: Callable[[int], None] = lambda count: None,
    image_fps: float = IMAGE_FPS,
) -> None:
    """Write the video with boxes drawn onto it, completely or not at all.

    Args:
        video: its tracks; the file must still exist.
        path: the new file; its ending chooses the container (.mp4, .webm, .mkv, .gif).
        advance: called with the number of frames written since the last call.
        image_fps: frame rate of a folder of pictures, as it was when persons were found.

    Raises:
        VideoError: the video cannot be read.
        OutputError: the new file cannot be written.
    """
    labels = {label.label for track in video.tracks for label in track.labels}
    if undrawn := frozenset(label for label in labels if fonts.has_no_font(label)):
        fonts.warn_without_font(undrawn)

    def painter_for(opened: Video) -> Callable[[Frame, float], Frame]:
        return TrackPainter(video, opened.pixel_aspect).paint

    paint_video(video.path, path, painter_for, advance, image_fps)
