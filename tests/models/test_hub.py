"""Encoders of transformers: every kind from a local folder, inputs, probes, checkpoints, and what is refused."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from kinema.errors import CheckpointError, ConfigError, UnknownName, UsageError
from kinema.inspection.summary import summarize
from kinema.models import build, build_without_weights
from kinema.models.hub import VideoEncoder
from kinema.training.options import FitOptions
from kinema.training.transfer import freeze
from kinema.weights.checkpoint import ModelCard, load_checkpoint, save_checkpoint

_TINY = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
_SMALL_CLIP = {"num_frames": 4, "image_size": 32}
_TOWERS = {
    "text_config": {**_TINY, "vocab_size": 50, "bos_token_id": 1, "eos_token_id": 2},
    "vision_config": {**_TINY, "image_size": 32, "patch_size": 8, "projection_dim": 20},
}
KINDS: dict[str, dict[str, Any]] = {
    "VideoMAE": {**_TINY, **_SMALL_CLIP, "patch_size": 8},
    "Timesformer": {**_TINY, **_SMALL_CLIP, "patch_size": 8},
    "Vivit": {**_TINY, **_SMALL_CLIP, "tubelet_size": [2, 8, 8]},
    "VJEPA2": {
        **{"hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2},
        **{"frames_per_clip": 4, "crop_size": 32, "patch_size": 8},
        **{"pred_hidden_size": 24, "pred_num_attention_heads": 2, "pred_num_hidden_layers": 1},
    },
    "VideoPrismVision": {
        **{"hidden_size": 32, "num_attention_heads": 4, "intermediate_size": 64, "tubelet_size": [1, 8, 8]},
        **{"num_spatial_layers": 2, "num_temporal_layers": 1, **_SMALL_CLIP},
    },
    "CLIP": {**_TOWERS, "projection_dim": 20},
    "Siglip": _TOWERS,
}
NUM_TOKENS = {
    "VideoMAE": 32,
    "Timesformer": 64,
    "Vivit": 32,
    "VJEPA2": 32,
    "VideoPrismVision": 64,
    "CLIP": 8,
    "Siglip": 8,
}


@pytest.fixture(scope="module")
def library() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = pytest.importorskip("transformers")
    found.utils.logging.disable_progress_bar()
    return found


@pytest.fixture(scope="module")
def published(library: Any, tmp_path_factory) -> Callable[[str], str]:
    """The folder that a publisher of an encoder of this kind would put on the hub."""
    folders: dict[str, str] = {}

    def folder(kind: str) -> str:
        if kind not in folders:
            if not hasattr(library, f"{kind}Config"):
                pytest.skip(f"this transformers has no {kind}")
            torch.manual_seed(0)
            folders[kind] = str(tmp_path_factory.mktemp(kind))
            model = getattr(library, f"{kind}Model")(getattr(library, f"{kind}Config")(**KINDS[kind]))
            model.save_pretrained(folders[kind])
        return folders[kind]

    return folder


def on(folder: str, **arguments: Any) -> VideoEncoder:
    network = build("video_encoder", backbone=f"hf:{folder}", num_classes=3, **arguments)
    assert isinstance(network, VideoEncoder)
    return network


def clips_for(network: VideoEncoder, count: int = 2) -> torch.Tensor:
    return torch.randn(count, *network.spec.shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_gives_tokens_and_learns(published, kind: str):
    network = on(published(kind))
    clips = clips_for(network)
    assert network.spec.shape == (3, 8 if kind in ("CLIP", "Siglip") else 4, 32, 32)
    assert network.encode(clips).shape == (2, NUM_TOKENS[kind], network.feature_dim)

    torch.nn.functional.cross_entropy(network(clips), torch.tensor([0, 1])).backward()
    idle = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert idle == []
    held = [id(parameter) for _, stage in network.stages() for parameter in stage.parameters()]
    assert sorted(held) == sorted(id(p) for name, p in network.named_parameters() if not name.startswith("classifier."))


@pytest.mark.parametrize("kind", KINDS)
def test_checkpoint_needs_the_publishers_folder_no_more(published, kind: str, tmp_path, monkeypatch):
    network = on(published(kind), probe_depth=1).eval()
    clips = clips_for(network)
    save_checkpoint(tmp_path / "checkpoint", network, ModelCard.of(network, ("a", "b", "c")))
    card = tmp_path / "checkpoint" / "model.json"
    card.write_text(card.read_text().replace(published(kind), "/gone/far"))
    monkeypatch.setattr("socket.socket.connect", _no_network)
    loaded, _ = load_checkpoint(tmp_path / "checkpoint")
    with torch.no_grad():
        assert torch.equal(loaded(clips), network(clips))
    assert loaded.spec == network.spec


def _no_network(*_: Any) -> None:
    raise AssertionError("nothing may be fetched")


def test_tokens_are_the_publishers(library: Any, published):
    network = on(published("VJEPA2")).eval()
    theirs = library.VJEPA2Model.from_pretrained(published("VJEPA2")).eval()
    clips = clips_for(network)
    with torch.no_grad():
        expected = theirs(clips.transpose(1, 2), skip_predictor=True).last_hidden_state
        torch.testing.assert_close(network.encode(clips), expected)


def test_tokens_of_timesformer_are_put_in_order_of_time(library: Any, published):
    network = on(published("Timesformer"), tokens="times").eval()
    theirs = library.TimesformerModel.from_pretrained(published("Timesformer")).eval()
    clips = clips_for(network)
    with torch.no_grad():
        tokens = theirs(clips.transpose(1, 2)).last_hidden_state[:, 1:]  # place by place, four frames of each
        expected = tokens.unflatten(1, (16, 4)).mean(1)
        torch.testing.assert_close(network.encode(clips), expected)


def test_class_token_alone_is_one_vector_a_clip(published):
    network = on(published("Vivit"), tokens="class", probe="mean")
    assert network.encode(clips_for(network)).shape == (2, 1, 32)
    with pytest.raises(ConfigError, match="has no class token"):
        on(published("VideoMAE"), tokens="class")
    with pytest.raises(ConfigError, match="meen"):
        on(published("VideoMAE"), probe="meen")


def test_pictures_are_seen_one_by_one(published):
    network = on(published("CLIP")).eval()
    clips = clips_for(network, 1)
    with torch.no_grad():
        whole = network.encode(clips)
        torch.testing.assert_close(network.encoder(clips[:, :, 3:4])[:, 0], whole[:, 3])


def test_the_head_is_the_probe_and_the_classifier(published):
    network = on(published("VideoMAE"))
    still = freeze(network, FitOptions(transfer="head"))
    assert len(still) == 3
    names = {name.partition(".")[0] for name, p in network.named_parameters() if p.requires_grad}
    assert names == {"probe", "classifier"}
    freeze(network, FitOptions(transfer="last:1"))
    names = {name for name, p in network.encoder.named_parameters() if p.requires_grad}
    assert names
    assert all("layer.1." in name for name in names)


@pytest.mark.parametrize(
    ("kind", "values", "expected"),
    [
        (
            "VJEPA2",
            {
                "image_mean": [0.485, 0.456, 0.406],
                "image_std": [0.229, 0.224, 0.225],
                "size": {"shortest_edge": 36},
                "crop_size": {"height": 32, "width": 32},
                "do_center_crop": True,
                "rescale_factor": 1 / 255,
            },
            {"mean": (0.485, 0.456, 0.406), "short_side": 36, "resize": "crop"},
        ),
        (
            "Vivit",  # (pixel / 127.5 - 1 - 0.5) / 0.5
            {"image_mean": [0.5] * 3, "image_std": [0.5] * 3, "rescale_factor": 1 / 127.5, "offset": True},
            {"mean": (0.75,) * 3, "std": (0.25,) * 3},
        ),
        (
            "VideoPrismVision",
            {"do_normalize": False, "size": {"height": 32, "width": 32}, "rescale_factor": 1 / 255},
            {"mean": (0.0,) * 3, "std": (1.0,) * 3, "resize": "stretch"},
        ),
        ("Siglip", None, {"mean": (0.5,) * 3, "std": (0.5,) * 3}),
    ],
)
def test_input_is_what_the_publisher_says(published, tmp_path, kind: str, values: Any, expected: dict[str, Any]):
    folder = copied(published(kind), tmp_path)
    if values is not None:
        (folder / "preprocessor_config.json").write_text(json.dumps(values))
    spec = build_without_weights("video_encoder", backbone=f"hf:{folder}").spec
    for name, value in expected.items():
        found = getattr(spec, name)
        assert found == pytest.approx(value) if isinstance(value, tuple) else found == value, name


def test_other_clips_fit_where_places_are_computed_and_are_refused_where_they_were_learned(published):
    longer = on(published("VJEPA2"), spec={"clip_len": 8, "size": (48, 48)})
    assert longer.encode(clips_for(longer)).shape == (2, 4 * 36, 48)
    with pytest.raises(ConfigError, match="takes only clips of 4 frames of 32x32"):
        on(published("Timesformer"), spec={"clip_len": 8})
    with pytest.raises(ConfigError, match="square clips"):
        on(published("VideoMAE"), spec={"size": (32, 48)})


def test_description_reads_no_weights(published, tmp_path):
    folder = copied(published("VideoMAE"), tmp_path)
    (folder / "model.safetensors").unlink()
    found = summarize(build_without_weights("video_encoder", backbone=f"hf:{folder}", num_classes=3))
    assert found.params > 30_000
    assert found.macs > 1_000_000


def test_pickled_weights_and_code_are_never_read(published, tmp_path, capsys):
    folder = copied(published("VideoMAE"), tmp_path)
    weights = folder / "model.safetensors"
    weights.rename(folder / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match="no file named model"):
        on(str(folder))
    config = {"model_type": "own", "auto_map": {"AutoConfig": "own.Own", "AutoModel": "own.Own"}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "own.py").write_text("print('running')")
    with pytest.raises(CheckpointError, match="cannot read"):
        on(str(folder))
    assert "running" not in capsys.readouterr().out


def test_damaged_and_foreign_folders_are_told_apart(published, tmp_path):
    folder = copied(published("VideoMAE"), tmp_path)
    tensors = _without(folder / "model.safetensors", "encoder.layer.1.output.dense.weight")
    with pytest.raises(CheckpointError, match=r"missing in this encoder.*encoder\.layer\.1"):
        on(str(folder))
    assert tensors
    (folder / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(ConfigError, match="is no video encoder"):
        on(str(folder))


def _without(path: Path, name: str) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file, save_file

    tensors = {key: value for key, value in load_file(path).items() if key != name}
    save_file(tensors, path, metadata={"format": "pt"})
    return tensors


def copied(source: str, target: Path) -> Path:
    import shutil

    return Path(shutil.copytree(source, target / "copy"))


def test_names_say_what_they_mean(published):
    with pytest.raises(UsageError, match="give --backbone hf:"):
        build("video_encoder")
    with pytest.raises(UsageError, match="needs an encoder of transformers: resnet50"):
        build("video_encoder", backbone="resnet50")
    with pytest.raises(UsageError, match="late_fusion takes no encoder"):
        build("late_fusion", backbone="hf:facebook/vjepa2-vitl-fpc64-256")
    with pytest.raises(UnknownName, match="Did you mean video_encoder"):
        build("video_encodre")
    with pytest.raises(UnknownName, match="Did you mean config"):
        on(published("VideoMAE"), backbone_args={"confg": {}})


def test_transformers_is_imported_only_when_it_is_asked_for():
    code = "import sys, kinema.weights.zero_shot, kinema.models.hub; print('transformers' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"


def test_without_transformers_the_extra_is_named(monkeypatch):
    from kinema.errors import MissingExtra

    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(MissingExtra, match=r"pip install 'kinema\[hub\]'"):
        build("video_encoder", backbone="hf:facebook/vjepa2-vitl-fpc64-256")
