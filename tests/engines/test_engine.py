"""An engine is one file in `kinema.engines.backends`, as CONTRIBUTING says."""

from __future__ import annotations

import json

import pytest
import torch

from kinema.choices import ENGINES
from kinema.engines.engine import find_engine, requested_engine
from kinema.engines.options import EngineOptions
from kinema.errors import MissingExtra, UnknownName, UsageError
from kinema.models import build
from kinema.weights.checkpoint import ModelCard, save_checkpoint

HALVES = '''
"""Logits of torch, divided by two; for networks of two classes only."""

from kinema.engines.engine import Engine
from kinema.engines.scorer import ClipScorer
from kinema.errors import OutputError


class HalvesScorer(ClipScorer):
    engine = "halves"

    def __init__(self, scorer):
        self._torch = scorer
        self.spec, self.device, self.batch_size = scorer.spec, scorer.device, scorer.batch_size
        self.precision = scorer.precision

    def __call__(self, clips):
        return self._torch(clips) / 2

    def frame_plan(self):
        return self._torch.frame_plan()

    def in_torch(self):
        return self._torch


class HalvesEngine(Engine):
    title = "the halves"

    def open(self, scorer, card):
        if len(card.labels) != 2:
            raise OutputError("no two classes", card.variant, "use torch")
        return HalvesScorer(scorer)


ENGINE = HalvesEngine()
'''


def test_a_new_engine_is_one_file(package_copy, make, two_part_film, tmp_path):
    package, run = package_copy
    (package / "engines/backends/halves.py").write_text(HALVES)
    torch.manual_seed(0)
    network = build("slow_fusion_tiny", num_classes=2, spec={"clip_len": 4, "size": (32, 32)}).eval()
    save_checkpoint(tmp_path / "two", network, ModelCard.of(network, ("dark", "light")))
    save_checkpoint(tmp_path / "three", *make())

    def predict(model: str, engine: str, *flags: str) -> list[str]:
        return ["predict", str(two_part_film), "--model", model, "--engine", engine, *flags]

    asked = [("two", "torch"), ("two", "halves"), ("three", "halves"), ("three", "torch")]
    *done, shown, misspelt, elsewhere = run(
        *(predict(model, engine, "--precision", "f32", "--json") for model, engine in asked),
        ["predict", "--help"],
        predict("two", "halfs"),
        predict("two", "halves", "--device", "cuda"),
    )
    assert [one.status for one in done] == [0, 0, 0, 0], done
    whole, halved, same, expected = ({row["label"]: row["score"] for row in json.loads(one.out)["top"]} for one in done)
    assert max(halved.values()) < max(whole.values()), "half of the logits are nearer to equal scores"
    assert "engine: torch, not the halves; no two classes" in done[2].err
    assert same == expected
    assert "halves" in shown.out
    assert (misspelt.status, "Did you mean halves?" in misspelt.err) == (2, True), misspelt
    message = "the halves runs on the CPU here: --device cuda: give --device cpu"
    assert (elsewhere.status, message in elsewhere.err) == (2, True), elsewhere


def test_engines_are_found_by_the_names_of_their_files():
    assert set(ENGINES) >= {"auto", "torch", "openvino"}
    titles = [find_engine(name).title for name in ENGINES if name != "auto"]
    assert len(set(titles)) == len(titles)
    assert requested_engine(EngineOptions()) is None
    assert find_engine("torch").is_installed()
    with pytest.raises(UnknownName, match="Did you mean torch"):
        find_engine("torhc")


def test_requests_that_cannot_be_met_say_what_to_do(monkeypatch):
    with pytest.raises(UsageError, match="OpenVINO runs on the CPU here: --device cuda: give --device cpu"):
        requested_engine(EngineOptions(engine="openvino", device="cuda"))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"kinema\[openvino\]"):
        requested_engine(EngineOptions(engine="openvino"))
