"""The references of `end_to_end.py`: how the tutorials of transformers, torchvision and PyTorchVideo classify a video.

They run in a process of their own (`Theirs`) with torch's default threads and allocator: nothing there calls
`kinema.tune_process`.

Each side has a function from the path of a video to scores [classes], the network of kinema with the same weights, and the
frames that the tutorial uses, so that both sides see the same clips.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from numpy.typing import NDArray

from kinema import models
from kinema.models.network import Network
from kinema.models.resnet3d import FROM_TORCHVISION
from kinema.models.resnet_bottleneck3d import FROM_PYTORCHVIDEO as FROM_SLOW
from kinema.models.slowfast import FROM_PYTORCHVIDEO as FROM_SLOWFAST
from kinema.models.transformer import FROM_TRANSFORMERS
from kinema.weights.convert import convert

NUM_CLASSES = 16
SETTLED_BY = 10
"""Videos that batch norm statistics are taken from."""
TRANSFORMERS = {"videomae": "videomae_base", "timesformer": "timesformer_base"}
CLIP_S = 2.0
"""Longer videos are cut into clips of this many seconds; a shorter rest at the end is not used."""

Frames = NDArray[np.int64]


@dataclass(frozen=True)
class Side:
    """A tutorial's classifier, kinema's network with the same weights, and the frames [clips t] that the tutorial uses."""

    classify: Callable[[str], NDArray[np.float32]]
    model: torch.nn.Module
    """The tutorial's."""
    last: torch.nn.Linear
    """The layer of `model` that gives the logits."""
    network: Network
    frames: Callable[[NDArray[np.float64], float], Frames]
    """Of display times and a duration."""
    labels: tuple[str, ...]


def parts_of(times_s: NDArray[np.float64], duration_s: float) -> list[tuple[int, int]]:
    """First frame and end of each clip."""
    starts_s = np.arange(max(int(duration_s / CLIP_S), 1)) * CLIP_S
    ends_s = starts_s + CLIP_S if len(starts_s) > 1 else np.array([duration_s + 1])
    return list(zip(np.searchsorted(times_s, starts_s - 1e-6), np.searchsorted(times_s, ends_s - 1e-6), strict=True))


def uniform(first: int, end: int, count: int) -> Frames:
    """Uniform sampling as PyTorchVideo and most tutorials do it."""
    return first + torch.linspace(0, end - first - 1, count).clamp(0, end - first - 1).long().numpy()


def uniform_frames(count: int) -> Callable[[NDArray[np.float64], float], Frames]:
    return lambda times_s, duration_s: np.stack(
        [uniform(first, end, count) for first, end in parts_of(times_s, duration_s)]
    )


def read_film(path: str, with_decord: bool) -> tuple[NDArray[np.uint8], NDArray[np.float64], float]:
    """The whole film as RGB [n h w c], its display times and its length."""
    if with_decord:
        import decord

        reader = decord.VideoReader(path)
        pixels = reader.get_batch(range(len(reader))).asnumpy()
        fps = reader.get_avg_fps()
        return pixels, np.arange(len(pixels)) / fps, len(pixels) / fps
    with av.open(path) as film:
        fps = float(film.streams.video[0].average_rate)
        pixels = np.stack([frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)])
    return pixels, np.arange(len(pixels)) / fps, len(pixels) / fps


def scores_of(model: torch.nn.Module, clips: list[Any]) -> NDArray[np.float32]:
    """The mean of the scores of clips, one at a time."""
    with torch.inference_mode():
        return torch.stack([model(clip).softmax(dim=1)[0] for clip in clips]).mean(dim=0).numpy()


def labels_of(options: argparse.Namespace) -> tuple[str, ...]:
    return tuple(options.labels or (f"class {index}" for index in range(NUM_CLASSES)))


def draw_weights(model: torch.nn.Module, last: torch.nn.Linear, options: argparse.Namespace) -> torch.nn.Module:
    """Weights that were learned, or random ones whose scores differ from class to class."""
    if options.weights:
        model.load_state_dict(torch.load(options.weights))
        return model.eval()
    with torch.no_grad():
        last.weight.normal_(std=1.0 / last.in_features**0.5)
        last.bias.normal_(std=0.5)
    return model.eval()


def torchvision_side(options: argparse.Namespace) -> Side:
    """The r3d_18 of torchvision in eager float32 behind the transforms of its weights, which shrink without antialiasing."""
    from torchvision.models.video import R3D_18_Weights, r3d_18
    from torchvision.transforms.v2.functional import resize

    labels = labels_of(options)
    model = r3d_18(num_classes=len(labels))
    draw_weights(model, model.fc, options)
    transform, count = R3D_18_Weights.KINETICS400_V1.transforms(), 16

    def clip_of(frames: torch.Tensor) -> torch.Tensor:
        return transform(resize(frames, transform.resize_size) if options.antialias else frames)[None]

    def classify(path: str) -> NDArray[np.float32]:
        pixels, times_s, duration_s = read_film(path, options.decord)
        clips = [
            clip_of(torch.from_numpy(pixels[uniform(first, end, count)]).permute(0, 3, 1, 2))
            for first, end in parts_of(times_s, duration_s)
        ]
        return scores_of(model, clips)

    ours = models.build("r3d_18", num_classes=len(labels), spec={"sampling": "spread", "window_s": CLIP_S, "fps": None})
    ours.load_state_dict(convert(model.state_dict(), FROM_TORCHVISION))
    return Side(classify, model, model.fc, ours, uniform_frames(count), labels)


def pytorchvideo_side(name: str, options: argparse.Namespace) -> Side:
    """PyTorchVideo's slow_r50 or slowfast_r50 in eager float32, with the loading and transforms of its tutorial."""
    spec, labels = {"sampling": "spread", "window_s": CLIP_S, "fps": None, "frame_stride": 1}, labels_of(options)
    ours = models.build(name, num_classes=len(labels), width=options.width, spec=spec)
    count, alpha = ours.spec.clip_len, getattr(ours, "alpha", 0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if alpha:
            from pytorchvideo.models.slowfast import create_slowfast

            model = create_slowfast(
                stem_dim_outs=(options.width, options.width // 8),
                head_pool_kernel_sizes=((count // alpha, 7, 7), (count, 7, 7)),
                model_num_class=len(labels),
                head_activation=None,
            )
        else:
            from pytorchvideo.models.resnet import create_resnet

            model = create_resnet(
                stem_conv_kernel_size=(1, 7, 7),
                stem_dim_out=options.width,
                head_pool_kernel_size=(count, 7, 7),
                model_num_class=len(labels),
                head_activation=None,
            )
    last = model.blocks[-1].proj
    draw_weights(model, last, options)
    ours.load_state_dict(convert(model.state_dict(), FROM_SLOWFAST if alpha else FROM_SLOW))
    mean, std = (torch.tensor(values).view(-1, 1, 1, 1) for values in (ours.spec.mean, ours.spec.std))

    def clip_of(film: torch.Tensor, first: int, end: int) -> torch.Tensor | list[torch.Tensor]:
        frames = film[:, uniform(first, end, count)].float() / 255
        frames = (frames - mean) / std
        short = min(frames.shape[-2:])
        size = [round(side * 256 / short) for side in frames.shape[-2:]]
        frames = torch.nn.functional.interpolate(frames, size=size, mode="bilinear", antialias=options.antialias)
        top, left = (size[0] - 256) // 2, (size[1] - 256) // 2
        clip = frames[None, :, :, top : top + 256, left : left + 256]
        if not alpha:
            return clip
        return [clip[:, :, torch.linspace(0, count - 1, count // alpha).long()], clip]

    def classify(path: str) -> NDArray[np.float32]:
        pixels, times_s, duration_s = read_film(path, options.decord)
        film = torch.from_numpy(pixels).permute(3, 0, 1, 2)
        return scores_of(model, [clip_of(film, first, end) for first, end in parts_of(times_s, duration_s)])

    return Side(classify, model, last, ours, uniform_frames(count), labels)


def transformers_side(name: str, options: argparse.Namespace, folder: Path) -> Side:
    """The video-classification pipeline of transformers with VideoMAE or TimeSformer, drawn ones or from the hub."""
    import transformers

    place = options.hf or str(draw_transformer(name, options, folder / "transformer"))
    transformers.utils.logging.disable_progress_bar()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pipe = transformers.pipeline("video-classification", model=place, device="cpu")
    config, processor = pipe.model.config, pipe.video_processor or pipe.image_processor
    count, names = config.num_frames, [config.id2label[index] for index in range(config.num_labels)]

    def classify(path: str) -> NDArray[np.float32]:
        found = {row["label"]: row["score"] for row in pipe(path, num_frames=count, top_k=len(names))}
        return np.array([found[name] for name in names], np.float32)

    side = config.image_size
    spec = {
        "clip_len": count, "frame_stride": 1, "sampling": "spread", "window_s": None, "size": (side, side),
        "short_side": processor.size["shortest_edge"], "mean": tuple(processor.image_mean), "std": tuple(processor.image_std),
    }  # fmt: skip
    ours = models.build(
        TRANSFORMERS[name], num_classes=len(names), width=config.hidden_size, depth=config.num_hidden_layers,
        patch=(getattr(config, "tubelet_size", 1), config.patch_size, config.patch_size), spec=spec,
    )  # fmt: skip
    ours.load_state_dict(convert(pipe.model.state_dict(), FROM_TRANSFORMERS))
    at_start = pipe.video_processor is None  # an older transformers reads the start of the film

    def frames(times_s: NDArray[np.float64], duration_s: float) -> Frames:
        return (np.arange(count) * (1 if at_start else len(times_s) / count)).astype(np.int64)[None]

    return Side(classify, pipe.model, pipe.model.classifier, ours, frames, tuple(names))


def draw_transformer(name: str, options: argparse.Namespace, folder: Path) -> Path:
    """One of the published size with random weights, as `save_pretrained` writes it."""
    import transformers

    kind = {"videomae": "VideoMAE", "timesformer": "Timesformer"}[name]
    labels = dict(enumerate(labels_of(options)))
    config = getattr(transformers, f"{kind}Config")(num_hidden_layers=options.layers, id2label=labels)
    model = getattr(transformers, f"{kind}ForVideoClassification")(config)
    draw_weights(model, model.classifier, options).save_pretrained(folder)
    transformers.VideoMAEImageProcessor().save_pretrained(folder)
    return folder


def learn(name: str, films: list[str], options: argparse.Namespace, folder: Path) -> argparse.Namespace:
    """Train the last layer of a side to classify videos by their folders. Returns options with its labels and weights.

    The other layers keep random weights. Batch norm statistics are taken from the videos; without that, the features of all
    videos are nearly equal.
    """
    labels = sorted({Path(film).parent.name for film in films})
    options = argparse.Namespace(**vars(options) | {"labels": labels})
    side = open_sides(options, folder)[name]()
    settle_norms(side, films[:: max(len(films) // SETTLED_BY, 1)])
    features, targets = features_of(side, films), [labels.index(Path(film).parent.name) for film in films]
    weight, bias = separate(features, targets)
    with torch.no_grad():
        side.last.weight.copy_(torch.from_numpy(weight))
        side.last.bias.copy_(torch.from_numpy(bias))
    options.weights = str(folder / "learned.pt")
    torch.save(side.model.state_dict(), options.weights)
    return options


def settle_norms(side: Side, films: list[str]) -> None:
    """Take the batch norm statistics from some videos."""
    norms = [layer for layer in side.model.modules() if isinstance(layer, torch.nn.modules.batchnorm._BatchNorm)]
    for norm in norms:
        norm.momentum = None
        norm.reset_running_stats()
        norm.train()
    for film in films if norms else []:
        side.classify(film)
    side.model.eval()


def features_of(side: Side, films: list[str]) -> NDArray[np.float32]:
    """Inputs of the last layer [videos features], averaged over clips and places."""
    seen: list[torch.Tensor] = []
    hook = side.last.register_forward_pre_hook(
        lambda _, inputs: seen.append(inputs[0].reshape(-1, side.last.in_features))
    )
    rows = []
    for film in films:
        side.classify(film)
        rows.append(torch.cat(seen).mean(dim=0).numpy())
        seen.clear()
    hook.remove()
    return np.stack(rows)


def separate(features: NDArray[np.float32], targets: list[int]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Weights and bias of a linear classifier: ridge regression, its strength chosen by leave-one-out."""
    from sklearn.linear_model import RidgeClassifierCV
    from sklearn.preprocessing import StandardScaler

    scale = StandardScaler().fit(features)
    ridge = RidgeClassifierCV(alphas=np.logspace(-2, 5, 29)).fit(scale.transform(features), targets)
    weight = np.atleast_2d(ridge.coef_) / scale.scale_
    bias = np.atleast_1d(ridge.intercept_) - weight @ scale.mean_
    if len(weight) == 1:  # two classes have one decision value
        weight, bias = np.concatenate([-weight, weight]), np.concatenate([-bias, bias])
    return weight, bias


def open_sides(options: argparse.Namespace, folder: Path) -> dict[str, Callable[[], Side]]:
    """Functions that build each side, by name."""
    return {
        "videomae": lambda: transformers_side("videomae", options, folder),
        "timesformer": lambda: transformers_side("timesformer", options, folder),
        "torchvision": lambda: torchvision_side(options),
        "slow_r50": lambda: pytorchvideo_side("slow_r50", options),
        "slowfast_r50": lambda: pytorchvideo_side("slowfast_r50", options),
    }


class Theirs:
    """The tutorial of a side in a new process, which ends with the `with` block.

    Args:
        name: name of the side.
        options: options of the benchmark.
        folder: an empty folder.
    """

    def __init__(self, name: str, options: argparse.Namespace, folder: Path) -> None:
        folder.mkdir()
        environment = {key: value for key, value in os.environ.items() if not key.startswith("OMP_")}
        given = json.dumps([name, str(folder), vars(options)])
        self._process: Any = subprocess.Popen(
            [sys.executable, "-W", "ignore", __file__, given],
            env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def __enter__(self) -> Theirs:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def predict(self, paths: list[str], antialias: bool = False) -> NDArray[np.float32]:
        """Scores [videos classes]; with `antialias` plain loops shrink frames with antialiasing, as kinema does."""
        return np.array(self._ask(paths, antialias)["scores"], np.float32)

    def times(self, paths: list[str]) -> tuple[float, float]:
        """Wall-clock seconds and processor seconds of all cores."""
        found = self._ask(paths)
        return found["wall_s"], found["used_s"]

    def _ask(self, paths: list[str], antialias: bool = False) -> dict[str, Any]:
        self._process.stdin.write(json.dumps([paths, antialias]) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise OSError("the other side ended; it says above why")
        return json.loads(answer)


def main() -> None:
    if len(sys.argv) < 2 or sys.argv[1] == "--help":
        print(__doc__)
        return
    name, folder, options = json.loads(sys.argv[1])
    given = argparse.Namespace(**options)
    torch.manual_seed(0)
    side = open_sides(given, Path(folder))[name]()
    for line in sys.stdin:
        paths, given.antialias = json.loads(line)
        wall_s, used_s = time.perf_counter(), time.process_time()
        scores = [side.classify(path).tolist() for path in paths]
        found = {"wall_s": time.perf_counter() - wall_s, "used_s": time.process_time() - used_s, "scores": scores}
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
