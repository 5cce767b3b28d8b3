"""Late fusion of networks: each gets its part of the clip, and their scores are averaged (Simonyan and Zisserman 2014).

A clip of RGB and flow has five channels. A member for RGB takes the first three, one for flow the last two; a member
for single frames takes the middle one. The output is logits whose softmax is the weighted mean of the members'
softmaxes, so that scores are averaged over clips as for any network. A linear layer on the members' scores, each scaled
to length one, can replace the mean: the support vector machine of the paper.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, cast

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from kinema.errors import ConfigError
from kinema.models.network import Network, group, new_classifier
from kinema.types import InputSpec


class MeanScores(nn.Module):
    """The classifiers of several networks, and the weighted mean of their scores as logits.

    Args:
        classifiers: one a network.
        sizes: length of each network's features.
        weights: of each network in the mean; they need not sum to one.
        multi_label: scores are sigmoids, not a softmax.
    """

    def __init__(
        self, classifiers: Sequence[nn.Module], sizes: Sequence[int], weights: Sequence[float], multi_label: bool
    ) -> None:
        super().__init__()
        if len(weights) != len(classifiers) or min(weights) <= 0:
            raise ValueError(f"every network needs a weight above zero, got {list(weights)} for {len(classifiers)}")
        self.members = nn.ModuleList(classifiers)
        self.sizes, self.weights, self.multi_label = list(sizes), list(weights), multi_label
        self.out_features: int = int(classifiers[0].out_features)  # type: ignore[arg-type]

    def forward(self, features: Float[Tensor, "b f"]) -> Float[Tensor, "b classes"]:
        """Logits from the members' concatenated features."""
        logits = self.logits(features)
        if not self.multi_label:
            return self._mean([each.log_softmax(dim=-1) for each in logits])
        yes, no = ([functional.logsigmoid(sign * each) for each in logits] for sign in (1, -1))
        return self._mean(yes) - self._mean(no)

    def logits(self, features: Float[Tensor, "b f"]) -> list[Tensor]:
        """Each member's own, [b classes]."""
        parts = torch.split(features, self.sizes, dim=-1)
        return [member(part).float() for member, part in zip(self.members, parts, strict=True)]

    def _mean(self, logs: list[Tensor]) -> Tensor:
        """The logarithm of the weighted mean of `exp(logs)`."""
        shares = torch.tensor(self.weights, device=logs[0].device)
        return torch.logsumexp(torch.stack(logs) + (shares / shares.sum()).log()[:, None, None], dim=0)


class SvmScores(MeanScores):
    """A linear support vector machine on the members' softmax scores, each scaled to length one.

    Its logits are distances from the planes between classes: they rank the classes, but their softmax is not a
    probability. `joint` is fitted by `kinema fuse --svm`. Arguments: see `MeanScores`.
    """

    def __init__(
        self, classifiers: Sequence[nn.Module], sizes: Sequence[int], weights: Sequence[float], multi_label: bool
    ) -> None:
        super().__init__(classifiers, sizes, weights, multi_label)
        self.joint = nn.Linear(self.out_features * len(self.members), self.out_features)

    def forward(self, features: Float[Tensor, "b f"]) -> Float[Tensor, "b classes"]:
        """Distances from the planes."""
        return self.joint(_stacked([each.softmax(dim=-1) for each in self.logits(features)]))

    def adopt(self, rows: NDArray[np.float64], offsets: NDArray[np.float64]) -> None:
        """Use fitted planes: directions [classes stacked] and offsets [classes]."""
        with torch.no_grad():
            self.joint.weight.copy_(torch.from_numpy(rows))
            self.joint.bias.copy_(torch.from_numpy(offsets))


def stacked_scores(scores: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Input of the support vector machine [n stacked]: the members' scores [n classes], scaled to length one, concatenated."""
    return _stacked([torch.from_numpy(each) for each in scores]).numpy()


def _stacked(scores: Sequence[Float[Tensor, "b classes"]]) -> Float[Tensor, "b stacked"]:
    return torch.cat([functional.normalize(each, dim=-1) for each in scores], dim=-1)


class Streams(Network):
    """Networks whose scores are joined.

    Args:
        spec: the clip that they share.
        members: each with its own `spec`; their classifiers move into this network's.
        weights: of each member in the mean.
        svm: a linear layer in place of the mean.
        multi_label: scores are sigmoids.
    """

    def __init__(
        self,
        spec: InputSpec,
        members: Sequence[Network],
        weights: Sequence[float],
        svm: bool = False,
        multi_label: bool = False,
    ) -> None:
        sizes = [member.feature_dim for member in members]
        super().__init__(spec, sum(sizes), members[0].num_classes)
        if svm and multi_label:
            raise ValueError("a support vector machine chooses one class; average the scores of several labels")
        self._join = (SvmScores if svm else MeanScores, sizes, tuple(weights), multi_label)
        self.classifier = self._joined([member.classifier for member in members])
        for member in members:
            member.classifier = nn.Identity()
        self.members = nn.ModuleList(members)
        self.num_head_stages = max(member.num_head_stages for member in members)

    def _joined(self, classifiers: Sequence[nn.Module]) -> nn.Module:
        kind, sizes, weights, multi_label = self._join
        return kind(classifiers, sizes, weights, multi_label)

    def features(self, clip: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b f"]:
        """The members' features, concatenated."""
        return torch.cat([member.features(part) for member, part in self._seen(clip)], dim=-1)

    def forward(self, clip: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b classes"]:
        """Logits whose softmax is the mean of the members' scores."""
        return self.classifier(torch.cat([member(part) for member, part in self._seen(clip)], dim=-1))

    def _seen(self, clip: Float[Tensor, "b c t h w"]) -> list[tuple[Network, Tensor]]:
        members = [cast(Network, member) for member in self.members]
        return [(member, part_of(clip, self.spec, member.spec)) for member in members]

    def stages(self) -> list[tuple[str, nn.Module]]:
        """The members' stages, aligned at their ends and named after those of the deepest member."""
        streams = [member.stages() for member in self.members]  # type: ignore[operator]
        deepest = max(streams, key=len)
        stages = []
        for back in range(len(deepest), 0, -1):
            there = {f"stream{place + 1}": own[-back][1] for place, own in enumerate(streams) if len(own) >= back}
            stages.append((deepest[-back][0], group(**there)))
        return stages

    def reset_classifier(self, num_classes: int) -> None:
        """Replace the classifier of each member with an untrained one."""
        old = next(self.classifier.parameters())
        sizes = self._join[1]
        fresh = self._joined([new_classifier(size, num_classes) for size in sizes])
        self.classifier = fresh.to(old.device, old.dtype)
        self.arguments = {**self.arguments, "num_classes": num_classes}

    def set_multi_label(self, multi_label: bool) -> None:
        """Average the members' scores as sigmoids, or as softmaxes.

        Raises:
            ConfigError: several labels with a support vector machine.
        """
        kind, sizes, weights, known = self._join
        if multi_label == known:
            return
        if kind is SvmScores:
            raise ConfigError("a support vector machine chooses one class", self.variant, "fuse without --svm")
        self._join = (kind, sizes, weights, multi_label)
        self.classifier.multi_label = multi_label  # type: ignore[assignment]
        self.arguments = {**self.arguments, "multi_label": multi_label}

    def load_members(self, states: Sequence[Mapping[str, Tensor]]) -> None:
        """Load the weights of networks that were trained alone.

        Args:
            states: their state dictionaries, in order.
        """
        for place, state in enumerate(states):
            own = {name: value for name, value in state.items() if not name.startswith("classifier.")}
            self.members[place].load_state_dict(own)
            last = {name.removeprefix("classifier."): value for name, value in state.items() if name not in own}
            self.classifier.members[place].load_state_dict(last)  # type: ignore[union-attr, index]


class Fused(Streams):
    """Any networks, the members of which `kinema.models.build` makes by name.

    Args:
        spec: the clip that they share.
        num_classes: length of the logits, the same for all members.
        members: the networks. To `build`, and in a checkpoint, each is a dictionary: `variant`; its `arguments` and
            `modality` if they differ from the variant's; `clip_len`, which is 1, if it differs from the clip's.
            `dropout` as an argument of `build` replaces that of all members.
        weights: of each member in the mean; the paper's flow counts one and a half times as much as RGB.
        svm: a linear support vector machine in place of the mean.
        multi_label: scores are sigmoids.
    """

    def __init__(
        self,
        spec: InputSpec,
        num_classes: int,
        members: Sequence[Network],
        weights: Sequence[float] = (1.0, 1.5),
        svm: bool = False,
        multi_label: bool = False,
    ) -> None:
        if any(member.num_classes != num_classes for member in members):
            raise ValueError(f"all members need {num_classes} classes, got {[m.num_classes for m in members]}")
        super().__init__(spec, members, weights, svm, multi_label)


def part_of(clip: Float[Tensor, "b c t h w"], spec: InputSpec, own: InputSpec) -> Float[Tensor, "b d s h w"]:
    """The channels and frames of a shared clip that one member takes."""
    if own.clip_len == 1 != clip.shape[2]:
        middle = clip.shape[2] // 2
        clip = clip[:, :, middle : middle + 1]
    if own.modality == spec.modality:
        return clip
    return clip[:, :3] if own.modality == "rgb" else clip[:, 3:]


def joint_input(first: InputSpec, second: InputSpec) -> InputSpec:
    """The clip that two networks can share.

    One may take a single frame, which is then the middle one; else both take the same frames. Frames have one size,
    and RGB or flow that both take is normalised alike.

    Raises:
        ValueError: names what differs.
    """
    longer, other = (first, second) if first.clip_len >= second.clip_len else (second, first)
    names = ["size", "resize", "short_side", "squeezed"]
    names += ["clip_len", "frame_stride", "spacing", "sampling", "fps"] if other.clip_len > 1 else []
    for name in names:
        if getattr(longer, name) != getattr(other, name):
            raise ValueError(f"{name} is {getattr(longer, name)} for one and {getattr(other, name)} for the other")
    parts = [_shared_channels(first, second, modality) for modality in ("rgb", "flow")]
    there = [part for part in parts if part is not None]
    return longer.with_(
        modality="rgb+flow" if len(there) == 2 else there[0].modality,
        flow=there[-1].flow,
        mean=sum((part.mean for part in there), ()),
        std=sum((part.std for part in there), ()),
        window_s=longer.window_s or other.window_s,
    )


def _shared_channels(first: InputSpec, second: InputSpec, modality: Literal["rgb", "flow"]) -> InputSpec | None:
    """The RGB or the flow part of the input, from whichever network has it."""
    parts = [spec.part(modality) for spec in (first, second) if modality in spec.modality.split("+")]
    if len(parts) == 2 and any(getattr(parts[0], n) != getattr(parts[1], n) for n in ("mean", "std", "flow")):
        raise ValueError(f"both take {modality}, but with another mean, deviation or method")
    return parts[0] if parts else None
