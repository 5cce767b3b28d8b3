"""Choose the engine of a network; the engines themselves are in `kinema.engines.backends`.

If an engine cannot run a network, torch computes instead and the log says why.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from kinema.choices import ENGINES
from kinema.engines.engine import find_engine, requested_engine
from kinema.engines.scorer import Scorer
from kinema.errors import KinemaError

if TYPE_CHECKING:
    from kinema.engines.options import EngineOptions
    from kinema.engines.scorer import ClipScorer
    from kinema.models.network import Network
    from kinema.weights.checkpoint import ModelCard

log = logging.getLogger("kinema")


def open_scorer(network: Network, card: ModelCard, options: EngineOptions) -> ClipScorer:
    """Prepare a network for scoring clips.

    Args:
        network: in evaluation mode.
        card: the network's task and labels.
        options: engine, device, precision and batch size.

    Raises:
        UsageError: there is no such engine, device or precision, or they do not go together.
        MissingExtra: the package of the requested engine is not installed.
    """
    engine = requested_engine(options)
    device = "cpu" if engine and engine.cpu_only else options.device
    scorer = Scorer(network, task=card.task, device=device, precision=options.precision, batch_size=options.batch_size)
    if engine is None:
        engine = find_engine(usual_engine() if scorer.device.type == "cpu" else "torch")
    torch = find_engine("torch")
    if engine is not torch:
        try:
            return engine.open(scorer, card)
        except (KinemaError, RuntimeError) as error:
            log.warning("engine: torch, not %s; %s", engine.title, error)
    return torch.open(scorer, card)


def usual_engine() -> str:
    """The engine that "auto" stands for on a CPU: the installed one with the lowest priority number."""
    engines = {name: find_engine(name) for name in ENGINES if name != "auto"}
    places = sorted((engine.priority, name) for name, engine in engines.items() if engine.priority is not None)
    for _, name in places:
        if engines[name].is_installed():
            return name
        log.debug("engine: not %s, which is not installed (pip install 'kinema[%s]')", engines[name].title, name)
    raise AssertionError("torch needs no other package")
