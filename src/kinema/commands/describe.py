"""`kinema describe`: the costs of a network, and what each of its layers sees."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from kinema.console.tables import plain_console
from kinema.errors import check_settings
from kinema.runs.options import parse_arguments, parse_size

if TYPE_CHECKING:
    from kinema.inspection.summary import Summary


@dataclass(frozen=True, kw_only=True)
class DescribeConfig:
    """Settings of a description."""

    backbone: str | None = None
    """A timm network for the frames, such as resnet50 or mobilenetv2_100."""
    backbone_args: tuple[str, ...] = ()
    """Arguments for timm, as name=value, such as pad_type=same."""
    model_args: tuple[str, ...] = ()
    """Arguments of the network's constructor, as name=value, such as width=48."""
    size: str | None = None
    """Height and width of the input, as 224x224 or 224; default: the network's own."""
    frames: int | None = None
    """Frames in a clip; default: the network's own."""
    num_classes: int | None = None
    """Number of classes; default: that of the paper."""
    json: bool = False
    """Print one JSON document instead of a table."""

    def __post_init__(self) -> None:
        check_settings({"frames": self.frames, "num_classes": self.num_classes}, 1)


def describe(model: str, config: DescribeConfig = DescribeConfig()) -> int:
    """Print a network's layers: output sizes, receptive fields (frames, rows, columns), parameters, multiply-adds.

    No values are computed and no weights are needed, so this is fast for the largest network. MACs are multiply-adds, which
    papers call FLOPs; flops here counts multiplications and additions separately.

    Examples:
        kinema describe slow_fusion

        kinema describe late_fusion --backbone resnet50 --size 224x224 --frames 8 --num-classes 17

        kinema describe resnet18

        kinema describe runs/slow_fusion-1/best --json

    Args:
        model: a network's name (`kinema models` lists them), a network of timm, an encoder of transformers
            (hf:NAME_OR_FOLDER), published weights, or a checkpoint or run folder.
        config: input, classes, backbone.
    """
    from kinema.inspection.summary import summarize
    from kinema.weights.named import network_without_weights

    given = {"size": parse_size(config.size) if config.size else None, "clip_len": config.frames}
    network = network_without_weights(
        model, {name: value for name, value in given.items() if value is not None}, backbone=config.backbone,
        num_classes=config.num_classes, backbone_args=parse_arguments(config.backbone_args),
        model_args=parse_arguments(config.model_args),
    )  # fmt: skip
    summary = summarize(network)
    if not Path(model).is_dir():
        summary = replace(summary, name=model)  # resnet18 is described as resnet18, not as single_frame
    if config.json:
        print(json.dumps(summary.to_json()))
    else:
        _print_table(summary)
    return 0


def _print_table(summary: Summary) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    table.add_column("layer", overflow="fold")
    table.add_column("type", no_wrap=True)
    for heading in ("output", "sees", "params", "MACs"):
        table.add_column(heading, justify="right", no_wrap=True)
    for layer in summary.layers:
        counts = [f"{count:,}" if count else "" for count in (layer.params, layer.macs)]
        table.add_row(layer.name, layer.type, _by(layer.output), _by(layer.receptive_field), *counts)
    console = plain_console() if sys.stdout.isatty() else plain_console(width=160)  # in a pipe, one line a row
    title = f"{summary.name}, input {_by(summary.input)} (channels, frames, height, width)"
    console.print(title, soft_wrap=True)
    console.print(table)
    console.print("sees: frames x rows x columns of the input that one value of the output depends on", soft_wrap=True)
    totals = f"{summary.params:,} parameters, {summary.macs / 1e9:.3f} billion multiply-adds (MACs) a clip"
    console.print(f"{totals}, {summary.flops / 1e9:.3f} billion flops", soft_wrap=True)
    norms = f"as fvcore and its tables count (norms at five a number): {summary.macs_with_norms / 1e9:.3f} billion"
    console.print(norms, soft_wrap=True)


def _by(sizes: tuple[int, ...]) -> str:
    return "x".join(map(str, sizes))
