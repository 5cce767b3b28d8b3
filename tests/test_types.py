import pytest

from kinema.types import Example, InputSpec, TimeSpan


def test_spans_overlap_by_hand():
    assert TimeSpan(0, 2).iou(TimeSpan(1, 3)) == pytest.approx(1 / 3)
    assert TimeSpan(0, 1).iou(TimeSpan(1, 2)) == 0
    with pytest.raises(ValueError, match="start < end"):
        TimeSpan(2, 2)


def test_an_input_spans_its_frames_and_survives_json():
    spec = InputSpec(clip_len=4, frame_stride=2, size=(96, 128), fps=25.0)
    assert (spec.span, spec.shape) == (7, (3, 4, 96, 128))
    assert InputSpec.from_json(spec.to_json()) == spec
    with pytest.raises(ValueError, match="clip_len"):
        InputSpec(clip_len=0)


def test_a_span_is_part_of_an_examples_key():
    whole, part = Example("a.mp4", ("x",)), Example("a.mp4", ("x",), TimeSpan(1, 2.5))
    assert (whole.key, part.key, part.label) == ("a.mp4", "a.mp4[1,2.5)", "x")
    late = [Example("a.mp4", ("x",), TimeSpan(start_s, 20000.0)).key for start_s in (12345.04, 12345.08)]
    assert late == ["a.mp4[12345.04,20000)", "a.mp4[12345.08,20000)"]


def test_another_size_scales_what_frames_are_squeezed_to():
    spec = InputSpec(size=(112, 112), squeezed=(128, 171))
    assert spec.with_(size=(56, 224)).squeezed == (64, 342)
    assert spec.with_(size=(56, 56), squeezed=None).squeezed is None
    assert spec.with_(fps=25.0).squeezed == (128, 171)


def test_the_streams_of_rgb_and_flow_take_their_own_channels():
    both = InputSpec(mean=(0.4,) * 3 + (0.5,) * 2, std=(0.2,) * 3 + (0.3,) * 2, modality="rgb+flow")
    assert (both.flow, both.num_channels, both.has_flow) == ("dis", 5, True)
    rgb, flow = both.part("rgb"), both.part("flow")
    assert (rgb.mean, rgb.flow, rgb.has_flow) == ((0.4,) * 3, "", False)
    assert (flow.std, flow.flow, flow.shape[0]) == ((0.3,) * 2, "dis", 2)
    with pytest.raises(ValueError, match="no part"):
        rgb.part("flow")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"std": (0.2, 0.2)}, "one positive value a channel"),
        ({"sampling": "sparse"}, "unknown self.sampling"),
        ({"squeezed": (100, 171)}, "cannot be cut out"),
        ({"modality": "depth"}, "unknown self.modality"),
        ({"modality": "flow"}, "flow has 2 channels"),
        ({"flow": "dis"}, "no optical flow"),
        ({"modality": "flow", "mean": (0.5,) * 2, "std": (0.5,) * 2, "flow": "eyes"}, "known are dis"),
    ],
)
def test_an_impossible_input_says_why(changes, message):
    with pytest.raises(ValueError, match=message):
        InputSpec(**changes)


FLOW = InputSpec(clip_len=2, size=(32, 32), mean=(128 / 255,) * 2, std=(127 / 255,) * 2, modality="flow")
BOTH = FLOW.with_(mean=(0.5,) * 3 + FLOW.mean, std=(0.2,) * 3 + FLOW.std, modality="rgb+flow")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"flow": "horn"}, "unknown"),
        ({"mean": (0.5,) * 3, "std": (0.5,) * 3}, "flow has 2 channels"),
        ({"modality": "depth"}, "modality"),
        ({"modality": "rgb", "flow": "dis", "mean": (0.5,) * 3, "std": (0.5,) * 3}, "no optical flow"),
    ],
)
def test_inputs_of_flow_that_cannot_be_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        FLOW.with_(**changes)


def test_the_parts_of_an_input_of_rgb_and_flow():
    assert FLOW.flow == "dis"
    assert BOTH.part("flow") == FLOW
    assert BOTH.part("rgb").modality == "rgb"
    assert BOTH.part("rgb").flow == ""
    assert BOTH.part("rgb").num_channels == 3
    with pytest.raises(ValueError, match="no part"):
        FLOW.part("rgb")
