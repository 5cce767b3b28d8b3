"""Decoding by two checkouts of kinema, by turns in one run: opening, all frames in order, 16 spread frames.

Each side has a process of its own that takes requests. Prints, for each video and task, the fastest and the median time of both
sides and the ratio of the other checkout's time to this one's: above 1, this checkout is faster. Three videos are drawn (H.264 in
MP4 and MKV, MPEG-4 in AVI, 320x240); FILES follow.

    git worktree add /tmp/other COMMIT
    python benchmarks/decode_versions.py /tmp/other/src [FILES] [--repeats 15] [--threads 1] [--json]
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from decode import draw_film

HERE = Path(__file__).resolve().parents[1] / "src"
TASKS = ("open", "iterate", "16 spread frames")

WORKER = """
import json, sys, time
from kinema.video import open_video
for line in sys.stdin:
    path, task, threads = json.loads(line)
    started, cpu = time.perf_counter(), time.process_time()
    with open_video(path, threads=threads) as video:
        if task == "iterate":
            for _ in video.iterate(112):
                pass
        elif task != "open":
            last = len(video) - 1
            video.frames_at([last * place // 15 for place in range(16)], 112)
    print(json.dumps([time.perf_counter() - started, time.process_time() - cpu]), flush=True)
"""


class Side:
    """One checkout."""

    def __init__(self, source: Path) -> None:
        self.worker = subprocess.Popen(
            [sys.executable, "-c", WORKER], env=os.environ | {"PYTHONPATH": str(source)}, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip

    def ask(self, path: str, task: str, threads: int | None) -> tuple[float, float]:
        """Seconds by the clock and of the processor."""
        assert self.worker.stdin is not None
        assert self.worker.stdout is not None
        print(json.dumps([path, task, threads]), file=self.worker.stdin, flush=True)
        wall, cpu = json.loads(self.worker.stdout.readline())
        return wall, cpu


def measure(path: Path, task: str, sides: list[Side], repeats: int, threads: int | None) -> dict[str, object]:
    times: list[list[tuple[float, float]]] = [[], []]
    for repeat in range(repeats + 1):  # the first is to warm up
        for place in (0, 1) if repeat % 2 else (1, 0):
            taken = sides[place].ask(str(path), task, threads)
            if repeat:
                times[place].append(taken)
    row: dict[str, object] = {"file": path.name, "task": task}
    for number, clock in enumerate(("wall", "cpu")):
        other, this = ([taken[number] for taken in side] for side in times)
        row |= {f"{clock}_other_ms": 1000 * min(other), f"{clock}_this_ms": 1000 * min(this)}
        row |= {f"{clock}_ratio": min(other) / min(this)}
        row |= {f"{clock}_ratio_of_medians": statistics.median(other) / statistics.median(this)}
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("other", type=Path, help="the src folder of the other checkout")
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--threads", type=int, help="decoding threads; by default each side chooses")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    sides = [Side(options.other.resolve()), Side(HERE)]
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        codecs = {"mp4": "libx264", "mkv": "libx264", "avi": "mpeg4"}
        drawn = [draw_film(Path(folder) / f"drawn.{ending}", 240, 320, 250, codec) for ending, codec in codecs.items()]
        for path in [*drawn, *options.files]:
            for task in TASKS:
                rows.append(measure(path, task, sides, options.repeats, options.threads))
                print(
                    "{file:28.28} {task:17} cpu {cpu_other_ms:8.2f} {cpu_this_ms:8.2f} ms {cpu_ratio:5.2f}, medians "
                    "{cpu_ratio_of_medians:5.2f}; wall {wall_ratio:5.2f}".format(**rows[-1]),
                    file=sys.stderr, flush=True,
                )  # fmt: skip
    for task in TASKS:
        ratios = [float(str(row["cpu_ratio"])) for row in rows if row["task"] == task]
        print(
            f"{task:17} {len(ratios)} videos, geometric mean of the ratios {math.prod(ratios) ** (1 / len(ratios)):.3f}"
        )
    if options.json:
        print(json.dumps(rows, indent=2))


if __name__ == "__main__":
    main()
