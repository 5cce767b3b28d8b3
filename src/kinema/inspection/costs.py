"""Parameters and multiply-adds of all networks, counted once and kept until the code that makes them changes.

Counting some hundred networks layer by layer takes a quarter of a minute; the table is a few kilobytes in the cache
folder, under a name made of what it depends on: the source of the networks and the versions of what they are built of.
"""

from __future__ import annotations

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
    """What a network costs at its own input size [c t h w]."""

    params: int
    macs: int
    input: tuple[int, ...]


def costs(names: Iterable[str]) -> dict[str, Cost]:
    """What networks cost, with the classes of their papers; those that are not known yet are counted."""
    place = cache_folder() / f"costs-{_fingerprint()}.json"
    known = _read(place)
    new = {name: count(name) for name in names if name not in known}
    if new:
        _keep(place, known | new)
    return known | new


def count(name: str) -> Cost:
    """What one network costs."""
    summary = summarize(build_without_weights(name))
    return Cost(summary.params, summary.macs, tuple(summary.input))


def _read(place: Path) -> dict[str, Cost]:
    try:
        table = json.loads(place.read_text(encoding="utf-8"))
        return {name: Cost(row["params"], row["macs"], tuple(row["input"])) for name, row in table.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _keep(place: Path, counted: dict[str, Cost]) -> None:
    try:
        for old in place.parent.glob("costs-*.json"):
            if old != place:
                old.unlink(missing_ok=True)
        write_json(place, {name: asdict(cost) for name, cost in counted.items()})
    except (OSError, OutputError) as error:  # a cache that cannot be written costs time, nothing else
        log.info("the counts are not kept: %s", error)


def _fingerprint() -> str:
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    for package in ("torch", "timm"):
        digest.update(version(package).encode())
    return digest.hexdigest()[:16]
