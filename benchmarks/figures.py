"""Who does what where, without any download: drawn figures, a small detector trained on them, tracks, and actions of boxes.

    python benchmarks/figures.py FOLDER            # what FOLDER holds already is not made again

Writes the data set (`FOLDER/data`), the run (`FOLDER/run`), the detector in the layout of FastestDet (`FOLDER/figures.onnx`), and
prints a table. The steps are those of a user: `kinema train --task boxes`, `kinema detect`,
`kinema evaluate`.
"""

from __future__ import annotations

import argparse
import itertools
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from kinema.datasets.opening import open_data
from kinema.datasets.synthetic_figures import ACTIONS, Scene, draw_scene, write_figures_set, write_scene
from kinema.evaluation.located.tracking import EMPTY, TrackedFrame, TrackingScores, tracking_scores
from kinema.inference.detectors.opening import open_detector
from kinema.inference.track_videos import DetectOptions, track_videos
from kinema.tracks import Track

INPUT = (144, 192)
CELL = 16
SEED = 0
SECONDS, TRAIN_SECONDS, DATA_FPS = 6.0, 3.0, 5.0
TRAIN = [
    *("--task", "boxes", "--model", "slow_fusion_tiny", "--size", "72x96", "--clip-len", "8", "--fps", "5"),
    *("--batch-size", "8", "--lr", "0.004", "--crop-scale", "0.6", "--workers", "1"),
]


class FigureDetector(nn.Module):
    """A few convolutions; for each cell of 16 x 16 pixels objectness, offset of the centre, width and height, and a class."""

    def __init__(self, width: int = 12) -> None:
        super().__init__()
        channels = [3, width, 2 * width, 4 * width, 4 * width]
        layers: list[nn.Module] = []
        for place in range(4):
            layers += [
                nn.Conv2d(channels[place], channels[place + 1], 3, 2, 1, bias=False),
                nn.BatchNorm2d(channels[place + 1]),
            ]
            layers += [nn.ReLU(inplace=True)]
        for dilation in (1, 2, 1):
            conv = nn.Conv2d(4 * width, 4 * width, 3, 1, dilation, dilation, bias=False)
            layers += [conv, nn.BatchNorm2d(4 * width), nn.ReLU(inplace=True)]
        self.trunk, self.head = nn.Sequential(*layers), nn.Conv2d(4 * width, 5, 1)
        nn.init.constant_(self.head.bias[:1], -3.0)

    def forward(self, frames: Tensor) -> Tensor:
        """[n 3 h w], blue green red, 0 to 1 -> [n 6 h/16 w/16]: objectness, raw offsets and sides, score of the class."""
        cells = self.head(self.trunk(frames))
        score = cells[:, :1].sigmoid()
        return torch.cat([score, cells[:, 1:], score], 1)


def decoded(cells: Tensor) -> Tensor:
    """Left, top, right, bottom [n 4 h w] as shares of the frame."""
    rows, columns = cells.shape[-2:]
    y, x = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    across, down = (x + cells[:, 1].tanh()) / columns, (y + cells[:, 2].tanh()) / rows
    half_width, half_height = cells[:, 3].sigmoid() / 2, cells[:, 4].sigmoid() / 2
    return torch.stack([across - half_width, down - half_height, across + half_width, down + half_height], 1)


def truth_cells(boxes: list[NDArray[np.float64]]) -> tuple[Tensor, Tensor]:
    """Objectness [n 1 h w] and box [n 4 h w] of each cell; cells within 0.6 of a centre have its box."""
    rows, columns = INPUT[0] // CELL, INPUT[1] // CELL
    has, target = torch.zeros(len(boxes), 1, rows, columns), torch.zeros(len(boxes), 4, rows, columns)
    for place, own in enumerate(boxes):
        for box in own:
            across, down = (box[0] + box[2]) / 2 * columns, (box[1] + box[3]) / 2 * rows
            for column, row in itertools.product((int(across), int(across) + 1), (int(down), int(down) + 1)):
                is_near = abs(across - column) <= 0.6 and abs(down - row) <= 0.6
                if is_near and column < columns and row < rows:
                    has[place, 0, row, column], target[place, :, row, column] = 1, torch.from_numpy(box).float()
    return has, target


def generalised_iou(first: Tensor, second: Tensor) -> Tensor:
    """GIoU (Rezatofighi et al. 2019) of boxes [n 4] with boxes [n 4]."""
    low, high = torch.maximum(first[:, :2], second[:, :2]), torch.minimum(first[:, 2:], second[:, 2:])
    shared = (high - low).clamp(min=0).prod(1)
    areas = [(box[:, 2:] - box[:, :2]).clamp(min=0).prod(1) for box in (first, second)]
    union = areas[0] + areas[1] - shared
    hull = (torch.maximum(first[:, 2:], second[:, 2:]) - torch.minimum(first[:, :2], second[:, :2])).prod(1)
    return shared / union.clamp(min=1e-9) - (hull - union) / hull.clamp(min=1e-9)


def draw_frames(count: int, rng: np.random.Generator) -> tuple[Tensor, list[NDArray[np.float64]]]:
    """Drawn frames [n 3 h w] of new scenes in the detector's input size, and their boxes as shares."""
    frames, boxes = [], []
    for _ in range(count):
        scene = draw_scene(rng)
        picture, own = scene.at(float(rng.uniform(3, scene.seconds - 0.1)))
        height, width = picture.shape[:2]
        boxes.append(np.array(list(own.values()), np.float64).reshape(-1, 4) / (width, height, width, height))
        frames.append(torch.from_numpy(picture[:, :, ::-1].copy()).permute(2, 0, 1))
    stack = torch.stack(frames).float()
    return F.interpolate(stack, INPUT, mode="bilinear", antialias=True).round().to(torch.uint8), boxes


def train_detector(path: Path, num_frames: int, epochs: int) -> None:
    """Train on drawn frames and export."""
    torch.manual_seed(SEED)
    rng = np.random.default_rng(SEED + 1000)
    frames, boxes = draw_frames(num_frames, rng)
    has, target = truth_cells(boxes)
    network, batch = FigureDetector(), 16
    optimizer = torch.optim.AdamW(network.parameters(), 2e-3, weight_decay=1e-3)
    steps = epochs * (num_frames // batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=steps)
    for epoch in range(epochs):
        order = torch.from_numpy(rng.permutation(num_frames))
        total = 0.0
        for rows in order[: num_frames // batch * batch].split(batch):
            clip, own_has, own_target = frames[rows].float() / 255, has[rows], target[rows]
            if rng.random() < 0.5:
                clip, own_has, own_target = clip.flip(-1), own_has.flip(-1), own_target.flip(-1)
                own_target = torch.stack(
                    [1 - own_target[:, 2], own_target[:, 1], 1 - own_target[:, 0], own_target[:, 3]], 1
                )
            cells = network(clip)
            inside = own_has[:, 0] > 0
            overlap = generalised_iou(
                decoded(cells).permute(0, 2, 3, 1)[inside], own_target.permute(0, 2, 3, 1)[inside]
            )
            weight = 1 + 3 * own_has
            loss = 8 * F.binary_cross_entropy(cells[:, :1], own_has, weight) + 2 * (1 - overlap).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += float(loss.detach())
        print(f"  detector, epoch {epoch + 1} of {epochs}: loss {total / (num_frames // batch):.3f}", flush=True)
    torch.onnx.export(network.eval(), (torch.zeros(1, 3, *INPUT),), str(path), dynamo=True, external_data=False)


def kinema(*arguments: str) -> str:
    """Run a command of kinema; returns what it prints on standard output."""
    print(f"  $ kinema {' '.join(arguments)}", flush=True)
    done = subprocess.run([sys.executable, "-m", "kinema", *arguments], check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout


def find_tracks(detector: Path, paths: list[Path]) -> dict[str, tuple[Track, ...]]:
    """Tracks of videos, by their names."""
    opened = open_detector(str(detector))
    found = track_videos([str(path) for path in paths], opened, DetectOptions())
    return {Path(one.path).stem: one.tracks for one in found}  # type: ignore[union-attr]


def key_frame_boxes(tracks: dict[str, tuple[Track, ...]], data: Path, out: Path) -> None:
    """Write the boxes of tracks at the key frames of the data, as AVA's detections."""
    rows = []
    for example in open_data(data).part("valid").examples:
        name = Path(example.path).stem
        at_s = np.array([example.span.end_s - 0.5])  # type: ignore[union-attr]
        for track in tracks[name]:
            (box,) = track.boxes_at(at_s)
            if np.isfinite(box).all():
                sides = ",".join(f"{side:.4f}" for side in np.clip(box / (192, 144, 192, 144), 0, 1))
                rows.append(f"{name},{at_s[0]:g},{sides},,{min(track.score, 1):.4f}\n")
    out.write_text("".join(rows))


def switches(tracks: dict[str, tuple[Track, ...]], scenes: dict[str, Scene], fps: float) -> TrackingScores:
    """Tracking figures of all videos together, at every frame."""
    total = None
    for name, scene in scenes.items():
        answers: dict[int, list[tuple[int, NDArray[np.float64]]]] = {}
        for track in tracks[name]:
            for frame, box in zip(track.frames.tolist(), track.boxes, strict=True):
                answers.setdefault(frame, []).append((track.id, box))
        truth = {number: scene.at(number / fps)[1] for number in range(round(scene.seconds * fps))}
        true = {
            n: TrackedFrame(np.array(list(own), np.int64), np.array(list(own.values())))
            for n, own in truth.items()
            if own
        }
        found = {
            n: TrackedFrame(np.array([i for i, _ in own]), np.stack([box for _, box in own]))
            for n, own in answers.items()
        }
        frames = sorted({*true, *found})
        scores = tracking_scores({n: true.get(n, EMPTY) for n in frames}, {n: found.get(n, EMPTY) for n in frames})
        total = scores if total is None else total + scores
    assert total is not None
    return total


def true_tubes(scenes: dict[str, Scene], fps: float) -> list[dict[str, object]]:
    """The actions of each figure while it is there, as `kinema evaluate --protocol video-map` reads them."""
    tubes: list[dict[str, object]] = []
    for name, scene in scenes.items():
        frames = [scene.at(number / fps)[1] for number in range(round(scene.seconds * fps))]
        for figure in scene.figures:
            present = [number for number, own in enumerate(frames) if figure.id in own]
            boxes = [frames[number][figure.id] for number in present]
            about = {"video": name, "start_frame": present[0], "boxes_xyxy": boxes}
            tubes += [{**about, "label": action} for action in figure.actions]
    return tubes


@dataclass(frozen=True)
class Made:
    """What the folder holds: the data, the run, the detector, and the scenes of the validation part by name."""

    folder: Path
    scenes: dict[str, Scene]

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def run(self) -> Path:
        return self.folder / "run"

    @property
    def detector(self) -> Path:
        return self.folder / "figures.onnx"

    def videos(self, fps: float) -> list[Path]:
        """The videos of the scenes at a frame rate; missing ones are written."""
        paths = [self.folder / f"videos_{fps:g}" / f"{name}.mp4" for name in self.scenes]
        paths[0].parent.mkdir(parents=True, exist_ok=True)
        for path, scene in zip(paths, self.scenes.values(), strict=True):
            if not path.exists():
                write_scene(path, scene, fps)
        return paths


def make(folder: Path, given: argparse.Namespace) -> Made:
    """Draw the data, train the network and the detector, unless the folder holds them."""
    made = Made(folder, {})
    counts = dict(zip(("train", "valid"), given.videos, strict=True))
    lengths_s = {"train": TRAIN_SECONDS, "valid": SECONDS}
    steps = (
        (
            made.data / "boxes.json",
            lambda: write_figures_set(made.data, counts=counts, seconds=lengths_s, fps=DATA_FPS, seed=SEED),
        ),
        (made.detector, lambda: train_detector(made.detector, given.frames, given.detector_epochs)),
        (made.run / "summary.json", lambda: train_network(made, given.epochs)),
    )
    for path, step in steps:
        if not path.exists():
            started = time.monotonic()
            step()
            print(f"  {path.name}: {time.monotonic() - started:.0f} s", flush=True)
    for number in range(counts["valid"]):
        rng, first = np.random.default_rng([SEED, 1, number]), ACTIONS[number % len(ACTIONS)]
        made.scenes[f"valid_{number:03d}"] = draw_scene(rng, seconds=SECONDS, first=first)
    return made


def train_network(made: Made, epochs: int) -> None:
    """`kinema train --task boxes` from true boxes."""
    shutil.rmtree(made.run, ignore_errors=True)
    cached = ["--cache", str(made.folder / "cache")]
    kinema("train", str(made.data), *TRAIN, "--epochs", str(epochs), *cached, "--out", str(made.run), "--json")


def measure(made: Made) -> Iterator[tuple[str, str]]:
    """The rows of the table: figure and value."""
    true = json.loads(kinema("evaluate", str(made.run), str(made.data), "--json"))
    yield "frame mAP@0.5, true boxes", f"{true['frame_map_at_0.5']:.3f}"
    by_rate = {fps: find_tracks(made.detector, made.videos(fps)) for fps in (25.0, 10.0, 5.0)}
    found_file = made.folder / "found.csv"
    key_frame_boxes(by_rate[25.0], made.data, found_file)
    found = json.loads(kinema("evaluate", str(made.run), str(made.data), "--detected", str(found_file), "--json"))
    yield "frame mAP@0.5, boxes of the trained detector", f"{found['frame_map_at_0.5']:.3f}"
    tubes, truth = made.folder / "tubes.jsonl", made.folder / "true_tubes.json"
    videos = [str(path) for path in made.videos(25.0)]
    labels = ["--model", str(made.run), "--min-label-score", "0.3"]
    tubes.write_text(kinema("detect", *videos, "--detector", str(made.detector), *labels, "--json"))
    truth.write_text(json.dumps(true_tubes(made.scenes, 25.0)))
    for convention in ("plus-one", "exact"):
        how = ["--protocol", "video-map", "--convention", convention, "--json"]
        scores = json.loads(kinema("evaluate", "--boxes", str(tubes), "--truth", str(truth), *how))["figures"]
        value = f"{scores['map_at_0.2']:.3f} / {scores['map_at_0.5']:.3f}"
        yield f"video mAP@0.2 / @0.5, convention `{convention}`", value
    for fps, tracks in by_rate.items():
        figures = switches(tracks, made.scenes, fps)
        value = (
            f"{figures.switches} ({figures.num_tracks} figures, IDF1 {figures.idf1:.3f}, recall {figures.recall:.3f})"
        )
        yield f"identity switches at {fps:g} fps", value
    for name, row in true["classes"].items():
        yield f"{name}, true boxes: F1", f"{row['f1']:.3f} (n = {row['n']})"


def main() -> None:
    """Make what is missing in the folder, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--videos", type=int, nargs=2, default=(400, 12))
    parser.add_argument("--frames", type=int, default=480, help="drawn frames that the detector is trained on")
    parser.add_argument("--detector-epochs", type=int, default=8)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only-make", action="store_true", help="measure nothing")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    made = make(given.folder, given)
    if not given.only_make:
        print("| figure | value |\n|---|---|")
        for name, value in measure(made):
            print(f"| {name} | {value} |", flush=True)


if __name__ == "__main__":
    main()
