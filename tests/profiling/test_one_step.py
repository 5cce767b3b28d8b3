from __future__ import annotations

from kinema.models import build
from kinema.profiling.one_step import training_step
from kinema.training.options import FitOptions


def test_a_step_on_the_same_clips_learns_them():
    network = build("single_frame_tiny", num_classes=3, spec={"size": (24, 24)})
    step = training_step(network, FitOptions(batch_size=4, precision="f32", label_smoothing=0.0, lr=0.01), "cpu")
    losses = [step() for _ in range(12)]
    assert losses[-1] < 0.7 * losses[0]
