import pytest

from kinema.errors import CheckpointError, UnknownName, UsageError
from kinema.inference.detectors.boxes_file import KeptBoxes
from kinema.inference.detectors.opening import open_detector


def test_the_ending_tells_files_apart(fastestdet, tmp_path):
    (tmp_path / "a.txt").write_text("1,-1,1,2,3,4,0.5\n")
    assert open_detector(fastestdet).kinds[0] == "person"
    assert isinstance(open_detector(str(tmp_path / "a.txt")), KeptBoxes)


def test_wrong_names_are_refused(fastestdet):
    with pytest.raises(UnknownName, match="Did you mean ssdlite320_mobilenet_v3_large"):
        open_detector("ssdlite320_mobilenet")
    with pytest.raises(UsageError, match=r"--detector NAME --weights FastestDet.pth"):
        open_detector("FastestDet.pth")
    with pytest.raises(UsageError, match="a file needs no weights"):
        open_detector(fastestdet, weights="w.pth")


def test_offline_the_default_says_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setenv("KINEMA_OFFLINE", "1")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(CheckpointError, match=r"switched off.*give --detector an ONNX file"):
        open_detector()
