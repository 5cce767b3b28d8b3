"""HMDB51 (Kuehne et al. 2011): videos in class folders; a list a class and fold, `CLASS_test_split1.txt`.

Each line is a file name and 1 (train), 2 (test) or 0 (not used in this fold). A file name carries its film before the
class, `Film_A_kick_f_cm_np1_fr_bad_0.avi`; the official folds never tear the clips that one film gave to a class.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from kinema.datasets.dataset import DataSet, check_listed, finish
from kinema.datasets.formats.folder import walk
from kinema.datasets.formats.ucf101 import read_lines
from kinema.errors import DataError
from kinema.labels import Labels
from kinema.types import Example

_PARTS = {"1": "train", "2": "test", "0": None}


def lists_folder(root: str) -> str | None:
    """The folder, `root` or one in it, where the official lists are."""
    return next(
        (where for where, _, names in walk(root, 2) if any(n.endswith("_test_split1.txt") for n in names)), None
    )


def list_hmdb51(root: str, labels: Labels | None = None, fold: int = 1) -> DataSet:
    """List HMDB51 by one of its official folds; what a fold does not use is left out.

    Raises:
        DataError: no lists, no such fold, a damaged list, or videos that are listed but not there.
    """
    lists = lists_folder(root)
    ending = f"_test_split{fold}.txt"
    names = sorted(name for name in os.listdir(lists) if name.endswith(ending)) if lists else []
    if lists is None or not names:
        raise DataError(f"no HMDB51 lists of fold {fold}", root, f"put files such as kick{ending} in there")
    classes = [name.removesuffix(ending) for name in names]
    videos = _videos_folder(root, set(classes))
    examples = [e for name in classes for e in _of_class(name, os.path.join(lists, name + ending), videos)]
    check_listed([example.path for example in examples], lists)
    return finish("HMDB51", root, examples, labels)


def _of_class(name: str, path: str, videos: str) -> Iterator[Example]:
    for line in read_lines(path):
        file, _, part = line.rpartition(" ")
        if part not in _PARTS or not file:
            raise DataError("not a line of an HMDB51 list", f"{path}, {line!r}", "it takes a file name and 0, 1 or 2")
        if _PARTS[part]:
            film = file.rpartition(f"_{name}_")[0] or os.path.splitext(file)[0]
            yield Example(os.path.join(videos, name, file), (name,), split=_PARTS[part], group=f"{name}/{film}")


def _videos_folder(root: str, classes: set[str]) -> str:
    return next((where for where, folders, _ in walk(root, 2) if classes & set(folders)), root)
