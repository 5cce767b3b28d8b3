"""The interface of all networks: clips [b c t h w] go in, logits [b classes] come out.

Training, prediction and description use a network through this class alone. A new family subclasses it, adds its layers
and lists them in `stages()` from input to output, so that "train the last n stages" works for every network.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from kinema.types import InputSpec


@dataclass(frozen=True, slots=True)
class FrameParts:
    """The two steps of a network that encodes each frame alone: encode single frames, then join those of a clip.

    Overlapping clips can share the encoded frames.
    """

    encode: Callable[[Float[Tensor, "n c 1 h w"]], Float[Tensor, "n f"]]
    """Frames, as entries of the batch, to one vector each."""
    join: Callable[[Float[Tensor, "b t f"]], Float[Tensor, "b g"]]
    """The vectors of a clip's frames, in order of time, to the clip's features."""
    join_frames: Callable[[Float[Tensor, "b t f"]], Float[Tensor, "b t g"]] | None = None
    """The same to features at each frame; None for networks without frame-wise logits."""


class Network(nn.Module, ABC):
    """A video classifier.

    Args:
        spec: the input: size, sampling and normalisation; `spec.shape` is the shape of one clip.
        feature_dim: length of the feature vector before the classifier.
        num_classes: length of the logits.
        dropout: share of features dropped before the classifier while training.

    `variant` and `arguments` are what `kinema.models.build` made the network from; they are enough to build it
    again. RGB and optical flow are channels of one clip: see `InputSpec.modality`.
    """

    num_head_stages: int = 0
    """Last stages that start untrained like the classifier, such as layers that join frames; "train the head" includes them."""

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
        """One feature vector a clip, the input of the classifier."""

    def forward(self, clip: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b classes"]:
        """Logits: raw scores, before softmax."""
        return self.classifier(self.dropout(self.features(clip)))

    @abstractmethod
    def stages(self) -> list[tuple[str, nn.Module]]:
        """Named parts from input to output, without the classifier.

        Every parameter except the classifier's belongs to exactly one stage. Stages serve to freeze parts and to set
        learning rates (`parameters()`, `eval()`); they need not be callable.
        """

    def frame_parts(self) -> FrameParts | None:
        """The two steps of a network that encodes each frame alone; None if layers see several frames."""
        return None

    @property
    def num_classes(self) -> int:
        """Length of the logits."""
        return int(self.classifier.out_features)  # type: ignore[arg-type]

    def reset_classifier(self, num_classes: int) -> None:
        """Replace the classifier with an untrained one for `num_classes` classes."""
        old = next(self.classifier.parameters())
        self.classifier = new_classifier(self.feature_dim, num_classes).to(old.device, old.dtype)
        self.arguments = {**self.arguments, "num_classes": num_classes}

    def set_multi_label(self, multi_label: bool) -> None:
        """Set whether a video can have several labels; matters only to networks that average scores, see `fused`."""

    def adopt_classifier(self, weight: Float[Tensor, "classes f"], bias: Float[Tensor, " classes"]) -> None:
        """Use the weights of a published classifier."""
        self.reset_classifier(len(weight))
        self.classifier.load_state_dict({"weight": weight, "bias": bias})


class JoinedNetwork(Network):
    """A network in two steps: `encode` gives a vector for each frame (or patch), `join` one for the clip.

    With a frozen encoder its output can be cached on disk; training then needs `join` and the classifier only. The
    stages of `join` are the last `num_head_stages`.
    """

    join_arguments: tuple[str, ...] = ()
    """Constructor arguments that `encode` does not depend on: networks that differ only in them share cached features."""

    @abstractmethod
    def encode(self, clip: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b n f"]:
        """One vector a frame, or one a patch, in order of time."""

    @abstractmethod
    def join(self, encoded: Float[Tensor, "b n f"], lengths: Int[Tensor, " b"] | None = None) -> Float[Tensor, "b g"]:
        """One vector of `feature_dim` numbers a clip.

        Args:
            encoded: the output of `encode`.
            lengths: number of valid vectors of each row, from the first on, if clips of different lengths were padded
                to the longest; None: all are valid.
        """

    def features(self, clip: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b g"]:
        """`join(encode(clip))`."""
        return self.join(self.encode(clip))

    def frame_parts(self) -> FrameParts | None:
        """`encode` and `join`; a subclass whose `encode` sees several frames at once returns None."""
        return FrameParts(lambda frames: self.encode(frames)[:, 0], self.join)


class SpatialNetwork(Network):
    """A network whose features are known at each place of the frame, so that boxes can be scored: see `detection`."""

    @abstractmethod
    def maps(self, clip: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b f y x"]:
        """Features at each place, averaged over the time of the clip; `f` is `feature_dim`."""


State = dict[str, Tensor]
"""What a streaming network keeps between frames: tensors by name, each with the batch as its first axis."""


class FramewiseNetwork(Network):
    """A network with logits at every frame of its clip ("many to many"), and logits of the whole clip."""

    @abstractmethod
    def frame_logits(self, clip: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b t classes"]:
        """Logits at each frame, computed for all frames at once."""


class StreamingNetwork(FramewiseNetwork):
    """A causal network: its logits after a frame depend on that frame and earlier ones, at constant cost a frame.

    `frame_logits(clip)` equals the logits of `step` over the frames of the clip, `forward(clip)` the last of them.
    """

    @abstractmethod
    def start(self, batch: int = 1) -> State:
        """The state before the first frame, on the network's device."""

    @abstractmethod
    def step(self, frame: Float[Tensor, "b c h w"], state: State) -> tuple[Float[Tensor, "b classes"], State]:
        """Logits after one more frame, and the new state; the given state is not changed."""


def filters_see_time(network: Network) -> bool:
    """Whether a 3-D filter spans several frames or skips some, or a non-local block compares frames."""
    filters = [layer for layer in network.modules() if isinstance(layer, nn.Conv3d)]
    longest = max((max(layer.kernel_size[0], layer.stride[0]) for layer in filters), default=1)
    return longest > 1 or "nonlocal_stages" in network.arguments


AnyNetwork = TypeVar("AnyNetwork", bound=Network)


def sharing_weights(network: AnyNetwork) -> AnyNetwork:
    """A copy with its own layers and the same weight tensors."""
    shared: dict[int, object] = {id(value): value for value in [*network.parameters(), *network.buffers()]}
    return copy.deepcopy(network, shared)


@contextmanager
def on_meta(network: nn.Module) -> Iterator[Callable[[Tensor], Tensor]]:
    """Call a network in evaluation mode with weights that have shapes and no values: nothing is computed."""
    modes = {module: module.training for module in network.modules()}
    tensors = {name: value.to("meta") for name, value in [*network.named_parameters(), *network.named_buffers()]}
    network.eval()
    try:
        yield lambda clip: torch.func.functional_call(network, tensors, (clip,))
    finally:
        for module, training in modes.items():
            module.training = training


def new_classifier(feature_dim: int, num_classes: int) -> nn.Linear:
    """A linear layer with small initial weights, so that all classes are about equally likely at first."""
    classifier = nn.Linear(feature_dim, num_classes)
    nn.init.normal_(classifier.weight, std=0.01)
    nn.init.zeros_(classifier.bias)
    return classifier


def group(**parts: nn.Module) -> nn.Module:
    """Several modules as one stage. They also stay in their places in the network; nothing is copied."""
    return nn.ModuleDict(parts)


def init_he(module: nn.Module) -> None:
    """He et al.'s (2015) normal initialisation of convolutions and linear layers, for networks with rectifiers."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.Conv3d | nn.Linear):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def fastest_layout(clip: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b c t h w"]:
    """Channels last in memory: convolutions on a CPU are about a third faster, and their outputs keep the layout."""
    return clip.contiguous(memory_format=torch.channels_last_3d)
