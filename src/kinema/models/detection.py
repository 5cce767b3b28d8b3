"""Actions of boxes: features of a 3-D network inside the box of each person, with several labels a person.

The clip is centred on the frame of the boxes. Features are averaged over time; RoIAlign (He et al. 2017) takes 7 x 7 of them from
each box, their largest values go to a classifier, and a sigmoid gives each label its score (Gu et al. 2018; Feichtenhofer et al.
2019). `slow_r50_detection` and `slowfast_r50_detection` are PyTorchVideo's networks of these names, with 80 labels of AVA 2.2. In
them the last stage keeps its resolution, so that a feature stands for 16 x 16 pixels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn

from kinema.models import resnet_bottleneck3d, slowfast
from kinema.models.network import Network, SpatialNetwork
from kinema.models.resnet_bottleneck3d import kinetics_input
from kinema.models.state_dict import check_fit
from kinema.models.variant import Variant
from kinema.types import InputSpec

RESOLUTION = 7
"""Places across and down that RoIAlign takes from a box."""


class BoxNetwork(Network):
    """A network that scores the boxes of a clip. A clip without boxes is scored as a whole.

    Args:
        spec: the input.
        num_classes: length of the logits.
        members: the network whose features are used, one `SpatialNetwork`. To `build`, and in a checkpoint, it is a dictionary
            in a list, as for `fused`: `[{"variant": "r3d_18", "arguments": {}}]`.
        aligned: shift boxes by half a feature, as later versions of RoIAlign do; PyTorchVideo's networks do not.

    Raises:
        ValueError: not one network, or one without features at each place.
    """

    def __init__(self, spec: InputSpec, num_classes: int, members: Sequence[Network], aligned: bool = True) -> None:
        if len(members) != 1 or not isinstance(members[0], SpatialNetwork):
            names = ", ".join(member.variant for member in members) or "none"
            raise ValueError(f"boxes need one network with features at each place, such as slow_fusion_small: {names}")
        trunk = members[0]
        super().__init__(spec, trunk.feature_dim, num_classes, trunk.dropout.p)
        trunk.classifier = nn.Identity()
        self.trunk, self.aligned = trunk, aligned
        if getattr(trunk, "join", None) is not None:
            raise ValueError(f"{trunk.variant} joins frames after its last stage: it has no features at each place")

    def score_boxes(
        self, clip: Float[Tensor, "b c t h w"], boxes: Sequence[Float[Tensor, "_ 4"]]
    ) -> Float[Tensor, "n classes"]:
        """Logits of all boxes, those of the first clip first; a sigmoid makes scores of them.

        Args:
            clip: clips of any height and width.
            boxes: for each clip left, top, right and bottom in its pixels [n 4]; n may be 0.

        Raises:
            ValueError: another number of clips than of lists of boxes.
        """
        from torchvision.ops import roi_align

        if len(boxes) != len(clip):
            raise ValueError(f"{len(clip)} clips, but boxes for {len(boxes)}")
        maps = self.trunk.maps(clip).float()
        stride = 2 ** round(math.log2(clip.shape[-1] / maps.shape[-1]))
        places = [box.to(maps) for box in boxes]
        inside = roi_align(maps, places, RESOLUTION, 1 / stride, sampling_ratio=0, aligned=self.aligned)
        return self.classifier(self.dropout(inside.amax((2, 3))))

    def adopt_trunk(self, trained: Network) -> None:
        """Use the weights of a trained network of the same kind as the one inside.

        Raises:
            CheckpointError: its weights have other names or shapes.
        """
        own = {name: value for name, value in trained.state_dict().items() if not name.startswith("classifier.")}
        check_fit(own, self.trunk.state_dict(), trained.variant, "give --init a network of the same kind")
        self.trunk.load_state_dict(own)

    def features(self, clip: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b f"]:
        """The largest feature of each kind in the whole frame."""
        return self.trunk.maps(clip).amax((2, 3))

    def stages(self) -> list[tuple[str, nn.Module]]:
        """Those of the network inside."""
        return self.trunk.stages()


def _from_pytorchvideo(trunk: Sequence[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    own = (r"detection_head\.proj\.", "classifier."), (r"model\.", "")
    return (*own, *trunk, (r"(?!classifier\.)", "trunk."))


FROM_PYTORCHVIDEO_SLOW = _from_pytorchvideo(resnet_bottleneck3d.FROM_PYTORCHVIDEO)
FROM_PYTORCHVIDEO_SLOWFAST = _from_pytorchvideo(slowfast.FROM_PYTORCHVIDEO)


def _published(trunk: str, input: InputSpec, note: str) -> Variant:
    members = [{"variant": trunk, "arguments": {"dilated": True}}]
    arguments = {"members": members, "aligned": False}
    return Variant(BoxNetwork, arguments, input, "Feichtenhofer et al. 2019", num_classes=80, note=note)


_SMALL_INPUT = InputSpec(clip_len=16, frame_stride=1, size=(128, 128), fps=8.0, resize="stretch")

VARIANTS: dict[str, Variant] = {
    "slow_r50_detection": _published("slow_r50", kinetics_input(4, 16, 256), "actions of boxes; 4 frames"),
    "slowfast_r50_detection": _published("slowfast_r50", kinetics_input(32, 2, 256), "actions of boxes; 32 frames"),
    "roi_head": Variant(
        BoxNetwork, {"members": [{"variant": "slow_fusion_small"}]}, _SMALL_INPUT,
        "RoIAlign (He et al. 2017) on a compact network", note="actions of boxes, on any network",
    ),
}  # fmt: skip
