"""Fonts are found by the characters that they have; the tests draw a font of their own."""

from __future__ import annotations

from pathlib import Path

import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib import font_manager

from kinema import charts, fonts

RUN, JUMP = "\U00012000", "\U00012001"  # cuneiform, which DejaVu Sans has not


def square() -> object:
    pen = TTGlyphPen(None)
    pen.moveTo((100, 0))
    for point in ((100, 700), (700, 700), (700, 0)):
        pen.lineTo(point)
    pen.closePath()
    return pen.glyph()


def draw_font(path: Path, characters: str) -> Path:
    names = [".notdef", *(f"g{ord(char)}" for char in characters)]
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder(names)
    builder.setupCharacterMap(dict(zip(map(ord, characters), names[1:], strict=True)))
    builder.setupGlyf({name: square() for name in names})
    builder.setupHorizontalMetrics(dict.fromkeys(names, (800, 0)))
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": "Drawn", "styleName": "Regular"})
    builder.setupOS2(usWeightClass=400)
    builder.setupPost()
    builder.save(str(path))
    return path


@pytest.fixture
def drawn_font(tmp_path, monkeypatch) -> Path:
    path = draw_font(tmp_path / "drawn.ttf", RUN)
    monkeypatch.setattr(font_manager.fontManager, "ttflist", list(font_manager.fontManager.ttflist))
    font_manager.fontManager.addfont(path)
    return path


def test_a_font_that_has_the_characters_is_taken(drawn_font, tmp_path) -> None:
    assert fonts.families_for(f"a{RUN}") == ("DejaVu Sans", "Drawn")
    assert fonts.drawable(f"a{RUN}{JUMP}") == rf"a{RUN}\U00012001"
    (first, latin), (second, other) = fonts.runs(f"a {RUN}")
    assert (latin, other, Path(second)) == ("a ", RUN, drawn_font)
    assert "DejaVu" in first
    charts.save_figure(charts.bars([(RUN, 0.5, 0.5, 0.5)]), tmp_path / "a.png")  # a missing glyph would warn


def test_without_a_font_characters_are_escapes() -> None:
    assert fonts.drawable(f"a{RUN}") == r"a\U00012000"


def test_text_from_right_to_left_is_one_part() -> None:
    assert [text for _, text in fonts.runs("مرحبا run")] == ["مرحبا run"]


def test_a_file_that_is_no_font_has_no_characters(tmp_path) -> None:
    (tmp_path / "a.ttf").write_bytes(b"no font")
    assert fonts.characters_of(str(tmp_path / "a.ttf")) == frozenset()
