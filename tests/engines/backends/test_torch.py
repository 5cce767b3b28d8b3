"""torch as an engine: on a CPU with norms folded, on other devices the network as it is."""

from __future__ import annotations

import numpy as np
import torch

from kinema.engines.backends.torch import ENGINE
from kinema.engines.fold_norms import FoldedScorer
from kinema.engines.parity import probe_clips
from kinema.engines.scorer import Scorer


def test_on_a_cpu_norms_are_folded_and_scores_stay(make):
    network, card = make("conv_gru_small", task="frame")
    scorer = Scorer(network, task="frame", device="cpu", precision="f32", batch_size=3)
    opened = ENGINE.open(scorer, card)
    assert isinstance(opened, FoldedScorer)
    assert (opened.task, opened.precision, opened.batch_size) == ("frame", "f32", 3)
    clips = probe_clips(network.spec, 2)
    np.testing.assert_allclose(opened(clips), scorer(clips), rtol=1e-3, atol=1e-4)


def test_on_another_device_the_network_stays_as_it_is(make):
    network, card = make()
    scorer = Scorer(network, device="meta", precision="f32")
    assert scorer.device == torch.device("meta")
    assert ENGINE.open(scorer, card) is scorer
