"""MViT: a transformer whose tokens grow fewer and wider (Fan et al. 2021; Li et al. 2022).

Four stages: each halves height and width, by a query that is pooled before attention, and doubles channels and heads.
Keys and values are pooled harder the earlier they are, so that attention over the 8 x 56 x 56 tokens of the first stage
stays affordable. MViTv2 looks at where two tokens lie relative to each other instead of where each one lies, adds the
pooled query to what attention gives, and widens at the beginning of a stage; MViTv1 at the end of the one before.

The class token, which is all that leaves the last block, has no place: the relative positions of that block and the
filters that pool its queries are published, and counted, but nothing depends on them.

The layers are torchvision's. What stands here is the plan of both, by which other widths and depths come out too;
`relative_attention` computes attention faster where nothing is learned.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from jaxtyping import Float
from torch import Tensor, nn

from kinema.models.network import Network, group
from kinema.models.variant import Variant
from kinema.types import InputSpec

if TYPE_CHECKING:
    from torchvision.models.video.mvit import MSBlockConfig


def plan(depths: Sequence[int], channels: Sequence[int], version: int) -> list[MSBlockConfig]:
    """Every block of a network: its heads, channels, and how its queries, keys and values are pooled.

    Args:
        depths: blocks of each stage.
        channels: of each stage; heads are 1, 2, 4, …
        version: 1 or 2.
    """
    from torchvision.models.video.mvit import MSBlockConfig

    places = [(stage, place) for stage, depth in enumerate(depths) for place in range(depth)]
    blocks = []
    for number, (stage, place) in enumerate(places):
        shrinks = stage > 0 and place == 0
        before = channels[places[max(number - 1, 0)][0]]
        after = channels[places[min(number + 1, len(places) - 1)][0]]
        pooled = version == 2 or shrinks
        keys = max(1, 2 ** (len(depths) - 1 - stage))
        blocks.append(
            MSBlockConfig(
                num_heads=2**stage,
                input_channels=before if version == 2 else channels[stage],
                output_channels=channels[stage] if version == 2 else after,
                kernel_q=[3, 3, 3] if pooled else [],
                kernel_kv=[3, 3, 3],
                stride_q=[1, 2, 2] if shrinks else [1, 1, 1] if pooled else [],
                stride_kv=[1, keys, keys],
            )
        )
    return blocks


class Mvit(Network):
    """A multiscale vision transformer.

    Args:
        spec: the input, RGB or flow, of any length and size; the last patches may reach over the end. Weights belong
            to one length and size.
        num_classes: length of the logits.
        version: 1 or 2.
        depths: blocks of each stage.
        width: multiplies the 96 channels of the first stage; each further stage doubles them.
        patch: frames, rows and columns that one token stands for; it sees almost twice as many.
        drop_path: share of examples that skip the last block while training; earlier blocks are skipped less.
        dropout: before the classifier.
    """

    def __init__(
        self,
        spec: InputSpec,
        num_classes: int,
        version: int = 2,
        depths: Sequence[int] = (1, 2, 11, 2),
        width: float = 1.0,
        patch: Sequence[int] = (2, 4, 4),
        drop_path: float = 0.2,
        dropout: float = 0.5,
    ) -> None:
        if version not in (1, 2) or sum(depths) < 2:
            raise ValueError(f"MViT has version 1 or 2 and two blocks at least, got {version=}, depths={list(depths)}")
        from torchvision.models.video.mvit import MViT

        from kinema.models.layers.relative_attention import use_fast_attention

        first = max(1, round(96 * width))
        channels = [first * 2**stage for stage in range(len(depths))]
        super().__init__(spec, channels[-1], num_classes, dropout)
        self.depths = tuple(depths)
        filled = [-(-size // step) * step for size, step in zip(spec.shape[1:], patch, strict=True)]
        flags = dict.fromkeys(("residual_pool", "rel_pos_embed", "proj_after_attn"), version == 2)
        self.trunk = MViT(
            spatial_size=(filled[1], filled[2]),
            temporal_size=filled[0],
            block_setting=plan(depths, channels, version),
            residual_with_cls_embed=False,
            stochastic_depth_prob=drop_path,
            patch_embed_kernel=tuple(2 * size - 1 for size in patch),
            patch_embed_stride=tuple(patch),
            patch_embed_padding=tuple(size - 1 for size in patch),
            **flags,
        )
        self.trunk.head = nn.Identity()
        use_fast_attention(self.trunk)
        if spec.num_channels != 3:
            old = self.trunk.conv_proj
            self.trunk.conv_proj = nn.Conv3d(spec.num_channels, first, old.kernel_size, old.stride, old.padding)

    def features(self, clip: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b f"]:
        """The class token after the last block."""
        return self.trunk(clip)

    def stages(self) -> list[tuple[str, nn.Module]]:
        """The patches with their positions, then the stages; the last norm belongs to the last of them."""
        trunk = self.trunk
        parts: list[tuple[str, nn.Module]] = [("stem", group(patches=trunk.conv_proj, positions=trunk.pos_encoding))]
        start = 0
        for number, depth in enumerate(self.depths, start=1):
            blocks = nn.ModuleList(trunk.blocks[start : start + depth])
            parts.append((f"stage{number}", blocks))
            start += depth
        name, last = parts[-1]
        return [*parts[:-1], (name, group(blocks=last, norm=trunk.norm))]


FROM_TORCHVISION: tuple[tuple[str, str], ...] = ((r"head\.1\.", "classifier."), (r"(?!classifier\.)", "trunk."))
"""Names of torchvision's mvit_v1_b and mvit_v2_s."""

_V1 = "Fan et al. 2021, Multiscale Vision Transformers"
_V2 = "Li et al. 2022, MViTv2: Improved Multiscale Vision Transformers"
INPUT = InputSpec(clip_len=16, fps=7.5, size=(224, 224), short_side=256, mean=(0.45,) * 3, std=(0.225,) * 3)
SMALL_INPUT = InputSpec(clip_len=16, size=(96, 96), sampling="spread")
_SMALL: dict[str, Any] = {"depths": (1, 1, 2), "width": 1 / 3, "patch": (2, 8, 8), "drop_path": 0.0, "dropout": 0.2}

VARIANTS: dict[str, Variant] = {
    "mvit_v1_b": Variant(Mvit, {"version": 1}, INPUT, _V1, note="positions absolute"),
    "mvit_v2_s": Variant(Mvit, {"version": 2}, INPUT, _V2, note="positions relative"),
    "mvit_small": Variant(Mvit, _SMALL, SMALL_INPUT, _V2, note="four narrow blocks on large patches, for a CPU"),
}
