"""How well networks locate actions in synthetic untrimmed videos: motions between distractors, with exact times.

An encoder learns the motions from short clips. For each seed, each network for located actions learns from 40 videos on its
features, is validated on 10, and is judged on 20 others (ActivityNet's mean average precision), on 20 videos without any action
(how many have no answer with a score of at least 0.3), and on the same content at 10, 25 and 30 frames a second and at a variable
rate (the largest move of a border of an answer).

    python benchmarks/locate_synthetic.py [--models segments_one_stage] [--seeds 0 1 2] [--epochs 12] [--out FOLDER]

A folder that is kept lets the benchmark go on where it was stopped.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from kinema.datasets import open_data
from kinema.datasets.located import LocatedSet, LocatedVideo, located_set
from kinema.datasets.synthetic import write_motion_set
from kinema.datasets.synthetic_untrimmed import UntrimmedOptions, write_untrimmed_set
from kinema.evaluation.located.result import ANSWER_SCORE, LocatedActions, evaluate_located
from kinema.inference.kept_features import KeptFeatures
from kinema.labels import Labels
from kinema.machine import tune_process
from kinema.models.located.network import SegmentNetwork
from kinema.runs.config import TrainConfig
from kinema.runs.fit import fit
from kinema.runs.options import ScoringOptions
from kinema.runs.progress import SILENT
from kinema.runs.tasks.segments import features_of, locate
from kinema.weights.checkpoint import load_checkpoint

RATES: dict[str, float | Literal["variable"]] = {"10": 10.0, "25": 25.0, "30": 30.0, "variable": "variable"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default="segments_one_stage,segments_two_stage")
    parser.add_argument("--encoder", default="slow_fusion_tiny")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--step", type=float, default=0.2, help="seconds between features")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", default="locate_synthetic")
    options = parser.parse_args()
    tune_process()
    torch.set_num_threads(options.threads)
    home = Path(options.out)
    encoder = train_encoder(home, options.encoder)
    videos = write_videos(home)
    print(
        "| network | seed | mAP@0.5 | mAP@0.75 | average mAP | empty videos without an answer | borders move | training |"
    )
    print("|---|---|---|---|---|---|---|---|", flush=True)
    for name in options.models.split(","):
        for seed in options.seeds:
            out, started = home / f"{name}-{seed}", time.monotonic()
            config = TrainConfig(
                model=name, task="segments", encoder=str(encoder), feature_step=options.step, epochs=options.epochs,
                batch_size=4, seed=seed, workers=0, precision="f32", feature_cache=str(home / "features"), out=str(out),
                resume=(out / "config.toml").exists(),
            )  # fmt: skip
            if not (out / "summary.json").exists():
                fit(open_data(videos["set"]), config, out)
            seconds = time.monotonic() - started
            network, card = load_checkpoint(out / "best")
            assert isinstance(network, SegmentNetwork)
            row = report(network, Labels(tuple(card.labels)), videos)
            print(f"| `{name}` | {seed} | {row} | {seconds:.0f} s |", flush=True)


def train_encoder(home: Path, model: str) -> Path:
    """A network that tells the eight motions apart, from clips of one second."""
    out = home / f"encoder-{model}"
    if not (out / "summary.json").exists():
        clips = home / "clips"
        if not clips.exists():
            write_motion_set(clips, 60, 16)
        config = TrainConfig(
            model=model, epochs=15, lr=0.01, augment="none", workers=0, sampling="dense", fps=10.0, clip_len=10,
            precision="f32", valid_clips=3, cache=str(home / "frames"), out=str(out), resume=(out / "config.toml").exists(),
        )  # fmt: skip
        trained = fit(open_data(clips), config, out)
        print(f"encoder {model}: {trained.evaluation.figures}", flush=True)
    return out / "best"


def write_videos(home: Path) -> dict[str, Path]:
    """The set, videos without any action, and the same content at each rate."""
    wanted = {"set": (UntrimmedOptions(), 40, 10, 20, 0), "empty": (UntrimmedOptions(empty_share=1.0), 1, 1, 20, 1)}
    for name, rate in RATES.items():
        wanted[name] = (replace(UntrimmedOptions(), fps=rate), 1, 1, 8, 2)
    for name, (about, num_train, num_valid, num_test, seed) in wanted.items():
        if not (home / name).exists():
            write_untrimmed_set(home / name, num_train, num_valid, num_test, seed, about)
    return {name: home / name for name in wanted}


def locate_part(network: SegmentNetwork, folder: Path, labels: Labels, part: str = "test") -> list[LocatedActions]:
    """Truth and answers of the videos of a part."""
    paths = sorted(str(path) for path in folder.glob(f"{part}_*.mp4"))
    truth = {} if folder.name == "empty" else {v.path: v for v in located_set(open_data(folder)).videos}
    videos = tuple(truth.get(path, LocatedVideo(path, ())) for path in paths)
    located = LocatedSet(folder.name, str(folder), videos, labels)
    options = ScoringOptions(precision="f32", feature_cache=str(folder.parent / "features"))
    found = zip(videos, features_of(network, located, options, SILENT, ""), strict=True)
    return [locate(network, video, kept, labels) for video, kept in found if isinstance(kept, KeptFeatures)]


def report(network: SegmentNetwork, labels: Labels, videos: dict[str, Path]) -> str:
    """The figures of a network in a row of the table."""
    figures = evaluate_located(locate_part(network, videos["set"], labels), labels).figures
    empty = locate_part(network, videos["empty"], labels)
    silent = sum(not answers(video) for video in empty)
    moves = border_moves([locate_part(network, videos[rate], labels) for rate in RATES])
    shown = " | ".join(f"{figures[name]:.3f}" for name in ("map_at_0.5", "map_at_0.75", "average_map"))
    return f"{shown} | {silent} of {len(empty)} | {moves}"


def answers(video: LocatedActions) -> list[tuple[str, float, float]]:
    return [(s.label, s.span.start_s, s.span.end_s) for s in video.found if s.score >= ANSWER_SCORE]


def border_moves(by_rate: list[list[LocatedActions]]) -> str:
    """How far borders of answers move from the first rate to the others, and how many answers have no counterpart."""
    base, *others = by_rate
    moves: list[float] = []
    lost = 0
    for other in others:
        for first, second in zip(base, other, strict=True):
            for label, start_s, end_s in answers(first):
                near = [(abs(start_s - a), abs(end_s - b)) for name, a, b in answers(second) if name == label]
                best = min(near, key=max, default=(np.inf, np.inf))
                lost += max(best) > 1
                moves += [float(move) for move in best if max(best) <= 1]
    if not moves:
        return "no answer at the first rate"
    return f"median {np.median(moves):.3f} s, 95 % {np.quantile(moves, 0.95):.3f} s, largest {max(moves):.3f} s, lost {lost}"


if __name__ == "__main__":
    main()
