from __future__ import annotations

from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from kinema import charts
from kinema.predictions import Prediction, Segment, Timeline
from kinema.types import TimeSpan

LABELS = ("a", "b", "c")


@pytest.fixture
def track() -> Timeline:
    raw = np.random.default_rng(0).dirichlet(np.ones(3), 10).astype(np.float32)
    times = np.arange(10) + 0.5
    return Timeline(raw, times, np.stack([times - 0.5, times + 0.5], axis=1), LABELS, raw, rolling=4)


def a_prediction(track: Timeline | None) -> Prediction:
    scores = np.array([0.2, 0.7, 0.1], dtype=np.float32)
    return Prediction("film.mp4", LABELS, scores, TimeSpan(0, 10), track, (Segment(TimeSpan(0, 6), "b", 0.7),))


def a_timeline(track: Timeline) -> Figure:
    return charts.timeline(
        track.times_s, track.scores, LABELS, [(0, 6, "b"), (6, 9, "elsewhere")], raw=track.raw, title="a"
    )


def all_figures(track: Timeline):
    yield a_prediction(track).plot()
    yield a_prediction(None).plot()
    yield a_timeline(track)
    yield charts.confusion_matrix(np.arange(9).reshape(3, 3), LABELS)
    yield charts.confusion_matrix(np.eye(70, dtype=int), [str(i) for i in range(70)])
    yield charts.curves([{"epoch": 1, "train_loss": 2.0, "lr": 0.1}, {"epoch": 2, "train_loss": 1.0, "lr": None}])
    yield charts.curves([])
    yield charts.bars([("a", 0.5, 0.4, 0.6), ("b", 0.2, 0.2, 0.2)])
    yield charts.scatter([("a", 1.0, 0.5), ("b", 100.0, 0.9)], "GMACs", "hit@1")


@pytest.mark.parametrize("number", range(9))
def test_every_chart_draws_as_png_and_as_svg(track: Timeline, number: int, tmp_path) -> None:
    figure = list(all_figures(track))[number]
    charts.save_figure(figure, tmp_path / "chart.png")
    assert (tmp_path / "chart.png").read_bytes().startswith(b"\x89PNG")
    ElementTree.fromstring(charts.figure_svg(figure))


def test_ink_takes_the_colour_of_the_page(track: Timeline) -> None:
    svg = charts.figure_svg(a_timeline(track), "p-")
    assert "currentColor" in svg
    assert charts.INK not in svg
    assert 'id="p-' in svg


def test_ribbon_shows_the_segments(track: Timeline) -> None:
    ribbon = a_prediction(track).plot().axes[-1]
    boxes = [path.get_extents() for collection in ribbon.collections for path in collection.get_paths()]
    assert [(box.x0, box.x1) for box in boxes] == [(0, 6)]


def test_spans_of_labels_without_a_line_are_grey(track: Timeline) -> None:
    lines, ribbon = a_timeline(track).axes
    assert [to_hex(collection.get_facecolor()[0]) for collection in ribbon.collections] == [
        charts.PALETTE[1],
        charts.OTHER,
    ]
    assert len(lines.lines) == 2 * len(LABELS)  # each label before and after smoothing


def test_every_class_has_a_colour_of_its_own_far_beyond_the_palette() -> None:
    colours = charts.class_colours([str(number) for number in range(21)])
    assert list(colours.values())[: len(charts.PALETTE)] == list(charts.PALETTE)
    assert len(set(colours.values())) == 21


def test_charts_take_the_colours_they_are_given(track: Timeline) -> None:
    figure = a_prediction(track).plot(2, {"b": "#123456", "a": "#654321", "c": "#111111"})
    lines = {line.get_label(): line.get_color() for line in figure.axes[0].lines}
    assert {name: lines[name] for name in "ab"} == {"b": "#123456", "a": "#654321"}


def test_curves_have_a_panel_for_each_kind_of_number() -> None:
    rows = [{"epoch": 1, "train_loss": 2.0, "valid_loss": 2.0, "valid_hit_at_1": 0.5, "lr": 0.1, "seconds": 3.0}]
    figure = charts.curves(rows)
    assert [ax.get_ylabel() for ax in figure.axes] == ["loss", "score", "rate"]
    assert len(figure.axes[0].lines) == 2


def test_pyplot_stays_untouched(track: Timeline) -> None:
    import sys

    before = "matplotlib.pyplot" in sys.modules
    list(all_figures(track))
    assert ("matplotlib.pyplot" in sys.modules) == before


def test_paired_bars_share_their_names_and_go_logarithmic_over_two_decades():
    figure = charts.paired_bars(
        [("slow", 0.5, 20.0), ("quick", 900.0, 40.0)], "clips a second", "% of the peak", "here"
    )
    left, right = figure.axes
    assert [label.get_text() for label in left.get_yticklabels()] == ["slow", "quick"]
    assert (left.get_xscale(), right.get_xscale()) == ("log", "linear")
    assert (left.get_xlabel(), right.get_xlabel()) == ("clips a second", "% of the peak")
    assert [bar.get_width() for bar in right.patches] == [20.0, 40.0]
