"""How often 95 % intervals hold the true accuracy, by number of sources: drawn by source, by video, and as kinema prints them.

    python benchmarks/interval_coverage.py            # the table of docs/explained/numbers.md, about two minutes
    python benchmarks/interval_coverage.py --sets 200

Each simulated set has sources with a share of right answers of their own, from a beta distribution with mean `accuracy` and the
intraclass correlation `icc`, and a number of videos of each source. The interval should hold `accuracy` in 95 % of the sets.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from kinema.evaluation.bootstrap import intervals

NUM_SOURCES = (2, 5, 10, 30)
CORRELATIONS = (0.0, 0.05, 0.2, 0.5)
VIDEOS_PER_SOURCE = 20


def coverage(
    num_sources: int, icc: float, *, accuracy: float = 0.8, num_sets: int = 1000, num_draws: int = 400, seed: int = 0
) -> dict[str, float]:
    """The share of simulated sets whose interval holds the true accuracy, for each way to draw it.

    `by source` draws every source as one video would be, also if there are few; `by video` ignores sources; `printed` is what
    kinema prints.
    """
    rng = np.random.default_rng(seed)
    held = dict.fromkeys(("by source", "by video", "printed"), 0)
    for _ in range(num_sets):
        shares = np.full(num_sources, accuracy)
        if icc > 0:
            size = 1 / icc - 1
            shares = rng.beta(accuracy * size, (1 - accuracy) * size, num_sources)
        hits = rng.random((num_sources, VIDEOS_PER_SOURCE)) < shares[:, None]
        sources = np.repeat(np.arange(num_sources), VIDEOS_PER_SOURCE)
        ways = {
            "by source": intervals(mean_of(hits.mean(axis=1)), range(num_sources), num_draws=num_draws),
            "by video": intervals(mean_of(hits.ravel()), range(hits.size), num_draws=num_draws),
            "printed": intervals(mean_of(hits.ravel()), sources.tolist(), num_draws=num_draws),
        }
        for way, found in ways.items():
            held[way] += found["accuracy"].low <= accuracy <= found["accuracy"].high
    return {way: count / num_sets for way, count in held.items()}


def mean_of(values: NDArray[np.generic]) -> Callable[[NDArray[np.float32]], dict[str, NDArray[np.float64]]]:
    """The weighted mean of the values, as a figure."""
    numbers = values.astype(np.float64)
    return lambda weights: {"accuracy": weights @ numbers / weights.sum(axis=1)}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", type=int, default=1000, help="simulated sets for each row")
    parser.add_argument("--accuracy", type=float, default=0.8)
    options = parser.parse_args()
    print(f"accuracy {options.accuracy}, {VIDEOS_PER_SOURCE} videos a source, {options.sets} sets a row\n")
    print("| sources | intraclass correlation | by source | by video | printed |\n|---|---|---|---|---|")
    for num_sources, icc in itertools.product(NUM_SOURCES, CORRELATIONS):
        found = coverage(num_sources, icc, accuracy=options.accuracy, num_sets=options.sets)
        shares = " | ".join(f"{100 * share:.0f} %" for share in found.values())
        print(f"| {num_sources} | {icc} | {shares} |", flush=True)


if __name__ == "__main__":
    main()
