"""Progress that nobody watches."""

from __future__ import annotations

from kinema.runs.progress import SILENT


def test_silent_progress_takes_every_report_and_prints_nothing(capsys):
    with SILENT.count("work", 3) as advance:
        advance(2)
    with SILENT.download("weights") as downloaded:
        downloaded(1, 0)
    with SILENT.training("network", 5) as display:
        assert display is None
    assert capsys.readouterr() == ("", "")
