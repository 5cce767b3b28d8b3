from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from kinema.errors import UsageError
from kinema.localizations import ENDINGS, Localization
from kinema.predictions import Prediction, Segment, Timeline
from kinema.types import TimeSpan


@pytest.fixture
def located() -> Localization:
    labels = ("wave", "jump")
    times_s = np.arange(10) + 0.5
    scores = np.stack([times_s < 5, times_s >= 5], axis=1).astype(np.float32)
    timeline = Timeline(scores, times_s, np.stack([times_s - 0.5, times_s + 0.5], axis=1), labels, scores)
    segments = (Segment(TimeSpan(0.0, 5.0), "wave", 0.9), Segment(TimeSpan(4.0, 10.0), "jump", 0.75))
    prediction = Prediction("films/a.mp4", labels, np.float32([0.5, 0.5]), TimeSpan(0, 10), timeline, segments)
    return Localization(prediction, "runs/a", "clips")


def test_the_document_is_that_of_a_prediction_with_model_and_way(located):
    document = located.to_json()
    assert {**located.prediction.to_json(), "model": "runs/a", "way": "clips"} == document
    assert document["segments"][1] == {"start_s": 4.0, "end_s": 10.0, "label": "jump", "score": 0.75}


@pytest.mark.parametrize("ending", ENDINGS.values())
def test_every_ending_is_a_file(located, tmp_path, ending):
    located.save(tmp_path / f"a{ending}")
    assert (tmp_path / f"a{ending}").stat().st_size > 50
    if ending == ".json":
        assert json.loads((tmp_path / "a.json").read_text()) == located.to_json()


def test_other_endings_name_those_that_there_are(located, tmp_path):
    with pytest.raises(UsageError, match=r"\.eaf"):
        located.save(tmp_path / "a.txt")


def test_notebooks_and_consoles_show_what_was_found(located):
    assert repr(located) == "Localization('films/a.mp4': 10.0 s, 2 segments, clips)"
    html = located._repr_html_()
    assert "<svg" in html
    assert "wave" in html
    empty = replace(located, prediction=replace(located.prediction, segments=(), timeline=None), way="one-stage")
    assert "nothing found" in empty._repr_html_()
    assert empty.to_json()["segments"] == []
    assert empty.to_text("csv").count("\n") == 1
