"""The training loop, in the open: one step, one epoch, one run.

A run is a function of its options alone: the order of examples depends on (seed, epoch), crops on (seed, epoch, example),
mixing on (seed, step), and the state file holds the rest (weights, optimiser, dropout's generator). So a run that is
killed at any moment and resumed ends with the same weights on the same machine. Processes (torchrun, `accelerate
launch`) share out every batch; the devices and the exchange of gradients are Accelerate's.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import broadcast, broadcast_object_list, gather_object
from torch import nn
from torch.utils.data import DataLoader

from kinema.datasets.clips import Batch, ClipDataset, collate
from kinema.datasets.features import FeatureDataset
from kinema.errors import CheckpointError, DataError, Diverged, check_broken
from kinema.machine import worker_count
from kinema.models.device import channels_last, resolve_device, resolve_precision
from kinema.models.network import Network
from kinema.training.average import MovingAverage
from kinema.training.losses import balanced_weights, loss_for
from kinema.training.objective import ClipObjective, Objective
from kinema.training.optim import Schedule, build_optimizer, gradient_norm
from kinema.training.options import FitOptions
from kinema.training.order import EpochBatches
from kinema.training.state import EpochRow, Progress, Tally, load_state, save_state
from kinema.training.transfer import freeze, set_training, still_norms

log = logging.getLogger("kinema")

_MOST_IN_VAIN = 10

Validate = Callable[[Network], Mapping[str, float]]
"""Measures the network on the validation part; called by every process, gives all of them the same figures."""


class Listener(Protocol):
    """What a run tells while it goes on; the main process alone calls it."""

    def batch_done(self, progress: Progress, num_batches: int, loss: float) -> None:
        """An optimiser step was taken."""

    def epoch_done(self, progress: Progress, row: EpochRow, network: Network, better: bool) -> None:
        """An epoch was trained and validated; `better` if it is the best so far."""


@dataclass
class Run:
    """What a run works on and where it keeps its state."""

    network: Network
    data: ClipDataset | FeatureDataset
    validate: Validate
    options: FitOptions
    state_path: Path
    listener: Listener
    objective: Objective[Any] | None = None
    """How a batch becomes a loss; None is one label, or several, a clip."""
    collate: Callable[[Sequence[Any]], Any] | None = None
    """Joins what `data` gives to a batch with `indices` and `broken`; None joins clips."""
    num_listed: int | None = None
    """Of how many examples `max_broken` is the share, where `data` is one division of several; None: of those in `data`."""


def seed_weights(seed: int) -> None:
    """Start torch's generators, from which new weights and dropout are drawn."""
    torch.manual_seed(seed)


def open_accelerator() -> Accelerator:
    """The devices, and the other processes of a launcher if there are any.

    Accelerate has to be told that it is to work on CPUs: left to itself it starts the exchange between processes
    without a GPU and then takes each for the only one.
    """
    return Accelerator(cpu=resolve_device().type == "cpu")


def join_processes() -> torch.device:
    """Find the other processes of a launcher, if there are any; returns the device of this one."""
    return open_accelerator().device


class Trainer:
    """One training run. Build it, then call `fit`."""

    def __init__(self, run: Run) -> None:
        self.run, self.options, self.progress = run, run.options, Progress()
        self.saved_at = time.monotonic()
        seed_weights(self.options.seed)
        self.accelerator = open_accelerator()
        self.device = self.accelerator.device
        self.precision = resolve_precision(self.options.precision, self.device)
        network = run.network.to(self.device)
        self.frozen = freeze(network, self.options)
        channels_last(network)
        self.network = network
        self.optimizer = build_optimizer(network, self.options)
        self.average = self._averaged(network)
        self.objective = run.objective or ClipObjective(network, self.options, loss_for(run.data.data, self.options))
        module = self.objective.module(network)
        if self.options.compile:
            module.compile()
        self.module = cast(nn.Module, self.accelerator.prepare_model(module))
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=self.precision == "fp16")
        self.order, self.loader = self._loader()
        self.schedule = Schedule(self.options, self.order.num_batches)
        self.objective.to(self.device, self.precision)

    # building

    def _averaged(self, network: Network) -> MovingAverage | None:
        return MovingAverage(network, self.frozen, self.options.ema) if self.options.ema else None

    def _loader(self) -> tuple[EpochBatches, DataLoader[Any]]:
        data, options = self.run.data.data, self.options
        if not data.examples:
            raise DataError("nothing to train on", data.name, "give a data set whose training part has examples")
        weights = None
        if options.balance == "sampler":
            by_class = balanced_weights(list(data.counts().values())).tolist()
            weights = np.array([max(by_class[data.labels.index(name)] for name in e.labels) for e in data.examples])
        order = EpochBatches(
            len(data.examples), options.batch_size, options.accumulate, options.seed,
            process=self.accelerator.process_index, num_processes=self.accelerator.num_processes, weights=weights,
        )  # fmt: skip
        workers = worker_count(options.workers)
        loader: DataLoader[Any] = DataLoader(
            cast(Any, self.run.data), batch_sampler=order, collate_fn=self.run.collate or collate, num_workers=workers,
            persistent_workers=workers > 0, pin_memory=self.device.type == "cuda",
            prefetch_factor=4 if workers else None,
            # A loader draws a number when it is started; from its own generator, so that dropout's stays in step.
            generator=torch.Generator(),
        )  # fmt: skip
        return order, loader

    # one run

    def fit(self, resume: bool = False) -> Progress:
        """Train to the end; with `resume` from the saved state on.

        Raises:
            TooManyBroken: more of the examples are unreadable than `max_broken` allows.
            CheckpointError: `resume` without a usable state.
        """
        if resume:
            self._restore()
        while not self.progress.finished:
            self._epoch()
            self._end_epoch()
        return self.progress

    @property
    def judged(self) -> Network:
        """The network that is validated and saved: the moving average where there is one."""
        return self.network if self.average is None else cast(Network, self.average.module)

    def _epoch(self) -> None:
        progress = self.progress
        self.order.move_to(progress.epoch, progress.batch)
        set_training(self.network, self.frozen)
        for parts, waited_s in self._batches():
            started = time.monotonic()
            loss = self._step(parts)
            progress.step, progress.batch = progress.step + 1, progress.batch + 1
            progress.tally.wait_s += waited_s
            progress.tally.time_s += waited_s + time.monotonic() - started
            if self.accelerator.is_main_process:
                self.run.listener.batch_done(progress, self.order.num_batches, loss)
            if self._save_is_due():
                self._save()

    def _save_is_due(self) -> bool:
        since_s = time.monotonic() - self.saved_at
        if self.accelerator.num_processes == 1:
            return since_s >= self.options.save_every_s
        due = [since_s >= self.options.save_every_s]  # one clock decides for all processes
        return bool(broadcast_object_list(due)[0])

    def _batches(self) -> Iterator[tuple[list[Batch], float]]:
        """The parts of each batch, and how long they were waited for."""
        parts: list[Batch] = []
        asked = time.monotonic()
        for part in self.loader:
            self._note_broken(part)
            parts.append(part)
            if len(parts) == self.options.accumulate:
                yield parts, time.monotonic() - asked
                parts, asked = [], time.monotonic()

    def _note_broken(self, batch: Batch) -> None:
        broken = self.progress.broken
        for item in batch.broken:
            if item.key not in broken:
                log.warning("left out, cannot be read: %s: %s", item.key, item.reason)
                broken[item.key] = item.reason
        if self.run.num_listed is None:
            check_broken(broken, len(self.run.data.data), self.options.max_broken, "training examples")
        else:
            check_broken(broken, self.run.num_listed, self.options.max_broken)

    # one step

    def _step(self, parts: list[Batch]) -> float:
        """One optimiser step from the parts of a batch; the gradient is that of its mean loss over all processes."""
        number = self._in_all_processes(sum(self.objective.num_counted(part) for part in parts))
        if number == 0:  # nothing could be read, or nothing has a label
            return 0.0
        self.schedule.apply(self.optimizer, self.progress.step)
        self.optimizer.zero_grad(set_to_none=True)
        mean = 0.0
        for position, part in enumerate(parts):
            wait_to_share = position < len(parts) - 1
            with self.accelerator.no_sync(self.module) if wait_to_share else nullcontext():
                mean += self._learn_from(part, number, position)
        self.scaler.unscale_(self.optimizer)
        norm = gradient_norm((p for g in self.optimizer.param_groups for p in g["params"]), self.options.clip_grad)
        if self._is_usable(norm):
            self.scaler.step(self.optimizer)
            self.scaler.update()
            if self.average is not None:
                self.average.follow(self.network)
        return mean

    def _in_all_processes(self, number: int) -> int:
        if self.accelerator.num_processes == 1:
            return number
        return int(self.accelerator.reduce(torch.tensor(number, device=self.device), reduction="sum"))

    def _is_usable(self, norm: float) -> bool:
        """Whether a step can be taken; one gradient that is not a number would spoil every weight for good."""
        progress = self.progress
        if math.isfinite(norm) or self.scaler.is_enabled():  # the scaler of fp16 looks for itself
            progress.in_vain = 0
            return True
        progress.skipped, progress.in_vain = progress.skipped + 1, progress.in_vain + 1
        if progress.in_vain >= _MOST_IN_VAIN:
            raise Diverged(
                f"{_MOST_IN_VAIN} steps in a row gave gradients that are not numbers", f"epoch {progress.epoch + 1}",
                "lower --lr, or train with --precision f32",
            )  # fmt: skip
        if progress.skipped == 1:
            log.warning("a gradient was not a number; its step was left out (the summary counts such steps)")
        return False

    def _learn_from(self, part: Batch, number: int, position: int) -> float:
        """Add one part's gradient; returns its share of the batch's mean loss."""
        size, processes = len(part.indices), self.accelerator.num_processes
        if size == 0:
            if processes > 1:  # the others wait for a gradient from this process
                with still_norms(self.network):
                    torch.autograd.backward(self.scaler.scale(self.objective.nothing(self.module)))
            return 0.0
        rng = np.random.default_rng([self.options.seed, self.progress.step, position, self.accelerator.process_index])
        lesson = self.objective.learn(self.module, part, rng)
        share = self.objective.num_counted(part) * processes / number  # processes average their gradients
        torch.autograd.backward(self.scaler.scale(lesson.loss * share))
        tally = self.progress.tally
        value = float(lesson.loss.detach())
        tally.loss += value * size
        tally.hits += lesson.hits
        tally.clips += size
        return value * share

    # the end of an epoch

    def _end_epoch(self) -> None:
        progress, options = self.progress, self.options
        broadcast(list(self.judged.buffers()))  # each process has the norms' statistics of its own clips
        figures = {f"valid_{name}": float(value) for name, value in self.run.validate(self.judged).items()}
        row = self._row(figures)
        value = figures.get(f"valid_{options.monitor}", -row["train_loss"])
        value = -value if options.monitor == "loss" else value
        better = value > progress.best or (value == progress.best and self._loses_less(row))
        if better:
            progress.best, progress.best_epoch = value, progress.epoch
        self.schedule.end_epoch(value)
        progress.history.append(row)
        progress.epoch, progress.batch, progress.tally = progress.epoch + 1, 0, Tally()
        stale = options.patience and progress.epoch - 1 - progress.best_epoch >= options.patience
        progress.finished = progress.epoch >= options.epochs or bool(stale)
        if self.accelerator.is_main_process:
            self.run.listener.epoch_done(progress, row, self.judged, better)
        if better or progress.finished or self._save_is_due():  # an epoch may be shorter than writing its state
            self._save()

    def _loses_less(self, row: EpochRow) -> bool:
        """Whether the validation loss decides for an epoch whose score is that of the best; few videos often tie."""
        best = self.progress.history[self.progress.best_epoch]
        return row.get("valid_loss", math.inf) < best.get("valid_loss", -math.inf)

    def _row(self, figures: Mapping[str, float]) -> EpochRow:
        tallies = [self.progress.tally]
        if self.accelerator.num_processes > 1:
            tallies = gather_object(tallies)
            for broken in gather_object([self.progress.broken]):
                self.progress.broken.update(broken)
        clips = max(sum(t.clips for t in tallies), 1)
        time_s = max(1e-9, *(t.time_s for t in tallies))
        return {
            "epoch": self.progress.epoch + 1,
            "lr": self.schedule.rate(max(self.progress.step - 1, 0)),
            "train_loss": sum(t.loss for t in tallies) / clips,
            "train_clip_hit_at_1": sum(t.hits for t in tallies) / clips,
            **figures,
            "clips_per_s": clips / time_s,
            "waiting_share": max(t.wait_s for t in tallies) / time_s,
            "time_s": time_s,
        }

    # the state

    def _save(self) -> None:
        own = [
            {"generator": torch.get_rng_state(), "tally": asdict(self.progress.tally), "broken": self.progress.broken}
        ]
        if self.accelerator.num_processes > 1:
            own = gather_object(own)
        if self.accelerator.is_main_process:
            save_state(self.run.state_path, self.progress, self._parts(own))
        self.accelerator.wait_for_everyone()
        self.saved_at = time.monotonic()

    def _parts(self, processes: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "network": self.network.state_dict(),
            "average": None if self.average is None else self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state(),
            "scaler": self.scaler.state_dict(),
            "processes": processes,
            "cuda_generators": torch.cuda.get_rng_state_all() if self.device.type == "cuda" else [],
        }

    def _restore(self) -> None:
        self.progress, parts = load_state(self.run.state_path)
        self.network.load_state_dict(parts["network"])
        if self.average is not None and parts["average"] is not None:
            self.average.load_state_dict(parts["average"])
        self.optimizer.load_state_dict(parts["optimizer"])
        self.schedule.restore(parts["schedule"])
        if self.scaler.is_enabled():
            self.scaler.load_state_dict(parts["scaler"])
        if len(parts["processes"]) != self.accelerator.num_processes:
            raise CheckpointError(
                f"the run was started with {len(parts['processes'])} processes", self.run.state_path,
                f"resume with as many, not {self.accelerator.num_processes}",
            )  # fmt: skip
        own = parts["processes"][self.accelerator.process_index]
        torch.set_rng_state(own["generator"])
        self.progress.tally, self.progress.broken = Tally(**own["tally"]), own["broken"]
        if parts["cuda_generators"]:
            torch.cuda.set_rng_state_all(parts["cuda_generators"])
        if self.progress.finished:
            log.info("nothing to resume: all %d epochs are done", self.progress.epoch)
        else:
            log.info("resumed at epoch %d, batch %d", self.progress.epoch + 1, self.progress.batch)
