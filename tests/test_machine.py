import mmap
import os
import platform
import subprocess
import sys

import pytest

from kinema.machine import cache_folder, peak_memory_mib, worker_count


def test_the_most_memory_held_grows_with_what_is_held():
    before = peak_memory_mib()
    if before is None:
        pytest.skip("this system does not tell")
    block = b"x" * (200 << 20)
    assert peak_memory_mib() >= before
    assert peak_memory_mib() > len(block) / 2**20


FRESH_PAGES = """
import resource
from kinema.machine import keep_freed_memory

def fresh_pages():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        block = b"x" * (64 << 20)
        del block
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

fresh_pages()
print(keep_freed_memory(), fresh_pages())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc gives large blocks back at once")
@pytest.mark.parametrize("setting", ["", "MALLOC_PERTURB_", "GLIBC_TUNABLES"])
def test_freed_memory_is_kept_unless_the_environment_says_how(setting: str):
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("MALLOC_", "GLIBC_TUNABLES"))}
    command = [sys.executable, "-c", FRESH_PAGES]
    done = subprocess.run(
        command, env=environment | ({setting: ""} if setting else {}), capture_output=True, text=True, check=True
    )
    kept, pages = done.stdout.split()
    assert kept == str(not setting)
    if kept == "True":  # one block's pages at most, not ten
        assert int(pages) < 2 * (64 << 20) / mmap.PAGESIZE


def test_workers_are_the_requested_ones_or_leave_a_core_free(monkeypatch):
    monkeypatch.setattr("kinema.machine.num_cores", lambda: 4)
    assert [worker_count(requested) for requested in (0, 9, None)] == [0, 9, 3]
    monkeypatch.setattr("kinema.machine.num_cores", lambda: 64)
    assert worker_count(None) == 8
    monkeypatch.setattr("kinema.machine.num_cores", lambda: 1)
    assert worker_count(None) == 1


def test_the_cache_folder_can_be_chosen(monkeypatch, tmp_path):
    monkeypatch.setenv("KINEMA_HOME", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.delenv("KINEMA_HOME")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "kinema"
