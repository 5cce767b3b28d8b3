"""HMDB51 (Kuehne et al. 2011): videos in class folders; a list for each class and fold, `CLASS_test_split1.txt`.

Each line is a file name and 1 (train), 2 (test) or 0 (not used in this fold). A file name begins with its source video, then
the class: `Film_A_kick_f_cm_np1_fr_bad_0.avi`. The official folds never divide the clips of one source and class.
"""

from __future__ import annotations

import os

from kinema.datasets.dataset import DataSet, check_listed, make_data_set
from kinema.datasets.format import Format, ListOptions
from kinema.datasets.lists import find_class_folders, find_folder, read_lines
from kinema.errors import DataError
from kinema.types import Example

_PARTS = {"1": "train", "2": "test", "0": None}


def lists_folder(path: str) -> str | None:
    """The folder of the official lists: `path` or one up to two levels below it."""
    return find_folder(path, lambda _, names: any(name.endswith("_test_split1.txt") for name in names))


def list_hmdb51(path: str, options: ListOptions) -> DataSet:
    """List HMDB51 by one of its official folds; videos that the fold does not use are left out.

    Raises:
        DataError: no lists, no such fold, a damaged list, or listed videos that do not exist.
    """
    lists = lists_folder(path)
    ending = f"_test_split{options.fold}.txt"
    names = sorted(name for name in os.listdir(lists) if name.endswith(ending)) if lists else []
    if lists is None or not names:
        raise DataError(f"no HMDB51 lists of fold {options.fold}", path, f"put files such as kick{ending} in there")
    labels = [name.removesuffix(ending) for name in names]
    videos = find_class_folders(path, labels)
    examples = []
    for label, name in zip(labels, names, strict=True):
        for line in read_lines(os.path.join(lists, name)):
            file, _, number = line.rpartition(" ")
            if number not in _PARTS or not file:
                where = f"{os.path.join(lists, name)}, {line!r}"
                raise DataError("not a line of an HMDB51 list", where, "write a file name and 0, 1 or 2")
            if part := _PARTS[number]:
                source = file.rpartition(f"_{label}_")[0] or os.path.splitext(file)[0]
                path_of_video = os.path.join(videos, label, file)
                examples.append(Example(path_of_video, (label,), split=part, group=f"{label}/{source}"))
    check_listed([example.path for example in examples], lists)
    return make_data_set("HMDB51", path, examples, options.labels)


FORMAT = Format(list_data=list_hmdb51, detect=lambda path: lists_folder(path) is not None, priority=30)
