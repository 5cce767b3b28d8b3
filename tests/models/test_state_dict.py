"""Weights files: formats, and what is refused."""

from __future__ import annotations

import pickle

import pytest
import torch

from kinema.errors import CheckpointError
from kinema.models import build
from kinema.models.network import Network
from kinema.models.state_dict import check_fit, read_weights


def on_file(name: str, path: str, **arguments) -> Network:
    return build(name, backbone="test_resnet", backbone_weights=path, **arguments).eval()


def test_weights_that_do_not_fit_are_refused(weights_file, tmp_path):
    with pytest.raises(CheckpointError, match="do not fit"):
        build("single_frame", backbone="resnet10t", backbone_weights=weights_file)
    with pytest.raises(CheckpointError, match="no such weights file"):
        build("single_frame", backbone="test_resnet", backbone_weights=str(tmp_path / "none.safetensors"))
    (tmp_path / "text.safetensors").write_text("hello")
    with pytest.raises(CheckpointError, match="cannot read weights"):
        build("single_frame", backbone="test_resnet", backbone_weights=str(tmp_path / "text.safetensors"))


def test_pickles_that_run_code_are_refused(tmp_path):
    class Evil:
        def __reduce__(self):
            return (exec, ("raise SystemExit('ran')",))

    path = tmp_path / "evil.pth"
    path.write_bytes(pickle.dumps(Evil()))
    with pytest.raises(CheckpointError, match="cannot read weights"):
        build("single_frame", backbone="test_resnet", backbone_weights=str(path))


def test_torch_files_with_wrappers_are_read(published, tmp_path):
    path = tmp_path / "published.pth"
    torch.save(
        {"epoch": 3, "state_dict": {f"module.{name}": value for name, value in published.state_dict().items()}}, path
    )
    network = on_file("single_frame", str(path), num_classes=2)
    assert torch.equal(network.backbone.model.conv1[0].weight, published.conv1[0].weight)


def test_floating_point_tensors_become_float32(tmp_path):
    tensors = {"half": torch.ones(2, dtype=torch.float16), "count": torch.tensor(3)}
    torch.save({"model_state": tensors}, tmp_path / "weights.pth")
    read = read_weights(tmp_path / "weights.pth")
    assert {name: value.dtype for name, value in read.items()} == {"half": torch.float32, "count": torch.int64}


def test_faults_are_counted_and_the_first_is_named():
    own = {"a.weight": torch.zeros(2, 3), "a.num_batches_tracked": torch.tensor(0), "b": torch.zeros(1)}
    check_fit({"a.weight": torch.zeros(2, 3), "b": torch.zeros(1)}, own, "file.pth", "")
    with pytest.raises(CheckpointError, match=r"\(b is missing and 2 more\): file.pth: train again"):
        check_fit({"a.weight": torch.zeros(2, 4), "c": torch.zeros(1)}, own, "file.pth", "train again")
    with pytest.raises(CheckpointError, match=r"b is a number, not 1\)"):
        check_fit({"a.weight": torch.zeros(2, 3), "b": torch.tensor(0.0)}, own, "file.pth", "")
