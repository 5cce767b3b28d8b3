"""The one contract of all networks: clips [b c t h w] go in, logits [b classes] come out.

Training, prediction and description know a network by this class alone. A new family subclasses it, sets nothing but
its layers, and says in `stages()` in which order they see the input, so that "train the last n stages" works
everywhere.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from kinema.types import InputSpec


@dataclass(frozen=True, slots=True)
class FrameParts:
    """The two steps of a network that looks at each frame alone: what it sees of one, and what it makes of several.

    Clips that share frames can then share what was seen of them.
    """

    encode: Callable[[Float[Tensor, "n c 1 h w"]], Float[Tensor, "n f"]]
    """Frames, one after the other in the batch, to a vector each."""
    join: Callable[[Float[Tensor, "b t f"]], Float[Tensor, "b g"]]
    """The vectors of a clip's frames in order of time to the clip's features."""
    join_steps: Callable[[Float[Tensor, "b t f"]], Float[Tensor, "b t g"]] | None = None
    """The same for features at each frame, of networks that answer there."""


class Network(nn.Module, ABC):
    """A video classifier.

    Args:
        spec: how the network wants to be fed; `spec.shape` is the shape of one clip.
        feature_dim: length of the feature vector before the classifier.
        num_classes: length of the logits.
        dropout: share of features dropped before the classifier while training.

    `variant` and `arguments` are what `kinema.models.build` made the network from; they are enough to build it
    again. Where a network sees RGB and optical flow, they are channels of one clip: see `InputSpec.modality`.
    """

    num_head_stages: int = 0
    """Stages at the end that are new with the classifier, such as layers that join frames: "train the head" trains them too."""

    variant: str = ""
    arguments: dict[str, Any]

    def __init__(self, spec: InputSpec, feature_dim: int, num_classes: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.spec = spec
        self.feature_dim = feature_dim
        self.arguments = {}
        self.dropout = nn.Dropout(dropout)
        self.classifier: nn.Module = new_classifier(feature_dim, num_classes)

    @abstractmethod
    def features(self, clip: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b f"]:
        """What the network knows of each clip before it names a class."""

    def forward(self, clip: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b classes"]:
        """Logits: raw scores, before softmax."""
        return self.classifier(self.dropout(self.features(clip)))

    @abstractmethod
    def stages(self) -> list[tuple[str, nn.Module]]:
        """Named parts from input to output, without the classifier.

        Every parameter of the network but the classifier's belongs to exactly one of them. A stage is for freezing
        and for learning rates (`parameters()`, `eval()`), not for calling.
        """

    def frame_parts(self) -> FrameParts | None:
        """The two steps of a network that looks at each frame alone; None where its layers see time."""
        return None

    @property
    def num_classes(self) -> int:
        """Length of the logits."""
        return int(self.classifier.out_features)  # type: ignore[arg-type]

    def reset_classifier(self, num_classes: int) -> None:
        """Put a fresh classifier for `num_classes` classes in place of the old one."""
        old = next(self.classifier.parameters())
        self.classifier = new_classifier(self.feature_dim, num_classes).to(old.device, old.dtype)
        self.arguments = {**self.arguments, "num_classes": num_classes}

    def set_multi_label(self, multi_label: bool) -> None:
        """Be told whether videos carry several labels; networks whose logits are joined scores need to know."""

    def adopt_classifier(self, weight: Float[Tensor, "classes f"], bias: Float[Tensor, " classes"]) -> None:
        """Take a published classifier over."""
        self.reset_classifier(len(weight))
        self.classifier.load_state_dict({"weight": weight, "bias": bias})


class JoinedNetwork(Network):
    """A network in two steps: `encode` looks at each frame (or patch) alone, `join` makes one vector of what came out.

    Between the two lies what can be kept on disk: with a frozen encoder, learning needs `join` and the classifier
    only. The stages of `join` are the last `num_head_stages`.
    """

    join_arguments: tuple[str, ...] = ()
    """Arguments of the constructor that `encode` does not depend on: networks that differ in them share what is kept."""

    @abstractmethod
    def encode(self, clip: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b n f"]:
        """One vector a frame, or one a patch, in order of time."""

    @abstractmethod
    def join(self, encoded: Float[Tensor, "b n f"], lengths: Int[Tensor, " b"] | None = None) -> Float[Tensor, "b g"]:
        """One vector of `feature_dim` numbers a clip.

        Args:
            encoded: what `encode` gave.
            lengths: how many of the n vectors count, from the first on, where clips of different lengths were padded
                to the longest; None: all do.
        """

    def features(self, clip: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b g"]:
        """`join(encode(clip))`."""
        return self.join(self.encode(clip))

    def frame_parts(self) -> FrameParts | None:
        """`encode` and `join`; of a subclass whose `encode` sees several frames at once, None."""
        return FrameParts(lambda frames: self.encode(frames)[:, 0], self.join)


State = dict[str, Tensor]
"""What a streaming network remembers between frames: tensors by name, the batch first in each."""


class StepNetwork(Network):
    """A network with an answer at every frame of its clip ("many to many"), beside the one for the whole clip."""

    @abstractmethod
    def step_logits(self, clip: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b t classes"]:
        """Logits at each frame, computed for all frames at once."""


class StreamingNetwork(StepNetwork):
    """A causal network: what it says after a frame depends on that frame and those before it, at constant work a frame.

    `forward(clip)` equals the last logits of `step` over the frames of the clip, and `step_logits(clip)` all of them.
    """

    @abstractmethod
    def start(self, batch: int = 1) -> State:
        """The state before the first frame, on the network's device."""

    @abstractmethod
    def step(self, frame: Float[Tensor, "b c h w"], state: State) -> tuple[Float[Tensor, "b classes"], State]:
        """Logits after one more frame, and the state for the next; the state given is not changed."""


def filters_see_time(network: Network) -> bool:
    """Whether some 3-D filter is longer than a frame or skips frames, or a non-local block compares them."""
    filters = [layer for layer in network.modules() if isinstance(layer, nn.Conv3d)]
    longest = max((max(layer.kernel_size[0], layer.stride[0]) for layer in filters), default=1)
    return longest > 1 or "nonlocal_stages" in network.arguments


AnyNetwork = TypeVar("AnyNetwork", bound=Network)


def sharing_weights(network: AnyNetwork) -> AnyNetwork:
    """A copy with layers of its own and the same weights."""
    shared: dict[int, Any] = {id(value): value for value in [*network.parameters(), *network.buffers()]}
    return copy.deepcopy(network, shared)


def new_classifier(feature_dim: int, num_classes: int) -> nn.Linear:
    """A linear layer that starts with small weights, so that all classes are about equally likely at first."""
    classifier = nn.Linear(feature_dim, num_classes)
    nn.init.normal_(classifier.weight, std=0.01)
    nn.init.zeros_(classifier.bias)
    return classifier


def group(**parts: nn.Module) -> nn.Module:
    """Several modules as one stage. They stay where they are in the network; nothing is copied."""
    return nn.ModuleDict(parts)


def init_he(module: nn.Module) -> None:
    """He et al.'s (2015) normal initialisation of convolutions and linear layers, for networks with rectifiers."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.Conv3d | nn.Linear):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def fastest_layout(clip: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b c t h w"]:
    """Channels last: convolutions on a CPU take this order about a third faster, and keep it."""
    return clip.contiguous(memory_format=torch.channels_last_3d)
