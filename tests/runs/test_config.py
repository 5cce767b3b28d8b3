"""Settings of training runs: what they refuse, and what follows from them."""

from __future__ import annotations

import pytest

from kinema.clips.transforms import PRESETS
from kinema.datasets.dataset import DataSet
from kinema.errors import ConfigError
from kinema.labels import Labels
from kinema.runs.config import TrainConfig
from kinema.types import Example, InputSpec

DATA = DataSet("set", ".", (Example("1.mp4", ("left",)), Example("2.mp4", ("right",))), Labels(("left", "right")))


def config(**settings: object) -> TrainConfig:
    return TrainConfig(model="single_frame_tiny", **settings)


def test_augmentation_is_the_preset_with_the_changes_of_the_settings():
    assert config().augmentation() == PRESETS["standard"]
    changed = config(augment="light", flip=0.0, crop_scale=0.5, rotate=10.0).augmentation()
    preset = PRESETS["light"]
    assert (changed.flip, changed.scale, changed.rotate, changed.jitter) == (0.0, (0.5, 1.0), 10.0, preset.jitter)


def test_only_training_clips_are_augmented():
    spec = InputSpec()
    settings = config(mirror_labels=["left=right"])
    assert settings.label_flips(DATA).mirror == (1, 0)
    training = settings.clip_arguments(DATA, spec, training=True)
    assert training["augment"] is not None
    assert "augment" not in settings.clip_arguments(DATA, spec, training=False)


def test_flags_choose_their_task():
    assert config().task == "clip"
    assert config(each_step=True).task == config(task="frame").task == "frame"
    assert config(keep_features="kept", transfer="head").task == "kept"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"task": "kept"}, "--keep-features FOLDER"),
        ({"task": "frame", "keep_features": "kept"}, "--task kept"),
        ({"each_step": True, "task": "kept"}, "--task frame"),
        ({"resume": True}, "--out FOLDER"),
        ({"feature_views": 2}, "--keep-features"),
        ({"keep_features": "kept", "mirror_labels": ["left=right"]}, "--mirror-labels"),
        ({"valid_fraction": 1.0}, "--valid-fraction"),
    ],
)
def test_settings_that_do_not_fit_together_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        config(**settings)
