"""`kinema export`: a trained network as one file that runs without kinema."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from kinema.choices import ExportFormat
from kinema.console.progress import TerminalProgress, open_trained
from kinema.errors import ConfigError, DataError, check_settings
from kinema.files import check_folder
from kinema.runs.options import parse_size

if TYPE_CHECKING:
    from kinema.engines.export import Exported
    from kinema.engines.quantize import Calibration
    from kinema.weights.checkpoint import ModelCard

log = logging.getLogger("kinema")


@dataclass(frozen=True, kw_only=True)
class ExportConfig:
    """Settings of an export."""

    format: ExportFormat = "onnx"
    """onnx: one .onnx file, for nearly every runtime; openvino: .xml and .bin; torch-export: .pt2, for torch itself."""
    out: str | None = None
    """The file; default: the network's name, in the current folder."""
    size: str | None = None
    """Another height and width of the input, as 128x171 or 112, if the weights allow it."""
    clip_len: int | None = None
    """Another number of frames in a clip, if the weights allow it."""
    static_batch: bool = False
    """Fix the batch to one clip, for programs that need a fixed shape; otherwise the file takes any number of clips."""
    precision: Literal["f32", "int8"] = "f32"
    """Number format: int8 is faster on a CPU, for OpenVINO only, and needs --calibrate."""
    calibrate: str | None = None
    """For int8: a data set or a folder of videos of the kind that the network will see; one half sets the ranges, the
    other judges."""
    calibration_clips: int = 200
    """Largest number of clips that set the ranges, and of clips that judge."""
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
    normalisation and softmax are inside. The metadata has the class names and the input. The file is run before it gets
    its name: if its scores differ from those of torch, nothing is written.

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
    changes: dict[str, object] = {}
    if config.size:
        changes["size"] = parse_size(config.size)
    if config.clip_len:
        changes["clip_len"] = config.clip_len
    if changes:
        network = with_input(network, changes)
        card = replace(card, input=network.spec)
    calibration = read_calibration(card, config.calibrate, config.calibration_clips) if config.calibrate else None
    written = export(
        network, card, path, format=config.format, static_batch=config.static_batch, calibration=calibration
    )
    if config.json:
        print(json.dumps(as_json(written, card), ensure_ascii=False))
    else:
        _print(written)
    return 0


def _check_place(path: str, format: str) -> None:
    """Make sure that the file can be written, before the calibration takes its time.

    Raises:
        UsageError: the name does not fit the format.
        OutputError: it would replace files that are no export, or the folder is not writable.
    """
    from kinema.engines.export import check_target

    check_target(Path(path), format)
    check_folder(Path(path).parent)


def read_calibration(card: ModelCard, path: str, num_clips: int) -> Calibration:
    """The clips for int8, with their true classes if the data has the classes of the network.

    Videos in a folder without classes get an arbitrary label, which is not used.
    """
    from kinema.datasets.dataset import DataSet
    from kinema.labels import Labels
    from kinema.runs.calibration import gather
    from kinema.runs.judge import open_for
    from kinema.runs.task import find_task
    from kinema.types import Example
    from kinema.video import list_media

    try:
        data, labelled = open_for(card, path), find_task(card.task).uses_clip_scores
    except DataError as error:
        if not Path(path).is_dir():
            raise
        log.info("%s: hits are not counted, because the videos have no labels of the network (%s)", path, error.what)
        examples = tuple(Example(video, card.labels[:1]) for video in list_media([path]))
        data, labelled = DataSet(path, path, examples, Labels(tuple(card.labels)), card.multi_label), False
    with TerminalProgress().count("reading clips", min(2 * num_clips, len(data))) as advance:
        return gather(data, card.input, num_clips, labelled=labelled, advance=advance)


def default_name(model: str, card: ModelCard, format: str) -> str:
    """The name of published weights, else that of the network, with the ending of the format."""
    from kinema.engines.exported import ENDINGS
    from kinema.weights.open import names_published

    return f"{names_published(model) or card.variant}{ENDINGS[format]}"


def as_json(written: Exported, card: ModelCard) -> dict[str, object]:
    """The written files as a plain dictionary."""
    return {
        "path": str(written.path),
        "files": [str(path) for path in written.files],
        "input": list(written.input),
        "output": list(written.output),
        "labels": list(card.labels),
        "multi_label": card.multi_label,
        "difference": written.difference,
        "int8": written.int8.to_json() if written.int8 else None,
    }


def _print(written: Exported) -> None:
    for path in written.files:
        print(f"{path}  {path.stat().st_size / 1e6:.1f} MB")
    print(f"input  clip    uint8    [{' '.join(map(str, written.input))}]")
    print(f"output scores  float32  [{' '.join(map(str, written.output))}]")
    int8 = written.int8
    print(f"largest difference of a score from torch: {written.difference:.1g}{' (before int8)' if int8 else ''}")
    if int8:
        print(f"int8: ranges of {int8.num_ranges} clips, judged on {int8.num_judged} others, against f32:")
        print(f"difference of a score  mean {int8.mean_difference:.4f}  largest {int8.largest_difference:.3f}")
        print(f"same best class        {int8.agreement:.1%}")
        if int8.hit_at_1 is not None:
            print(f"hit@1                  {int8.hit_at_1_f32:.1%} -> {int8.hit_at_1:.1%}")
