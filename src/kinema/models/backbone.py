"""2-D networks of timm, and AlexNet of torchvision, as frame networks: images in, one feature vector each out.

Any classifier of timm can be used, CNN or vision transformer. Its classifier is removed; the layers before it (pooling,
a hidden layer) stay, so the features are those that its publisher trained. A transformer takes other image sizes by
resampling its position embedding.

timm is imported when a backbone is used: networks without one start faster.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from kinema.errors import CheckpointError, ConfigError, UnknownName
from kinema.models.hub_access import cached_if_silent, silence
from kinema.models.layers.parts import parts_in_order
from kinema.models.state_dict import load_backbone_weights
from kinema.types import InputSpec

log = logging.getLogger("kinema")

_ALEXNET = "alexnet"

HUB_PREFIX = "hf:"
"""Backbones whose names begin like this are encoders of the transformers library; see `hub_source`."""


def is_hub_name(name: str) -> bool:
    """Whether a backbone's name means an encoder of transformers."""
    return name.startswith(HUB_PREFIX)


def list_backbones() -> list[str]:
    """Names of all frame networks."""
    import timm

    return [_ALEXNET, *timm.list_models()]


def is_backbone(name: str) -> bool:
    """Whether there is a frame network of that name."""
    import timm

    return name == _ALEXNET or timm.is_model(name)


@dataclass(frozen=True)
class BackboneSource:
    """Which frame network, and where its weights come from.

    Args:
        name: timm's name ("resnet50", "mobilenetv2_100.ra_in1k", …), or "alexnet".
        pretrained: download its published weights.
        weights: a local file with its weights.
        args: further arguments of timm's constructor; none that make it load or download a file.
        fixed_norms: keep batch norms in evaluation mode while training; None decides by the weights: see `Backbone`.
    """

    name: str
    pretrained: bool = False
    weights: str | None = None
    args: Mapping[str, Any] = field(default_factory=dict)
    fixed_norms: bool | None = None

    def __post_init__(self) -> None:
        for key in self.args:  # they come from model.json too, and a checkpoint may come from an untrusted source
            if key.startswith("pretrained") or key in ("checkpoint_path", "cache_dir"):
                do = "leave it out; weights come with --pretrained or --backbone-weights"
                raise ConfigError("an argument of a backbone may not load files", key, do)

    def input(self, default: InputSpec) -> InputSpec:
        """`default` with the image size, and for RGB the mean and standard deviation, of the backbone's publisher.

        Raises:
            UnknownName: no such backbone.
        """
        card = self.card
        size = tuple(card["input_size"][1:])
        spec = default.with_(size=size, short_side=0, squeezed=None)
        if default.modality == "flow":
            return spec
        mean, std = ((*card[name], *getattr(default, name)[3:]) for name in ("mean", "std"))
        return spec.with_(mean=mean, std=std)

    @property
    def card(self) -> dict[str, Any]:
        """The pretrained configuration: input_size, mean, std, first_conv, classifier."""
        if self.name == _ALEXNET:
            from torchvision.models import AlexNet_Weights

            scale = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
            return {"input_size": (3, 224, 224), **scale, "url": AlexNet_Weights.DEFAULT.url}
        if not is_backbone(self.name):
            raise UnknownName("backbone", self.name, list_backbones(), do="timm.list_models() lists them all")
        import timm

        card = timm.get_pretrained_cfg(self.name)
        if card is None:
            return {"input_size": (3, 224, 224), "mean": (0.5,) * 3, "std": (0.5,) * 3}
        return card.to_dict()

    def open(self, size: tuple[int, int], num_frames: int = 1, flow: bool = False) -> Backbone:
        """Build it for images of `size`; with `num_frames` > 1 its first layer takes that many frames as channels.

        With `flow` the frames are fields of optical flow, of two channels each.

        Raises:
            UnknownName: no such backbone.
            ConfigError: timm cannot build it with these arguments or this size.
            CheckpointError: its weights cannot be downloaded, read, or do not fit.
        """
        model = self._model()
        if self.weights is not None:
            load_backbone_weights(model, self.weights, self.card.get("classifier") or "classifier")
        usual = tuple(self.card["input_size"][1:])
        if tuple(size) != usual and hasattr(model, "set_input_size"):  # a CNN takes any size as it is
            try:
                model.set_input_size(img_size=tuple(size))  # type: ignore[operator]
            except (AssertionError, ValueError, RuntimeError) as error:
                what = f"{self.name} cannot take images of this size"
                raise ConfigError(what, f"{size[0]}x{size[1]}", f"try {usual}") from error
        trained = self.pretrained or self.weights is not None
        if flow or num_frames > 1:
            _fit_first_conv(model, self.card.get("first_conv"), num_frames, flow=flow, trained=trained)
        fixed = _norms_are_folded(model) if self.fixed_norms is None and trained else bool(self.fixed_norms)
        if fixed and self.fixed_norms is None:
            log.info("%s: batch norms are folded into its weights; training leaves them as they are", self.name)
        return Backbone(self.name, model, fixed, trained)

    def _model(self) -> nn.Module:
        _ = self.card  # raises UnknownName, which timm reports like bad arguments
        try:
            return self._downloaded() if self.pretrained else self._constructed()
        except (TypeError, AssertionError) as error:
            do = "correct the backbone's arguments"
            raise ConfigError(f"timm cannot build {self.name}", str(error), do) from error
        except (OSError, RuntimeError) as error:
            if not self.pretrained:
                raise
            reason = " ".join(str(error).split())
            do = f"go online once (they are kept in {self._cache()}), or give a file of them as --backbone-weights"
            what = f"cannot download the weights of {self.name} for --pretrained ({reason})"
            raise CheckpointError(what, "", do) from error

    def _constructed(self) -> nn.Module:
        if self.name == _ALEXNET:
            from torchvision.models import alexnet

            return alexnet(weights="DEFAULT" if self.pretrained else None, **self.args)
        import timm

        return timm.create_model(self.name, pretrained=self.pretrained, **self.args)

    def _downloaded(self) -> nn.Module:
        """With its published weights.

        Raises:
            OSError: the server gives no answer, and the weights are not cached.
        """
        if self.card.get("hf_hub_id"):
            with cached_if_silent() as silent:
                try:
                    return self._constructed()
                except (OSError, RuntimeError) as error:
                    raise OSError(silent or str(error)) from error
        url = str(self.card.get("url") or "")
        is_kept = Path(self._cache(), url.rpartition("/")[2]).is_file()
        if url and not is_kept and (silent := silence(url)):
            raise OSError(silent)
        return self._constructed()

    def _cache(self) -> str:
        if self.card.get("hf_hub_id"):
            from huggingface_hub import constants

            return str(constants.HF_HUB_CACHE)
        return str(Path(torch.hub.get_dir(), "checkpoints"))


class Backbone(nn.Module):
    """A frame network: images [n c h w] to features [n f].

    Args:
        name: of the network.
        model: the network, with its classifier.
        fixed_norms: leave batch norms in evaluation mode while training. Needed if a publisher folded them into the
            convolutions (mean 0, variance 1 in all of them): statistics of a batch would then undo what the weights
            learned.
        published: keep the classifier's weights as `published_classifier`, weight and bias.
    """

    def __init__(self, name: str, model: Any, fixed_norms: bool = False, published: bool = False) -> None:
        super().__init__()
        self.name, self.fixed_norms = name, fixed_norms
        classifier = model.classifier[-1] if name == _ALEXNET else model.get_classifier()
        self.published_classifier: tuple[Tensor, Tensor] | None = None
        if published and isinstance(classifier, nn.Linear):
            bias = torch.zeros(classifier.out_features) if classifier.bias is None else classifier.bias
            self.published_classifier = classifier.weight.detach().clone(), bias.detach().clone()
        self.num_classes = int(getattr(classifier, "out_features", 1000))
        if name == _ALEXNET:
            model.classifier[-1] = nn.Identity()
            self.feature_dim = 4096
        else:
            model.reset_classifier(0)
            self.feature_dim = int(getattr(model, "head_hidden_size", None) or model.num_features)
        self.model: nn.Module = model

    def forward(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n f"]:
        """Features of each image."""
        return self.model(images)

    def stages(self) -> list[tuple[str, nn.Module]]:
        """Its parts from input to output: stem, blocks, layers before the classifier."""
        return parts_in_order(self.model)

    def train(self, mode: bool = True) -> Backbone:
        """Switch between training and evaluation; fixed norms stay in evaluation mode."""
        super().train(mode)
        if self.fixed_norms:
            for module in self.modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm):
                    module.eval()
        return self


def _norms_are_folded(model: nn.Module) -> bool:
    """Whether all batch norms have mean 0 and variance 1: their scale went into the convolutions before them."""
    statistics = dict(model.named_buffers())
    means = [value for name, value in statistics.items() if name.endswith("running_mean")]
    variances = [value for name, value in statistics.items() if name.endswith("running_var")]
    return bool(means) and all(not bool(mean.any()) for mean in means) and all(bool((v == 1).all()) for v in variances)


def _fit_first_conv(model: nn.Module, name: object, num_frames: int, *, flow: bool, trained: bool) -> None:
    """Let the first convolution take `num_frames` frames, or fields of flow, as channels.

    Trained RGB filters are repeated over time and divided by the number of frames: a clip without motion then gives
    what a single frame gave (as Carreira and Zisserman 2017 do to inflate to 3-D). For flow each becomes its mean over
    the colours, once a channel: the cross-modality initialisation of Wang et al. (2016, "Temporal Segment Networks").
    """
    layers = dict(model.named_modules())
    conv = layers.get(name) if isinstance(name, str) else None
    conv = conv or next((layer for layer in layers.values() if isinstance(layer, nn.Conv2d)), None)
    if not isinstance(conv, nn.Conv2d) or conv.groups != 1:
        do = "take late fusion, or another backbone"
        raise ConfigError("this backbone does not begin with a convolution", type(model).__name__, do)
    filters: Float[Tensor, "o i y x"] = conv.weight.detach()
    if flow:
        filters = filters.mean(dim=1, keepdim=True).repeat(1, 2 * num_frames, 1, 1)
    else:
        filters = filters.repeat(1, num_frames, 1, 1) / num_frames
    if not trained:
        filters = nn.init.kaiming_normal_(torch.empty_like(filters), mode="fan_in", nonlinearity="relu")
    conv.in_channels = filters.shape[1]
    conv.weight = nn.Parameter(filters)
    if hasattr(model, "in_chans"):
        setattr(model, "in_chans", conv.in_channels)  # noqa: B010  # mypy knows no such attribute
