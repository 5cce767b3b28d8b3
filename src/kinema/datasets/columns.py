"""Which column of a manifest means what: other spellings are read, and near misses are errors.

A misspelt `split` that is ignored would train on test videos. So a column that may be one of ours is either read or an error, and
columns that are not used are reported.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from kinema.datasets.dataset import PART_OF
from kinema.datasets.tables import filled
from kinema.errors import DataError, UnknownName

if TYPE_CHECKING:
    from kinema.datasets.tables import Row

COLUMNS = ("path", "label", "start", "end", "split", "group")

_FILE_WORDS = ("file", "video", "clip", "film", "movie", "media")
_LABEL_WORDS = ("label", "class", "category", "action", "activity")
_SPELLINGS: dict[str, tuple[str, ...]] = {
    "path": (
        "path",
        *_FILE_WORDS,
        "filename",
        "filepath",
        "frame_dir",
        "frames_dir",
        *(
            f"{kind}_{word}"
            for kind in (*_FILE_WORDS, "relative", "rel")
            for word in ("path", "name", "file", "filename")
        ),
    ),
    "label": (
        *_LABEL_WORDS,
        "labels",
        "classes",
        "categories",
        "actions",
        "activities",
        "choice",
        "tag",
        "tags",
        "target",
        *(f"{kind}_{word}" for kind in (*_LABEL_WORDS, "video") for word in ("name", "label", "class")),
    ),
    "start": (),
    "end": (),
    "split": (
        "split",
        "splits",
        "part",
        "subset",
        "set",
        "partition",
        "fold",
        "phase",
        "usage",
        *(f"{kind}_{word}" for kind in ("data", "dataset", "train_test") for word in ("split", "part", "subset")),
        "split_name",
        "split_set",
    ),
    "group": ("group", "groups", "source", "group_id", "group_name", "source_id", "source_video", "source_file"),
}
"""Spellings in the form of `_plain`, the preferred one first. Those of start and end are made of words, see `_meaning`."""

_TIME_ROLES = {
    **dict.fromkeys(("start", "starts", "begin", "begins", "beginning", "from", "onset", "starting"), "start"),
    **dict.fromkeys(("end", "ends", "stop", "stops", "finish", "to", "until", "ending"), "end"),
}
_NEUTRAL = {
    *_FILE_WORDS, *_LABEL_WORDS, "s", "sec", "secs", "second", "seconds", "t", "time", "times", "timestamp", "at", "segment",
    "event", "in",
}  # fmt: skip
"""Words beside start and end that do not change the meaning: the time is in seconds, or a clock."""

_PART_WORDS = {*PART_OF, "val", "trainval", "validate", "holdout"} - {"eval"}
_INDEX = re.compile(r"(unnamed_\d+|index|(index_)?level_\d+)?")
"""The column of row numbers that pandas writes."""


def find_columns(rows: Sequence[Row], path: str, group_by: Collection[str] = ()) -> dict[str, str]:
    """The file's name of each of our columns; columns that the file does not have are left out.

    Args:
        rows: the table, at least one row.
        path: the file, for messages.
        group_by: columns that name the group; they have no other meaning.

    Raises:
        DataError: no path or label, a column that may be one of ours but cannot be read, or several for one.
    """
    names = [name for name in rows[0] if name not in group_by]
    found: dict[str, str] = {}
    for ours in COLUMNS:
        spelt = [name for name in names if _meaning(name) == ours]
        if spelt:
            found[ours] = _choose(ours, spelt, rows, path)
    for needed in ("path", "label"):
        if needed not in found:
            _check_numbered(names, path)
            near = UnknownName("column", needed, names).near
            rename = f"Did you mean {near[0]}? Rename it to {needed}" if near else ""
            do = rename or "the first line names the columns: path,label"
            raise DataError(f"no column {needed!r}", f"{path} has {', '.join(rows[0])}", do)
    _check_others([name for name in names if name not in found.values()], found, rows, path)
    return found


def unused_columns(row: Mapping[str, str], columns: Mapping[str, str], group_by: Collection[str]) -> list[str]:
    """Columns that are neither read nor a row number of pandas."""
    used = {*columns.values(), *group_by}
    return [name for name in row if name not in used and not _INDEX.fullmatch(_plain(name))]


def _plain(name: str) -> str:
    """A column's name in lower case, its words joined by "_": `Start-Time (s)` and `startTime s` are `start_time_s`."""
    text = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", unicodedata.normalize("NFKC", name))
    return "_".join(re.findall(r"[^\W_]+", text.lower()))


def _words(plain: str) -> list[str]:
    """The words of a name; `starttime` and `endframe` are two."""
    roles = "|".join(sorted((role for role in _TIME_ROLES if len(role) > 2), key=len, reverse=True))
    split = re.sub(rf"(?<![^\W_])({roles})(?=(time|sec|frame|ms|s\b))", r"\1_", plain)
    return [word for word in split.split("_") if word]


def _meaning(name: str) -> str | None:
    """Which of our columns a name surely is; None for other names."""
    plain = _plain(name)
    for ours, spellings in _SPELLINGS.items():
        if plain in spellings or plain.removesuffix("s") in spellings:
            return ours
    words = _words(plain)
    roles = {_TIME_ROLES[word] for word in words if word in _TIME_ROLES}
    others = {word for word in words if word not in _TIME_ROLES}
    return roles.pop() if len(roles) == 1 and others <= _NEUTRAL else None


def _choose(ours: str, spelt: Sequence[str], rows: Sequence[Row], path: str) -> str:
    """Our own name among several columns of one meaning; if none has it, they must agree."""
    own = [name for name in spelt if _plain(name) == ours]
    if len(own) > 1 or (not own and any(len({row[name] for name in spelt}) > 1 for row in rows)):
        do = f"rename the right one to {ours}, and the others to names of another meaning"
        raise DataError(
            f"{len(spelt)} columns may be the {ours}: {', '.join(own if len(own) > 1 else spelt)}", path, do
        )
    return (own or spelt)[0]


def _check_numbered(names: Iterable[str], path: str) -> None:
    """Check that labels are not divided over numbered columns, such as label_1 and label_2."""
    numbered = [name for name in names if _meaning(re.sub(r"[\W_]*\d+$", "", name)) == "label" and name[-1:].isdigit()]
    if numbered:
        do = "write all labels of a row into one column `label`, as run;jump"
        raise DataError(f"labels in numbered columns: {', '.join(numbered)}", path, do)


def _check_others(names: Sequence[str], found: Mapping[str, str], rows: Sequence[Row], path: str) -> None:
    """Check that no further column was meant as one of ours that is missing.

    Raises:
        DataError: one was; says how to rename it or what it must hold.
    """
    _check_numbered(names, path)
    for name in names:
        for ours in ("start", "end", "split"):
            if ours in found or not _is_near(name, ours, rows):
                continue
            do = f"rename it to {ours} if it holds {_HOLDS[ours]}; if it means something else, give it another name"
            raise DataError(f"column {name!r} may be meant as {ours!r}", path, do)


_HOLDS = {
    "start": "seconds (a frame number divided by the frame rate)",
    "end": "seconds (a frame number divided by the frame rate)",
    "split": "train, valid or test",
}


def _is_near(name: str, ours: str, rows: Sequence[Row]) -> bool:
    words = _words(_plain(name))
    if ours != "split":
        strong = {word for word, role in _TIME_ROLES.items() if role == ours and word not in ("to", "from")}
        return not strong.isdisjoint(words) or _is_misspelt(words, strong)
    known = ("split", "subset", "partition", "fold")
    if (
        not _PART_WORDS.isdisjoint(words)
        or _is_misspelt(words, known)
        or any(word in _plain(name) for word in known[:3])
    ):
        return True
    values = {value.lower() for row in rows if (value := filled(row[name]))}
    return bool(values) and values <= PART_OF.keys()


def _is_misspelt(words: Iterable[str], known: Iterable[str]) -> bool:
    """Whether a word is one of the known ones, or differs from one by a letter or two that changed places."""
    known = [word for word in known if len(word) > 2]
    return any(difflib.get_close_matches(word, known, n=1, cutoff=0.79) for word in words if len(word) > 2)
