"""What a module in `datasets/formats` defines: an object `FORMAT` that recognises one layout of a data set and lists it.

The name of the module is the name of the format. Nothing else has to be changed to add one: `open_data`, the command line and
its help find the module by its file.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from kinema.datasets.dataset import DataSet
from kinema.errors import DataError
from kinema.labels import Labels


@dataclass(frozen=True, slots=True, kw_only=True)
class ListOptions:
    """What a user can request when a data set is listed.

    Args:
        labels: classes that the data set must fit, such as those of a trained network; None takes its own.
        group_by: columns whose values, joined by "/", name the group of an example.
        fold: number of the official fold, from 1; only for formats that have folds.
        tiers: the tiers of an ELAN file that hold actions; empty takes all that have times of their own.
        faults: rows that cannot be used are left out and added here; None raises at the first.
    """

    labels: Labels | None = None
    group_by: tuple[str, ...] = ()
    fold: int = 1
    tiers: tuple[str, ...] = ()
    faults: list[DataError] | None = None

    def report(self, fault: DataError) -> None:
        """Raise the fault of a row, or add it to `faults`."""
        if self.faults is None:
            raise fault
        self.faults.append(fault)


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """One layout of a data set.

    Args:
        list_data: lists the data set at a path. Raises a `DataError` that says what is missing.
        detect: whether a path certainly has this layout, such as a folder with the lists of a published data set.
        fallback: whether a path may have this layout. Consulted only if no format detects the path.
        priority: formats are consulted in ascending order; the first that answers wins.
        has_columns: whether `ListOptions.group_by` can name columns.
    """

    list_data: Callable[[str, ListOptions], DataSet]
    detect: Callable[[str], bool] = lambda path: False
    fallback: Callable[[str], bool] = lambda path: False
    priority: int = 100
    has_columns: bool = False
