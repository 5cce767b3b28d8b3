"""A video file: its info, damaged frames, and nearest decoded frames."""

from __future__ import annotations

import tracemalloc

import av
import numpy as np
import pytest
from PIL import Image

from kinema.errors import UnreadableVideo
from kinema.video import cut_off, open_video


def test_info_of_a_video(counting_video):
    with open_video(counting_video) as video:
        info = video.info
    assert (info.num_frames, info.fps, info.duration_s, info.height, info.width) == (
        120,
        25.0,
        pytest.approx(4.8),
        64,
        96,
    )
    assert info.path == str(counting_video)


def test_pixels_that_are_not_square_are_named_but_not_stretched(wide_pixel_video):
    with open_video(wide_pixel_video) as video:
        assert (video.info.height, video.info.width) == (64, 96)
        assert video.pixel_aspect == pytest.approx(4 / 3)


def test_two_readers_of_one_video_do_not_disturb_each_other(counting_video, read_count):
    with open_video(counting_video) as video:
        seen = []
        for first, second in zip(video.iterate(), video.iterate(start_s=2), strict=False):
            between = video.frames_at([110 - first[0] % 5])
            seen.append((read_count(first[2]), read_count(second[2]), read_count(between[0])))
            if len(seen) == 12:
                break
    assert seen == [(index, index + 50, 110 - index % 5) for index in range(12)]


def test_a_damaged_frame_is_named_when_requested(damaged_video, read_count):
    with open_video(damaged_video) as video:
        there = {index for index, _, _ in video.iterate()}
        gone = min(set(range(120)) - there)
        with pytest.raises(UnreadableVideo, match=rf"damaged.mkv frame {gone} \({gone / 25:.3f} s\)"):
            video.frames_at([3, gone])
        assert read_count(video.frames_at([100])[0]) == 100


def test_a_video_that_breaks_off_ends_there(damaged_video, tmp_path, read_count):
    path = tmp_path / "cut.mkv"
    data = damaged_video.read_bytes()
    path.write_bytes(data[: len(data) // 3])
    with open_video(path) as video:
        assert 10 < len(video) < 60
        seen = [read_count(frame) for _, _, frame in video.iterate()]
    assert seen[:-1] == list(range(len(seen) - 1))


def test_a_last_frame_that_stays_long_is_no_damage(tmp_path, draw_count):
    """Nine frames of 40 ms and one of four seconds, as animations and screen recordings end."""
    path = tmp_path / "slides.gif"
    first, *others = [Image.fromarray(draw_count(index)) for index in range(10)]
    first.save(path, save_all=True, append_images=others, duration=[40] * 9 + [4000])
    with open_video(path) as video:
        assert video.info.duration_s == pytest.approx(4.36)
        assert cut_off(video.info, video.promised_s) == ""


def test_damage_is_not_printed_to_standard_error(damaged_video, capfd):
    with open_video(damaged_video) as video:
        for _ in video.iterate():
            pass
    assert capfd.readouterr() == ("", "")


def test_iterate_needs_memory_for_one_frame_only(long_gop_video, monkeypatch):

    with open_video(long_gop_video) as video:
        tracemalloc.start()
        for _ in video.iterate((480, 640)):
            pass
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 6 * 480 * 640 * 3


KEYS = [0, 48, 96]  # of `counting_video`


X264 = {"crf": "18", "sc_threshold": "0", "threads": "1", "g": "48"}


def frames_near(video, wanted, how, size=None):
    return dict(video.frames_near(np.array(wanted), how, size))


def test_keyframes_replace_the_frames_after_them(counting_video, read_count) -> None:
    with open_video(counting_video) as video:
        found = frames_near(video, [0, 10, 47, 95, 96, 119], "keyframes")
    assert {number: read_count(frame) for number, frame in found.items()} == {0: 0, 48: 48, 96: 96}


def test_a_keyframe_that_nobody_needs_is_not_decoded(counting_video) -> None:
    with open_video(counting_video) as video:
        assert list(frames_near(video, [100, 110], "keyframes")) == [96]


def test_only_keyframes_are_sent_to_the_decoder(counting_video, monkeypatch) -> None:
    with open_video(counting_video) as video:
        sent = []
        send = video._decoder._send
        monkeypatch.setattr(video._decoder, "_send", lambda packet: sent.append(packet) or send(packet))
        assert list(frames_near(video, range(120), "keyframes")) == KEYS
        assert [packet.is_keyframe for packet in sent if packet is not None].count(False) < 10


@pytest.mark.parametrize("options", [{"bf": "3"}, {"bf": "3", "x264-params": "b-pyramid=none"}, {"bf": "0"}])
def test_reference_frames_replace_the_others(options, tmp_path, write_frames, draw_count, read_count) -> None:
    path = write_frames(tmp_path / "b.mp4", map(draw_count, range(120)), options=X264 | options)
    with open_video(path) as video:
        found = frames_near(video, range(120), "nonref")
        exact = video.frames_at(list(found))
    assert [read_count(frame) for frame in found.values()] == list(found)
    np.testing.assert_array_equal(np.stack(list(found.values())), exact)
    assert set(found) >= set(KEYS)
    assert len(found) == 120 if options == {"bf": "0"} else len(found) < 100


@pytest.mark.parametrize("how", ["nonref", "keyframes"])
@pytest.mark.parametrize("kept", [True, False])
def test_exact_reading_is_untouched_by_fast_reading(counting_video, read_count, how, kept, monkeypatch) -> None:
    if not kept:
        monkeypatch.setattr("kinema.video.packets.KEEP_BYTES", 0)
    with open_video(counting_video) as video:
        frames_near(video, [20, 60], how)
        assert read_count(video.frames_at([61])[0]) == 61
        assert [number for number, _, _ in video.iterate(start_s=0.4, end_s=0.8)] == list(range(10, 20))
        again = frames_near(video, [20, 60], how)
    assert [read_count(frame) for frame in again.values()] == list(again)


def test_frames_come_in_the_size_requested(counting_video) -> None:
    with open_video(counting_video) as video:
        assert frames_near(video, [5], "keyframes", (10, 20))[0].shape == (10, 20, 3)


def test_a_video_without_timestamps_is_decoded_as_a_whole_and_says_so(raw_video, read_count, caplog) -> None:
    caplog.set_level("INFO")
    with open_video(raw_video) as video:
        found = frames_near(video, [3, 30], "keyframes")
    assert {number: read_count(frame) for number, frame in found.items()} == {3: 3, 30: 30}
    assert "every frame is decoded" in caplog.text


def test_every_image_replaces_itself(image_folder, read_count) -> None:
    with open_video(image_folder) as video:
        assert [read_count(frame) for frame in frames_near(video, [2, 5], "keyframes").values()] == [2, 5]


def test_keyframes_read_around_damage(damaged_video, read_count) -> None:
    with open_video(damaged_video) as video:
        found = frames_near(video, range(60, 100), "keyframes")
    assert {number: read_count(frame) for number, frame in found.items()} == {48: 48, 96: 96}


def test_a_keyframe_that_cannot_be_decoded_is_left_out_and_counted(counting_video, tmp_path, caplog) -> None:
    with av.open(str(counting_video)) as container:
        place, size = [(p.pos, p.size) for p in container.demux(video=0) if p.is_keyframe][1]
    data = bytearray(counting_video.read_bytes())
    data[place + 5 : place + size] = bytes(size - 5)  # its kind, in the byte before, is left
    (tmp_path / "video.mp4").write_bytes(data)
    with open_video(tmp_path / "video.mp4") as video:
        assert list(frames_near(video, [10, 50, 100], "keyframes")) == [0, 96]
        assert video.num_damaged == 1
    assert "1 of 3 frames could not be decoded" in caplog.text


def test_a_lost_frame_that_others_refer_to_is_told_and_those_left_out_are_not(counting_video, damaged_video, caplog):
    with open_video(counting_video) as whole, open_video(damaged_video) as video:
        lost = set(frames_near(whole, range(120), "nonref")) - set(frames_near(video, range(120), "nonref"))
        assert (whole.num_damaged, len(video._lost)) == (0, len(lost))
        assert lost
    assert f"{len(lost)} of 66 frames could not be decoded" in caplog.text


def test_damage_outside_the_request_is_not_counted(damaged_video) -> None:
    with open_video(damaged_video) as video:
        frames_near(video, [3, 20, 110], "nonref")
        assert video.num_damaged == 0


@pytest.mark.parametrize("wanted", [[200], [30, 100, 200], range(240)])
def test_a_video_that_is_whole_without_clean_keyframes_has_lost_nothing(wanted, tmp_path, write_frames, draw_count):
    """After a seek into such a video, the decoder withholds frames until every part of the frame was refreshed."""
    options = X264 | {"bf": "3", "g": "24", "x264-params": "intra-refresh=1"}
    path = write_frames(tmp_path / "refresh.mp4", map(draw_count, range(240)), options=options)
    with open_video(path) as video:
        frames_near(video, wanted, "nonref")
        assert video.num_damaged == 0


@pytest.mark.parametrize("wanted", [[200], [30, 100, 200], range(240)])
def test_keyframes_that_are_no_clean_start_are_decoded_from_further_back(
    wanted, tmp_path, write_frames, draw_count, read_count
):
    options = X264 | {"bf": "0", "g": "24", "x264-params": "intra-refresh=1"}
    path = write_frames(tmp_path / "refresh.mp4", map(draw_count, range(240)), options=options)
    with open_video(path) as video:
        found = frames_near(video, wanted, "keyframes")
        assert video.num_damaged == 0
        keys = video._decoder.index.key_frames
    assert len(keys) > 5
    assert list(found) == np.unique(keys[np.searchsorted(keys, wanted, side="right") - 1]).tolist()
    assert [read_count(frame) for frame in found.values()] == list(found)


def test_a_video_knows_what_its_header_promises(counting_video, still_image) -> None:
    with open_video(counting_video) as video, open_video(still_image) as image:
        assert video.promised_s == pytest.approx(4.8, abs=0.1)
        assert image.promised_s == 0.0


def test_one_bad_timestamp_makes_no_long_video(tmp_path, write_frames, draw_count, read_count, caplog) -> None:
    times_ms = [40 * index for index in range(50)]
    times_ms[-1] = 700_000_000
    path = write_frames(tmp_path / "a.mkv", map(draw_count, range(50)), times_ms=times_ms)
    with open_video(path) as video:
        np.testing.assert_allclose(video.times_s, np.arange(50) / 25, atol=1e-3)
        assert video.info.duration_s < 10
        assert "impossible timestamps" in video.damage
        assert cut_off(video.info, video.promised_s) == ""
        assert [read_count(frame) for _, _, frame in video.iterate()] == list(range(50))
    assert "impossible timestamps" in caplog.text


def test_a_slow_show_of_slides_is_as_long_as_it_says(tmp_path, write_frames, draw_count) -> None:
    times_ms = [300_000 * index for index in range(10)]
    path = write_frames(tmp_path / "a.mkv", map(draw_count, range(10)), times_ms=times_ms)
    with open_video(path) as video:
        np.testing.assert_allclose(video.times_s, 300.0 * np.arange(10), atol=1e-3)
        assert video.damage == ""
