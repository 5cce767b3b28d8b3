"""Winograd's convolutions in the place of the usual engine: only where they are right and faster, which is found out once."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import pytest
import torch

from kinema.engines import choose as engine
from kinema.engines.choose import OpenVinoScorer, open_scorer
from kinema.engines.fold_norms import FoldedScorer
from kinema.engines.parity import probe_clips
from kinema.engines.scorer import ClipScorer, Scorer
from kinema.engines.winograd import replace as winograd
from kinema.engines.winograd.replace import WinogradConv
from kinema.engines.winograd.scorer import WinogradScorer
from kinema.errors import OutputError, UsageError
from kinema.models import build
from kinema.models.network import Network
from kinema.weights.checkpoint import ModelCard

pytestmark = pytest.mark.usefixtures("compiled", "home")


@pytest.fixture
def timings(monkeypatch) -> list[int]:
    """How often engines were timed; Winograd's convolutions are the faster ones unless a test says otherwise."""
    monkeypatch.setattr(engine, "usual_engines", lambda: ("winograd",))
    monkeypatch.setattr(WinogradConv, "_is_enough", lambda conv, x: True)
    return measured(monkeypatch, usual_s=0.2, winograd_s=0.1)


def measured(monkeypatch: pytest.MonkeyPatch, *, usual_s: float, winograd_s: float) -> list[int]:
    done: list[int] = []

    def fastest_s(calls, repeats: int) -> list[float]:
        done.append(len(calls))
        for call in calls:
            call()
        return [usual_s, winograd_s]

    monkeypatch.setattr(engine, "fastest_s", fastest_s)
    return done


def make(name: str = "r3d_small", seed: int = 0, **card: bool) -> tuple[Network, ModelCard]:
    torch.manual_seed(seed)
    network = build(name, num_classes=3, spec={"clip_len": 8, "size": (32, 32)}).eval()
    with torch.no_grad():
        for parameter in network.classifier.parameters():
            parameter.mul_(50)
    return network, ModelCard.of(network, ("a", "b", "c"), **card)


def auto(network: Network, card: ModelCard, precision: str = "f32") -> ClipScorer:
    return open_scorer(network, card, engine="auto", device="cpu", precision=precision)


def test_the_faster_engine_is_found_out_once(timings: list[int], caplog):
    caplog.set_level(logging.INFO, "kinema")
    network, card = make()
    scorers = [auto(network, card) for _ in range(2)]
    assert [type(scorer) for scorer in scorers] == [WinogradScorer] * 2
    assert timings == [2]
    assert caplog.text.count("measuring which engine is the faster one") == 1
    assert caplog.text.count("Winograd's convolutions, f32; 100 ms a clip, torch 200 ms") == 2
    assert isinstance(auto(*make(seed=1)), WinogradScorer)
    assert timings == [2, 2], "other weights are another network"


def test_scores_are_those_of_torch(timings: list[int]):
    network, card = make()
    clips = probe_clips(network.spec, 3)
    exact = Scorer(network, device="cpu", precision="f32")(clips)
    assert np.ptp(exact) > 0.1
    for scorer in (auto(network, card), open_scorer(network, card, engine="winograd")):
        assert scorer.engine == "winograd"
        np.testing.assert_allclose(scorer(clips), exact, rtol=1e-3, atol=1e-3)
    assert not any(isinstance(module, WinogradConv) for module in network.modules()), "the network stays as it is"


def test_the_slower_one_is_not_taken(timings: list[int], monkeypatch):
    measured(monkeypatch, usual_s=0.1, winograd_s=0.2)
    assert isinstance(auto(*make()), FoldedScorer)
    assert auto(*make()).engine == "torch"


@pytest.mark.parametrize("difference", [0.01, float("nan")])
def test_one_that_gives_other_scores_is_not_taken(difference: float, timings: list[int], monkeypatch):
    monkeypatch.setattr(engine, "largest_difference", lambda *_: difference)
    assert auto(*make()).engine == "torch"


def test_half_precision_and_answers_at_each_frame_are_left_to_the_usual_engine(timings: list[int]):
    assert auto(*make(), precision="bf16").engine == "torch"
    assert auto(*make("tsm_causal_small", each_step=True)).engine == "torch"
    assert not timings


@pytest.mark.parametrize("damage", ["{", "[]", '{"difference": 0}', '{"difference": "?"}'])
def test_what_was_found_out_and_cannot_be_read(damage: str, timings: list[int], home: Path):
    auto(*make())
    (file,) = home.glob("engines/*.json")
    file.write_text(damage)
    for _ in range(2):
        auto(*make())
    assert timings == [2, 2], "it is found out once again"
    assert json.loads(file.read_text())["winograd_s"] == 0.1


def test_without_a_compiler_auto_is_what_it_was_and_winograd_an_error(timings: list[int], monkeypatch, caplog):
    caplog.set_level(logging.INFO, "kinema")

    def fails() -> None:
        raise OutputError("no C compiler", do="install gcc")

    monkeypatch.setattr(winograd, "transforms", fails)
    assert auto(*make()).engine == "torch"
    assert "engine: torch, without Winograd's convolutions; no C compiler: install gcc" in caplog.text
    with pytest.raises(OutputError, match="no C compiler"):
        open_scorer(*make(), engine="winograd")


def test_what_winograd_cannot_be_is_refused():
    with pytest.raises(UsageError, match="run on the CPU here: --device cuda: give --device cpu"):
        open_scorer(*make(), engine="winograd", device="cuda")
    with pytest.raises(UsageError, match="float32: --precision bf16: give --precision f32 or --engine torch"):
        open_scorer(*make(), engine="winograd", precision="bf16")


@pytest.mark.openvino
def test_it_stands_against_openvino_where_that_is_installed(timings: list[int], monkeypatch):
    pytest.importorskip("openvino")
    monkeypatch.setattr(engine, "usual_engines", lambda: ("openvino", "winograd"))
    network, card = make()
    assert isinstance(auto(network, card), WinogradScorer)
    measured(monkeypatch, usual_s=0.1, winograd_s=0.2)
    assert isinstance(auto(*make(seed=1)), OpenVinoScorer)
    assert open_scorer(network, card, engine="openvino", precision="f32").engine == "openvino"
