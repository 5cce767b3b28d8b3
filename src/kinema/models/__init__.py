"""Networks by name: `build` makes any of them, `VARIANTS` lists them; each family has a module of its own."""

from kinema.models.backbone import BackboneSource, is_backbone
from kinema.models.network import Network
from kinema.models.registry import VARIANTS, build, build_arguments, build_without_weights, is_network
from kinema.models.variant import Variant, Weights

__all__ = [
    "VARIANTS",
    "BackboneSource",
    "Network",
    "Variant",
    "Weights",
    "build",
    "build_arguments",
    "build_without_weights",
    "is_backbone",
    "is_network",
]
