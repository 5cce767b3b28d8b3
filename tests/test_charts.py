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


def test_a_class_keeps_the_colour_of_its_index_whatever_its_rank(track: Timeline) -> None:
    expected = dict(zip(LABELS, charts.PALETTE, strict=False))
    for scores in np.eye(3, dtype=np.float32):
        found = Prediction("film.mp4", LABELS, scores, TimeSpan(0, 10), track)
        for top in (1, 2, 3):
            assert legend_of(found.plot(top)).items() <= expected.items()


def seen(colours: list[str], machado: list[list[float]]) -> np.ndarray:
    """Colours in Oklab (Ottosson 2020) as seen with a deficiency, given as a matrix for linear RGB (Machado et al. 2009)."""
    rgb = np.array([[int(colour[i : i + 2], 16) for i in (1, 3, 5)] for colour in colours]) / 255
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4) @ np.transpose(machado)
    cones = [[0.4122, 0.5363, 0.0514], [0.2119, 0.6807, 0.1074], [0.0883, 0.2817, 0.6300]]
    lab = [[0.2105, 0.7936, -0.0041], [1.9780, -2.4286, 0.4506], [0.0259, 0.7828, -0.8087]]
    return np.cbrt(linear.clip(0) @ np.transpose(cones)) @ np.transpose(lab)


@pytest.mark.parametrize(
    "machado",
    [
        np.eye(3),
        [[0.1523, 1.0526, -0.2049], [0.1145, 0.7863, 0.0993], [-0.0039, -0.0481, 1.0520]],  # protanopia
        [[0.3673, 0.8606, -0.2280], [0.2801, 0.6725, 0.0474], [-0.0118, 0.0429, 0.9689]],  # deuteranopia
    ],
)
def test_twenty_colours_can_be_distinguished_also_by_the_colour_blind(machado) -> None:
    points = seen(list(charts.class_colours([str(number) for number in range(20)]).values()), machado)
    distances = np.linalg.norm(points[:, None] - points[None], axis=2)
    assert distances[~np.eye(20, dtype=bool)].min() > 0.07


def test_sixty_classes_have_a_colour_each() -> None:
    assert len(set(charts.class_colours([str(number) for number in range(60)]).values())) == 60


def legend_of(figure: Figure) -> dict[str, str]:
    legend = figure.axes[0].get_legend()
    return {
        text.get_text(): to_hex(line.get_color())
        for text, line in zip(legend.get_texts(), legend.get_lines(), strict=True)
    }


def test_charts_take_the_colours_they_are_given(track: Timeline) -> None:
    figure = a_prediction(track).plot(2, {"b": "#123456", "a": "#654321", "c": "#111111"})
    assert legend_of(figure) == {"b": "#123456", "a": "#654321"}


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


HOSTILE = ("$x^{2$ and $", "_hidden_", "100% a\\b", "$\\frac{", "<b>&amp;", "a\nb\x1b[31m")


def hostile_figures():
    scores = np.full(len(HOSTILE), 1 / len(HOSTILE), np.float32)
    times = np.array([0.5, 1.5])
    rows = np.tile(scores, (2, 1))
    track = Timeline(rows, times, np.stack([times - 0.5, times + 0.5], axis=1), HOSTILE, rows)
    yield Prediction(f"{HOSTILE[0]}.mp4", HOSTILE, scores, TimeSpan(0, 2), track).plot(6)
    yield Prediction(f"{HOSTILE[3]}.mp4", HOSTILE, scores, TimeSpan(0, 2)).plot(6)
    yield charts.confusion_matrix(np.eye(6, dtype=int), HOSTILE)
    yield charts.scatter([(name, 1.0 + place, 0.5) for place, name in enumerate(HOSTILE)], "GMACs", "hit@1")
    yield charts.paired_bars([(name, 1.0, 2.0) for name in HOSTILE], "left", "right", "$a$_$b$")


@pytest.mark.parametrize("number", range(5))
def test_labels_are_drawn_literally(number: int, tmp_path) -> None:
    figure = list(hostile_figures())[number]
    charts.save_figure(figure, tmp_path / "a.png")  # mathtext would raise
    charts.save_figure(figure, tmp_path / "a.svg")
    tree = ElementTree.parse(tmp_path / "a.svg")
    texts = {element.text for element in tree.iter("{http://www.w3.org/2000/svg}text")}
    assert {*HOSTILE[:5], r"a\nb\x1b[31m"} <= texts


def test_labels_without_a_font_are_escapes_in_images_and_text_in_svg(tmp_path, caplog) -> None:
    figure = charts.bars([("\U00012000 a", 0.5, 0.4, 0.6), ("b", 0.2, 0.2, 0.2)])  # cuneiform
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == [r"\U00012000 a", "b"]
    charts.save_figure(figure, tmp_path / "a.svg")
    assert not caplog.messages
    assert ">\U00012000 a<" in (tmp_path / "a.svg").read_text()
    for _ in range(2):
        charts.save_figure(figure, tmp_path / "a.png")
    assert [message.split(":")[0] for message in caplog.messages] == ["no font for all characters of \U00012000 a"]
