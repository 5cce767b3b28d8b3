"""Encoders by name: what a checkpoint stores, and how a publisher's preprocessing becomes an input. No hub is asked."""

from __future__ import annotations

import pytest

from kinema.errors import ConfigError, UnknownName
from kinema.models.hub_encoder import Family
from kinema.models.hub_source import FAMILIES, HubSource, _as_preprocessed
from kinema.types import InputSpec

TINY = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 4, "intermediate_size": 64, "patch_size": 8}
CONFIG = {"model_type": "videomae", "num_frames": 4, "image_size": 32, **TINY}


def test_a_stored_configuration_builds_the_same_layers_without_the_hub():
    pytest.importorskip("transformers")
    source = HubSource("hf:somebody/videomae", {"config": CONFIG})
    assert (source.place, source.family) == ("somebody/videomae", FAMILIES["videomae"])
    spec = source.input(InputSpec())
    assert (spec.clip_len, spec.size) == (4, (32, 32))
    again = HubSource("hf:somebody/videomae", source.args)
    first, second = source.open(spec), again.open(spec)
    shapes = [{name: value.shape for name, value in one.state_dict().items()} for one in (first, second)]
    assert shapes[0] == shapes[1]


def test_only_a_configuration_can_be_given():
    with pytest.raises(UnknownName, match="Did you mean config"):
        HubSource("hf:somebody/videomae", {"confg": {}})


def test_a_text_model_is_no_video_encoder():
    pytest.importorskip("transformers")
    with pytest.raises(ConfigError, match="is no video encoder: model type bert"):
        _ = HubSource("hf:somebody/bert", {"config": {"model_type": "bert"}}).family


@pytest.mark.parametrize(
    ("values", "mean", "std"),
    [
        ({"image_mean": [0.5] * 3, "image_std": [0.25] * 3}, 0.5, 0.25),
        ({"do_normalize": False}, 0.0, 1.0),
        ({"do_rescale": False, "image_mean": [127.5] * 3, "image_std": [51.0] * 3}, 0.5, 0.2),
        ({"rescale_factor": 1 / 127.5, "offset": True, "image_mean": [0.0] * 3, "image_std": [1.0] * 3}, 0.5, 0.5),
        ({}, 0.5, 0.5),
    ],
    ids=["usual", "plain", "bytes", "offset", "unsaid"],
)
def test_preprocessing_becomes_mean_and_deviation_of_pixels_up_to_one(
    values: dict[str, object], mean: float, std: float
):
    family = Family("Any", offset=1.0 if "offset" in values else 0.0)
    spec = _as_preprocessed(InputSpec(size=(32, 32)), values, family)
    assert (spec.mean, spec.std) == (pytest.approx((mean,) * 3), pytest.approx((std,) * 3))


def test_a_centre_crop_has_a_short_side_and_a_fixed_size_is_stretched():
    spec, family = InputSpec(size=(32, 32)), Family("Any")
    cropped = _as_preprocessed(spec, {"do_center_crop": True, "size": {"shortest_edge": 40}}, family)
    assert (cropped.short_side, cropped.resize) == (40, "crop")
    assert _as_preprocessed(spec, {"size": {"height": 32, "width": 32}}, family).resize == "stretch"
