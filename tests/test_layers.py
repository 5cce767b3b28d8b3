"""The structure of the package: no import circles, wherever an import stands, and tests that are found by a module's name."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "src" / "kinema"
Graph = dict[str, set[str]]


def module_name(path: Path, package: Path) -> str:
    parts = [package.name, *path.relative_to(package).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(tree: ast.AST, module: str, known: set[str]) -> Iterator[str]:
    """Modules of the package that a module imports anywhere in its text."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                base = ".".join([*module.split(".")[: -node.level], *([base] if base else [])])
            for alias in node.names:
                full = f"{base}.{alias.name}"
                yield from (name for name in (full if full in known else base,) if name in known)


def import_graph(package: Path) -> Graph:
    paths = {module_name(path, package): path for path in package.rglob("*.py")}
    known = set(paths)
    return {
        name: set(imports_of(ast.parse(path.read_text(encoding="utf-8")), name, known)) - {name}
        for name, path in paths.items()
    }


def reachable(graph: Graph, start: str) -> set[str]:
    found, waiting = set[str](), [*graph[start]]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += graph[name]
    return found


def circles(graph: Graph) -> list[list[str]]:
    """Groups of modules that import each other, directly or through others."""
    below = {name: reachable(graph, name) for name in graph}
    groups = {tuple(sorted(b for b in below[a] if a in below[b])) for a in graph if a in below[a]}
    return [list(group) for group in sorted(groups)]


def test_no_module_imports_itself_through_others() -> None:
    found = circles(import_graph(PACKAGE))
    assert not found, "\n".join("import circle: " + ", ".join(group) for group in found)


def test_a_circle_is_found_wherever_its_imports_stand(tmp_path: Path) -> None:
    package = tmp_path / "house"
    (package / "inner").mkdir(parents=True)
    for folder in (package, package / "inner"):
        (folder / "__init__.py").touch()
    (package / "top.py").write_text("from house.inner import low\n")
    (package / "inner" / "low.py").write_text("def lazy():\n    from house import middle\n")
    (package / "middle.py").write_text(
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from .top import Name\n"
    )
    (package / "alone.py").write_text("import house.top\n")
    assert circles(import_graph(package)) == [["house.inner.low", "house.middle", "house.top"]]


WITHOUT_TESTS = {"models/variant.py"}
"""Modules that only define records, without a line that a test of their own could reach."""


def test_each_module_has_tests_of_its_name() -> None:
    modules = [path.relative_to(PACKAGE) for path in sorted(PACKAGE.rglob("*.py")) if not path.name.startswith("__")]
    tests = Path(__file__).parent
    missing = {str(module) for module in modules if not (tests / module.parent / f"test_{module.name}").is_file()}
    assert missing == WITHOUT_TESTS
