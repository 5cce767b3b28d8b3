"""Tables and text on a terminal: literal, whole, and as wide as there is room."""

from __future__ import annotations

import pytest

from kinema.console.tables import Column, fitting, plain_console, print_list

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
