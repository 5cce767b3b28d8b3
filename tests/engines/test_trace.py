"""Traced graphs take pixels, keep the number of clips open, and leave logging as it was."""

from __future__ import annotations

import logging
import warnings

import pytest
import torch

from kinema.engines.parity import probe_clips
from kinema.engines.scorer import Scorer
from kinema.engines.trace import cannot_convert, quiet, trace
from kinema.models import build
from kinema.weights.checkpoint import ModelCard


@pytest.mark.parametrize("output", ["logits", "scores"])
def test_a_graph_takes_bytes_and_gives_logits_or_scores(output):
    torch.manual_seed(0)
    network = build("slow_fusion_tiny", num_classes=3, spec={"clip_len": 4, "size": (16, 16)}).eval()
    graph = trace(network, ModelCard.of(network, ("a", "b", "c")), output).module()
    for count in (1, 5):
        clips = probe_clips(network.spec, count)
        expected = torch.from_numpy(Scorer(network, device="cpu", precision="f32")(clips))
        expected = expected.softmax(-1) if output == "scores" else expected
        with torch.no_grad():
            torch.testing.assert_close(graph(clips), expected, rtol=1e-4, atol=1e-5)


def test_messages_of_converters_are_silenced_and_logging_is_as_before(caplog):
    before = logging.root.manager.disable, list(logging.getLogger().handlers)
    with quiet():
        warnings.warn("weights are held twice", stacklevel=1)  # an error elsewhere in these tests
        logging.getLogger().warning("an analysis of the graph")
    assert not caplog.text
    assert (logging.root.manager.disable, list(logging.getLogger().handlers)) == before


def test_a_long_error_of_a_library_becomes_one_line():
    error = cannot_convert("net", "a graph", ValueError("\n\n  first line\nsecond line"))
    assert (
        str(error)
        == "cannot be made into a graph (ValueError: first line): net: use the checkpoint itself, or another format"
    )
