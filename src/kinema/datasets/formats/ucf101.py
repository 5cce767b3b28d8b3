"""UCF-101 (Soomro et al. 2012): videos in class folders, official lists beside them, three folds of train and test.

    classInd.txt       1 ApplyEyeMakeup
    trainlist01.txt    ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi 1
    testlist01.txt     ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01.avi

`g08` is the film a clip was cut from. There is no official validation part: `split_data` takes one out of train, by
films.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

from kinema.datasets.dataset import DataSet, check_listed, finish
from kinema.datasets.formats.folder import group_of, walk
from kinema.errors import DataError
from kinema.labels import Labels
from kinema.types import Example


def lists_folder(root: str) -> str | None:
    """The folder, `root` or one in it, where the official lists are."""
    return next(
        (where for where, _, names in walk(root, 2) if "classInd.txt" in names and "trainlist01.txt" in names), None
    )


def list_ucf101(root: str, labels: Labels | None = None, fold: int = 1) -> DataSet:
    """List UCF-101 by one of its official folds.

    Raises:
        DataError: no lists, no such fold, or videos that are listed but not there.
    """
    lists = lists_folder(root)
    if lists is None:
        raise DataError("no UCF-101 lists", root, "put classInd.txt, trainlist01.txt and testlist01.txt in there")
    names = [line.split(None, 1)[1] for line in read_lines(os.path.join(lists, "classInd.txt"))]
    listed = [(name, part) for part in ("train", "test") for name in _read_list(lists, part, fold)]
    videos = _videos_folder(root, [name for name, _ in listed])
    examples = [
        Example(os.path.join(videos, *name.split("/")), (name.split("/")[0],), split=part, group=group_of(name))
        for name, part in listed
    ]
    check_listed([example.path for example in examples], lists)
    return finish("UCF-101", root, examples, labels, own=Labels(tuple(names)))


def read_lines(path: str) -> list[str]:
    """The lines of a text file that are not empty, without the white space around them.

    Raises:
        DataError: it cannot be read.
    """
    return [line for _, line in numbered_lines(path)]


def numbered_lines(path: str) -> list[tuple[int, str]]:
    """The same with the number of each in the file, from 1.

    Raises:
        DataError: it cannot be read.
    """
    try:
        with open(path, encoding="utf-8-sig") as file:
            return [(number, line.strip()) for number, line in enumerate(file, 1) if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError("cannot read this list", path, "check that the file is there and complete") from error


def _read_list(folder: str, part: str, fold: int) -> Iterator[str]:
    for line in read_lines(os.path.join(folder, f"{part}list{fold:02d}.txt")):
        yield re.sub(r"\s+\d+$", "", line)


def _videos_folder(root: str, names: list[str]) -> str:
    """The folder that the names in the lists count from: the first that holds one of their class folders."""
    classes = {name.split("/")[0] for name in names}
    return next((where for where, folders, _ in walk(root, 2) if classes & set(folders)), root)
