"""An engine, which computes a network, as one protocol. Each module in `kinema.engines.backends` is one and holds it as `ENGINE`.

A new engine is a new module there and needs no other change. Its file name is the name that `--engine` takes.
"""

from __future__ import annotations

import importlib
import importlib.util
from typing import TYPE_CHECKING, Protocol

from kinema.choices import ENGINES, REMOVED_ENGINES
from kinema.errors import MissingExtra, UnknownName, UsageError

if TYPE_CHECKING:
    from kinema.engines.options import EngineOptions
    from kinema.engines.scorer import ClipScorer, Scorer
    from kinema.weights.checkpoint import ModelCard


class Engine(Protocol):
    """What computes a network. An engine inherits from this class and defines what differs from the defaults here."""

    title: str
    """Its name in messages."""

    cpu_only: bool = True
    """Whether it runs on the CPU only."""

    priority: int | None = None
    """`auto` takes the installed engine with the lowest number on a CPU; None: only on request."""

    package: str = ""
    """Python package that it needs, which the extra of the engine's name installs; "" for none."""

    def open(self, scorer: Scorer, card: ModelCard) -> ClipScorer:
        """Prepare a network for scoring clips.

        Args:
            scorer: the network in torch, with the resolved device, precision and batch size.
            card: the network's task and labels.

        Raises:
            OutputError: this network cannot run in this engine; torch then computes it, and the log says why.
            RuntimeError: likewise.
        """
        ...

    def is_installed(self) -> bool:
        """Whether the engine's package is installed."""
        return not self.package or importlib.util.find_spec(self.package) is not None


def find_engine(name: str) -> Engine:
    """The engine of that name, which is not "auto".

    Raises:
        UnknownName: there is none.
    """
    if name not in ENGINES:
        raise UnknownName("engine", name, ENGINES, REMOVED_ENGINES.get(name, ""))
    engine: Engine = importlib.import_module(f"kinema.engines.backends.{name}").ENGINE
    return engine


def requested_engine(options: EngineOptions) -> Engine | None:
    """The engine that a user has named; None for "auto".

    Raises:
        UnknownName: there is none of that name.
        UsageError: it does not run on the requested device.
        MissingExtra: its package is not installed.
    """
    if options.engine == "auto":
        return None
    engine = find_engine(options.engine)
    if engine.cpu_only and options.device not in ("auto", "cpu"):
        do = "give --device cpu or --engine torch"
        raise UsageError(f"{engine.title} runs on the CPU here", f"--device {options.device}", do)
    if not engine.is_installed():
        raise MissingExtra(f"networks in {engine.title}", engine.package, options.engine)
    return engine
