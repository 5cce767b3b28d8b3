"""An engine is one file in `kinema.engines.backends`, as CONTRIBUTING says."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import kinema
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


@pytest.fixture
def run(tmp_path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs the command line of a copy of the package that has one more file."""
    package = tmp_path / "copy" / "kinema"
    shutil.copytree(Path(kinema.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    (package / "engines/backends/halves.py").write_text(HALVES)
    environment = {**os.environ, "PYTHONPATH": str(package.parent), "OMP_NUM_THREADS": "1"}

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "kinema", *arguments]
        return subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True)

    return run


def test_a_new_engine_is_one_file(run, make, two_part_film, tmp_path):
    torch.manual_seed(0)
    network = build("slow_fusion_tiny", num_classes=2, spec={"clip_len": 4, "size": (32, 32)}).eval()
    save_checkpoint(tmp_path / "two", network, ModelCard.of(network, ("dark", "light")))
    save_checkpoint(tmp_path / "three", *make())

    def top(model: str, engine: str) -> tuple[dict[str, float], str]:
        done = run("predict", str(two_part_film), "--model", model, "--engine", engine, "--precision", "f32", "--json")
        assert done.returncode == 0, done.stderr
        return {row["label"]: row["score"] for row in json.loads(done.stdout)["top"]}, done.stderr

    whole, _ = top("two", "torch")
    halved, _ = top("two", "halves")
    assert max(halved.values()) < max(whole.values()), "half of the logits are nearer to equal scores"
    same, message = top("three", "halves")
    assert "engine: torch, not the halves; no two classes" in message
    assert same == top("three", "torch")[0]
    assert "halves" in run("predict", "--help").stdout
    for arguments, words in (
        (["--engine", "halfs"], "Did you mean halves?"),
        (
            ["--engine", "halves", "--device", "cuda"],
            "the halves runs on the CPU here: --device cuda: give --device cpu",
        ),
    ):
        refused = run("predict", str(two_part_film), "--model", "two", *arguments)
        assert (refused.returncode, words in refused.stderr) == (2, True), refused.stderr


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
