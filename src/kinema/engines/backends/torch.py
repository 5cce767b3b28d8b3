"""torch: on a GPU the network as it is, on a CPU with batch norms folded into convolutions (`kinema.engines.fold_norms`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kinema.engines.engine import Engine
from kinema.engines.fold_norms import FoldedScorer

if TYPE_CHECKING:
    from kinema.engines.scorer import Scorer
    from kinema.weights.checkpoint import ModelCard


class TorchEngine(Engine):
    """The engine of `kinema.engines.scorer.Scorer`, on every device."""

    title = "torch"
    cpu_only = False
    priority = 100

    def open(self, scorer: Scorer, card: ModelCard) -> Scorer:
        """See `Engine.open`; every network can run."""
        if scorer.device.type != "cpu":
            return scorer
        return FoldedScorer(
            scorer.network, task=card.task, device="cpu", precision=scorer.precision, batch_size=scorer.batch_size
        )


ENGINE = TorchEngine()
