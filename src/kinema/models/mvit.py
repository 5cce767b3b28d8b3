"""MViT: a transformer with fewer and wider tokens in each stage (Fan et al. 2021; Li et al. 2022).

Four stages: each halves height and width, by pooling queries before attention, and doubles channels and heads. Earlier
stages pool keys and values more, so that attention over the 8 x 56 x 56 tokens of the first stage stays affordable.
MViTv2 uses relative instead of absolute positions, adds the pooled query to the output of attention, and widens at the
beginning of a stage; MViTv1 at the end of the one before.

Only the class token leaves the last block, and it has no position: the relative positions of that block and the filters
that pool its queries are published, and counted, but do not affect the output.

The layers are torchvision's. This module computes their configuration, for other widths and depths too;
`relative_attention` computes attention faster at inference.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from jaxtyping import Float
from torch import Tensor, nn

from kinema.models.network import Network, group
from kinema.models.variant import Variant
from kinema.types import InputSpec

if TYPE_CHECKING:
    from torchvision.models.video.mvit import MSBlockConfig


def plan(depths: Sequence[int], channels: Sequence[int], version: int) -> list[MSBlockConfig]:
    """Configuration of every block: heads, channels, and pooling of queries, keys and values.

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
        spec: RGB or flow, of any size; the last patches can extend beyond the end. Weights fit one length and size.
        num_classes: length of the logits.
        version: 1 or 2.
        depths: blocks of each stage.
        width: multiplies the 96 channels of the first stage; each further stage doubles them.
        patch: stride of the tokens in frames, rows and columns; their filters are almost twice as large.
        drop_path: share of examples that skip the last block in training; earlier blocks are skipped less often.
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
        """The patch embedding with positions, then the stages; the last one with the final norm."""
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
_SMALL: dict[str, object] = {"depths": (1, 1, 2), "width": 1 / 3, "patch": (2, 8, 8), "drop_path": 0.0, "dropout": 0.2}

VARIANTS: dict[str, Variant] = {
    "mvit_v1_b": Variant(Mvit, {"version": 1}, INPUT, _V1, note="positions absolute"),
    "mvit_v2_s": Variant(Mvit, {"version": 2}, INPUT, _V2, note="positions relative"),
    "mvit_small": Variant(Mvit, _SMALL, SMALL_INPUT, _V2, note="four narrow blocks on large patches, for a CPU"),
}
