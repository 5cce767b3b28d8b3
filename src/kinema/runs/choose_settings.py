"""Choose how segments are made from a classifier's scores, on labelled videos, and save that in the checkpoint's card."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kinema.choices import GroupingMeasure
from kinema.errors import CheckpointError, DataError, UsageError
from kinema.evaluation.located.measures import edit_and_f1, mean_average_precision
from kinema.files import write_json
from kinema.localization.choose import Measure, choose_grouping
from kinema.predictions import Failure
from kinema.runs.progress import SILENT
from kinema.weights.checkpoint import CARD, read_card
from kinema.weights.open import checkpoint_folder, names_published

if TYPE_CHECKING:
    from kinema.datasets.located import LocatedSet
    from kinema.inference.localizer import Localizer
    from kinema.inference.options import LocalizeOptions
    from kinema.localization.grouping import GroupingOptions
    from kinema.predictions import Timeline
    from kinema.runs.progress import Progress

log = logging.getLogger("kinema")

MEASURES: Mapping[GroupingMeasure, Measure] = {"edit-f1": edit_and_f1, "map": mean_average_precision}
"""Figures that settings can be chosen by."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """Settings, the part of the data that they were chosen on, and the videos of it that could not be read."""

    grouping: GroupingOptions
    part: str
    failures: tuple[Failure, ...]


def card_to_change(model: str) -> Path:
    """The `model.json` of a checkpoint, which can be changed.

    Raises:
        UsageError: these are published weights or an exported file, which have none.
    """
    folder = checkpoint_folder(model)
    if names_published(model) or Path(model).is_file():
        do = "train a checkpoint from it (kinema train DATA --init NAME), or give --smooth and --threshold"
        raise UsageError("chosen settings are saved in a checkpoint, and this is none", model, do)
    read_card(folder)
    return folder / CARD


def choose_settings(
    localizer: Localizer,
    data: LocatedSet,
    options: LocalizeOptions,
    measure: GroupingMeasure,
    progress: Progress = SILENT,
) -> Chosen:
    """Settings that reach the highest measure on the training part of a data set; on all of it if it has no parts.

    Args:
        localizer: with a classifier.
        data: videos with true actions.
        options: how videos are scored; `background` are classes that are never answered.
        measure: one of `MEASURES`.
        progress: counts videos.

    Raises:
        DataError: not one video can be read, a true class is none of the network's, or there is no true segment.
        UsageError: the network locates actions itself.
    """
    part = "train" if data.parts else "all"
    chosen = data.part("train") if data.parts else data
    background = options.background or ()
    unknown = [label for label, count in chosen.counts().items() if count and label not in localizer.labels]
    if unknown := [label for label in unknown if label not in background]:
        do = f"the network knows {', '.join(localizer.labels.names[:10])}"
        raise DataError(
            f"true actions of classes that the network does not have: {', '.join(unknown[:5])}", data.root, do
        )
    paths = [video.path for video in chosen.videos]
    timelines: dict[str, Timeline] = {}
    failures = []
    with progress.count("choosing settings", len(paths)) as advance:
        for outcome in localizer.timelines(paths, options):
            if isinstance(outcome, Failure):
                failures.append(outcome)
            elif outcome.timeline is not None:
                timelines[outcome.path] = outcome.timeline
            advance(1)
    if not timelines:
        raise DataError("not one video can be read", data.root, str(failures[0].error) if failures else "")
    truth = {video.path: video.segments for video in chosen.videos}
    groups = {video.path: video.group for video in chosen.videos if video.group}
    silent = background or _silent(localizer, data)
    grouping = choose_grouping(timelines, truth, MEASURES[measure], background=silent, groups=groups)
    return Chosen(grouping, part, tuple(failures))


def _silent(localizer: Localizer, data: LocatedSet) -> tuple[str, ...]:
    """The network's classes of which the data has no action, such as one for times without an action."""
    counts = data.counts()
    return tuple(label for label in localizer.labels if not counts.get(label))


def describe(grouping: GroupingOptions) -> str:
    """The settings that differ from the usual ones, and what they reach, in words."""
    lengths = {
        "smoothing": grouping.smoothing_s, "shortest segment": grouping.shortest_s, "largest gap": grouping.largest_gap_s,
    }  # fmt: skip
    parts = [grouping.method, *(f"{name} {value:.2g} s" for name, value in lengths.items() if value)]
    parts += [f"thresholds of {len(grouping.by_class)} labels"] if grouping.by_class else []
    parts += [f"least score {grouping.least_score:.2g}"] if grouping.least_score is not None else []
    parts += [f"background {', '.join(grouping.background)}"] if grouping.background else []
    return ", ".join(parts) + (f"; {grouping.origin}" if grouping.origin else "")


def save_grouping(card: Path, grouping: GroupingOptions) -> None:
    """Write the settings into `model.json`, whole or not at all; all else in it, and the weights, stay as they are.

    Raises:
        CheckpointError: the card cannot be read.
        OutputError: it cannot be written.
    """
    try:
        values = json.loads(card.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError("damaged model card", card, "restore it, or train again") from error
    changed = {**values, "grouping": json.loads(json.dumps(grouping.to_json()))}
    if changed != values:
        write_json(card, changed)
