"""Networks by name."""

from __future__ import annotations

import pytest
import torch

from kinema.errors import UnknownName
from kinema.weights.named import open_network


def test_a_network_by_name_has_always_the_same_weights():
    first, again = (open_network("single_frame_tiny")[0].state_dict() for _ in range(2))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert open_network("resnet10t")[0].variant == "single_frame"
    with pytest.raises(UnknownName, match="slow_fusion_tiny"):
        open_network("slow_fusion_tinny")
