"""What `import kinema` gives, and what it leaves alone."""

from __future__ import annotations

import os
import subprocess
import sys

import kinema

SPY = """
import ctypes, os, sys

asked = []
real = ctypes.CDLL

class Spy(real):
    def __getattr__(self, name):
        asked.append(name)
        return super().__getattr__(name)

ctypes.CDLL = Spy
before = dict(os.environ)
import kinema
assert dict(os.environ) == before, set(os.environ.items()) ^ set(before.items())
assert "torch" not in sys.modules
for name in kinema.__all__:
    getattr(kinema, name)
assert "OMP_WAIT_POLICY" not in os.environ
assert "mallopt" not in asked
kinema.tune_process()
assert os.environ["OMP_WAIT_POLICY"] == "PASSIVE"
print(*asked)
"""


def test_importing_changes_nothing_in_the_process_and_tune_process_does():
    wanted = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "MALLOC_", "GLIBC_"))}
    done = subprocess.run([sys.executable, "-c", SPY], env=wanted, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    if sys.platform == "linux" and os.confstr("CS_GNU_LIBC_VERSION"):
        assert "mallopt" in done.stdout.split()


def test_dir_lists_the_public_names_and_nothing_else():
    assert dir(kinema) == sorted(kinema.__all__)
    assert all(getattr(kinema, name) is not None for name in dir(kinema))
    assert len(set(dir(kinema))) == len(dir(kinema))
