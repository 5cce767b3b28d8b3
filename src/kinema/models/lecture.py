"""Three tiny networks that show where frames are joined: late fusion, early fusion, 3-D CNN (input 3 x 20 x 64 x 64).

After J. Johnson's lecture on video (EECS 498, Michigan): two convolutions, a pooling of 4, a global average. `kinema
describe` prints the output sizes and receptive fields of its table.
"""

from __future__ import annotations

from typing import Literal

from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from kinema.models.network import Network, init_he
from kinema.models.variant import Variant
from kinema.types import InputSpec


class GlobalAvgPool(nn.Module):
    """One number a channel."""

    def forward(self, x: Float[Tensor, "b c ..."]) -> Float[Tensor, "b c"]:
        """The average over all of space and time."""
        return x.flatten(2).mean(dim=2)


class LectureNet(Network):
    """conv 3 -> 12, pool 4, conv 12 -> 24, global average pool.

    Args:
        spec: the input.
        num_classes: length of the logits.
        time: where frames are joined: at the end ("late"), in the first layer ("early"), or layer by layer ("slow", 3-D).
    """

    def __init__(self, spec: InputSpec, num_classes: int, time: Literal["late", "early", "slow"]) -> None:
        shortest = 4 if time == "slow" else 1
        if spec.clip_len < shortest or min(spec.size) < 4:
            raise ValueError(f"its pooling leaves nothing of {spec.shape[1:]}; it takes {shortest} x 4 x 4 at least")
        super().__init__(spec, 24, num_classes)
        self.time = time
        self.conv1: nn.Module
        self.conv2: nn.Module
        if time == "early":
            self.conv1 = nn.Conv2d(spec.num_channels * spec.clip_len, 12, 3, padding=1)
            self.conv2 = nn.Conv2d(12, 24, 3, padding=1)
        else:
            length = 3 if time == "slow" else 1
            shape, padding = (length, 3, 3), (length // 2, 1, 1)
            self.conv1 = nn.Conv3d(spec.num_channels, 12, shape, padding=padding)
            self.conv2 = nn.Conv3d(12, 24, shape, padding=padding)
        pools = {"late": nn.MaxPool3d((1, 4, 4)), "early": nn.MaxPool2d(4), "slow": nn.MaxPool3d(4)}
        self.pool1, self.pool2 = pools[time], GlobalAvgPool()
        self.relu = nn.ReLU(inplace=True)
        init_he(nn.ModuleList([self.conv1, self.conv2]))

    def features(self, clip: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b 24"]:
        """Averages over space and the remaining time steps."""
        x = rearrange(clip, "b c t h w -> b (c t) h w") if self.time == "early" else clip
        x = self.pool1(self.relu(self.conv1(x)))
        return self.pool2(self.relu(self.conv2(x)))

    def stages(self) -> list[tuple[str, nn.Module]]:
        """The two convolutions."""
        return [("conv1", self.conv1), ("conv2", self.conv2)]


_INPUT = InputSpec(clip_len=20, size=(64, 64))
_PAPER = "J. Johnson, lecture on video, EECS 498, University of Michigan"


def _variant(time: str, note: str) -> Variant:
    return Variant(builder=LectureNet, arguments={"time": time}, input=_INPUT, paper=_PAPER, num_classes=10, note=note)


VARIANTS: dict[str, Variant] = {
    "lecture_late_fusion": _variant("late", "time joins in the last average"),
    "lecture_early_fusion": _variant("early", "time ends in the first layer"),
    "lecture_3d_cnn": _variant("slow", "time joins step by step"),
}
