"""`kinema reel`: join labelled clips into long videos with exact truth."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kinema.console.progress import TerminalProgress
from kinema.console.tables import plain_console
from kinema.runs.options import DataOptions, ReelOptions

if TYPE_CHECKING:
    from kinema.runs.reel import ReelResult


@dataclass(frozen=True, kw_only=True)
class ReelConfig(ReelOptions, DataOptions):
    """Which clips are joined, how, and where the reels go."""

    out: str
    """Folder for the reels and their truth; a new one."""
    json: bool = False
    """Print one JSON document on standard output and nothing else there."""


def reel(clips: str, config: ReelConfig) -> int:
    """Join labelled clips into long videos whose actions have exact times.

    The result is a data set for `train --task frame`, `train --task segments` and `evaluate`: videos, `manifest.csv` and
    `activitynet.json` with the actions, and `clips.csv` with each clip and the dissolve before it. Clips of different parts
    never meet in a reel, and a group stays in its part. The border of a dissolve is its middle.

    Examples:
        kinema reel hockey --background no_fight --out reels
        kinema reel gestures --split blocks --dissolve 0 10 --trim 0.7 --out reels --json

    Args:
        clips: a data set of clips with one label or several: a folder of class folders, a manifest, or a list file.
    """
    import sys

    from kinema.runs.reel import write_reels

    result = write_reels(config.open(clips), config.out, config, TerminalProgress())
    if config.json:
        sys.stdout.write(json.dumps(result.to_json(), indent=2, ensure_ascii=False) + "\n")
    else:
        _print(result)
    return 0


def _print(result: ReelResult) -> None:
    found, console = result.to_json(), plain_console()
    parts = ", ".join(f"{part} {len(result.located.part(part))}" for part in result.located.parts)
    height, width = result.size
    rate = f"{width}x{height}, {result.fps:g} frames a second"
    console.print(f"{len(result.located)} videos ({parts}) of {result.num_clips} clips, {rate}", soft_wrap=True)
    actions = ", ".join(f"{label} {count}" for label, count in result.located.counts().items())
    console.print(f"actions: {actions}; videos without any: {found['videos_without_actions']}", soft_wrap=True)
    console.print(f"{result.folder}/manifest.csv", soft_wrap=True)
