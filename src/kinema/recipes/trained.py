"""Opening what `--model` or `--init` names, with a bar for the download of published weights."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from kinema.recipes.terminal import bar_columns, plain_console

if TYPE_CHECKING:
    from kinema.models.checkpoint import ModelCard
    from kinema.models.network import Network

log = logging.getLogger("kinema")


def open_trained(model: str) -> tuple[Network, ModelCard]:
    """The network of a checkpoint folder, a run folder or published weights, in evaluation mode, and its card.

    Raises:
        CheckpointError: there is nothing of that name, or it cannot be used.
        DownloadError: published weights cannot be fetched.
    """
    from kinema.models.trained import load_trained

    with download_bar(model) as progress:
        return load_trained(model, progress)


@contextmanager
def download_bar(name: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on standard error once a download begins; a line where that is no terminal. Gives what moves it on."""
    from rich.progress import DownloadColumn, Progress, TimeRemainingColumn

    console = plain_console(stderr=True)
    columns = bar_columns(DownloadColumn(), TimeRemainingColumn())
    with ExitStack() as stack:
        bar: Progress | None = None

        def move(done: int, total: int) -> None:
            nonlocal bar
            if bar is None:
                if not console.is_terminal:
                    log.info("downloading the weights of %s%s", name, f" ({total / 1e6:.0f} MB)" if total else "")
                bar = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
                stack.enter_context(bar).add_task(f"downloading {name}")
            bar.update(bar.task_ids[0], completed=done, total=total or None)

        yield move
