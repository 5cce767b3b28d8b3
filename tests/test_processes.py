import math
import multiprocessing
import os
import time

import pytest

from kinema.errors import ConfigError, KinemaError
from kinema.processes import process_map
from kinema.runs.options import parse_size


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_every_item_is_done_once(workers: int):
    assert sorted(process_map(math.sqrt, [25, 1, 4, 9, 16], workers)) == [1, 2, 3, 4, 5]
    assert list(process_map(math.sqrt, [], workers)) == []
    assert multiprocessing.active_children() == []


def test_an_error_ends_the_whole_and_keeps_its_words():
    with pytest.raises(ConfigError, match="HEIGHTxWIDTH"):
        list(process_map(parse_size, ["8x8", "big", "9x9"], 2))
    assert multiprocessing.active_children() == []


def test_a_killed_process_is_reported_and_not_waited_for():
    with pytest.raises(KinemaError, match="killed"):
        list(process_map(os._exit, [9, 9, 9], 2))
    assert multiprocessing.active_children() == []


def test_closing_stops_what_is_under_way():
    results = process_map(time.sleep, [0, 600, 600], 2)
    assert next(results) is None
    started = time.monotonic()
    results.close()
    assert time.monotonic() - started < 30
    assert multiprocessing.active_children() == []
