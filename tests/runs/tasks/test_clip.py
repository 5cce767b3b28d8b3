"""Task `clip`: scores of each video against its labels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from kinema.datasets.dataset import DataSet
from kinema.labels import Labels
from kinema.runs.judge import judge_network, open_for
from kinema.runs.options import ScoringOptions
from kinema.runs.score import Scored
from kinema.runs.tasks.clip import judge_scores
from kinema.types import Example, TimeSpan
from kinema.weights.checkpoint import ModelCard

CONFIG = {"device": "cpu", "workers": 0, "precision": "f32"}


def a_network():
    import torch
    from torch import nn

    from kinema.models.network import Network
    from kinema.types import InputSpec
    from kinema.weights.checkpoint import ModelCard

    class Brightness(Network):
        def __init__(self) -> None:
            super().__init__(InputSpec(clip_len=2, size=(16, 16), mean=(0.5,) * 3, std=(0.25,) * 3), 1, 2)
            with torch.no_grad():
                self.classifier.weight.copy_(torch.tensor([[-1.0], [1.0]]))

        def features(self, clip):
            return clip.mean(dim=(1, 2, 3, 4))[:, None]

        def stages(self) -> list[tuple[str, nn.Module]]:
            return []

    network = Brightness()
    return network, ModelCard("brightness", {}, ("dark", "light"), input=network.spec)


def test_a_network_that_knows_is_right_about_all(light_and_dark) -> None:
    network, card = a_network()
    data = open_for(card, str(light_and_dark)).part("valid")
    result = judge_network(network, card, data, ScoringOptions(clips=3, crops=3, **CONFIG))
    assert [result.figures[name] for name in ("video_hit_at_1", "clip_hit_at_1", "macro_f1")] == [1, 1, 1]
    assert result.protocol == "3x3"
    assert result.videos[0].scores.shape == (9, 2)
    assert result.loss < 0.1


def leaning():
    """A network that says "right" where the right half is brighter."""
    import torch
    from torch import nn

    from kinema.models.network import Network
    from kinema.types import InputSpec

    class Leaning(Network):
        def __init__(self) -> None:
            super().__init__(InputSpec(clip_len=2, size=(16, 16), mean=(0.5,) * 3, std=(0.25,) * 3), 1, 2)
            with torch.no_grad():
                self.classifier.weight.copy_(torch.tensor([[-3.0], [3.0]]))
                self.classifier.bias.copy_(torch.tensor([0.0, 0.0]))

        def features(self, clip):
            halves = clip.mean(dim=(1, 2, 3)).unflatten(-1, (2, 8)).mean(dim=-1)
            return (halves[:, 1] - halves[:, 0])[:, None]

        def stages(self) -> list[tuple[str, nn.Module]]:
            return []

    return Leaning()


def test_mirrored_views_speak_for_the_classes_that_theirs_turn_into(tmp_path, write_frames):
    from kinema.datasets import open_data
    from kinema.weights.checkpoint import ModelCard

    half = np.zeros((48, 64, 3), np.uint8)
    half[:, 32:] = 200
    for label, frame in (("left", half[:, ::-1]), ("right", half)):
        (tmp_path / label).mkdir()
        write_frames(tmp_path / label / "a.mp4", [frame] * 6)
    data, network = open_data(str(tmp_path)), leaning()
    options = ScoringOptions(**CONFIG, flips=True, clips=2)
    scores = {}
    for pairs in ([], ["left=right"]):
        card = ModelCard.of(network, ("left", "right"))
        card = replace(card, training={"mirror_labels": pairs})
        judged = judge_network(network, card, data, options)
        scores[bool(pairs)] = [video.video[video.targets[0]] for video in judged.videos]
    assert scores[False] == pytest.approx([0.5, 0.5], abs=0.02)  # a view and its mirror image cancel
    assert min(scores[True]) > 0.9


def test_judged_videos_know_their_group_or_else_their_file():
    spans = [TimeSpan(0, 1), TimeSpan(1, 2)]
    examples = (*(Example("1.mp4", ("a",), span) for span in spans), Example("2.mp4", ("b",), group="camera"))
    data = DataSet("films", ".", examples, Labels(("a", "b")))
    card = ModelCard("single_frame_tiny", {}, ("a", "b"))
    found = judge_scores(Scored({index: np.zeros((1, 2), np.float32) for index in range(3)}), data, card, "1x1")
    assert [video.group for video in found.videos] == ["1.mp4", "1.mp4", "camera"]
