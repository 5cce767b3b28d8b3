"""Films that are dark, then light, and a network that tells the two apart."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from kinema.engines.winograd import conv as winograd_conv
from kinema.errors import OutputError
from kinema.inference.predictor import Predictor
from kinema.models.network import Network
from kinema.types import InputSpec
from kinema.weights.checkpoint import ModelCard


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    """A cache folder of the test's own."""
    monkeypatch.setenv("KINEMA_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def compiled() -> None:
    """What needs a C compiler is left out where there is none; it is looked for once."""
    try:
        winograd_conv.transforms()
    except OutputError as error:
        pytest.skip(str(error))


SPEC = InputSpec(clip_len=4, frame_stride=2, size=(16, 16), mean=(0.5,) * 3, std=(0.25,) * 3)


class Brightness(Network):
    """Class 1 for light clips, class 0 for dark ones; counts the clips it has seen."""

    def __init__(self, spec: InputSpec = SPEC, num_classes: int = 2) -> None:
        super().__init__(spec, 1, num_classes)
        with torch.no_grad():
            self.classifier.weight.copy_(torch.linspace(-1, 1, num_classes)[:, None])
        self.variant = "brightness"
        self.num_seen = 0
        self.largest_batch = 0

    def features(self, clip: Tensor) -> Tensor:
        self.num_seen += 0 if clip.is_meta else len(clip)  # a network may be looked at without computing anything
        self.largest_batch = max(self.largest_batch, len(clip))
        return clip.mean(dim=(1, 2, 3, 4))[:, None]

    def stages(self) -> list[tuple[str, nn.Module]]:
        return []


@pytest.fixture
def make_predictor() -> Callable[..., Predictor]:
    def make(batch_size: int = 8, **changes: object) -> Predictor:
        network = Brightness(SPEC.with_(**changes))
        card = ModelCard("brightness", {}, ("dark", "light"), input=network.spec)
        return Predictor(network, card, device="cpu", precision="f32", batch_size=batch_size)

    return make


@pytest.fixture(scope="session")
def two_part_film(tmp_path_factory: pytest.TempPathFactory, write_frames: Callable[..., Path]) -> Path:
    """4 s at 25 frames/s: 2 s dark, 2 s light."""
    levels = np.repeat([30, 220], 50)
    frames = [np.full((32, 48, 3), level, np.uint8) for level in levels]
    return write_frames(tmp_path_factory.mktemp("films") / "two_parts.mp4", frames)
