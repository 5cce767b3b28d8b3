"""Three frames as the colours of one: what the network sees, and that it then sees motion."""

from __future__ import annotations

import pytest
import torch

from kinema.errors import ConfigError
from kinema.inspection.summary import summarize
from kinema.models import Network, build
from kinema.models.layers.grey_time import GreyTime
from kinema.types import InputSpec
from kinema.weights.checkpoint import ModelCard, load_checkpoint, save_checkpoint

BACKBONE = {"backbone": "test_resnet", "num_classes": 2}


def network(name: str, clip_len: int = 6, **arguments) -> Network:
    torch.manual_seed(0)
    return build(name, spec={"clip_len": clip_len, "size": (32, 32)}, **BACKBONE, **arguments).eval()


def test_colours_are_the_brightness_of_three_frames():
    """By hand: (0.299 r + 0.587 g + 0.114 b) of the first frame is the red of the first picture, and so on."""
    spec = InputSpec(clip_len=6, size=(4, 5))
    pixels = torch.rand(2, 3, 6, 4, 5)
    mean, std = (torch.tensor(values).view(3, 1, 1, 1) for values in (spec.mean, spec.std))
    shown = GreyTime(spec)((pixels - mean) / std) * std + mean
    grey = 0.299 * pixels[:, 0] + 0.587 * pixels[:, 1] + 0.114 * pixels[:, 2]
    for step in range(2):
        torch.testing.assert_close(shown[:, :, step], grey[:, 3 * step : 3 * step + 3])


@pytest.mark.parametrize("name", ["tsn", "tsm", "inflated"])
def test_a_still_grey_clip_is_what_it_was(name: str):
    """What does not move has no colour: the network sees the picture that it would have seen."""
    plain, grey = network(name, clip_len=2), network(name, grey_time=True)
    mean, std = (torch.tensor(values).view(3, 1, 1, 1) for values in (plain.spec.mean, plain.spec.std))
    clip = (torch.rand(2, 1, 1, 32, 32).expand(2, 3, 6, 32, 32) - mean) / std
    grey.load_state_dict(plain.state_dict())
    with torch.no_grad():
        torch.testing.assert_close(grey(clip), plain(clip[:, :, ::3]), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("grey_time", "learns"), [(True, True), (False, False)])
def test_frames_alone_then_tell_directions_of_motion(grey_time: bool, learns: bool, learn_motion):
    found, shuffled = learn_motion(network("tsn", dropout=0.0, grey_time=grey_time))
    assert found > 0.9 if learns else found < 0.75
    assert shuffled < 0.75


def test_it_costs_as_much_as_a_third_of_the_frames():
    costs = [summarize(one) for one in (network("tsn", 2), network("tsn", 6, grey_time=True))]
    assert costs[0].params == costs[1].params
    assert costs[1].macs / costs[0].macs == pytest.approx(1, abs=0.02)


def test_it_travels_with_the_checkpoint(tmp_path):
    grey = network("inflated", grey_time=True)
    save_checkpoint(tmp_path / "net", grey, ModelCard.of(grey, ("a", "b")))
    again, _ = load_checkpoint(tmp_path / "net")
    clip = torch.randn(1, 3, 6, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(again(clip), grey(clip))


def test_frames_that_three_does_not_divide_are_refused():
    with pytest.raises(ConfigError, match=r"clip_len=8: grey_time needs a multiple of three"):
        network("tsn", 8, grey_time=True)
