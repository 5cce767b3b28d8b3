"""Optical flow as a user meets it: `kinema flow`, training, judging, predicting and watching."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np

from kinema import cli
from kinema.weights.checkpoint import load_checkpoint, read_card

FAST = ["--batch-size", "8", "--workers", "0", "--precision", "f32"]


def kept_in(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.flow"))


def test_training_fills_the_cache_and_the_checkpoint_names_its_method(films, flow_run):
    assert len(kept_in(films / ".kinema" / "flow")) == 8 * 3
    card = read_card(flow_run / "best")
    assert (card.input.modality, card.input.flow, card.input.clip_len) == ("flow", "dis", 3)


def test_a_network_for_flow_is_judged_and_predicts(run_json, films, flow_run, capsys):
    before = {path: path.stat().st_mtime_ns for path in kept_in(films / ".kinema" / "flow")}
    split = str(flow_run / "split.csv")
    status, found = run_json("evaluate", str(flow_run), split, "--workers", "0", "--precision", "f32")
    assert status == 0
    assert found["num_videos"] == 8
    assert {path: path.stat().st_mtime_ns for path in kept_in(films / ".kinema" / "flow")} == before
    assert not kept_in(flow_run)
    film = str(next(films.glob("valid/left/*.mp4")))
    status, found = run_json("predict", film, "--model", str(flow_run), "--precision", "f32", "--clips", "2")
    assert status == 0
    assert len(found["top"]) == 5
    assert cli.run(["watch", film, "--model", str(flow_run), "--seconds", "1", "--json"]) == 0


def test_predicting_sees_what_judging_sees(films, flow_run):
    import torch

    from kinema.clips.flow import channels_at
    from kinema.clips.transforms import decode_size, view_transform
    from kinema.clips.windows import WindowOptions, plan_windows
    from kinema.inference.reader import ClipReader, ClipViews
    from kinema.video import open_video

    spec = load_checkpoint(flow_run / "best")[0].spec
    film = str(next(films.glob("valid/up/*.mp4")))
    (clip,) = [item.views for item in ClipReader(spec, WindowOptions()).read(0, film) if isinstance(item, ClipViews)]
    with open_video(film) as video:
        frames = plan_windows(spec, video.times_s, video.info.duration_s).frames[0]
        size = decode_size(spec, train=False)
        wanted = channels_at(frames, len(video), spec, lambda numbers: video.frames_at(numbers, size))
    assert torch.equal(clip, view_transform(spec)(torch.from_numpy(wanted).permute(0, 3, 1, 2)))


def test_another_methods_flow_is_refused(fails, films, flow_run, frame_run, tmp_path, capsys):
    film = str(next(films.glob("valid/left/*.mp4")))
    for arguments, said in [
        (["evaluate", str(flow_run), str(films), "--flow-method", "farneback"], "learned from dis flow"),
        (["predict", film, "--model", str(flow_run), "--flow-method", "tvl1"], "learned from dis flow"),
        (["predict", film, "--model", str(frame_run), "--flow-method", "dis"], "sees RGB only"),
        (["flow", str(films), "--model", str(flow_run), "--method", "farneback"], "learned from dis flow"),
        (["flow", str(films), "--model", "single_frame_small"], "sees no optical flow"),
        (["flow", str(films), "--model", "temporal_stram"], "temporal_stream"),
        (["train", str(films), "--model", "single_frame_small", "--flow-method", "dis"], "no optical flow"),
        (["train", str(films), "--model", "temporal_stream_small", "--init", str(flow_run), "--flow-method", "farneback"],
         "--flow-method"),
    ]:  # fmt: skip
        status, err = fails(*arguments)
        assert (status, err.count("\n")) == (2, 1), err
        assert said in err
    (tmp_path / "file").write_text("in the way")
    command = ["train", str(films), "--model", "temporal_stream_small", "--flow-cache", str(tmp_path / "file")]
    status, err = fails(*command, "--out", str(tmp_path / "run"))
    assert (status, err.count("\n")) == (1, 1)
    assert "--flow-cache" in err
    assert not (tmp_path / "run").exists()


def test_training_keeps_to_the_method_it_is_told(train_flow, films, tmp_path):
    out = train_flow(tmp_path / "run", "temporal_stream_small", "--flow-method", "farneback", "--flow-cache",
                  str(tmp_path / "kept"))  # fmt: skip
    assert read_card(out / "best").input.flow == "farneback"
    assert len(kept_in(tmp_path / "kept")) == 8 * 3


def test_flow_is_computed_ahead_goes_on_where_it_stopped_and_names_broken_files(run_json, films, tmp_path, capsys):
    place = tmp_path / "films"
    for label in ("left", "right"):
        (place / label).mkdir(parents=True)
        for number, film in enumerate(films.glob(f"train/{label}/*.mp4")):
            shutil.copy(film, place / label / f"{number}.mp4")
    (place / "left" / "broken.mp4").write_text("no film")
    command = ["flow", str(place), "--model", "temporal_stream_small", "--workers", "2"]
    status, found = run_json(*command)
    assert status == 1
    assert (found["num_computed"], found["num_there"], found["num_failed"]) == (4, 0, 1)
    assert found["failed"][0]["path"].endswith("broken.mp4")
    assert found["size"] == 110
    assert found["num_frames"] == 4 * 24
    assert found["bytes"] == sum(path.stat().st_size for path in kept_in(place / ".kinema" / "flow"))
    kept_in(place)[0].unlink()
    kept_in(place)[0].write_bytes(b"cut off")
    (place / "left" / "broken.mp4").unlink()
    status, found = run_json(*command)
    assert (status, found["num_computed"], found["num_there"]) == (0, 2, 2)
    status, found = run_json("flow", str(place), "--method", "farneback", "--size", "40x64", "--workers", "0")
    assert (found["num_computed"], found["size"]) == (4, [40, 64])


def test_both_modalities_are_learned_together(train_flow, run_json, films, tmp_path, capsys):
    out = train_flow(tmp_path / "run", "two_stream_small")
    network, card = load_checkpoint(out / "best")
    assert (network.spec.num_channels, card.input.modality) == (5, "rgb+flow")
    film = str(next(films.glob("valid/left/*.mp4")))
    assert run_json("predict", film, "--model", str(out))[0] == 0


def test_an_old_card_of_an_rgb_network_still_loads(frame_run, tmp_path):
    old = tmp_path / "old"
    shutil.copytree(frame_run / "best", old)
    card = json.loads((old / "model.json").read_text())
    del card["input"]["flow"]
    (old / "model.json").write_text(json.dumps(card))
    assert load_checkpoint(old)[0].spec.flow == ""


def test_a_comparison_takes_networks_with_and_without_flow(run_json, films, tmp_path, capsys):
    names = "single_frame_small,temporal_stream_small"
    command = ["compare", str(films), "--models", names, "--flow-method", "dis", "--epochs", "1", "--size", "32"]
    status, found = run_json(*command, "--clip-len", "3", "--clips", "1", "--out", str(tmp_path / "c"), *FAST)
    assert status == 0
    assert np.isfinite([row["video_hit_at_1"] for row in found["networks"]]).all()
