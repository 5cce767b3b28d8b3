"""A task is one file in `kinema.runs.tasks`: a regression, added to a copy of the package, trains and is evaluated."""

from __future__ import annotations

import json

import numpy as np
import pytest

from kinema.choices import TASKS
from kinema.datasets.dataset import DataSet
from kinema.errors import CheckpointError, DataError, UnknownName
from kinema.labels import Labels
from kinema.runs.task import Parts, find_task, training_counts
from kinema.types import Example
from kinema.weights.checkpoint import ModelCard

REGRESSION = '''
"""One number a clip: the classes of the data are numbers, and the network has one output."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

import numpy as np
import torch

from kinema.clips.transforms import normalize
from kinema.datasets.clips import ClipDataset
from kinema.evaluation import Failed
from kinema.formats import table_csv
from kinema.runs.progress import SILENT
from kinema.runs.score import score_data
from kinema.runs.task import Task, TrainingInputs
from kinema.training.objective import Lesson


@dataclass(frozen=True)
class Numbers:
    """True and predicted numbers of videos."""

    labels: tuple[str, ...]
    keys: tuple[str, ...]
    true: np.ndarray
    predicted: np.ndarray
    failures: tuple[Failed, ...] = ()
    protocol: str = "1x1"

    views = "one clip a video"
    unit = "videos"
    mistakes_note = ""
    classes = ()
    confusion = None
    intervals = {}

    @property
    def figures(self) -> dict[str, float]:
        return {"mean_absolute_error": float(np.abs(self.true - self.predicted).mean())}

    @property
    def num_videos(self) -> int:
        return len(self.keys)

    @property
    def num_failed(self) -> int:
        return len(self.failures)

    @property
    def loss(self) -> float:
        return float(((self.true - self.predicted) ** 2).mean())

    def mistakes(self, count: int = 20) -> list:
        return []

    def to_json(self) -> dict[str, object]:
        counts = {"num_videos": self.num_videos, "num_failed": self.num_failed}
        return {**self.figures, **counts, "predicted": self.predicted.tolist()}

    def videos_csv(self) -> str:
        return table_csv(["path", "true", "predicted"], zip(self.keys, self.true, self.predicted))


class SquaredError:
    def __init__(self, network, values: torch.Tensor) -> None:
        self.spec, self.values, self.device = network.spec, values, torch.device("cpu")

    def module(self, network):
        return network

    def to(self, device, precision) -> None:
        self.device, self.values = device, self.values.to(device)

    def num_counted(self, batch) -> int:
        return len(batch.indices)

    def learn(self, module, batch, rng) -> Lesson:
        predicted = module(normalize(batch.clips.to(self.device), self.spec))[:, 0]
        return Lesson(((predicted - self.values[batch.targets]) ** 2).mean(), 0.0)

    def nothing(self, module) -> torch.Tensor:
        return module(torch.zeros((2, *self.spec.shape), device=self.device)).sum() * 0.0


class RegressionTask(Task):
    card_task = "regression"

    def headline(self, figures: Mapping[str, float]) -> str:
        return f"mean absolute error {figures['mean_absolute_error']:.3f}"

    def prepare(self, data, config):
        return data, replace(config, monitor="loss")

    def outputs(self, data) -> tuple[str, ...]:
        return ("value",)

    def known_classes(self, card) -> None:
        return None

    def training_inputs(self, parts, config, network, card, progress) -> TrainingInputs:
        def validate(network) -> dict[str, float]:
            found = self.judge(network, card, parts.validation, config.scoring_options(), SILENT)
            return {**found.figures, "loss": found.loss}

        clips = ClipDataset(
            parts.training, network.spec, **config.clip_arguments(parts.training, network.spec, training=True)
        )
        values = torch.tensor([float(label) for label in parts.training.labels])
        return TrainingInputs(data=clips, validate=validate, options=config, objective=SquaredError(network, values))

    def judge(self, network, card, data, options, progress) -> Numbers:
        scored = score_data(network, data, options)
        read = sorted(scored.logits)
        true = np.array([float(data.examples[index].labels[0]) for index in read])
        predicted = np.array([scored.logits[index].mean() for index in read])
        keys = tuple(data.examples[index].key for index in read)
        failures = tuple(Failed(data.examples[index].key, reason) for index, reason in scored.broken.items())
        return Numbers(card.labels, keys, true, predicted, failures)


TASK = RegressionTask()
'''


def test_a_new_task_is_one_file_that_trains_and_is_evaluated(package_copy, tmp_path, write_frames):
    package, run = package_copy
    (package / "runs/tasks/regression.py").write_text(REGRESSION)
    for part in ("train", "valid"):
        for label, level in (("0.0", 20), ("1.0", 220)):
            (tmp_path / "set" / part / label).mkdir(parents=True)
            for number in range(2):
                first = level + number + 5 * (part == "valid")
                frames = [np.full((32, 32, 3), first + i % 3, np.uint8) for i in range(6)]
                write_frames(tmp_path / "set" / part / label / f"{number}.mp4", frames)
    fast = ["--epochs", "1", "--batch-size", "4", "--workers", "0", "--size", "24", "--precision", "f32"]
    regression = ["set", "--model", "single_frame_tiny", "--task", "regression", *fast]
    trained, judged, shown, no_prediction, no_folds = run(
        ["train", *regression, "--out", "run"],
        ["evaluate", "run", "set", "--workers", "0", "--json", "--out", "judged"],
        ["evaluate", "run", "set", "--workers", "0"],
        ["predict", str(tmp_path / "set/valid/0.0/0.mp4"), "--model", "run"],
        ["crossval", *regression, "--out", "folds"],
    )
    assert trained.status == 0, trained.err
    assert "run: mean absolute error" in trained.out
    assert "mean_absolute_error" in trained.err, "the line of the epoch shows the task's figure"
    assert "Mean absolute error" in (tmp_path / "run/report.html").read_text()
    card = json.loads((tmp_path / "run/best/model.json").read_text())
    assert (card["task"], card["labels"]) == ("regression", ["value"])

    assert judged.status == 0, judged.err
    found = json.loads(judged.out)
    assert (found["num_videos"], found["part"]) == (4, "valid")
    summary = json.loads((tmp_path / "run/summary.json").read_text())
    assert found["mean_absolute_error"] == pytest.approx(summary["mean_absolute_error"], abs=1e-5)
    assert (tmp_path / "judged/predictions.csv").read_text().startswith("path,true,predicted")
    assert "Mean absolute error" in shown.out
    assert "precision" not in shown.out, "there are no classes"

    message = "task regression: judge it with `kinema evaluate`"
    assert (no_prediction.status, message in no_prediction.err) == (2, True)
    assert (no_folds.status, "--task regression" in no_folds.err) == (2, True)


def test_tasks_are_found_by_the_names_of_their_files():
    assert set(TASKS) >= {"clip", "frame", "kept"}
    assert {find_task(name).card_task for name in TASKS} <= set(TASKS)
    with pytest.raises(UnknownName, match="Did you mean frame"):
        find_task("frames")


@pytest.mark.parametrize(
    ("splits", "message"), [(("train", "valid"), "two examples"), (("train", "train"), "no valid part")]
)
def test_parts_that_are_missing_or_too_small_are_named(splits, message):
    examples = tuple(Example(f"{index}.mp4", ("a",), split=split) for index, split in enumerate(splits))
    with pytest.raises(DataError, match=message):
        Parts.of(DataSet("set", "folder", examples, Labels(("a",))))


def test_counts_of_classes_come_from_the_card_and_are_checked():
    def card_with(**data: object) -> ModelCard:
        return ModelCard("single_frame_tiny", {}, ("a", "b"), data=data)

    assert training_counts(card_with()) == ()
    assert training_counts(card_with(class_counts=[3, 1.5])) == (3, 1.5)
    for wrong in ([1], [1, -1], [1, "2"], "12", {"a": 1}, [1, float("nan")]):
        with pytest.raises(CheckpointError, match="class_counts"):
            training_counts(card_with(class_counts=wrong))
