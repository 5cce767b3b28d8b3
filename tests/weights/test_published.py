"""Published weights: facts against the installed publishers' packages, loading against files in a folder."""

from __future__ import annotations

import importlib
import re
import warnings
from pathlib import Path

import pytest
import torch

from kinema.errors import CheckpointError, DownloadError, UnknownName
from kinema.models import VARIANTS, build, build_without_weights
from kinema.models.state_dict import check_fit
from kinema.models.variant import Weights
from kinema.weights import published
from kinema.weights.convert import convert
from kinema.weights.published import (
    PUBLISHED,
    class_names,
    find_published,
    load_published,
    published_card,
    renames_of,
    weights_path,
)

BY_NAME = {weights.name: weights for weights in PUBLISHED}
FROM_TORCHVISION = [weights for weights in PUBLISHED if "download.pytorch.org" in weights.url]
FROM_PYTORCHVIDEO = [weights for weights in PUBLISHED if "/pytorchvideo/" in weights.url]
FROM_GITHUB = [weights for weights in PUBLISHED if "githubusercontent" in weights.url]
FROM_HUGGING_FACE = [weights for weights in PUBLISHED if "huggingface.co" in weights.url]


def by_name(weights: Weights) -> str:
    return weights.name


# Facts


def test_names_are_unique_and_lead_to_networks():
    assert len(BY_NAME) == len(PUBLISHED)
    assert {weights.variant for weights in PUBLISHED} <= set(VARIANTS)
    assert sum(map(len, (FROM_TORCHVISION, FROM_PYTORCHVIDEO, FROM_GITHUB, FROM_HUGGING_FACE))) == len(PUBLISHED)


@pytest.mark.parametrize("weights", FROM_GITHUB + FROM_HUGGING_FACE, ids=by_name)
def test_files_in_repositories_are_those_of_one_commit(weights):
    assert re.search(r"/[0-9a-f]{40}/", weights.url)


@pytest.mark.parametrize("weights", PUBLISHED, ids=by_name)
def test_all_is_said_about_the_weights(weights):
    assert weights.licence
    assert weights.source.startswith("https://")
    assert weights.url.startswith("https://")
    assert all(0.5 < value < 1 and name.startswith("kinetics400 hit@") for name, value in weights.metrics.items())
    assert re.fullmatch(r"[0-9a-f]{8}|", weights.sha256)
    assert re.fullmatch(r"[0-9a-f]{40}|", weights.git_blob)


@pytest.mark.parametrize("weights", FROM_TORCHVISION, ids=by_name)
def test_torchvisions_facts_are_those_of_the_installed_torchvision(weights):
    from torchvision.models import get_model_weights

    theirs = get_model_weights(weights.variant)["KINETICS400_V1"]
    input = published_card(weights).input
    assert weights.url == theirs.url
    assert weights.sha256 == torch.hub.HASH_REGEX.search(theirs.url).group(1)
    assert class_names(weights.labels) == tuple(theirs.meta["categories"])
    figures = {name.partition(",")[0]: 100 * value for name, value in weights.metrics.items()}
    measured = theirs.meta["_metrics"]["Kinetics-400"]
    assert figures == pytest.approx({f"kinetics400 hit@{k}": measured[f"acc@{k}"] for k in (1, 5)})

    told = {key: float(value) for key, value in re.findall(r"`(\w+)=([\d.]+)`", theirs.meta["_docs"])}
    views = next(iter(weights.metrics)).partition(", ")[2]
    assert views.startswith(f"{told['clips_per_video']:.0f} clip")
    assert views.endswith(f" at {told['frame_rate']:g} fps")
    assert input.fps == told["frame_rate"]
    assert f"{told['clip_len']:.0f} frames" in views or input.clip_len == told["clip_len"]
    recipe = theirs.transforms()
    assert input.size == tuple(recipe.crop_size)
    seen = input.squeezed or (input.short_side,)
    assert seen == tuple(recipe.resize_size)
    assert (input.mean, input.std) == (tuple(recipe.mean), tuple(recipe.std))


def test_class_names_are_kinetics_in_alphabetical_order():
    names = class_names("kinetics400")
    assert len(set(names)) == 400
    assert list(names) == sorted(names)
    assert (names[0], names[115], names[399]) == ("abseiling", "eating ice cream", "zumba")


def test_networks_of_boxes_name_the_actions_of_ava():
    card = published_card(find_published("slowfast_r50_detection"))
    assert (card.task, card.multi_label, len(set(card.labels))) == ("boxes", True, 80)
    # the numbers of AVA's file begin with 1
    assert [card.labels[number - 1] for number in (1, 12, 80)] == [
        "bend/bow (at the waist)",
        "stand",
        "watch (a person)",
    ]


# Names and shapes of the publishers' files


def fits(weights: Weights, theirs: torch.nn.Module | dict[str, torch.Tensor]) -> None:
    tensors = theirs.state_dict() if isinstance(theirs, torch.nn.Module) else theirs
    network = build_without_weights(weights.variant)
    assert network.num_classes == len(class_names(weights.labels))
    check_fit(convert(tensors, renames_of(weights)), network.state_dict(), weights.name, "")


@pytest.mark.parametrize("weights", FROM_TORCHVISION, ids=by_name)
def test_torchvisions_files_fit(weights):
    from torchvision.models import get_model

    with torch.device("meta"):
        fits(weights, get_model(weights.variant, weights=None))


HUB_NAMES = {
    "slowfast_r50_8x8": "slowfast_r50",
    "slowfast_r101_8x8": "slowfast_r101",
    "slowfast_r101_16x8": "slowfast_16x8_r101_50_50",
}


@pytest.mark.parametrize(
    "weights", [weights for weights in FROM_PYTORCHVIDEO if weights.name != "slowfast_r50_4x16"], ids=by_name
)
def test_pytorchvideos_files_fit_and_are_where_its_hub_says(weights):
    pytest.importorskip("pytorchvideo")
    hubs = [pytorchvideo_hub(name) for name in ("resnet", "slowfast", "x3d", "r2plus1d")]
    name = HUB_NAMES.get(weights.name, weights.name)
    hub = next(hub for hub in hubs if name in hub.checkpoint_paths)
    assert weights.url == hub.checkpoint_paths[name]
    with torch.device("meta"):
        fits(weights, getattr(hub, name)())


def pytorchvideo_hub(name: str):
    """A file of its hub alone: the package around it imports parts of torchvision that are gone."""
    from importlib.util import module_from_spec, spec_from_file_location

    folder = Path(importlib.import_module("pytorchvideo").__path__[0])
    spec = spec_from_file_location(f"pytorchvideo_hub_{name}", folder / "models" / "hub" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("videomae_base", "VideoMAE"),
        ("timesformer_base", "Timesformer"),
    ],
)
def test_hugging_faces_files_fit(name, kind):
    transformers = pytest.importorskip("transformers")
    with torch.device("meta"):
        config = getattr(transformers, f"{kind}Config")(num_labels=400)
        model = getattr(transformers, f"{kind}ForVideoClassification")(config)
    fits(find_published(name), model)


# Loading


@pytest.fixture
def publish(tmp_path, monkeypatch):
    """Let weights "tiny" be published: `slow_fusion_tiny` under other names, in a file that `write` makes."""
    monkeypatch.setenv("KINEMA_HOME", str(tmp_path / "home"))
    network = build("slow_fusion_tiny", num_classes=400).eval()
    theirs = {f"module.net.{name}": value for name, value in network.state_dict().items()}
    theirs = {name.replace("net.classifier", "fc"): value for name, value in theirs.items()}
    renames = (("net\\.", ""), ("fc\\.", "classifier."))
    monkeypatch.setattr("kinema.models.small.FROM_THEIRS", renames, raising=False)

    def publish(write, ending: str = ".pth", **about) -> torch.nn.Module:
        path = tmp_path / f"theirs{ending}"
        write(theirs, path)
        about = {"renames": "FROM_THEIRS", "input": {"window_s": 2.0}, **about}
        tiny = Weights("tiny", "slow_fusion_tiny", path.as_uri(), "kinetics400", "MIT", **about)
        monkeypatch.setattr(published, "PUBLISHED", (tiny, *PUBLISHED))
        return network

    return publish


def test_weights_are_fetched_converted_and_loaded(publish):
    own = publish(torch.save, metrics={"kinetics400 hit@1, 1 view": 0.6}, source="https://example.org")
    network, card = load_published("tiny")
    clip = torch.randn(1, *own.spec.shape)
    assert torch.equal(network(clip), own(clip))
    assert not network.training
    assert network.spec == card.input
    assert card.input.window_s == 2.0
    assert (card.variant, card.labels[:2]) == ("slow_fusion_tiny", ("abseiling", "air drumming"))
    assert card.metrics == {"kinetics400 hit@1, 1 view": 0.6}
    assert card.data["source"] == "https://example.org"


def save_wrapped(tensors: dict[str, torch.Tensor], path: Path) -> None:
    torch.save({"epoch": 3, "model_state": tensors}, path)


def save_as_of_old(tensors: dict[str, torch.Tensor], path: Path) -> None:
    """As torch did before 1.6, and before batch norms counted their batches."""
    kept = {name: value for name, value in tensors.items() if not name.endswith("num_batches_tracked")}
    torch.save(kept, path, _use_new_zipfile_serialization=False)


def save_safetensors(tensors: dict[str, torch.Tensor], path: Path) -> None:
    from safetensors.torch import save_file

    save_file({name.removeprefix("module."): value.contiguous() for name, value in tensors.items()}, path)


@pytest.mark.parametrize(
    ("write", "ending"), [(save_wrapped, ".pyth"), (save_as_of_old, ".pt"), (save_safetensors, ".safetensors")]
)
def test_publishers_formats_are_read(publish, write, ending):
    own = publish(write, ending)
    network, _ = load_published("tiny")
    clip = torch.randn(1, *own.spec.shape)
    assert torch.equal(network(clip), own(clip))


def test_the_first_download_is_remembered_and_later_ones_held_to_it(publish):
    publish(torch.save)
    load_published("tiny")
    kept = weights_path(published.find_published("tiny"))
    assert kept.with_name("tiny.pth.sha256").is_file()
    kept.unlink()
    publish(lambda tensors, path: torch.save({name: value + 1 for name, value in tensors.items()}, path))
    with pytest.raises(DownloadError, match="not the file of the first download"):
        load_published("tiny")


class Bomb:
    exploded = False

    def __reduce__(self):
        return (setattr, (Bomb, "exploded", True))


def test_what_is_pickled_in_a_file_is_never_run_and_the_file_not_kept(publish):
    publish(lambda tensors, path: torch.save({**tensors, "bomb": Bomb()}, path))
    with pytest.raises(CheckpointError, match="cannot read weights"):
        load_published("tiny")
    assert not Bomb.exploded
    assert not weights_path(published.find_published("tiny")).exists()


def test_a_login_page_instead_of_weights_is_not_kept(publish):
    publish(lambda tensors, path: path.write_text("<html>please log in</html>"))
    with pytest.raises(CheckpointError, match="cannot read weights"):
        load_published("tiny")
    assert not weights_path(published.find_published("tiny")).exists()


@pytest.mark.parametrize("change", ["missing", "shape"])
def test_other_weights_than_the_networks_are_refused(publish, change):
    def write(tensors, path):
        last = "module.fc.bias"
        changed = {"missing": {}, "shape": {last: torch.zeros(3)}}[change]
        torch.save({**{name: value for name, value in tensors.items() if name != last}, **changed}, path)

    publish(write)
    with pytest.raises(CheckpointError, match=r"do not fit the network \(classifier.bias is"):
        load_published("tiny")


def test_an_unknown_name_says_the_nearest():
    with pytest.raises(UnknownName, match="Did you mean slowfast_r50_8x8"):
        load_published("slowfast_r50_8x9")


def test_the_default_is_permissive_and_said_with_its_licence(tmp_path, monkeypatch):
    monkeypatch.setenv("KINEMA_HOME", str(tmp_path))
    assert published.describe_default() == (
        "no --model given: x3d_m (75.9% hit@1 on Kinetics-400; licence Apache-2.0); "
        f"downloaded once to {tmp_path}/weights/x3d_m.pyth"
    )
    weights_path(find_published(published.DEFAULT)).parent.mkdir()
    weights_path(find_published(published.DEFAULT)).touch()
    assert "downloaded" not in published.describe_default()
