"""The packet index is small, and knows packets by their timestamps."""

from __future__ import annotations

import tracemalloc
from fractions import Fraction

import numpy as np
import pytest

from kinema.video import open_video, packets
from kinema.video.packets import Flags, PacketIndex


def test_the_index_of_two_hours_takes_a_few_megabytes():
    tracemalloc.start()
    order = np.arange(180_000).reshape(-1, 3)[:, [2, 0, 1]].reshape(-1)
    index = PacketIndex(512 * order, order % 250 == 2, np.ones(len(order), bool), Fraction(1, 12800))
    assert index.packet_at(512 * 90_000) is not None
    index.runs(np.array([5, 100_000]))
    assert (len(index.frame_of), len(index.times_s(25))) == (180_000, 180_000)
    used = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert used < 14e6


def test_packets_are_found_by_their_timestamps(counting_video):
    with open_video(counting_video) as video:
        index = video._index
    assert [index.packet_at(int(pts)) for pts in index.pts] == list(range(120))
    assert index.frame_of[index.decode_order].tolist() == list(range(120))
    assert [index.packet_at(pts) for pts in (None, -1, int(index.pts[0]) + 1, 1 << 60)] == [None] * 4


def test_hidden_packets_hold_no_frame(edit_list_video):
    with open_video(edit_list_video) as video:
        index = video._index
    assert (index.frame_of < 0).sum() == 5
    assert not index.shown[index.frame_of < 0].any()


@pytest.mark.parametrize("room", [1_000, 1_000_000])
def test_packets_are_kept_only_if_they_are_few(counting_video, room, monkeypatch):
    monkeypatch.setattr(packets, "KEEP_BYTES", room)
    with open_video(counting_video) as video:
        assert (video._index.packets is not None) == (room == 1_000_000)


def test_flags_are_a_set():
    flags = Flags(np.array([3, 0, 7]))
    assert [number in flags for number in range(9)] == [number in {0, 3, 7} for number in range(9)]
    flags.remove(3)
    flags.remove(3)
    assert (3 in flags, len(flags)) == (False, 2)
    assert not Flags(np.zeros(0, np.int64))
