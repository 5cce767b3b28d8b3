from __future__ import annotations

import json

import numpy as np
import pytest
import torch

import kinema
from kinema.errors import CheckpointError, UsageError, VideoError
from kinema.inference.predictor import Failure, Predictor, load
from kinema.predictions import Prediction
from kinema.weights.open import checkpoint_folder


def test_a_video_of_two_parts_gives_two_segments(make_predictor, two_part_film) -> None:
    prediction = make_predictor()(two_part_film)
    assert [segment.label for segment in prediction.segments] == ["dark", "light"]
    assert prediction.segments[0].span.end_s == pytest.approx(2.0, abs=0.3)
    assert prediction.segments[-1].span.end_s == pytest.approx(4.0, abs=0.1)
    assert prediction.scores.sum() == pytest.approx(1)
    assert prediction.scores == pytest.approx([0.5, 0.5], abs=0.1)


def test_json_has_the_promised_shape(make_predictor, two_part_film) -> None:
    found = json.loads(make_predictor()(two_part_film).to_text("json"))
    assert {"path", "duration_s", "top", "timeline", "segments"} <= set(found)
    assert found["top"][0].keys() == {"label", "score"}
    timeline = found["timeline"]
    assert len(timeline["scores"]) == len(timeline["times_s"])
    assert timeline["labels"] == ["dark", "light"]
    assert found["segments"][0].keys() == {"start_s", "end_s", "label", "score"}
    assert found["duration_s"] == 4.0


def test_scores_do_not_depend_on_what_shares_the_batch(make_predictor, two_part_film, counting_video) -> None:
    alone = make_predictor(batch_size=1)(two_part_film)
    together = list(make_predictor(batch_size=5).predict_many([counting_video, two_part_film, counting_video]))
    np.testing.assert_allclose(together[1].timeline.scores, alone.timeline.scores, atol=1e-6)
    np.testing.assert_allclose(together[0].scores, together[2].scores, atol=1e-6)


def test_one_bad_file_does_not_end_the_run(make_predictor, two_part_film, text_file, tmp_path) -> None:
    paths = [text_file, two_part_film, tmp_path / "missing.mp4", two_part_film]
    outcomes = list(make_predictor().predict_many(paths))
    assert [type(outcome) for outcome in outcomes] == [Failure, Prediction, Failure, Prediction]
    assert [outcome.path for outcome in outcomes] == [str(path) for path in paths]
    assert set(outcomes[0].to_json()) == {"path", "error"}


def test_calling_with_a_bad_file_raises(make_predictor, text_file) -> None:
    with pytest.raises(VideoError):
        make_predictor()(text_file)


def test_rolling_average_keeps_the_raw_scores_beside(make_predictor, two_part_film) -> None:
    predictor = make_predictor()
    plain, smooth = predictor(two_part_film, step_s=0.1), predictor(two_part_film, step_s=0.1, rolling=8)
    np.testing.assert_array_equal(smooth.timeline.raw, plain.timeline.scores)
    assert np.abs(np.diff(smooth.timeline.scores[:, 0])).max() < np.abs(np.diff(plain.timeline.scores[:, 0])).max()
    assert smooth.timeline.rolling == 8


def test_crops_and_clips_give_more_views(make_predictor, two_part_film) -> None:
    predictor = make_predictor(sampling="spread", window_s=4.0)
    predictor(two_part_film, num_clips=3, num_crops=3)
    assert predictor.network.num_seen == 9


def test_no_more_clips_at_once_than_the_batch_size(make_predictor, two_part_film) -> None:
    predictor = make_predictor(batch_size=4)
    predictor(two_part_film, step_s=0.1, num_crops=3)
    assert predictor.network.num_seen > 30
    assert predictor.network.largest_batch == 4


def test_nothing_to_predict_gives_nothing(make_predictor) -> None:
    assert list(make_predictor().predict_many([])) == []


def test_an_image_and_a_folder_of_images_are_videos_too(make_predictor, still_image, image_folder) -> None:
    outcomes = list(make_predictor().predict_many([still_image, image_folder]))
    assert all(isinstance(outcome, Prediction) for outcome in outcomes)


def test_leaving_early_ends_the_threads(make_predictor, two_part_film) -> None:
    import threading

    outcomes = make_predictor().predict_many([two_part_film] * 20, step_s=0.1)
    next(outcomes)
    outcomes.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("decode-")]


def test_a_diverged_network_is_an_error_not_a_result(make_predictor, two_part_film) -> None:
    predictor = make_predictor()
    with torch.no_grad():
        predictor.network.classifier.weight.fill_(float("nan"))
    with pytest.raises(CheckpointError, match="not numbers"):
        predictor(two_part_film)


def test_features_of_a_diverged_network_are_an_error_too(make_predictor, two_part_film, monkeypatch) -> None:
    predictor = make_predictor()
    monkeypatch.setattr(predictor.network, "features", lambda clip: clip.mean(dim=(1, 2, 3, 4))[:, None] * np.nan)
    with pytest.raises(CheckpointError, match="not numbers"):
        predictor.features(two_part_film)


@pytest.mark.parametrize("share_frames", [False, True])
def test_damage_counts_the_lost_frames(make_predictor, damaged_video, share_frames) -> None:
    prediction = make_predictor()(damaged_video, step_s=0.04, share_frames=share_frames)
    assert "frames could not be decoded" in prediction.damage
    assert prediction.to_json()["damage"] == prediction.damage


def test_load_takes_a_checkpoint_and_a_run_folder(tmp_path, two_part_film) -> None:
    from kinema import models
    from kinema.weights.checkpoint import ModelCard, save_checkpoint

    network = models.build("single_frame_tiny", num_classes=2)
    save_checkpoint(tmp_path / "run" / "best", network, ModelCard.of(network, ("dark", "light")))
    assert checkpoint_folder(tmp_path / "run") == tmp_path / "run" / "best"
    for path in (tmp_path / "run", tmp_path / "run" / "best"):
        predictor = load(path, device="cpu")
        assert isinstance(predictor, Predictor)
        assert predictor(two_part_film).label in ("dark", "light")
    assert kinema.load is load
    with pytest.raises(CheckpointError):
        load(tmp_path / "nothing")


def test_a_list_gives_a_list_in_which_failures_stand(make_predictor, two_part_film, text_file) -> None:
    predictor = make_predictor()
    found = predictor([two_part_film, text_file], rolling=2)
    assert [type(outcome) for outcome in found] == [Prediction, Failure]
    assert found[0].timeline.rolling == 2
    assert predictor([]) == []
    with pytest.raises(UsageError, match="not the path of a video: 0: give a path"):
        predictor(0)


def test_the_options_in_use_are_named(make_predictor) -> None:
    options = make_predictor().options
    assert (options.device, options.precision) == ("cpu", "f32")
    assert options.engine in ("torch", "openvino")
    assert options.batch_size >= 1
