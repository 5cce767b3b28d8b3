"""Text formats of results: SubRip (.srt) and WebVTT (.vtt) subtitles, and CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

Cue = tuple[float, float, str]
"""(start_s, end_s, text)"""


def clock(seconds: float, separator: str) -> str:
    """Hours, minutes, seconds and milliseconds of a subtitle: `clock(3661.5, ",")` is `01:01:01,500`."""
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
    """WebVTT subtitles (W3C), for the <track> of a browser's <video>."""
    escaped = ((start, end, text.replace("&", "&amp;").replace("<", "&lt;")) for start, end, text in cues)
    return "WEBVTT\n\n" + "\n".join(
        f"{clock(start, '.')} --> {clock(end, '.')}\n{text}\n" for start, end, text in escaped
    )


def table_csv(header: Sequence[str], rows: Iterable[Sequence[object]], delimiter: str = ",") -> str:
    """Delimited values with a header line, quoted if needed (RFC 4180, but with LF line ends)."""
    out = io.StringIO()
    writer = csv.writer(out, delimiter=delimiter, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return out.getvalue()
