"""Tables and text on a terminal: literal, whole, and as wide as there is room."""

from __future__ import annotations

import pytest

from kinema.console.tables import Column, fitting, plain_console, print_lines, print_list

COLUMNS = (Column("name", 0), Column("note", 2, least=6), Column("size", 1, "right"))
ROWS = [["a_rather_long_name", "some words to wrap", "1"], ["b", "", "10"]]


def test_text_is_printed_as_it_is(capsys):
    plain_console().print("walk [slow] :100: [/b]")
    plain_console(stderr=True).print("[bold]x")
    assert capsys.readouterr() == ("walk [slow] :100: [/b]\n", "[bold]x\n")


@pytest.mark.parametrize(("room", "shown"), [(100, [0, 1, 2]), (25, [0, 2]), (12, [0]), (1, [0])])
def test_columns_of_the_greatest_rank_are_left_out_first(room, shown):
    assert fitting([0, 2, 1], [10, 10, 10], room) == shown


def test_without_a_terminal_all_columns_are_printed_a_line_a_row(capsys):
    print_list(COLUMNS, ROWS)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines[:3]] == [
        ["name", "note", "size"],
        ["a_rather_long_name", *["some", "words", "to", "wrap", "1"]],
        ["b", "10"],
    ]


def test_on_a_narrow_terminal_names_stay_whole_and_left_out_columns_are_named(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "22")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    print_list(COLUMNS, ROWS)
    out = capsys.readouterr().out
    assert "a_rather_long_name" in out
    assert "no room here for: note, size" in out


def test_tables_and_sentences_in_a_file_are_not_wrapped_whatever_columns_says(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "30")
    print_list(COLUMNS, [["x" * 120, "y z" * 60, "1"]])
    print_lines(["word " * 60 + "end"])
    lines = [line for line in capsys.readouterr().out.splitlines() if line]
    assert [len(line) > 200 for line in lines] == [True, True, True]


def test_a_terminal_wraps_sentences_between_words_and_keeps_their_indent(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "30")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    print_lines(["  one two three four five six seven", "", "path/" * 10])
    assert capsys.readouterr().out == f"  one two three four five six\n    seven\n\n{'path/' * 10}\n"


def test_control_characters_are_printed_as_escapes(capsys):
    from kinema.console.tables import Column, plain_console, print_lines, print_list

    plain_console().print("a\x1b[31mb\r.mp4", style="bold")
    print_lines(["c\x1b]0;title\x07d"])
    print_list([Column("label", 0)], [["e\x1b[2Jf"]])
    out = capsys.readouterr().out
    assert "a\\x1b[31mb\\r.mp4" in out
    assert "c\\x1b]0;title\\x07d" in out
    assert "e\\x1b[2Jf" in out
    assert "\x1b" not in out
