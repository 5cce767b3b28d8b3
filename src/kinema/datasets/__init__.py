"""Labelled videos: listing them, splitting them, feeding them to a network, checking them.

Listing never decodes. `kinema.datasets.clips` needs torch and is imported separately.
"""

from __future__ import annotations

from kinema.datasets.dataset import DataSet
from kinema.datasets.opening import open_data
from kinema.datasets.splits import split_data, torn_groups

__all__ = ["DataSet", "open_data", "split_data", "torn_groups"]
