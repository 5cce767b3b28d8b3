"""A command is one file in `kinema.commands` and one line in `cli.COMMANDS`, as CONTRIBUTING says."""

from __future__ import annotations

import json

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


def test_a_new_command_is_one_file_and_one_line(package_copy, tmp_path):
    package, run = package_copy
    (package / "commands/count.py").write_text(COMMAND)
    cli = package / "cli.py"
    line = '    "count": Command("Use", "Count files."),\n'
    cli.write_text(cli.read_text().replace("COMMANDS = {\n", f"COMMANDS = {{\n{line}", 1))

    (tmp_path / "settings.toml").write_text("most = 9\n")
    listed, described, counted, refused, changed = run(
        ["--help"],
        ["count", "--help"],
        ["count", "a", "b", "--json"],
        ["count", *"abcd"],
        ["count", *"abcd", "--config", "settings.toml"],
    )
    assert any(line.split()[1:4] == ["count", "Count", "files."] for line in listed.out.splitlines())
    words = ("kinema count a.mp4", "--most", "Files that are too many.", "--config")
    assert all(text in described.out for text in words)
    assert json.loads(counted.out) == {"count": 2}
    assert (refused.status, refused.err) == (2, "kinema: too many files: 4: give --most\n")
    assert changed.out == "4\n"
