"""Text formats of results: SubRip (.srt) and WebVTT (.vtt) subtitles, and CSV.

Texts may hold anything: they cannot end a cue or begin one, style it, or become a formula of a spreadsheet.
"""

from __future__ import annotations

import csv
import html
import io
import re
from collections.abc import Iterable, Sequence

from kinema.text import printable

Cue = tuple[float, float, str]
"""(start_s, end_s, text)"""


def clock(seconds: float, separator: str) -> str:
    """Hours, minutes, seconds and milliseconds of a subtitle: `clock(3661.5, ",")` is `01:01:01,500`."""
    milliseconds = round(max(seconds, 0.0) * 1000)
    minutes, milliseconds = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02d}:{minutes:02d}:{milliseconds // 1000:02d}{separator}{milliseconds % 1000:03d}"


_STYLE = re.compile(r"(?<=[<{])(?=\S)")
_WORD_JOINER = "\u2060"
_NUMBER = re.compile(r"[+-]?[\d.]+(e[+-]?\d+)?")
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def _cue_text(text: str) -> str:
    """One line without the arrow of a time."""
    return printable(" ".join(text.split())).replace("-->", "->")


def srt(cues: Iterable[Cue]) -> str:
    r"""SubRip subtitles, numbered from 1. SubRip has no escapes: an invisible word joiner keeps `<b>` and `{\an8}` text."""
    return "\n".join(
        f"{number}\n{clock(start, ',')} --> {clock(end, ',')}\n{_STYLE.sub(_WORD_JOINER, _cue_text(text))}\n"
        for number, (start, end, text) in enumerate(cues, 1)
    )


def webvtt(cues: Iterable[Cue]) -> str:
    """WebVTT subtitles (W3C), for the <track> of a browser's <video>."""
    escaped = ((start, end, html.escape(_cue_text(text), quote=False)) for start, end, text in cues)
    return "WEBVTT\n\n" + "\n".join(
        f"{clock(start, '.')} --> {clock(end, '.')}\n{text}\n" for start, end, text in escaped
    )


def table_csv(
    header: Sequence[str], rows: Iterable[Sequence[object]], delimiter: str = ",", *, exact: bool = False
) -> str:
    """Delimited values with a header line, quoted if needed (RFC 4180, but with LF line ends).

    Args:
        header: names of the columns.
        rows: the values.
        delimiter: between the values.
        exact: keep each text as it is, for tables that kinema reads again. Otherwise a text that a spreadsheet takes for a
            formula (= + - @ at its start) gets an apostrophe before it, and control characters are escapes.
    """
    out = io.StringIO()
    writer = csv.writer(out, delimiter=delimiter, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows if exact else [[_cell(value) for value in row] for row in rows])
    return out.getvalue()


def _cell(value: object) -> object:
    if not isinstance(value, str):
        return value
    text = f"'{value}" if value.lstrip(" ").startswith(_FORMULA) and not _NUMBER.fullmatch(value) else value
    return printable(text)
