"""A network in torch whose convolutions are computed with fewer multiplications; see `winograd`."""

from __future__ import annotations

from typing import Any

from kinema.engines.fold_norms import FoldedScorer, folded
from kinema.engines.winograd.replace import with_winograd
from kinema.models.network import sharing_weights


class WinogradScorer(FoldedScorer):
    """As `FoldedScorer`, in float32 on a CPU."""

    engine = "winograd"

    def compiled(self) -> WinogradScorer:
        """Itself, once its layers are known to run here.

        Raises:
            OutputError: they cannot be compiled.
        """
        self._folded()
        return self

    def _folded(self) -> Any:
        if self._fast is None:
            self._fast = sharing_weights(folded(self.network))
            with_winograd(self._fast)
        return self._fast
