"""What the other side of a benchmark gets: the C library's allocator as it is without kinema."""

from __future__ import annotations

import ctypes
import platform
from collections.abc import Iterator
from contextlib import contextmanager

from kinema.machine import keep_freed_memory

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3


@contextmanager
def usual_memory() -> Iterator[None]:
    """Inside the block glibc gives large blocks back at once, with the limits that it soon sets itself: 32 and 64 MiB.

    It starts lower and raises them whenever a large block is freed (mallopt(3), "dynamic mmap threshold").
    """
    if platform.libc_ver()[0] != "glibc":
        yield
        return
    libc = ctypes.CDLL(None)
    libc.mallopt(_MMAP_THRESHOLD, 32 << 20)
    libc.mallopt(_TRIM_THRESHOLD, 64 << 20)
    libc.malloc_trim(0)
    try:
        yield
    finally:
        keep_freed_memory()
