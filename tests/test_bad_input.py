"""Whatever a user gives: one line that says what, where and what to do, an exit status, and nothing half-written."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from kinema import cli

Run = Callable[..., tuple[int, str, list[str]]]


_CHECKPOINT = ("model.json", "model.safetensors", "curves.png")


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> str:
    from kinema import models
    from kinema.weights.checkpoint import ModelCard, save_checkpoint

    folder = tmp_path_factory.mktemp("run") / "best"
    network = models.build("slow_fusion_tiny", num_classes=2)
    save_checkpoint(folder, network, ModelCard.of(network, ("dark", "light")))
    return str(folder)


@pytest.fixture(scope="module")
def films(tmp_path_factory, short_video: Path) -> Path:
    """train and valid parts, two classes, two films each."""
    root = tmp_path_factory.mktemp("films") / "set"
    for number, place in enumerate(
        f"{part}/{label}/{n}.mp4" for part in ("train", "valid") for label in ("dark", "light") for n in "ab"
    ):
        (root / place).parent.mkdir(parents=True, exist_ok=True)
        # bytes behind the last box are no damage, and keep the films from being copies
        (root / place).write_bytes(short_video.read_bytes() + b"\0\0\0\x09free" + bytes([number]))
    return root


@pytest.fixture
def run(capfd) -> Run:
    def run(*arguments: object) -> tuple[int, str, list[str]]:
        """Exit status, standard output, lines of standard error; what C libraries write there is caught as well."""
        capfd.readouterr()
        status = cli.run([str(argument) for argument in arguments])
        out, err = capfd.readouterr()
        return status, out, err.splitlines()

    return run


def is_told(line: str, where: object = "") -> bool:
    """Whether a line says what, where and what to do."""
    return line.startswith("kinema: ") and line.count(": ") >= 2 and str(where) in line


@pytest.fixture
def cut_video(tmp_path, counting_video: Path, write_frames, draw_count) -> Path:
    """The header comes first and promises 4.8 s, of which the second half is missing."""
    path = tmp_path / "cut.mp4"
    frames = (draw_count(index) for index in range(120))
    write_frames(path, frames, container_options={"movflags": "+faststart"}, options={"bf": "0", "g": "12"})
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 6 // 10])
    return path


@pytest.fixture
def no_picture(tmp_path) -> Path:
    path = tmp_path / "no_picture.png"
    path.write_text("a thousand words")
    return path


BAD_VIDEOS = ("empty_file", "text_file", "truncated_video", "audio_file", "zero_frame_video", "no_picture", "missing")


@pytest.fixture(params=BAD_VIDEOS)
def bad_video(request, tmp_path) -> Path:
    return tmp_path / "missing.mp4" if request.param == "missing" else request.getfixturevalue(request.param)


def test_predict_says_what_is_wrong_with_a_video(bad_video, checkpoint, run):
    status, out, err = run("predict", bad_video, "--model", checkpoint)
    assert (status, out, len(err)) == (1, "", 1)
    assert is_told(err[0], bad_video)


def test_predict_goes_on_after_a_bad_video(bad_video, short_video, checkpoint, run):
    status, out, err = run("predict", bad_video, short_video, "--model", checkpoint, "--json")
    lines = {line["path"]: line for line in map(json.loads, out.splitlines())}
    assert status == 1
    assert set(lines[str(bad_video)]) == {"path", "error"}
    assert lines[str(short_video)]["top"]
    assert len(err) == 1


def test_watch_says_what_is_wrong_with_a_video(bad_video, checkpoint, run):
    if bad_video.suffix != ".png":
        status, out, err = run("watch", bad_video, "--model", checkpoint)
        assert (status, out, len(err)) == (1, "", 1)
        assert is_told(err[0], bad_video)


def test_check_and_evaluate_count_a_bad_video(bad_video, films, checkpoint, run):
    if not bad_video.exists():
        return
    link = Path("set/light") / f"bad{bad_video.suffix.replace('.png', '.mp4')}"
    shutil.copytree(films / "valid", "set")
    shutil.copy(bad_video, link)
    status, out, err = run("check", "set", "--json")
    assert (status, [bad["path"] for bad in json.loads(out)["bad"]], err) == (1, [str(link)], [])
    status, out, err = run("evaluate", checkpoint, "set", "--workers", 0, "--json")
    found = json.loads(out)
    assert (status, found["num_videos"], found["num_failed"], len(err)) == (1, 4, 1, 1)
    assert is_told(err[0], link)


def test_a_film_that_was_cut_off_is_predicted_as_far_as_it_goes_and_told(cut_video, checkpoint, run):
    status, out, err = run("predict", cut_video, "--model", checkpoint, "--json")
    found = json.loads(out)
    assert (status, len(err)) == (1, 1)
    assert is_told(err[0], cut_video)
    assert "of 4.8 s" in err[0]
    assert found["top"]
    assert found["damage"] in err[0]


def test_a_film_that_was_cut_off_is_bad_data(cut_video, films, run):
    shutil.copytree(films / "valid", "set")
    shutil.copy(cut_video, "set/dark/cut.mp4")
    status, out, _ = run("check", "set", "--json")
    assert (status, [bad["path"] for bad in json.loads(out)["bad"]]) == (1, ["set/dark/cut.mp4"])


@pytest.mark.parametrize("video", ["one_frame_video", "still_image"])
def test_one_frame_is_enough_for_every_command(video, checkpoint, run, request):
    path = request.getfixturevalue(video)
    status, out, err = run("predict", path, "--model", checkpoint, "--json", "--render", "drawn.mp4", "--out", "out")
    assert status == 0, err
    assert json.loads(out)["duration_s"] == 0.04
    assert Path("drawn.mp4").exists()
    status, out, err = run("watch", path, "--model", checkpoint, "--json")
    assert (status, len(out.splitlines())) == (0, 1), err


DATA = {
    "missing": lambda path, film: None,
    "empty": lambda path, film: path.mkdir(),
    "one_class": lambda path, film: ((path / "dark").mkdir(parents=True), shutil.copy(film, path / "dark")),
    "a_video": lambda path, film: shutil.copy(film, path),
    "no_rows": lambda path, film: path.with_suffix(".csv").write_text("path,label\n"),
    "no_columns": lambda path, film: path.with_suffix(".csv").write_text(f"{film},dark\n{film},light\n"),
    "lost_files": lambda path, film: path.with_suffix(".csv").write_text("path,label\nno.mp4,dark\nno2.mp4,light\n"),
}


@pytest.mark.parametrize("kind", DATA)
@pytest.mark.parametrize("command", ["check", "train", "compare", "evaluate"])
def test_data_that_cannot_be_used(command, kind, short_video, checkpoint, run, tmp_path):
    if (command, kind) == ("evaluate", "one_class"):
        return  # is fine: the network knows its classes
    data = tmp_path / "data"
    DATA[kind](data, short_video)
    data = next(iter(tmp_path.glob("data.csv")), data)
    before = sorted(tmp_path.rglob("*"))
    extra = {"train": ["--model", "single_frame_tiny"], "compare": ["--models", "single_frame_tiny,late_fusion_tiny"]}
    first = [checkpoint] if command == "evaluate" else []
    status, out, err = run(command, *first, data, *extra.get(command, []))
    assert (status, out, len(err)) == (1, "", 1)
    assert is_told(err[0], data)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_class_that_the_network_does_not_know_is_named_with_the_nearest(films, checkpoint, run):
    shutil.copytree(films / "valid", "set")
    Path("set/light").rename("set/ligth")
    status, out, err = run("evaluate", checkpoint, "set")
    assert (status, out, len(err)) == (1, "", 1)
    assert "'ligth'" in err[0]
    assert "Did you mean light" in err[0]


def _change_card(folder: Path, **changes: object) -> None:
    card = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps({**card, **changes}))


def _halve(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


CHECKPOINTS: dict[str, Callable[[Path], object]] = {
    "missing": shutil.rmtree,
    "empty folder": lambda folder: [path.unlink() for path in folder.iterdir()],
    "no weights": lambda folder: (folder / "model.safetensors").unlink(),
    "damaged weights": lambda folder: _halve(folder / "model.safetensors"),
    "empty weights": lambda folder: (folder / "model.safetensors").write_bytes(b""),
    "damaged card": lambda folder: _halve(folder / "model.json"),
    "a list for a card": lambda folder: (folder / "model.json").write_text("[1, 2]"),
    "newer format": lambda folder: _change_card(folder, format=99),
    "unknown network": lambda folder: _change_card(folder, variant="slow_fusion_tinny"),
    "other shapes": lambda folder: _change_card(folder, labels=["dark", "dusk", "light"]),
    "no labels": lambda folder: _change_card(folder, labels=None),
    "no clip length": lambda folder: _change_card(folder, input={"size": [48, 48]}),
}


@pytest.mark.parametrize("kind", CHECKPOINTS)
def test_a_checkpoint_that_cannot_be_used(kind, checkpoint, short_video, films, run):
    shutil.copytree(checkpoint, "wrong")
    CHECKPOINTS[kind](Path("wrong"))
    for arguments in (
        ["predict", short_video, "--model", "wrong"],
        ["watch", short_video, "--model", "wrong"],
        ["evaluate", "wrong", films],
        ["train", films, "--model", "slow_fusion_tiny", "--init", "wrong", "--out", "run"],
    ):
        status, out, err = run(*arguments)
        assert (status, out, len(err)) == (1, "", 1), arguments
        assert is_told(err[0], "wrong")
    assert not Path("run").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["predict", "{film}", "--precison", "f32"], "Did you mean --precision?"),
        (["predict", "{film}", "--precision", "f23"], "Did you mean f32?"),
        (["predict", "{film}", "--crops", "2"], "--crops must be 1 or 3"),
        (["predict", "{film}", "--batch-size", "0"], "--batch-size must be at least 1"),
        (["predict", "{film}", "--min-score", "3"], "--min-score must lie between 0 and 1"),
        (["predict", "{film}", "--render", "drawn.avi"], ".mp4"),
        (["predict", "{film}", "--device", "cudaa"], "cudaa"),
        (["predict"], "predict needs PATHS"),
        (["watch", "."], "a folder cannot be watched"),
        (["watch", "{film}", "--rolling", "0"], "--rolling must be at least 1"),
        (["evaluate", "{model}", "{data}", "--split", "tets"], "Did you mean test?"),
        (["evaluate", "{model}", "{data}", "--workers", "-1"], "--workers must be at least 0"),
        (["train", "{data}", "--lr", "-1"], "--lr must be above 0"),
        (["train", "{data}", "--fps", "0"], "--fps"),
        (["train", "{data}", "--label-smoothing", "2"], "--label-smoothing"),
        (["train", "{data}", "--valid-fraction", "2"], "--valid-fraction"),
        (["train", "{data}", "--resume"], "give --out"),
        (["train", "{data}", "--backbone", "resnt18"], "resnet18"),
        (["train", "{data}", "--model-args", "widht=3"], "Did you mean width?"),
        (["compare", "{data}", "--models", "single_frame_tiny,slow_fusion_tin"], "Did you mean slow_fusion_tiny"),
        (["describe", "resnt50"], "Did you mean the backbone resnet50"),
        (["describe", "slow_fusion_tiny", "--num-classes", "0"], "--num-classes"),
        (["check", "{data}", "--out", "clean.txt"], ".csv"),
        (["models", "extra"], "too many arguments"),
        (["modles"], "Did you mean models?"),
        (["demo", "--per-class", "0"], "--per-class"),
    ],
)
def test_wrong_usage_is_found_before_anything_is_done(arguments, said, films, short_video, checkpoint, run, tmp_path):
    names = {"film": short_video, "data": films, "model": checkpoint}
    needed = {"predict": checkpoint, "watch": checkpoint, "train": "late_fusion" if "resnt18" in arguments else ""}
    model = needed.get(arguments[0])
    extra = [] if model is None or len(arguments) == 1 else ["--model", model or "single_frame_tiny"]
    status, out, err = run(*(word.format(**names) for word in arguments), *extra)
    assert (status, out, len(err)) == (2, "", 1), err
    assert said in err[0]
    assert not list(tmp_path.iterdir())


def test_where_results_cannot_go_is_found_before_the_work(films, short_video, checkpoint, run):
    Path("taken").write_text("a file")
    for arguments in (
        ["predict", short_video, "--model", checkpoint, "--out", "taken"],
        ["predict", short_video, "--model", checkpoint, "--render", "taken/drawn.mp4"],
        ["evaluate", checkpoint, films, "--out", "taken/here"],
        ["check", films, "--out", "taken/clean.csv"],
        ["train", films, "--model", "single_frame_tiny", "--out", "taken"],
        ["demo", "--out", "taken"],
    ):
        status, out, err = run(*arguments)
        assert (status, out, len(err)) == (1, "", 1), arguments
        assert is_told(err[0], "taken")


LIMITED = """
import resource, signal, sys
from kinema import cli

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
for line in sys.stdin:
    limit, *arguments = eval(line)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    print("status", cli.run(arguments), file=sys.stderr)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="limits file sizes as POSIX does")
def test_a_full_disk_is_one_line_and_leaves_nothing_half_written(films, counting_video, checkpoint):
    predict = ["predict", str(counting_video), "--model", checkpoint, "--engine", "torch"]
    train = ["train", str(films), "--model", "single_frame_tiny", "--epochs", "1", "--workers", "0"]
    commands = {
        "good.json": [100, *predict, "--out", "predicted"],
        "drawn.mp4": [3000, *predict, "--render", "drawn.mp4"],
        "drawn.gif": [3000, *predict, "--render", "drawn.gif"],
        "drawn.webm": [1000, *predict, "--render", "drawn.webm"],
        "clean.csv": [100, "check", str(films), "--out", "clean.csv"],
        "evaluation.json": [100, "evaluate", checkpoint, str(films), "--workers", "0", "--out", "judged"],
        "config.toml": [100, *train, "--out", "a"],
        "best": [5000, *train, "--out", "b"],
        "state.pt": [200_000, *train, "--out", "c"],
    }
    result = subprocess.run(
        [sys.executable, "-c", LIMITED],
        input="\n".join(repr(arguments) for arguments in commands.values()),
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    told = result.stderr.split("status 1\n")
    assert (len(told) - 1, told[-1]) == (len(commands), ""), result.stderr
    for where, lines in zip(commands, told, strict=False):
        *before, last = lines.splitlines()
        assert is_told(last, "counting.json" if where == "good.json" else where), last
        assert "cannot write" in last
        assert not [line for line in before if "epoch" not in line and line != "single_frame_tiny"], before  # a title
    left = {path.name for path in Path().rglob("*") if path.is_file()}
    assert left <= {"config.toml", "environment.json", "split.csv", "epochs.csv", ".lock", *_CHECKPOINT}
    assert {path.name for path in Path().rglob(".*")} <= {".lock"}  # which is empty


@pytest.mark.skipif(sys.platform == "win32", reason="limits file sizes as POSIX does")
def test_a_graph_that_cannot_be_kept_is_told_and_torch_computes(counting_video, checkpoint, monkeypatch, tmp_path):
    pytest.importorskip("openvino")
    monkeypatch.setenv("KINEMA_HOME", str(tmp_path / "home"))
    arguments = [1000, "predict", str(counting_video), "--model", checkpoint, "--json"]
    result = subprocess.run([sys.executable, "-c", LIMITED], input=repr(arguments), capture_output=True, text=True)
    assert "status 0" in result.stderr, result.stderr
    assert json.loads(result.stdout)["path"] == str(counting_video)
    assert "engine: torch, not OpenVINO; cannot write a converted network" in result.stderr
    assert "KINEMA_HOME" in result.stderr
    assert not [
        path for path in (tmp_path / "home").rglob("*") if path.suffix not in (".lock", "") or path.name[0] == "."
    ]


def test_a_list_on_standard_input_stands_behind_a_dash(films, checkpoint, run, monkeypatch, tmp_path):
    (tmp_path / "list.txt").write_text("\n".join(str(path) for path in films.rglob("*.mp4")))
    with open("list.txt") as file:
        monkeypatch.setattr("sys.stdin", file)
        status, out, err = run("predict", "-", "--model", checkpoint, "--json")
    assert (status, len(out.splitlines()), err) == (0, 8, [])


def _piped(arguments: list[str], **how: object) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "kinema", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, **how)


def test_a_film_from_a_pipe_is_watched_to_its_end(counting_video, checkpoint):
    with counting_video.open("rb") as film:
        result = _piped(["watch", "-", "--model", checkpoint, "--engine", "torch", "--json"], stdin=film)
    assert result.returncode == 0, result.stderr
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert lines[-1]["time_s"] == pytest.approx(119 / 25)
    assert result.stderr.count("\n") == 1
    assert "0 frames dropped" in result.stderr


@pytest.mark.parametrize("arguments", [["--help"], ["describe", "slow_fusion"], ["describe", "slow_fusion", "--json"]])
def test_a_reader_that_goes_away_is_no_error(arguments):
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "kinema", *arguments]
    result = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True)
    os.close(write)
    assert (result.returncode, result.stderr) == (0, "")


def test_an_interruption_is_one_word(run, monkeypatch):
    def interrupted() -> list[object]:
        raise KeyboardInterrupt

    monkeypatch.setattr("kinema.commands.models.network_rows", interrupted)
    assert run("models") == (130, "", ["kinema: stopped"])


def test_a_piped_film_with_its_index_at_the_end_is_watched_as_well(checkpoint, write_frames, draw_count, tmp_path):
    frames = (draw_count(index, (480, 640)) for index in range(20))
    film = write_frames(tmp_path / "large.mp4", frames, options={"crf": "1", "preset": "ultrafast"})
    assert film.stat().st_size > 200_000
    with os.fdopen(_pipe_of(film), "rb") as pipe:
        result = _piped(["watch", "-", "--model", checkpoint, "--json"], stdin=pipe)
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout.splitlines()[-1])["time_s"] == pytest.approx(19 / 25)


def _pipe_of(path: Path) -> int:
    """The reading end of a pipe into which the file is poured."""
    read, write = os.pipe()

    def pour() -> None:
        with os.fdopen(write, "wb") as pipe:
            pipe.write(path.read_bytes())

    threading.Thread(target=pour, daemon=True).start()
    return read
