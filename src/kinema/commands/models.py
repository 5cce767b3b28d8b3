"""`kinema models`: which networks there are, what they cost, and which published weights they can start from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kinema.console.tables import Column, plain_console, print_list

if TYPE_CHECKING:
    from kinema.models.variant import Variant, Weights


@dataclass(frozen=True, kw_only=True)
class ModelsConfig:
    """Settings of the list."""

    weights: bool = False
    """List published weights instead of networks: classes, accuracy, licence, and whether they are here already."""
    json: bool = False
    """Print one JSON document instead of a table."""


def models(config: ModelsConfig = ModelsConfig()) -> int:
    """List the networks by name: parameters, multiply-adds a clip, input, published weights, paper.

    Those marked "any backbone" take a network of timm for their frames, as `--backbone NAME`. Names of published weights
    stand wherever a trained network can: `kinema predict`, `watch`, `evaluate`, and `kinema train --init`.

    Examples:
        kinema models

        kinema models --weights

        kinema predict match.mp4 --model r2plus1d_18
    """
    rows = _weights_rows() if config.weights else _network_rows()
    if config.json:
        print(json.dumps([{name: value for name, value in row.items() if name != "note"} for row in rows]))
    elif config.weights:
        _print_weights(rows)
    else:
        _print_networks(rows)
    return 0


def _network_rows() -> list[dict[str, Any]]:
    from kinema.inspection.costs import costs
    from kinema.models import VARIANTS
    from kinema.weights.published import PUBLISHED

    found = costs(VARIANTS)
    return [
        {
            "name": name,
            "params": found[name].params,
            "macs": found[name].macs,
            "input": list(found[name].input),
            "weights": [weights.name for weights in PUBLISHED if weights.variant == name],
            "paper": variant.paper,
            "note": _note(variant),
        }
        for name, variant in VARIANTS.items()
    ]


def _note(variant: Variant) -> str:
    """Its own, and that it takes any backbone where it does not say so itself."""
    says_so = not variant.on_backbone or "backbone" in variant.note
    return variant.note if says_so else ", ".join(filter(None, (variant.note, "any backbone")))


def _weights_rows() -> list[dict[str, Any]]:
    from kinema.weights.published import PUBLISHED

    return [_weights_row(weights) for weights in PUBLISHED]


def _weights_row(weights: Weights) -> dict[str, Any]:
    from kinema.weights.published import weights_path

    return {
        "name": weights.name,
        "network": weights.variant,
        "labels": weights.labels,
        "metrics": dict(weights.metrics),
        "licence": weights.licence,
        "checksum": checksum_of(weights),
        "cached": weights_path(weights).is_file(),
        "url": weights.url,
        "source": weights.source,
    }


def checksum_of(weights: Weights) -> str:
    """Which checksum a download is held to: the publisher's, or that of the first download."""
    if weights.sha256:
        return f"sha256 {weights.sha256}"
    return f"git {weights.git_blob[:8]}" if weights.git_blob else "none published"


def _print_networks(rows: list[dict[str, Any]]) -> None:
    columns = (
        Column("network", 0),
        Column("c x t x h x w", 4, "right"),
        Column("M params", 1, "right"),
        Column("GMACs", 2, "right"),
        Column("note", 3, least=30),
        Column("published weights (hit@1)", 5),
    )
    print_list(columns, [_network_cells(row) for row in rows])
    for paper in dict.fromkeys(row["paper"] for row in rows):
        _say(f"- {paper}")


def _network_cells(row: dict[str, Any]) -> list[str]:
    size = "x".join(map(str, row["input"]))
    counts = (f"{row['params'] / 1e6:.3f}", f"{row['macs'] / 1e9:.3f}")
    return [row["name"], size, *counts, row["note"], ", ".join(map(_with_hit_at_1, row["weights"]))]


def _print_weights(rows: list[dict[str, Any]]) -> None:
    columns = (
        Column("weights", 0),
        Column("network", 3),
        Column("classes", 4),
        Column("hit@1", 1, "right"),
        Column("measured with", 6),
        Column("licence", 5),
        Column("checksum", 7),
        Column("here", 2),
    )
    print_list(columns, [_weights_cells(row) for row in rows])
    _say("Figures are the publishers'. Where they publish no checksum, downloads are held to the first one.")
    for source in dict.fromkeys(row["source"] for row in rows):
        _say(f"- {source}")


def _weights_cells(row: dict[str, Any]) -> list[str]:
    hit, views = _hit_at_1(row["metrics"])
    here = "yes" if row["cached"] else ""
    return [row["name"], row["network"], row["labels"], hit, views, row["licence"], row["checksum"], here]


def _with_hit_at_1(name: str) -> str:
    from kinema.weights.published import find_published

    return f"{name} {_hit_at_1(find_published(name).metrics)[0]}"


def _hit_at_1(metrics: Mapping[str, float]) -> tuple[str, str]:
    """The share as text, and how it was measured."""
    name, value = next(((name, value) for name, value in metrics.items() if "hit@1" in name), ("", None))
    return ("" if value is None else f"{value:.1%}"), name.partition(", ")[2]


def _say(text: str) -> None:
    plain_console().print(text, soft_wrap=True)
