"""`kinema export`: a trained network as one file that runs without kinema."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from kinema.choices import ExportFormat
from kinema.console.progress import TerminalProgress, open_trained
from kinema.errors import ConfigError, DataError, check_settings
from kinema.files import check_folder
from kinema.runs.options import parse_size

if TYPE_CHECKING:
    from kinema.datasets.dataset import DataSet
    from kinema.engines.export import Exported
    from kinema.engines.quantize import Calibration, Moved
    from kinema.weights.checkpoint import ModelCard

log = logging.getLogger("kinema")


@dataclass(frozen=True, kw_only=True)
class ExportConfig:
    """Settings of an export."""

    format: ExportFormat = "onnx"
    """onnx: one .onnx file, for nearly every runtime; openvino: .xml and .bin; torch-export: .pt2, for torch itself."""
    out: str | None = None
    """The file; without it the network's name, here."""
    size: str | None = None
    """Another height and width of the input, as 128x171 or 112, where the weights allow it."""
    clip_len: int | None = None
    """Another number of frames in a clip, where the weights allow it."""
    static_batch: bool = False
    """One clip at a time, for programs that need a fixed shape; otherwise any number of clips goes in."""
    precision: Literal["f32", "int8"] = "f32"
    """Number format: int8 is faster on a CPU, for OpenVINO only, and needs --calibrate."""
    calibrate: str | None = None
    """For int8: a data set or a folder of videos such as the network will see; one half sets ranges, the other judges."""
    calibration_clips: int = 200
    """How many clips set the ranges, and how many judge, at most."""
    json: bool = False
    """Print one JSON document."""

    def __post_init__(self) -> None:
        check_settings({"clip_len": self.clip_len, "calibration_clips": self.calibration_clips}, 1)
        if self.precision == "int8" and not self.calibrate:
            raise ConfigError("int8 needs clips to find its ranges", "--precision int8", "give --calibrate DATA")
        if self.calibrate and self.precision != "int8":
            raise ConfigError("only int8 is calibrated", f"--calibrate {self.calibrate}", "give --precision int8")


def export(model: str, config: ExportConfig = ExportConfig()) -> int:
    """Write a trained network as a file that runs without kinema.

    Pixels go in (`clip`: uint8, [batch channels frames height width]), scores come out (`scores`, [batch classes]):
    normalisation and softmax are inside. Class names and input are in its metadata. The file is run before it gets its
    name; where its scores are not those of torch, nothing is written.

    Examples:
        kinema export runs/slow_fusion-1/best

        kinema export r2plus1d_18 --out r2plus1d.onnx --static-batch

        kinema export runs/slow_fusion-1 --format openvino --out deploy/actions.xml

        kinema predict match.mp4 --model slow_fusion_small.onnx

        kinema export runs/slow_fusion-1 --format openvino --precision int8 --calibrate videos/

    Args:
        model: a checkpoint folder, a run folder with best/ in it, or published weights (`kinema models --weights`).
    """
    from kinema.engines.export import check_int8, export
    from kinema.weights.open import with_input

    if config.out:
        _check_place(config.out, config.format)
    if config.precision == "int8":
        check_int8(config.format)
    network, card = open_trained(model)
    path = config.out or default_name(model, card, config.format)
    _check_place(path, config.format)
    changes: dict[str, Any] = {"size": parse_size(config.size) if config.size else None, "clip_len": config.clip_len}
    changes = {name: value for name, value in changes.items() if value is not None}
    if changes:
        network = with_input(network, changes)
        card = replace(card, input=network.spec)
    calibration = _calibration(card, config)
    written = export(
        network, card, path, format=config.format, static_batch=config.static_batch, calibration=calibration
    )
    if config.json:
        print(json.dumps(as_json(written, card), ensure_ascii=False))
    else:
        _print(written)
    return 0


def _check_place(path: str, format: str) -> None:
    """Make sure that the file may be written there: better now than after the calibration.

    Raises:
        UsageError: the name does not fit the format.
        OutputError: files of others stand there, or nothing may be written.
    """
    from kinema.engines.export import check_target

    check_target(Path(path), format)
    check_folder(Path(path).parent)


def _calibration(card: ModelCard, config: ExportConfig) -> Calibration | None:
    """The clips for int8; with true classes where the data has those of the network."""
    from kinema.runs.calibration import gather

    if not config.calibrate:
        return None
    data, labelled = _data(card, config.calibrate)
    count = min(2 * config.calibration_clips, len(data))
    with TerminalProgress().count("reading clips", count) as advance:
        return gather(data, card.input, config.calibration_clips, labelled=labelled, advance=advance)


def _data(card: ModelCard, path: str) -> tuple[DataSet, bool]:
    """Videos, and whether their labels are true: those of a folder without classes get some label."""
    from kinema.datasets.dataset import DataSet
    from kinema.labels import Labels
    from kinema.runs.judge import open_for
    from kinema.types import Example
    from kinema.video import list_media

    try:
        return open_for(card, path), card.task != "frame"
    except DataError as error:
        if not Path(path).is_dir():
            raise
        log.info("%s: hits are not counted, because the videos have no labels of the network (%s)", path, error.what)
    examples = tuple(Example(video, card.labels[:1]) for video in list_media([path]))
    return DataSet(path, path, examples, Labels(tuple(card.labels)), card.multi_label), False


def default_name(model: str, card: ModelCard, format: str) -> str:
    """The name of published weights, else that of the network, with the format's ending."""
    from kinema.engines.exported import ENDINGS
    from kinema.weights.open import names_published

    return f"{names_published(model) or card.variant}{ENDINGS[format]}"


def as_json(written: Exported, card: ModelCard) -> dict[str, Any]:
    """What was written, as a plain dictionary."""
    return {
        "path": str(written.path),
        "files": [str(path) for path in written.files],
        "input": list(written.input),
        "output": list(written.output),
        "labels": list(card.labels),
        "multi_label": card.multi_label,
        "difference": written.difference,
        "int8": written.moved.to_json() if written.moved else None,
    }


def _print(written: Exported) -> None:
    for path in written.files:
        print(f"{path}  {path.stat().st_size / 1e6:.1f} MB")
    print(f"input  clip    uint8    {_by(written.input)}")
    print(f"output scores  float32  {_by(written.output)}")
    print(
        f"largest difference of a score from torch: {written.difference:.1g}{' (before int8)' if written.moved else ''}"
    )
    if written.moved:
        _print_moved(written.moved)


def _print_moved(moved: Moved) -> None:
    print(f"int8: ranges of {moved.num_ranges} clips, judged on {moved.num_judged} others, against f32:")
    print(f"difference of a score  mean {moved.mean_difference:.4f}  largest {moved.largest_difference:.3f}")
    print(f"same best class        {moved.agreement:.1%}")
    if moved.hit_at_1 is not None:
        print(f"hit@1                  {moved.hit_at_1_f32:.1%} -> {moved.hit_at_1:.1%}")


def _by(shape: tuple[int | str, ...]) -> str:
    return "[" + " ".join(map(str, shape)) + "]"
