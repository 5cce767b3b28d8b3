r"""Fonts of the system for labels in any script: the first choice is DejaVu Sans, which comes with matplotlib.

Characters without a font are written as escapes, `\u8dd1`, so that a chart never has an empty box in place of a word.
"""

from __future__ import annotations

import functools
import itertools
import logging
import unicodedata
from collections.abc import Iterable

from kinema.text import escaped, printable

FIRST = "DejaVu Sans"
_LATIN = frozenset(map(chr, (*range(0x20, 0x7F), *range(0xA0, 0x180))))
"""Latin characters, which need no search for a font."""

_REGULAR = ("400", "normal", "regular", "book")

_log = logging.getLogger("kinema")


@functools.cache
def characters_of(path: str) -> frozenset[str]:
    """The characters of a font file as outlines; none if it cannot be read or has pictures, as colour emoji have."""
    from matplotlib.ft2font import FT2Font

    try:
        font = FT2Font(path)
    except (OSError, RuntimeError):
        return frozenset()
    return frozenset(map(chr, font.get_charmap())) if font.scalable and "color" not in path.lower() else frozenset()


@functools.cache
def _files(count: int) -> dict[str, str]:
    """The file of each family in its upright, regular style, if matplotlib knows `count` fonts."""
    from matplotlib.font_manager import fontManager

    regular = [font for font in fontManager.ttflist if font.style == "normal" and str(font.weight) in _REGULAR]
    # "Last Resort" has a box for each character
    return {font.name: font.fname for font in regular if not font.name.startswith("Last Resort")}


def _known() -> int:
    from matplotlib.font_manager import fontManager

    return len(fontManager.ttflist)


def families_for(text: str) -> tuple[str, ...]:
    """Families that together have the characters of a text as far as the system's fonts do, `FIRST` first."""
    return _families(frozenset(text) - _LATIN, _known())


@functools.cache
def _families(characters: frozenset[str], count: int) -> tuple[str, ...]:
    found = [FIRST]
    if characters:
        files = _files(count)
        rest = characters - characters_of(files[FIRST])
        while rest:
            # sorted: of families with as many of the characters, all machines take the same
            best = max(sorted(files), key=lambda name: len(rest & characters_of(files[name])))
            if not rest & characters_of(files[best]):
                break
            found.append(best)
            rest -= characters_of(files[best])
    return tuple(found)


def drawable(text: str) -> str:
    """The text on one line, with escapes in place of characters that no font of the system has."""
    safe = printable(text)
    families = families_for(safe)
    return "".join(char if char in _LATIN or _file_of(char, families) else escaped(char) for char in safe)


def has_no_font(text: str) -> bool:
    """Whether characters of the text are drawn as escapes because no font has them."""
    return drawable(text) != printable(text)


def runs(text: str) -> list[tuple[str, str]]:
    """Parts of a drawable text and the font file of each. Text from right to left is one part, which keeps its order."""
    families = families_for(text)
    if any(unicodedata.bidirectional(char) in ("R", "AL") for char in text):
        files = [_files(_known())[name] for name in families]
        return [(max(files, key=lambda file: len(characters_of(file) & set(text))), text)]
    parts = [(_file_of(char, families) or _files(_known())[FIRST], char) for char in text]
    grouped = itertools.groupby(parts, key=lambda part: part[0])
    return [(file, "".join(char for _, char in group)) for file, group in grouped]


def _file_of(char: str, families: Iterable[str]) -> str | None:
    files = (_files(_known())[name] for name in families)
    return next((file for file in files if char in characters_of(file)), None)


@functools.cache
def warn_without_font(labels: frozenset[str]) -> None:
    """Log once that labels are drawn as escapes."""
    names = ", ".join(sorted(map(printable, labels))[:3])
    do = "install a font that has them, such as Noto Sans CJK"
    _log.warning("no font for all characters of %s: they are drawn as escapes: %s", names, do)
