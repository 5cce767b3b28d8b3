"""The training loop, in the open: one step, one epoch, one run.

A run is a function of its options alone: the order of examples depends on (seed, epoch), crops on (seed, epoch, example),
mixing on (seed, step), and the state file holds the rest (weights, optimiser, dropout's generator). So a run that is
killed at any moment and resumed ends with the same weights on the same machine. Processes (torchrun, `accelerate
launch`) share every batch; Accelerate handles the devices and the exchange of gradients.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
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
from kinema.datasets.located_windows import LocatedWindows
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
from kinema.training.state import EpochRow, Tally, TrainingState, load_state, save_state
from kinema.training.transfer import freeze, frozen_norms, set_training

log = logging.getLogger("kinema")

_MAX_SKIPPED_IN_A_ROW = 10

Validate = Callable[[Network], Mapping[str, float]]
"""Measures the network on the validation part. Every process calls it and gets the same figures."""

Collate = Callable[[Sequence[Any]], Any]
"""Joins examples to a batch that has `indices` and `broken`."""


class Listener(Protocol):
    """Receives the progress of a run; only the main process calls it."""

    def batch_done(self, state: TrainingState, num_batches: int, loss: float) -> None:
        """An optimiser step was taken."""

    def epoch_done(self, state: TrainingState, row: EpochRow, network: Network, better: bool) -> None:
        """An epoch was trained and validated; `better` if it is the best so far."""


@dataclass
class TrainingRun:
    """What a run trains, on what, and where it keeps its state.

    Args:
        network: to train.
        data: examples.
        validate: measures the network after each epoch.
        options: of the training.
        state_path: file of the state to resume from.
        listener: receives the progress.
        objective: computes the loss of a batch; None for one or several labels a clip.
        collate: joins examples to a batch; None joins clips.
        num_listed: number of examples that `max_broken` is a share of, in all folds together; None: those in `data`.
    """

    network: Network
    data: ClipDataset | FeatureDataset | LocatedWindows
    validate: Validate
    options: FitOptions
    state_path: Path
    listener: Listener
    objective: Objective[Any] | None = None
    collate: Collate | None = None
    num_listed: int | None = None


def seed_weights(seed: int) -> None:
    """Seed torch's generators, which draw new weights and dropout."""
    torch.manual_seed(seed)


def open_accelerator() -> Accelerator:
    """The devices, and the other processes of a launcher if there are any.

    Without a GPU Accelerate needs `cpu=True`: otherwise it connects the processes, then takes each for the only one.
    """
    return Accelerator(cpu=resolve_device().type == "cpu")


def join_processes() -> torch.device:
    """Connect to the other processes of a launcher, if there are any; returns the device of this process."""
    return open_accelerator().device


class Trainer:
    """One training run. Build it, then call `fit`."""

    def __init__(self, run: TrainingRun) -> None:
        self.run, self.options, self.state = run, run.options, TrainingState()
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
        self.average = MovingAverage(network, self.frozen, self.options.ema) if self.options.ema else None
        self.objective = run.objective or ClipObjective(network, self.options, loss_for(run.data.data, self.options))
        module = self.objective.module(network)
        if self.options.compile:
            module.compile()
        self.module = cast(nn.Module, self.accelerator.prepare_model(module))
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=self.precision == "fp16")
        self.order, self.loader = self._loader()
        self.schedule = Schedule(self.options, self.order.num_batches)
        self.objective.to(self.device, self.precision)

    def _loader(self) -> tuple[EpochBatches, Iterable[Batch]]:
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
        loader: Iterable[Batch] = DataLoader(
            cast("ClipDataset", self.run.data), batch_sampler=order, collate_fn=self.run.collate or collate,
            num_workers=workers, persistent_workers=workers > 0, pin_memory=self.device.type == "cuda",
            prefetch_factor=4 if workers else None,
            # The loader draws a number when it starts. A generator of its own keeps dropout's generator in step.
            generator=torch.Generator(),
        )  # fmt: skip
        return order, loader

    # one run

    def fit(self, resume: bool = False) -> TrainingState:
        """Train to the end; with `resume` from the saved state on.

        Raises:
            TooManyBroken: more examples are unreadable than `max_broken` allows.
            CheckpointError: `resume` without a usable state.
        """
        if resume:
            self._restore()
        while not self.state.finished:
            self._epoch()
            self._end_epoch()
        return self.state

    @property
    def judged(self) -> Network:
        """The network that is validated and saved: the moving average if there is one."""
        return self.network if self.average is None else cast(Network, self.average.module)

    def _epoch(self) -> None:
        state = self.state
        self.order.move_to(state.epoch, state.batch)
        set_training(self.network, self.frozen)
        for parts, waited_s in self._batches():
            started = time.monotonic()
            loss = self._step(parts)
            state.step, state.batch = state.step + 1, state.batch + 1
            state.tally.wait_s += waited_s
            state.tally.time_s += waited_s + time.monotonic() - started
            if self.accelerator.is_main_process:
                self.run.listener.batch_done(state, self.order.num_batches, loss)
            if self._save_is_due():
                self._save()

    def _save_is_due(self) -> bool:
        since_s = time.monotonic() - self.saved_at
        if self.accelerator.num_processes == 1:
            return since_s >= self.options.save_every_s
        due = [since_s >= self.options.save_every_s]  # the clock of the main process decides for all
        return bool(broadcast_object_list(due)[0])

    def _batches(self) -> Iterator[tuple[list[Batch], float]]:
        """The parts of each batch, and the seconds that the loop waited for them."""
        parts: list[Batch] = []
        broken, num_examples, kind = self.state.broken, self.run.num_listed, "examples"
        if num_examples is None:
            num_examples, kind = len(self.run.data.data), "training examples"
        requested = time.monotonic()
        for part in self.loader:
            for item in part.broken:
                if item.key not in broken:
                    log.warning("left out, cannot be read: %s: %s", item.key, item.reason)
                    broken[item.key] = item.reason
            check_broken(broken, num_examples, self.options.max_broken, kind)
            parts.append(part)
            if len(parts) == self.options.accumulate:
                yield parts, time.monotonic() - requested
                parts, requested = [], time.monotonic()

    # one step

    def _step(self, parts: list[Batch]) -> float:
        """One optimiser step from the parts of a batch; the gradient is that of its mean loss over all processes."""
        number = sum(self.objective.num_counted(part) for part in parts)
        if self.accelerator.num_processes > 1:
            number = int(self.accelerator.reduce(torch.tensor(number, device=self.device), reduction="sum"))
        if number == 0:  # nothing could be read, or nothing has a label
            return 0.0
        self.schedule.apply(self.optimizer, self.state.step)
        self.optimizer.zero_grad(set_to_none=True)
        mean = 0.0
        for position, part in enumerate(parts):
            is_last = position == len(parts) - 1  # processes exchange gradients once a batch
            with nullcontext() if is_last else self.accelerator.no_sync(self.module):
                mean += self._learn_from(part, number, position)
        self.scaler.unscale_(self.optimizer)
        norm = gradient_norm((p for g in self.optimizer.param_groups for p in g["params"]), self.options.clip_grad)
        if self._is_usable(norm):
            self.scaler.step(self.optimizer)
            self.scaler.update()
            if self.average is not None:
                self.average.follow(self.network)
        return mean

    def _is_usable(self, norm: float) -> bool:
        """Whether a step can be taken. One gradient that is not a number would destroy every weight for good."""
        state = self.state
        if math.isfinite(norm) or self.scaler.is_enabled():  # the scaler of fp16 checks gradients itself
            state.skipped_in_a_row = 0
            return True
        state.skipped, state.skipped_in_a_row = state.skipped + 1, state.skipped_in_a_row + 1
        if state.skipped_in_a_row >= _MAX_SKIPPED_IN_A_ROW:
            what = f"{_MAX_SKIPPED_IN_A_ROW} steps in a row gave gradients that are not numbers"
            raise Diverged(what, f"epoch {state.epoch + 1}", "lower --lr, or train with --precision f32")
        if state.skipped == 1:
            log.warning("a gradient was not a number; its step was left out (the summary counts such steps)")
        return False

    def _learn_from(self, part: Batch, number: int, position: int) -> float:
        """Add the gradient of one part; returns its share of the batch's mean loss."""
        size, processes = len(part.indices), self.accelerator.num_processes
        if size == 0:
            if processes > 1:  # the others wait for a gradient from this process
                with frozen_norms(self.network):
                    torch.autograd.backward(self.scaler.scale(self.objective.nothing(self.module)))
            return 0.0
        rng = np.random.default_rng([self.options.seed, self.state.step, position, self.accelerator.process_index])
        lesson = self.objective.learn(self.module, part, rng)
        share = self.objective.num_counted(part) * processes / number  # processes average their gradients
        torch.autograd.backward(self.scaler.scale(lesson.loss * share))
        tally = self.state.tally
        value = float(lesson.loss.detach())
        tally.loss += value * size
        tally.hits += lesson.hits
        tally.clips += size
        return value * share

    # the end of an epoch

    def _end_epoch(self) -> None:
        state, options = self.state, self.options
        broadcast(list(self.judged.buffers()))  # each process has batch norm statistics of its own clips
        figures = {f"valid_{name}": float(value) for name, value in self.run.validate(self.judged).items()}
        row = self._row(figures)
        value = figures.get(f"valid_{options.monitor}", -row["train_loss"])
        value = -value if options.monitor == "loss" else value
        better = value > state.best
        if value == state.best:  # few videos often tie; then the lower loss is better
            best = state.history[state.best_epoch]
            better = row.get("valid_loss", math.inf) < best.get("valid_loss", -math.inf)
        if better:
            state.best, state.best_epoch = value, state.epoch
        self.schedule.end_epoch(value)
        state.history.append(row)
        state.epoch, state.batch, state.tally = state.epoch + 1, 0, Tally()
        stale = options.patience and state.epoch - 1 - state.best_epoch >= options.patience
        state.finished = state.epoch >= options.epochs or bool(stale)
        if self.accelerator.is_main_process:
            self.run.listener.epoch_done(state, row, self.judged, better)
        if better or state.finished or self._save_is_due():  # an epoch may be shorter than writing its state
            self._save()

    def _row(self, figures: Mapping[str, float]) -> EpochRow:
        tallies = [self.state.tally]
        if self.accelerator.num_processes > 1:
            tallies = gather_object(tallies)
            for broken in gather_object([self.state.broken]):
                self.state.broken.update(broken)
        clips = max(sum(t.clips for t in tallies), 1)
        time_s = max(1e-9, *(t.time_s for t in tallies))
        hits = sum(t.hits for t in tallies) / clips
        return {
            "epoch": self.state.epoch + 1,
            "lr": self.schedule.rate(max(self.state.step - 1, 0)),
            "train_loss": sum(t.loss for t in tallies) / clips,
            **({} if math.isnan(hits) else {"train_clip_hit_at_1": hits}),
            **figures,
            "clips_per_s": clips / time_s,
            "waiting_share": max(t.wait_s for t in tallies) / time_s,
            "time_s": time_s,
        }

    # the state

    def _save(self) -> None:
        own = [{"generator": torch.get_rng_state(), "tally": asdict(self.state.tally), "broken": self.state.broken}]
        if self.accelerator.num_processes > 1:
            own = gather_object(own)
        if self.accelerator.is_main_process:
            parts = {
                "network": self.network.state_dict(),
                "average": None if self.average is None else self.average.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "schedule": self.schedule.state(),
                "scaler": self.scaler.state_dict(),
                "processes": own,
                "cuda_generators": torch.cuda.get_rng_state_all() if self.device.type == "cuda" else [],
            }
            save_state(self.run.state_path, self.state, parts)
        self.accelerator.wait_for_everyone()
        self.saved_at = time.monotonic()

    def _restore(self) -> None:
        self.state, parts = load_state(self.run.state_path)
        try:
            self._restore_parts(parts)
        except (AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
            what = f"the saved state is not of this run ({type(error).__name__})"
            raise CheckpointError(what, self.run.state_path, "start again with another --out") from error
        if self.state.finished:
            log.info("nothing to resume: all %d epochs are done", self.state.epoch)
        else:
            log.info("resumed at epoch %d, batch %d", self.state.epoch + 1, self.state.batch)

    def _restore_parts(self, parts: Mapping[str, Any]) -> None:
        self.network.load_state_dict(parts["network"])
        if self.average is not None and parts["average"] is not None:
            self.average.load_state_dict(parts["average"])
        self.optimizer.load_state_dict(parts["optimizer"])
        self.schedule.restore(parts["schedule"])
        if self.scaler.is_enabled():
            self.scaler.load_state_dict(parts["scaler"])
        if (started := len(parts["processes"])) != self.accelerator.num_processes:
            do = f"resume with as many, not {self.accelerator.num_processes}"
            raise CheckpointError(f"the run was started with {started} processes", self.run.state_path, do)
        own = parts["processes"][self.accelerator.process_index]
        torch.set_rng_state(own["generator"])
        self.state.tally, self.state.broken = Tally(**own["tally"]), own["broken"]
        if parts["cuda_generators"]:
            torch.cuda.set_rng_state_all(parts["cuda_generators"])
