"""kinema's clips against those of the publishers' own preprocessing, on real videos: the same pixels?

For each set of published weights and each video, one side is what kinema takes, decodes and shows the network (`plan_clips`,
`decode_size`, `view_transform`). The other takes the frames by the publisher's program where it is a library (PyTorchVideo's
ConstantClipsPerVideoSampler, get_clip and UniformTemporalSubsample; else kinema's indices), decodes whole frames with PyAV and
prepares them with the publisher's program: torchvision's transforms, transformers' video processors, or PyTorchVideo's definition
(short side scaled bilinearly, long side rounded down, centre crop). Prints how many clips of ten have the same frames, and the
mean and largest difference in levels of 0 to 255. `--rates` compares frames alone, on drawn videos of many frame rates.

    python benchmarks/preprocessing.py FOLDER [--videos 20]
    python benchmarks/preprocessing.py --rates
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from fractions import Fraction
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


def pytorchvideo_indices(path: Path, spec: InputSpec, num_clips: int) -> np.ndarray:
    """Frames [n t] of the clips that PyTorchVideo's own program takes."""
    import torchvision.transforms._functional_tensor

    # PyTorchVideo imports the module by the name that it had before.
    sys.modules.setdefault("torchvision.transforms.functional_tensor", torchvision.transforms._functional_tensor)
    from pytorchvideo.data.clip_sampling import ConstantClipsPerVideoSampler
    from pytorchvideo.data.encoded_video_pyav import EncodedVideoPyAV
    from pytorchvideo.transforms.functional import uniform_temporal_subsample

    with av.open(str(path)) as container:
        known = sorted(frame.pts for frame in container.decode(video=0))
    clips = []
    with path.open("rb") as file:
        video = EncodedVideoPyAV(file, decode_audio=False)
        sampler = ConstantClipsPerVideoSampler(
            Fraction(spec.clip_len * spec.frame_stride, round(spec.fps or 30)), num_clips
        )
        for _ in range(num_clips):
            clip = sampler(0.0, video.duration, {})
            video.get_clip(clip.clip_start_sec, clip.clip_end_sec)
            numbers = torch.tensor([known.index(pts) for _, pts in video._video])
            clips.append(uniform_temporal_subsample(numbers, spec.clip_len, temporal_dim=0).numpy())
    return np.stack(clips)


def compare_rates() -> None:
    """Frames of 1 and of 10 clips by both programs, in videos of constant frame rates."""
    rates = [Fraction(24000, 1001), 24, 25, Fraction(30000, 1001), 30, 50, Fraction(60000, 1001), 60]
    specs = {
        name: published_card(find_published(name)).input for name in ("x3d_xs", "x3d_m", "slow_r50", "r2plus1d_r50")
    }
    with tempfile.TemporaryDirectory() as folder:
        for rate in rates:
            path = Path(folder) / f"{float(rate):.3f}.mp4"
            with av.open(str(path), "w") as output:
                track = output.add_stream("mpeg4", rate=rate)
                track.width = track.height = 32
                for _ in range(int(rate * 8)):
                    output.mux(track.encode(av.VideoFrame(32, 32, "yuv420p")))
                output.mux(track.encode(None))
            for name, spec in specs.items():
                with open_video(path) as video:
                    ours = np.concatenate(
                        [plan_clips(spec, video.times_s, n, end_s=video.info.duration_s) for n in (1, 10)]
                    )
                theirs = np.concatenate([pytorchvideo_indices(path, spec, n) for n in (1, 10)])
                same = int((ours == theirs).all(axis=1).sum())
                print(
                    f"{float(rate):7.3f} fps  {name:13} {same} of {len(ours)} clips the same  {theirs[0][:6].tolist()} …"
                )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--rates", action="store_true", help="compare frames alone, on drawn videos")
    parser.add_argument("--videos", type=int, default=20)
    options = parser.parse_args()
    if options.rates or options.folder is None:
        compare_rates()
        return
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
        means, largest, same = [], 0.0, 0
        is_pytorchvideo = name in ("slow_r50", "x3d_xs")
        for path in paths:
            with open_video(path) as video:
                wanted = plan_clips(spec, video.times_s, 1, end_s=video.info.duration_s)[0]
                ten = plan_clips(spec, video.times_s, 10, end_s=video.info.duration_s)
                own = torch.from_numpy(np.stack(video.frames_at(wanted.tolist(), decode_size(spec, train=False))))
            with av.open(str(path)) as container:
                whole = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
            published = pytorchvideo_indices(path, spec, 1)[0] if is_pytorchvideo else wanted
            same += int((pytorchvideo_indices(path, spec, 10) == ten).all(axis=1).sum()) if is_pytorchvideo else 0
            ours = view_transform(spec)(own.permute(0, 3, 1, 2))[0].transpose(0, 1).float()
            given = theirs(torch.from_numpy(np.stack([whole[row] for row in published])).permute(0, 3, 1, 2))
            assert given.shape == ours.shape, (given.shape, ours.shape)
            difference = (given - ours).abs()
            means.append(float(difference.mean()))
            largest = max(largest, float(difference.max()))
        size = "x".join(map(str, spec.size))
        frames = f", frames of {same} of {10 * len(paths)} clips the same" if is_pytorchvideo else ""
        print(
            f"{title:24} {size:9} mean {np.mean(means):5.2f}, worst video {max(means):5.2f}, largest pixel {largest:5.0f}{frames}"
        )


if __name__ == "__main__":
    main()
