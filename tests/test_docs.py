"""What the documentation says is what the program does: commands parse, code runs, links lead somewhere, numbers are right."""

from __future__ import annotations

import importlib
import json
import re
import shlex
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytest

import kinema
from kinema import cli, errors

ROOT = Path(__file__).parents[1]
MAPS = [ROOT / "ARCHITECTURE.md", ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("docs/explained/**/*.md"))]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
OTHER_PROGRAMS = {"--nproc-per-node", "--num-processes", "--logdir", "--index-url"}

_FENCE = re.compile(r"(?:<!-- (?P<note>[\w: ]+) -->\n)?^```(?P<kind>\S*)[^\n]*\n(?P<text>.*?)^```$", re.M | re.S)
_LINK = re.compile(r"\]\((?!https?://|mailto:)([^)\s]*)\)")
_CODE_SPAN = re.compile(r"`([^`\n]+)`")


@dataclass(frozen=True)
class Block:
    page: Path
    kind: str
    note: str
    text: str
    line: int

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks_of(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    return [
        Block(page, found["kind"], found["note"] or "", found["text"], text.count("\n", 0, found.start("text")) + 1)
        for found in _FENCE.finditer(text)
    ]


def prose_of(page: Path) -> str:
    return _FENCE.sub("", page.read_text(encoding="utf-8"))


def commands_in(text: str) -> Iterator[list[str]]:
    """The arguments of each `kinema …` line, without what a shell would take."""
    for line in text.replace("\\\n", " ").splitlines():
        found = re.search(r"(?:^|\| |-m )kinema (?=[a-z])(.*)", line)
        if found is None:
            continue
        words = shlex.split(found[1], comments=True)
        ends = [place for place, word in enumerate(words) if word in ("|", ">", "&&", "2>")]
        yield words[: min(ends, default=len(words))]


BLOCKS = [block for page in PAGES for block in blocks_of(page)]
SHELL = [block for block in BLOCKS if block.kind == "" and list(commands_in(block.text))]
PYTHON = [block for block in BLOCKS if block.kind == "python"]
RUNNING = [block for block in PYTHON if block.note == "runs" or block.page.name == "README.md"]
SHAPES = {block.note.removeprefix("shape: "): block for block in BLOCKS if block.note.startswith("shape: ")}


def test_the_documentation_was_found():
    assert len(SHELL) > 30
    assert len(RUNNING) > 10
    assert set(SHAPES) == {"predict", "failure", "watch", "evaluate", "describe"}


# Commands


@pytest.fixture(scope="module")
def app() -> Any:
    return cli.build_app()


@pytest.mark.parametrize("block", SHELL, ids=str)
def test_every_command_line_parses(block: Block, app, tmp_path):
    for words in commands_in(block.text):
        arguments = _with_settings(words, block.page, tmp_path)
        app.config = tuple(cli.settings_from(arguments))
        _, bound, _ = app.parse_args(cli.dash_last(arguments), print_error=False, exit_on_error=False)
        assert bound.arguments or words[0] in ("demo", "models", "bench"), words


def _with_settings(words: list[str], page: Path, folder: Path) -> list[str]:
    """The command with its settings file in `folder`: the one that the page shows, or that of a run."""
    from kinema.commands.train import TrainConfig
    from kinema.runs.folder import to_toml

    if "--config" not in words:
        return words
    place = words.index("--config") + 1
    shown = [block.text for block in blocks_of(page) if block.kind == "toml"]
    of_a_run = to_toml(asdict(TrainConfig(model="slow_fusion_small")), {"data": "videos/"})
    (folder / "settings.toml").write_text(of_a_run if words[place].endswith("/config.toml") else shown[0])
    return [*words[:place], str(folder / "settings.toml"), *words[place + 1 :]]


def test_a_misspelt_flag_would_be_noticed(app):
    (words,) = commands_in("kinema train videos/ --model slow_fusion_small --epocs 3  # a comment")
    with pytest.raises(Exception, match="--epochs"):
        app.parse_args(words, print_error=False, exit_on_error=False)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_and_flags_in_the_text_exist(page: Path, app):
    flags = {
        name for command in cli.COMMANDS for a in app[command].assemble_argument_collection() for name in a.names[:1]
    }
    for span in _CODE_SPAN.findall(prose_of(page)):
        if span.startswith("kinema ") and re.match(r"[a-z]+$", span.split()[1]):
            assert span.split()[1] in cli.COMMANDS, span
        for flag in re.findall(r"(?<![\w-])--[a-z][\w-]*", span):
            assert flag in flags | OTHER_PROGRAMS | {"--help", "--version"}, span


def test_every_command_has_its_place_in_the_reference():
    text = (ROOT / "docs/reference/commands.md").read_text()
    assert re.findall(r"\{command\} (\w+)", text) == list(cli.COMMANDS)


# Python


@pytest.mark.parametrize("block", PYTHON, ids=str)
def test_python_code_compiles(block: Block):
    compile(block.text, str(block), "exec")


@pytest.fixture(scope="module")
def workplace(tmp_path_factory, motion_folder: Path, write_frames: Callable[..., Path]) -> Path:
    """What the examples talk of: videos/, films/, match.mp4, a run."""
    import numpy as np

    from kinema.video.synthetic import MOTIONS, draw_motion
    from kinema.weights.checkpoint import ModelCard, save_checkpoint

    place = tmp_path_factory.mktemp("workplace")
    shutil.copytree(motion_folder, place / "videos")
    frames = np.concatenate([draw_motion(label, np.random.default_rng(0)) for label in MOTIONS[:4]])
    write_frames(place / "match.mp4", frames)
    (place / "films").mkdir()
    shutil.copy(place / "match.mp4", place / "films" / "a.mp4")
    (place / "films" / "bad.mp4").write_text("no film")
    network = kinema.build("slow_fusion_tiny", num_classes=len(MOTIONS), spec={"window_s": 1.0})
    card = ModelCard.of(network, tuple(sorted(MOTIONS)))
    save_checkpoint(place / "runs/slow_fusion_small-1/best", network, card)
    return place


@pytest.mark.parametrize("block", RUNNING, ids=str)
def test_python_examples_run(block: Block, workplace: Path, monkeypatch):
    monkeypatch.chdir(workplace)
    exec(compile(block.text, str(block), "exec"), {"__name__": "example"})


@pytest.mark.parametrize("name", kinema.__all__)
def test_every_public_name_is_in_the_reference(name: str):
    text = (ROOT / "docs/reference/python.md").read_text() + (ROOT / "docs/reference/errors.md").read_text()
    assert re.search(rf"auto\w+:: kinema\.(\w+\.)?{name}\n", text), name


def test_every_error_is_in_the_reference():
    text = (ROOT / "docs/reference/errors.md").read_text()
    raised = [
        name for name, value in vars(errors).items() if isinstance(value, type) and value.__module__ == errors.__name__
    ]
    assert [name for name in raised if f"kinema.errors.{name}\n" not in text] == []


# JSON


def run_json(capsys, *arguments: str) -> Any:
    cli.run(list(arguments))
    return json.loads(capsys.readouterr().out.splitlines()[0])


def shape(value: Any) -> Any:
    """Keys all the way down; of a list, those of its first item. Names of classes and figures do not count."""
    if isinstance(value, dict):
        free = bool(value) and all(isinstance(v, dict | list) for v in value.values())
        return "by name" if free else {key: shape(item) for key, item in value.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value and isinstance(value[0], dict) else []
    return None


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("predict", ["predict", "match.mp4", "--model", "runs/slow_fusion_small-1"]),
        ("failure", ["predict", "films/bad.mp4", "--model", "runs/slow_fusion_small-1"]),
        ("watch", ["watch", "match.mp4", "--model", "runs/slow_fusion_small-1", "--seconds", "1"]),
        ("evaluate", ["evaluate", "runs/slow_fusion_small-1", "videos", "--split", "valid", "--workers", "0"]),
        ("describe", ["describe", "slow_fusion", "--frames", "10", "--size", "170x170"]),
    ],
)
def test_json_has_the_documented_shape(name: str, arguments: list[str], workplace: Path, monkeypatch, capsys):
    monkeypatch.chdir(workplace)
    assert shape(run_json(capsys, *arguments, "--json")) == shape(json.loads(SHAPES[name].text))


# Numbers


def rows_of(page: str) -> list[list[str]]:
    lines = (ROOT / "docs/models" / page).read_text().splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    rows = [[re.sub(r"\[?`(\w+)`.*", r"\1", row[0]), *row[1:]] for row in cells]
    return [row for row in rows if row[-2].endswith(" M")]


def near(text: str, value: float) -> bool:
    """Whether a printed number is the value, rounded to its digits."""
    digits = len(text.partition(".")[2])
    return abs(float(text) - value) <= 0.51 * 10**-digits


@pytest.mark.parametrize("share", [4, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    ("page", "num_classes", "unit", "input_axes"), [("index.md", None, 1e9, 4), ("small.md", 17, 1e6, 3)]
)
def test_tables_of_networks_hold_their_costs(
    page: str, num_classes: int | None, unit: float, input_axes: int, share: int
):
    """One network in `share`."""
    from kinema.inspection.summary import summarize
    from kinema.models import VARIANTS, build_without_weights
    from kinema.models import small as fusions

    rows = rows_of(page)
    small = [
        name
        for name in VARIANTS
        if name.endswith(("_small", "_tiny")) and (page != "small.md" or name in fusions.VARIANTS)
    ]
    assert {row[0] for row in rows} >= set(small)
    for name, *_, input, params, macs in rows[::share]:
        cost = summarize(build_without_weights(name, num_classes=num_classes))
        assert input == "x".join(map(str, cost.input[-input_axes:])), name
        assert near(params.removesuffix(" M"), cost.params / 1e6), (name, params, cost.params)
        assert near(macs, cost.macs / unit), (name, macs, cost.macs)


# Names in the code

_DOTTED = re.compile(r"(?<![\w./-])kinema(?:\.[A-Za-z_]\w*)+")
_RELATIVE = re.compile(r"`((?:[a-z_]\w*)(?:\.\w+)+)(?:\(\))?`")
_FILE = re.compile(r"`((?:\w+/)+(?:\w+\.(?:py|c))?)`|`(\w+\.py)`")
_CLASS = re.compile(r"(?<![\w-])[A-Z][a-z]+(?:[A-Z][a-z0-9]+)+(?!\w)")
_FILE_NAMES = ("toml", "json", "csv", "mp4", "xml", "onnx", "md")


def resolve(name: str) -> object:
    """What a dotted name stands for: a module, or what its module holds.

    Raises:
        ModuleNotFoundError: there is no such module.
        AttributeError: the module has nothing of that name.
    """
    found: object = importlib.import_module("kinema")
    parts = name.split(".")[1:]
    for number, part in enumerate(parts, start=2):
        if not hasattr(found, part) and hasattr(found, "__path__"):
            importlib.import_module(".".join(name.split(".")[:number]))
        found = getattr(found, part)
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_dotted_names_exist(page: Path):
    text = page.read_text(encoding="utf-8")
    if page.name == "CHANGELOG.md":  # it names what was moved, too
        text = "\n".join(line.partition(" -> ")[2] for line in text.splitlines() if " -> " in line)
    for name in set(_DOTTED.findall(text)):
        if name.rpartition(".")[2] not in _FILE_NAMES:
            resolve(name)


def test_names_on_the_way_of_a_clip_exist():
    names = _RELATIVE.findall(prose_of(ROOT / "docs/explained/clip_way.md"))
    assert len(names) > 50
    for name in names:
        if name.rpartition(".")[2] not in _FILE_NAMES:
            resolve(name if name.startswith("kinema.") else f"kinema.{name}")


def test_a_name_that_is_gone_would_be_noticed():
    with pytest.raises(ModuleNotFoundError):
        resolve("kinema.no_such_module")
    with pytest.raises(AttributeError):
        resolve("kinema.cli.no_such_function")


@pytest.mark.parametrize("page", MAPS, ids=lambda page: str(page.relative_to(ROOT)))
def test_files_and_folders_in_the_maps_and_explanations_exist(page: Path):
    for match in _FILE.finditer(prose_of(page)):
        path = match[1] or match[2]
        places = [ROOT, ROOT / "src/kinema", *(ROOT / "src/kinema").glob("*/"), *(ROOT / "src/kinema").glob("*/*/")]
        assert "/a/" in path or any((place / path).exists() for place in places), path


@pytest.mark.parametrize("page", MAPS, ids=lambda page: str(page.relative_to(ROOT)))
def test_classes_in_the_maps_and_explanations_exist(page: Path):
    sources = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "src/kinema").rglob("*.py"))
    defined = set(re.findall(r"^class (\w+)", sources, re.M))
    named = {name for span in _CODE_SPAN.findall(prose_of(page)) for name in _CLASS.findall(span)}
    assert named - defined <= {"TypedDict"}


# Links


def slug(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path):
    for link in _LINK.findall(prose_of(page)):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{link}: no such file"
        if anchor:
            headings = re.findall(r"^#+ (.+)$", prose_of(target), re.M)
            assert anchor in map(slug, headings), f"{link}: no such heading"


def listed_in(page: Path) -> list[Path]:
    """The pages in the tables of contents of a page."""
    tables = [block.text for block in blocks_of(page) if block.kind == "{toctree}"]
    names = [line.strip() for text in tables for line in text.splitlines() if line.strip() and line[0] != ":"]
    return [(page.parent / f"{name}.md").resolve() for name in names]


def test_every_page_is_in_a_table_of_contents():
    start = ROOT / "docs/index.md"
    found, waiting = {start}, [start]
    while waiting:
        new = set(listed_in(waiting.pop())) - found
        found |= new
        waiting += new
    assert found == set(ROOT.glob("docs/**/*.md"))
