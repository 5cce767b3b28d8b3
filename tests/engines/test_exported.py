"""Exported files in place of a checkpoint: the same scores, and clear errors for files that cannot run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from kinema.engines.export import export
from kinema.engines.exported import ENDINGS, open_exported
from kinema.engines.parity import probe_clips
from kinema.engines.scorer import to_scores
from kinema.errors import CheckpointError, UsageError
from kinema.inference.predictor import Predictor, load
from kinema.weights.checkpoint import ModelCard

pytest.importorskip("onnxscript")

openvino = pytest.importorskip("openvino")
pytestmark = pytest.mark.openvino
Clips = np.ndarray


@pytest.mark.parametrize("format", ["onnx", "openvino"])
def test_fixed_batch_is_scored_one_by_one(make, torch_scores, format: str, tmp_path):
    network, card = make()
    written = export(network, card, tmp_path / f"n{ENDINGS[format]}", format=format, static_batch=True)
    scorer, _ = open_exported(written.path, precision="f32")
    clips = probe_clips(network.spec, 5)
    assert written.input[0] == scorer.batch_size == 1
    np.testing.assert_allclose(to_scores(scorer(clips), False), torch_scores(network, clips.numpy()), atol=1e-5)


@pytest.mark.parametrize("format", ["onnx", "openvino"])
def test_a_video_is_predicted_as_by_the_checkpoint(make, format: str, two_part_film: Path, tmp_path):
    network, card = make()
    written = export(network, card, tmp_path / f"n{ENDINGS[format]}", format=format)
    options: dict[str, Any] = {"step_s": 0.5, "num_crops": 3}
    expected = Predictor(network, card, device="cpu", precision="f32")(two_part_film, **options)
    found = load(written.path, precision="f32")(two_part_film, **options)
    assert found.labels == expected.labels
    assert len(found.timeline) == len(expected.timeline) > 3
    np.testing.assert_allclose(found.timeline.scores, expected.timeline.scores, atol=1e-4)
    assert [segment.span for segment in found.segments] == [segment.span for segment in expected.segments]


def test_evenly_spaced_clips_stay_so_in_a_file(make, two_part_film: Path, tmp_path):
    network, card = make()
    network.spec = network.spec.with_(sampling="dense", window_s=None, frame_stride=12, fps=30.0, spacing="even")
    card = ModelCard.of(network, card.labels)
    written = export(network, card, tmp_path / "even.onnx")
    expected = Predictor(network, card, device="cpu", precision="f32")(two_part_film)
    found = load(written.path, precision="f32")
    assert found.spec == network.spec
    timeline = found(two_part_film).timeline
    np.testing.assert_allclose(timeline.spans_s, [[0, 1.6], [1.6, 3.2], [2.4, 4.0]])
    np.testing.assert_allclose(timeline.scores, expected.timeline.scores, atol=1e-4)


def test_file_of_a_network_that_answers_at_each_frame_does_so_too(make, two_part_film: Path, tmp_path):
    network, card = make("conv_gru_small", task="frame")
    network.spec = network.spec.with_(sampling="dense", window_s=None)
    card = ModelCard.of(network, card.labels, task="frame")
    written = export(network, card, tmp_path / "steps.onnx")
    assert written.output == ("batch", 4, 3)
    expected = Predictor(network, card, device="cpu", precision="f32")(two_part_film)
    found = load(written.path)(two_part_film)
    assert len(found.timeline) == 100
    np.testing.assert_allclose(found.timeline.scores, expected.timeline.scores, atol=1e-4)


@pytest.mark.parametrize("ending", [".onnx", ".xml"])
def test_files_that_cannot_be_used_are_named(ending: str, tmp_path):
    with pytest.raises(CheckpointError, match=f"no such file: .*n{ending}"):
        open_exported(tmp_path / f"n{ending}")
    (tmp_path / f"n{ending}").write_bytes(b"no network at all")
    with pytest.raises(CheckpointError, match="cannot be read"):
        open_exported(tmp_path / f"n{ending}")


def test_a_file_of_another_program_does_not_describe_its_input(tmp_path):
    torch.onnx.export(
        torch.nn.Linear(2, 2).eval(),
        (torch.zeros(1, 2),),
        tmp_path / "n.onnx",
        dynamo=True,
        verbose=False,
        external_data=False,
    )
    with pytest.raises(CheckpointError, match="does not describe its input"):
        open_exported(tmp_path / "n.onnx")


def test_what_a_file_cannot_do_is_refused(make, tmp_path):
    path = export(*make(), tmp_path / "n.onnx").path
    for options, words in (
        ({"device": "cuda"}, "no such device"),
        ({"precision": "bf16"}, "its own number format"),
        ({"engine": "openvino"}, "runs in ONNX Runtime"),
        ({"engine": "winograd"}, "it was removed; use --engine openvino or --engine torch"),
    ):
        with pytest.raises(UsageError, match=words):
            open_exported(path, **options)
    with pytest.raises(UsageError, match="may hold code"):
        open_exported(tmp_path / "n.pt2")
    with pytest.raises(UsageError, match="gives scores only"):
        load(path).features("film.mp4")
