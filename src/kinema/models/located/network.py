"""Networks that locate actions in the time of a video, on the features of another network, their encoder.

`segments_one_stage` is ActionFormer (Zhang, Wu and Li, ECCV 2022) with its published settings, only narrower, so that it trains
on a CPU. `segments_two_stage` has proposals, temporal RoI pooling, and classes and borders of proposals (R-C3D, Xu et al. 2017;
TAL-Net, Chao et al. 2018) on the same pyramid. Scores are sigmoids: actions may overlap, and a video may have none.

The network computes in positions, one a feature. Truth and answers are in seconds: both directions go through the spans of the
features themselves, so that no frame rate is assumed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

from kinema.errors import UsageError
from kinema.models.located.head import PRIOR, Head, Truth
from kinema.models.located.one_stage import OneStage
from kinema.models.located.pyramid import Level, Pyramid
from kinema.models.located.suppression import suppress
from kinema.models.located.two_stage import TwoStage
from kinema.models.network import FrameParts, Network, new_classifier
from kinema.models.variant import Variant
from kinema.types import InputSpec

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MOST_CANDIDATES = 2000
"""Candidates of a window that suppression compares, as in ActionFormer."""


@runtime_checkable
class FeatureRows(Protocol):
    """Features [n f] of a video, in memory or in a file."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Number and length of the vectors."""

    def __getitem__(self, rows: slice, /) -> NDArray[np.floating]:
        """Some of them."""


@dataclass(frozen=True, slots=True, eq=False)
class LocatedSegments:
    """Segments of a video: start and end in seconds [m 2], class indices [m], scores [m]; the best first."""

    times_s: NDArray[np.float64]
    classes: NDArray[np.int64]
    scores: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.scores)


class SegmentNetwork(Network):
    """An encoder, a feature pyramid over time, and a head of one or two stages.

    Args:
        spec: the encoder's input.
        num_classes: number of actions; times without an action need no class.
        encoder: gives the features. To `build`, and in a checkpoint, it is a dictionary: `variant` and its `arguments`.
        step_s: seconds between the features that the network is trained on.
        proposals: 0 is one stage; for two stages, how many proposals are kept of each 512 features.
        window: features of the longest training sequence; a longer video is located in windows of this length.
        width: channels.
        levels: of the pyramid.
        stem: attention blocks before it.
        heads: of the attention.
        attention: features that each one attends to.
        drop_path: share of the examples for which a branch of a block is left out while training.
        radius: for one stage, the features around an action's centre that learn it, in strides.
        sigma: of Soft-NMS; a smaller one lowers the scores of overlapping segments more.
        floor: segments with lower scores are left out.
        vote: least tIoU of the segments that vote on a segment's borders; above 1 none does.
        most_segments: of a window.
    """

    num_head_stages = 2

    def __init__(  # noqa: PLR0913  # each is a setting of the network
        self,
        spec: InputSpec,
        num_classes: int,
        *,
        encoder: Network | None = None,
        step_s: float = 0.25,
        proposals: int = 0,
        window: int = 2304,
        width: int = 64,
        levels: int = 6,
        stem: int = 2,
        heads: int = 4,
        attention: int = 19,
        drop_path: float = 0.1,
        radius: float = 1.5,
        sigma: float = 0.5,
        floor: float = 0.001,
        vote: float = 0.7,
        most_segments: int = 200,
    ) -> None:
        if encoder is None:
            raise ValueError("it needs a network whose features it sees: give --encoder")
        if not (step_s > 0 and sigma > 0 and 0 <= floor < 1 and window > 0 and most_segments > 0):
            raise ValueError(f"impossible {step_s=}, {sigma=}, {floor=}, {window=} or {most_segments=}")
        super().__init__(spec, encoder.feature_dim, num_classes)
        encoder.classifier = nn.Identity()  # its features alone are used
        self.encoder = encoder
        self.width, self.step_s, self.window = width, float(step_s), window
        self.sigma, self.floor, self.vote, self.most_segments = sigma, floor, vote, most_segments
        self.pyramid = Pyramid(encoder.feature_dim, width, levels, stem, heads, attention, drop_path)
        strides = self.pyramid.strides
        self.head: Head = TwoStage(width, strides, proposals) if proposals else OneStage(width, strides, radius)
        self.classifier = _rare_classifier(width, num_classes)

    def stages(self) -> list[tuple[str, nn.Module]]:
        """The encoder, the pyramid, the head."""
        assert isinstance(self.head, nn.Module)
        return [("encoder", self.encoder), ("pyramid", self.pyramid), ("head", self.head)]

    def features(self, clip: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b f"]:
        """The encoder's features, which `locate` takes."""
        return self.encoder.features(clip)

    def frame_parts(self) -> FrameParts | None:
        """Those of the encoder."""
        return self.encoder.frame_parts()

    def forward(self, clip: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b classes"]:
        """Class logits of each clip as a video of its own."""
        features = self.features(clip)[:, None]
        mask = torch.ones(features.shape[:2], dtype=torch.bool, device=features.device)
        return self.head.clip_logits(self.levels(features, mask), self.classifier)

    def reset_classifier(self, num_classes: int) -> None:
        """Replace the layer that scores the classes."""
        old = next(self.classifier.parameters())
        self.classifier = _rare_classifier(self.width, num_classes).to(old.device, old.dtype)
        self.arguments = {**self.arguments, "num_classes": num_classes}

    def levels(self, features: Float[Tensor, "b t f"], mask: Bool[Tensor, "b t"]) -> list[Level]:
        """The pyramid of features, padded to a multiple of the largest stride."""
        fill = -features.shape[1] % self.pyramid.strides[-1]
        return self.pyramid(functional.pad(features, (0, 0, 0, fill)), functional.pad(mask, (0, fill)))

    def training_loss(
        self, features: Float[Tensor, "b t f"], mask: Bool[Tensor, "b t"], truth: Sequence[Truth]
    ) -> Tensor:
        """The loss of sequences of features, summed over them; the encoder takes no part in it.

        Args:
            features: padded with any finite values.
            mask: False for padding.
            truth: actions in positions, see `positions_at`.
        """
        return self.head.loss(self.levels(features, mask), truth, self.classifier)

    @torch.no_grad()
    def locate(self, features: FeatureRows, spans_s: NDArray[np.float64]) -> LocatedSegments:
        """Segments of a video of any length, in evaluation mode.

        A long video is computed in windows, each with as many features around it as its answers depend on, so that windows leave
        no seams and memory is that of one window.

        Args:
            features: of the encoder [n f], in memory or in a file that slices.
            spans_s: start and end of the frames that each feature saw [n 2], in order of time.

        Raises:
            UsageError: the features have another length than the encoder's, do not fit the spans, or are not finite.
        """
        spans_s = np.asarray(spans_s, np.float64)
        self._check(features, spans_s)
        found = list(self._windows(features, spans_s))
        times_s, classes, scores = (
            np.concatenate([getattr(each, name) for each in found]) for name in ("times_s", "classes", "scores")
        )
        times_s, classes, scores = suppress(
            times_s, classes, scores, sigma=self.sigma, floor=self.floor, least_vote=self.vote,
            most=self.most_segments * len(found),
        )  # fmt: skip
        return LocatedSegments(np.clip(times_s, spans_s[:, 0].min(), spans_s[:, 1].max()), classes, scores)

    def _check(self, features: FeatureRows, spans_s: NDArray[np.float64]) -> None:
        """Make sure that features and spans belong together and to this network."""
        do = "give the features and spans of this network's encoder"
        if len(features.shape) != 2 or features.shape[1] != self.feature_dim or spans_s.shape != (features.shape[0], 2):
            what = f"features {list(features.shape)} with spans {list(spans_s.shape)} are not [n {self.feature_dim}] with [n 2]"
            raise UsageError(what, self.variant, do)
        if not len(spans_s):
            raise UsageError("there is no feature", self.variant, do)
        if not (np.isfinite(spans_s).all() and (spans_s[:, 0] < spans_s[:, 1]).all()):
            raise UsageError("each feature needs a start before its end", self.variant, do)
        if (np.diff(spans_s.mean(axis=1)) <= 0).any():
            raise UsageError("the features are not in order of time", self.variant, do)

    def _windows(self, features: FeatureRows, spans_s: NDArray[np.float64]) -> Iterator[LocatedSegments]:
        """Candidates of each window, in seconds."""
        largest, count = self.pyramid.strides[-1], len(spans_s)
        margin = -(-(self.pyramid.reach + self.head.reach) // largest) * largest
        core = -(-self.window // largest) * largest
        device = next(self.pyramid.parameters()).device
        for start in range(0, count, core):
            first, last = max(start - margin, 0), min(start + core + margin, count)
            rows = np.array(features[first:last], np.float32)
            if not np.isfinite(rows).all():
                raise UsageError("a feature is not a finite number", self.variant, "extract the features again")
            sequence = torch.from_numpy(rows).to(device)[None]
            mask = torch.ones(sequence.shape[:2], dtype=torch.bool, device=device)
            found = self.head.candidates(self.levels(sequence, mask), self.classifier)
            own = (found.points + first >= start) & (found.points + first < start + core)
            scores, pairs = (
                found.logits[own].sigmoid().flatten().topk(min(_MOST_CANDIDATES, int(own.sum()) * self.num_classes))
            )
            pairs = pairs[scores > self.floor]
            times = found.times[own][pairs // self.num_classes].double().cpu().numpy() + first
            times_s = seconds_at(times, spans_s)
            longer = np.maximum(times_s[:, 0], spans_s[0, 0]) < np.minimum(times_s[:, 1], spans_s[-1, 1])
            classes = (pairs % self.num_classes).cpu().numpy()
            yield LocatedSegments(times_s[longer], classes[longer], scores[: len(pairs)].double().cpu().numpy()[longer])


def _rare_classifier(width: int, num_classes: int) -> nn.Linear:
    """A classifier whose scores are low at first, because most times have no action."""
    classifier = new_classifier(width, num_classes)
    nn.init.constant_(classifier.bias, float(np.log(PRIOR / (1 - PRIOR))))
    return classifier


def seconds_at(positions: NDArray[np.float64], spans_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Times in seconds of positions of any shape: position i is the centre of span i; linear between and beyond them.

    >>> seconds_at(np.array([-1.0, 0.5, 2.0]), np.array([[0.0, 2.0], [2.0, 4.0], [5.0, 7.0]]))
    array([-1.5,  2. ,  6. ])
    """
    places, centres_s = _centres(spans_s)
    return np.interp(positions, places, centres_s)


def positions_at(times_s: NDArray[np.float64], spans_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """The inverse of `seconds_at`."""
    places, centres_s = _centres(spans_s)
    return np.interp(times_s, centres_s, places)


_FAR = 1e6


def _centres(spans_s: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Positions and times of the centres, and one far away at either end at the usual distance of features."""
    centres_s = spans_s.mean(axis=1)
    step_s = float(np.median(np.diff(centres_s))) if len(centres_s) > 1 else float(spans_s[0, 1] - spans_s[0, 0])
    places = np.concatenate([[-_FAR], np.arange(len(centres_s)), [len(centres_s) - 1 + _FAR]])
    return places, np.concatenate([[centres_s[0] - _FAR * step_s], centres_s, [centres_s[-1] + _FAR * step_s]])


_PAPER = "Zhang, Wu and Li 2022"

VARIANTS = {
    "segments_one_stage": Variant(
        builder=SegmentNetwork, arguments={"proposals": 0}, input=InputSpec(), paper=_PAPER, num_classes=20,
        note="locates actions in time, in one stage",
    ),
    "segments_two_stage": Variant(
        builder=SegmentNetwork, arguments={"proposals": 100}, input=InputSpec(),
        paper="Xu, Das and Saenko 2017; Chao et al. 2018", num_classes=20,
        note="locates actions in time, by proposals and their classification",
    ),
}  # fmt: skip
