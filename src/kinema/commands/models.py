"""`kinema models`: the networks, their costs, and the published weights that they can start from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from kinema.console.tables import Column, plain_console, print_list

if TYPE_CHECKING:
    from kinema.models.variant import Weights


@dataclass(frozen=True, kw_only=True)
class ModelsConfig:
    """Settings of the list."""

    weights: bool = False
    """List published weights instead of networks: classes, accuracy, licence, and whether they are downloaded already."""
    json: bool = False
    """Print one JSON document instead of a table."""


@dataclass(frozen=True)
class NetworkRow:
    """A network in the list; `input` is [c t h w]."""

    name: str
    params: int
    macs: int
    input: tuple[int, ...]
    weights: tuple[str, ...]
    paper: str
    note: str

    def cells(self) -> list[str]:
        """The cells of its line in the table."""
        from kinema.weights.published import find_published

        counts = (f"{self.params / 1e6:.3f}", f"{self.macs / 1e9:.3f}")
        weights = ", ".join(f"{name} {_hit_at_1(find_published(name).metrics)[0]}" for name in self.weights)
        return [self.name, "x".join(map(str, self.input)), *counts, self.note, weights]


@dataclass(frozen=True)
class WeightsRow:
    """Published weights in the list; `metrics` are the publisher's figures."""

    name: str
    network: str
    labels: str
    metrics: Mapping[str, float]
    licence: str
    checksum: str
    cached: bool
    url: str
    source: str

    def cells(self) -> list[str]:
        """The cells of their line in the table."""
        here = "yes" if self.cached else ""
        return [self.name, self.network, self.labels, *_hit_at_1(self.metrics), self.licence, self.checksum, here]


NETWORK_COLUMNS = (
    Column("network", 0),
    Column("c x t x h x w", 4, "right"),
    Column("M params", 1, "right"),
    Column("GMACs", 2, "right"),
    Column("note", 3, least=30),
    Column("published weights (hit@1)", 5),
)
WEIGHTS_COLUMNS = (
    Column("weights", 0),
    Column("network", 3),
    Column("classes", 4),
    Column("hit@1", 1, "right"),
    Column("measured with", 6),
    Column("licence", 5),
    Column("checksum", 7),
    Column("here", 2),
)


def models(config: ModelsConfig = ModelsConfig()) -> int:
    """List the networks by name: parameters, multiply-adds a clip, input, published weights, paper.

    Networks marked "any backbone" take a timm network for their frames, as `--backbone NAME`. The names of published weights
    can be given in place of a trained network: `kinema predict`, `watch`, `evaluate`, and `kinema train --init`.

    Examples:
        kinema models

        kinema models --weights

        kinema predict match.mp4 --model r2plus1d_18
    """
    console = plain_console()
    if config.weights:
        weights = weights_rows()
        if config.json:
            print(json.dumps([asdict(row) for row in weights]))
            return 0
        print_list(WEIGHTS_COLUMNS, [row.cells() for row in weights])
        note = "Figures are the publishers'. If there is no published checksum, downloads must match the first one."
        console.print(note, soft_wrap=True)
        remarks = dict.fromkeys(row.source for row in weights)
    else:
        networks = network_rows()
        if config.json:
            rows = [{name: value for name, value in asdict(row).items() if name != "note"} for row in networks]
            print(json.dumps(rows))
            return 0
        print_list(NETWORK_COLUMNS, [row.cells() for row in networks])
        remarks = dict.fromkeys(row.paper for row in networks)
    for remark in remarks:
        console.print(f"- {remark}", soft_wrap=True)
    return 0


def network_rows() -> list[NetworkRow]:
    """All networks with their costs."""
    from kinema.inspection.costs import costs
    from kinema.models import VARIANTS
    from kinema.weights.published import PUBLISHED

    found, rows = costs(VARIANTS), []
    for name, variant in VARIANTS.items():
        note = variant.note
        if variant.on_backbone and "backbone" not in note:
            note = ", ".join(filter(None, (note, "any backbone")))
        weights = tuple(weights.name for weights in PUBLISHED if weights.variant == name)
        cost = found[name]
        rows.append(NetworkRow(name, cost.params, cost.macs, tuple(cost.input), weights, variant.paper, note))
    return rows


def weights_rows() -> list[WeightsRow]:
    """All published weights."""
    from kinema.weights.published import PUBLISHED, weights_path

    return [
        WeightsRow(
            weights.name, weights.variant, weights.labels, dict(weights.metrics), weights.licence, checksum_of(weights),
            weights_path(weights).is_file(), weights.url, weights.source,
        )
        for weights in PUBLISHED
    ]  # fmt: skip


def checksum_of(weights: Weights) -> str:
    """The checksum that downloads must match: the publisher's, or that of the first download."""
    if weights.sha256:
        return f"sha256 {weights.sha256}"
    return f"git {weights.git_blob[:8]}" if weights.git_blob else "none published"


def _hit_at_1(metrics: Mapping[str, float]) -> tuple[str, str]:
    """Hit@1 as text, and the views that it was measured with."""
    name, value = next(((name, value) for name, value in metrics.items() if "hit@1" in name), ("", None))
    return ("" if value is None else f"{value:.1%}"), name.partition(", ")[2]
