"""Join two trained networks: average their scores, or fit a support vector machine on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from kinema.errors import CheckpointError, ConfigError, DataError, MissingExtra, UsageError
from kinema.runs.judge import name_failures
from kinema.runs.options import DataOptions, ScoringOptions
from kinema.runs.progress import SILENT, Progress

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from kinema.datasets.dataset import DataSet
    from kinema.evaluation import Failed
    from kinema.models.fused import SvmScores
    from kinema.models.network import Network
    from kinema.weights.checkpoint import ModelCard

    Trained = tuple[Network, ModelCard]


@dataclass(frozen=True, kw_only=True)
class FuseConfig(DataOptions, ScoringOptions):
    """How two networks are joined, and the videos that judge the result."""

    data: str
    """Labelled, divided videos: the validation part judges all three networks, and --svm is fitted on the training part."""
    out: str
    """The folder for the checkpoint."""
    weights: str = "1,1.5"
    """Weights of the first and the second network in the average of their scores."""
    svm: bool = False
    """Join the scores with a linear support vector machine in place of the average."""
    json: bool = False
    """Print the figures as JSON."""


def join(parts: Sequence[Trained], config: FuseConfig, names: Sequence[str]) -> Trained:
    """Join two trained networks to one, with its card.

    Raises:
        CheckpointError: their classes differ.
        UsageError: they cannot share a clip.
        ConfigError: the weights are not two numbers above zero.
    """
    from kinema.models import build
    from kinema.models.fused import Fused, joint_input
    from kinema.weights.checkpoint import ModelCard

    cards = [card for _, card in parts]
    if cards[0].labels != cards[1].labels or cards[0].multi_label != cards[1].multi_label:
        raise CheckpointError(
            "the two networks know different classes", ", ".join(names), "train both on the same data"
        )
    try:
        spec = joint_input(cards[0].input, cards[1].input)
    except ValueError as error:
        do = "train them with the same --size, --resize, --sampling, --clip-len"
        raise UsageError("the two networks cannot share a clip", str(error), do) from error
    members: list[dict[str, object]] = []
    for card in cards:
        arguments = {name: value for name, value in card.arguments.items() if name != "num_classes"}
        members.append({"variant": card.variant, "arguments": arguments, "modality": card.input.modality})
        if card.input.clip_len != spec.clip_len:
            members[-1]["clip_len"] = card.input.clip_len
    weights = parse_weights(config.weights)
    network = build(
        "fused", num_classes=len(cards[0].labels), spec=spec.to_json(),
        members=members, multi_label=cards[0].multi_label, weights=weights, svm=config.svm,
    )  # fmt: skip
    assert isinstance(network, Fused)
    network.load_members([part.state_dict() for part, _ in parts])
    training = {"fused": list(names), "weights": weights, "svm": config.svm}
    card = ModelCard.of(
        network, cards[0].labels, multi_label=cards[0].multi_label, training=training, data=cards[0].data
    )
    return network.eval(), card


def parse_weights(text: str) -> list[float]:
    """`"1,1.5"` is [1.0, 1.5].

    Raises:
        ConfigError: not two numbers above zero.
    """
    try:
        weights = [float(part) for part in text.split(",")]
    except ValueError:
        weights = []
    if len(weights) != 2 or not all(0 < weight < float("inf") for weight in weights):
        raise ConfigError("--weights must be two numbers above zero", text, "give them with a comma, as 1,1.5")
    return weights


def fit_svm(
    network: Network, parts: Sequence[Trained], data: DataSet, config: FuseConfig, progress: Progress = SILENT
) -> tuple[Failed, ...]:
    """Fit the classifier of a fused network on the scores of the training part, as the paper does.

    Returns:
        the videos that could not be read.

    Raises:
        MissingExtra: scikit-learn is not installed.
        DataError: a class has no video that can be read.
    """
    import numpy as np

    try:
        from sklearn.svm import LinearSVC
    except ImportError as error:
        raise MissingExtra("support vector machines", "scikit-learn", "svm") from error
    stacked, targets, failures = svm_examples(parts, data, config, progress)
    machine = LinearSVC(random_state=0, max_iter=20_000).fit(stacked, targets)
    rows, offsets = machine.coef_, machine.intercept_
    if len(rows) == 1:  # for two classes there is one row, of the second class
        rows, offsets = np.concatenate([-rows, rows]), np.concatenate([-offsets, offsets])
    cast("SvmScores", network.classifier).adopt(rows, offsets)
    return failures


def svm_examples(
    parts: Sequence[Trained], data: DataSet, config: FuseConfig, progress: Progress = SILENT
) -> tuple[NDArray[np.float32], NDArray[np.int64], tuple[Failed, ...]]:
    """Stacked scores [n stacked] and classes [n] of the videos that both networks could read, and the failures.

    Raises:
        DataError: a class has no video that can be read.
    """
    import numpy as np

    from kinema.engines.scorer import to_scores
    from kinema.evaluation import Failed
    from kinema.models.fused import stacked_scores
    from kinema.runs.score import score_data

    scored = []
    for network, _ in parts:
        with progress.count("evaluating", len(data.examples)) as advance:
            scored.append(score_data(network, data, config, advance))
    broken = sorted({**scored[0].broken, **scored[1].broken}.items())
    failures = tuple(Failed(data.examples[index].key, reason) for index, reason in broken)
    read = sorted(set(scored[0].logits) & set(scored[1].logits))
    targets = np.array([data.targets(data.examples[index])[0] for index in read])
    if len(np.unique(targets)) < max(len(data.labels), 2):
        name_failures([failures])
        raise DataError("a class has no training video that can be read", data.root, "add some, or leave --svm out")
    means = [np.stack([to_scores(found.logits[index], False).mean(axis=0) for index in read]) for found in scored]
    return stacked_scores(means), targets, failures
