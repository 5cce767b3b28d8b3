"""The interface of every detector, and a Python function as one."""

from __future__ import annotations

import abc
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from kinema.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

PERSON = "person"

_COCO = (
    "person,bicycle,car,motorcycle,airplane,bus,train,truck,boat,traffic light,fire hydrant,stop sign,"
    "parking meter,bench,bird,cat,dog,horse,sheep,cow,elephant,bear,zebra,giraffe,backpack,umbrella,handbag,tie,"
    "suitcase,frisbee,skis,snowboard,sports ball,kite,baseball bat,baseball glove,skateboard,surfboard,"
    "tennis racket,bottle,wine glass,cup,fork,knife,spoon,bowl,banana,apple,sandwich,orange,broccoli,carrot,"
    "hot dog,pizza,donut,cake,chair,couch,potted plant,bed,dining table,toilet,tv,laptop,mouse,remote,keyboard,"
    "cell phone,microwave,oven,toaster,sink,refrigerator,book,clock,vase,scissors,teddy bear,hair drier,"
    "toothbrush"
)
COCO = tuple(_COCO.split(","))
"""The 80 classes of COCO in their order."""


class Found(NamedTuple):
    """What is in a frame: boxes [n 4] (left, top, right, bottom in its pixels), scores [n], and class ids [n]."""

    boxes: NDArray[np.float64]
    scores: NDArray[np.float64]
    classes: NDArray[np.int64]


DetectFunction = Callable[["NDArray[np.uint8]"], "tuple[NDArray[np.floating], ...]"]
"""Boxes [n 4], scores [n] and class ids [n] of a frame uint8 [h w 3] RGB."""


class Detector(abc.ABC):
    """Finds objects in frames.

    Attributes:
        name: for messages.
        kinds: names of the classes by id.
        min_score: the lowest score of a box that can usually be trusted.
    """

    name: str
    kinds: tuple[str, ...]
    min_score: float

    @abc.abstractmethod
    def __call__(self, frames: NDArray[np.uint8]) -> list[Found]:
        """Everything that is found in each of the frames [n h w 3] RGB, with low scores too."""


class FunctionDetector(Detector):
    """A Python function as a detector.

    Args:
        function: takes a frame uint8 [h w 3] RGB, gives boxes [n 4] in its pixels, scores [n] and class ids [n].
        kinds: names of the classes; by default those of COCO, where 0 is a person.
        min_score: the lowest score that can be trusted.
    """

    def __init__(self, function: DetectFunction, kinds: Sequence[str] = (), min_score: float = 0.5) -> None:
        self.name = getattr(function, "__name__", type(function).__name__)
        self.kinds, self.min_score, self._function = tuple(kinds) or COCO, min_score, function

    def __call__(self, frames: NDArray[np.uint8]) -> list[Found]:
        """What the function gives for each frame, checked.

        Raises:
            UsageError: other than boxes, scores and class ids of fitting sizes and finite values.
        """
        return [self._checked(self._function(frame)) for frame in frames]

    def _checked(self, found: tuple[NDArray[np.floating], ...]) -> Found:
        do = "give boxes [n 4], scores [n] and class ids [n]"
        try:
            boxes, scores, classes = (np.asarray(part, np.float64) for part in found)
        except (TypeError, ValueError) as error:
            raise UsageError("a detector gives three arrays", self.name, do) from error
        boxes = boxes.reshape(-1, 4) if not boxes.size else boxes
        if boxes.shape != (len(scores), 4) or scores.shape != classes.shape or scores.ndim != 1:
            shapes = f"{boxes.shape}, {scores.shape} and {classes.shape}"
            raise UsageError(f"a detector gave arrays of the shapes {shapes}", self.name, do)
        if not all(np.isfinite(part).all() for part in (boxes, scores, classes)):
            raise UsageError("a detector gave a value that is not finite", self.name, do)
        return Found(boxes, scores, classes.astype(np.int64))
