import numpy as np
import pytest
import torch
from torchvision.models import get_model

from kinema.errors import CheckpointError
from kinema.inference.detectors.torchvision_models import TorchvisionDetector, torchvision_names

NAME = "ssdlite320_mobilenet_v3_large"


def test_weights_of_a_file_are_used(tmp_path):
    network = get_model(NAME, weights=None, weights_backbone=None, num_classes=91)
    torch.save(network.state_dict(), tmp_path / "w.pth")
    detector = TorchvisionDetector(NAME, str(tmp_path / "w.pth"), "cpu")
    frames = np.random.default_rng(0).integers(0, 255, (2, 60, 80, 3), np.uint8)
    found = detector(frames)
    with torch.inference_mode():
        (same,) = network.eval()([torch.from_numpy(frames[1]).permute(2, 0, 1) / 255])
    assert (len(found), detector.kinds[1]) == (2, "person")
    assert found[1].boxes == pytest.approx(same["boxes"].numpy(), abs=1e-3)
    assert found[1].classes.tolist() == same["labels"].tolist()


def test_wrong_weights_are_one_error(tmp_path):
    (tmp_path / "w.pth").write_bytes(b"no weights")
    torch.save({"a": torch.zeros(1)}, tmp_path / "a.pth")
    for name in ("w.pth", "a.pth"):
        with pytest.raises(CheckpointError, match=f"not weights of this network.*state dict of torchvision's {NAME}"):
            TorchvisionDetector(NAME, str(tmp_path / name), "cpu")
    with pytest.raises(CheckpointError, match="no such file"):
        TorchvisionDetector(NAME, str(tmp_path / "none.pth"), "cpu")
    assert NAME in torchvision_names()
