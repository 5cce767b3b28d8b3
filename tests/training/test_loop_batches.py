"""A batch is one batch, however it is cut into parts, shared out to processes, and whatever in it cannot be read."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from accelerate.utils import gather_object
from torch.utils.data import Dataset

from kinema import models
from kinema.datasets.clips import Broken, Sample
from kinema.datasets.dataset import DataSet
from kinema.labels import IGNORED, Labels
from kinema.models.network import Network
from kinema.training.frame_objective import FrameObjective
from kinema.training.loop import Trainer, TrainingRun
from kinema.training.options import FitOptions
from kinema.training.order import epoch_order
from kinema.types import Example

OPTIONS = {
    "epochs": 1, "batch_size": 4, "optimizer": "sgd", "lr": 1.0, "momentum": 0.0, "weight_decay": 0.0, "ema": 0.0,
    "schedule": "constant", "warmup_epochs": 0.0, "label_smoothing": 0.0, "clip_grad": 0.0, "max_broken": 1.0,
    "workers": 0, "precision": "f32",
}  # fmt: skip
FIRST, SECOND = epoch_order(8, seed=0, epoch=0).reshape(2, 4).tolist()
"""The two batches of eight examples."""


class Noise(Dataset):
    """Clips of noise, some of which cannot be read."""

    def __init__(self, network: Network, targets: list[int | list[int]], broken: set[int]) -> None:
        self.shape, self.targets, self.broken = network.spec.shape, targets, broken
        examples = tuple(Example(f"{index}.mp4", ("ab"[index % 2],)) for index in range(len(targets)))
        self.data = DataSet("noise", ".", examples, Labels(("a", "b")))

    def __getitem__(self, key: tuple[int, int]) -> Sample | Broken:
        index = key[1]
        if index in self.broken:
            return Broken(index, str(index), "nothing in it")
        drawn = torch.Generator().manual_seed(index)
        clips = torch.randint(0, 256, (1, *self.shape), dtype=torch.uint8, generator=drawn)
        return Sample(clips, torch.tensor(self.targets[index]), index)


class Quiet:
    def batch_done(self, progress, num_batches, loss): ...

    def epoch_done(self, progress, row, network, better): ...


def plain_network() -> Network:
    """Without norms, so that clips of a batch do not see each other."""
    torch.manual_seed(0)
    return models.build("lecture_3d_cnn", num_classes=2, spec={"size": [16, 16], "clip_len": 4})


def trainer(network: Network, folder: Path, targets=(0, 1) * 4, broken=(), validate=None, **changes) -> Trainer:
    options = FitOptions(**{**OPTIONS, **{name: value for name, value in changes.items() if name != "objective"}})
    validate = validate or (lambda _: {"video_hit_at_1": 0.5})
    data = Noise(network, list(targets), set(broken))
    return Trainer(
        TrainingRun(network, data, validate, options, folder / "state.pt", Quiet(), changes.get("objective"))
    )


def assert_same_weights(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> None:
    for name, value in left.items():
        torch.testing.assert_close(value, right[name], rtol=1e-4, atol=1e-5)


def test_steps_with_a_label_weigh_alike_in_whichever_part_of_a_batch_they_are(tmp_path):
    targets, weights = [[1] * 4, [0] * 4, [IGNORED] * 4, [0, IGNORED, IGNORED, 1]], torch.tensor([0.4, 1.6])
    learned = []
    for accumulate in (1, 2):
        torch.manual_seed(0)
        spec = {"clip_len": 4, "size": [32, 32], "sampling": "dense"}
        network = models.build("conv_rnn_small", num_classes=2, spec=spec, dropout=0.0, widths=[8, 8], stem=[8, 4])
        objective = FrameObjective(network, FitOptions(label_smoothing=0.1), weights)
        run = trainer(network, tmp_path, targets, accumulate=accumulate, objective=objective)
        run.frozen = [network]  # norms keep their statistics
        run.fit()
        learned.append(network.state_dict())
    assert_same_weights(*learned)


@pytest.mark.parametrize("precision", ["f32", "fp16"])
def test_a_batch_of_which_nothing_can_be_read_is_left_out(tmp_path, precision):
    network = plain_network()
    before = network.classifier.weight.clone()
    broken = [*FIRST, *SECOND]
    run = trainer(network, tmp_path, broken=broken, precision=precision, weight_decay=0.1)
    assert run.fit().step == 2
    assert torch.equal(network.classifier.weight, before)


def learn_uneven_shares(folder: Path) -> dict[str, torch.Tensor]:
    """The second of two processes has nothing to read of the first batch, and half as much of the second."""
    network = plain_network()
    trainer(network, folder, broken=[*FIRST[2:], SECOND[3]]).fit()
    return network.state_dict()


def learn_with_norms(folder: Path) -> list[tuple[torch.Tensor, int]]:
    """Logits of the validated network on each process, and of how many batches its norms know; the first reads nothing."""
    torch.manual_seed(0)
    network = models.build("slow_fusion_tiny", num_classes=2, dropout=0.0, spec={"size": [16, 16]})
    found: list[tuple[torch.Tensor, int]] = []

    def validate(judged: Network) -> dict[str, float]:
        clips = torch.randn((2, *network.spec.shape), generator=torch.Generator().manual_seed(0))
        known = max(int(value) for name, value in judged.named_buffers() if name.endswith("num_batches_tracked"))
        found.extend(gather_object([(judged.eval()(clips).detach(), known)]))
        return {"video_hit_at_1": 0.5}

    order = epoch_order(4, seed=0, epoch=0)
    trainer(network, folder, (0, 1, 0, 1), broken=order[:2].tolist(), validate=validate, ema=0.9, lr=0.01).fit()
    return found


@pytest.fixture(scope="module")
def two_processes(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("two")
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run([*launcher, __file__, str(folder)], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder


def test_uneven_shares_of_processes_give_the_step_of_the_whole_batch(two_processes, tmp_path):
    assert_same_weights(torch.load(two_processes / "uneven.pt"), learn_uneven_shares(tmp_path))


def test_processes_judge_one_network(two_processes):
    (first, _), (second, _) = torch.load(two_processes / "norms.pt")
    assert torch.equal(first, second)


def test_a_process_with_nothing_to_read_leaves_the_norms_alone(two_processes):
    (_, batches_known), _ = torch.load(two_processes / "norms.pt")
    assert batches_known == 0


def run_as_one_of_several(folder: Path) -> None:
    results = {"uneven.pt": learn_uneven_shares(folder), "norms.pt": learn_with_norms(folder)}
    if os.environ["RANK"] == "0":
        for name, result in results.items():
            torch.save(result, folder / name)


if __name__ == "__main__":
    run_as_one_of_several(Path(sys.argv[1]))
