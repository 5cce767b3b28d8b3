from __future__ import annotations

import numpy as np
import pytest

from kinema.errors import KinemaError
from kinema.evaluation import VideoScores


def test_scores_that_are_not_numbers_are_an_error() -> None:
    with pytest.raises(KinemaError, match="not numbers: 7"):
        VideoScores("7", 0, np.array([[np.nan, 0.5, 0.5]], np.float32))


def test_the_score_of_a_video_is_the_mean_of_its_views() -> None:
    video = VideoScores("7", (0, 2), np.array([[0.2, 0.4, 0.4], [0.6, 0.4, 0.0]], np.float32))
    assert video.targets == (0, 2)
    np.testing.assert_allclose(video.video, [0.4, 0.4, 0.2], rtol=1e-6)


def test_scores_without_views_or_with_a_wrong_target_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one view"):
        VideoScores("7", 0, np.zeros((0, 3), np.float32))
    with pytest.raises(ValueError, match="not among 3 classes"):
        VideoScores("7", 3, np.full((1, 3), 1 / 3, np.float32))
