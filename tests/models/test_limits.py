"""The limit on the size of a network that a file describes."""

from __future__ import annotations

import pytest
from torch import nn

from kinema.errors import ConfigError
from kinema.models.limits import MOST_MODULES, SPARE, limited_size


def test_a_network_of_the_files_size_is_built_and_a_much_larger_one_is_not():
    with limited_size(100):
        nn.Linear(10, 10)
    with pytest.raises(ConfigError, match="its file has 100"), limited_size(100):
        nn.Linear(SPARE, 2)
    with pytest.raises(ConfigError, match=f"more than {MOST_MODULES} layers"), limited_size(100):
        nn.Sequential(*(nn.Identity() for _ in range(MOST_MODULES + 1)))


def test_the_limit_ends_with_its_block():
    with limited_size(0):
        pass
    nn.Linear(SPARE // 4, 5, device="meta")
