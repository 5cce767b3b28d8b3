from __future__ import annotations

from pathlib import Path

from kinema.choices import DATA_FORMATS
from kinema.datasets.dataset import DataSet
from kinema.datasets.format import Format, ListOptions
from kinema.datasets.opening import open_data


def test_a_format_recognises_nothing_unless_it_says_what() -> None:
    plain = Format(list_data=lambda path, options: DataSet(path, path, (), options.labels))
    assert not plain.detect("anything")
    assert not plain.fallback("anything")
    assert not plain.has_columns


def test_options_ask_for_nothing_by_default() -> None:
    assert ListOptions() == ListOptions(labels=None, group_by=(), fold=1)


def test_every_format_can_be_named(motion_folder: Path) -> None:
    assert set(DATA_FORMATS) >= {"auto", "folder", "stills", "manifest", "ucf101", "hmdb51", "kinetics", "sports1m"}
    assert len(open_data(motion_folder, format="folder")) == len(open_data(motion_folder))
