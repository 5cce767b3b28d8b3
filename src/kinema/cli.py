"""The command line: a table of names and recipes.

Each command's help is its function's docstring; flags are the fields of its settings; `--config FILE.toml` gives settings
from a file, which flags go over.

Nothing here or at the top of a recipe imports torch, and of the recipes only that of the command is imported: help is
instant.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import inspect
import logging
import os
import sys
import tomllib
from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, get_args, get_origin, get_type_hints

import cyclopts
from cyclopts import App, Group, Parameter

from kinema.errors import ConfigError, KinemaError, UnknownName, UsageError
from kinema.machine import tune_process
from kinema.version import __version__


class Command(NamedTuple):
    """A line of the list of commands: the heading it stands under, and the first line of its function's docstring."""

    heading: str
    summary: str


COMMANDS = {
    "demo": Command(
        "Get started",
        "See what time is worth: draws films, trains four networks on them, predicts, and writes a report.",
    ),
    "check": Command(
        "Data", "Look for files that cannot be read, copies, torn sources and uneven classes in a data set."
    ),
    "flow": Command(
        "Data", "Compute the optical flow of a data set's videos and keep it on disk, so that training need not."
    ),
    "train": Command("Train and judge", "Train a network on a data set."),
    "compare": Command(
        "Train and judge", "Train several networks on the same videos and see what each way of using time is worth."
    ),
    "crossval": Command(
        "Train and judge",
        "Train a network several times, each time keeping back another part of the data, and judge it by that part.",
    ),
    "evaluate": Command("Train and judge", "Judge a trained network on labelled videos."),
    "fuse": Command(
        "Train and judge", "Join two trained networks, such as one for RGB and one for optical flow, to one checkpoint."
    ),
    "predict": Command("Use", "Say what happens in videos, and when."),
    "watch": Command("Use", "Say what is happening in a live stream, as it happens."),
    "features": Command("Use", "Write one feature vector for each clip of videos into a table."),
    "export": Command("Use", "Write a trained network as a file that runs without kinema."),
    "models": Command(
        "Networks", "List the networks by name: parameters, multiply-adds a clip, input, published weights, paper."
    ),
    "describe": Command(
        "Networks",
        "Print a network's layers: output sizes, receptive fields (frames, rows, columns), parameters, multiply-adds.",
    ),
    "bench": Command("Networks", "Measure how fast networks are on this machine, and how much of it they use."),
}
"""Command name, which is also the module and the function in `kinema.commands`. The list of commands is printed from here,
so that it needs none of those modules; a test holds the summaries to the docstrings."""

HEADINGS = {"DataOptions": "Data", "ModelOptions": "Network and its input", "FitOptions": "Learning"}
"""Settings classes whose flags stand under a heading of their own in the help."""

Recipe = Callable[..., int]


def recipe(name: str) -> Recipe:
    """The function behind a command."""
    return getattr(importlib.import_module(f"kinema.commands.{name}"), name)


def settings_class(function: Recipe) -> type[Any]:
    """The dataclass of a recipe's `config` parameter."""
    return get_type_hints(function)["config"]


def examples_of(function: Recipe) -> str:
    """The lines under "Examples:" in a docstring, for the end of the help."""
    _, heading, rest = inspect.cleandoc(function.__doc__ or "").partition("Examples:\n")
    lines = [line.strip() for line in rest.partition("\nArgs:")[0].splitlines() if line.strip()]
    return "Examples:\n\n" + "\n".join(f"    {line}" for line in lines) if heading else ""


def whole_numbers(hint: Any, tokens: Sequence[Any]) -> Any:
    """Cyclopts' own reading of tokens, but 1.5 is no whole number instead of 2."""
    for token in tokens:
        if "." in token.value and not float(token.value).is_integer():
            raise ValueError(f"{token.value} is not a whole number")
    return cyclopts.convert(hint, tokens)


def describe_flags(settings: type[Any]) -> None:
    """Let the help list flags under the headings of the classes that they come from, and refuse halves of counts."""
    # A dataclass's __init__ carries its bases' annotations as text, which only their own modules can resolve.
    settings.__init__.__annotations__ = {**get_type_hints(settings), "return": None}
    places = {name: place for place, name in enumerate(HEADINGS, start=1)}
    for owner in settings.__mro__[:-1]:
        hints = get_type_hints(owner)  # without what an earlier command has put there
        name = owner.__name__
        group = Group(HEADINGS[name], sort_key=places[name]) if name in HEADINGS else None
        for field in owner.__annotations__:
            settled: dict[str, Any] = {"group": group} if group else {}
            if hints[field] in (int, int | None):
                settled["converter"] = whole_numbers
            if settled:
                owner.__annotations__[field] = Annotated[hints[field], Parameter(**settled)]


def as_command(function: Recipe) -> Recipe:
    """The recipe with its settings spread out as flags, and `--config`."""
    describe_flags(settings_class(function))

    @functools.wraps(function)
    def command(*args: Any, settings_file: Path | None = None, **kwargs: Any) -> int:
        return function(*args, **kwargs)

    hints = get_type_hints(function)
    hints["config"] = Annotated[hints["config"], Parameter(name="*")]
    file_hint = Annotated[Path | None, Parameter(name="--config", help="TOML file with settings; flags go over it.")]
    # What is no setting has a place and no flag.
    kinds = {True: inspect.Parameter.POSITIONAL_OR_KEYWORD, False: inspect.Parameter.POSITIONAL_ONLY}
    given = inspect.signature(function).parameters.values()
    parameters = [p.replace(annotation=hints[p.name], kind=kinds[p.name == "config"]) for p in given]
    extra = inspect.Parameter("settings_file", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=file_hint)
    command.__signature__ = inspect.Signature([*parameters, extra])  # type: ignore[attr-defined]
    command.__annotations__ = {**hints, "settings_file": file_hint}
    return command


def shown_default(value: object) -> str | None:
    """What the help says of a default: nothing where it is that nothing is set."""
    return None if value is None or value is False or value == () else str(value)


def build_app(wanted: Container[str] = COMMANDS) -> App:
    """The whole command line.

    Args:
        wanted: commands that can be called; the others are in the list, and their modules are not imported.
    """
    app = App(
        name="kinema",
        help="Tells what happens in videos: trains, compares and runs video classifiers.",
        version=__version__,
        help_format="markdown",
        default_parameter=Parameter(negative=(), consume_multiple=True, show_default=shown_default),
        result_action="return_value",
        exit_on_error=False,
        print_error=False,
        suppress_keyboard_interrupt=False,
    )
    for name, (heading, summary) in COMMANDS.items():
        if name not in wanted:
            app.command(App(name=name, help=summary, group=heading))
            continue
        function = recipe(name)
        app.command(as_command(function), name=name, group=heading, help_epilogue=examples_of(function))
    return app


def read_settings(path: str, known: Sequence[str], command: str) -> dict[str, Any]:
    """Read a TOML file of settings: at its top, or in a table named like the command; `[about]` is not read.

    Raises:
        ConfigError: not there or not TOML.
        UnknownName: a key that is no setting of the command.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError("cannot read the settings", path, "give --config an existing TOML file") from error
    except UnicodeDecodeError as error:
        raise ConfigError("not a TOML file", path, "save it in UTF-8") from error
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError("not a TOML file", path, str(error)) from error
    tables = {name: value for name, value in values.items() if isinstance(value, dict)}
    settings = {name: value for name, value in values.items() if name not in tables} | tables.get(command, {})
    settings = {name.replace("-", "_"): value for name, value in settings.items()}
    for name in settings:
        if name not in known:
            raise UnknownName(f"setting in {path}", name, known)
    return settings


def settings_from(arguments: Sequence[str]) -> list[Any]:
    """Cyclopts' source of settings for `--config FILE` among the arguments; empty without it."""
    command = next((word for word in arguments if word in COMMANDS), None)
    path = None
    for position, word in enumerate(arguments):
        if word == "--config" and position + 1 < len(arguments):
            path = arguments[position + 1]
        elif word.startswith("--config="):
            path = word.partition("=")[2]
    if command is None or path is None:
        return []
    known = [field.name for field in fields(settings_class(recipe(command)))]
    return [cyclopts.config.Dict({command: read_settings(path, known, command)}, source=path)]


def dash_last(arguments: Sequence[str]) -> list[str]:
    """The arguments with a lone `-`, which is standard input and no option, at the end behind `--`."""
    dashes = [word for word in arguments if word == "-"]
    others = [word for word in arguments if word != "-"]
    return [*others, *([] if "--" in others else ["--"]), *dashes] if dashes else others


@contextlib.contextmanager
def messages_shown() -> Iterator[None]:
    """Let kinema's messages appear on standard error, a line each; what other libraries log is theirs."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("kinema: %(message)s"))
    log = logging.getLogger("kinema")
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        yield
    finally:
        log.removeHandler(handler)


def run(arguments: Sequence[str]) -> int:
    """Carry a command out; returns the exit status (0 well, 1 inputs failed, 2 wrong usage)."""
    try:
        app = build_app(wanted=arguments)
        app.config = tuple(settings_from(arguments))
        with messages_shown():
            return int(app(dash_last(arguments) or ["--help"]) or 0)
    except KeyboardInterrupt as stop:  # a command that can go on says how
        print(": ".join(["kinema: stopped", *map(str, stop.args)]), file=sys.stderr)
        return 130
    except BaseException as error:
        # rich makes a SystemExit of a broken pipe
        if isinstance(error, BrokenPipeError) or isinstance(error.__context__, BrokenPipeError):
            return hang_up()
        told = as_told(error)
        if told is None:
            raise
        return fail(told)


def as_told(error: BaseException) -> KinemaError | None:
    """What went wrong in a user's words; None where it is a fault of ours, which should show where it is."""
    if isinstance(error, cyclopts.CycloptsError):
        return usage_error(error)
    if isinstance(error, OSError):
        what = (error.strerror or str(error)).lower()
        return KinemaError(what, error.filename or "", "check the path and the free space")
    if isinstance(error, MemoryError) or any(words in str(error) for words in ("out of memory", "can't allocate")):
        return KinemaError("not enough memory", "", "give a smaller --batch-size, --clip-len or --size")
    return error if isinstance(error, KinemaError) else None


def hang_up() -> int:
    """End quietly where the reader of our output has gone (`kinema … | head`): nothing is wrong, or can be said."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def usage_error(error: cyclopts.CycloptsError) -> UsageError:
    """What cyclopts found wrong with the arguments, in our words."""
    command = " ".join(error.command_chain or ())
    do = f"see kinema {command} --help" if command else "see kinema --help"
    if isinstance(error, cyclopts.UnknownCommandError):
        return UnknownName("command", (error.unused_tokens or [""])[0], COMMANDS)
    if isinstance(error, cyclopts.UnknownOptionError):
        name = (error.token.keyword or error.token.value).partition("=")[0]
        return _by_place(command, name) or UnknownName("option", name, _option_names(error), do=do)
    if isinstance(error, cyclopts.MissingArgumentError) and error.argument is not None:
        return _missing(error, error.argument, f"see kinema {command} --help")
    if isinstance(error, cyclopts.UnusedCliTokensError):
        return UsageError("too many arguments", " ".join(error.unused_tokens or ()), do)
    if isinstance(error, cyclopts.CoercionError) and get_origin(error.target_type) is Literal and error.token:
        known = [str(choice) for choice in get_args(error.target_type)]
        near = UnknownName("", error.token.value, known).near
        choose = f"choose from {', '.join(known)}" + (f". Did you mean {near[0]}?" if near else "")
        return UsageError(f"{error.token.keyword or 'an argument'} cannot be {error.token.value!r}", do=choose)
    return UsageError(" ".join(str(error).split()).rstrip("."), do=do)


def _by_place(command: str, option: str) -> UsageError | None:
    """Says how to give what has a place and no flag; None where the option is none of that."""
    places = [name for name in inspect.signature(recipe(command)).parameters if name != "config"] if command else []
    name = "checkpoint" if option == "--model" and "checkpoint" in places else option.lstrip("-")
    if name not in places:
        return None
    do = " ".join(["write kinema", command, *(place.upper() for place in places)])
    return UsageError(f"{command} takes the {name} by its place", option, do)


def _option_names(error: cyclopts.UnknownOptionError) -> list[str]:
    return [name for argument in error.argument_collection if argument.parse for name in argument.names]


def _missing(error: cyclopts.MissingArgumentError, argument: Any, do: str) -> UsageError:
    """Something that has to be given is not there, or is misspelt."""
    for word in error.unused_tokens or ():
        unknown = UnknownName("option", word.partition("=")[0], argument.names)
        if word.startswith("--") and unknown.near and word not in argument.names:
            return unknown
    parameters = inspect.signature(error.target).parameters if error.target else {}
    is_option = argument.field_info.name not in parameters or bool(argument.tokens)
    name = argument.name if is_option else argument.name.lstrip("-").upper()  # as the help shows it
    return UsageError(f"{' '.join(error.command_chain or ())} needs {name}", do=do)


def fail(error: KinemaError) -> int:
    """Say what went wrong in one line on standard error."""
    print(f"kinema: {error}", file=sys.stderr)
    return error.exit_status


def main() -> None:
    """The entry point of the `kinema` command."""
    tune_process()
    sys.exit(run(sys.argv[1:]))
