"""One vector a clip, from the features or any layer, for films that are whole, broken or long."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from kinema import models
from kinema.errors import UnknownName, UnreadableVideo, UsageError
from kinema.inference import features as extractor
from kinema.inference.activations import pooled, reader
from kinema.inference.predictor import Predictor
from kinema.predictions import Failure
from kinema.weights.checkpoint import ModelCard


def test_features_follow_the_film(make_predictor, two_part_film):
    found, spans_s = make_predictor().features(two_part_film)
    assert found.shape == (len(spans_s), 1)
    assert found.dtype == np.float32
    assert spans_s[0, 0] == 0
    assert spans_s[-1, 1] == pytest.approx(4.0, abs=0.05)
    dark, light = spans_s[:, 1] <= 2, spans_s[:, 0] >= 2
    assert found[dark].max() < -1 < 1 < found[light].min()


def test_the_classifier_of_the_features_gives_the_scores_of_the_prediction(make_predictor, two_part_film):
    predictor = make_predictor()
    found, spans_s = predictor.features(two_part_film, step_s=0.5)
    timeline = predictor(two_part_film, step_s=0.5).timeline
    assert np.allclose(spans_s, timeline.spans_s)
    logits = predictor.network.classifier(torch.from_numpy(found))
    assert np.allclose(logits.softmax(1).detach().numpy(), timeline.raw, atol=1e-5)


def test_films_share_batches_come_in_order_and_a_broken_one_is_a_failure(make_predictor, two_part_film, text_file):
    predictor = make_predictor(batch_size=64)
    outcomes = list(predictor.extract([str(two_part_film), str(text_file), str(two_part_film)]))
    assert isinstance(outcomes[1], Failure)
    assert [outcome.path for outcome in outcomes] == [str(two_part_film), str(text_file), str(two_part_film)]
    first, last = (np.concatenate([rows for _, rows in outcome.chunks()]) for outcome in outcomes[::2])
    assert np.array_equal(first, last)
    assert predictor.network.largest_batch > len(first), "clips of two films went through the network together"
    with pytest.raises(UnreadableVideo):
        predictor.features(text_file)


def test_rows_of_a_long_film_come_in_pieces(make_predictor, two_part_film, monkeypatch):
    monkeypatch.setattr(extractor, "_ROWS", 3)
    monkeypatch.setattr(extractor, "_IN_MEMORY", 8)  # the rest waits on disk
    predictor = make_predictor()
    (film,) = predictor.extract([str(two_part_film)], step_s=0.25)
    pieces = list(film.chunks())
    assert max(len(rows) for _, rows in pieces) == 3
    assert np.array_equal(
        np.concatenate([rows for _, rows in pieces]), predictor.features(two_part_film, step_s=0.25)[0]
    )
    assert np.array_equal(np.concatenate([spans_s for spans_s, _ in pieces]), film.spans_s)


def test_a_film_with_lost_frames_says_how_many(make_predictor, damaged_video):
    (film,) = make_predictor().extract([str(damaged_video)], step_s=0.04)
    assert "frames could not be decoded" in film.damage
    assert len(list(film.chunks())) == 1


def test_one_film_that_waits_for_its_like_does_not_keep_all_others_in_memory(
    network, short_video, counting_video, monkeypatch
):
    """The short film has a whole clip, which alone makes no batch; windows of the others share their frames."""
    most, take = [0], extractor._Films.take

    def counted(films, item):
        take(films, item)
        most[0] = max(most[0], len(films.open))

    monkeypatch.setattr(extractor._Films, "take", counted)
    network.spec = network.spec.with_(sampling="spread", window_s=1.0)
    card = ModelCard.of(network, ("a", "b", "c"))
    predictor = Predictor(network, card, device="cpu", precision="f32", batch_size=2)
    outcomes = predictor.extract([str(short_video), *[str(counting_video)] * 20], step_s=0.32)
    assert sum(len(list(film.chunks())) for film in outcomes) == 21
    assert most[0] < 12


# Layers


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    spec = {"size": (32, 32), "clip_len": 3}
    return models.build("late_fusion", num_classes=3, backbone="test_resnet", spec=spec).eval()


@pytest.fixture(scope="module")
def clips(network):
    return torch.randn(2, *network.spec.shape)


def test_without_a_name_the_layer_is_what_stands_before_the_classifier(network, clips):
    torch.testing.assert_close(reader(network)(clips), network.features(clips))


def test_a_linear_layer_gives_its_output(network, clips):
    torch.testing.assert_close(reader(network, "classifier")(clips), network(clips))
    torch.testing.assert_close(reader(network, "joining")(clips), network.features(clips))


def convolution_of(network) -> str:
    return next(name for name, module in network.named_modules() if isinstance(module, nn.Conv2d))


@pytest.mark.parametrize(
    ("pool", "numbers"), [("mean", lambda x: x.mean((0, 2, 3))), ("max", lambda x: x.amax((0, 2, 3)))]
)
def test_maps_of_all_frames_of_a_clip_become_one_vector(network, clips, pool, numbers):
    name = convolution_of(network)
    frames = clips[1].transpose(0, 1)
    seen = []
    hook = network.get_submodule(name).register_forward_hook(lambda m, i, output: seen.append(output))
    network.backbone(frames)
    hook.remove()
    found = reader(network, name, pool)(clips)
    assert found.shape == (2, seen[0].shape[1])
    torch.testing.assert_close(found[1], numbers(seen[0]))
    assert reader(network, name, "none")(clips).shape == (2, seen[0].numel())


@pytest.mark.parametrize("shape", [(1, 8, 4, 5, 6), (4, 8, 5, 6), (1, 9, 8), (9, 8), (1, 8)])
def test_channels_are_found_in_maps_tokens_and_vectors(shape):
    """Second where there are maps, last where there are none."""
    channels = 1 if len(shape) > 3 else len(shape) - 1
    values = torch.arange(8.0).reshape([8 if axis == channels else 1 for axis in range(len(shape))]).expand(shape)
    assert pooled(values, "mean").tolist() == pooled(values, "max").tolist() == [[*range(8)]]


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.memory = nn.LSTM(3, 5, batch_first=True)
        self.idle = nn.Linear(2, 2)

    def forward(self, clip):
        return self.memory(clip.mean(dim=(3, 4)).transpose(1, 2))[0][:, -1]


def test_a_layer_that_gives_several_things_is_read_by_the_first(clips):
    network = Recurrent()
    output = network.memory(clips.mean(dim=(3, 4)).transpose(1, 2))[0]
    torch.testing.assert_close(reader(network, "memory")(clips), output.mean(1))


def test_wrong_layers_are_named_with_the_nearest(network, clips):
    with pytest.raises(UnknownName, match="joining"):
        reader(network, "joinin")
    with pytest.raises(UnknownName, match="mean"):
        reader(network, None, "meen")
    with pytest.raises(UsageError, match="not run"):
        reader(Recurrent(), "idle")(clips)


def test_a_layer_of_a_film(network, two_part_film):
    predictor = Predictor(network, ModelCard.of(network, ("a", "b", "c")), device="cpu", precision="f32")
    found, spans_s = predictor.features(two_part_film, layer=convolution_of(network), pool="max")
    assert found.shape[0] == len(spans_s)
    assert np.isfinite(found).all()
