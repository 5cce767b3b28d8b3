"""Settings of the training loop with their defaults. No torch here, so that the command line starts fast."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from kinema.choices import Precision
from kinema.errors import ConfigError, check_settings


@dataclass(frozen=True, kw_only=True)
class FitOptions:
    """Settings of the training loop."""

    epochs: int = 20
    """Passes over the training part."""
    batch_size: int = 16
    """Clips in one optimiser step, over all processes and accumulated parts together."""
    accumulate: int = 1
    """Parts that a batch is cut into: more parts need less memory and give the same step."""
    optimizer: Literal["sgd", "adamw"] = "adamw"
    """Stochastic gradient descent with Nesterov momentum, or AdamW."""
    lr: float | None = None
    """Highest learning rate; default: 0.001 for adamw and 0.05 for sgd."""
    momentum: float = 0.9
    """Momentum of sgd."""
    weight_decay: float = 0.05
    """Weight decay (not for biases and norms)."""
    schedule: Literal["cosine", "plateau", "constant"] = "cosine"
    """Learning rate over time: falls along half a cosine, is cut to a fifth when validation stalls (plateau), or stays."""
    warmup_epochs: float = 1.0
    """Epochs in which the learning rate rises from 0 at the start."""
    label_smoothing: float = 0.1
    """Share of the target that is distributed over all classes."""
    mixup: float = 0.0
    """Strength (alpha) of mixup, which blends clips of a batch and their labels; 0 is off."""
    cutmix: float = 0.0
    """Strength (alpha) of cutmix, which pastes a box of one clip into another; 0 is off."""
    balance: Literal["none", "sampler", "loss"] = "none"
    """Balance uneven classes: draw rare ones more often (sampler), or weight their errors more (loss)."""
    ema: float = 0.99
    """Decay of a moving average of the weights, which is judged and saved in their place; 0 is off. It makes short runs with
    batch norm more stable."""
    clip_grad: float = 5.0
    """Largest norm of the gradient; 0 is no limit."""
    transfer: str = "all"
    """Layers to train: all, head (the classifier and layers that join frames), or last:N (the head and the last N stages)."""
    backbone_lr: float = 1.0
    """Factor on the learning rate of everything but the classifier."""
    precision: Precision = "auto"
    """Number format of the forward pass; auto is bf16 if the machine is fast at it, else f32."""
    compile: bool = False
    """Compile the network with torch.compile: the first step takes up to a minute, later steps are faster."""
    patience: int = 0
    """Stop after this many epochs without a better validation; 0 never stops."""
    monitor: Literal[
        "video_hit_at_1", "macro_f1", "mean_class_accuracy", "clip_hit_at_1", "loss",
        "frame_accuracy", "edit_score", "f1_at_10", "f1_at_25", "f1_at_50", "average_map", "map_at_0.5",
        "frame_map_at_0.5",
    ] = "video_hit_at_1"  # fmt: skip
    """Figure that decides which epoch is the best; frame_accuracy and those after it are for --task frame, whose default is
    frame_accuracy; average_map, the default, and map_at_0.5 for --task segments; frame_map_at_0.5 is the default of
    --task boxes."""
    seed: int = 0
    """Seed of every random choice: weights, order, crops."""
    workers: int | None = None
    """Processes that decode; default: one for each core but one, at most 8."""
    max_broken: float = 0.05
    """Share of the training examples that may be unreadable before the run stops; of all examples in a cross-validation."""
    save_every_s: float = 60.0
    """Seconds between two saved states, from which --resume continues."""

    def __post_init__(self) -> None:
        check_settings({"epochs": self.epochs, "batch_size": self.batch_size, "accumulate": self.accumulate}, 1)
        check_settings({"workers": self.workers, "patience": self.patience}, 0)
        not_negative = ("weight_decay", "warmup_epochs", "mixup", "cutmix", "clip_grad", "backbone_lr", "save_every_s")
        check_settings({name: getattr(self, name) for name in not_negative}, 0)
        shares = ("momentum", "label_smoothing", "ema", "max_broken")
        check_settings({name: getattr(self, name) for name in shares}, 0, 1)
        if self.lr is not None and not self.lr > 0:
            raise ConfigError("--lr must be above 0", self.lr, "leave it out, or give a small number such as 0.001")
        if self.accumulate > self.batch_size:
            what = "--accumulate cuts a batch finer than one clip"
            raise ConfigError(what, self.accumulate, "give a larger --batch-size")
        self.num_open_stages  # noqa: B018  checks the spelling now, not an hour later

    @property
    def learning_rate(self) -> float:
        """The highest learning rate, after defaults."""
        return self.lr if self.lr is not None else {"adamw": 1e-3, "sgd": 0.05}[self.optimizer]

    @property
    def num_open_stages(self) -> int | None:
        """Trained stages before the classifier: None for all of them, 0 for the classifier alone.

        Raises:
            ConfigError: `transfer` is not all, head or last:N.
        """
        if self.transfer in ("all", "scratch"):
            return None
        if self.transfer == "head":
            return 0
        kind, _, number = self.transfer.partition(":")
        if kind == "last" and number.isdigit():
            return int(number)
        raise ConfigError("--transfer cannot be understood", self.transfer, "give all, head or last:N, such as last:2")
