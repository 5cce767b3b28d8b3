"""TSN's consensus."""

from __future__ import annotations

import pytest
import torch

from kinema.errors import ConfigError
from kinema.models import build
from kinema.models.network import Network


@torch.no_grad()
def test_consensus_of_tsn():
    def tsn(**how) -> Network:
        return build("tsn", backbone="test_resnet", num_classes=3, spec={"size": (32, 32)}, **how).eval()

    encoded = torch.tensor([[[1.0, 8.0], [3.0, 0.0], [2.0, -1.0], [0.0, 4.0]]])
    short = torch.tensor([2])
    assert tsn().join(encoded).tolist() == [[1.5, 2.75]]
    assert tsn(consensus="max").join(encoded).tolist() == [[3, 8]]
    assert tsn(consensus="top", top=2).join(encoded).tolist() == [[2.5, 6]]
    assert tsn(consensus="top", top=3).join(encoded, short).tolist() == tsn().join(encoded, short).tolist() == [[2, 4]]
    with pytest.raises(ConfigError, match="consensus"):
        tsn(consensus="median")
    with pytest.raises(ConfigError, match="top > 0"):
        tsn(consensus="top", top=0)
