"""Which frames stand for others, and that the exact reader does not change beside it."""

from __future__ import annotations

import av
import numpy as np
import pytest

from kinema.video import open_video

KEYS = [0, 48, 96]  # of `counting_video`
X264 = {"crf": "18", "sc_threshold": "0", "threads": "1", "g": "48"}


def near(video, wanted, how, size=None):
    return dict(video.frames_near(np.array(wanted), how, size))


def test_keyframes_stand_for_what_follows_them(counting_video, read_count) -> None:
    with open_video(counting_video) as video:
        found = near(video, [0, 10, 47, 95, 96, 119], "keyframes")
    assert {number: read_count(frame) for number, frame in found.items()} == {0: 0, 48: 48, 96: 96}


def test_a_keyframe_that_nobody_needs_is_not_decoded(counting_video) -> None:
    with open_video(counting_video) as video:
        assert list(near(video, [100, 110], "keyframes")) == [96]


def test_only_keyframes_are_fed_to_the_decoder(counting_video, monkeypatch) -> None:
    with open_video(counting_video) as video:
        sent = []
        send = video._send
        monkeypatch.setattr(video, "_send", lambda packet: sent.append(packet) or send(packet))
        assert list(near(video, range(120), "keyframes")) == KEYS
        assert [packet.is_keyframe for packet in sent if packet is not None].count(False) < 10


@pytest.mark.parametrize("options", [{"bf": "3"}, {"bf": "3", "x264-params": "b-pyramid=none"}, {"bf": "0"}])
def test_frames_referred_to_stand_for_the_others(options, tmp_path, write_frames, draw_count, read_count) -> None:
    path = write_frames(tmp_path / "b.mp4", map(draw_count, range(120)), options=X264 | options)
    with open_video(path) as video:
        found = near(video, range(120), "nonref")
        exact = video.frames_at(list(found))
    assert [read_count(frame) for frame in found.values()] == list(found)
    np.testing.assert_array_equal(np.stack(list(found.values())), exact)
    assert set(found) >= set(KEYS)
    assert len(found) == 120 if options == {"bf": "0"} else len(found) < 100


@pytest.mark.parametrize("how", ["nonref", "keyframes"])
@pytest.mark.parametrize("wanted", [[3], [0, 1, 2, 3], [7, 50, 51, 118, 119], list(range(5, 120, 7))])
def test_the_nearest_frame_at_or_before_stands_in(counting_video, how, wanted) -> None:
    with open_video(counting_video) as video:
        decoded = np.array(list(near(video, range(120), how)))
        found = list(near(video, wanted, how))
    assert found == np.unique(decoded[np.searchsorted(decoded, wanted, side="right") - 1]).tolist()


@pytest.mark.parametrize("how", ["nonref", "keyframes"])
@pytest.mark.parametrize("kept", [True, False])
def test_exact_reading_is_untouched_by_fast_reading(counting_video, read_count, how, kept, monkeypatch) -> None:
    if not kept:
        monkeypatch.setattr("kinema.video.packets.KEEP_BYTES", 0)
    with open_video(counting_video) as video:
        near(video, [20, 60], how)
        assert read_count(video.frames_at([61])[0]) == 61
        assert [number for number, _, _ in video.iterate(start_s=0.4, end_s=0.8)] == list(range(10, 20))
        again = near(video, [20, 60], how)
    assert [read_count(frame) for frame in again.values()] == list(again)


def test_frames_come_in_the_size_asked_for(counting_video) -> None:
    with open_video(counting_video) as video:
        assert near(video, [5], "keyframes", (10, 20))[0].shape == (10, 20, 3)


def test_a_film_without_timestamps_is_decoded_as_a_whole_and_says_so(raw_video, read_count, caplog) -> None:
    caplog.set_level("INFO")
    with open_video(raw_video) as video:
        found = near(video, [3, 30], "keyframes")
    assert {number: read_count(frame) for number, frame in found.items()} == {3: 3, 30: 30}
    assert "every frame is decoded" in caplog.text


def test_every_picture_stands_for_itself(image_folder, read_count) -> None:
    with open_video(image_folder) as video:
        assert [read_count(frame) for frame in near(video, [2, 5], "keyframes").values()] == [2, 5]


def test_keyframes_read_around_damage(damaged_video, read_count) -> None:
    with open_video(damaged_video) as video:
        found = near(video, range(60, 100), "keyframes")
    assert {number: read_count(frame) for number, frame in found.items()} == {48: 48, 96: 96}


def test_a_keyframe_that_cannot_be_decoded_is_left_out_and_told(counting_video, tmp_path, caplog) -> None:
    with av.open(str(counting_video)) as film:
        place, size = [(p.pos, p.size) for p in film.demux(video=0) if p.is_keyframe][1]
    data = bytearray(counting_video.read_bytes())
    data[place + 5 : place + size] = bytes(size - 5)  # its kind, in the byte before, is left
    (tmp_path / "film.mp4").write_bytes(data)
    with open_video(tmp_path / "film.mp4") as video:
        assert list(near(video, [10, 50, 100], "keyframes")) == [0, 96]
        assert video.num_damaged == 1
    assert "1 of 3 frames could not be decoded" in caplog.text


def test_a_lost_frame_that_others_refer_to_is_told_and_those_left_out_are_not(counting_video, damaged_video, caplog):
    with open_video(counting_video) as whole, open_video(damaged_video) as video:
        lost = set(near(whole, range(120), "nonref")) - set(near(video, range(120), "nonref"))
        assert (whole.num_damaged, video.num_damaged) == (0, len(lost))
        assert lost
    assert f"{len(lost)} of 66 frames could not be decoded" in caplog.text


def test_damage_where_nobody_looks_is_not_told_by_frames_referred_to(damaged_video) -> None:
    with open_video(damaged_video) as video:
        near(video, [3, 20, 110], "nonref")
        assert video.num_damaged == 0


@pytest.mark.parametrize("wanted", [[200], [30, 100, 200], range(240)])
def test_a_film_that_is_whole_without_clean_keyframes_has_lost_nothing(wanted, tmp_path, write_frames, draw_count):
    """Behind a jump into such a film, the decoder keeps its frames back until all of the picture was refreshed."""
    options = X264 | {"bf": "3", "g": "24", "x264-params": "intra-refresh=1"}
    path = write_frames(tmp_path / "refresh.mp4", map(draw_count, range(240)), options=options)
    with open_video(path) as video:
        near(video, wanted, "nonref")
        assert video.num_damaged == 0


@pytest.mark.parametrize("wanted", [[200], [30, 100, 200], range(240)])
def test_keyframes_that_are_no_clean_start_are_decoded_from_further_back(
    wanted, tmp_path, write_frames, draw_count, read_count
):
    options = X264 | {"bf": "0", "g": "24", "x264-params": "intra-refresh=1"}
    path = write_frames(tmp_path / "refresh.mp4", map(draw_count, range(240)), options=options)
    with open_video(path) as video:
        found = near(video, wanted, "keyframes")
        assert video.num_damaged == 0
        keys = video._index.key_frames
    assert len(keys) > 5
    assert list(found) == np.unique(keys[np.searchsorted(keys, wanted, side="right") - 1]).tolist()
    assert [read_count(frame) for frame in found.values()] == list(found)


def test_a_film_knows_what_its_header_promises(counting_video, still_image) -> None:
    with open_video(counting_video) as film, open_video(still_image) as picture:
        assert film.promised_s == pytest.approx(4.8, abs=0.1)
        assert picture.promised_s == 0.0
