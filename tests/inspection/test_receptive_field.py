"""Fields by hand: intervals, axes that are combined and taken apart."""

from __future__ import annotations

import math

import pytest
import torch

from kinema.inspection.receptive_field import Atom, Field, distribute, field_of, input_field, set_field, slide, union

CLIP = (1, 3, 8, 16, 16)


def test_input_sees_itself():
    field = input_field(CLIP)
    assert field.size(CLIP[2:]) == (1, 1, 1)
    assert field.axes[2] == (Atom(8, axis=0, jump=1),)


def test_two_windows_of_three_see_five():
    field = slide(input_field(CLIP), (3, 3, 3), (1, 1, 1), (1, 1, 1), (1, 1, 1), CLIP)
    field = slide(field, (3, 1, 1), (1, 1, 1), (1, 0, 0), (1, 1, 1), CLIP)
    assert (field.size(CLIP[2:]), field.low[0], field.high[0]) == ((5, 3, 3), -2, 2)


def test_a_stride_spreads_what_a_later_window_sees():
    field = slide(input_field(CLIP), (1, 2, 2), (1, 2, 2), (0, 0, 0), (1, 1, 1), (1, 3, 8, 8, 8))
    field = slide(field, (1, 3, 3), (1, 1, 1), (0, 1, 1), (1, 1, 1), (1, 3, 8, 8, 8))
    assert field.size(CLIP[2:]) == (1, 6, 6)


def test_a_sum_sees_all_of_its_axis():
    assert input_field(CLIP).summed(2).size(CLIP[2:]) == (8, 1, 1)
    assert input_field(CLIP).summed(2).axes[2] == ()


def test_frames_go_into_the_batch_and_come_back():
    field = input_field(CLIP)
    merged = field.reshaped((3, 8 * 16, 16))
    assert merged.axes[1] == (Atom(8, 0, 1), Atom(16, 1, 1))
    assert merged.reshaped(CLIP).axes[2:] == field.axes[2:]


def test_an_axis_that_cuts_through_an_atom_has_no_order():
    axes = distribute([Atom(6, axis=0, jump=1)], (4, 3))
    assert axes == ((Atom(4, mixed=(0,)),), (Atom(3, mixed=(0,)),))
    field = slide(Field((0,) * 3, (0,) * 3, axes), (3,), (1,), (1,), (1,), (4, 3))
    assert field.high[0] == math.inf


def test_union_takes_the_axis_that_varies():
    first = input_field(CLIP)
    wide = first.widened(0, 2, 1)
    bias = Field(first.low, first.high, ((Atom(3),), *[(Atom(1),)] * 3))
    joined = union([bias, wide], CLIP)
    assert (joined.low[0], joined.high[0]) == (-2, 1)
    assert joined.axes[2:] == first.axes[2:]


@pytest.mark.parametrize("value", [3, "clip", None, torch.zeros(2)])
def test_only_tensors_with_a_field_have_one(value: object):
    assert field_of(value) is None


def test_a_tensor_carries_its_field():
    clip = torch.zeros(CLIP)
    set_field(clip, input_field(CLIP))
    assert field_of(clip) == input_field(CLIP)
