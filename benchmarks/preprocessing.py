"""kinema's clips against those of the publishers' own preprocessing, on real videos: the same pixels?

For each set of published weights and each video, the frames of one clip are taken as kinema takes them. One side is what kinema
decodes and shows the network (`decode_size`, `view_transform`); the other decodes whole frames with PyAV and prepares them with
the publisher's program: torchvision's transforms, transformers' video processors, or PyTorchVideo's definition (short side scaled
bilinearly, long side rounded down, centre crop). Prints sizes, and the mean and largest difference in levels of 0 to 255.

    python benchmarks/preprocessing.py FOLDER [--videos 20]
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import torch
from torch import Tensor
from torchvision.models.video import MViT_V2_S_Weights, R3D_18_Weights, S3D_Weights
from torchvision.transforms import v2
from transformers import VideoMAEImageProcessor

from kinema.clips.sampling import plan_clips
from kinema.clips.transforms import decode_size, view_transform
from kinema.types import InputSpec
from kinema.video import open_video
from kinema.weights.published import find_published, published_card

Theirs = Callable[[Tensor], Tensor]
"""uint8 [t c h w] -> levels [t c h w]."""


def torchvision_levels(preset: object, spec: InputSpec) -> Theirs:
    """A torchvision preset, whose normalisation is undone."""
    mean, std = (torch.tensor(values).view(-1, 1, 1) for values in (spec.mean, spec.std))
    return lambda frames: (preset(frames).transpose(0, 1) * std + mean) * 255  # type: ignore[operator]


def pytorchvideo_levels(spec: InputSpec, antialias: bool) -> Theirs:
    def prepare(frames: Tensor) -> Tensor:
        scaled = v2.functional.resize(frames.float(), [max(spec.size)], antialias=antialias)
        return v2.functional.center_crop(scaled, list(spec.size))

    return prepare


def transformers_levels(spec: InputSpec) -> Theirs:
    side = max(spec.size)
    processor = VideoMAEImageProcessor(
        size={"shortest_edge": side}, crop_size={"height": side, "width": side}, do_rescale=False, do_normalize=False
    )
    return lambda frames: torch.as_tensor(
        np.asarray(processor(list(frames.permute(0, 2, 3, 1).numpy()), return_tensors="np")["pixel_values"][0])
    ).float()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--videos", type=int, default=20)
    options = parser.parse_args()
    paths = sorted(path for path in options.folder.rglob("*") if path.suffix in (".mp4", ".avi"))
    paths = paths[:: max(1, len(paths) // options.videos)][: options.videos]
    specs = {
        name: published_card(find_published(name)).input
        for name in ("r3d_18", "s3d", "mvit_v2_s", "slow_r50", "x3d_xs", "timesformer_base", "videomae_base")
    }
    sides: dict[str, tuple[str, Theirs]] = {
        "r3d_18": ("r3d_18", torchvision_levels(R3D_18_Weights.DEFAULT.transforms(), specs["r3d_18"])),
        "s3d": ("s3d", torchvision_levels(S3D_Weights.DEFAULT.transforms(), specs["s3d"])),
        "mvit_v2_s": ("mvit_v2_s", torchvision_levels(MViT_V2_S_Weights.DEFAULT.transforms(), specs["mvit_v2_s"])),
        "slow_r50, antialiased": ("slow_r50", pytorchvideo_levels(specs["slow_r50"], antialias=True)),
        "x3d_xs, antialiased": ("x3d_xs", pytorchvideo_levels(specs["x3d_xs"], antialias=True)),
        "x3d_xs, as published": ("x3d_xs", pytorchvideo_levels(specs["x3d_xs"], antialias=False)),
        "timesformer_base": ("timesformer_base", transformers_levels(specs["timesformer_base"])),
        "videomae_base": ("videomae_base", transformers_levels(specs["videomae_base"])),
    }
    print(f"{len(paths)} videos of {options.folder}")
    for title, (name, theirs) in sides.items():
        spec = specs[name]
        means, largest = [], 0.0
        for path in paths:
            with open_video(path) as video:
                wanted = plan_clips(spec, video.times_s, 1, end_s=video.info.duration_s)[0]
                own = torch.from_numpy(np.stack(video.frames_at(wanted.tolist(), decode_size(spec, train=False))))
            with av.open(str(path)) as container:
                whole = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
            ours = view_transform(spec)(own.permute(0, 3, 1, 2))[0].transpose(0, 1).float()
            given = theirs(torch.from_numpy(np.stack([whole[row] for row in wanted])).permute(0, 3, 1, 2))
            assert given.shape == ours.shape, (given.shape, ours.shape)
            difference = (given - ours).abs()
            means.append(float(difference.mean()))
            largest = max(largest, float(difference.max()))
        size = "x".join(map(str, spec.size))
        print(
            f"{title:24} {size:9} mean {np.mean(means):5.2f}, worst video {max(means):5.2f}, largest pixel {largest:5.0f}"
        )


if __name__ == "__main__":
    main()
