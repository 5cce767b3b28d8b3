"""Labelled videos: listing them, splitting them, feeding them to a network, checking them.

Listing never decodes. `kinema.datasets.clips` holds what needs torch and is imported on its own.
"""

from __future__ import annotations

from kinema.datasets.dataset import DataSet
from kinema.datasets.opening import FORMATS, open_data
from kinema.datasets.splits import split_data, torn_groups

__all__ = ["FORMATS", "DataSet", "open_data", "split_data", "torn_groups"]
