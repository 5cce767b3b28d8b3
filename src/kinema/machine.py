"""The machine and the process: cores, cache folder, memory, processor, process-wide settings."""

from __future__ import annotations

import os
import platform
from pathlib import Path

_MAX_WORKERS = 8

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""Parameters of `mallopt` (malloc.h)."""

_THRESHOLDS_BYTES = (2**30, 2**25)
"""Freed memory of more bytes goes back to the system; the second value is for glibc before 2.35, which refuses the first."""


def num_cores() -> int:
    """Number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def worker_count(requested: int | None) -> int:
    """Number of decoding processes: the requested one, else one for each core but one, at most 8."""
    return requested if requested is not None else max(1, min(num_cores() - 1, _MAX_WORKERS))


def cache_folder() -> Path:
    """The folder of downloads and other reproducible files: $KINEMA_HOME, else ~/.cache/kinema."""
    home = os.environ.get("KINEMA_HOME")
    return Path(home) if home else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kinema"


def tune_process() -> None:
    """Set up this process for inference and training on a CPU; the `kinema` command and its workers call this themselves.

    Both settings affect the whole process, so importing kinema makes neither. A notebook or a server calls this once, before
    torch is imported:

    - OpenMP's threads sleep while they wait for each other (`OMP_WAIT_POLICY=PASSIVE`, unless it is set already). By default
      they spin and take the cores from the decoders: with a second busy process on two cores, a forward pass of
      MobileNetV2 took 2.2 s, and 0.4 s with sleeping threads. torch reads the variable when it is first imported.
    - The C library keeps freed memory, see `keep_freed_memory`.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    keep_freed_memory()


def keep_freed_memory() -> bool:
    """Let the C library reuse up to a gigabyte of freed memory; returns whether it does.

    By default glibc returns every large block to the system when it is freed, and the next block consists of new pages, each of
    which the system zeroes at its first access. The outputs of convolutions are such blocks: on a CPU, torch spends a tenth
    to a third of its time on this (`benchmarks/kept_memory.py`). Does nothing without glibc, or if its `MALLOC_…` variables
    or `GLIBC_TUNABLES` are set.
    """
    if platform.libc_ver()[0] != "glibc" or any(name.startswith(("MALLOC_", "GLIBC_TUNABLES")) for name in os.environ):
        return False
    import ctypes

    mallopt = ctypes.CDLL(None).mallopt
    return any(mallopt(_MMAP_THRESHOLD, size) and mallopt(_TRIM_THRESHOLD, size) for size in _THRESHOLDS_BYTES)


def peak_memory_mib() -> float | None:
    """Peak memory of this process in MiB; None if the system does not report it.

    Linux reports it in /proc. `getrusage` would include the process from which this one was forked.
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
    """The name of the processor, as the system reports it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, "") or platform.processor() or platform.machine()
