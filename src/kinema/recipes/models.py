"""`kinema models`: which networks there are, what they cost and where they come from."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class ModelsConfig:
    """Settings of the list."""

    json: bool = False
    """Print one JSON document instead of a table."""


def models(config: ModelsConfig = ModelsConfig()) -> int:
    """List the networks by name: parameters, multiply-adds a clip, input, published weights, paper.

    Those marked "any backbone" take a network of timm for their frames, as `--backbone NAME`.

    Examples:
        kinema models
    """
    rows = [_row(name) for name in _names()]
    if config.json:
        print(
            json.dumps(
                [{key: row[key] for key in ("name", "params", "macs", "input", "weights", "paper")} for row in rows]
            )
        )
    else:
        _print_table(rows)
    return 0


def _names() -> list[str]:
    from kinema.models import VARIANTS

    return list(VARIANTS)


def _row(name: str) -> dict[str, Any]:
    from kinema.models import VARIANTS, build_without_weights
    from kinema.models.summary import summarize

    variant = VARIANTS[name]
    summary = summarize(build_without_weights(name))
    return {
        "name": name,
        "params": summary.params,
        "macs": summary.macs,
        "input": list(summary.input),
        "weights": [],
        "paper": variant.paper,
        "note": ", ".join(filter(None, (variant.note, "any backbone" if variant.on_backbone else ""))),
    }


def _print_table(rows: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    table.add_column("network", no_wrap=True)
    for heading in ("c x t x h x w", "M params", "GMACs"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("note")
    for row in rows:
        size = "x".join(map(str, row["input"]))
        table.add_row(row["name"], size, f"{row['params'] / 1e6:.3f}", f"{row['macs'] / 1e9:.3f}", row["note"])
    console = Console() if sys.stdout.isatty() else Console(width=160)  # in a pipe, a line a row
    console.print(table)
    console.print()
    for paper in dict.fromkeys(row["paper"] for row in rows):
        console.print(f"- {paper}", highlight=False, soft_wrap=True)
