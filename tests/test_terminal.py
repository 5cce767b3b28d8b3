"""What a person sees on a terminal: commands run in a pseudo-terminal, and its screen is drawn from the raw output."""

from __future__ import annotations

import os
import re
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from kinema.datasets.synthetic import write_motion_set

pty = pytest.importorskip("pty", reason="pseudo-terminals exist on Unix only")

FAST = ["--batch-size", "8", "--workers", "0", "--precision", "f32"]
RUN = "import sys, json; from kinema import cli; [cli.run(words) for words in json.loads(sys.argv[1])]"
BAR = "━"


def screen_of(raw: str) -> list[str]:
    """The lines on an endless screen; of the control sequences, those that move the cursor and erase lines count."""
    lines, row, column = [""], 0, 0
    for token in re.findall(r"\x1b\[[0-9;?]*[A-Za-z]|\r|\n|[^\x1b\r\n]+", raw):
        if token == "\r":
            column = 0
        elif token == "\n":
            row += 1
            lines += [""] * (row + 1 - len(lines))
        elif token.startswith("\x1b"):
            if token.endswith("K"):
                lines[row] = ""
            elif token.endswith("A"):
                row -= int(token[2:-1] or 1)
        else:
            line = lines[row].ljust(column)
            lines[row] = line[:column] + token + line[column + len(token) :]
            column += len(token)
    return [line.rstrip() for line in lines]


def run_in_terminal(width: int, commands: list[list[str]], folder: Path, stdout: Path | None = None) -> str:
    """The raw output of commands in a terminal of that width; with `stdout`, standard output goes to that file."""
    import fcntl
    import json
    import termios

    terminal, program_end = pty.openpty()
    fcntl.ioctl(program_end, termios.TIOCSWINSZ, struct.pack("HHHH", 50, width, 0, 0))
    environment = {**os.environ, "TERM": "xterm", "OMP_NUM_THREADS": "1"}
    for name in ("COLUMNS", "LINES", "NO_COLOR", "CI"):
        environment.pop(name, None)
    with open(stdout or os.devnull, "wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-c", RUN, json.dumps(commands)], stdin=program_end, stderr=program_end, cwd=folder,
            stdout=file if stdout else program_end, env=environment,
        )  # fmt: skip
    os.close(program_end)
    raw = b""
    while True:
        try:
            part = os.read(terminal, 65536)
        except OSError:  # Linux's end of a terminal whose program has ended
            break
        if not part:
            break
        raw += part
    os.close(terminal)
    assert process.wait() == 0, raw.decode()
    return raw.decode()


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    home = tmp_path_factory.mktemp("terminal")
    write_motion_set(home / "videos", 2, 1)
    return home


TRAIN = ["train", "videos", "--model", "slow_fusion_tiny", "--out", "runs/a", "--epochs", "2", "--size", "32", *FAST]
JUDGE = [
    ["evaluate", "runs/a", "runs/a/split.csv", *FAST],
    ["compare", "runs/a/split.csv", "--checkpoints", "runs/a", "runs/a/last", "--clips", "1", *FAST],
]


@pytest.fixture(scope="module")
def narrow(folder) -> str:
    """What a training, an evaluation and a comparison write on a terminal of 80 columns."""
    return run_in_terminal(80, [TRAIN, *JUDGE], folder)


def check_lines(raw: str, width: int, *starts: str) -> None:
    lines = screen_of(raw)
    assert BAR in raw
    assert not [line for line in lines if BAR in line], "bars are erased"
    assert not [line for line in lines if len(line) > width and not line.startswith("  kinema ")], "commands stay whole"
    missing = [start for start in starts if not any(line.startswith(start) for line in lines)]
    assert not missing, lines


def test_results_and_bars_share_no_line_and_lines_fit_80_columns(narrow):
    check_lines(
        narrow,
        80,
        "  epoch 2/2  loss ",
        "runs/a: video hit@1 ",
        "  kinema evaluate runs/a/best runs/a/split.csv --split valid",
        "  kinema predict videos/valid/clockwise/",
        "slow_fusion_tiny on 8 videos",
        "largest class ",
        "Best: ",
        "  report: runs/compare-1/report.html",
    )


def test_a_wide_terminal_has_whole_sentences(narrow, folder):
    raw = run_in_terminal(120, JUDGE, folder)
    check_lines(
        raw, 120, "Largest class: always naming 'clockwise', the most frequent class of the training part. Chance:"
    )


def test_results_in_a_file_are_whole_and_the_bar_stays_on_the_terminal(narrow, folder):
    out = folder / "answers.jsonl"
    raw = run_in_terminal(80, [["predict", "videos/valid", "--model", "runs/a", "--json"]], folder, stdout=out)
    assert BAR in raw
    assert '"top"' not in raw
    lines = out.read_text().splitlines()
    assert len(lines) == 8
    assert all(line.startswith("{") and line.endswith("}") for line in lines)
    assert "\x1b" not in out.read_text()
