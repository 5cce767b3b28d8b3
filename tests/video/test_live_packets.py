"""Live sources are read as they arrive, skipped to a key frame, and opened again."""

from __future__ import annotations

import contextlib
import itertools
import threading
import time

import pytest

from kinema.errors import UnreadableVideo
from kinema.video.live_packets import LivePackets
from kinema.video.stream_source import open_source


@pytest.fixture(autouse=True)
def short_waits(monkeypatch) -> None:
    monkeypatch.setattr("kinema.video.live_packets._FIRST_WAIT_S", 0.05)


def packets_of(address: str, attempts: int = 0) -> tuple[LivePackets, threading.Event]:
    stop = threading.Event()
    return LivePackets(address, open_source(address, stop), stop, attempts), stop


def test_every_packet_comes_if_the_decoder_is_fast(camera) -> None:
    with camera(40) as (address, _):
        packets, _ = packets_of(address)
        found = []
        with contextlib.suppress(UnreadableVideo):  # libavformat calls the end of this format an error
            found.extend(item.arrived_s for item in packets if item.packet.size)
        packets.join()
    assert len(found) == 40
    assert found == sorted(found)
    assert (packets.num_skipped, packets.num_reconnections) == (0, 0)


def test_a_slow_decoder_gets_the_newest_packets_and_the_others_are_counted(camera) -> None:
    ages_s, num_taken = [], 0
    with camera(150) as (address, _):
        packets, _ = packets_of(address)
        with contextlib.suppress(UnreadableVideo):
            for item in packets:
                ages_s.append(time.monotonic() - item.arrived_s)
                num_taken += bool(item.packet.size)
                time.sleep(0.1)
        packets.join()
    assert packets.num_skipped > 60
    assert num_taken + packets.num_skipped == 150
    assert max(ages_s) < 1.0


def test_a_source_that_drops_is_opened_again(caplog, camera) -> None:
    with camera(10, 20, 30) as (address, calls):
        packets, _ = packets_of(address, attempts=4)
        connections = []
        with pytest.raises(UnreadableVideo, match="did not come back in 4 attempts"):
            connections.extend(item.connection for item in packets if item.packet.size)
        packets.join()
    assert [connections.count(number) for number in range(3)] == [10, 20, 30]
    assert packets.num_reconnections == 2
    assert len(calls) == 5  # short connections count in the row of failures
    messages = [record.getMessage() for record in caplog.records]
    assert sum("the stream dropped" in line for line in messages) == 3
    assert sum("connected again after" in line for line in messages) == 2


def test_waits_between_attempts_grow(camera) -> None:
    with camera(5) as (address, calls):
        packets, _ = packets_of(address, attempts=4)
        with pytest.raises(UnreadableVideo, match=r"dropped \(cannot open the stream \(.*Server Error.*\)\)"):
            list(packets)
    waits_s = [two - one for one, two in itertools.pairwise(calls)]
    assert len(calls) == 5
    assert waits_s[2] > 0.15
    assert waits_s[3] > 0.35


def test_without_attempts_a_source_that_drops_is_an_error(camera) -> None:
    with camera(5, 5) as (address, calls):
        packets, _ = packets_of(address)
        with pytest.raises(UnreadableVideo, match="the stream broke off"):
            list(packets)
    assert len(calls) == 1


def test_a_source_that_falls_silent_has_dropped(monkeypatch, camera) -> None:
    monkeypatch.setattr("kinema.video.stream_source._TIMEOUT_S", (5.0, 0.5))
    with camera(30, stalls=True) as (address, _):
        packets, _ = packets_of(address)
        with pytest.raises(UnreadableVideo, match=r"broke off \(no data for 10 s"):
            list(packets)


def test_stop_ends_the_threads_while_they_wait(camera) -> None:
    with camera(5) as (address, _):
        packets, stop = packets_of(address, attempts=1000)
        found = []
        taking = threading.Thread(target=lambda: found.extend(packets))
        taking.start()
        time.sleep(0.3)
        stop.set()
        packets.wake()
        taking.join(5)
        packets.join()
        assert not taking.is_alive()
        assert not packets._thread.is_alive()
