"""The values that options can have, each list in one place: engines, precisions, data set formats, tasks and others.

Data set formats, tasks and engines are the modules in their folders, so that a new file is a new choice. Imports nothing heavy.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

REMOVED_ENGINES = {"winograd": "it was removed; use --engine openvino or --engine torch"}
"""Engines of earlier versions, with what to do instead."""

Precision = Literal["auto", "f32", "bf16", "fp16"]
FilePrecision = Literal["auto", "f32", "bf16", "fp16", "int8"]
"""Precisions of a network in torch or OpenVINO, and those of an exported file."""

FastSeek = Literal["none", "nonref", "keyframes"]
FAST_SEEKS: tuple[str, ...] = get_args(FastSeek)

FlowMethod = Literal["dis", "farneback", "tvl1", "raft_small", "raft_large"]
FLOW_METHODS: tuple[str, ...] = get_args(FlowMethod)
"""Methods of optical flow. A network that was trained on the flow of one method cannot use that of another."""

Pooling = Literal["mean", "max", "none"]
POOLINGS: tuple[str, ...] = get_args(Pooling)

ExportFormat = Literal["onnx", "openvino", "torch-export"]
PredictionFormat = Literal["table", "json", "csv", "srt", "vtt"]
FileFormat = Literal["json", "csv", "srt", "vtt", "elan", "boris", "png", "svg", "pdf"]
LocalizationFormat = Literal[
    "table", "json", "csv", "srt", "vtt", "activitynet", "fiftyone", "elan", "boris", "png", "svg", "pdf"
]
"""Formats of located actions: those with a file for each video, and all."""
GroupingMeasure = Literal["edit-f1", "map"]
"""Figures by which settings of located actions are chosen; see `kinema.runs.choose_settings`."""
Way = Literal["clips", "two-stage", "one-stage"]
"""How actions are located; see `kinema.inference.localizer`."""
TrackFileFormat = Literal["json", "ava", "mot", "coco", "cvat"]
TrackFormat = Literal["table", TrackFileFormat]
"""Formats of tracks: those with a file for each video, and all."""
Sampling = Literal["dense", "spread"]
Spacing = Literal["stride", "even"]
Resize = Literal["crop", "stretch"]
SegmentProtocol = Literal["activitynet", "thumos", "thumos2014", "proposals", "segmental", "events", "spotting"]
BoxProtocol = Literal["ava", "video-map", "mot"]
LocatedProtocol = Literal[SegmentProtocol, BoxProtocol]
SEGMENT_PROTOCOLS: tuple[SegmentProtocol, ...] = get_args(SegmentProtocol)
BOX_PROTOCOLS: tuple[BoxProtocol, ...] = get_args(BoxProtocol)
"""Benchmarks of actions located in time and in space; see `kinema.runs.judge_segments` and `kinema.runs.judge_boxes`."""
TubeConvention = Literal["plus-one", "multisports", "exact"]
"""How the overlap of tubes counts frames and pixels; see `kinema.evaluation.located.tubes`."""
Part = Literal["auto", "train", "valid", "test", "all"]
Division = Literal["auto", "random", "groups", "blocks"]
DIVISIONS: tuple[str, ...] = get_args(Division)
"""How a data set is divided into parts or folds."""


def modules_in(folder: str) -> tuple[str, ...]:
    """Sorted names of the modules in a folder of this package; none is imported."""
    found = (path.stem for path in (Path(__file__).parent / folder).glob("*.py"))
    return tuple(sorted(name for name in found if not name.startswith("_")))


DATA_FORMATS = ("auto", *modules_in("datasets/formats"))
TASKS = modules_in("runs/tasks")
ENGINES = ("auto", *modules_in("engines/backends"))

if TYPE_CHECKING:
    DataFormat: TypeAlias = str
    TaskName: TypeAlias = str
    EngineName: TypeAlias = str
else:  # the command line checks values against these literals and lists them in its help
    DataFormat = Literal[DATA_FORMATS]
    TaskName = Literal[TASKS]
    EngineName = Literal[ENGINES]
