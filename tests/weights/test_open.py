"""One function opens whatever names a trained network: folders, runs, published weights. All commands go through it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

import kinema
from kinema import cli
from kinema.errors import CheckpointError
from kinema.models import build
from kinema.models.variant import Weights
from kinema.weights import published
from kinema.weights.checkpoint import ModelCard, load_checkpoint, save_checkpoint
from kinema.weights.open import load_trained, trained_card, with_input

FAST = ["--epochs", "1", "--batch-size", "4", "--workers", "0"]


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(autouse=True)
def tiny_is_published(home, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KINEMA_HOME", str(home))
    path = home / "theirs.pth"
    if not path.exists():
        torch.manual_seed(0)
        torch.save(build("slow_fusion_tiny", num_classes=400).state_dict(), path)
    tiny = Weights("tiny_k400", "slow_fusion_tiny", path.as_uri(), "kinetics400", "MIT", metrics={"hit@1": 0.5})
    monkeypatch.setattr(published, "PUBLISHED", (tiny, *published.PUBLISHED))


@pytest.fixture
def films(tmp_path, short_video) -> Path:
    for number, place in enumerate(
        f"{part}/{label}/{n}.mp4" for part in ("train", "valid") for label in ("yoga", "zumba") for n in "ab"
    ):
        (tmp_path / "films" / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "films" / place).write_bytes(short_video.read_bytes() + b"\0\0\0\x09free" + bytes([number]))
    return tmp_path / "films"


def save_run(folder: Path) -> None:
    network = build("single_frame_tiny", num_classes=2)
    save_checkpoint(folder, network, ModelCard.of(network, ("a", "b")))


def test_a_name_a_folder_and_a_run_are_opened():
    save_run(Path("runs/one/best"))
    for model, variant in (
        ("tiny_k400", "slow_fusion_tiny"),
        ("runs/one", "single_frame_tiny"),
        ("runs/one/best", "single_frame_tiny"),
    ):
        network, card = load_trained(model)
        assert network.variant == card.variant == trained_card(model).variant == variant
        assert network.num_classes == len(card.labels)


def test_a_checkpoint_goes_before_published_weights_of_the_same_name():
    save_run(Path("tiny_k400"))
    assert load_trained("tiny_k400")[1].variant == "single_frame_tiny"


def test_a_folder_that_is_no_checkpoint_does_not_hide_published_weights():
    Path("tiny_k400").mkdir()
    assert load_trained("tiny_k400")[1].variant == "slow_fusion_tiny"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("r2plus1d_81", "Did you mean r2plus1d_18"),
        ("runs/on", "Did you mean runs/one"),
        ("runs/one/bast", "Did you mean runs/one/best"),
        ("zzzz", "give a folder"),
    ],
)
def test_a_name_that_leads_nowhere_says_the_nearest_of_both_kinds(name, said):
    save_run(Path("runs/one/best"))
    with pytest.raises(CheckpointError, match=f"no such checkpoint folder.*{name}.*{said}"):
        load_trained(name)


def test_python_loads_by_name(short_video):
    told = []
    shutil.rmtree(published.cache_folder() / "weights", ignore_errors=True)
    model = kinema.load("tiny_k400", "cpu", progress=lambda *now: told.append(now))
    assert len(model(short_video).scores) == 400
    assert told


def test_every_command_takes_a_published_name(films, short_video, capsys):
    video = str(short_video)
    assert cli.run(["predict", video, "--model", "tiny_k400", "--json", "--device", "cpu"]) == 0
    assert json.loads(capsys.readouterr().out)["top"][0]["label"] in published.class_names("kinetics400")
    assert cli.run(["watch", video, "--model", "tiny_k400", "--json", "--device", "cpu"]) == 0
    assert capsys.readouterr().out
    assert cli.run(["evaluate", "tiny_k400", str(films), "--json", "--workers", "0", "--device", "cpu"]) == 0
    assert json.loads(capsys.readouterr().out)["num_videos"] == 4
    assert cli.run(["describe", "tiny_k400", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["layers"][-1]["output"] == [400]


def test_a_download_is_told_on_standard_error(short_video, capsys):
    shutil.rmtree(published.cache_folder() / "weights", ignore_errors=True)
    assert cli.run(["predict", str(short_video), "--model", "tiny_k400", "--json", "--device", "cpu"]) == 0
    printed = capsys.readouterr()
    assert printed.err.startswith("kinema: downloading the weights of tiny_k400 (")
    assert len(printed.out.splitlines()) == 1


def test_training_starts_from_published_weights_with_a_new_classifier(films, tmp_path):
    command = ["train", str(films), "--model", "slow_fusion_tiny", "--init", "tiny_k400", "--transfer", "head"]
    assert cli.run([*command, "--out", str(tmp_path / "run"), *FAST]) == 0
    network, card = load_checkpoint(tmp_path / "run" / "best")
    theirs = load_trained("tiny_k400")[0].state_dict()
    assert card.labels == ("yoga", "zumba")
    assert card.input.window_s is not None
    changed = {name for name, value in network.state_dict().items() if not torch.equal(value, theirs[name])}
    assert changed == {"classifier.weight", "classifier.bias"}


def test_published_weights_can_have_another_input(films, tmp_path, capsys):
    command = [
        "train",
        str(films),
        "--model",
        "slow_fusion_tiny",
        "--init",
        "tiny_k400",
        "--clip-len",
        "6",
        "--size",
        "32",
    ]
    assert cli.run([*command, "--out", str(tmp_path / "run"), *FAST]) == 0
    assert load_checkpoint(tmp_path / "run" / "best")[0].spec.shape == (3, 6, 32, 32)


def test_weights_that_depend_on_their_input_keep_it():
    with pytest.raises(kinema.KinemaError, match=r"do not fit the network.*--clip-len"):
        with_input(build("late_fusion_tiny", num_classes=2), {"clip_len": 5})


def test_weights_go_on_in_a_network_with_other_arguments_where_they_fit(films, tmp_path):
    source = build("tsn", num_classes=2, backbone="test_resnet", spec={"size": (32, 32), "clip_len": 3})
    other = with_input(source, {"clip_len": 6}, {"grey_time": True, "consensus": "max"})
    assert (other.arguments["grey_time"], other.spec.clip_len) == (True, 6)
    assert all(torch.equal(value, source.state_dict()[name]) for name, value in other.state_dict().items())
    with pytest.raises(kinema.KinemaError, match=r"do not fit the network.*--model-args head=fc"):
        with_input(build("late_fusion", num_classes=2, backbone="test_resnet", head="mean"), {}, {"head": "fc"})
