"""Single images in class folders, with or without folders of parts around them; each image is an example of its own.

    DATA/cat/1.jpg                  or    DATA/train/cat/1.jpg
    DATA/dog/2.png                        DATA/val/dog/2.png

A folder is detected as stills if no class folder holds a video or a folder of images. Videos are left out with a warning.
"""

from __future__ import annotations

import os

from kinema.datasets.dataset import DataSet
from kinema.datasets.format import Format, ListOptions
from kinema.datasets.formats.folder import has_videos, list_class_folders
from kinema.datasets.lists import walk
from kinema.video.listing import is_image


def list_stills(path: str, options: ListOptions) -> DataSet:
    """List images by class folder.

    Raises:
        DataError: no such folder, nothing in it, or no class folders.
    """
    return list_class_folders(path, options.labels, stills=True)


def has_stills_only(path: str) -> bool:
    """Whether a folder holds images, and no video in a class folder."""
    if not os.path.isdir(path) or has_videos(path):
        return False
    return any(is_image(name) for _, _, names in walk(path) for name in names)


FORMAT = Format(list_data=list_stills, detect=has_stills_only, priority=60)
