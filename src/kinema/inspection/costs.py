"""Parameters and multiply-adds of all networks, counted once and cached until the code that makes them changes.

Counting some hundred networks layer by layer takes a quarter of a minute. The table of a few kilobytes is cached
under a name made from what it depends on: the source of the networks and the versions of torch and timm.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

from kinema.errors import OutputError
from kinema.files import write_json
from kinema.inspection.summary import summarize
from kinema.machine import cache_folder
from kinema.models import build_without_weights

log = logging.getLogger("kinema")


@dataclass(frozen=True, slots=True)
class Cost:
    """Costs of a network at its own input size [c t h w]."""

    params: int
    macs: int
    input: tuple[int, ...]


def costs(names: Iterable[str]) -> dict[str, Cost]:
    """Costs of networks, with the classes of their papers; those that are not cached are counted."""
    place = cache_folder() / f"costs-{fingerprint()}.json"
    known: dict[str, Cost] = {}
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError, AttributeError):  # no table, or a damaged one
        table = json.loads(place.read_text(encoding="utf-8"))
        known = {name: Cost(row["params"], row["macs"], tuple(row["input"])) for name, row in table.items()}
    new = {name: count(name) for name in names if name not in known}
    if not new:
        return known
    known |= new
    try:
        for old in place.parent.glob("costs-*.json"):
            if old != place:
                old.unlink(missing_ok=True)
        write_json(place, {name: asdict(cost) for name, cost in known.items()})
    except (OSError, OutputError) as error:  # without a cache everything is counted again, no more
        log.info("cannot cache the costs of networks: %s", error)
    return known


def count(name: str) -> Cost:
    """Costs of one network."""
    summary = summarize(build_without_weights(name))
    return Cost(summary.params, summary.macs, tuple(summary.input))


def fingerprint() -> str:
    """A hash of the source of the networks and of the counting, and of the versions of torch and timm."""
    digest = hashlib.sha256()
    package = Path(__file__).parents[1]
    for path in sorted([*(package / "models").rglob("*.py"), *(package / "inspection").glob("*.py")]):
        digest.update(path.read_bytes())
    for name in ("torch", "timm"):
        digest.update(version(name).encode())
    return digest.hexdigest()[:16]
