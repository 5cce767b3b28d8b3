"""Winograd convolutions as an engine: only on request, with the scores of torch, and clear errors where they cannot run."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch

from kinema.engines.choose import open_scorer
from kinema.engines.fold_norms import FoldedScorer
from kinema.engines.options import EngineOptions
from kinema.engines.parity import probe_clips
from kinema.engines.scorer import Scorer
from kinema.engines.winograd import replace
from kinema.engines.winograd.replace import WinogradConv
from kinema.errors import OutputError, UsageError
from kinema.models import build
from kinema.models.network import Network
from kinema.weights.checkpoint import ModelCard

pytestmark = pytest.mark.usefixtures("compiled", "home")


def make(name: str = "r3d_small", **card: object) -> tuple[Network, ModelCard]:
    """A network whose scores are far from equal."""
    torch.manual_seed(0)
    network = build(name, num_classes=3, spec={"clip_len": 8, "size": (32, 32)}).eval()
    with torch.no_grad():
        for parameter in network.classifier.parameters():
            parameter.mul_(50)
    return network, ModelCard.of(network, ("a", "b", "c"), **card)


def test_scores_are_those_of_torch_and_the_network_stays_as_it_is(monkeypatch):
    monkeypatch.setattr(WinogradConv, "_is_enough", lambda conv, x: True)
    network, card = make()
    clips = probe_clips(network.spec, 3)
    exact = Scorer(network, device="cpu", precision="f32")(clips)
    assert np.ptp(exact) > 0.1
    scorer = open_scorer(network, card, EngineOptions(engine="winograd"))
    assert isinstance(scorer, FoldedScorer)
    assert (scorer.engine, scorer.precision) == ("winograd", "f32")
    np.testing.assert_allclose(scorer(clips), exact, rtol=1e-3, atol=1e-3)
    replaced = [layer for layer in scorer.folded_network().modules() if isinstance(layer, WinogradConv)]
    assert any(layer.filters is not None for layer in replaced), "they computed"
    assert not any(isinstance(module, WinogradConv) for module in network.modules())


def test_answers_at_each_frame_are_those_of_torch():
    network, card = make("tsm_causal_small", task="frame")
    clips = probe_clips(network.spec, 2)
    scorer = open_scorer(network, card, EngineOptions(engine="winograd"))
    exact = Scorer(network, task="frame", device="cpu", precision="f32")(clips)
    np.testing.assert_allclose(scorer(clips), exact, rtol=1e-3, atol=1e-3)


def test_without_a_compiler_winograd_is_an_error_and_auto_is_not(monkeypatch):
    def fails() -> None:
        raise OutputError("no C compiler", do="install gcc")

    monkeypatch.setattr(replace, "transforms", fails)
    with pytest.raises(OutputError, match="no C compiler"):
        open_scorer(*make(), EngineOptions(engine="winograd"))
    assert open_scorer(*make(), EngineOptions(device="cpu", precision="f32")).engine == "torch"


def test_requests_that_winograd_cannot_meet_are_refused():
    with pytest.raises(UsageError, match="run on the CPU here: --device cuda: give --device cpu"):
        open_scorer(*make(), EngineOptions(engine="winograd", device="cuda"))
    with pytest.raises(UsageError, match="float32: --precision bf16: give --precision f32 or --engine torch"):
        open_scorer(*make(), EngineOptions(engine="winograd", precision="bf16"))


AUTO = """
import sys
import torch
from kinema.engines import choose
from kinema.engines.options import EngineOptions
from kinema.engines.parity import probe_clips
from kinema.models import build
from kinema.weights.checkpoint import ModelCard

choose.usual_engine = lambda: sys.argv[1]
network = build("r3d_small", num_classes=3, spec={"clip_len": 8, "size": (64, 64)}).eval()
scorer = choose.open_scorer(network, ModelCard.of(network, ("a", "b", "c")), EngineOptions(device="cpu", precision="f32"))
scorer(probe_clips(network.spec, 1))
print(scorer.engine, [name for name in sys.modules if "winograd" in name])
"""


@pytest.mark.openvino
@pytest.mark.parametrize("usual", ["torch", "openvino"])
def test_auto_never_compiles_nor_imports_winograd(usual: str, home, monkeypatch):
    if usual == "openvino":
        pytest.importorskip("openvino")
    monkeypatch.setenv("CC", "no-such-compiler")
    done = subprocess.run([sys.executable, "-c", AUTO, usual], capture_output=True, text=True, check=True)
    assert done.stdout == f"{usual} []\n"
    assert not (home / "native").exists()
