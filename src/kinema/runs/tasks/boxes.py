"""What the persons in boxes do, learned at key frames in AVA's format, and judged by frame mAP."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from kinema.errors import CheckpointError, ConfigError, DataError
from kinema.runs.progress import SILENT
from kinema.runs.task import Parts, Task, TrainingInputs

if TYPE_CHECKING:
    from kinema.datasets.dataset import DataSet
    from kinema.datasets.located_boxes import BoxSet
    from kinema.engines.scorer import ClipScorer
    from kinema.evaluation.located.box_result import BoxEvaluation
    from kinema.models.network import Network
    from kinema.runs.config import TrainConfig
    from kinema.runs.options import ScoringOptions
    from kinema.runs.progress import Progress
    from kinema.weights.checkpoint import ModelCard

USUAL_FPS = 8.0
"""Default frame rate for networks that otherwise spread their frames over the video: 16 frames are two seconds."""

_WITHOUT_MEANING: Mapping[str, object] = {
    "keep_features": None, "mixup": 0.0, "cutmix": 0.0, "balance": "none", "backbone": None, "pretrained": False,
    "backbone_weights": None, "backbone_args": (), "mirror_labels": [], "reverse_labels": [], "rotate": 0.0,
    "flow_method": None,
}  # fmt: skip
"""Settings, and the values that leave them out, which are about whole clips."""


class BoxesTask(Task):
    """Labels of boxes."""

    card_task = "boxes"
    uses_clip_scores = False

    def headline(self, figures: Mapping[str, float]) -> str:
        """Frame mAP at an IoU of 0.5, and macro-F1."""
        return f"frame mAP@0.5 {figures['frame_map_at_0.5']:.3f}, macro F1 {figures['macro_f1']:.3f}"

    def prepare(self, data: DataSet, config: TrainConfig) -> tuple[DataSet, TrainConfig]:
        """Read detected boxes, and choose the input of the network: clips of neighbouring frames, whole frames squeezed.

        Raises:
            ConfigError: a setting that has no meaning for boxes.
            DataError: the data has no boxes, or none in a part.
        """
        from kinema.datasets.located_boxes import box_set, with_found
        from kinema.models.registry import FAMILIES, VARIANTS

        for name, value in _WITHOUT_MEANING.items():
            if getattr(config, name) != value:
                raise ConfigError(f"--{name.replace('_', '-')} has no meaning", "--task boxes", "leave it out")
        if config.sampling == "spread":
            raise ConfigError("--sampling spread skips most frames of a video", "--task boxes", "leave it out")
        if config.monitor not in ("video_hit_at_1", "frame_map_at_0.5", "macro_f1", "loss"):
            raise ConfigError(f"--monitor {config.monitor} is not about boxes", "--task boxes", "take frame_map_at_0.5")
        boxes = box_set(data)
        for part in ("train", "valid"):
            if not any(boxes.key_frames[example.key].labels for example in boxes.part(part).examples):
                raise DataError(f"no person in the {part} part", data.root, "check its rows, or divide it again")
        boxes = with_found(boxes, config.boxes) if config.boxes else boxes
        monitor = "frame_map_at_0.5" if config.monitor == "video_hit_at_1" else config.monitor
        config = replace(config, monitor=monitor)
        if config.model in FAMILIES["detection"] or config.model not in VARIANTS:
            return boxes, config
        return boxes, _with_head(config)

    def class_counts(self, data: DataSet, config: TrainConfig) -> list[float]:
        """None: mean average precision has no baseline that names the most frequent class."""
        return []

    def check(self, network: Network, config: TrainConfig) -> None:
        """Make sure that the network scores boxes in RGB clips of neighbouring frames.

        Raises:
            ConfigError: it does not.
        """
        from kinema.models.detection import BoxNetwork

        if not isinstance(network, BoxNetwork) or network.spec.has_flow:
            raise ConfigError(f"{config.model} scores no boxes in RGB frames", "--task boxes", "take --model roi_head")
        if network.spec.sampling == "spread":
            raise ConfigError("boxes need clips of neighbouring frames", config.model, "give --sampling dense")

    def build(self, config: TrainConfig, num_outputs: int, progress: Progress) -> Network:
        """A new network; with `--init`, the network inside has the weights of a trained one."""
        from kinema.models.detection import BoxNetwork
        from kinema.weights.open import load_trained

        network = config.build(config.model, num_outputs)
        members = network.arguments.get("members", [{}])
        if isinstance(network, BoxNetwork) and (name := members[0].get("init")):
            with progress.download(name) as downloaded:
                trained, _ = load_trained(name, downloaded)
            network.adopt_trunk(trained)
        return network

    def training_inputs(
        self, parts: Parts, config: TrainConfig, network: Network, card: ModelCard, progress: Progress
    ) -> TrainingInputs:
        """Clips around key frames with all boxes in them, validated by `judge`."""
        from kinema.datasets.box_clips import BoxClips, collate_boxes
        from kinema.datasets.located_boxes import box_set
        from kinema.training.box_objective import BoxObjective

        def validate(network: Network) -> dict[str, float]:
            evaluation = self.judge(network, card, parts.validation, config.scoring_options(), SILENT)
            return {**evaluation.figures, "loss": evaluation.loss}

        arguments = config.clip_arguments(parts.training, network.spec, training=True)
        return TrainingInputs(
            data=BoxClips(box_set(parts.training), network.spec, **arguments),
            options=config,
            objective=BoxObjective(network),
            collate=collate_boxes,
            validate=validate,
        )

    def judge(
        self,
        network: Network | ClipScorer,
        card: ModelCard,
        data: DataSet,
        options: ScoringOptions,
        progress: Progress,
    ) -> BoxEvaluation:
        """Score the boxes at all key frames, and compare their labels with the true ones.

        Raises:
            ConfigError: several clips, crops or flips, or another engine than torch.
            DataError: there is no true box, or not one video can be read.
        """
        from kinema.datasets.located_boxes import box_set, with_found
        from kinema.engines.scorer import ClipScorer
        from kinema.evaluation import Failed
        from kinema.evaluation.located.box_result import evaluate_boxes
        from kinema.runs.score_boxes import score_boxes

        if isinstance(network, ClipScorer):
            do = "evaluate the checkpoint itself, with --engine torch"
            raise ConfigError("networks that score boxes are judged in torch only", card.variant, do)
        if options.clips > 1 or options.crops > 1 or options.flips:
            raise ConfigError("each key frame is seen in one clip", "--clips, --crops or --flips", "leave them out")
        boxes: BoxSet = box_set(data)
        boxes = with_found(boxes, options.detected) if options.detected else boxes
        with progress.count("evaluating", len({example.path for example in boxes.examples})) as advance:
            scored = score_boxes(network, card, boxes, options, advance)
        failures = [Failed(path, reason) for path, reason in scored.broken.items()]
        return evaluate_boxes(list(scored.videos.values()), boxes.labels, failures, detected=boxes.found is not None)


def _with_head(config: TrainConfig) -> TrainConfig:
    """Settings of a head for boxes on the network that they name."""
    from kinema.models import VARIANTS
    from kinema.runs.options import parse_arguments
    from kinema.weights.open import trained_card

    trunk: dict[str, object] = {"variant": config.model, "arguments": parse_arguments(config.model_args)}
    spec = VARIANTS[config.model].input
    if config.init:
        card = trained_card(config.init)
        if card.variant != config.model:
            raise CheckpointError(f"--init holds a {card.variant}", config.init, f"give --model {card.variant}")
        own = {name: value for name, value in card.arguments.items() if name != "num_classes"}
        trunk = {
            "variant": config.model,
            "arguments": {**own, **parse_arguments(config.model_args)},
            "init": config.init,
        }
        spec = card.input
    fps = spec.fps or (USUAL_FPS if spec.sampling == "spread" and config.frame_stride is None else None)
    return replace(
        config, model="roi_head", init=None, model_args=(f"members={json.dumps([trunk])}",),
        clip_len=config.clip_len or spec.clip_len, frame_stride=config.frame_stride or spec.frame_stride,
        fps=config.fps or fps, sampling="dense", resize=config.resize or "stretch",
        size=config.size or "x".join(map(str, spec.size)), mean=config.mean or spec.mean, std=config.std or spec.std,
    )  # fmt: skip


TASK = BoxesTask()
