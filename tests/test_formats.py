from kinema import formats


def test_clocks_and_escapes():
    assert formats.clock(3661.5, ",") == "01:01:01,500"
    assert "a &lt; b &amp; c" in formats.webvtt([(0, 1, "a < b & c")])
    assert formats.table_csv(["a"], [['say "x", y']]) == 'a\n"say ""x"", y"\n'


def test_subtitles_are_numbered_and_tables_can_have_tabs():
    cues = [(0.0, 1.5, "run"), (1.5, 2.0, "jump")]
    assert formats.srt(cues) == "1\n00:00:00,000 --> 00:00:01,500\nrun\n\n2\n00:00:01,500 --> 00:00:02,000\njump\n"
    assert formats.table_csv(["a", "b"], [[1, None]], "\t") == "a\tb\n1\t\n"


INJECTED = "a\n\n2\n00:00:01,000 --> 00:00:02,000\n<b>x</b>{\\an8} & 1 < 2\x1b[2J"


def test_a_label_cannot_add_a_cue_or_style() -> None:
    text = formats.srt([(0, 1, INJECTED), (1, 2, "b")])
    assert text.count("-->") == 2
    assert len(text.split("\n\n")) == 2
    assert "\x1b" not in text
    assert "<b>" not in text
    assert "{\\an8}" not in text
    assert text.replace("\u2060", "").splitlines()[2].endswith(r"<b>x</b>{\an8} & 1 < 2\x1b[2J")
    text = formats.webvtt([(0, 1, INJECTED)])
    assert text.count("-->") == 1
    assert len(text.strip().split("\n\n")) == 2
    assert "&lt;b&gt;x&lt;/b&gt;" in text


def test_no_cell_of_a_table_is_a_formula() -> None:
    cells = ["=1+1", "+x", "-x", "@x", "\t=x", " =x", "\uff1dx", "-0.5", "a=b"]
    lines = formats.table_csv(["label", "score"], [[cell, -0.5] for cell in cells]).splitlines()[1:]
    expected = ["'=1+1", "'+x", "'-x", "'@x", r"'\t=x", "' =x", "'\uff1dx", "-0.5", "a=b"]
    assert lines == [f"{cell},-0.5" for cell in expected]
    assert formats.table_csv(["path"], [["=a.mp4"]], exact=True) == "path\n=a.mp4\n"
