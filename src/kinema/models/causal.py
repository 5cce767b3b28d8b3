"""causal: to be written."""

from __future__ import annotations

from kinema.models.variant import Variant

VARIANTS: dict[str, Variant] = {}
