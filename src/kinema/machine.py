"""What this machine has to offer."""

from __future__ import annotations

import os
import platform
from pathlib import Path

_MOST_WORKERS = 8

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""The C library's numbers of what `mallopt` sets (malloc.h)."""

_KEPT = (2**30, 2**25)
"""Bytes from which freed memory goes back to the system; where the first is refused (glibc before 2.35), the second."""


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


def tune_process() -> None:
    """Set up this process for inference and training on a CPU; the `kinema` command and its workers call this themselves.

    It makes two settings that hold for the whole process, so that importing kinema makes neither. A notebook or a server
    calls it once, before torch is imported:

    - OpenMP's threads sleep while they wait for each other (`OMP_WAIT_POLICY=PASSIVE`, unless it is set already). By default
      they spin and take the cores from the decoders: with a second busy process on two cores, a forward pass of
      MobileNetV2 took 2.2 s, and 0.4 s with sleeping threads. torch reads the variable when it is first imported.
    - The C library keeps freed memory, see `keep_freed_memory`.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    keep_freed_memory()


def keep_freed_memory() -> bool:
    """Let the C library keep up to a gigabyte of what was freed, for what comes next; says whether it does.

    It otherwise gives every large block back to the system at once, and the next one comes as fresh pages, which are zeroed
    one by one when they are first touched. The outputs of convolutions are such blocks: on a CPU, torch spends a tenth to a
    third of its time on that (`benchmarks/kept_memory.py`). Only glibc does so, and only where nobody has set its
    `MALLOC_…` variables or `GLIBC_TUNABLES` already.
    """
    if platform.libc_ver()[0] != "glibc" or any(name.startswith(("MALLOC_", "GLIBC_TUNABLES")) for name in os.environ):
        return False
    import ctypes

    mallopt = ctypes.CDLL(None).mallopt
    return any(mallopt(_MMAP_THRESHOLD, size) and mallopt(_TRIM_THRESHOLD, size) for size in _KEPT)


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
