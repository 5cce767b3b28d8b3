import numpy as np
import pytest

from kinema.localization.kalman import BoxState


def moving(time_s: float) -> np.ndarray:
    """A box of 40 x 80 pixels that moves by 30 px/s to the right."""
    return np.array([30 * time_s, 0, 30 * time_s + 40, 80])


def test_two_steps_predict_the_same_as_one():
    state = BoxState.first(moving(0)).predicted(0.1).updated(moving(0.1))
    twice, once = state.predicted(0.04).predicted(0.06), state.predicted(0.1)
    assert twice.mean == pytest.approx(once.mean)
    assert twice.covariance == pytest.approx(once.covariance, rel=1e-3)  # the noise follows the size, which changes


@pytest.mark.parametrize("fps", [5, 25])
def test_velocity_is_learned_in_pixels_a_second(fps):
    state = BoxState.first(moving(0))
    for number in range(1, 2 * fps + 1):
        state = state.predicted(1 / fps).updated(moving(number / fps))
    assert state.mean[0, 1] == pytest.approx(30, rel=0.05)
    assert state.predicted(1.0).box == pytest.approx(moving(3), abs=2)


def test_the_size_of_a_box_out_of_sight_stays():
    state = BoxState(np.array([[0, 5], [0, 0], [40, 10], [80, -20]], float), np.repeat(np.eye(2)[None], 4, axis=0))
    assert state.predicted(1.0, keep_size=True).mean[:, 0].tolist() == [5, 0, 40, 80]
