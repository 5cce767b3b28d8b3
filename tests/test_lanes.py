from __future__ import annotations

import numpy as np
import pytest

from kinema.charts import figure_svg
from kinema.lanes import MOST_LANES, lanes

LABELS = ("walk [slow]", "jump", "clap")


def _names(figure) -> list[str]:
    return [text.get_text() for text in figure.axes[0].get_yticklabels()]


def test_each_label_that_was_found_has_a_lane_in_the_order_of_classes():
    figure = lanes([(3, 4, "clap", 0.5), (0, 2, "walk [slow]", 0.9), (5, 6, "clap", 0.8)], LABELS, 10.0)
    assert _names(figure) == ["walk [slow]", "clap"]
    bars = figure.axes[0].collections
    assert len(bars) == 3
    assert bars[0].get_alpha() < bars[2].get_alpha() < bars[1].get_alpha() == 1
    assert figure.axes[0].get_xlim() == (0, 10)


def test_nothing_found_says_so_above_the_curves():
    times_s = np.arange(20) / 2
    figure = lanes([], LABELS, 10.0, {"jump": (times_s, np.zeros(20))})
    assert "nothing found" in figure_svg(figure)
    assert _names(figure) == ["jump"]


@pytest.mark.parametrize("scores", [np.array([0.0, 1.0]), np.array([-30.0, 55.0])])
def test_curves_stay_in_their_lane_whatever_the_scores(scores):
    figure = lanes([(0, 1, "jump", 0.5)], LABELS, 1.0, {"jump": (np.array([0.0, 1.0]), scores)})
    heights = figure.axes[0].lines[0].get_ydata()
    assert heights.min() >= 0
    assert heights.max() < 1


def test_labels_beyond_the_most_lanes_share_one():
    labels = [f"label {number}" for number in range(MOST_LANES + 5)]
    spans = [(number, number + 1 + number / 100, label, 1.0) for number, label in enumerate(labels)]
    names = _names(lanes(spans, labels, 40.0))
    assert len(names) == MOST_LANES + 1
    assert names[-1] == "other labels"


def test_long_videos_have_clock_times():
    figure = lanes([(0, 600, "jump", 1.0)], LABELS, 7200.0)
    assert "1:00:00" in figure_svg(figure)
