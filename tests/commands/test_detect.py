import json
import logging

import numpy as np
import pytest

from kinema.commands.detect import DetectConfig, detect, nobody
from kinema.errors import UsageError
from kinema.tracks import VideoTracks
from kinema.types import VideoInfo
from kinema.video import VideoWriter, open_video


@pytest.fixture(scope="module")
def video(tmp_path_factory) -> str:
    """Half a second of grey, and boxes of two persons for it in boxes.txt."""
    folder = tmp_path_factory.mktemp("detect")
    with VideoWriter(folder / "grey.mp4", 10, (32, 64)) as writer:
        for _ in range(5):
            writer.write(np.full((32, 64, 3), 90, np.uint8))
    rows = [f"{frame},-1,{left},4,12,24,0.9\n" for frame in range(1, 6) for left in (2, 40)]
    (folder / "boxes.txt").write_text("".join(rows))
    return str(folder / "grey.mp4")


def config(video: str, **settings) -> DetectConfig:
    return DetectConfig(detector=video.replace("grey.mp4", "boxes.txt"), **settings)


def test_json_holds_tracks_and_is_read_back(video, capsys, tmp_path):
    assert detect([video], config(video, json=True)) == 0
    document = json.loads(capsys.readouterr().out)
    assert [(track["id"], track["labels"], len(track["boxes"])) for track in document["tracks"]] == [
        (1, [], 5),
        (2, [], 5),
    ]
    assert document["tracks"][1]["boxes"][0] == {"time_s": 0.0, "frame": 0, "box": [40, 4, 52, 28], "score": 0.9}
    (tmp_path / "found.json").write_text(json.dumps(document))
    assert detect([video], DetectConfig(detector=str(tmp_path / "found.json"), json=True)) == 0
    assert json.loads(capsys.readouterr().out)["tracks"] == document["tracks"]


def test_files_and_the_drawn_video_are_written(video, tmp_path):
    out, drawn = tmp_path / "out", tmp_path / "drawn.mp4"
    assert detect([video], config(video, format="mot", out=str(out), render=str(drawn))) == 0
    assert (out / "grey.txt").read_text().startswith("1,1,2.00,4.00,12.00,24.00,0.9000")
    assert (out / "report.html").exists()
    with open_video(str(drawn)) as found:
        assert found.info.num_frames == 5


def test_a_bad_file_is_named_and_the_others_are_done(video, tmp_path, capsys, caplog):
    (tmp_path / "text.mp4").write_text("no video")
    assert detect([str(tmp_path / "text.mp4"), video], config(video)) == 1
    assert "grey.mp4  2 persons" in capsys.readouterr().out
    assert "text.mp4" in caplog.text


def test_nobody_is_a_normal_answer_with_advice(video, capsys, caplog):
    with caplog.at_level(logging.INFO, "kinema"):
        assert detect([video], config(video, min_boxes=9)) == 0
    assert "nobody found" in capsys.readouterr().out
    assert "nobody was found" in caplog.text


def test_the_advice_says_the_best_score():
    info = VideoInfo("a.mp4", 5, 10.0, 0.5, 32, 64)
    assert "a score of 0.21, below 0.5): give a lower --min-score" in nobody(VideoTracks(info, (), 5, "d", 0.5, 0.21))
    assert "(no box)" in nobody(VideoTracks(info, (), 5, "d", 0.5, 0.0))
    assert "--min-boxes 1" in nobody(VideoTracks(info, (), 5, "d", 0.5, 0.9))


def test_several_videos_need_files_for_mot(video, tmp_path):
    with pytest.raises(UsageError, match="give --out FOLDER"):
        detect([video, str(tmp_path)], config(video, format="mot"))
