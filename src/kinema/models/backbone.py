"""2-D networks of timm, and AlexNet of torchvision, as frame networks: images in, one feature vector each out.

Any classifier of timm will do, CNN or vision transformer. Its classifier goes; what stands before it (pooling, a
hidden layer) stays, so the features are those that its publisher trained. A transformer takes other picture sizes by
resampling its position embedding.

timm is imported when a backbone is asked for: networks with trunks of their own start without it.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from kinema.errors import CheckpointError, ConfigError, UnknownName
from kinema.models.layers.parts import parts_in_order
from kinema.models.state_dict import load_backbone_weights
from kinema.types import InputSpec

log = logging.getLogger("kinema")

_ALEXNET = "alexnet"


def list_backbones() -> list[str]:
    """Names of all frame networks."""
    import timm

    return [_ALEXNET, *timm.list_models()]


def is_backbone(name: str) -> bool:
    """Whether a frame network of that name can be had."""
    import timm

    return name == _ALEXNET or timm.is_model(name)


@dataclass(frozen=True)
class BackboneSource:
    """Which frame network, and where its weights come from.

    Args:
        name: timm's name ("resnet50", "mobilenetv2_100.ra_in1k", …), or "alexnet".
        pretrained: fetch its published weights.
        weights: a local file with its weights.
        args: further arguments of timm's constructor; none that make it load or fetch a file.
        fixed_norms: keep batch norms as they are while training; None decides by the weights: see `Backbone`.
    """

    name: str
    pretrained: bool = False
    weights: str | None = None
    args: Mapping[str, Any] = field(default_factory=dict)
    fixed_norms: bool | None = None

    def __post_init__(self) -> None:
        for key in self.args:  # they come from model.json too, and a checkpoint may come from anybody
            if key.startswith("pretrained") or key in ("checkpoint_path", "cache_dir"):
                do = "leave it out; weights come with --pretrained or --backbone-weights"
                raise ConfigError("an argument of a backbone may not load files", key, do)

    def input(self, default: InputSpec) -> InputSpec:
        """`default` with the picture size, and for RGB the mean and deviation, that the backbone's publisher used.

        Raises:
            UnknownName: no such backbone.
        """
        card = self.card
        size = tuple(card["input_size"][1:])
        fed = default.with_(size=size, short_side=0, squeezed=None)
        if default.modality == "flow":
            return fed
        mean, std = ((*card[name], *getattr(default, name)[3:]) for name in ("mean", "std"))
        return fed.with_(mean=mean, std=std)

    @property
    def card(self) -> dict[str, Any]:
        """The pretrained configuration: input_size, mean, std, first_conv, classifier."""
        if self.name == _ALEXNET:
            return {"input_size": (3, 224, 224), "mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
        if not is_backbone(self.name):
            raise UnknownName("backbone", self.name, list_backbones(), do="timm.list_models() lists them all")
        import timm

        card = timm.get_pretrained_cfg(self.name)
        if card is None:
            return {"input_size": (3, 224, 224), "mean": (0.5,) * 3, "std": (0.5,) * 3}
        return card.to_dict()

    def open(self, size: tuple[int, int], num_frames: int = 1, flow: bool = False) -> Backbone:
        """Build it for pictures of `size`; with `num_frames` > 1 its first layer takes that many frames as channels.

        With `flow` they are fields of optical flow, of two channels each.

        Raises:
            UnknownName: no such backbone.
            ConfigError: timm cannot build it with these arguments or this size.
            CheckpointError: its weights cannot be fetched, read, or do not fit.
        """
        model = self._model()
        if self.weights is not None:
            load_backbone_weights(model, self.weights, self.card.get("classifier") or "classifier")
        _set_size(model, self.name, size, tuple(self.card["input_size"][1:]))
        ready = self.pretrained or self.weights is not None
        if flow:
            _see_flow(model, self.card.get("first_conv"), 2 * num_frames, keep=ready)
        elif num_frames > 1:
            _widen(model, self.card.get("first_conv"), num_frames, keep=ready)
        fixed = _folded(model) if self.fixed_norms is None and ready else bool(self.fixed_norms)
        if fixed and self.fixed_norms is None:
            log.info("%s: batch norms are folded into its weights; they stay as they are while training", self.name)
        return Backbone(self.name, model, fixed, ready)

    def _model(self) -> nn.Module:
        _ = self.card  # an unknown name is told apart from bad arguments
        try:
            if self.name == _ALEXNET:
                from torchvision.models import alexnet

                return alexnet(weights="DEFAULT" if self.pretrained else None, **self.args)
            import timm

            return timm.create_model(self.name, pretrained=self.pretrained, **self.args)
        except (TypeError, AssertionError) as error:
            raise ConfigError(
                f"timm cannot build {self.name}", str(error), "correct the backbone's arguments"
            ) from error
        except (OSError, RuntimeError) as error:
            do = "go online, or download its weights and give the file as backbone weights"
            raise CheckpointError(f"cannot fetch the weights of {self.name}", type(error).__name__, do) from error


class Backbone(nn.Module):
    """A frame network: pictures [n c h w] to features [n f].

    Args:
        name: what it is called.
        model: the network with its classifier still on.
        fixed_norms: leave batch norms in evaluation mode while training. Needed where a publisher folded them into
            the convolutions (mean 0, variance 1 in all of them): statistics of a batch would then undo what the
            weights learned.
        published: the classifier comes from a publisher and is worth keeping.
    """

    def __init__(self, name: str, model: Any, fixed_norms: bool = False, published: bool = False) -> None:
        super().__init__()
        self.name, self.fixed_norms = name, fixed_norms
        classifier = model.classifier[-1] if name == _ALEXNET else model.get_classifier()
        self.published_classifier = _weight_and_bias(classifier) if published else None
        self.num_classes = int(getattr(classifier, "out_features", 1000))
        if name == _ALEXNET:
            model.classifier[-1] = nn.Identity()
            self.feature_dim = 4096
        else:
            model.reset_classifier(0)
            self.feature_dim = int(getattr(model, "head_hidden_size", None) or model.num_features)
        self.model: nn.Module = model

    def forward(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n f"]:
        """What the network knows of each picture."""
        return self.model(images)

    def stages(self) -> list[tuple[str, nn.Module]]:
        """Its parts from input to output: stem, blocks, what stands before the classifier."""
        return parts_in_order(self.model)

    def train(self, mode: bool = True) -> Backbone:
        """Switch between training and evaluation; fixed norms stay in evaluation."""
        super().train(mode)
        if self.fixed_norms:
            for module in self.modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm):
                    module.eval()
        return self


def _weight_and_bias(classifier: nn.Module) -> tuple[Tensor, Tensor] | None:
    if not isinstance(classifier, nn.Linear):
        return None
    bias = classifier.bias if classifier.bias is not None else torch.zeros(classifier.out_features)
    return classifier.weight.detach().clone(), bias.detach().clone()


def _folded(model: nn.Module) -> bool:
    """Whether the file's batch norms do nothing but add: their scale went into the convolutions before them."""
    statistics = dict(model.named_buffers())
    means = [value for name, value in statistics.items() if name.endswith("running_mean")]
    variances = [value for name, value in statistics.items() if name.endswith("running_var")]
    return bool(means) and all(not bool(mean.any()) for mean in means) and all(bool((v == 1).all()) for v in variances)


def _set_size(model: nn.Module, name: str, size: tuple[int, int], usual: tuple[int, ...]) -> None:
    if tuple(size) == usual or not hasattr(model, "set_input_size"):
        return  # a CNN takes any size as it is
    try:
        model.set_input_size(img_size=tuple(size))  # type: ignore[operator]
    except (AssertionError, ValueError, RuntimeError) as error:
        raise ConfigError(f"{name} cannot see pictures of this size", f"{size[0]}x{size[1]}", f"try {usual}") from error


def _widen(model: nn.Module, first_conv: Any, num_frames: int, keep: bool) -> None:
    """Let the first convolution take `num_frames` frames as channels.

    Published filters are repeated over time and divided by the number of frames: a clip that stands still then gives
    what a single frame gave (as Carreira and Zisserman 2017 do to inflate to 3-D).
    """
    conv = _first_conv(model, first_conv)
    _set_filters(model, conv, conv.weight.detach().repeat(1, num_frames, 1, 1) / num_frames, keep)


def _see_flow(model: nn.Module, first_conv: Any, channels: int, keep: bool) -> None:
    """Let the first convolution take flow: each published filter becomes its mean over the colours, once a channel.

    That is the cross-modality initialisation of Wang et al. (2016, "Temporal Segment Networks").
    """
    conv = _first_conv(model, first_conv)
    _set_filters(model, conv, conv.weight.detach().mean(dim=1, keepdim=True).repeat(1, channels, 1, 1), keep)


def _set_filters(model: nn.Module, conv: nn.Conv2d, filters: Float[Tensor, "o i y x"], keep: bool) -> None:
    """Give a convolution filters for another number of channels; fresh ones unless they are worth keeping."""
    conv.in_channels = filters.shape[1]
    if not keep:
        filters = nn.init.kaiming_normal_(torch.empty_like(filters), mode="fan_in", nonlinearity="relu")
    conv.weight = nn.Parameter(filters)
    if hasattr(model, "in_chans"):
        setattr(model, "in_chans", conv.in_channels)  # noqa: B010


def _first_conv(model: nn.Module, name: Any) -> nn.Conv2d:
    layers = dict(model.named_modules())
    found = layers.get(name) if isinstance(name, str) else None
    found = found or next((layer for layer in layers.values() if isinstance(layer, nn.Conv2d)), None)
    if not isinstance(found, nn.Conv2d) or found.groups != 1:
        raise ConfigError(
            "this backbone does not begin with a convolution",
            type(model).__name__,
            "take late fusion, or another backbone",
        )
    return found
