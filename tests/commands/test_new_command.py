"""A command is one file in `kinema.commands` and one line in `cli.COMMANDS`, as CONTRIBUTING says."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import kinema

COMMAND = '''
"""`kinema count`: how many files there are."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from kinema.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class CountConfig:
    """Settings of a count."""

    most: int = 3
    """Files that are too many."""
    json: bool = False
    """Print one JSON document."""


def count(paths: Sequence[str], config: CountConfig = CountConfig()) -> int:
    """Count files.

    Examples:
        kinema count a.mp4 b.mp4

    Args:
        paths: any.
    """
    if len(paths) > config.most:
        raise UsageError("too many files", len(paths), "give --most")
    print(json.dumps({"count": len(paths)}) if config.json else len(paths))
    return 0
'''


def test_a_new_command_is_one_file_and_one_line(tmp_path):
    package = tmp_path / "kinema"
    shutil.copytree(Path(kinema.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    (package / "commands/count.py").write_text(COMMAND)
    cli = package / "cli.py"
    line = '    "count": Command("Use", "Count files."),\n'
    cli.write_text(cli.read_text().replace("COMMANDS = {\n", f"COMMANDS = {{\n{line}", 1))

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "PYTHONPATH": str(tmp_path), "COLUMNS": "100"}
        command = [sys.executable, "-m", "kinema", *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True)

    assert any(line.split()[1:4] == ["count", "Count", "files."] for line in run("--help").stdout.splitlines())
    help_text = run("count", "--help").stdout
    assert all(text in help_text for text in ("kinema count a.mp4", "--most", "Files that are too many.", "--config"))
    assert json.loads(run("count", "a", "b", "--json").stdout) == {"count": 2}
    refused = run("count", *"abcd")
    assert (refused.returncode, refused.stderr) == (2, "kinema: too many files: 4: give --most\n")
    (tmp_path / "settings.toml").write_text("most = 9\n")
    assert run("count", *"abcd", "--config", str(tmp_path / "settings.toml")).stdout == "4\n"
