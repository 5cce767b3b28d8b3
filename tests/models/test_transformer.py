"""Vision transformers over time: parity with transformers, published counts, padding, and learning motion."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

from kinema.errors import ConfigError
from kinema.inspection.summary import summarize
from kinema.models import VARIANTS, build, build_without_weights
from kinema.models.state_dict import check_fit
from kinema.models.transformer import FROM_TRANSFORMERS, padded, sinusoids
from kinema.weights.convert import convert

TINY = {"hidden_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 512, "num_labels": 5}
NETWORKS = {"videomae_base": "VideoMAE", "timesformer_base": "Timesformer"}


@pytest.fixture(scope="module")
def library() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("transformers")


def reference(library: Any, name: str, **config: Any) -> nn.Module:
    """Transformers' network, with weights large enough for attention to choose."""
    torch.manual_seed(0)
    kind = NETWORKS[name]
    model = getattr(library, f"{kind}ForVideoClassification")(getattr(library, f"{kind}Config")(**config))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.1 if parameter.ndim > 1 else 0.3)
    return model.eval()


def check_parity(theirs: nn.Module, name: str, **ours: Any) -> None:
    network = build(name, num_classes=theirs.config.num_labels, **ours).eval()
    state = convert(theirs.state_dict(), FROM_TRANSFORMERS)
    check_fit(state, network.state_dict(), name, "")
    network.load_state_dict(state)
    clip = torch.randn(1, *network.spec.shape, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = theirs(clip.transpose(1, 2)).logits
        torch.testing.assert_close(network(clip), expected, rtol=1e-4, atol=1e-4)
    assert expected.std() > 0.1


@pytest.mark.parametrize(("name", "tubelet"), [("videomae_base", 2), ("timesformer_base", 1)])
def test_logits_are_those_of_transformers(library: Any, name: str, tubelet: int):
    theirs = reference(library, name, num_frames=6, image_size=32, patch_size=8, **TINY)
    ours = {"width": 128, "depth": 2, "patch": (tubelet, 8, 8), "spec": {"clip_len": 6, "size": (32, 32)}}
    check_parity(theirs, name, **ours)


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_logits_at_full_size_are_those_of_transformers(library: Any, name: str):
    theirs = reference(library, name, num_labels=400)
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.mul_(0.3)
    check_parity(theirs, name)


def test_files_on_the_hub_name_biases_as_older_versions_did(library: Any):
    theirs = reference(library, "videomae_base", num_frames=2, image_size=16, patch_size=8, **TINY).state_dict()
    pairs = (("query.bias", "q_bias"), ("value.bias", "v_bias"))
    older = {renamed(name, dict(pairs)): value for name, value in theirs.items()}
    newer = {renamed(name, {old: new for new, old in pairs}): value for name, value in theirs.items()}
    assert older.keys() != newer.keys()
    assert convert(older, FROM_TRANSFORMERS).keys() == convert(newer, FROM_TRANSFORMERS).keys()


def renamed(name: str, endings: dict[str, str]) -> str:
    ending = next((ending for ending in endings if name.endswith(ending)), "")
    return name.removesuffix(ending) + endings[ending] if ending else name


@pytest.mark.parametrize(
    ("name", "params", "gmacs"), [("videomae_base", 87e6, 180), ("timesformer_base", 121.4e6, 196)]
)
def test_counts_are_those_of_the_papers(name: str, params: float, gmacs: float):
    found = summarize(build_without_weights(name))
    assert found.params == pytest.approx(params, rel=0.01)
    assert found.macs / 1e9 == pytest.approx(gmacs, rel=0.01)


def test_small_one_is_small():
    found = summarize(build_without_weights("video_vit_small", num_classes=17))
    assert found.params < 2e6
    assert 0.1e9 < found.macs < 0.5e9


def test_rows_over_time_go_through_each_layer_at_once():
    """In rows that lie apart torch multiplies each by a copy of the weights, which took three times as long."""
    network = narrow(attention="divided", patch=(1, 8, 8), convolutions=False).eval()
    bf16 = torch.autocast("cpu", torch.bfloat16)
    with torch.inference_mode(), bf16, profile(activities=[ProfilerActivity.CPU]) as seen:
        network(torch.randn(1, *network.spec.shape))
    called = {event.key for event in seen.key_averages()}
    assert "aten::addmm" in called
    assert "aten::bmm" not in called


@pytest.mark.parametrize("attention", ["joint", "divided"])
def test_tokens_see_the_whole_clip_and_only_divided_attention_learns_where_they_are(attention: str):
    patch = (2, 8, 8) if attention == "joint" else (1, 8, 8)
    torch.manual_seed(0)
    network = narrow(attention=attention, patch=patch, convolutions=False).eval()
    clip = torch.randn(1, *network.spec.shape)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(4)  # as they start, weights hardly look at the clip
        assert not torch.allclose(network(clip), network(clip.flip(2)), atol=1e-5)  # the order of the frames counts
    learned = {name for name, _ in network.embedding.named_parameters() if "projection" not in name}
    assert learned == (set() if attention == "joint" else {"class_token", "positions", "times"})


def test_what_does_not_divide_by_the_patch_is_padded_not_cut():
    clip = torch.arange(5.0).view(1, 1, 5, 1, 1).expand(1, 1, 5, 9, 8)
    whole = padded(clip, (2, 4, 4))
    assert whole.shape == (1, 1, 6, 12, 8)
    assert whole[0, 0, :, 0, 0].tolist() == [0, 1, 2, 3, 4, 4]
    network = build("video_vit_small", num_classes=2, spec={"clip_len": 5, "size": (40, 56)}).eval()
    frames = torch.zeros(2, 3, 5, 40, 56)
    frames[1, :, 4, 39, 55] = 5  # the very last pixel
    with torch.no_grad():
        first, second = network(frames)
    assert not torch.allclose(first, second, atol=1e-6)


def test_sinusoids_start_with_zero_and_turn_more_slowly_along_the_width():
    table = sinusoids(50, 8)[0]
    assert table[0].tolist() == [0, 1] * 4
    torch.testing.assert_close(table[:, 0], torch.arange(50.0).sin())
    torch.testing.assert_close(table[:, 6], (torch.arange(50.0) / 1000).sin())


def test_impossible_ones_are_refused():
    with pytest.raises(ConfigError, match="multiple of 64"):
        build("video_vit_small", width=100)
    with pytest.raises(ConfigError, match="one frame"):
        build("timesformer_base", patch=[2, 16, 16])
    with pytest.raises(ConfigError, match="powers of two"):
        build("video_vit_small", patch=[2, 12, 12])


def test_they_export_and_run_in_half_precision():
    for name, arguments in (("video_vit_small", {}), ("timesformer_base", {"width": 64, "depth": 1})):
        network = build(name, num_classes=3, spec={"clip_len": 4, "size": (32, 32)}, **arguments).eval()
        clip = torch.randn(1, *network.spec.shape)
        program = torch.export.export(network, (clip,))
        with torch.no_grad():
            torch.testing.assert_close(program.module()(clip), network(clip), rtol=1e-4, atol=1e-5)
            with torch.autocast("cpu", torch.bfloat16):
                assert network(clip).isfinite().all()


def narrow(**arguments: Any) -> nn.Module:
    spec = {"clip_len": 8, "size": (32, 32)}
    return build("video_vit_small", num_classes=2, spec=spec, **{"width": 64, "depth": 2, **arguments})


def moving_texture(count: int, rng: torch.Generator, shuffled: bool = False) -> tuple[Tensor, Tensor]:
    """A wrapped texture that moves 2 pixels a frame to the left (0) or to the right (1): no single frame tells."""
    sides = torch.randint(0, 2, (count,), generator=rng)
    texture = torch.randn(count, 3, 8, 8, generator=rng).repeat_interleave(4, 2).repeat_interleave(4, 3)
    clips = torch.empty(count, 3, 8, 32, 32)
    for index, side in enumerate(sides.tolist()):
        start = int(torch.randint(0, 32, (1,), generator=rng))
        order = torch.randperm(8, generator=rng).tolist() if shuffled else range(8)
        for place, step in enumerate(order):
            clips[index, :, place] = texture[index].roll(start + (2 if side else -2) * step, 2)
    return clips, sides


def test_small_one_learns_which_way_things_move():
    torch.manual_seed(0)
    rng = torch.Generator().manual_seed(0)
    network = narrow(patch=(2, 8, 8))
    steps = 45
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3, weight_decay=0.01)
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = 3e-3 * min((step + 1) / 10, (steps - step) / 20, 1)
        clips, sides = moving_texture(24, rng)
        loss = nn.functional.cross_entropy(network(clips), sides)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    network.eval()
    with torch.no_grad():
        rates = []
        for shuffled in (False, True):
            clips, sides = moving_texture(100, rng, shuffled)
            rates.append((network(clips).argmax(1) == sides).float().mean().item())
    assert rates[0] >= 0.9
    assert rates[1] <= 0.7


def test_published_inputs_are_the_variants_own():
    assert VARIANTS["videomae_base"].input.shape == (3, 16, 224, 224)
    assert VARIANTS["videomae_base"].input.frame_stride == 4
    assert VARIANTS["timesformer_base"].input.shape == (3, 8, 224, 224)
    assert VARIANTS["timesformer_base"].input.frame_stride == 32
