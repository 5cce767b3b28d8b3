"""The table of names holds what the families hold, and a network loads no module that it does not need."""

from __future__ import annotations

import dataclasses
import pkgutil
import subprocess
import sys
from importlib import import_module

import pytest

import kinema.models
from kinema.errors import ConfigError, UnknownName
from kinema.models import VARIANTS, build, is_network
from kinema.models.registry import ENCODER_VARIANTS, FAMILIES


def run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_table_names_the_variants_of_every_family_and_no_others():
    modules = [module.name for module in pkgutil.iter_modules(kinema.models.__path__)]
    found = {name: getattr(import_module(f"kinema.models.{name}"), "VARIANTS", {}) for name in modules}
    families = {name: tuple(variants) for name, variants in found.items() if variants and name != "registry"}
    assert families == {**FAMILIES, "hub": tuple(ENCODER_VARIANTS)}


def test_every_name_is_listed_once():
    names = [name for names in FAMILIES.values() for name in names]
    assert len(set(names)) == len(names) == len(VARIANTS)


def test_lookup_gives_the_variant_of_the_family():
    for name in VARIANTS:
        assert VARIANTS[name] is VARIANTS.module(name).VARIANTS[name]


def test_names_are_known_without_importing_a_family():
    code = (
        "import sys, kinema.weights.open as w; from kinema.models import VARIANTS, is_network\n"
        "assert len(list(VARIANTS)) == len(VARIANTS) > 100 and 'c3d' in VARIANTS and is_network('video_encoder')\n"
        "assert w.names_published('r3d_18') and w.looks_trained('x3d_s', ())\n"
        "from kinema.models.registry import FAMILIES\n"
        "print([name for name in FAMILIES if f'kinema.models.{name}' in sys.modules])"
    )
    assert run(code).strip() == "[]"


def test_prediction_loads_only_the_modules_of_its_network(tmp_path):
    """The layers come with `device` and `scorer`."""
    folder = str(tmp_path / "checkpoint")
    code = (
        "import sys, torch, numpy as np\n"
        "from kinema.inference.predictor import load\n"
        "from kinema.models import build\n"
        "from kinema.weights.checkpoint import ModelCard, save_checkpoint\n"
        "network = build('slow_fusion_tiny', num_classes=2)\n"
        f"save_checkpoint({folder!r}, network, ModelCard.of(network, ('a', 'b')))\n"
        f"predictor = load({folder!r}, engine='torch', device='cpu')\n"
        "scores = predictor.scorer(torch.zeros(1, *network.spec.shape, dtype=torch.uint8))\n"
        "assert scores.shape == (1, 2)\n"
        "print(*sorted(name for name in sys.modules if name.startswith('kinema.models')))"
    )
    light = "backbone device hub_access limits network registry small state_dict variant"
    layers = "cpu_workarounds depthwise grey_time onednn_conv parts short_clips"
    expected = {"kinema.models", "kinema.models.layers", *(f"kinema.models.{name}" for name in light.split())}
    expected |= {f"kinema.models.layers.{name}" for name in layers.split()}
    assert set(run(code).split()) == expected


def test_unknown_network_names_the_nearest():
    with pytest.raises(UnknownName, match="Did you mean r2plus1d_18"):
        build("r2plus1d_81")
    assert not is_network("r2plus1d_81")


def test_unknown_argument_names_the_nearest():
    with pytest.raises(UnknownName, match="Did you mean dropout"):
        build("slow_fusion_tiny", droput=0.5)


def test_impossible_input_is_a_config_error():
    with pytest.raises(ConfigError, match="impossible input of a network"):
        build("slow_fusion_tiny", spec={"clip_len": 0})
    with pytest.raises(UnknownName, match="no input setting called 'clip_length'"):
        build("slow_fusion_tiny", spec={"clip_length": 8})


@pytest.mark.parametrize(
    "error",
    [ZeroDivisionError, AssertionError, AttributeError, KeyError, IndexError, RuntimeError, TypeError, ValueError],
)
def test_whatever_a_constructor_raises_for_its_arguments_is_a_config_error(error, monkeypatch):
    def build_tiny(spec, num_classes, width=8):
        raise error("width")

    variant = dataclasses.replace(VARIANTS["slow_fusion_tiny"], builder=build_tiny, arguments={})
    monkeypatch.setattr("kinema.models.registry.find_variant", lambda name: variant)
    with pytest.raises(ConfigError, match=r"slow_fusion_tiny cannot be built like this: .*width"):
        build("slow_fusion_tiny", width=0)


def test_a_lack_of_memory_is_not_taken_for_a_wrong_argument(monkeypatch):
    def build_tiny(spec, num_classes, width=8):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    variant = dataclasses.replace(VARIANTS["slow_fusion_tiny"], builder=build_tiny, arguments={})
    monkeypatch.setattr("kinema.models.registry.find_variant", lambda name: variant)
    with pytest.raises(RuntimeError, match="allocate"):
        build("slow_fusion_tiny", width=1 << 30)


def test_dropout_of_a_fused_network_is_that_of_its_members():
    network = build("fused", num_classes=2, dropout=0.7)
    assert [member.dropout.p for member in network.members] == [0.7, 0.7]
    assert network.arguments == {"dropout": 0.7, "num_classes": 2}
    again = build("fused", **network.arguments)
    assert list(again.state_dict()) == list(network.state_dict())


def test_unknown_member_is_named():
    with pytest.raises(ConfigError, match="no network called 'c4d'"):
        build("fused", members=[{"variant": "c4d"}])
