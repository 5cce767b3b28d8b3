from __future__ import annotations

import json

from kinema.text import escaped, json_line, printable


def test_what_moves_a_terminals_cursor_or_reorders_a_line_is_an_escape() -> None:
    text = "\x1b[31mred\x07 \x9b2J a\nb \u202etxt \udcff \u2066"
    assert printable(text) == r"\x1b[31mred\x07 \x9b2J a\nb \u202etxt \udcff \u2066"
    assert printable("a\nb\r", lines=True) == "a\nb\\r"


def test_words_of_any_script_stay() -> None:
    for text in ("跑步", "مرحبا", "👩\u200d🚀", "naïve $x_1$ \\ %"):
        assert printable(text) == text
    assert escaped("跑a") == r"\u8dd1\x61"


def test_json_has_no_control_characters_and_is_the_same_value() -> None:
    value = {"label": "a\x9b2J\x7f\u2028 跑"}
    line = json_line(value)
    assert line.isprintable()
    assert "跑" in line
    assert json.loads(line) == value
