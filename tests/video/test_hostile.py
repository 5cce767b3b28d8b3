"""A small part of the corpus of `benchmarks/hostile.py`: damaged videos are told, and their frames do not depend on the way."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "hostile.py"
NAMES = ("h264b-plain.mkv", "mpeg4b-plain.avi", "mjpeg-plain.mov", "mpeg2-plain.mpg", "flv1-sound.flv", "vp8-vfr.webm")


@pytest.fixture(scope="module")
def hostile() -> ModuleType:
    spec = importlib.util.spec_from_file_location("hostile", BENCHMARK)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["hostile"] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", NAMES)
def test_whole_and_damaged_videos_have_no_fault(name, hostile, tmp_path):
    files = list(hostile.corpus(tmp_path, 12 if "vfr" in name else 3, only=name))
    if not files:
        pytest.skip("PyAV cannot write it here")
    outcomes = [hostile.read(path, whole) for path, whole in files]
    assert len(outcomes) > 2
    assert {what: names for what, names in hostile.faults(outcomes).items() if names} == {}
