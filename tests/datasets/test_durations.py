from __future__ import annotations

from dataclasses import replace

import pytest

from kinema.datasets.dataset import DataSet
from kinema.datasets.durations import typical_duration_s, video_duration_s
from kinema.labels import Labels
from kinema.types import Example, TimeSpan

LABELS = Labels(("no", "yes"))


def data_of(*examples: Example, multi_label: bool = False) -> DataSet:
    return DataSet("toy", "/toy", examples, LABELS, multi_label)


@pytest.fixture
def film(counting_video) -> Example:
    return Example(str(counting_video), ("yes",))


def test_the_typical_duration_is_the_median_of_files_and_spans(film, text_file):
    spans = [Example(film.path, ("yes",), TimeSpan(0, end)) for end in (1.0, 2.0)]
    assert typical_duration_s(data_of(*spans, film, Example(str(text_file), ("no",)))) == 2.0
    assert typical_duration_s(data_of(Example(str(text_file), ("no",)))) is None


def test_the_duration_of_what_is_no_video_is_unknown(film, text_file):
    assert video_duration_s(film.path) == pytest.approx(4.8)
    assert video_duration_s(str(text_file)) is None


def test_folders_of_pictures_have_the_rate_of_their_data_set(image_folder):
    data = replace(data_of(Example(str(image_folder), ("a",))), image_fps=10.0)
    assert typical_duration_s(data) == pytest.approx(1.2)
