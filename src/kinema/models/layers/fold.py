"""2-D networks with layers over time: frames are entries of the batch, and some layers unfold them to clips.

A 2-D network runs on frames [(b t) c h w], so that its batch norms, squeeze-excitation, layer norms and activations
stay as they are. An `Unfolded` layer gets its input as clips [b c t h w]. The network and its layers share a `Fold`,
which stores the number of clips of the current input: it says which frames belong together, also after a layer has
changed the number of frames.

Frames are channels last in memory, so that unfolding and folding move no data.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from kinema.models.backbone import Backbone, BackboneSource
from kinema.models.layers.grey_time import colours_of
from kinema.models.network import Network, fastest_layout
from kinema.types import InputSpec

_FIRST = ("conv1", "conv_pw", "conv_exp", "conv_dw", "dw_start", "pw_exp")
"""timm's names of a block's first convolution."""


class Fold:
    """Between clips [b c t h w] and frames in the batch [(b t) c h w]."""

    def __init__(self) -> None:
        self.num_clips = 1

    def frames(self, clip: Float[Tensor, "b c t h w"]) -> Float[Tensor, "n c h w"]:
        """The frames of new clips; stores the number of clips."""
        self.num_clips = clip.shape[0]
        return self.fold(fastest_layout(clip))

    def unfold(self, frames: Float[Tensor, "n c h w"]) -> Float[Tensor, "b c t h w"]:
        """Frames as clips again."""
        return torch.unflatten(frames, 0, (self.num_clips, -1)).transpose(1, 2)

    def fold(self, clip: Float[Tensor, "b c t h w"]) -> Float[Tensor, "n c h w"]:
        """Clips as frames in the batch."""
        return clip.transpose(1, 2).flatten(0, 1)


class Unfolded(nn.Module):
    """A layer of clips in a network of frames.

    Args:
        fold: shared with the network.
        layer: from [b c t h w] to [b d s y x].
    """

    def __init__(self, fold: Fold, layer: nn.Module) -> None:
        super().__init__()
        self.fold = fold
        self.layer = layer

    def forward(self, frames: Float[Tensor, "n c h w"]) -> Float[Tensor, "m d y x"]:
        """The output of the layer, as frames."""
        return self.fold.fold(self.layer(self.fold.unfold(frames)))


class FoldedNetwork(Network):
    """A 2-D backbone on the frames of a clip, its features averaged over time; without unfolded layers it is TSN.

    Because the classifier is linear, the mean of the features gives the mean of the frames' logits.

    Args:
        spec: the input.
        num_classes: length of the logits; None keeps the backbone's classes and, where published, its classifier.
        backbone: the 2-D network.
        dropout: before the classifier.
        grey_time: turn every three frames into the colours of one; see `GreyTime`.
    """

    def __init__(
        self,
        spec: InputSpec,
        num_classes: int | None,
        backbone: BackboneSource,
        dropout: float = 0.0,
        grey_time: bool = False,
    ) -> None:
        frames = backbone.open(spec.size)
        super().__init__(spec, frames.feature_dim, num_classes or frames.num_classes, dropout)
        self.colours = colours_of(spec, grey_time)
        self.backbone: Backbone = frames
        self.fold = Fold()
        if num_classes is None and frames.published_classifier is not None:
            self.adopt_classifier(*frames.published_classifier)

    def frame_features(self, clip: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b s f"]:
        """The backbone's features of each frame, or of each time step that remains at its end."""
        return torch.unflatten(self.backbone.model(self.fold.frames(self.colours(clip))), 0, (clip.shape[0], -1))

    def features(self, clip: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b f"]:
        """Their mean over time."""
        return self.frame_features(clip).mean(dim=1)

    def stages(self) -> list[tuple[str, nn.Module]]:
        """Those of the backbone."""
        return self.backbone.stages()


def block_convs(network: nn.Module, residual_only: bool = False) -> list[str]:
    """Names of the first convolution of each block, in order: the start of the residual branch.

    Blocks are recognised by the names of their layers, which timm's residual networks share: ResNet and variants (SE,
    ResNeXt, RegNet, Res2Net, NFNet), MobileNet, EfficientNet, ConvNeXt and others, and DenseNet's layers.

    Args:
        network: one of timm.
        residual_only: leave out blocks that are known to have no shortcut (in MobileNet, those that change size).
    """
    found = []
    for path, block in network.named_modules():
        if not path or "stem" in path or isinstance(block, nn.Sequential):
            continue
        layers = [n for n, child in block.named_children() if _convs(child) or isinstance(child, nn.Linear)]
        is_block = any(n in _FIRST for n in layers) and (len(layers) > 1 or hasattr(block, "mlp"))
        if not is_block:
            continue
        if not residual_only or getattr(block, "has_skip", True):
            name, first = next((n, child) for n, child in block.named_children() if n in _FIRST and _convs(child))
            found.append(f"{path}.{name}.{_convs(first)[0]}".rstrip("."))
    return found


def _convs(module: nn.Module) -> Sequence[str]:
    return [name for name, layer in module.named_modules() if isinstance(layer, nn.Conv2d)]
