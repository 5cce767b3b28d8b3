import subprocess
import sys

import pytest

from kinema import cli, models
from kinema.errors import KinemaError
from kinema.weights.checkpoint import ModelCard, save_checkpoint


def run(capsys, *arguments: str) -> tuple[int, str, str]:
    status = cli.run(list(arguments))
    captured = capsys.readouterr()
    return status, captured.out, captured.err


PREDICT = """
import sys
from kinema import cli
assert cli.run(["predict", *sys.argv[1:], "--device", "cpu"]) == 0
heavy = {"torchvision", "timm", "transformers", "accelerate", "matplotlib", "pandas", "scipy", "sklearn", "onnx",
         "onnxruntime", "nncf", "openvino", "cv2", "jinja2", "tensorboard", "torch._dynamo", "torch._inductor", "sympy"}
print("heavy:", *heavy & set(sys.modules))
"""


@pytest.mark.parametrize("engine", ["torch", "openvino"])
def test_predicting_imports_nothing_that_it_does_not_use(engine, tmp_path, short_video, monkeypatch):
    if engine == "openvino":
        pytest.importorskip("openvino")
    monkeypatch.setenv("KINEMA_HOME", str(tmp_path / "home"))
    network = models.build("single_frame_tiny", num_classes=2, spec={"size": (24, 24)})
    save_checkpoint(tmp_path / "best", network, ModelCard.of(network, ("dark", "light")))
    words = [str(short_video), "--model", str(tmp_path / "best"), "--engine", engine]
    seen = []
    for _ in range(2):  # OpenVINO converts the network the first time, which torch.export does
        result = subprocess.run([sys.executable, "-c", PREDICT, *words], capture_output=True, text=True)
        assert result.returncode == 0, result.stderr
        seen = result.stdout.splitlines()[-1].split()[1:]
    assert seen == ([] if engine == "torch" else ["openvino"])


def test_no_help_loads_a_heavy_package():
    code = """
import sys
from kinema import cli
heavy = {"torch", "torchvision", "timm", "accelerate", "av", "matplotlib", "numpy", "scipy", "PIL", "filelock", "rich.markdown"}
for arguments in ([], ["--help"], *([name, "--help"] for name in cli.COMMANDS)):
    assert cli.run(list(arguments)) == 0, arguments
    assert not heavy & set(sys.modules), (arguments, heavy & set(sys.modules))
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert all(name in result.stdout for name in cli.COMMANDS)


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_the_list_of_commands_says_what_their_functions_say(name):
    assert (cli.command_function(name).__doc__ or "").partition("\n")[0] == cli.COMMANDS[name].summary


def test_only_the_command_that_is_called_is_imported():
    code = "import sys; from kinema import cli; cli.run(sys.argv[1:]); print(*sorted(sys.modules))"
    seen = {}
    for words in (["--help"], ["watch", "--help"]):
        found = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=True)
        modules = found.stdout.splitlines()[-1].split()
        seen[words[0]] = {name for name in modules if name.startswith("kinema.commands.") or name == "numpy"}
    assert seen["--help"] == set()
    assert "kinema.commands.watch" in seen["watch"]
    assert not {"kinema.commands.train", "kinema.commands.predict", "numpy"} & seen["watch"]


def test_help_joins_the_lines_of_a_paragraph_and_examples_can_be_copied(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    status, out, _ = run(capsys, "predict", "--help")
    assert status == 0
    assert "or a file of kinema export" in " ".join(
        out.replace("│", " ").split()
    )  # over the end of a line in the source
    examples = out.split("Examples:")[1].split("\n", 1)[1]
    assert "\n  kinema predict match.mp4\n" in examples
    assert "--render \\\n    labelled.mp4" in examples
    assert all(len(line) <= 80 for line in out.splitlines())


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_shows_an_example_and_describes_each_flag(name, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")
    status, out, _ = run(capsys, name, "--help")
    assert status == 0
    assert f"kinema {name}" in out.split("Examples:")[1]
    for line in out.split("Examples:")[0].splitlines():
        words = line.strip("│ *").split()
        if words and words[0].startswith("--"):
            assert len(words) > 3, f"no description: {line}"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["trian"], "Did you mean train?"),
        (["train", "videos", "--modle", "c3d"], "Did you mean --model"),
        (["train", "videos"], "--model"),
        (
            ["evaluate", "--model", "RUN", "DATA"],
            "evaluate takes the checkpoint by its place: --model: write kinema eva",
        ),
        (["evaluate", "--model", "RUN", "DATA"], "kinema evaluate CHECKPOINT DATA"),
        (["export", "--model=RUN"], "write kinema export MODEL"),
        (["check", "--data", "videos"], "write kinema check DATA"),
        (["train", "videos", "--model", "x", "--epochs", "many"], "--epochs"),
        (["train", "videos", "--model", "x", "--schedule", "cosin"], "cosine"),
        (["train", "videos", "--model", "x", "--epochs", "0"], "at least 1"),
    ],
)
def test_wrong_usage_is_one_line_and_status_2(arguments, said, capsys):
    status, out, err = run(capsys, *arguments)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("kinema: ")
    assert said in err


def test_a_missing_folder_is_one_line_and_status_1(capsys, tmp_path):
    status, _, err = run(capsys, "train", str(tmp_path / "nowhere"), "--model", "single_frame_tiny")
    assert (status, err.count("\n")) == (1, 1)
    assert "nowhere" in err


def test_a_misspelt_network_is_named_with_the_nearest_ones(capsys, tmp_path):
    for name in ("a", "b"):
        (tmp_path / "set" / name).mkdir(parents=True)
    status, _, err = run(capsys, "describe", "slow_fusion_tinny")
    assert status == 2
    assert "slow_fusion_tiny" in err


def test_settings_come_from_a_file_and_flags_go_over_it(tmp_path):
    path = tmp_path / "settings.toml"
    path.write_text('epochs = 3\nbatch-size = 4\n[train]\nlr = 0.5\n[about]\nanything = "goes"\n')
    known = ["epochs", "batch_size", "lr"]
    assert cli.read_settings(str(path), known, "train") == {"epochs": 3, "batch_size": 4, "lr": 0.5}


@pytest.mark.parametrize(
    ("text", "said"),
    [("epocs = 3", "Did you mean epochs"), ("epochs = ", "not a TOML file"), (None, "cannot read the settings")],
)
def test_a_bad_settings_file_is_one_line(text, said, tmp_path, capsys):
    path = tmp_path / "settings.toml"
    if text is not None:
        path.write_text(text)
    status, _, err = run(capsys, "train", "videos", "--model", "x", "--config", str(path))
    assert (status, err.count("\n")) == (2, 1)
    assert said in err


def test_an_engine_that_was_removed_is_one_line_that_names_the_others(tmp_path, capsys):
    removed = "it was removed; use --engine openvino or --engine torch"
    status, _, err = run(capsys, "predict", "film.mp4", "--model", "x", "--engine", "winograd")
    assert (status, err) == (2, f"kinema: --engine cannot be 'winograd': {removed}\n")
    (tmp_path / "old.toml").write_text('engine = "winograd"')
    status, _, err = run(capsys, "bench", "--config", str(tmp_path / "old.toml"))
    assert (status, err.count("\n"), removed in err) == (2, 1, True)


def test_settings_that_are_not_utf_8_are_one_line(tmp_path, capsys):
    path = tmp_path / "settings.toml"
    path.write_bytes('model = "café"'.encode("latin-1"))
    status, _, err = run(capsys, "train", "videos", "--config", str(path))
    assert (status, err) == (2, f"kinema: not a TOML file: {path}: save it in UTF-8\n")


def test_a_full_disk_is_one_line(capsys, monkeypatch):
    def full(**_):
        raise OSError(28, "No space left on device", "/somewhere")

    monkeypatch.setattr(cli, "command_function", lambda name: _command_that(full))
    monkeypatch.setattr(cli, "COMMANDS", {"demo": cli.COMMANDS["demo"]})
    status, _, err = run(capsys, "demo")
    assert status == 1
    assert err == "kinema: no space left on device: /somewhere: check the path and the free space\n"


def _command_that(action):
    from kinema.commands.demo import DemoConfig

    def demo(config: DemoConfig = DemoConfig()) -> int:
        """Do it."""
        return action()

    demo.__annotations__ = {"config": DemoConfig, "return": int}
    return demo


def test_an_error_says_what_where_and_what_to_do():
    assert str(KinemaError("cannot read", "a.mp4", "look at it")) == "cannot read: a.mp4: look at it"
    assert str(KinemaError("cannot\n  read", "a  b.mp4")) == "cannot read: a  b.mp4"


def test_half_an_epoch_is_refused(capsys):
    status, _, err = run(capsys, "train", "videos/", "--model", "single_frame_small", "--epochs", "1.5")
    assert status == 2
    assert "1.5 is not a whole number" in err
