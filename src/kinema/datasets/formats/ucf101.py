"""UCF-101 (Soomro et al. 2012): videos in class folders, with official lists for three folds of train and test.

    classInd.txt       1 ApplyEyeMakeup
    trainlist01.txt    ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi 1
    testlist01.txt     ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01.avi

`g08` names the source video of a clip. There is no official validation part: `split_data` takes one out of train, by source.
"""

from __future__ import annotations

import os
import re

from kinema.datasets.dataset import DataSet, check_listed, make_data_set
from kinema.datasets.format import Format, ListOptions
from kinema.datasets.lists import find_class_folders, find_folder, read_lines, ucf101_group
from kinema.errors import DataError
from kinema.labels import Labels
from kinema.types import Example


def lists_folder(path: str) -> str | None:
    """The folder of the official lists: `path` or one up to two levels below it."""
    return find_folder(path, lambda _, names: {"classInd.txt", "trainlist01.txt"} <= set(names))


def list_ucf101(path: str, options: ListOptions) -> DataSet:
    """List UCF-101 by one of its official folds.

    Raises:
        DataError: no lists, no such fold, or listed videos that do not exist.
    """
    lists = lists_folder(path)
    if lists is None:
        raise DataError("no UCF-101 lists", path, "put classInd.txt, trainlist01.txt and testlist01.txt in there")
    labels = [line.split(None, 1)[1] for line in read_lines(os.path.join(lists, "classInd.txt"))]
    listed = [
        (re.sub(r"\s+\d+$", "", line).split("/"), part)  # train lists end each line with the class number
        for part in ("train", "test")
        for line in read_lines(os.path.join(lists, f"{part}list{options.fold:02d}.txt"))
    ]
    videos = find_class_folders(path, {names[0] for names, _ in listed})
    examples = [
        Example(os.path.join(videos, *names), (names[0],), split=part, group=ucf101_group(names[-1]))
        for names, part in listed
    ]
    check_listed([example.path for example in examples], lists)
    return make_data_set("UCF-101", path, examples, options.labels, own=Labels(tuple(labels)))


FORMAT = Format(list_data=list_ucf101, detect=lambda path: lists_folder(path) is not None, priority=20)
