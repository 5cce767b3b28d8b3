"""A network that looks at each frame alone, in its two steps: frames to vectors, the vectors of a clip to logits.

The frame network is nearly all of the work; what joins frames takes them as float32, whatever format that ran in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jaxtyping import Float, UInt8
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from kinema.inference.scoring import Scorer
    from kinema.models.network import FrameParts

    Encode = Callable[[Tensor], NDArray[np.float32]]


class FrameScorer:
    """Scores clips frame by frame.

    Args:
        scorer: holds the network in torch.
        parts: the network's two steps.
        encode: computes the first step in place of torch.
    """

    def __init__(self, scorer: Scorer, parts: FrameParts, encode: Encode | None = None) -> None:
        self._scorer, self._parts, self._encode = scorer, parts, encode
        self.num_clips = scorer.batch_size
        self.num_frames = scorer.batch_size * scorer.spec.clip_len
        """Most frames that go through the frame network at once: as many as a batch of clips has."""

    def encode(self, frames: UInt8[Tensor, "n c 1 h w"]) -> NDArray[np.float32]:
        """A vector [n f] for each frame."""
        if self._encode is not None:
            return self._encode(frames)
        return self._scorer.apply(self._parts.encode, frames, self.num_frames)

    def features(self, encoded: Float[Tensor, "b t f"]) -> NDArray[np.float32]:
        """Features [b g] of clips."""
        return self._scorer.run(self._parts.join, encoded)

    def logits(self, encoded: Float[Tensor, "b t f"]) -> NDArray[np.float32]:
        """Logits [b classes] of clips."""
        return self._scorer.run(lambda rows: self._scorer.network.classifier(self._parts.join(rows)), encoded)

    def step_logits(self, encoded: Float[Tensor, "b t f"]) -> NDArray[np.float32]:
        """Logits [b t classes] at each frame of clips."""
        join = self._parts.join_steps
        assert join is not None
        return self._scorer.run(lambda rows: self._scorer.network.classifier(join(rows)), encoded)
