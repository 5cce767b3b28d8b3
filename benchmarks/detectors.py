"""How many true boxes of persons each detector finds, and how long it takes.

The truth is a JSON file of tubes by video: {"NAME": {"file": "clips/a.mp4", "label": "Diving", "boxes_are_in": [320, 240],
"tubes": [{"start_frame": 0, "boxes_xywh": [[x, y, w, h], …]}]}}. Boxes are scaled from `boxes_are_in` (width, height) to the
video, which is looked for beside the truth and in the folders above. A true box is found if an answer with at least
`--min-score` overlaps it by an IoU of 0.5. Time is that of all cores together for a frame: resizing, network, decoding of
outputs, suppression.

    python benchmarks/detectors.py TRUTH.json DETECTOR… [--every 16] [--min-score 0.3] [--json]

DETECTOR is what `kinema detect --detector` takes.
"""

# ruff: noqa: E402 - a process is set up before torch is imported
from __future__ import annotations

from kinema.machine import tune_process

tune_process()  # before torch is imported, which reads how its threads wait

# isort: split

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kinema.boxes import box_iou
from kinema.evaluation.located.tubes import LabelledTube, video_map
from kinema.inference.detectors.contract import PERSON, Detector
from kinema.inference.detectors.opening import open_detector
from kinema.video import open_video


class Sample(NamedTuple):
    """A frame [h w c] with its true boxes [n 4] in pixels."""

    label: str
    frame: NDArray[np.uint8]
    boxes: NDArray[np.float64]


def read_tubes(path: Path, name: str, film: dict, size: tuple[int, int]) -> Iterator[LabelledTube]:
    scale = np.tile([size[1] / film["boxes_are_in"][0], size[0] / film["boxes_are_in"][1]], 2)
    for tube in film["tubes"]:
        sides = np.array(tube["boxes_xywh"], float) * scale
        yield LabelledTube(
            name, film["label"], tube["start_frame"], np.hstack([sides[:, :2], sides[:, :2] + sides[:, 2:]])
        )


def read_samples(path: Path, every: int) -> tuple[list[Sample], list[LabelledTube]]:
    samples: list[Sample] = []
    tubes: list[LabelledTube] = []
    for name, film in json.loads(path.read_text(encoding="utf-8")).items():
        found = next(above / film["file"] for above in path.resolve().parents if (above / film["file"]).is_file())
        with open_video(str(found)) as video:
            own = list(read_tubes(path, name, film, (video.info.height, video.info.width)))
            tubes += own
            for number in range(0, video.info.num_frames, every):
                boxes = [t.boxes[number - t.first_frame] for t in own if t.first_frame <= number <= t.last_frame]
                if boxes:
                    samples.append(Sample(film["label"], video.frames_at([number])[0], np.array(boxes)))
    return samples, tubes


def measure(detector: Detector, samples: list[Sample], min_score: float) -> dict[str, object]:
    person = detector.kinds.index(PERSON)
    detector(samples[0].frame[None])  # the first call prepares the network
    counts: dict[str, list[int]] = {}
    seconds = 0.0
    for sample in samples:
        start = time.process_time()
        (found,) = detector(sample.frame[None])
        seconds += time.process_time() - start
        boxes = found.boxes[(found.classes == person) & (found.scores >= min_score)]
        hits = (box_iou(sample.boxes, boxes) >= 0.5).any(axis=1)
        counts.setdefault(sample.label, []).extend(hits.astype(int).tolist())
    everything = [hit for hits in counts.values() for hit in hits]
    by_label = {label: float(np.mean(hits)) for label, hits in sorted(counts.items())}
    return {
        "detector": Path(detector.name).name, "recall": float(np.mean(everything)), "num_boxes": len(everything),
        "cpu_ms_a_frame": seconds * 1e3 / len(samples), "by_label": by_label,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("truth", type=Path)
    parser.add_argument("detectors", nargs="+")
    parser.add_argument("--every", type=int, default=16)
    parser.add_argument("--min-score", type=float, default=0.3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    samples, tubes = read_samples(options.truth, options.every)
    averages = video_map(tubes, tubes).values()
    assert set(averages) == {1.0}, "the truth as answers must have a mean average precision of 1"
    for name in options.detectors:
        detector = open_detector(name)
        assert isinstance(detector, Detector), "a file of boxes is no detector"
        row = measure(detector, samples, options.min_score)
        if options.json:
            print(json.dumps(row), flush=True)
        else:
            by_label = ", ".join(f"{label} {share:.2f}" for label, share in row["by_label"].items())
            print(
                f"{row['detector']}: recall {row['recall']:.2f}, {row['cpu_ms_a_frame']:.0f} ms; {by_label}", flush=True
            )


if __name__ == "__main__":
    main()
