"""kinema tells what happens in videos.

    import kinema

    model = kinema.load("runs/slow_fusion-1/best")
    prediction = model("match.mp4")
    print(prediction.top(3), prediction.segments)

Heavy modules are imported at their first use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from kinema.version import __version__

if TYPE_CHECKING:
    from kinema.datasets import open_data
    from kinema.errors import KinemaError
    from kinema.inference.predictor import Predictor, load
    from kinema.labels import Labels
    from kinema.localizations import Localization
    from kinema.machine import tune_process
    from kinema.models import build
    from kinema.predictions import Prediction, Segment, Timeline
    from kinema.types import InputSpec, TimeSpan
    from kinema.video import open_video

_HOMES = {
    "InputSpec": "kinema.types",
    "KinemaError": "kinema.errors",
    "Labels": "kinema.labels",
    "Localization": "kinema.localizations",
    "Prediction": "kinema.predictions",
    "Predictor": "kinema.inference.predictor",
    "Segment": "kinema.predictions",
    "TimeSpan": "kinema.types",
    "Timeline": "kinema.predictions",
    "build": "kinema.models",
    "load": "kinema.inference.predictor",
    "open_data": "kinema.datasets",
    "open_video": "kinema.video",
    "tune_process": "kinema.machine",
}

__all__ = [
    "InputSpec",
    "KinemaError",
    "Labels",
    "Localization",
    "Prediction",
    "Predictor",
    "Segment",
    "TimeSpan",
    "Timeline",
    "__version__",
    "build",
    "load",
    "open_data",
    "open_video",
    "tune_process",
]


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'kinema' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
