"""C files are compiled once, and errors of compilers are quoted."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from kinema.engines.winograd import native
from kinema.errors import OutputError

pytestmark = pytest.mark.usefixtures("compiled")


@pytest.fixture
def compiler(tmp_path, monkeypatch) -> Callable[..., Path]:
    """Gives a compiler that notes what it is called with, after some commands of its own; and an empty cache."""
    if os.name == "nt":
        pytest.skip("a script of the shell stands in for the compiler")
    true = native._compiler()[0]
    monkeypatch.setenv("KINEMA_HOME", str(tmp_path / "home"))

    def make_compiler(commands: str = "") -> Path:
        path, notes = tmp_path / "compiler", tmp_path / "notes"
        path.write_text(f'#!/bin/sh\necho "$@" >> "{notes}"\n{commands}\nexec "{true}" "$@"\n')
        path.chmod(0o755)
        monkeypatch.setenv("CC", str(path))
        return notes

    return make_compiler


def compilations(notes: Path) -> list[str]:
    return [line for line in notes.read_text().splitlines() if " -o " in line]


def kept(folder: Path) -> Path:
    (library,) = (folder / "home" / "native").glob("*.so")
    return library


def test_the_c_file_is_compiled_once(compiler: Callable[..., Path], tmp_path: Path):
    notes = compiler()
    native.load_native("winograd.c")
    native.load_native("winograd.c")
    code = "import sys; from kinema.engines.winograd.native import load_native; load_native('winograd.c'); "
    code += "print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "False\n"
    assert len(compilations(notes)) == 1
    assert kept(tmp_path)


def test_another_compiler_or_processor_compiles_it_anew(compiler: Callable[..., Path], monkeypatch):
    notes = compiler()
    native.load_native("winograd.c")
    monkeypatch.setattr(native, "processor", lambda: "another one")
    native.load_native("winograd.c")
    compiler('case "$*" in *-dM*) echo "#define NEWER 1"; exit 0;; esac')
    native.load_native("winograd.c")
    assert len(compilations(notes)) == 3


@pytest.mark.parametrize("what", ["library", "checksum"])
def test_a_damaged_library_is_compiled_again(what: str, compiler: Callable[..., Path], tmp_path: Path, caplog):
    notes = compiler()
    native.load_native("winograd.c")
    damaged = kept(tmp_path).with_suffix({"library": ".so", "checksum": ".sha256"}[what])
    content = damaged.read_bytes()
    damaged.unlink()  # what is loaded is another file, and stays whole
    damaged.write_bytes(content[: len(content) // 2] + b"\xff")
    native.load_native("winograd.c").winograd_data  # noqa: B018
    assert len(compilations(notes)) == 2
    assert "damaged; it is compiled again" in caplog.text


def test_a_library_without_its_checksum_is_compiled_again(compiler: Callable[..., Path], tmp_path: Path):
    notes = compiler()
    native.load_native("winograd.c")
    kept(tmp_path).with_suffix(".sha256").unlink()
    native.load_native("winograd.c")
    assert len(compilations(notes)) == 2


def test_without_a_compiler_the_error_names_the_reason(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("KINEMA_HOME", str(tmp_path))
    monkeypatch.setenv("CC", "no-such-compiler -m64")
    with pytest.raises(OutputError, match="no such C compiler: CC=no-such-compiler: install gcc or clang"):
        native.load_native("winograd.c")
    monkeypatch.delenv("CC")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(OutputError, match="no C compiler"):
        native.load_native("winograd.c")


def test_a_compiler_that_fails_is_quoted(compiler: Callable[..., Path], tmp_path: Path):
    compiler('echo "the licence has expired" >&2; echo "more" >&2; exit 3')
    with pytest.raises(OutputError, match=r"the C compiler failed: .*compiler: the licence has expired$"):
        native.load_native("winograd.c")
    compiler('case "$*" in *" -o "*) exit 3;; esac')
    with pytest.raises(OutputError, match=r"exit status 3"):
        native.load_native("winograd.c")
    assert not list((tmp_path / "home" / "native").glob("*.so"))


def test_a_library_that_cannot_be_loaded_or_written_is_an_error(compiler: Callable[..., Path], tmp_path: Path):
    compiler('case "$*" in *" -o "*) while [ "$1" != -o ]; do shift; done; echo no library > "$2"; exit 0;; esac')
    with pytest.raises(OutputError, match="cannot load what was compiled"):
        native.load_native("winograd.c")
    (tmp_path / "home" / "native").rename(tmp_path / "elsewhere")
    (tmp_path / "home" / "native").write_text("a file in its place")
    with pytest.raises(OutputError, match="cannot write"):
        native.load_native("winograd.c")


def test_windows_is_an_error_of_its_own(monkeypatch):
    monkeypatch.setattr(native, "_WINDOWS", True)
    with pytest.raises(OutputError, match="not compiled on Windows"):
        native.load_native("winograd.c")
