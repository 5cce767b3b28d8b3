from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import pytest

from kinema.datasets import open_data
from kinema.datasets.lists import find_listed
from kinema.errors import DataError
from kinema.labels import Labels


def test_files_are_listed_in_natural_order(touch):
    data = open_data(touch("a/clip10.mp4", "a/clip9.mp4", "b/x.mp4"))
    assert [Path(example.path).name for example in data.examples] == ["clip9.mp4", "clip10.mp4", "x.mp4"]


def test_hidden_files_are_left_out(touch):
    data = open_data(touch("a/1.mp4", "a/._1.mp4", "b/2.mp4", ".cache/x.mp4"))
    assert len(data) == 2


def test_ucf_file_names_give_the_source(touch):
    data = open_data(touch("Diving/v_Diving_g01_c02.avi", "Biking/other.avi"))
    assert {example.group for example in data.examples} == {"Diving_g01", None}


def test_links_that_lead_in_circles_end(touch):
    root = touch("a/1.mp4", "b/2.mp4")
    (root / "a" / "again").symlink_to(root / "a", target_is_directory=True)
    assert len(open_data(root)) == 2


def test_what_kinema_wrote_into_the_data_is_no_data(touch, caplog):
    """Training inside the folder of the data leaves plots there, which look like stills of a class called runs."""
    run = ("config.toml", "environment.json", "curves.png", "best/model.json", "best/model.safetensors", "clip.mp4")
    inside = [f"{place}/{name}" for place in ("runs/one", "two") for name in run]
    data = open_data(
        touch(
            "fight/a.mp4", "fight/old/report.html", "fight/old/compare.json", "fight/old/x.mp4", "calm/b.mp4", *inside
        )
    )
    assert [data.labels, len(data)] == [Labels(("calm", "fight")), 2]
    assert "left out 2 class folders without a video: runs, two" in caplog.text


def test_backslashes_and_other_unicode_forms_find_the_file(touch):
    composed, decomposed = "fußball übung", unicodedata.normalize("NFD", "fußball übung")
    root = touch(f"{composed}/{decomposed}.mp4", "a/b.mp4")
    assert find_listed(str(root), "a\\b.mp4") == str(root / "a/b.mp4")
    assert find_listed(str(root), ".\\a\\b.mp4") == str(root / "a/b.mp4")
    for form in ("NFC", "NFD"):
        name = unicodedata.normalize(form, "fußball übung/fußball übung.mp4")
        assert os.path.samefile(find_listed(str(root), name), root / composed / f"{decomposed}.mp4")
    assert find_listed(str(root), "ä/ö.mp4") == str(root / "ä/ö.mp4")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("A.MP4", r"1 of 2 listed files do not exist: .*, A\.MP4: Did you mean a\.mp4\?"),
        ("a", r"Did you mean a\.mp4\?"),
        ("https://example.org/v.mp4", "an address is not read: download"),
        (r"C:\videos\a.mp4", "correct the paths"),
    ],
)
def test_a_listed_file_that_does_not_exist(manifest, name, message):
    with pytest.raises(DataError, match=message):
        open_data(manifest(f"path,label\n{name},run\nb.mp4,jump\n"))
