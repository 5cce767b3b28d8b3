"""Downloads of other libraries from a hub that may give no answer.

timm, torchvision and transformers ask a silent server again and again, for minutes. So the server is asked once before, and
without an answer they may only use what is cached already.
"""

from __future__ import annotations

import queue
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

ANSWER_S = 6.0
"""Seconds after which a server counts as silent; an error then comes within 10 s."""


@contextmanager
def cached_if_silent() -> Iterator[str]:
    """Let the client of the Hugging Face hub use cached files alone in this block if the hub gives no answer in time.

    Yields:
        The reason, or an empty text if the hub answers.
    """
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    reason = "" if before else silence(constants.ENDPOINT)
    constants.HF_HUB_OFFLINE = before or bool(reason)
    try:
        yield reason or ("HF_HUB_OFFLINE is set" if before else "")
    finally:
        constants.HF_HUB_OFFLINE = before


def silence(url: str) -> str:
    """Ask a server once: the reason why it gives no answer, or an empty text. An error page is an answer."""
    answers: queue.SimpleQueue[str] = queue.SimpleQueue()

    def ask() -> None:  # in a thread, because the look-up of a name knows no timeout
        try:
            urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=ANSWER_S).close()
            answers.put("")
        except urllib.error.HTTPError as error:
            error.close()
            answers.put("")
        except (OSError, ValueError) as error:
            answers.put(f"{url}: {getattr(error, 'reason', None) or error}")

    threading.Thread(target=ask, daemon=True).start()
    try:
        return answers.get(timeout=ANSWER_S)
    except queue.Empty:
        return f"{url} gave no answer within {ANSWER_S:.0f} s"
