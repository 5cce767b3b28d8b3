"""The Sphinx directive `command`: the output of `kinema NAME --help`, from the same source, as part of a page.

```{command} predict
```
"""

from __future__ import annotations

import re
from typing import Any, ClassVar

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from kinema.cli import build_app, command_function, examples_of


def describe(name: str) -> str:
    """Usage, description, flags by heading and examples of a command, as Markdown."""
    text = build_app()[name].generate_docs()
    text = text.partition("\n")[2]  # the heading: the page has its own
    text = re.sub(r"^(```console\n)", r"```text\nkinema ", text, count=1, flags=re.MULTILINE)
    text = re.sub(r", --(no|empty)-[\w-]+", "", text)  # cyclopts lists negatives that the command does not take
    text = re.sub(r"\n {2,}(?=\S)", " ", text)
    _, heading, examples = examples_of(command_function(name)).partition("Examples:\n\n")
    lines = "\n".join(line.strip() for line in examples.splitlines())
    return f"{text}\n\n**Examples**:\n\n```text\n{lines}\n```\n" if heading else text


class Command(SphinxDirective):
    """Takes the name of a command."""

    required_arguments: ClassVar[int] = 1

    def run(self) -> list[nodes.Node]:
        """The nodes of the command's help."""
        return self.parse_text_to_nodes(describe(self.arguments[0]))


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive."""
    app.add_directive("command", Command)
    return {"parallel_read_safe": True}
