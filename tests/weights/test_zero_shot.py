"""Classes from words: the scores are those of the encoder's publisher, and go the way of every prediction."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from kinema.commands.predict import PredictConfig, predict
from kinema.errors import CheckpointError, ConfigError, UsageError
from kinema.weights.zero_shot import zero_shot

WORDS = ["<pad>", "<s>", "<unk>", "</s>", "a", "video", "of", "ice", "hockey", "fight", "crowd", "the"]
LABELS = ("ice hockey", "a fight", "the crowd")
_TOWER = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
_TEXT = {
    **_TOWER,
    **{
        "vocab_size": len(WORDS),
        "max_position_embeddings": 16,
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 3,
    },
}
_VISION = {**_TOWER, "image_size": 32, "patch_size": 8, "projection_dim": 20}


@pytest.fixture(scope="module")
def library() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = pytest.importorskip("transformers")
    found.utils.logging.disable_progress_bar()
    return found


def save_tokenizer(library: Any, folder: Path) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    words = Tokenizer(models.WordLevel({word: index for index, word in enumerate(WORDS)}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.post_processor = processors.TemplateProcessing("<s> $A </s>", None, [("<s>", 1), ("</s>", 3)])
    special = {"pad_token": "<pad>", "bos_token": "<s>", "unk_token": "<unk>", "eos_token": "</s>"}
    library.PreTrainedTokenizerFast(tokenizer_object=words, **special).save_pretrained(folder)


@pytest.fixture(scope="module")
def pair(library: Any, tmp_path_factory) -> Callable[[str], Path]:
    """The folder of a small CLIP or SigLIP whose frames and sentences lie far apart."""
    folders: dict[str, Path] = {}

    def folder(kind: str) -> Path:
        if kind not in folders:
            torch.manual_seed(0)
            own = {"projection_dim": 20} if kind == "CLIP" else {}
            config = getattr(library, f"{kind}Config")(text_config=_TEXT, vision_config=_VISION, **own)
            model = getattr(library, f"{kind}Model")(config)
            with torch.no_grad():
                for parameter in model.parameters():
                    if parameter.ndim > 1:
                        parameter.normal_(std=0.5)
                model.logit_scale.fill_(3)
            folders[kind] = tmp_path_factory.mktemp(kind)
            model.save_pretrained(folders[kind])
            save_tokenizer(library, folders[kind])
        return folders[kind]

    return folder


@pytest.fixture(scope="module")
def film(tmp_path_factory, write_frames: Callable[..., Path]) -> Path:
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 255, (6, 8, 3), dtype=np.uint8) for _ in range(3)]
    frames = [np.kron(pictures[index // 50], np.ones((8, 8, 1), np.uint8)) for index in range(150)]
    return write_frames(tmp_path_factory.mktemp("film") / "match.mp4", frames)


@pytest.mark.parametrize("kind", ["CLIP", "Siglip"])
def test_logits_are_those_of_the_publisher_averaged_over_frames(library: Any, pair, kind: str):
    network, card = zero_shot(f"hf:{pair(kind)}", LABELS)
    theirs = getattr(library, f"{kind}Model").from_pretrained(pair(kind)).eval()
    tokenizer = library.AutoTokenizer.from_pretrained(pair(kind))
    full = {"padding": "max_length", "max_length": 16} if kind == "Siglip" else {"padding": True}
    words = tokenizer([f"a video of {label}" for label in LABELS], return_tensors="pt", **full)
    given = {"input_ids": words["input_ids"]} | ({"attention_mask": words["attention_mask"]} if kind == "CLIP" else {})
    clip = torch.randn(2, *network.spec.shape)
    with torch.no_grad():
        frames = clip.transpose(1, 2).flatten(0, 1)
        expected = theirs(pixel_values=frames, **given).logits_per_image
        if kind == "Siglip":
            expected = expected - theirs.logit_bias  # the same for all classes
        expected = expected.unflatten(0, (2, -1)).mean(1)
        torch.testing.assert_close(network(clip), expected, rtol=1e-4, atol=1e-4)
    assert expected.std(dim=1).min() > 0.1
    assert card.labels == LABELS
    assert (network.spec.clip_len, network.spec.fps) == (4, 4.0)


def test_labels_share_the_prompt(pair):
    plain, _ = zero_shot(f"hf:{pair('CLIP')}", LABELS)
    other, _ = zero_shot(f"hf:{pair('CLIP')}", LABELS, "the crowd of {}")
    bare, _ = zero_shot(f"hf:{pair('CLIP')}", [f"a video of {label}" for label in LABELS], "{}")
    assert torch.equal(plain.classifier.weight, bare.classifier.weight)
    assert not torch.allclose(plain.classifier.weight, other.classifier.weight)


def test_predict_finds_words_along_a_film(pair, film: Path, capsys):
    config = PredictConfig(
        model=f"hf:{pair('CLIP')}", labels=" ice hockey, a fight,the crowd, ", json=True, device="cpu", precision="f32"
    )
    assert predict([str(film)], config) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["timeline"]["labels"] == list(LABELS)
    scores = np.array(found["timeline"]["scores"])
    assert len(scores) >= 5
    assert scores.sum(axis=1) == pytest.approx(1, abs=1e-3)
    assert len({tuple(row) for row in scores.round(3)}) >= 3  # three pictures, one after the other
    assert {entry["label"] for entry in found["top"]} == set(LABELS)
    assert found["segments"][-1]["end_s"] == pytest.approx(6, abs=0.1)


def test_wrong_requests_say_what_to_do(pair, film: Path, tmp_path):
    clip = f"hf:{pair('CLIP')}"
    for given, message in (
        ({"labels": "ice hockey", "model": clip}, "at least two"),
        ({"labels": "ice, ice", "model": clip}, "at least two different"),
        ({"labels": "ice, crowd", "model": clip, "prompt": "a video"}, "a place for the label"),
        ({"labels": "ice, crowd", "model": "runs/a"}, "need an encoder of images and text"),
        ({"model": clip}, "needs labels"),
    ):
        with pytest.raises(UsageError, match=message):
            predict([str(film)], PredictConfig(**given))


def test_folders_without_words_are_told(library: Any, pair, tmp_path):
    video = library.VideoMAEModel(library.VideoMAEConfig(num_frames=2, image_size=16, patch_size=8, **_TOWER))
    video.save_pretrained(tmp_path / "video")
    with pytest.raises(ConfigError, match="has no text encoder"):
        zero_shot(f"hf:{tmp_path / 'video'}", LABELS)
    bare = tmp_path / "bare"
    library.CLIPModel.from_pretrained(pair("CLIP")).save_pretrained(bare)
    with pytest.raises(CheckpointError, match="cannot read"):
        zero_shot(f"hf:{bare}", LABELS)
