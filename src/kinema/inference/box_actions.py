"""What the persons in boxes do: a clip around each key frame, scores of each box, and spans of labels along tracks."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from kinema.clips.around import clips_around, whole_frame_size
from kinema.clips.transforms import normalize
from kinema.engines.scorer import Scorer, check_numbers
from kinema.errors import CheckpointError, UnreadableVideo, check_settings
from kinema.inference.clip_completion import ClipCompletion
from kinema.inference.reader import read_frames
from kinema.models.detection import BoxNetwork
from kinema.predictions import Segment
from kinema.types import IMAGE_FPS, TimeSpan
from kinema.video import open_video

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from kinema.models.network import Network
    from kinema.tracks import Track
    from kinema.video import Video
    from kinema.weights.checkpoint import ModelCard

_GAP = 1.5
"""Steps between two key frames of a track from which the person was away between them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BoxActionOptions:
    """How the boxes of tracks are scored.

    Args:
        every_s: seconds between key frames, which are at multiples of it by the video's own times.
        min_score: a label holds at a key frame from this score on.
        batch_size: clips that the network scores at once.
        device: auto, cpu, cuda, cuda:1.
        precision: auto, f32, bf16 or fp16.
        image_fps: frame rate of folders of pictures.
    """

    every_s: float = 1.0
    min_score: float = 0.5
    batch_size: int = 4
    device: str = "auto"
    precision: str = "auto"
    image_fps: float = IMAGE_FPS

    def __post_init__(self) -> None:
        check_settings({"every_s": self.every_s}, 1e-3)
        check_settings({"min_score": self.min_score}, 0, 1)
        check_settings({"batch_size": self.batch_size}, 1)


def box_network(network: Network, card: ModelCard) -> BoxNetwork:
    """The network itself, if it scores boxes.

    Raises:
        CheckpointError: it was trained for another task.
    """
    if not isinstance(network, BoxNetwork) or card.task != "boxes":
        do = "give one that `kinema train --task boxes` wrote, or slow_r50_detection or slowfast_r50_detection"
        raise CheckpointError("this network scores no boxes", f"{card.variant}, task {card.task}", do)
    return network


def score_tracks(
    network: Network,
    card: ModelCard,
    path: str,
    tracks: Sequence[Track],
    options: BoxActionOptions = BoxActionOptions(),
) -> tuple[Track, ...]:
    """Label the tracks of a video: at each key frame the boxes of all tracks are scored in a clip around it.

    A label's segment joins neighbouring key frames with a score of `min_score` or more; it reaches half the way to the key frames
    before and after, or to the ends of the track. Its score is the mean of theirs.

    Args:
        network: scores boxes.
        card: names its labels.
        path: the video.
        tracks: with boxes in pixels of the displayed video.
        options: key frames, threshold, device.

    Raises:
        CheckpointError: the network does not score boxes.
        VideoError: the video cannot be read.
    """
    boxes_network = box_network(network, card)
    if not tracks:
        return ()
    with (
        open_video(path, image_fps=options.image_fps) as video,
        Scorer(boxes_network, task="boxes", device=options.device, precision=options.precision,
               batch_size=options.batch_size) as scorer,
    ):  # fmt: skip
        frame_s = 1 / max(video.info.fps, 1e-3)
        at_s = key_times(tracks, options.every_s)
        places = np.stack([track.boxes_at(at_s) for track in tracks], axis=1)  # [k tracks 4]
        known = ~np.isnan(places[..., 0])
        boxes = [row[seen] for row, seen in zip(places, known, strict=True)]
        scores = np.full((*known.shape, len(card.labels)), np.nan, np.float32)
        for number, found in score_key_frames(scorer, video, at_s, boxes):
            scores[number, known[number]] = found
    return tuple(
        replace(track, labels=_segments(track, at_s, scores[:, place], card.labels, options, frame_s))
        for place, track in enumerate(tracks)
    )


def key_times(tracks: Sequence[Track], every_s: float) -> NDArray[np.float64]:
    """Multiples of `every_s` while there are tracks [k]; a track between two of them adds its middle."""
    first, last = (edge / every_s for edge in (min(t.times_s[0] for t in tracks), max(t.times_s[-1] for t in tracks)))
    grid = np.arange(np.ceil(first - 1e-6) + 0.0, np.floor(last + 1e-6) + 1) * every_s
    held = [(grid >= track.times_s[0] - 1e-6) & (grid <= track.times_s[-1] + 1e-6) for track in tracks]
    short = [track.times_s[len(track) // 2] for track, inside in zip(tracks, held, strict=True) if not inside.any()]
    kept = grid[np.any(held, axis=0)]
    return np.unique(np.concatenate([kept, short]))


def score_key_frames(
    scorer: Scorer, video: Video, at_s: NDArray[np.float64], boxes: Sequence[NDArray[np.float64]]
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Scores [n labels], 0 to 1, of the boxes at each key frame, with its number; key frames without boxes are left out.

    Args:
        scorer: holds a `BoxNetwork`.
        video: an open video.
        at_s: times of the key frames [k].
        boxes: the boxes [n 4] at each of them, in pixels of the video.

    Raises:
        UnreadableVideo: no frame can be decoded.
    """
    network = scorer.scoring_network
    assert isinstance(network, BoxNetwork)
    numbers = [number for number, own in enumerate(boxes) if len(own)]
    if not numbers:
        return
    clips = _clips(scorer, video, at_s[numbers])
    while batch := list(itertools.islice(clips, scorer.batch_size)):
        own = [numbers[row] for row, _ in batch]
        height, width = batch[0][1].shape[-2:]
        scale = np.tile([width / video.info.width, height / video.info.height], 2)
        places = [torch.from_numpy(boxes[number] * scale) for number in own]

        def score(pixels: Tensor, places: list[Tensor] = places) -> Tensor:
            return network.score_boxes(normalize(pixels, scorer.spec), places).float().sigmoid()

        rows = scorer.run(score, torch.stack([views for _, views in batch]))
        check_numbers(rows, video.info.path)
        yield from zip(own, np.split(rows, np.cumsum([len(boxes[number]) for number in own])[:-1]), strict=True)


def _clips(scorer: Scorer, video: Video, at_s: NDArray[np.float64]) -> Iterator[tuple[int, Tensor]]:
    """The clip uint8 [c t h w] around each time, with its number; frames are decoded once for all clips."""
    plan = clips_around(scorer.spec, video.times_s, at_s)
    completion, kept, found = ClipCompletion(plan), dict[int, torch.Tensor](), False
    chunks = read_frames(video, np.unique(plan), whole_frame_size(scorer.spec))
    frames = ((index, frame) for indices, pixels in chunks for index, frame in zip(indices, pixels, strict=True))
    for index, frame in itertools.chain(frames, [(-1, None)]):
        if frame is not None:
            kept[index], found = torch.from_numpy(frame).permute(2, 0, 1), True
        elif not found:
            raise UnreadableVideo("no frame of this video can be decoded", video.info.path, "export it again")
        for clip in completion.add(index) if frame is not None else completion.finish():
            yield clip.row, torch.stack([kept[number] for number in clip.frames], dim=1)
            for number in [number for number in kept if number < completion.kept[0]]:
                del kept[number]


def _segments(
    track: Track,
    at_s: NDArray[np.float64],
    scores: NDArray[np.float32],
    labels: Sequence[str],
    options: BoxActionOptions,
    frame_s: float,
) -> tuple[Segment, ...]:
    """The spans of each label along a track; `scores` [k labels] are NaN at key frames without a box."""
    known = np.flatnonzero(np.isfinite(scores).all(axis=1))
    apart_s = np.diff(at_s[known])
    half_s = np.minimum(apart_s, options.every_s) / 2
    starts_s = np.concatenate([track.times_s[:1], at_s[known][1:] - half_s])
    ends_s = np.concatenate([at_s[known][:-1] + half_s, track.times_s[-1:] + frame_s])
    is_gap = np.concatenate([[True], apart_s > _GAP * options.every_s])
    found = []
    for column, label in enumerate(labels):
        holds = np.flatnonzero(scores[known, column] >= options.min_score)
        breaks = np.flatnonzero((np.diff(holds) > 1) | is_gap[holds[1:]]) + 1
        for run in np.split(holds, breaks) if len(holds) else []:
            span = TimeSpan(float(starts_s[run[0]]), float(ends_s[run[-1]]))
            found.append(Segment(span, label, float(scores[known[run], column].mean())))
    return tuple(sorted(found, key=lambda segment: (segment.span, segment.label)))
