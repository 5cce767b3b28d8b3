"""kinema tells what happens in videos.

    import kinema

    model = kinema.load("runs/slow_fusion-1/best")
    prediction = model("match.mp4")
    print(prediction.top(3), prediction.segments)

Everything heavy is imported when it is first used.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

from kinema.machine import keep_freed_memory

if TYPE_CHECKING:
    from kinema.datasets import open_data
    from kinema.errors import KinemaError
    from kinema.inference.predictor import Predictor, load
    from kinema.labels import Labels
    from kinema.models import build
    from kinema.types import InputSpec, Prediction, Segment, Timeline, TimeSpan
    from kinema.video import open_video

__version__ = "0.1.0"

# OpenMP's threads by default spin while they wait for each other, and so keep decoders from working: with a second busy process
# on two cores, a forward pass of MobileNetV2 took 2.2 s, and 0.4 s if they sleep. torch reads this when it is first imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
keep_freed_memory()

_HOMES = {
    "InputSpec": "kinema.types",
    "KinemaError": "kinema.errors",
    "Labels": "kinema.labels",
    "Prediction": "kinema.types",
    "Predictor": "kinema.inference.predictor",
    "Segment": "kinema.types",
    "TimeSpan": "kinema.types",
    "Timeline": "kinema.types",
    "build": "kinema.models",
    "load": "kinema.inference.predictor",
    "open_data": "kinema.datasets",
    "open_video": "kinema.video",
}

__all__ = [
    "InputSpec",
    "KinemaError",
    "Labels",
    "Prediction",
    "Predictor",
    "Segment",
    "TimeSpan",
    "Timeline",
    "build",
    "load",
    "open_data",
    "open_video",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'kinema' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
