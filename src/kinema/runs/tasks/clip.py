"""The default task: one label, or several, for each clip. Videos are judged by the mean score of their clips."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

from kinema.datasets.dataset import check_labelled
from kinema.errors import DataError
from kinema.runs.progress import SILENT
from kinema.runs.task import Parts, Task, TrainingInputs, training_counts

if TYPE_CHECKING:
    from kinema.datasets.dataset import DataSet
    from kinema.engines.scorer import ClipScorer
    from kinema.evaluation import Evaluation
    from kinema.models.network import Network
    from kinema.runs.config import TrainConfig
    from kinema.runs.options import ScoringOptions
    from kinema.runs.progress import Progress
    from kinema.runs.score import Scored
    from kinema.weights.checkpoint import ModelCard


class ClipTask(Task):
    """Labels of a clip."""

    card_task = "clip"

    def headline(self, figures: Mapping[str, float]) -> str:
        """Video hit@1 and macro-F1."""
        return f"video hit@1 {figures['video_hit_at_1']:.1%}, macro F1 {figures['macro_f1']:.3f}"

    def prepare(self, data: DataSet, config: TrainConfig) -> tuple[DataSet, TrainConfig]:
        """Make sure that every example has a label.

        Raises:
            DataError: one has none, or there is only one class.
        """
        check_labelled(data)
        return data, config

    def training_inputs(
        self, parts: Parts, config: TrainConfig, network: Network, card: ModelCard, progress: Progress
    ) -> TrainingInputs:
        """A random clip of each video, validated by `judge`; several processes share the videos."""
        from kinema.datasets.clips import ClipDataset

        def validate(network: Network) -> dict[str, float]:
            evaluation = self.judge(network, card, parts.validation, config.scoring_options(), SILENT)
            return {**evaluation.figures, "loss": evaluation.loss}

        arguments = config.clip_arguments(parts.training, network.spec, training=True)
        clips = ClipDataset(parts.training, network.spec, **arguments)
        return TrainingInputs(data=clips, options=config, validate=validate)

    def judge(
        self,
        network: Network | ClipScorer,
        card: ModelCard,
        data: DataSet,
        options: ScoringOptions,
        progress: Progress,
    ) -> Evaluation:
        """Score every example with the network and judge the scores.

        The network stays on its device and in its mode (training or evaluation). Several processes share the examples,
        and each gets the whole result.

        Raises:
            DataError: the classes differ, or not one video can be read.
        """
        from kinema.evaluation.protocols import Protocol
        from kinema.runs.score import score_data

        if tuple(data.labels) != tuple(card.labels):
            raise DataError(
                "the classes are not those of the network", data.root, "open the data with the network's labels"
            )
        check_labelled(data)
        with progress.count("evaluating", len(data.examples)) as advance:
            scored = score_data(network, data, options, advance)
        if options.flips and (pairs := card.training.get("mirror_labels")):
            # Each clip has `crops` plain views and then `crops` mirrored ones, which score the mirrored class.
            mirror, crops = list(data.labels.mirrored(cast("list[str]", pairs))), options.crops
            for rows in scored.logits.values():
                for first in range(crops, len(rows), 2 * crops):
                    rows[first : first + crops] = rows[first : first + crops, mirror]
        return judge_scores(scored, data, card, Protocol(options.clips, options.crops, options.flips).name)


def judge_scores(scored: Scored, data: DataSet, card: ModelCard, protocol: str) -> Evaluation:
    """Compare the logits of a data set's examples with its labels."""
    from kinema.engines.scorer import to_scores
    from kinema.evaluation import Failed, VideoScores, evaluate_scores

    examples = data.examples
    videos = [
        VideoScores(e.key, data.targets(e), to_scores(rows, card.multi_label), group=e.group or e.path)
        for e, rows in ((examples[index], rows) for index, rows in sorted(scored.logits.items()))
    ]
    failures = [Failed(examples[index].key, reason) for index, reason in sorted(scored.broken.items())]
    return evaluate_scores(
        videos, data.labels, multi_label=card.multi_label, protocol=protocol, failures=failures,
        class_counts=training_counts(card),
    )  # fmt: skip


TASK = ClipTask()
