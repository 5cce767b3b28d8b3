"""Names from files and data sets as text that is safe to show: no control characters, and none that reorder a line.

A label or a file name may hold anything, such as an escape sequence that moves a terminal's cursor.
"""

from __future__ import annotations

import json
import re

# C0 and C1 controls and DEL, line separators, marks that override the direction of text, and bytes that are not UTF-8
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_UNSAFE_LINES = re.compile(f"(?!\n){_UNSAFE.pattern}")


def printable(text: str, *, lines: bool = False) -> str:
    r"""The text on one line (with `lines` on its lines), each unsafe character as a Python escape.

    >>> printable("a\x1b[31mb\n")
    'a\\x1b[31mb\\n'
    """
    return (_UNSAFE_LINES if lines else _UNSAFE).sub(lambda found: escaped(found[0]), text)


def escaped(text: str) -> str:
    r"""Each character as a Python escape, such as `\x1b` or `\u8dd1`.

    >>> print(escaped("跑"))
    \u8dd1
    """
    return "".join(
        char.encode("unicode_escape").decode()
        if not char.isascii() or not char.isprintable()
        else f"\\x{ord(char):02x}"
        for char in text
    )


def json_line(value: object) -> str:
    """A JSON document on one line that is safe to print: JSON leaves some control characters as they are."""
    return _UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", json.dumps(value, ensure_ascii=False))
