from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kinema.datasets.located import LocatedSet, LocatedVideo
from kinema.errors import DataError, UsageError
from kinema.inference.localizer import Localizer
from kinema.inference.options import LocalizeOptions
from kinema.labels import Labels
from kinema.localization.grouping import GroupingOptions
from kinema.models import build
from kinema.predictions import Segment
from kinema.runs.choose_settings import card_to_change, choose_settings, save_grouping
from kinema.types import TimeSpan
from kinema.weights.checkpoint import CARD, WEIGHTS, ModelCard, load_checkpoint, save_checkpoint


@pytest.fixture(scope="module")
def flickering(tmp_path_factory, write_frames: Callable[..., Path]) -> LocatedSet:
    """Light from 2 to 5 s, with single dark frames in it, which are no action of their own."""
    folder, videos = tmp_path_factory.mktemp("flicker"), []
    for number, part in enumerate(("train", "train", "valid")):
        generator = np.random.default_rng(number)
        light = [50 <= i < 125 and (i < 55 or i > 120 or generator.random() > 0.25) for i in range(200)]
        frames = [np.full((32, 48, 3), 220 if on else 30, np.uint8) for on in light]
        path = write_frames(folder / f"{number}.mp4", frames)
        videos.append(LocatedVideo(str(path), (Segment(TimeSpan(2.0, 5.0), "light", 1.0),), part))
    return LocatedSet("flicker", str(folder), tuple(videos), Labels(("light",)))


def test_settings_reach_more_than_plain_argmax_on_the_training_part(make_predictor, flickering) -> None:
    localizer = Localizer(make_predictor(clip_len=1))
    chosen = choose_settings(localizer, flickering, LocalizeOptions(step_s=0.04), "edit-f1")
    assert chosen.part == "train"
    origin = chosen.grouping.origin
    assert origin is not None
    assert origin.num_videos == 2
    assert origin.plain < 0.6
    assert origin.reached > 0.99
    assert chosen.grouping.background == ("dark",)  # a class of which the data has no action
    predictor = make_predictor(clip_len=1)
    predictor.card = replace(predictor.card, grouping=chosen.grouping)
    (found,) = predictor.localize(flickering.videos[2].path, step_s=0.04).segments
    assert (found.span.start_s, found.span.end_s) == pytest.approx((2.0, 5.0), abs=0.2)


def test_classes_that_the_network_lacks_are_an_error_unless_they_are_background(make_predictor, flickering) -> None:
    odd = Segment(TimeSpan(6.0, 7.0), "jump", 1.0)
    videos = tuple(replace(video, segments=(*video.segments, odd)) for video in flickering.videos)
    data = replace(flickering, videos=videos, labels=Labels(("light", "jump")))
    with pytest.raises(DataError, match=r"network does not have: jump.*dark, light"):
        choose_settings(Localizer(make_predictor()), data, LocalizeOptions(), "map")


def test_the_card_keeps_all_else_and_the_weights_stay(tmp_path) -> None:
    folder = tmp_path / "run" / "best"
    network = build("single_frame_tiny", num_classes=2)
    save_checkpoint(folder, network, ModelCard.of(network, ("a", "b"), training={"epochs": 3}))
    values = json.loads((folder / CARD).read_text())
    (folder / CARD).write_text(json.dumps({**values, "of_a_newer_version": [1, 2]}))
    before = (folder / WEIGHTS).read_bytes()
    grouping = GroupingOptions(method="viterbi", change_cost=0.25, background=("a",))
    card = card_to_change(str(tmp_path / "run"))
    save_grouping(card, grouping)
    after = json.loads((folder / CARD).read_text())
    assert {name: value for name, value in after.items() if name != "grouping"} == {
        **values,
        "of_a_newer_version": [1, 2],
    }
    assert (folder / WEIGHTS).read_bytes() == before
    assert load_checkpoint(folder)[1].grouping == grouping
    assert sorted(path.name for path in folder.iterdir()) == sorted([CARD, WEIGHTS])


def test_published_weights_and_files_are_not_changed(tmp_path) -> None:
    file = tmp_path / "net.onnx"
    file.write_bytes(b"")
    for model in ("x3d_m", str(file)):
        with pytest.raises(UsageError, match="saved in a checkpoint"):
            card_to_change(model)
