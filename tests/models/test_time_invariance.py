"""Why filters over time slide: what was learned at one time must be known at another.

Early fusion has a filter of its own for each moment. A 3-D network moves one filter through time, so that a motion that it
saw early in a clip is the same motion late in it.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from kinema.models import build
from kinema.models.network import Network

CLIP_LEN, SIZE, EVENT = 16, 48, 6


def draw_events(count: int, first: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """A blob that moves left (0) or right (1) for six frames from frame `first` or one of the two after it, else nothing."""
    labels = torch.arange(count) % 2
    clips = torch.randn(count, 3, CLIP_LEN, SIZE, SIZE, generator=generator) * 0.05
    rows, columns = torch.meshgrid(torch.arange(SIZE) - SIZE / 2, torch.arange(SIZE) - SIZE / 2, indexing="ij")
    blob = 2 * torch.exp(-(rows**2 + columns**2) / (2 * 6.0**2))
    for clip, label in zip(clips, labels, strict=True):
        begin = first + int(torch.randint(3, (), generator=generator))
        down, across = (int(torch.randint(SIZE, (), generator=generator)) for _ in range(2))
        for step in range(EVENT):
            moved = across + 4 * step * (1 if label else -1)
            clip[:, begin + step] += torch.roll(blob, (down, moved), (0, 1))
    return clips, labels


def accuracy_early_and_late(network: Network, steps: int) -> tuple[float, float]:
    """Learn events of the first half of a clip; judge on new ones there, and on the same in the second half."""
    generator = torch.Generator().manual_seed(0)
    optimizer = torch.optim.AdamW(network.parameters(), 3e-3)
    for _ in range(steps):
        clips, labels = draw_events(32, 0, generator)
        optimizer.zero_grad()
        nn.functional.cross_entropy(network.train()(clips), labels).backward()
        optimizer.step()
    found = []
    for first in (0, CLIP_LEN - EVENT - 2):
        clips, labels = draw_events(96, first, generator)
        with torch.no_grad():
            found.append(float((network.eval()(clips).argmax(1) == labels).float().mean()))
    return found[0], found[1]


@pytest.mark.parametrize(("name", "knows_it_later"), [("early_fusion_tiny", False), ("slow_fusion_tiny", True)])
def test_only_filters_that_slide_know_a_motion_at_another_time(name: str, knows_it_later: bool):
    torch.manual_seed(0)
    network = build(name, num_classes=2, spec={"clip_len": CLIP_LEN, "size": (SIZE, SIZE)})
    early, late = accuracy_early_and_late(network, steps=60)
    assert early >= 0.9
    assert late >= 0.9 if knows_it_later else late <= 0.7
