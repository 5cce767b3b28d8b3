from kinema import formats


def test_clocks_and_escapes():
    assert formats.clock(3661.5, ",") == "01:01:01,500"
    assert "a &lt; b &amp; c" in formats.webvtt([(0, 1, "a < b & c")])
    assert formats.table_csv(["a"], [['say "x", y']]) == 'a\n"say ""x"", y"\n'


def test_subtitles_are_numbered_and_tables_can_have_tabs():
    cues = [(0.0, 1.5, "run"), (1.5, 2.0, "jump")]
    assert formats.srt(cues) == "1\n00:00:00,000 --> 00:00:01,500\nrun\n\n2\n00:00:01,500 --> 00:00:02,000\njump\n"
    assert formats.table_csv(["a", "b"], [[1, None]], "\t") == "a\tb\n1\t\n"
