"""How far rolling averages move the borders between labels of a video, centred and causal.

    python benchmarks/borders.py            # the table of docs/explained/time.md, some seconds
    python benchmarks/borders.py --videos 2000 --noise 0

The timelines are simulated, so that nothing but the rolling average differs. A video has six motions of four seconds, as the one
of `kinema demo`. A network sees one second around every quarter of a second; the logit of each motion grows with its share of
that second, and has noise. With the default noise, 94 % of single predictions are right.

The border between two motions is put where the labels on both sides of it are wrong least often, from the middle of one motion to
the middle of the next. Its error is positive if it is late.
"""

from __future__ import annotations

import argparse

import numpy as np
from numpy.typing import NDArray

from kinema.localization.smoothing import rolling_average
from kinema.video.synthetic import MOTIONS

SIZES = (1, 5, 9, 15)
WINDOW_S, STEP_S, MOTION_S, NUM_MOTIONS = 1.0, 0.25, 4.0, 6
SHARPNESS = 6.0
"""Logit of a motion that fills the window."""


def simulate(
    rng: np.random.Generator, noise: float
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float32]]:
    """Times of predictions [n], the true motion of each of the six parts, and scores [n motions] of one video."""
    motions = [int(rng.integers(len(MOTIONS)))]
    while len(motions) < NUM_MOTIONS:
        motions.append(int(rng.choice([k for k in range(len(MOTIONS)) if k != motions[-1]])))
    length_s = MOTION_S * NUM_MOTIONS
    # Windows begin at any time, so that borders do not fall on predictions.
    times_s = np.arange(WINDOW_S / 2 + rng.uniform(0, STEP_S), length_s - WINDOW_S / 2, STEP_S)
    shares = np.zeros((len(times_s), len(MOTIONS)))
    for place, motion in enumerate(motions):
        start_s, end_s = place * MOTION_S, (place + 1) * MOTION_S
        seen_s = np.minimum(times_s + WINDOW_S / 2, end_s) - np.maximum(times_s - WINDOW_S / 2, start_s)
        shares[:, motion] += np.maximum(seen_s, 0) / WINDOW_S
    logits = SHARPNESS * shares + noise * rng.normal(size=shares.shape)
    scores = np.exp(logits - logits.max(axis=1, keepdims=True))
    return times_s, np.array(motions), (scores / scores.sum(axis=1, keepdims=True)).astype(np.float32)


def border_error(
    times_s: NDArray[np.float64], labels: NDArray[np.int64], true_s: float, before: int, after: int
) -> float:
    """Seconds by which the border between two motions is late; the labels are those of the times [n]."""
    near = np.abs(times_s - true_s) <= MOTION_S / 2
    left, right = (labels[near] == motion for motion in (before, after))
    wrong = np.concatenate([[0], np.cumsum(~left)]) + np.concatenate([np.cumsum(~right[::-1])[::-1], [0]])
    edges = times_s[near][0] - STEP_S / 2 + STEP_S * np.arange(near.sum() + 1)
    return float(edges[wrong == wrong.min()].mean() - true_s)


def errors(size: int, causal: bool, num_videos: int, noise: float, seed: int = 0) -> tuple[NDArray[np.float64], float]:
    """Errors of all borders in seconds, and the share of times with the right label."""
    rng = np.random.default_rng(seed)
    found, right = [], []
    for _ in range(num_videos):
        times_s, motions, scores = simulate(rng, noise)
        labels = rolling_average(scores, size, causal=causal).argmax(axis=1)
        right.append(np.mean(labels == motions[(times_s // MOTION_S).astype(np.int64)]))
        found += [
            border_error(times_s, labels, MOTION_S * place, int(motions[place - 1]), int(motions[place]))
            for place in range(1, NUM_MOTIONS)
        ]
    return np.array(found), float(np.mean(right))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=int, default=400)
    parser.add_argument("--noise", type=float, default=1.6)
    args = parser.parse_args()
    heads = ("K", "window", "median", "median, unsigned", "90th percentile, unsigned", "late", "right times")
    print(f"| {' | '.join(heads)} |\n|{'---|' * len(heads)}")
    for size in SIZES:
        for causal in (False, True) if size > 1 else (False,):
            found, right = errors(size, causal, args.videos, args.noise)
            window = "none" if size == 1 else "causal" if causal else "centred"
            late = float(np.mean(found > STEP_S / 2))
            print(
                f"| {size} | {window} | {np.median(found):+.2f} s | {np.median(abs(found)):.2f} s "
                f"| {np.quantile(abs(found), 0.9):.2f} s | {late:.0%} | {right:.1%} |"
            )


if __name__ == "__main__":
    main()
