"""Vision transformers over time: VideoMAE's joint attention and TimeSformer's divided attention.

Both divide a clip into patches. In joint attention (VideoMAE, Tong et al. 2022), all tubelets of two frames attend to
each other; positions are fixed sinusoids, and the mean of all tokens is classified. In divided attention (TimeSformer,
Bertasius et al. 2021), a patch of a frame attends first to the same position in all frames, then to all positions of
its frame; positions and times are learned, and a class token is classified. For n positions and t time steps joint
attention compares (n t)^2 pairs of tokens, divided attention n t (n + t).

`video_vit_small` can be trained from scratch on a few hundred clips. Its tubelets come from four convolutions instead of
one (Xiao et al. 2021, Early Convolutions Help Transformers See Better), so that it needs no pretraining.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F
from einops import rearrange, repeat
from jaxtyping import Float
from torch import Tensor, nn

from kinema.models.network import Network, group
from kinema.models.variant import Variant
from kinema.types import InputSpec

AttentionKind = Literal["joint", "divided"]
Patch = tuple[int, int, int]  # frames, rows, columns

HEAD_DIM = 64


class Attention(nn.Module):
    """Self-attention in heads of 64 channels.

    Args:
        width: of the tokens, a multiple of 64.
        key_bias: one layer for queries, keys and values, all with a bias (TimeSformer); False: three layers, keys without
            bias (VideoMAE). A bias of the keys adds the same to all scores of a query, which softmax cancels.
    """

    def __init__(self, width: int, key_bias: bool) -> None:
        super().__init__()
        if width % HEAD_DIM or not width:
            raise ValueError(f"the width must be a multiple of {HEAD_DIM}, got {width=}")
        self.num_heads, self.fused = width // HEAD_DIM, key_bias
        if self.fused:
            self.qkv = nn.Linear(width, 3 * width)
        else:
            self.query = nn.Linear(width, width)
            self.key = nn.Linear(width, width, bias=False)
            self.value = nn.Linear(width, width)
        self.output = nn.Linear(width, width)

    def forward(self, tokens: Float[Tensor, "b n f"], num_queries: int | None = None) -> Float[Tensor, "b m f"]:
        """Attention of the first `num_queries` tokens, or of all, to all tokens of their row."""
        if self.fused:
            query, key, value = self.qkv(tokens).chunk(3, -1)
            query = query[:, :num_queries]
        else:
            query, key, value = self.query(tokens[:, :num_queries]), self.key(tokens), self.value(tokens)
        query, key, value = (rearrange(part, "b n (h d) -> b h n d", h=self.num_heads) for part in (query, key, value))
        attended = F.scaled_dot_product_attention(query, key, value)
        return self.output(rearrange(attended, "b h n d -> b n (h d)"))


class Perceptron(nn.Module):
    """Two linear layers, token by token."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.gelu = nn.GELU()
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, tokens: Float[Tensor, "b n f"]) -> Float[Tensor, "b n f"]:
        """The update of each token."""
        return self.fc2(self.gelu(self.fc1(tokens)))


class JointBlock(nn.Module):
    """Attention of all tokens to all, then a perceptron."""

    def __init__(self, width: int, key_bias: bool = False) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.attention = Attention(width, key_bias)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = Perceptron(width, 4 * width)

    def forward(self, tokens: Float[Tensor, "b n f"]) -> Float[Tensor, "b n f"]:
        """The next tokens."""
        tokens = tokens + self.attention(self.norm1(tokens))
        return tokens + self.mlp(self.norm2(tokens))

    def read(self, tokens: Float[Tensor, "b n f"]) -> Float[Tensor, "b 1 f"]:
        """The mean of the next tokens; because the last layer is linear, it is applied to the mean of its inputs."""
        tokens = tokens + self.attention(self.norm1(tokens))
        hidden = self.mlp.gelu(self.mlp.fc1(self.norm2(tokens)))
        return tokens.mean(1, keepdim=True) + self.mlp.fc2(hidden.mean(1, keepdim=True))


class DividedBlock(JointBlock):
    """Attention over time, attention over space, a perceptron.

    The class token has no position and no attention over time; in the attention over space each frame gets a copy of it,
    and its update is the mean over the copies.
    """

    def __init__(self, width: int, num_times: int) -> None:
        super().__init__(width, key_bias=True)
        self.num_times = num_times
        self.time_norm = nn.LayerNorm(width, eps=1e-6)
        self.time_attention = Attention(width, key_bias=True)
        self.time_output: nn.Module = nn.Linear(width, width)

    def forward(self, tokens: Float[Tensor, "b n f"]) -> Float[Tensor, "b n f"]:
        """The next tokens: the class token, then those of the first frame, and so on."""
        whole, places = self._over_time(tokens)
        gathered = self._over_space(whole, places)
        taken = torch.cat([gathered[:, :, 0].mean(1, keepdim=True), gathered[:, :, 1:].flatten(1, 2)], dim=1)
        tokens = torch.cat([whole, places], dim=1) + taken
        return tokens + self.mlp(self.norm2(tokens))

    def read(self, tokens: Float[Tensor, "b n f"]) -> Float[Tensor, "b 1 f"]:
        """The next class token; the other tokens are computed up to the attention over time only."""
        whole, places = self._over_time(tokens)
        whole = whole + self._over_space(whole, places, num_queries=1).mean(1)
        return whole + self.mlp(self.norm2(whole))

    def _over_time(self, tokens: Float[Tensor, "b n f"]) -> tuple[Float[Tensor, "b 1 f"], Float[Tensor, "b m f"]]:
        """The unchanged class token, and the others after the attention over time."""
        whole, places = tokens[:, :1], tokens[:, 1:]
        rows = rearrange(self.time_norm(places), "b (t n) f -> (b n) t f", t=self.num_times)
        rows = rows.contiguous()  # otherwise torch computes one product a row, each with a copy of the weights
        taken = rearrange(self.time_attention(rows), "(b n) t f -> b (t n) f", b=places.shape[0])
        return whole, places + self.time_output(taken)

    def _over_space(
        self, whole: Float[Tensor, "b 1 f"], places: Float[Tensor, "b m f"], num_queries: int | None = None
    ) -> Float[Tensor, "b t q f"]:
        """Attention of the first `num_queries` tokens of each frame, or of all, to their frame; the class token is first."""
        copies = repeat(whole, "b 1 f -> (b t) 1 f", t=self.num_times)
        rows = torch.cat([copies, rearrange(places, "b (t n) f -> (b t) n f", t=self.num_times)], dim=1)
        taken = self.attention(self.norm1(rows), num_queries)
        return rearrange(taken, "(b t) q f -> b t q f", t=self.num_times)


class TubeletEmbedding(nn.Module):
    """Patches of several frames as tokens, with sinusoids of their index as positions.

    Args:
        spec: the input.
        width: of the tokens.
        patch: size of a tubelet.
        convolutions: strided convolutions instead of one that is as large as the tubelet.
    """

    def __init__(self, spec: InputSpec, width: int, patch: Patch, convolutions: bool = False) -> None:
        super().__init__()
        self.patch = patch
        self.projection: nn.Module
        if convolutions:
            self.projection = _strided_convolutions(spec.num_channels, width, patch)
        else:
            self.projection = nn.Conv3d(spec.num_channels, width, patch, patch)
        times, rows, columns = grid_of(spec, patch)
        self.register_buffer("positions", sinusoids(times * rows * columns, width), persistent=False)

    def forward(self, clip: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b n f"]:
        """Tokens in the order time, row, column."""
        maps = self.projection(padded(clip, self.patch))
        return rearrange(maps, "b f t h w -> b (t h w) f") + self.positions


class FrameEmbedding(nn.Module):
    """A class token, then patches of single frames as tokens, with learned positions and times."""

    def __init__(self, spec: InputSpec, width: int, patch: Patch) -> None:
        super().__init__()
        if patch[0] != 1:
            raise ValueError(f"divided attention takes patches of one frame, got {patch=}")
        times, rows, columns = grid_of(spec, patch)
        self.patch = patch
        self.projection = nn.Conv2d(spec.num_channels, width, patch[1:], patch[1:])
        self.class_token = nn.Parameter(torch.zeros(1, 1, width))
        self.positions = nn.Parameter(torch.zeros(1, 1 + rows * columns, width))
        self.times = nn.Parameter(torch.zeros(1, times, width))
        for parameter in (self.class_token, self.positions, self.times):
            nn.init.trunc_normal_(parameter, std=0.02)

    def forward(self, clip: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b n f"]:
        """The class token, then the others in the order time, row, column."""
        frames = rearrange(padded(clip, self.patch), "b c t h w -> (b t) c h w")
        places = rearrange(self.projection(frames), "(b t) f h w -> b t (h w) f", b=clip.shape[0])
        places = places + self.positions[:, None, 1:] + self.times[:, :, None]
        whole = (self.class_token + self.positions[:, :1]).expand(clip.shape[0], -1, -1)
        return torch.cat([whole, places.flatten(1, 2)], dim=1)


class VideoTransformer(Network):
    """A vision transformer over a clip.

    Args:
        spec: the input; embeddings fit its length and size. What does not divide by the patch is padded.
        num_classes: length of the logits.
        width: of the tokens; there is a head for every 64 channels.
        depth: number of blocks.
        patch: frames, rows and columns of a token.
        attention: "joint" (VideoMAE) or "divided" (TimeSformer).
        convolutions: for "joint", several strided convolutions instead of one make the tokens.
        dropout: before the classifier.

    VideoMAE's sizes: small is width 384, base 768, large 1024 with depth 24.
    """

    def __init__(
        self,
        spec: InputSpec,
        num_classes: int,
        width: int = 768,
        depth: int = 12,
        patch: Patch | list[int] = (2, 16, 16),
        attention: AttentionKind = "joint",
        convolutions: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__(spec, width, num_classes, dropout)
        if attention not in ("joint", "divided"):
            raise ValueError(f"attention is joint or divided, got {attention=}")
        frames, rows, columns = patch
        size = (frames, rows, columns)
        self.joint = attention == "joint"
        self.embedding: nn.Module
        if self.joint:
            self.embedding = TubeletEmbedding(spec, width, size, convolutions)
            blocks = [JointBlock(width) for _ in range(depth)]
        else:
            self.embedding = FrameEmbedding(spec, width, size)
            blocks = [DividedBlock(width, grid_of(spec, size)[0]) for _ in range(depth)]
        self.blocks = nn.ModuleList(blocks)
        self.norm = nn.LayerNorm(width, eps=1e-6)
        # Truncated normal weights as in both papers; convolutions before a ReLU keep torch's.
        for layer in [*self.embedding.modules(), *self.blocks.modules()]:
            if isinstance(layer, nn.Linear):
                nn.init.trunc_normal_(layer.weight, std=0.02)
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)

    def features(self, clip: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b f"]:
        """The mean of all tokens, or the class token, normalised."""
        tokens = self.embedding(clip)
        for block in self.blocks:
            tokens = block(tokens)
        return self.norm(tokens.mean(dim=1) if self.joint else tokens[:, 0])

    def stages(self) -> list[tuple[str, nn.Module]]:
        """The embedding, then each block; the last one with the final norm."""
        *blocks, last = [(f"block{index + 1}", block) for index, block in enumerate(self.blocks)]
        return [("embedding", self.embedding), *blocks, (last[0], group(block=last[1], norm=self.norm))]


def grid_of(spec: InputSpec, patch: Patch) -> tuple[int, int, int]:
    """Number of tokens along time, height and width, including padded ones at the ends."""
    times, rows, columns = (-(-n // p) for n, p in zip((spec.clip_len, *spec.size), patch, strict=True))
    return times, rows, columns


def padded(clip: Float[Tensor, "b c t h w"], patch: Patch) -> Float[Tensor, "b c s y x"]:
    """The clip with its last frame, row and column repeated until all sizes are multiples of the patch."""
    times, rows, columns = (-n % p for n, p in zip(clip.shape[2:], patch, strict=True))
    if times or rows or columns:
        return F.pad(clip, (0, columns, 0, rows, 0, times), mode="replicate")
    return clip


def sinusoids(count: int, width: int) -> Float[Tensor, "1 n f"]:
    """Sines and cosines of growing wavelengths for the numbers 0, 1 … (Vaswani et al. 2017); sines at even indices."""
    rates = torch.exp(-math.log(10000) * torch.arange(0, width, 2) / width)
    angles = torch.arange(count)[:, None] * rates
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)[None, :, :width]


def _strided_convolutions(channels: int, width: int, patch: Patch) -> nn.Sequential:
    """3 x 3 convolutions of stride 2 with batch norm, over 3 frames if time is halved, until a tubelet is one position."""
    steps = max(int(math.log2(max(patch))), 1)
    if any(size & (size - 1) for size in patch):
        raise ValueError(f"convolutions halve the clip step by step: a patch of powers of two is needed, got {patch=}")
    sizes = [channels, *(max(width >> (steps - step), 8) for step in range(steps))]
    layers: list[nn.Module] = []
    for step in range(steps):
        frames, rows, columns = (2 if size >> step > 1 else 1 for size in patch)
        stride = (frames, rows, columns)
        length = (3 if stride[0] == 2 else 1, 3, 3)
        conv = nn.Conv3d(sizes[step], sizes[step + 1], length, stride, (length[0] // 2, 1, 1), bias=False)
        layers += [conv, nn.BatchNorm3d(sizes[step + 1]), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers, nn.Conv3d(sizes[-1], width, 1))


FROM_TRANSFORMERS: tuple[tuple[str, str], ...] = (
    (r"(videomae|timesformer)\.", ""),
    (r"embeddings\.patch_embeddings\.", "embedding."),
    (r"embeddings\.cls_token", "embedding.class_token"),
    (r"embeddings\.position_embeddings", "embedding.positions"),
    (r"embeddings\.time_embeddings", "embedding.times"),
    (r"encoder\.layer\.(\d+)\.", r"blocks.\1."),
    (r"(blocks\.\d+)\.temporal_attention\.", r"\1.time_attention."),
    (r"(blocks\.\d+)\.temporal_dense\.", r"\1.time_output."),
    (r"(blocks\.\d+)\.temporal_layernorm\.", r"\1.time_norm."),
    (r"(blocks\.\d+)\.layernorm_before\.", r"\1.norm1."),
    (r"(blocks\.\d+)\.layernorm_after\.", r"\1.norm2."),
    (r"(blocks\.\d+)\.intermediate\.dense\.", r"\1.mlp.fc1."),
    (r"(blocks\.\d+)\.output\.dense\.", r"\1.mlp.fc2."),
    (r"(blocks\.\d+\.\w*attention)\.attention\.", r"\1."),
    (r"(blocks\.\d+\.\w*attention)\.output\.dense\.", r"\1.output."),
    (r"(blocks\.\d+\.attention)\.q_bias", r"\1.query.bias"),
    (r"(blocks\.\d+\.attention)\.v_bias", r"\1.value.bias"),
    (r"(fc_norm|layernorm)\.", "norm."),
)
"""Names of transformers' VideoMAEForVideoClassification and TimesformerForVideoClassification, and of the files on its hub."""

_HALF = (0.5, 0.5, 0.5)
_VIDEOMAE = "Tong et al. 2022, VideoMAE: Masked Autoencoders are Data-Efficient Learners"
_TIMESFORMER = "Bertasius et al. 2021, Is Space-Time Attention All You Need for Video Understanding?"
_DIVIDED = {"patch": (1, 16, 16), "attention": "divided"}
_DIVIDED_INPUT = InputSpec(8, 32, (224, 224), mean=(0.45,) * 3, std=(0.225,) * 3, fps=30.0, spacing="even")
_JOINT_INPUT = InputSpec(clip_len=16, frame_stride=4, size=(224, 224))
_SMALL = {"width": 192, "depth": 4, "convolutions": True}
_SMALL_INPUT = InputSpec(clip_len=8, size=(96, 96), sampling="spread")

VARIANTS: dict[str, Variant] = {
    "timesformer_base": Variant(
        VideoTransformer, _DIVIDED, _DIVIDED_INPUT, _TIMESFORMER, note="time and space attended to in turn"
    ),
    "videomae_base": Variant(VideoTransformer, {}, _JOINT_INPUT, _VIDEOMAE, note="all tubelets attend to all"),
    "video_vit_small": Variant(
        VideoTransformer, _SMALL, _SMALL_INPUT, _VIDEOMAE, note="joint attention behind a convolutional stem, for CPUs"
    ),
}
