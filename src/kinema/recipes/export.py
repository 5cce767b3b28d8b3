"""`kinema export`: a trained network as one file that runs without kinema."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from kinema.errors import check_settings
from kinema.files import check_folder
from kinema.recipes.options import parse_size
from kinema.recipes.trained import open_trained

if TYPE_CHECKING:
    from kinema.inference.export import Exported
    from kinema.models.checkpoint import ModelCard

log = logging.getLogger("kinema")


@dataclass(frozen=True, kw_only=True)
class ExportConfig:
    """Settings of an export."""

    format: Literal["onnx", "openvino", "torch-export"] = "onnx"
    """onnx: one .onnx file, for nearly every runtime; openvino: .xml and .bin; torch-export: .pt2, for torch itself."""
    out: str | None = None
    """The file; without it the network's name, here."""
    size: str | None = None
    """Another height and width of the input, as 128x171 or 112, where the weights allow it."""
    clip_len: int | None = None
    """Another number of frames in a clip, where the weights allow it."""
    static_batch: bool = False
    """One clip at a time, for programs that need a fixed shape; otherwise any number of clips goes in."""
    json: bool = False
    """Print one JSON document."""

    def __post_init__(self) -> None:
        check_settings({"clip_len": self.clip_len}, 1)


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

    Args:
        model: a checkpoint folder, a run folder with best/ in it, or published weights (`kinema models --weights`).
    """
    from kinema.inference.export import check_ending, export
    from kinema.models.trained import fed_otherwise

    if config.out:
        check_ending(Path(config.out), config.format)
        check_folder(Path(config.out).parent)
    network, card = open_trained(model)
    changes: dict[str, Any] = {"size": parse_size(config.size) if config.size else None, "clip_len": config.clip_len}
    changes = {name: value for name, value in changes.items() if value is not None}
    if changes:
        network = fed_otherwise(network, changes)
        card = replace(card, input=network.spec)
    path = config.out or default_name(model, card, config.format)
    written = export(network, card, path, format=config.format, static_batch=config.static_batch)
    if config.json:
        print(json.dumps(as_json(written, card), ensure_ascii=False))
    else:
        _print(written)
    return 0


def default_name(model: str, card: ModelCard, format: str) -> str:
    """The name of published weights, else that of the network, with the format's ending."""
    from kinema.inference.exported import ENDINGS
    from kinema.models.trained import names_published

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
    }


def _print(written: Exported) -> None:
    for path in written.files:
        print(f"{path}  {path.stat().st_size / 1e6:.1f} MB")
    print(f"input  clip    uint8    {_by(written.input)}")
    print(f"output scores  float32  {_by(written.output)}")
    print(f"largest difference of a score from torch: {written.difference:.1g}")


def _by(shape: tuple[int | str, ...]) -> str:
    return "[" + " ".join(map(str, shape)) + "]"
