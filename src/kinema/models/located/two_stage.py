"""Two stages, as in Faster R-CNN in one dimension (R-C3D, Xu et al. 2017; TAL-Net, Chao et al. 2018).

The first stage proposes segments without a class, from anchors of several lengths at each position of each level. The second
pools the features of each proposal and of the time around it, classifies it and moves its borders.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional

from kinema.models.located.head import PRIOR, Candidates, Classify, Tower, Truth, points_of
from kinema.models.located.losses import diou_loss, focal_loss
from kinema.models.located.pyramid import Level
from kinema.models.located.roi_align import roi_align
from kinema.models.located.suppression import nms

ANCHORS = (2.0, 2.0 * 2**0.5, 4.0)
"""Lengths of the anchors, in strides of their level."""

CONTEXT = 0.5
"""Time before and after a proposal that is pooled with it, as a share of its length (TAL-Net)."""

BINS = 16
_POOLED_LENGTH = 4.0
"""A proposal is pooled from the level on which it is about this many positions long."""

_POSITIVE, _NEGATIVE, _SAME = 0.6, 0.4, 1e-3
"""Anchors learn an action from this tIoU on, and its absence below that."""

_RIGHT = 0.5
"""Least tIoU at which a proposal learns the class of an action."""

_PART, _BEFORE_NMS, _PROPOSAL_NMS = 512, 2000, 0.8
_LONGEST_CHANGE = 4.0


class TwoStage(nn.Module):
    """Proposals, then classes and borders.

    Args:
        width: channels of the pyramid.
        strides: of its levels.
        proposals: how many are kept of each 512 positions.
    """

    def __init__(self, width: int, strides: Sequence[int], proposals: int) -> None:
        super().__init__()
        self.proposals, self.strides = proposals, tuple(strides)
        self.tower = Tower(width, 2)
        self.propose = nn.Linear(width, 3 * len(ANCHORS))
        nn.init.normal_(self.propose.weight, std=0.01)
        nn.init.constant_(self.propose.bias, 0.0)
        nn.init.constant_(self.propose.bias[: len(ANCHORS)], float(np.log(PRIOR / (1 - PRIOR))))
        self.pooled = nn.Sequential(
            nn.Flatten(), nn.Linear(width * BINS, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU()
        )
        self.refine = nn.Linear(width, 2)
        nn.init.normal_(self.refine.weight, std=0.01)
        nn.init.zeros_(self.refine.bias)
        self.reach: int = round((2 + (0.5 + CONTEXT) * 2 * ANCHORS[-1]) * strides[-1])

    def first_stage(
        self, levels: Sequence[Level]
    ) -> tuple[Float[Tensor, "n 2"], Float[Tensor, "b n 2"], Float[Tensor, "b n"]]:
        """Anchors of all points, the segments that they are moved to, and the logit of "an action"."""
        points, strides = points_of(levels)
        lengths = (strides[:, None] * strides.new_tensor(ANCHORS)).flatten()
        centres = points.repeat_interleave(len(ANCHORS))
        anchors = torch.stack([centres - lengths / 2, centres + lengths / 2], dim=1)
        raw = self.propose(torch.cat(self.tower(levels), dim=1)).unflatten(2, (3, len(ANCHORS))).movedim(2, -1)
        return anchors, moved(anchors, raw[..., 1:].flatten(1, 2)), raw[..., 0].flatten(1, 2)

    def best(
        self, times: Float[Tensor, "n 2"], logits: Float[Tensor, " n"]
    ) -> tuple[Float[Tensor, "m 2"], Int[Tensor, " m"]]:
        """The proposals that survive NMS, and which of the given segments they are."""
        parts = -(-len(logits) // (2 * len(ANCHORS) * _PART))  # all levels together have twice the positions of level 0
        first = logits.topk(min(parts * _BEFORE_NMS, len(logits))).indices
        most = parts * self.proposals
        kept = nms(times[first].double().cpu().numpy(), logits[first].double().cpu().numpy(), _PROPOSAL_NMS, most)
        chosen = first[torch.from_numpy(kept).to(first.device)]
        return times[chosen], chosen

    def second_stage(
        self, levels: Sequence[Level], rois: Float[Tensor, "n 2"], rows: Int[Tensor, " n"], classify: Classify
    ) -> tuple[Float[Tensor, "n 2"], Float[Tensor, "n classes"]]:
        """Moved borders and class logits of proposals; `rows` says which sequence each one lies in."""
        length = rois[:, 1] - rois[:, 0]
        wide = torch.stack([rois[:, 0] - CONTEXT * length, rois[:, 1] + CONTEXT * length], dim=1)
        level = (length / _POOLED_LENGTH).clamp(min=1).log2().round().long().clamp(max=len(levels) - 1)
        vectors = rois.new_zeros(len(rois), levels[0][0].shape[2], BINS)
        for number, (features, _) in enumerate(levels):
            own = (level == number).nonzero()[:, 0]
            # Zeros on both sides, so that the ends of a sequence look the same with and without padding.
            padded = functional.pad(features, (0, 0, 1, 1)).transpose(1, 2)
            pooled = roi_align(padded, wide[own] / self.strides[number] + 1, rows[own], BINS)
            vectors = vectors.index_put((own,), pooled)
        joint = self.pooled(vectors)
        return moved(rois, self.refine(joint)), classify(joint)

    def loss(self, levels: Sequence[Level], truth: Sequence[Truth], classify: Classify) -> Tensor:
        """Focal and DIoU losses of both stages, summed. True actions count as proposals too."""
        anchors, times, logits = self.first_stage(levels)
        real = anchor_mask(levels)
        total, rois = logits.new_zeros(()), []
        for row, own in enumerate(truth):
            kept = real[row]
            total = total + proposal_loss(anchors[kept], times[row][kept], logits[row][kept], own)
            proposed, _ = self.best(times[row][kept].detach(), logits[row][kept].detach())
            rois.append(torch.cat([proposed, own.times]))
        sizes = [len(each) for each in rois]
        rows = torch.arange(len(rois), device=total.device).repeat_interleave(torch.tensor(sizes, device=total.device))
        refined, classes = self.second_stage(levels, torch.cat(rois), rows, classify)
        for row, own in enumerate(truth):
            total = total + class_loss(rois[row], refined[rows == row], classes[rows == row], own)
        return total

    def candidates(self, levels: Sequence[Level], classify: Classify) -> Candidates:
        """One candidate a proposal."""
        _, times, logits = self.first_stage(levels)
        real = anchor_mask(levels)[0]
        proposed, chosen = self.best(times[0][real], logits[0][real])
        refined, classes = self.second_stage(levels, proposed, torch.zeros_like(chosen), classify)
        points = points_of(levels)[0].repeat_interleave(len(ANCHORS))[real][chosen]
        return Candidates(refined, classes, points)

    def clip_logits(self, levels: Sequence[Level], classify: Classify) -> Float[Tensor, "b classes"]:
        """The logits of the clip as a proposal."""
        batch, device = len(levels[0][0]), levels[0][0].device
        rois = torch.tensor([[-0.5, 0.5]], device=device).expand(batch, 2)
        return self.second_stage(levels, rois, torch.arange(batch, device=device), classify)[1]


def anchor_mask(levels: Sequence[Level]) -> Bool[Tensor, "b n"]:
    """Which anchors lie at a position that is no padding."""
    return torch.cat([mask for _, mask in levels], dim=1).repeat_interleave(len(ANCHORS), dim=1)


def proposal_loss(
    anchors: Float[Tensor, "n 2"], times: Float[Tensor, "n 2"], logits: Float[Tensor, " n"], truth: Truth
) -> Tensor:
    """Loss of the first stage. The best anchors of an action learn it even if none overlaps it much."""
    shared = tiou(anchors, truth.times)
    overlap, action = best_action(shared)
    nearest = ((shared > 0) & (shared >= shared.amax(dim=0, keepdim=True) - _SAME)).any(dim=1)
    learns = (overlap >= _POSITIVE) | nearest
    counted = learns | (overlap < _NEGATIVE)
    borders = diou_loss(times[learns], truth.times[action[learns]]).sum()
    return borders + focal_loss(logits[counted], learns[counted].to(logits.dtype)).sum()


def class_loss(
    rois: Float[Tensor, "n 2"], times: Float[Tensor, "n 2"], logits: Float[Tensor, "n classes"], truth: Truth
) -> Tensor:
    """Loss of the second stage. A proposal learns the action that it overlaps most, and all classes of equal actions."""
    shared = tiou(rois, truth.times)
    overlap, action = best_action(shared)
    right = overlap >= _RIGHT
    targets = torch.zeros_like(logits)
    rows, actions = (right[:, None] & (shared >= overlap[:, None] - _SAME)).nonzero(as_tuple=True)
    targets[rows, truth.classes[actions]] = 1.0
    return focal_loss(logits, targets).sum() + diou_loss(times[right], truth.times[action[right]]).sum()


def best_action(shared: Float[Tensor, "n m"]) -> tuple[Float[Tensor, " n"], Int[Tensor, " n"]]:
    """The largest tIoU with an action and which action that is; zeros if there is none."""
    if not shared.shape[1]:
        return shared.new_zeros(len(shared)), torch.zeros(len(shared), dtype=torch.long, device=shared.device)
    overlap, action = shared.max(dim=1)
    return overlap, action


def tiou(first: Float[Tensor, "n 2"], second: Float[Tensor, "m 2"]) -> Float[Tensor, "n m"]:
    """Overlap of segments with segments."""
    shared = first[:, None, 1].minimum(second[:, 1]) - first[:, None, 0].maximum(second[:, 0])
    shared = shared.clamp(min=0)
    return shared / (first.diff() + second.diff()[:, 0] - shared)


def moved(segments: Float[Tensor, "*n 2"], changes: Float[Tensor, "*m 2"]) -> Float[Tensor, "*m 2"]:
    """Segments with moved centres (in lengths) and changed lengths (by exp), as in R-CNN (Girshick et al. 2014)."""
    length = segments[..., 1] - segments[..., 0]
    centre = segments.mean(dim=-1) + changes[..., 0] * length
    half = length / 2 * changes[..., 1].clamp(-_LONGEST_CHANGE, _LONGEST_CHANGE).exp()
    return torch.stack([centre - half, centre + half], dim=-1)
