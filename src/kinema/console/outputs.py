"""Results may replace earlier results of the same command, but never an input, a run or a checkpoint."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from kinema.errors import OutputError, UsageError
from kinema.files import check_folder


def output_names(sources: Sequence[str], given: Sequence[str]) -> dict[str, Path]:
    """Where the outputs of each source go, relative to the output folder and without an ending.

    Folders below a given folder are mirrored. A file keeps its name without its ending; files that would then have the same
    name in one folder, such as a.avi and a.mp4, keep their endings, and further ones get a number. Case does not make names
    differ, because on some systems it does not.

    Args:
        sources: paths of videos.
        given: the arguments that led to them: files, folders, patterns.
    """
    roots = [Path(one).resolve() for one in given if one != "-" and os.path.isdir(one)]
    places: dict[str, Path] = {}
    for source in sources:
        path = Path(source)
        resolved = Path(os.path.abspath(path))
        root = next((one for one in roots if one != resolved and resolved.is_relative_to(one)), None)
        places[source] = resolved.relative_to(root) if root else Path(path.name)
    different = {str(place).casefold(): str(place.with_suffix("")).casefold() for place in places.values()}
    stems = Counter(different.values())
    taken: set[str] = set()
    names: dict[str, Path] = {}
    for source, place in places.items():
        short = place.with_suffix("")
        base = name = short if stems[str(short).casefold()] == 1 else place
        number = 2
        while str(name).casefold() in taken:
            name, number = base.with_name(f"{base.name}-{number}"), number + 1
        taken.add(str(name).casefold())
        names[source] = name
    return names


_MARKS = {
    "environment.json": "a run",
    "model.json": "a checkpoint",
    "compare.json": "a comparison",
    "evaluation.json": "an evaluation",
    "film_rendered.mp4": "a demonstration",
}
"""The kind of a folder, by a file that only such folders have."""


def check_results(folder: str | Path, names: Iterable[str], own: str) -> None:
    """Make sure that results in a folder only replace earlier results of the same command.

    Args:
        folder: of the results; it need not exist.
        names: of the files that will be written.
        own: the file that marks a folder with results of this command.

    Raises:
        OutputError: the folder holds other results, or one of the files, or cannot be a folder.
    """
    check_folder(folder)
    place, do = Path(folder), "give another --out"
    _check_kind(place, own)
    if (place / own).exists():
        return
    for name in names:
        if (place / name).exists():
            raise OutputError("there is a file of that name", place / name, do)


def check_result(path: str | Path, inputs: Iterable[str | Path]) -> None:
    """Make sure that a single file replaces no input, and no file of a run or of other results.

    Raises:
        OutputError: it would.
    """
    path = Path(path)
    if not path.exists():
        return
    if any(os.path.exists(given) and path.samefile(given) for given in inputs):
        raise OutputError("an input is never overwritten", path, "give --out another name")
    _check_kind(path.parent)


VIDEO_ENDINGS = (".mp4", ".webm", ".mkv", ".gif")
"""Of the files that a video can be drawn into."""


def check_rendered(path: str, names: Mapping[str, Path], count: int) -> None:
    """Make sure that labels are drawn into a new file of a kind that can be written, or into another folder.

    Args:
        path: as the user gave it, a file or a folder.
        names: see `output_names`.
        count: number of all inputs, with those that lead to no file.

    Raises:
        UsageError: another kind of file, an input, or one file for several videos.
        OutputError: a video would be overwritten, or the folder cannot be written.
    """
    ending = Path(path).suffix.lower()
    is_video = ending in VIDEO_ENDINGS
    if ending and not is_video and not Path(path).is_dir() and not path.endswith("/"):
        do = f"use one of {', '.join(VIDEO_ENDINGS)}, or end a folder's name with /"
        raise UsageError("cannot draw into a video of this kind", path, do)
    check_folder(Path(path).parent if is_video else path)
    target = Path(path).resolve()
    if any(target == (Path(source).resolve() if is_video else Path(source).resolve().parent) for source in names):
        raise UsageError("the video would be written over itself", path, "give --render another name")
    for video in [target] if is_video else [Path(path) / f"{name}.mp4" for name in names.values()]:
        if video.exists():
            raise OutputError("a video is never overwritten", video, "give --render another name, or delete it")
    if count > 1 and is_video:
        raise UsageError(f"{count} videos cannot be drawn into one file", path, "give --render a folder")


def rendered_path(path: str, name: Path, *, single: bool) -> Path:
    """The video that labels are drawn into: the file itself, or one in the folder."""
    is_file = single and Path(path).suffix.lower() in VIDEO_ENDINGS
    return Path(path) if is_file else Path(path) / f"{name}.mp4"


def _check_kind(folder: Path, own: str = "") -> None:
    for mark, kind in _MARKS.items():
        if mark != own and (folder / mark).exists():
            raise OutputError(f"{kind} is never overwritten", folder, "give another --out")
