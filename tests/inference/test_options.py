"""Options as keyword arguments are the fields of their dataclasses, and impossible values are refused."""

from __future__ import annotations

import inspect
from dataclasses import fields
from typing import get_type_hints

import pytest

import kinema
from kinema import models
from kinema.engines.options import EngineOptions
from kinema.errors import UnknownName, UsageError
from kinema.inference.options import (
    FeatureOptions,
    FeatureOverrides,
    LocalizeOptions,
    LocalizeOverrides,
    PredictOptions,
    PredictOverrides,
)
from kinema.inference.predictor import Predictor
from kinema.weights.checkpoint import ModelCard

LABELS = ("a", "b", "c")


@pytest.mark.parametrize(
    ("options", "overrides"),
    [(PredictOptions, PredictOverrides), (FeatureOptions, FeatureOverrides), (LocalizeOptions, LocalizeOverrides)],
)
def test_overrides_are_the_fields_with_their_types(options: type, overrides: type) -> None:
    hints = get_type_hints(options)
    assert get_type_hints(overrides) == {field.name: hints[field.name] for field in fields(options)}
    assert not overrides.__required_keys__


def test_overrides_change_single_fields_and_are_checked() -> None:
    options = PredictOptions(rolling=5, num_crops=3)
    assert PredictOptions.of(options, rolling=1) == PredictOptions(num_crops=3)
    assert FeatureOptions.of(pool="max") == FeatureOptions(pool="max")
    with pytest.raises(UnknownName, match="mean"):
        FeatureOptions.of(pool="meen")
    with pytest.raises(UnknownName, match="no option called 'roling': Did you mean rolling"):
        PredictOptions.of(roling=3)


@pytest.mark.parametrize(
    ("function", "options"),
    [
        (kinema.Predictor, EngineOptions),
        (kinema.Predictor.__call__, PredictOptions),
        (kinema.Predictor.features, FeatureOptions),
    ],
)
def test_help_names_every_option(function, options: type) -> None:
    signature, text = inspect.signature(function), inspect.getdoc(function)
    assert options.__name__ in signature.parameters["options"].annotation
    assert "Overrides" in signature.parameters["overrides"].annotation
    assert text is not None
    (listed,) = (
        part for part in text.replace("Args:", "\n\n").split("\n\n") if "overrides: fields of `options`" in part
    )
    assert [field.name for field in fields(options) if field.name not in listed] == []


def test_fast_seek_and_optical_flow_do_not_go_together(two_part_film) -> None:
    pytest.importorskip("cv2")
    network = models.build("temporal_stream_small", num_classes=3)
    predictor = Predictor(network, ModelCard.of(network, LABELS), device="cpu")
    with pytest.raises(UsageError, match="neighbouring"):
        predictor(two_part_film, fast_seek="keyframes")


def test_a_misspelt_fast_seek_is_an_error(make_predictor, two_part_film) -> None:
    with pytest.raises(UnknownName, match="keyframes"):
        make_predictor()(two_part_film, fast_seek="keyframe")


@pytest.mark.parametrize("wrong", [{"readers": 0}, {"decode_threads": 0}])
def test_impossible_numbers_of_threads_are_errors(wrong, make_predictor, two_part_film) -> None:
    with pytest.raises(UsageError):
        make_predictor()(two_part_film, **wrong)
