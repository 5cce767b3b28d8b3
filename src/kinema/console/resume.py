"""What a stopped command had finished, so that the same command goes on.

The record is a hidden file in the output folder: a line with the settings, then a line for each finished video with its whole
prediction, because the report at the end needs it. A line is written after the files of its video; a line that was cut off by a
kill counts as not written. The record is deleted when all videos are done.
"""

from __future__ import annotations

import base64
import json
import logging
import os
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kinema.errors import OutputError
from kinema.files import write_error, write_text

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kinema.predictions import Prediction

log = logging.getLogger("kinema")

RECORD = ".predicting.jsonl"
_WEIGHTS = ("model.safetensors", "model.json", "best/model.safetensors", "best/model.json")


class ResumeRecord:
    """The predictions of the videos that are done.

    Args:
        folder: of the outputs; None keeps no record.
        settings: what the predictions depend on; values are compared as JSON.
        model: what predicts; if it is a file or a folder, a change of it is noticed.

    Raises:
        OutputError: the folder holds the record of a command with other settings or another model.
    """

    def __init__(self, folder: str | Path | None, settings: Mapping[str, object], model: str = "") -> None:
        self.path = Path(folder) / RECORD if folder else None
        self.done: dict[str, Prediction] = {}
        self._settings = json.loads(json.dumps({**settings, "model": [model, _stamps(model)]}, default=str))
        if self.path is not None and self.path.exists():
            self._read(self.path)

    def _read(self, path: Path) -> None:
        try:
            first, *lines = path.read_text(encoding="utf-8").split("\n")
            before = {**json.loads(first)["settings"]}
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise OutputError("the record of an earlier command cannot be read", path, "delete it") from error
        changed = sorted(name for name in {*before, *self._settings} if before.get(name) != self._settings.get(name))
        if changed:
            what = f"a stopped command with another {' and '.join(changed)} has its results here"
            raise OutputError(what, path.parent, f"repeat that command, give another --out, or delete {path}")
        for line in lines:
            with suppress(ValueError, KeyError, TypeError, zlib.error):  # the last one may be cut off
                values = json.loads(line)
                if values["stamp"] == _stamps(values["path"]):
                    self.done[values["path"]] = _unpacked(values)

    def add(self, prediction: Prediction) -> None:
        """Write that a video is done.

        Raises:
            OutputError: the record cannot be written.
        """
        if self.path is None:
            return
        line = json.dumps({**_packed(prediction), "stamp": _stamps(prediction.path)}, ensure_ascii=False)
        try:
            if not self.path.exists():
                write_text(self.path, json.dumps({"settings": self._settings}, ensure_ascii=False))
            with self.path.open("a", encoding="utf-8") as file:
                file.write(f"\n{line}")
        except OSError as error:
            raise write_error(error, self.path) from error

    def finish(self) -> None:
        """Delete the record, because all videos are done."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)

    @contextmanager
    def resumable(self) -> Iterator[None]:
        """A command that is stopped in the block says that it can go on."""
        try:
            yield
        except KeyboardInterrupt:
            if self.path is not None and self.path.exists():
                raise KeyboardInterrupt("the same command goes on") from None
            raise


def _stamps(path: str) -> list[list[int]]:
    """Sizes and times of change of a file, or of the weights in a folder; nothing for other names."""
    found = []
    for place in (path, *(os.path.join(path, name) for name in _WEIGHTS)):
        with suppress(OSError, ValueError):
            if os.path.isfile(place):
                found.append([os.stat(place).st_size, os.stat(place).st_mtime_ns])
    return found


def _packed(prediction: Prediction) -> dict[str, object]:
    timeline = prediction.timeline
    values: dict[str, object] = {
        "path": prediction.path,
        "labels": prediction.labels,
        "scores": _text(prediction.scores),
        "span": [prediction.span.start_s, prediction.span.end_s],
        "segments": [[s.span.start_s, s.span.end_s, s.label, s.score] for s in prediction.segments],
        "damage": prediction.damage,
        "fast_seek": prediction.fast_seek,
    }
    if timeline is not None:
        arrays = (timeline.scores, timeline.times_s, timeline.spans_s, timeline.raw)
        values["timeline"] = [*map(_text, arrays[: 4 if timeline.rolling > 1 else 3])]
        values["rolling"] = timeline.rolling
    return values


def _unpacked(values: Mapping[str, Any]) -> Prediction:
    from kinema.predictions import Prediction, Segment, Timeline
    from kinema.types import TimeSpan

    labels = tuple(values["labels"])
    prediction = Prediction(
        values["path"], labels, _array(values["scores"]), TimeSpan(*values["span"]),
        segments=tuple(Segment(TimeSpan(start, end), label, score) for start, end, label, score in values["segments"]),
        damage=values["damage"], fast_seek=values["fast_seek"],
    )  # fmt: skip
    if "timeline" not in values:
        return prediction
    scores, times_s, spans_s, *raw = map(_array, values["timeline"])
    timeline = Timeline(scores, times_s, spans_s, labels, raw[0] if raw else scores, values["rolling"])
    return replace(prediction, timeline=timeline)


def _text(array: NDArray[Any]) -> list[object]:
    """An array as text that keeps every bit: type, shape, and values in base 64."""
    return [array.dtype.str, list(array.shape), base64.b64encode(zlib.compress(array.tobytes(), 1)).decode()]


def _array(text: list[Any]) -> NDArray[Any]:
    import numpy as np

    return np.frombuffer(zlib.decompress(base64.b64decode(text[2])), text[0]).reshape(text[1]).copy()
