"""A run is a function of its options: interrupted anywhere, in one process or two, it ends the same."""

import math
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from kinema import models
from kinema.clips.transforms import PRESETS
from kinema.datasets import open_data
from kinema.datasets.clips import ClipDataset
from kinema.datasets.synthetic import write_motion_set
from kinema.errors import CheckpointError, Diverged, TooManyBroken
from kinema.training.loop import Trainer, TrainingRun
from kinema.training.objective import ClipObjective, Lesson
from kinema.training.options import FitOptions
from kinema.training.state import load_state

OPTIONS = {
    "epochs": 2,
    "batch_size": 8,
    "workers": 0,
    "save_every_s": 0.0,
    "precision": "f32",
    "ema": 0.9,
    "mixup": 0.2,
}


@pytest.fixture(scope="session")
def motion_set(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("motion") / "set"
    write_motion_set(root, per_class_train=3, per_class_valid=1, seed=0)
    return root


class Quiet:
    """A listener that can break the run off after some steps, as a kill would."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.stop_after, self.losses, self.rows = stop_after, [], []

    def batch_done(self, progress, num_batches, loss):
        if progress.step == self.stop_after:
            raise KeyboardInterrupt
        self.losses.append(loss)

    def epoch_done(self, progress, row, network, better):
        self.rows.append(row)


def trainer(root: Path, state: Path, listener: Quiet, **changes) -> Trainer:
    torch.manual_seed(0)
    data = open_data(root)
    network = models.build("slow_fusion_tiny", num_classes=len(data.labels), dropout=0.3, spec={"size": (32, 32)})
    clips = ClipDataset(data.part("train"), network.spec, augment=PRESETS["light"], seed=0)
    options = FitOptions(**{**OPTIONS, **changes})
    run = TrainingRun(network, clips, lambda _: {"video_hit_at_1": 0.5}, options, state, listener)
    return Trainer(run)


def weights_of(state: Path) -> dict[str, torch.Tensor]:
    _, parts = load_state(state)
    return parts["network"] | {f"average.{name}": value for name, value in parts["average"].items()}


def assert_same_weights(left: dict, right: dict) -> None:
    assert left.keys() == right.keys()
    for name, value in left.items():
        assert torch.equal(value, right[name]), name


@pytest.mark.parametrize("stop_after", [2, 4])
def test_a_run_broken_off_and_resumed_ends_with_the_same_weights(motion_set, tmp_path, stop_after):
    whole = Quiet()
    trainer(motion_set, tmp_path / "whole.pt", whole).fit()
    broken = Quiet(stop_after)
    with pytest.raises(KeyboardInterrupt):
        trainer(motion_set, tmp_path / "broken.pt", broken).fit()
    resumed = Quiet()
    progress = trainer(motion_set, tmp_path / "broken.pt", resumed).fit(resume=True)
    assert progress.step == 6
    assert_same_weights(weights_of(tmp_path / "whole.pt"), weights_of(tmp_path / "broken.pt"))
    for key in ("train_loss", "train_clip_hit_at_1", "lr"):
        assert resumed.rows[-1][key] == whole.rows[-1][key]


def test_accumulated_parts_give_the_step_of_the_whole_batch(motion_set, tmp_path):
    # Batch norm sees parts, not the batch; without it the gradient must be the same.
    results = []
    for accumulate in (1, 2):
        run = trainer(motion_set, tmp_path / f"{accumulate}.pt", Quiet(), accumulate=accumulate, mixup=0.0)
        for module in run.network.modules():
            if isinstance(module, torch.nn.BatchNorm3d | torch.nn.BatchNorm2d | torch.nn.Dropout):
                module.eval()
        run.frozen = [m for m in run.network.modules() if isinstance(m, torch.nn.BatchNorm3d | torch.nn.Dropout)]
        run.fit()
        results.append(weights_of(tmp_path / f"{accumulate}.pt"))
    for name, value in results[0].items():
        torch.testing.assert_close(value, results[1][name], rtol=1e-3, atol=1e-4)


def test_of_epochs_with_equal_scores_the_one_with_the_lower_loss_is_the_best(motion_set, tmp_path):
    run = trainer(motion_set, tmp_path / "state.pt", Quiet(), epochs=5)
    losses = iter([0.9, 0.7, 0.8, 0.2, 0.3])
    scores = iter([0.5, 0.5, 0.5, 0.4, 0.5])
    run.run = replace(run.run, validate=lambda _: {"video_hit_at_1": next(scores), "loss": next(losses)})
    assert run.fit().best_epoch == 4


@pytest.mark.filterwarnings("ignore:The .grad attribute")
def test_a_compiled_network_learns_the_same(motion_set, tmp_path, monkeypatch):
    compiled, compile_module = [], torch.nn.Module.compile

    def with_the_same_kernels(module):  # what is tested is that steps go through it and weights come out of it
        compiled.append(type(module).__name__)
        compile_module(module, backend="eager")

    monkeypatch.setattr(torch.nn.Module, "compile", with_the_same_kernels)
    for name, wanted in (("plain", False), ("compiled", True)):
        trainer(motion_set, tmp_path / f"{name}.pt", Quiet(), compile=wanted).fit()
    assert compiled == ["SmallFusion"]
    plain, other = weights_of(tmp_path / "plain.pt"), weights_of(tmp_path / "compiled.pt")
    assert plain.keys() == other.keys()
    for name, value in plain.items():
        torch.testing.assert_close(value, other[name], rtol=1e-4, atol=1e-6)


def test_early_stopping_ends_the_run_after_patience_epochs(motion_set, tmp_path):
    progress = trainer(motion_set, tmp_path / "state.pt", Quiet(), epochs=9, patience=2).fit()
    assert (len(progress.history), progress.best_epoch) == (3, 0)


def test_a_broken_file_is_counted_named_once_and_left_out(motion_set, tmp_path, caplog):
    data = open_data(motion_set)
    victim = next(e for e in data.examples if e.split == "train")
    copy = tmp_path / "copy"
    subprocess.run(["cp", "-r", str(motion_set), str(copy)], check=True)
    broken = copy / Path(victim.path).relative_to(motion_set)
    broken.write_bytes(b"not a video")
    progress = trainer(copy, tmp_path / "state.pt", Quiet(), max_broken=0.1).fit()
    assert list(progress.broken) == [str(broken)]
    assert caplog.text.count(str(broken)) >= 1
    assert sum("left out" in record.message for record in caplog.records) == 1
    with pytest.raises(TooManyBroken, match="--max-broken"):
        trainer(copy, tmp_path / "other.pt", Quiet(), max_broken=0.0).fit()


def test_resuming_without_a_state_says_so(motion_set, tmp_path):
    with pytest.raises(CheckpointError, match="without --resume"):
        trainer(motion_set, tmp_path / "none.pt", Quiet()).fit(resume=True)


def command(root: Path, out: Path, *extra: str) -> list[str]:
    return [
        "train", str(root), "--model", "slow_fusion_tiny", "--out", str(out), "--epochs", "3", "--batch-size", "8",
        "--workers", "0", "--save-every-s", "0", "--precision", "f32", "--size", "32", *extra,
    ]  # fmt: skip


def one_thread() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}


def test_a_run_killed_with_kill_9_and_resumed_ends_with_the_same_weights(motion_set, tmp_path):
    python = [sys.executable, "-m", "kinema"]
    subprocess.run(
        [*python, *command(motion_set, tmp_path / "whole")], check=True, env=one_thread(), capture_output=True
    )
    killed = subprocess.Popen(
        [*python, *command(motion_set, tmp_path / "killed")], env=one_thread(), stderr=subprocess.PIPE
    )
    deadline = time.monotonic() + 120
    state = tmp_path / "killed" / "state.pt"
    while not state.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert load_state(state)[0].finished is False, "the kill came too late to test anything"
    resumed = [*python, *command(motion_set, tmp_path / "killed", "--resume")]
    subprocess.run(resumed, check=True, env=one_thread(), capture_output=True)
    left, right = (load_state(tmp_path / name / "state.pt") for name in ("whole", "killed"))
    assert_same_weights(left[1]["network"], right[1]["network"])
    assert left[0].step == right[0].step
    best = [(tmp_path / name / "best" / "model.safetensors").read_bytes() for name in ("whole", "killed")]
    assert best[0] == best[1]


def test_two_processes_judge_every_example_once_and_get_the_figures_of_one(motion_set, tmp_path):
    launcher = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--nproc-per-node",
        "2",
        "--standalone",
        "-m",
        "kinema",
    ]
    # Nothing but the classifier learns, so that batch norms do not depend on how a batch is shared out.
    extra = ("--transfer", "head", "--optimizer", "sgd", "--augment", "none")
    launched = [*launcher, *command(motion_set, tmp_path / "two", *extra)]
    done = subprocess.run(launched, env=one_thread(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    single = [sys.executable, "-m", "kinema", *command(motion_set, tmp_path / "one", *extra)]
    subprocess.run(single, check=True, env=one_thread(), capture_output=True)
    states = [load_state(tmp_path / name / "state.pt") for name in ("one", "two")]
    one, two = (progress for progress, _ in states)
    assert [len(parts["processes"]) for _, parts in states] == [1, 2]
    assert one.step == two.step
    for left, right in zip(one.history, two.history, strict=True):
        for key in left:
            if key.startswith(("train_", "valid_")):
                assert right[key] == pytest.approx(left[key], abs=1e-4), key


class Poisoned(ClipObjective):
    """Gives losses that are not numbers at some steps."""

    def __init__(self, run: Trainer, steps: set[int]) -> None:
        super().__init__(run.network, run.options, run.objective.loss)
        self.count, self.steps = 0, steps

    def learn(self, module, batch, rng):
        lesson = super().learn(module, batch, rng)
        self.count += 1
        return Lesson(lesson.loss * math.nan, lesson.hits) if self.count in self.steps else lesson


def test_a_gradient_that_is_no_number_costs_one_step_and_not_the_weights(motion_set, tmp_path, caplog):
    run = trainer(motion_set, tmp_path / "state.pt", Quiet())
    run.objective = Poisoned(run, {2})
    progress = run.fit()
    assert (progress.step, progress.skipped, progress.skipped_in_a_row) == (6, 1, 0)
    assert all(value.isfinite().all() for value in weights_of(tmp_path / "state.pt").values())
    assert "its step was left out" in caplog.text


def test_a_run_that_has_diverged_stops(motion_set, tmp_path):
    run = trainer(motion_set, tmp_path / "state.pt", Quiet(), epochs=20)
    run.objective = Poisoned(run, set(range(3, 100)))
    with pytest.raises(Diverged, match="10 steps in a row"):
        run.fit()
