"""The settings of training runs, which `train`, `compare` and `crossval` share."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from kinema.choices import TaskName
from kinema.errors import ConfigError, check_settings
from kinema.runs.options import DataOptions, ModelOptions, ScoringOptions
from kinema.training.options import FitOptions

if TYPE_CHECKING:
    from kinema.clips.transforms import Augment
    from kinema.datasets.clips import ClipArguments
    from kinema.datasets.dataset import DataSet
    from kinema.datasets.label_flips import LabelFlips
    from kinema.types import InputSpec


@dataclass(frozen=True, kw_only=True)
class LearningConfig(DataOptions, ModelOptions, FitOptions):
    """Settings that all networks of a run, a comparison or a cross-validation share."""

    augment: Literal["none", "light", "standard", "strong", "karpathy"] = "standard"
    """Random changes of training clips."""
    flip: float | None = None
    """Share of the clips that are mirrored. If left and right matter, give 0 or name the classes in --mirror-labels."""
    mirror_labels: list[str] = field(default_factory=list)
    """Pairs of classes that exchange when a clip is mirrored, as "swipe left=swipe right"."""
    reverse_labels: list[str] = field(default_factory=list)
    """Pairs of classes that exchange when a clip is played backwards, as "open=close", or "shake=shake" for one that looks
    the same; half of the clips of these classes are played backwards."""
    jitter: float | None = None
    """Largest change of brightness, contrast and saturation, as a share."""
    rotate: float = 0.0
    """Largest rotation of clips in degrees, in both directions."""
    time_scale: float = 1.0
    """For networks that spread their frames over the video: the smallest share of its time that a clip spans."""
    crop_scale: float | None = None
    """Smallest share of the frame that a random crop keeps."""
    valid_clips: int = 1
    """Clips of each validation video whose scores are averaged."""
    cache: str | None = None
    """Folder that keeps decoded, resized frames, which makes later epochs faster."""
    keep_features: str | None = None
    """With --transfer head: folder that keeps the outputs of the frozen part, which are then computed only once."""
    feature_views: int = 1
    """Views of each training video that --keep-features keeps: the plain one, and further ones changed by --augment."""
    flow_cache: str | None = None
    """For networks with optical flow: the folder that keeps it; default: .kinema/flow beside the videos."""
    feature_cache: str | None = None
    """With --task segments: the folder that keeps the encoder's features; default: .kinema/features beside the videos."""
    tensorboard: bool = False
    """Also write TensorBoard files."""
    out: str | None = None
    """The folder for all results; default: the next free one in runs/."""
    resume: bool = False
    """Resume the run in --out, even in the middle of an epoch."""
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
        """The preset of `augment` with the changes of the other settings."""
        from kinema.clips.transforms import PRESETS

        preset = PRESETS[self.augment]
        return replace(
            preset,
            flip=preset.flip if self.flip is None else self.flip,
            jitter=preset.jitter if self.jitter is None else self.jitter,
            scale=preset.scale if self.crop_scale is None else (self.crop_scale, 1.0),
            rotate=self.rotate,
            time_scale=self.time_scale,
        )

    def label_flips(self, data: DataSet) -> LabelFlips:
        """The classes of mirrored clips and of clips played backwards, from `mirror_labels` and `reverse_labels`.

        Raises:
            UnknownName: the data does not have such a class.
            ConfigError: a class is in two pairs.
        """
        from kinema.datasets.label_flips import LabelFlips

        return LabelFlips(
            mirror=data.labels.mirrored(self.mirror_labels) if self.mirror_labels else None,
            reverse=data.labels.reversed(self.reverse_labels) if self.reverse_labels else None,
        )

    def clip_arguments(self, data: DataSet, spec: InputSpec, *, training: bool) -> ClipArguments:
        """The keyword arguments of `ClipDataset` for a part of the data; with augmentation if `training`."""
        from kinema.datasets.cache import FrameCache
        from kinema.datasets.flow_cache import open_flow_cache

        shared: ClipArguments = {
            "seed": self.seed,
            "cache": FrameCache(self.cache) if self.cache else None,
            "flow_cache": open_flow_cache(self.flow_cache, data, spec),
        }
        return {**shared, "augment": self.augmentation(), "label_flips": self.label_flips(data)} if training else shared

    def scoring_options(self) -> ScoringOptions:
        """The options that judge the network on the validation part."""
        return ScoringOptions(
            clips=self.valid_clips, batch_size=self.batch_size, workers=self.workers, precision=self.precision,
            cache=self.cache, flow_cache=self.flow_cache, feature_cache=self.feature_cache,
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class TrainConfig(LearningConfig):
    """Settings of a training run."""

    model: str
    """The network's name; `kinema models` lists them."""
    init: str | None = None
    """Start from the weights and the input of this checkpoint, or of published weights (`kinema models --weights`). Other
    settings change the input, such as longer clips; the classifier is kept if the classes are the same."""
    task: TaskName = "clip"
    """What the network predicts: labels of a clip (clip), or, learned from data with start and end times, a label for each
    frame (frame) or actions with start and end (segments); or labels of persons at key frames (boxes). kept is clip with kept
    outputs of a frozen part; --keep-features chooses it."""
    encoder: str | None = None
    """With --task segments: the network whose features are used, a run, a checkpoint or a name; it is not trained."""
    boxes: str | None = None
    """With --task boxes: a CSV file of detected boxes (video,time,left,top,right,bottom[,label[,score]]). The network learns
    from them too, and is judged on them. Default: the true boxes."""
    feature_step: float | None = None
    """With --task segments: seconds between features; default: an eighth of the encoder's clip, from 0.1 to 0.5."""
    each_step: bool = False
    """The same as --task frame."""
    background: str = "background"
    """With --task frame: the class of times that no row of the manifest covers; an empty name leaves them out. With --task
    segments: a class whose rows are no actions."""

    def __post_init__(self) -> None:
        super().__post_init__()
        chosen = "frame" if self.each_step else "kept" if self.keep_features else self.task
        if self.task not in ("clip", chosen):
            flag = "--each-step" if self.each_step else "--keep-features"
            raise ConfigError(f"{flag} goes with --task {chosen}", f"--task {self.task}", "leave one of them out")
        if chosen == "kept" and not self.keep_features:
            raise ConfigError("kept features need a folder", "--task kept", "give --keep-features FOLDER")
        check_settings({"feature_step": self.feature_step}, 0.01)
        if self.boxes and chosen != "boxes":
            raise ConfigError(
                "--boxes goes with --task boxes", f"--task {chosen}", "give --task boxes, or leave it out"
            )
        if chosen != "segments" and (self.encoder or self.feature_step or self.feature_cache):
            flag = "--encoder" if self.encoder else "--feature-step" if self.feature_step else "--feature-cache"
            raise ConfigError(
                f"{flag} goes with --task segments", f"--task {chosen}", "give --task segments, or leave it out"
            )
        object.__setattr__(self, "task", chosen)
