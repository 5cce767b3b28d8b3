"""One stage: a class score and the distances to both borders at each position of each level (ActionFormer, ECCV 2022)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from kinema.models.located.head import Candidates, Classify, Tower, Truth, points_of
from kinema.models.located.losses import diou_loss, focal_loss
from kinema.models.located.pyramid import Level

SHORTEST_RANGE = 4.0
"""Level 0 learns actions whose farther border is at most this many positions away; each further level twice as many."""

_SAME_LENGTH = 1e-3


class OneStage(nn.Module):
    """Classification and regression at each position.

    Args:
        width: channels of the pyramid.
        strides: of its levels.
        radius: points within this many strides of an action's centre learn it.
        depth: layers before the outputs.
    """

    def __init__(self, width: int, strides: Sequence[int], radius: float, depth: int = 2) -> None:
        super().__init__()
        self.radius = radius
        self.classes, self.borders = Tower(width, depth), Tower(width, depth)
        self.offsets = nn.Linear(width, 2)
        self.scale = nn.Parameter(torch.ones(len(strides)))
        self.reach: int = depth * strides[-1]

    def outputs(
        self, levels: Sequence[Level], classify: Classify
    ) -> tuple[Float[Tensor, "b p 2"], Float[Tensor, "b p classes"]]:
        """Times and class logits at the points of all levels."""
        points, strides = points_of(levels)
        logits = torch.cat([classify(features) for features in self.classes(levels)], dim=1)
        raw = [self.offsets(each) * scale for each, scale in zip(self.borders(levels), self.scale, strict=True)]
        distances = functional.softplus(torch.cat(raw, dim=1)) * strides[:, None]
        return torch.stack([points - distances[..., 0], points + distances[..., 1]], dim=-1), logits

    def loss(self, levels: Sequence[Level], truth: Sequence[Truth], classify: Classify) -> Tensor:
        """Focal loss at all points and DIoU loss at those that learn an action, summed."""
        times, logits = self.outputs(levels, classify)
        points, strides = points_of(levels)
        real = torch.cat([mask for _, mask in levels], dim=1)
        total = logits.new_zeros(())
        for row, own in enumerate(truth):
            targets, true, learns = assign(points, strides, own, logits.shape[2], self.radius)
            counted, learns = real[row], learns & real[row]
            total = total + focal_loss(logits[row][counted], targets[counted]).sum()
            total = total + diou_loss(times[row][learns], true[learns]).sum()
        return total

    def candidates(self, levels: Sequence[Level], classify: Classify) -> Candidates:
        """One candidate a point."""
        times, logits = self.outputs(levels, classify)
        real = torch.cat([mask for _, mask in levels], dim=1)[0]
        return Candidates(times[0][real], logits[0][real], points_of(levels)[0][real])

    def clip_logits(self, levels: Sequence[Level], classify: Classify) -> Float[Tensor, "b classes"]:
        """The largest logit of each class over the levels."""
        first = [(features[:, :1], mask[:, :1]) for features, mask in levels]
        return self.outputs(first, classify)[1].amax(dim=1)


def assign(
    points: Float[Tensor, " p"], strides: Float[Tensor, " p"], truth: Truth, num_classes: int, radius: float
) -> tuple[Float[Tensor, "p classes"], Float[Tensor, "p 2"], Tensor]:
    """What each point learns: targets of the classes, start and end, and whether it learns an action at all.

    A point learns an action if it lies inside, within `radius` strides of the action's centre, and if its distance to the
    farther border is in the range of its level: 0 to 4 positions at stride 1, 4 to 8 at stride 2, …, no upper limit at the last.
    Of several actions it learns the shortest; of equally long ones all classes.
    """
    targets = points.new_zeros(len(points), num_classes)
    times = points.new_zeros(len(points), 2)
    if not len(truth.classes):
        return targets, times, torch.zeros_like(points, dtype=torch.bool)
    start, end = truth.times.T
    distances = torch.stack([points[:, None] - start, end - points[:, None]])
    farthest = distances.amax(dim=0)
    centred = (points[:, None] - (start + end) / 2).abs() < radius * strides[:, None]
    upper = SHORTEST_RANGE * strides.masked_fill(strides == strides.max(), torch.inf)
    lower = torch.where(strides > 1, SHORTEST_RANGE / 2 * strides, 0.0)
    in_range = (farthest >= lower[:, None]) & (farthest <= upper[:, None])
    fits = (distances.amin(dim=0) > 0) & centred & in_range
    lengths = (end - start).expand(len(points), -1).masked_fill(~fits, torch.inf)
    shortest, chosen = lengths.min(dim=1)
    learned = fits & (lengths <= shortest[:, None] + _SAME_LENGTH)
    rows, actions = learned.nonzero(as_tuple=True)
    targets[rows, truth.classes[actions]] = 1.0
    return targets, truth.times[chosen], fits.any(dim=1)
