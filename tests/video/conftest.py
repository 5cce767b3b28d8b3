"""Fixtures for the tests of the video reader."""

from __future__ import annotations

import pytest

from kinema.video import packets


@pytest.fixture(params=["kept", "sought"])
def packets_kept(request, monkeypatch):
    """Packets from memory, and from the file with seeks as for a large video."""
    if request.param == "sought":
        monkeypatch.setattr(packets, "KEEP_BYTES", 0)
