"""The command line: a table of commands.

The help of a command is the docstring of its function; its flags are the fields of its settings. `--config FILE.toml` reads
settings from a file, which flags override.

Neither this module nor the top of a command's module imports torch, and only the module of the given command is imported, so
that help appears at once.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import inspect
import logging
import os
import re
import signal
import sys
import textwrap
import tomllib
from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple, cast, get_args, get_origin, get_type_hints

import cyclopts
from cyclopts import App, Group, Parameter
from cyclopts.help import DefaultFormatter

from kinema.choices import ENGINES, REMOVED_ENGINES
from kinema.errors import ConfigError, KinemaError, UnknownName, UsageError, known_error
from kinema.machine import tune_process
from kinema.text import printable
from kinema.version import __version__

if TYPE_CHECKING:
    from _typeshed import DataclassInstance
    from cyclopts.help import HelpPanel, InlineText
    from rich.console import Console, ConsoleOptions


class Command(NamedTuple):
    """A line of the list of commands: its heading, and the first line of the function's docstring."""

    heading: str
    summary: str


COMMANDS = {
    "demo": Command(
        "Get started",
        "See what time is worth: draws videos, trains four networks on them, predicts, and writes a report.",
    ),
    "check": Command(
        "Data", "Find files that cannot be read, copies, sources in two parts and uneven classes in a data set."
    ),
    "reel": Command("Data", "Join labelled clips into long videos whose actions have exact times."),
    "flow": Command(
        "Data", "Compute the optical flow of a data set's videos and keep it on disk, so that training need not."
    ),
    "train": Command("Train and judge", "Train a network on a data set."),
    "compare": Command(
        "Train and judge", "Train several networks on the same videos and see what each way of using time is worth."
    ),
    "crossval": Command(
        "Train and judge",
        "Train a network several times, each time without another part of the data, and judge it on that part.",
    ),
    "evaluate": Command("Train and judge", "Judge a trained network on labelled videos, or a file of located actions."),
    "fuse": Command(
        "Train and judge", "Join two trained networks, such as one for RGB and one for optical flow, to one checkpoint."
    ),
    "predict": Command("Use", "Say what happens in videos, and when."),
    "localize": Command("Use", "Find which actions happen in videos, and when."),
    "detect": Command("Use", "Find persons in videos and follow them."),
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
"""Commands by name, which is also the name of the module and of the function in `kinema.commands`.

The list of commands is printed from here without an import of these modules; a test compares summaries and docstrings."""

HEADINGS = {
    "DataOptions": "Data",
    "ModelOptions": "Network and its input",
    "FitOptions": "Learning",
    "EngineOptions": "Engine",
}
"""Settings classes whose flags have their own heading in the help."""

_INTERRUPTED = 130

CommandFunction = Callable[..., int]


def command_function(name: str) -> CommandFunction:
    """The function of a command."""
    return getattr(importlib.import_module(f"kinema.commands.{name}"), name)


def settings_class(function: CommandFunction) -> type[DataclassInstance]:
    """The dataclass of a command's settings, which is its parameter `config`."""
    return get_type_hints(function)["config"]


def examples_of(function: CommandFunction) -> str:
    """The lines under "Examples:" in the docstring, for the end of the help."""
    _, heading, rest = inspect.cleandoc(function.__doc__ or "").partition("Examples:\n")
    lines = [line.strip() for line in rest.partition("\nArgs:")[0].splitlines() if line.strip()]
    wrapped = [textwrap.wrap(line, 75, break_long_words=False, break_on_hyphens=False) for line in lines]
    return "Examples:\n" + "".join("\n  " + " \\\n    ".join(pieces) for pieces in wrapped) if heading else ""


def whole_numbers(hint: object, tokens: Sequence[cyclopts.Token]) -> object:
    """Convert tokens as cyclopts does, but refuse 1.5, which it would round to 2."""
    for token in tokens:
        if "." in token.value and not float(token.value).is_integer():
            raise ValueError(f"{token.value} is not a whole number")
    return cyclopts.convert(hint, tokens)


def describe_flags(settings: type[DataclassInstance]) -> None:
    """Group flags under the headings of the classes that they come from, and accept only whole numbers for counts."""
    # A dataclass's __init__ carries its bases' annotations as text, which only their own modules can resolve.
    settings.__init__.__annotations__ = {**get_type_hints(settings), "return": None}
    places = {name: place for place, name in enumerate(HEADINGS, start=1)}
    for owner in settings.__mro__[:-1]:
        hints = get_type_hints(owner)  # without the annotations that an earlier command has put there
        name = owner.__name__
        group = Group(HEADINGS[name], sort_key=places[name]) if name in HEADINGS else None
        for field in owner.__annotations__:
            parameters = [Parameter(group=group)] if group else []
            if hints[field] in (int, int | None):
                parameters.append(Parameter(converter=whole_numbers))
            # Where a network is trained, --fps is the rate at which it counts frames.
            if field == "image_fps" and "fps" not in {field.name for field in fields(settings)}:
                parameters.append(Parameter(alias="--fps"))
            if parameters:
                owner.__annotations__[field] = Annotated[hints[field], *parameters]


def as_command(function: CommandFunction) -> CommandFunction:
    """The function of a command with a flag for each of its settings, and `--config`."""
    describe_flags(settings_class(function))

    @functools.wraps(function)
    def command(*args: object, settings_file: Path | None = None, **kwargs: object) -> int:
        return function(*args, **kwargs)

    hints = get_type_hints(function)
    hints["config"] = Annotated[hints["config"], Parameter(name="*")]
    file_hint = Annotated[Path | None, Parameter(name="--config", help="TOML file with settings; flags override it.")]
    # Settings are flags; all other parameters are positional.
    kinds = {True: inspect.Parameter.POSITIONAL_OR_KEYWORD, False: inspect.Parameter.POSITIONAL_ONLY}
    declared = inspect.signature(function).parameters.values()
    parameters = [p.replace(annotation=hints[p.name], kind=kinds[p.name == "config"]) for p in declared]
    extra = inspect.Parameter("settings_file", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=file_hint)
    command.__signature__ = inspect.Signature([*parameters, extra])  # type: ignore[attr-defined]
    command.__annotations__ = {**hints, "settings_file": file_hint}
    return command


def shown_default(value: object) -> str | None:
    """The default in the help; None for settings that are not set by default."""
    return None if value is None or value is False or value in ((), []) else str(value)


class HelpText(DefaultFormatter):
    """Draws help without a parser of Markdown, whose import would be a sixth of the time of `--help`."""

    def __call__(self, console: Console, options: ConsoleOptions, panel: HelpPanel) -> None:
        """Draw the table of some flags."""
        for entry in panel.entries:
            flow_paragraphs(entry.description)
        super().__call__(console, options, panel)

    def render_description(self, console: Console, options: ConsoleOptions, description: InlineText) -> None:
        """Draw what the command does."""
        flow_paragraphs(description)
        super().render_description(console, options, description)


def flow_paragraphs(described: InlineText) -> None:
    """Join the lines of each paragraph, and draw what stands between backticks in bold."""
    from rich.text import Text

    text = cast("Text", described.primary_renderable)
    pieces = re.sub(r"(?<!\n)\n(?!\n) *", " ", str(text).strip()).split("`")
    styles = ("bold" if place % 2 else "" for place in range(len(pieces)))
    described.primary_renderable = Text.assemble(*zip(pieces, styles, strict=True), end=text.end)


def build_app(wanted: Container[str] = COMMANDS) -> App:
    """The whole command line.

    Args:
        wanted: commands that can be called; the others are only listed, without an import of their modules.
    """
    app = App(
        name="kinema",
        help="Tells what happens in videos: trains, compares and runs video classifiers.",
        version=__version__,
        help_format="plaintext",
        help_formatter=HelpText(),
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
        function = command_function(name)
        app.command(as_command(function), name=name, group=heading, help_epilogue=examples_of(function))
    return app


def read_settings(path: str, known: Sequence[str], command: str) -> dict[str, object]:
    """Read a TOML file of settings: those at its top, and those in a table named like the command.

    Raises:
        ConfigError: the file is missing or not TOML.
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


def settings_from(arguments: Sequence[str]) -> list[cyclopts.config.Dict]:
    """Cyclopts' source of settings for `--config FILE` in the arguments; empty without it."""
    command = next((word for word in arguments if word in COMMANDS), None)
    path = None
    for position, word in enumerate(arguments):
        if word == "--config" and position + 1 < len(arguments):
            path = arguments[position + 1]
        elif word.startswith("--config="):
            path = word.partition("=")[2]
    if command is None or path is None:
        return []
    known = [field.name for field in fields(settings_class(command_function(command)))]
    return [cyclopts.config.Dict({command: read_settings(path, known, command)}, source=path)]


def dash_last(arguments: Sequence[str]) -> list[str]:
    """Move each `-`, which is standard input and no option, to the end behind `--`."""
    dashes = [word for word in arguments if word == "-"]
    others = [word for word in arguments if word != "-"]
    return [*others, *([] if "--" in others else ["--"]), *dashes] if dashes else others


class StandardError(logging.Handler):
    """Prints on what is standard error at that moment: while a progress bar is shown, messages go above it."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print one message."""
        print(printable(self.format(record), lines=True), file=sys.stderr, flush=True)


@contextlib.contextmanager
def messages_shown() -> Iterator[None]:
    """Print the log messages of kinema, but not those of other libraries, on standard error."""
    handler = StandardError()
    handler.setFormatter(logging.Formatter("kinema: %(message)s"))
    log = logging.getLogger("kinema")
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        yield
    finally:
        log.removeHandler(handler)


def run(arguments: Sequence[str]) -> int:
    """Run a command; returns the exit status (0 success, 1 failed inputs, 2 wrong usage)."""
    try:
        app = build_app(wanted=arguments)
        app.config = tuple(settings_from(arguments))
        with messages_shown():
            return int(app(dash_last(arguments) or ["--help"]) or 0)
    except KeyboardInterrupt as stop:  # the message of a resumable command
        print(": ".join(["kinema: stopped", *map(str, stop.args)]), file=sys.stderr)
        return _INTERRUPTED
    except BaseException as error:
        # rich raises SystemExit for a broken pipe
        if isinstance(error, BrokenPipeError) or isinstance(error.__context__, BrokenPipeError):
            return hang_up()
        known = as_kinema_error(error)
        if known is None:
            raise
        return fail(known)


def as_kinema_error(error: BaseException) -> KinemaError | None:
    """The error in a user's words; None for a bug in kinema, whose traceback should be printed."""
    return usage_error(error) if isinstance(error, cyclopts.CycloptsError) else known_error(error)


def hang_up() -> int:
    """Exit without a message when the reader of the output has closed the pipe (`kinema … | head`)."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def usage_error(error: cyclopts.CycloptsError) -> UsageError:
    """An error of cyclopts about the arguments, in our words."""
    command = " ".join(error.command_chain or ())
    do = f"see kinema {command} --help" if command else "see kinema --help"
    if isinstance(error, cyclopts.UnknownCommandError):
        return UnknownName("command", (error.unused_tokens or [""])[0], COMMANDS)
    if isinstance(error, cyclopts.UnknownOptionError):
        return _unknown_option(error, command, do)
    if isinstance(error, cyclopts.MissingArgumentError) and error.argument is not None:
        return _missing_argument(error, error.argument, f"see kinema {command} --help")
    if isinstance(error, cyclopts.UnusedCliTokensError):
        return UsageError("too many arguments", " ".join(error.unused_tokens or ()), do)
    if isinstance(error, cyclopts.CoercionError) and get_origin(error.target_type) is Literal and error.token:
        known = [str(choice) for choice in get_args(error.target_type)]
        near = UnknownName("", error.token.value, known).near
        choose = f"choose from {', '.join(known)}" + (f". Did you mean {near[0]}?" if near else "")
        if known == list(ENGINES):
            choose = REMOVED_ENGINES.get(error.token.value, choose)
        return UsageError(f"{error.token.keyword or 'an argument'} cannot be {error.token.value!r}", do=choose)
    return UsageError(" ".join(str(error).split()).rstrip("."), do=do)


def _unknown_option(error: cyclopts.UnknownOptionError, command: str, do: str) -> UsageError:
    """The option is unknown, or a positional argument given as an option."""
    option = (error.token.keyword or error.token.value).partition("=")[0]
    parameters = inspect.signature(command_function(command)).parameters if command else ()
    positional = [name for name in parameters if name != "config"]
    name = "checkpoint" if option == "--model" and "checkpoint" in positional else option.lstrip("-")
    if name in positional:
        write = " ".join(["write kinema", command, *(place.upper() for place in positional)])
        return UsageError(f"{command} takes the {name} by its place", option, write)
    known = [name for argument in error.argument_collection if argument.parse for name in argument.names]
    return UnknownName("option", option, known, do=do)


def _missing_argument(error: cyclopts.MissingArgumentError, argument: cyclopts.Argument, do: str) -> UsageError:
    """A required argument is missing or misspelt."""
    for word in error.unused_tokens or ():
        unknown = UnknownName("option", word.partition("=")[0], argument.names)
        if word.startswith("--") and unknown.near and word not in argument.names:
            return unknown
    parameters = inspect.signature(error.target).parameters if error.target else {}
    is_option = argument.field_info.name not in parameters or bool(argument.tokens)
    name = argument.name if is_option else argument.name.lstrip("-").upper()  # as in the help
    return UsageError(f"{' '.join(error.command_chain or ())} needs {name}", do=do)


def fail(error: KinemaError) -> int:
    """Print an error as one line on standard error; returns the exit status."""
    print(printable(f"kinema: {error}", lines=True), file=sys.stderr)
    return error.exit_status


def main() -> None:
    """The entry point of the `kinema` command. SIGTERM ends it as Ctrl-C does, with the exit status 143."""
    tune_process()
    received: list[int] = []

    def stop(number: int, frame: object) -> None:
        received.append(number)
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)
    status = run(sys.argv[1:])
    sys.exit(128 + received[0] if received and status == _INTERRUPTED else status)
