import numpy as np
import pytest

from kinema.inference.detectors.layouts import LAYOUTS

SIZE = (64, 96)  # rows, columns: 96 + 24 + 6 cells at strides 8, 16, 32


def test_shapes_tell_the_layouts_apart():
    shapes = {
        "FastestDet": [(1, 85, 4, 6)],
        "YOLOX": [(1, 126, 85)],
        "NanoDet": [(1, 96, 80), (1, 24, 80), (1, 6, 80), (1, 96, 32), (1, 24, 32), (1, 6, 32)],
    }
    for name, outputs in shapes.items():
        assert {other for other in LAYOUTS if LAYOUTS[other].num_classes(outputs, SIZE)} == {name}
        assert LAYOUTS[name].num_classes(outputs, SIZE) == 80
    assert not any(layout.num_classes([(1, 25200, 85)], SIZE) for layout in LAYOUTS.values())


def test_nanodet_may_have_32_classes_and_its_outputs_in_any_order():
    pairs = [(1, 96, 32), (1, 96, 32), (1, 24, 32), (1, 24, 32), (1, 6, 32), (1, 6, 32)]
    assert LAYOUTS["NanoDet"].num_classes(pairs, SIZE) == 32
    assert (
        LAYOUTS["NanoDet"].num_classes([(1, 6, 32), (1, 96, 1), (1, 24, 1), (1, 6, 1), (1, 96, 32), (1, 24, 32)], SIZE)
        == 1
    )


def test_fastestdet_is_decoded_by_hand():
    output = np.zeros((1, 7, 4, 6), np.float32)
    output[0, :, 2, 3] = [
        0.5,
        np.arctanh(0.5),
        0,
        0,
        0,
        0.25,
        0.8,
    ]  # half the frame high and wide, half a cell to the right
    boxes, scores = LAYOUTS["FastestDet"].decode([output], SIZE)
    row = 2 * 6 + 3
    assert boxes[row] == pytest.approx([3.5 * 16 - 24, 32 - 16, 3.5 * 16 + 24, 32 + 16])
    assert scores[row] == pytest.approx([0.5**0.6 * 0.25**0.4, 0.5**0.6 * 0.8**0.4])


def test_yolox_is_decoded_by_hand():
    output = np.zeros((1, 126, 6), np.float32)
    output[0, 96 + 6 + 2] = [0.5, 0.25, np.log(2), np.log(3), 0.9, 0.8]  # stride 16, row 1, column 2
    boxes, scores = LAYOUTS["YOLOX"].decode([output], SIZE)
    assert boxes[102 + 2] == pytest.approx([40 - 16, 20 - 24, 40 + 16, 20 + 24], rel=1e-5)
    assert scores[104] == pytest.approx([0.72])


def test_nanodet_is_decoded_by_hand():
    scores = [np.full((1, count, 2), 0.1, np.float32) for count in (96, 24, 6)]
    bins = [np.zeros((1, count, 4, 8), np.float32) for count in (96, 24, 6)]
    for side, distance in enumerate((0, 1, 2, 1)):
        bins[1][0, 8, side, distance] = 100  # stride 16, row 1, column 2
    boxes, found = LAYOUTS["NanoDet"].decode([*scores, *(part.reshape(1, -1, 32) for part in bins)], SIZE)
    assert boxes[96 + 8] == pytest.approx([39.5, 23.5 - 16, 39.5 + 32, 23.5 + 16])
    assert found.shape == (126, 2)


def test_a_letterbox_keeps_the_shape_of_a_frame_and_fills_the_rest():
    layout = LAYOUTS["YOLOX"]
    assert layout.resized((100, 50), (64, 64)) == (64, 32)
    assert layout.scale((100, 50), (64, 64)) == pytest.approx([100 / 64] * 4)
    blob = layout.blob(np.full((64, 32, 3), [10, 20, 30], np.uint8), (64, 64))
    assert blob[0, :, 0, 0].tolist() == [30, 20, 10]  # blue, green, red
    assert (blob[0, :, :, 32:] == 114).all()


def test_other_layouts_stretch_a_frame():
    layout = LAYOUTS["NanoDet"]
    assert layout.resized((100, 50), (64, 64)) == (64, 64)
    assert layout.scale((100, 50), (64, 64)) == pytest.approx([50 / 64, 100 / 64] * 2)
