from __future__ import annotations

import pytest
import torch

from kinema.weights.convert import convert, fit_classifier


def test_patterns_are_applied_one_after_the_other_from_the_start_of_a_name():
    tensors = {"module.fc.weight": torch.ones(1), "module.layer1.fc.bias": torch.zeros(1)}
    converted = convert(tensors, ((r"module\.", ""), (r"fc\.", "classifier."), (r"layer(\d)\.", r"stage\1.")))
    assert list(converted) == ["classifier.weight", "stage1.fc.bias"]
    assert converted["classifier.weight"] is tensors["module.fc.weight"]


def test_a_tensor_without_a_name_is_left_out():
    assert convert({"head": torch.ones(1), "body": torch.ones(1)}, ((r"head$", ""),)).keys() == {"body"}


def test_two_tensors_of_one_name_are_refused():
    with pytest.raises(ValueError, match="two tensors would be called 'a', the second was 'c'"):
        convert({"b": torch.ones(1), "c": torch.ones(1)}, ((r"[bc]", "a"),))


def test_a_classifier_of_single_pixels_becomes_a_matrix():
    filters = torch.randn(5, 3, 1, 1, 1)
    assert torch.equal(fit_classifier({"classifier.weight": filters})["classifier.weight"], filters[:, :, 0, 0, 0])
    larger = {"classifier.weight": torch.randn(5, 3, 1, 2, 2)}
    assert fit_classifier(larger) is larger
