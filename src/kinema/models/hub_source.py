"""Encoders of the transformers library, by the name of a repository on its hub or by a local folder: `hf:NAME_OR_FOLDER`.

Only data is read: JSON and safetensors. Code of a repository is never run and nothing is unpickled. transformers is
imported when an encoder is opened, because the import takes seconds.
"""

from __future__ import annotations

import copy
import json
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from kinema.errors import CheckpointError, ConfigError, DownloadError, MissingExtra, UnknownName
from kinema.models.backbone import HUB_PREFIX
from kinema.models.hub_access import cached_if_silent
from kinema.models.hub_encoder import Encoder, Family
from kinema.types import InputSpec

log = logging.getLogger("kinema")

_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_CLIP = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
_UNIT = ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
_GREY = ((0.45, 0.45, 0.45), (0.225, 0.225, 0.225))
_HALF = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))

FAMILIES: dict[str, Family] = {
    "vjepa2": Family(
        "VJEPA2Model", "pixel_values_videos", "frames_per_clip", "crop_size", part="encoder", scale=_IMAGENET
    ),
    "videomae": Family("VideoMAEModel", frames="num_frames", scale=_IMAGENET),
    "timesformer": Family("TimesformerModel", frames="num_frames", class_token=True, time_last=True, scale=_GREY),
    "vivit": Family("VivitModel", frames="num_frames", class_token=True, pooling=False, scale=_HALF, offset=1.0),
    "videoprism_vision_model": Family("VideoPrismVisionModel", "pixel_values_videos", "num_frames", scale=_UNIT),
    "clip": Family("CLIPVisionModelWithProjection", nested=True, output="image_embeds", scale=_CLIP),
    "siglip": Family("SiglipVisionModel", nested=True, output="pooler_output", scale=_HALF),
}
"""The supported encoders, by transformers' `model_type`."""


def transformers() -> Any:
    """The library.

    Raises:
        MissingExtra: it is not installed.
    """
    try:
        import transformers
    except ImportError as error:
        raise MissingExtra(f"encoders named {HUB_PREFIX}…", "transformers", "hub") from error
    return transformers


@dataclass(frozen=True)
class HubSource:
    """Which encoder, and where its weights come from.

    Args:
        name: "hf:" and the name of a repository, or a local folder.
        given: {"config": …}, the encoder's configuration from a checkpoint. Then nothing is read from the hub, and
            weights are random until those of the checkpoint are loaded.
    """

    name: str
    given: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for key in self.given:
            if key != "config":
                raise UnknownName(f"argument of {self.name}", key, ["config"])

    @property
    def place(self) -> str:
        """The repository or folder, without "hf:"."""
        return self.name.removeprefix(HUB_PREFIX)

    @cached_property
    def config(self) -> Any:
        """The encoder's configuration of transformers.

        Raises:
            MissingExtra: transformers is not installed.
            DownloadError, CheckpointError: it cannot be read.
            ConfigError: not a supported encoder.
        """
        library = transformers()
        if remembered := self.given.get("config"):
            config = library.AutoConfig.for_model(**remembered)
        else:
            config = self.read(library.AutoConfig.from_pretrained)
        if config.model_type not in FAMILIES:
            known = f"known are {', '.join(FAMILIES)}"
            raise ConfigError(f"{self.place} is no video encoder", f"model type {config.model_type}", known)
        return config

    @property
    def args(self) -> dict[str, Any]:
        """What a checkpoint stores, so that the same layers can be built without the hub."""
        config = json.loads(self.config.to_json_string(use_diff=False))
        return {"config": {name: value for name, value in config.items() if name != "_name_or_path"}}

    @property
    def family(self) -> Family:
        """Facts about encoders of its kind."""
        return FAMILIES[self.config.model_type]

    def input(self, default: InputSpec) -> InputSpec:
        """`default` with the number of frames, size, mean and standard deviation of the encoder's publisher.

        Raises:
            MissingExtra, DownloadError, CheckpointError, ConfigError: as for `config`.
        """
        own = self.family.core_config(self.config)
        side = getattr(own, self.family.size)
        size = (side, side) if isinstance(side, int) else tuple(side)
        frames = getattr(own, self.family.frames) if self.family.frames else default.clip_len
        spec = default.with_(size=size, clip_len=frames)
        return spec if self.given else _as_preprocessed(spec, self._preprocessing(), self.family)

    def open(self, spec: InputSpec) -> Encoder:
        """The encoder for clips of this length and size, with its published weights.

        Weights are not read if their values would be discarded: on the meta device, or when a checkpoint is loaded.

        Raises:
            ConfigError: it cannot take such clips.
            DownloadError, CheckpointError: its weights cannot be downloaded, or some are missing.
        """
        family, config = self.family, _fitted(self.config, self.family, spec, self.place)
        cls = getattr(transformers(), family.model_class, None)
        if cls is None:
            what = f"this transformers has no {family.model_class}"
            raise ConfigError(what, self.place, "pip install -U transformers")
        options = {} if family.pooling else {"add_pooling_layer": False}
        if self.given or torch.empty(0).is_meta:
            with _quiet():
                model = cls._from_config(config, **options).float()
        else:
            model = self.load(cls, config=config, **options)
        return Encoder(family, model, config, spec)

    def load(self, cls: Any, **options: object) -> Any:
        """The published network of this class of transformers.

        Raises:
            ConfigError: its weights are for clips of another length or size.
            DownloadError, CheckpointError: its weights cannot be downloaded, or some are missing.
        """
        try:
            model, info = self.read(cls.from_pretrained, use_safetensors=True, output_loading_info=True, **options)
        except RuntimeError as error:  # shapes of learned positions differ
            own = self.input(InputSpec()).shape
            what = f"{self.place} takes only clips of {own[1]} frames of {own[2]}x{own[3]}"
            raise ConfigError(what, do="leave --clip-len and --size out") from error
        if info["missing_keys"]:
            first = min(info["missing_keys"])
            raise CheckpointError("weights are missing in this encoder", f"{self.place}: {first}", "choose another one")
        return model.float().eval()

    def read(self, reader: Callable[..., Any], **options: object) -> Any:
        """Call a `from_pretrained` of transformers; cached files are used without asking the hub.

        Raises:
            DownloadError, CheckpointError: it cannot be read.
        """
        with self._own_errors():
            try:
                with _quiet():
                    return reader(self.place, trust_remote_code=False, local_files_only=True, **options)
            except OSError:
                if Path(self.place).is_dir():
                    raise
            log.info("%s is not cached: asking the hub of transformers", self.place)
            with cached_if_silent() as silent, _quiet(bars=True):
                if silent:
                    raise OSError(silent)
                return reader(self.place, trust_remote_code=False, **options)

    @contextmanager
    def _own_errors(self) -> Iterator[None]:
        """Turn what transformers raises for an unreadable repository or folder into errors of kinema."""
        try:
            yield
        except (OSError, ValueError, TypeError) as error:  # TypeError: a tokenizer without its files
            reason = " ".join(str(error).split())
            if Path(self.place).is_dir():
                do = "give a folder with config.json and model.safetensors"
                raise CheckpointError(f"cannot read {self.place} ({reason})", "", do) from error
            from huggingface_hub import constants

            do = (
                f"go online once (it is kept in {constants.HF_HUB_CACHE}), check the name given as --backbone or --model, "
                f"or give a local folder as {HUB_PREFIX}FOLDER"
            )
            raise DownloadError(f"cannot download {self.place} ({reason})", "", do) from error

    def _preprocessing(self) -> dict[str, Any]:
        """The publisher's preprocessing of images; empty if there is none in the repository."""
        from transformers.utils.hub import cached_file

        commit = getattr(self.config, "_commit_hash", None)
        for name in ("video_preprocessor_config.json", "preprocessor_config.json", "processor_config.json"):
            with self._own_errors(), _quiet():
                path = cached_file(self.place, name, _raise_exceptions_for_missing_entries=False, _commit_hash=commit)
                values = json.loads(Path(path).read_text(encoding="utf-8")) if path else None
            if values is not None:
                return values.get("video_processor") or values.get("image_processor") or values
        log.info("%s has no preprocessing configuration: using what is usual for its kind", self.place)
        return {}


def _as_preprocessed(spec: InputSpec, values: Mapping[str, Any], family: Family) -> InputSpec:
    """The input with the publisher's normalisation and cropping.

    A publisher computes `(pixel * rescale_factor - offset - mean) / std` on pixels up to 255; an `InputSpec` stands for
    `(pixel / 255 - mean) / std`.
    """
    mean, std = values.get("image_mean") or family.scale[0], values.get("image_std") or family.scale[1]
    if values.get("do_normalize") is False:
        mean, std = _UNIT
    unit = 255 * (values.get("rescale_factor") or 1 / 255) if values.get("do_rescale", True) else 255
    offset = family.offset if values.get("offset", bool(values)) else 0.0
    crops = bool(values.get("do_center_crop", "crop_size" in values))
    size = values.get("size") or {}
    short = size.get("shortest_edge", 0) if isinstance(size, Mapping) else 0
    return spec.with_(
        mean=tuple(round((offset + float(m)) / unit, 9) for m in mean),
        std=tuple(round(float(s) / unit, 9) for s in std),
        short_side=short if crops and short > min(spec.size) else 0,
        resize="stretch" if isinstance(size, Mapping) and "height" in size and not crops else "crop",
    )


def _fitted(config: Any, family: Family, spec: InputSpec, place: str) -> Any:
    """The configuration for clips of this length and size; for a dual encoder, that of its image encoder."""
    commit = getattr(config, "_commit_hash", None)  # finds the files of the same commit in the cache
    config = copy.deepcopy(family.core_config(config))
    config._commit_hash = commit
    height, width = spec.size
    usual = getattr(config, family.size)
    if height != width and isinstance(usual, int):
        raise ConfigError(f"{place} takes square clips", f"{height}x{width}", f"give --size {height}")
    setattr(config, family.size, height if isinstance(usual, int) else [height, width])
    if family.frames:
        setattr(config, family.frames, spec.clip_len)
    return config


@contextmanager
def _quiet(bars: bool = False) -> Iterator[None]:
    """Silence transformers, which reports unused weights such as a decoder's; `bars` keeps progress bars of downloads."""
    from huggingface_hub.utils import logging as hub_logging

    own = transformers().utils.logging
    before, drawn, hub_before = own.get_verbosity(), own.is_progress_bar_enabled(), hub_logging.get_verbosity()
    own.set_verbosity_error()
    if not bars:
        own.disable_progress_bar()
    hub_logging.set_verbosity(logging.ERROR)
    try:
        yield
    finally:
        own.set_verbosity(before)
        hub_logging.set_verbosity(hub_before)
        if drawn:
            own.enable_progress_bar()
