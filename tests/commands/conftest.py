"""What tests of commands share: trained networks on frames and on optical flow, and what a command prints."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from kinema import cli

TINY = ["--epochs", "1", "--size", "32", "--batch-size", "8", "--workers", "0", "--precision", "f32"]
NARROW = ["--model-args", "width=8", "depths=[1,1]"]


@pytest.fixture(scope="session")
def train_flow(films: Path) -> Callable[..., Path]:
    """Trains a narrow network on the optical flow of three frames."""

    def train(out: Path, model: str, *more: str) -> Path:
        command = ["train", str(films), "--model", model, "--out", str(out), "--clip-len", "3", *TINY, *NARROW, *more]
        assert cli.run(command) == 0
        return out

    return train


@pytest.fixture(scope="session")
def flow_run(train_flow, tmp_path_factory) -> Path:
    return train_flow(tmp_path_factory.mktemp("runs") / "flow", "temporal_stream_small")


@pytest.fixture(scope="session")
def frame_run(films, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "rgb"
    assert cli.run(["train", str(films), "--model", "single_frame_small", "--out", str(out), *TINY, *NARROW]) == 0
    return out


@pytest.fixture
def run_json(capsys) -> Callable[..., tuple[int, dict]]:
    """Runs a command with --json; gives its exit status and its document."""

    def run(*arguments: str) -> tuple[int, dict]:
        capsys.readouterr()
        status = cli.run([*arguments, "--json"])
        return status, json.loads(capsys.readouterr().out)

    return run


@pytest.fixture
def fails(capsys) -> Callable[..., tuple[int, str]]:
    """Runs a command; gives its exit status and what it prints on standard error."""

    def run(*arguments: str) -> tuple[int, str]:
        capsys.readouterr()
        return cli.run(list(arguments)), capsys.readouterr().err

    return run
