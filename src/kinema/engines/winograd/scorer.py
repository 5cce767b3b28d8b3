"""Scorer in torch whose convolutions need fewer multiplications; see `kinema.engines.winograd.replace`."""

from __future__ import annotations

from kinema.engines.fold_norms import FoldedScorer, folded
from kinema.engines.winograd.replace import with_winograd
from kinema.models.network import Network, sharing_weights


class WinogradScorer(FoldedScorer):
    """A `FoldedScorer` with Winograd convolutions, in float32 on a CPU. Arguments: see `Scorer`.

    Raises:
        OutputError: the C code of the convolutions cannot be compiled here.
    """

    engine = "winograd"

    def __init__(
        self, network: Network, *, task: str, device: str, precision: str, batch_size: int | None = None
    ) -> None:
        super().__init__(network, task=task, device=device, precision=precision, batch_size=batch_size)
        replaced = sharing_weights(folded(self.network))
        with_winograd(replaced)
        self._folded = self.for_scoring(replaced)
