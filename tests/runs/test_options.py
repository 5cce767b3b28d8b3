"""Settings that several commands share."""

from __future__ import annotations

import pytest

from kinema.errors import ConfigError
from kinema.runs.options import ModelOptions, ScoringOptions, parse_arguments, parse_size


def test_sizes_are_height_and_width_or_one_number_for_both():
    assert parse_size("128x171") == (128, 171)
    assert parse_size("112") == (112, 112)
    for text in ("big", "1x2x3", "0", "x", "-3"):
        with pytest.raises(ConfigError, match="HEIGHTxWIDTH"):
            parse_size(text)


def test_arguments_are_json_or_text():
    found = parse_arguments(("width=48", "widths=[4,8]", "head=mean", "dropout=0.5", "text=a=b"))
    assert found == {"width": 48, "widths": [4, 8], "head": "mean", "dropout": 0.5, "text": "a=b"}
    with pytest.raises(ConfigError, match="name=value"):
        parse_arguments(("width",))


def test_only_given_settings_change_the_input():
    assert ModelOptions().spec_changes() == {}
    changes = ModelOptions(clip_len=4, size="32x40", mean=(0.5, 0.5, 0.5)).spec_changes()
    assert changes == {"clip_len": 4, "size": (32, 40), "mean": (0.5, 0.5, 0.5)}
    assert ModelOptions(clip_len=12, size="32").build("slow_fusion_tiny", 3).spec.shape == (3, 12, 32, 32)


@pytest.mark.parametrize("settings", [{"crops": 2}, {"clips": 0}, {"workers": -1}, {"batch_size": 0}])
def test_views_that_cannot_be_are_refused(settings):
    with pytest.raises(ConfigError):
        ScoringOptions(**settings)
