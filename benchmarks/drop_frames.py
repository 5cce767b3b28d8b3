"""Copy the videos of a manifest with a share of their frames removed at random, to measure what that costs a network.

python benchmarks/drop_frames.py split.csv OUT --share 0.25 --split valid
kinema evaluate runs/x/best OUT/manifest.csv --split valid
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np

from kinema.datasets import open_data
from kinema.datasets.check import write_manifest
from kinema.video import open_video
from kinema.video.writer import VideoWriter


def thin(source: str, target: Path, share: float, rng: np.random.Generator) -> None:
    with open_video(source) as video:
        kept = np.flatnonzero(rng.random(video.info.num_frames) >= share)
        wanted = set(kept.tolist())
        size = (video.info.height, video.info.width)
        with VideoWriter(target, fps=video.info.fps, size=size) as writer:
            for index, _, frame in video.iterate():
                if index in wanted:
                    writer.write(frame)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("manifest")
    parser.add_argument("out", type=Path)
    parser.add_argument("--share", type=float, default=0.25)
    parser.add_argument("--split", default="valid")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    data = open_data(options.manifest).part(options.split)
    rng = np.random.default_rng(options.seed)
    copies = []
    for number, example in enumerate(data.examples):
        target = options.out / f"{number:05d}.mp4"
        thin(example.path, target, options.share, rng)
        copies.append(replace(example, path=str(target.resolve())))
    write_manifest(data.with_examples(copies), options.out / "manifest.csv")
    print(f"{len(copies)} films without {options.share:.0%} of their frames: {options.out / 'manifest.csv'}")


if __name__ == "__main__":
    main()
