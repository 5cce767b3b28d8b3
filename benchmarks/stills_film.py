"""Make a video of the validation stills of a data set: each class for some seconds, a new still every half second.

The best label of a frame network changes often on such a video; a rolling average makes it steadier.

    python benchmarks/stills_film.py sports_stills/ film.mp4
    kinema predict film.mp4 --model runs/stills --step 0.5 --rolling 8 --json
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from kinema.datasets import open_data
from kinema.video import open_video
from kinema.video.writer import VideoWriter

SIZE = (256, 256)
FPS = 10
FRAMES_A_STILL = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data")
    parser.add_argument("film", type=Path)
    parser.add_argument("--stills", type=int, default=16, help="stills of each class")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    data = open_data(options.data).part("valid")
    rng = np.random.default_rng(options.seed)
    with VideoWriter(options.film, fps=FPS, size=SIZE) as writer:
        for label in rng.permutation(list(data.labels)):
            paths = [example.path for example in data.examples if example.label == label]
            for path in rng.permutation(paths)[: options.stills]:
                with open_video(str(path)) as still:
                    frame = still.frames_at([0], SIZE)[0]
                for _ in range(FRAMES_A_STILL):
                    writer.write(frame)
    print(options.film)


if __name__ == "__main__":
    main()
