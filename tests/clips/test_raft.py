"""Optical flow by RAFT's network."""

from __future__ import annotations

import numpy as np

from kinema.clips.flow import measure
from kinema.clips.raft import Raft


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_raft_measures_frames_of_any_size_and_is_never_chosen_by_itself(monkeypatch):
    raft = Raft("raft_small", pretrained=False, device="cpu")
    frames = rng().integers(0, 256, (2, 20, 36, 3), dtype=np.uint8)
    found = raft(*frames)
    assert found.shape == (20, 36, 2)
    assert found.dtype == np.float32
    assert np.isfinite(found).all()
    monkeypatch.setattr("kinema.clips.raft.shared", lambda name: raft)
    assert measure("raft_small") is raft
    assert measure("dis") is not raft
