"""Sizes and counts of Karpathy et al. 2014, worked out by hand from the paper's notation."""

from __future__ import annotations

import pytest
import torch

from kinema.inspection.summary import summarize
from kinema.models import build, build_without_weights
from kinema.models.karpathy import ResponseNorm, Tower

CONV1, CONV2, CONV3 = 96 * 3 * 11 * 11, 256 * 96 * 5 * 5, 384 * 256 * 3 * 3
CONV4, CONV5 = 384 * 384 * 3 * 3, 256 * 384 * 3 * 3
BIASES = 96 + 256 + 384 + 384 + 256
TOWER = CONV1 + CONV2 + CONV3 + CONV4 + CONV5 + BIASES
HEAD = 4096 * 4096 + 4096 + 4096 * 487 + 487
FC6 = 7 * 7 * 256 * 4096


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("single_frame", TOWER + FC6 + 4096 + HEAD),
        ("early_fusion", TOWER + 9 * CONV1 + FC6 + 4096 + HEAD),
        ("late_fusion", TOWER + 2 * FC6 + 4096 + HEAD),
        ("slow_fusion", TOWER + 3 * CONV1 + CONV2 + CONV3 + FC6 + 4096 + HEAD),
        ("single_frame_multires", 2 * TOWER + 2 * FC6 + 4096 + HEAD),
        ("single_frame_fovea", TOWER + FC6 + 4096 + HEAD),
        ("single_frame_context", TOWER + FC6 + 4096 + HEAD),
    ],
)
def test_parameters_are_those_of_the_paper(name: str, params: int):
    assert summarize(build_without_weights(name)).params == params


def test_full_frame_tower_goes_54_27_14_7():
    outputs = {layer.name: layer.output for layer in summarize(build_without_weights("single_frame")).layers}
    assert outputs["towers.frame.conv1.conv"] == (96, 1, 54, 54)
    assert outputs["towers.frame.conv1.pool"] == (96, 1, 27, 27)
    assert outputs["towers.frame.conv2.pool"] == (256, 1, 14, 14)
    assert outputs["towers.frame.conv5.pool"] == (256, 1, 7, 7)


def test_slow_fusion_goes_10_4_2_1_over_time():
    layers = {layer.name: layer for layer in summarize(build_without_weights("slow_fusion")).layers}
    convs = [layers[f"towers.frame.conv{index}.conv"] for index in (1, 2, 3)]
    assert [layer.output[1] for layer in convs] == [4, 2, 1]
    assert [layer.receptive_field[0] for layer in convs] == [4, 6, 10]


def test_late_fusion_sees_two_frames_15_apart_with_shared_weights():
    spec = build_without_weights("late_fusion").spec
    assert (spec.clip_len, spec.frame_stride, spec.span) == (2, 15, 16)


def test_pixels_go_in_minus_117():
    spec = build_without_weights("single_frame").spec
    assert (200 / 255 - spec.mean[0]) / spec.std[0] == pytest.approx(200 - 117)


def test_response_norm_does_not_divide_alpha_by_n():
    x = torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]).reshape(1, 6, 1, 1, 1) * 100
    squares = sum(float(x[0, c]) ** 2 for c in (0, 1, 2, 3, 4))  # two neighbours on each side of channel 2
    assert float(ResponseNorm()(x)[0, 2]) == pytest.approx(300 / (2 + 1e-4 * squares) ** 0.5, rel=1e-5)


def test_tower_knows_its_output_size():
    tower = Tower(3, times=((4, 2), (2, 2), (2, 2)), width=0.05)
    for clip_len, size in ((10, (170, 170)), (14, (121, 90))):
        with torch.no_grad():
            assert tower(torch.zeros(1, 3, clip_len, *size)).numel() == tower.output_size(clip_len, size)


def test_top_three_layers_are_fc6_fc7_and_the_classifier():
    assert [name for name, _ in build("slow_fusion_multires", width=0.02).stages()] == [
        *(f"conv{index}" for index in range(1, 6)),
        "fc6",
        "fc7",
    ]
