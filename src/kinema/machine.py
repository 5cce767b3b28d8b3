"""What this machine has to offer."""

from __future__ import annotations

import os
import platform
from pathlib import Path

_MOST_WORKERS = 8


def num_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def worker_count(wanted: int | None) -> int:
    """Processes that decode: as asked for, else one for each core but one, at most 8."""
    return wanted if wanted is not None else max(1, min(num_cores() - 1, _MOST_WORKERS))


def cache_folder() -> Path:
    """Where downloads and other things that can be made again are kept: $KINEMA_HOME, else ~/.cache/kinema."""
    home = os.environ.get("KINEMA_HOME")
    return Path(home) if home else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kinema"


def peak_memory_mib() -> float | None:
    """The most memory that this process has held so far, in MiB; None where the system does not tell.

    Linux keeps it for what a process is now. What `getrusage` says would hold the process it was forked from, too.
    """
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        pass
    try:
        import resource
    except ImportError:  # Windows
        return None
    unit = 2**20 if platform.system() == "Darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def processor() -> str:
    """The processor's name, as well as the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, "") or platform.processor() or platform.machine()
