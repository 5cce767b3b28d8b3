"""The settings of training runs, which `train`, `compare` and `crossval` share, and what follows from them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from kinema.choices import TaskName
from kinema.errors import ConfigError, check_settings
from kinema.runs.options import DataOptions, ModelOptions, ScoringOptions
from kinema.training.options import FitOptions

if TYPE_CHECKING:
    from kinema.clips.transforms import Augment
    from kinema.datasets.clips import ClipArguments
    from kinema.datasets.dataset import DataSet
    from kinema.datasets.label_flips import Turns
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
        from kinema.datasets.label_flips import Turns

        return Turns(
            mirror=data.labels.mirrored(self.mirror_labels) if self.mirror_labels else None,
            reverse=data.labels.reversed(self.reverse_labels) if self.reverse_labels else None,
        )

    def clip_arguments(self, data: DataSet, spec: InputSpec, *, training: bool) -> ClipArguments:
        """The keyword arguments of `ClipDataset` for a part of the data; clips are varied where it is the training part."""
        from kinema.datasets.cache import FrameCache
        from kinema.datasets.flow_cache import open_flow_cache

        shared: ClipArguments = {
            "seed": self.seed,
            "cache": FrameCache(self.cache) if self.cache else None,
            "flow_cache": open_flow_cache(self.flow_cache, data, spec),
        }
        return {**shared, "augment": self.augmentation(), "turns": self.turns(data)} if training else shared

    def scoring_options(self) -> ScoringOptions:
        """How the network is judged on the validation part."""
        return ScoringOptions(
            clips=self.valid_clips, batch_size=self.batch_size, workers=self.workers, precision=self.precision,
            cache=self.cache, flow_cache=self.flow_cache,
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class TrainConfig(LearningConfig):
    """Settings of a training run."""

    model: str
    """The network's name; `kinema models` lists them."""
    init: str | None = None
    """Start from the weights of this checkpoint, or from published weights (`kinema models --weights`), and from their
    input where no other is given, such as longer clips; the classifier is kept if the classes are the same."""
    task: TaskName = "clip"
    """What the network is asked: a label a clip (clip), or a label a frame, learned from a manifest's rows with start and
    end (frame); kept is clip on the outputs of a frozen part, which --keep-features chooses."""
    each_step: bool = False
    """The same as --task frame."""
    background: str = "background"
    """With --task frame: the class of times that no row covers; an empty name leaves them out."""

    def __post_init__(self) -> None:
        super().__post_init__()
        chosen = "frame" if self.each_step else "kept" if self.keep_features else self.task
        if self.task not in ("clip", chosen):
            flag = "--each-step" if self.each_step else "--keep-features"
            raise ConfigError(f"{flag} goes with --task {chosen}", f"--task {self.task}", "leave one of them out")
        if chosen == "kept" and not self.keep_features:
            raise ConfigError("kept features need a folder", "--task kept", "give --keep-features FOLDER")
        object.__setattr__(self, "task", chosen)
