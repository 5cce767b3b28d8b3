"""Batch norms folded into the convolutions before them: the same numbers with a pass over memory less for each.

A norm in evaluation mode multiplies each channel by a number and adds another, which a convolution's filters and bias can
do. Where that may be done is not read off the names of layers: an empty clip goes through the network, and what each
operation reads is noted. A norm is folded where it alone reads a convolution's output, and where both run once. (On the meta
device nothing would be computed, but torch would load its compiler, which takes longer than a clip.)

Torch, one thread, milliseconds of processor time a clip, in float32 and in bfloat16: x3d_m 546 -> 500 and 232 -> 158,
slow_fusion_small 12.9 -> 11.6 and 4.8 -> 4.4, s3d 867 -> 807 and 277 -> 281, slowfast_r50 2470 -> 2290 and 844 -> 801, and
nothing that could be measured for r3d_18 and r2plus1d_18, which are all convolution.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.fusion import fuse_conv_bn_weights
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.weak import WeakTensorKeyDictionary

from kinema.engines.prune import prune
from kinema.engines.scorer import FrameScorer, Scorer
from kinema.models.device import channels_last
from kinema.models.network import AnyNetwork, sharing_weights

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from kinema.models.network import Network

Pair = tuple[str, str]
"""The names of a convolution and of the norm behind it."""


class FoldedScorer(Scorer):
    """A scorer in torch that folds norms, and leaves out what is not needed (see `prune`), when the first clips come.

    `network` stays as it is, and must from then on.

    Logits at each frame come from the network itself: what was noted holds for its logits of whole clips.
    """

    _fast: Any = None

    def clip_logits(self, clips: Tensor) -> NDArray[np.float32]:
        """Logits [b classes] of uint8 clips [b c t h w], whatever the task."""
        return self.apply(self._folded(), clips)

    def frame_scorer(self) -> FrameScorer | None:
        """The network in two steps, where it looks at each frame alone."""
        parts = self._folded().frame_parts()
        return None if parts is None else FrameScorer(self, parts)

    def _folded(self) -> Any:
        if self._fast is None:
            self._fast = folded(prune(self.network))
        return self._fast


def folded(network: AnyNetwork) -> AnyNetwork:
    """A copy without the norms that can be folded; it shares all other weights. The network itself if there are none.

    Args:
        network: in evaluation mode.
    """
    pairs = list(foldable(network))
    if not pairs:
        return network
    copied = sharing_weights(network)
    for conv, norm in pairs:
        _fold(copied.get_submodule(conv), copied.get_submodule(norm))
        parent, _, name = norm.rpartition(".")
        setattr(copied.get_submodule(parent), name, _rest(copied.get_submodule(norm)))
    return copied


def foldable(network: Network) -> Iterator[Pair]:
    """Convolutions with the norm that alone reads what they give, in their order.

    Args:
        network: in evaluation mode; an empty clip goes through it, a small one where it takes that too.
    """
    if not any(isinstance(module, _BatchNorm) for module in network.modules()):
        return
    channels, length, *size = network.spec.shape
    try:
        reads = _note_reads(network, (channels, length, *(min(side, max(side // 4, 32)) for side in size)))
    except (RuntimeError, ValueError):  # its size is fixed
        reads = _note_reads(network, network.spec.shape)
    for weight, mean in reads.pairs():
        conv, norm = weight.removesuffix(".weight"), mean.removesuffix(".running_mean")
        if _can_hold(network.get_submodule(conv)) and isinstance(network.get_submodule(norm), _BatchNorm):
            yield conv, norm


def _note_reads(network: Network, shape: Sequence[int]) -> _Reads:
    weights = next(network.parameters())
    reads = _Reads({id(value): name for name, value in [*network.named_parameters(), *network.named_buffers()]})
    with torch.no_grad(), reads:
        network(torch.zeros(1, *shape, device=weights.device, dtype=weights.dtype))
    return reads


@dataclass(eq=False, slots=True)
class _Made:
    """What a convolution gave: the name of its filters, how often it was read, and by which norm."""

    weight: str
    reads: int = 0
    mean: str = ""


class _Reads(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes which operations read what convolutions give. Tensors are known while they live, and not kept.

    Args:
        names: of weights and buffers, by identity.
    """

    def __init__(self, names: dict[int, str]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._names = names
        self._living: Any = WeakTensorKeyDictionary()
        self._made: list[_Made] = []
        self._calls: Counter[str] = Counter()

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Torch would load its compiler, which takes as long as torch itself, only to keep it away from here."""
        return False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        outputs = func(*args, **(kwargs or {}))
        for value in _tensors(args):
            if (made := self._living.get(value)) is not None:
                made.reads += 1
        name = func._schema.name.partition("::")[2]
        if name == "convolution":
            self._note_convolution(args[1], outputs)
        elif "batch_norm" in name:
            self._note_norm(args[0], args[3])
        return outputs

    def _note_convolution(self, weight: Tensor, output: Tensor) -> None:
        if name := self._names.get(id(weight)):
            self._made.append(_Made(name))
            self._living[output] = self._made[-1]
            self._calls[name] += 1

    def _note_norm(self, given: Tensor, mean: Tensor) -> None:
        name = self._names.get(id(mean), "")
        self._calls[name] += 1
        if (made := self._living.get(given)) is not None:
            made.mean = name

    def pairs(self) -> Iterator[Pair]:
        """Names of filters and of the running mean of their norm."""
        for made in self._made:
            if made.mean and made.reads == self._calls[made.weight] == self._calls[made.mean] == 1:
                yield made.weight, made.mean


def _tensors(values: Any) -> Iterator[Tensor]:
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from _tensors(value)


def _can_hold(conv: nn.Module) -> bool:
    return isinstance(conv, nn.Conv1d | nn.Conv2d | nn.Conv3d) and conv.padding_mode == "zeros"


def _fold(conv: Any, norm: Any) -> None:
    with torch.no_grad():
        statistics = (norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias)
        conv.weight, conv.bias = fuse_conv_bn_weights(conv.weight, conv.bias, *statistics)
    channels_last(conv)


def _rest(norm: nn.Module) -> nn.Module:
    """What a norm does beside norming: timm's hold a rectifier."""
    return nn.Sequential(*(getattr(norm, name) for name in ("drop", "act") if hasattr(norm, name)))
