"""Frames decoded by torchcodec equal those by PyAV; a torchcodec that does not work is named."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from kinema.errors import MissingExtra, UnreadableVideo
from kinema.video import open_video


@pytest.fixture(scope="module")
def torchcodec():
    try:
        from torchcodec import decoders
    except (ImportError, OSError, RuntimeError):
        pytest.skip("torchcodec does not work here")
    return decoders


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["counting_video", "vfr_video", "edit_list_video", "raw_video", "short_video"])
@pytest.mark.parametrize("size", [None, 32])
def test_frames_are_the_same(name, size, request, torchcodec):
    path = request.getfixturevalue(name)
    with open_video(path) as ours, open_video(path, backend="torchcodec") as theirs:
        indices = [3, 1, 4, 1, len(ours) - 1]
        np.testing.assert_array_equal(theirs.frames_at(indices, size), ours.frames_at(indices, size))
        assert theirs.info == ours.info


@pytest.mark.filterwarnings("ignore")
def test_a_damaged_frame_is_named(damaged_video, torchcodec):
    with open_video(damaged_video) as video:
        gone = min(set(range(120)) - {index for index, _, _ in video.iterate()})
    with (
        open_video(damaged_video, backend="torchcodec") as video,
        pytest.raises(UnreadableVideo, match=f"frame {gone}"),
    ):
        video.frames_at([gone])


@pytest.mark.parametrize("error", [ImportError, OSError, RuntimeError])
def test_a_torchcodec_that_does_not_load_is_named(counting_video, monkeypatch, error):
    class Broken:
        def find_spec(self, name, path=None, target=None):
            if name.startswith("torchcodec"):
                raise error("libavutil.so.60 not found")

    for name in [name for name in sys.modules if name.startswith("torchcodec")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [Broken(), *sys.meta_path])
    with pytest.raises(MissingExtra, match="torchcodec"):
        open_video(counting_video, backend="torchcodec")


def test_reading_does_not_start_torch(counting_video):
    import subprocess

    code = f"import sys; from kinema.video import open_video; open_video({str(counting_video)!r}).frames_at([3]); "
    code += "sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
