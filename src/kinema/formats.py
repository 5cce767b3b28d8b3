"""Text forms of timed results: SubRip (.srt), WebVTT (.vtt) and CSV. Plain rows in, text out."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

Cue = tuple[float, float, str]
"""(start_s, end_s, text)"""


def clock(seconds: float, separator: str) -> str:
    """`clock(3661.5, ",")` is `01:01:01,500`."""
    milliseconds = round(max(seconds, 0.0) * 1000)
    minutes, milliseconds = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02d}:{minutes:02d}:{milliseconds // 1000:02d}{separator}{milliseconds % 1000:03d}"


def srt(cues: Iterable[Cue]) -> str:
    """SubRip subtitles, numbered from 1."""
    return "\n".join(
        f"{number}\n{clock(start, ',')} --> {clock(end, ',')}\n{text}\n"
        for number, (start, end, text) in enumerate(cues, 1)
    )


def webvtt(cues: Iterable[Cue]) -> str:
    """WebVTT subtitles (W3C), as browsers' <track> takes them."""
    escaped = ((start, end, text.replace("&", "&amp;").replace("<", "&lt;")) for start, end, text in cues)
    return "WEBVTT\n\n" + "\n".join(
        f"{clock(start, '.')} --> {clock(end, '.')}\n{text}\n" for start, end, text in escaped
    )


def table_csv(header: Sequence[str], rows: Iterable[Sequence[object]], delimiter: str = ",") -> str:
    """Separated values with a header line, quoted where needed (RFC 4180, but with bare line feeds)."""
    out = io.StringIO()
    writer = csv.writer(out, delimiter=delimiter, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return out.getvalue()
