"""How networks learn: the settings that `train`, `compare` and `crossval` share, and what follows from them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from kinema.errors import ConfigError, check_settings
from kinema.recipes.options import DataOptions, ModelOptions
from kinema.training.options import FitOptions

if TYPE_CHECKING:
    from kinema.clips.transforms import Augment
    from kinema.datasets.dataset import DataSet
    from kinema.datasets.turns import Turns
    from kinema.recipes.evaluate import ScoringOptions
    from kinema.types import InputSpec


@dataclass(frozen=True, kw_only=True)
class LearningConfig(DataOptions, ModelOptions, FitOptions):
    """Settings of one training run or of several alike."""

    augment: Literal["none", "light", "standard", "strong", "karpathy"] = "standard"
    """How clips are varied while training."""
    flip: float | None = None
    """Share of the clips that are mirrored; 0 where left and right matter, or name the classes in --mirror-labels."""
    mirror_labels: list[str] = field(default_factory=list)
    """Pairs of classes that turn into each other when a clip is mirrored, as "swipe left=swipe right"."""
    reverse_labels: list[str] = field(default_factory=list)
    """Pairs of classes that turn into each other when a clip is played backwards, as "open=close", or "shake=shake" for one
    that looks alike: half of their clips are."""
    jitter: float | None = None
    """Brightness, contrast and saturation change by up to this share."""
    rotate: float = 0.0
    """Clips are turned by up to this many degrees, either way."""
    time_scale: float = 1.0
    """For networks that see frames spread over the video: the smallest share of its time that a clip is spread over."""
    crop_scale: float | None = None
    """Smallest share of the picture that a random crop keeps."""
    valid_clips: int = 1
    """Clips that each validation video is judged by."""
    cache: str | None = None
    """Folder in which decoded, shrunk frames are kept, which makes later epochs faster."""
    keep_features: str | None = None
    """With --transfer head: folder in which the frozen part's outputs are kept, so that videos go through it only once."""
    feature_views: int = 1
    """Views of each training video that --keep-features keeps: the plain one, and further ones drawn by --augment."""
    flow_cache: str | None = None
    """For networks that see optical flow: the folder it is kept in; without it .kinema/flow beside the videos."""
    tensorboard: bool = False
    """Write TensorBoard files too."""
    out: str | None = None
    """The folder for all that comes out; without it the next free one in runs/."""
    resume: bool = False
    """Go on with the run in --out, in the middle of an epoch if need be."""
    json: bool = False
    """Print the result as JSON."""

    def __post_init__(self) -> None:
        super().__post_init__()
        counts = ("clip_len", "frame_stride", "valid_clips", "feature_views")
        check_settings({name: getattr(self, name) for name in counts}, 1)
        check_settings({"fps": self.fps, "crop_scale": self.crop_scale}, 0.01)
        check_settings({"flip": self.flip, "crop_scale": self.crop_scale, "jitter": self.jitter}, 0, 1)
        check_settings({"time_scale": self.time_scale}, 0.05, 1)
        check_settings({"rotate": self.rotate}, 0, 180)
        check_settings({"valid_fraction": self.valid_fraction}, 0.001, 0.999)
        if self.keep_features and (self.mirror_labels or self.reverse_labels):
            flag = "--mirror-labels" if self.mirror_labels else "--reverse-labels"
            do = "leave it out, and where left and right matter give --flip 0"
            raise ConfigError("kept features are those of one label a video", flag, do)
        if self.feature_views > 1 and not self.keep_features:
            raise ConfigError(
                "--feature-views goes with kept features", self.feature_views, "give --keep-features FOLDER"
            )
        if self.resume and not self.out:
            raise ConfigError("--resume needs the folder of the run", "--out", "give --out FOLDER")

    def augmentation(self) -> Augment:
        """The preset with what the settings change of it."""
        from kinema.clips.transforms import PRESETS

        changed: dict[str, Any] = {name: getattr(self, name) for name in ("flip", "jitter", "rotate", "time_scale")}
        if self.crop_scale is not None:
            changed["scale"] = (self.crop_scale, 1.0)
        return replace(PRESETS[self.augment], **{name: value for name, value in changed.items() if value is not None})

    def turns(self, data: DataSet) -> Turns:
        """What classes turn into in mirrored clips and in those played backwards, where the settings name some.

        Raises:
            UnknownName: they name a class that the data does not have.
            ConfigError: they pair one twice.
        """
        from kinema.datasets.turns import Turns

        return Turns(
            mirror=data.labels.mirrored(self.mirror_labels) if self.mirror_labels else None,
            reverse=data.labels.reversed(self.reverse_labels) if self.reverse_labels else None,
        )

    def clip_arguments(self, data: DataSet, spec: InputSpec) -> dict[str, Any]:
        """What data sets of clips for training and for validation have in common, as arguments of `ClipDataset`."""
        from kinema.datasets.cache import FrameCache
        from kinema.datasets.flow_cache import open_flow_cache

        return {
            "data": data,
            "spec": spec,
            "seed": self.seed,
            "cache": FrameCache(self.cache) if self.cache else None,
            "flow_cache": open_flow_cache(self.flow_cache, data, spec),
        }

    def varied_arguments(self, data: DataSet, spec: InputSpec) -> dict[str, Any]:
        """The same for training, where clips are varied."""
        return {**self.clip_arguments(data, spec), "augment": self.augmentation(), "turns": self.turns(data)}

    def scoring_options(self) -> ScoringOptions:
        """How the network is judged on the validation part."""
        from kinema.recipes.evaluate import ScoringOptions

        return ScoringOptions(
            clips=self.valid_clips, batch_size=self.batch_size, workers=self.workers, precision=self.precision,
            cache=self.cache, flow_cache=self.flow_cache,
        )  # fmt: skip
