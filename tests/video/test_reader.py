"""Frames are exact, in display order, however they are reached."""

from __future__ import annotations

import logging

import av
import numpy as np
import pytest
from PIL import Image

from kinema.errors import EmptyVideo, UnreadableVideo, UsageError
from kinema.video import cut_off, open_video, packets
from kinema.video import pyav_video as film_module
from kinema.video.container import packets_of
from kinema.video.contract import target_size

SOUND = [
    ("counting_video", 120),
    ("long_gop_video", 150),
    ("short_video", 5),
    ("one_frame_video", 1),
    ("vfr_video", 40),
    ("ten_bit_video", 30),
    ("odd_video", 20),
    ("mkv_video", 50),
    ("avi_video", 60),
    ("raw_video", 60),
    ("negative_video", 50),
    ("wide_pixel_video", 20),
    ("gif_video", 12),
    ("image_folder", 12),
]


@pytest.fixture(params=["kept", "sought"])
def packets_kept(request, monkeypatch):
    """Both ways of getting at packets: from memory, and by seeking in the file as for a large film."""
    if request.param == "sought":
        monkeypatch.setattr(packets, "KEEP_BYTES", 0)


@pytest.mark.parametrize(("name", "num_frames"), SOUND)
@pytest.mark.parametrize("threads", [1, 3])
def test_every_frame_shows_its_own_number(name, num_frames, threads, request, read_count, packets_kept):
    with open_video(request.getfixturevalue(name), threads=threads) as video:
        assert video.info.num_frames == len(video.times_s) == len(video) == num_frames
        assert [read_count(frame) for frame in video.frames_at(range(num_frames))] == list(range(num_frames))
        assert [read_count(frame) for _, _, frame in video.iterate()] == list(range(num_frames))


@pytest.mark.parametrize("name", [name for name, _ in SOUND])
@pytest.mark.parametrize("threads", [1, 3])
def test_a_frame_is_the_same_bytes_however_it_is_reached(name, threads, request, packets_kept):
    path = request.getfixturevalue(name)
    with open_video(path, threads=1) as video:
        expected = np.stack([frame for _, _, frame in video.iterate()])
    rng = np.random.default_rng(0)
    with open_video(path, threads=threads) as video:
        for count in (1, 2, 7, 1, 30):
            indices = rng.integers(0, len(expected), count)
            np.testing.assert_array_equal(video.frames_at(indices), expected[indices])
        for stride in (2, 3, 5):
            indices = np.arange(len(expected) // 3, len(expected), stride)
            np.testing.assert_array_equal(video.frames_at(indices), expected[indices])
        one_by_one = [video.frames_at([index])[0] for index in range(len(expected))]
        np.testing.assert_array_equal(np.stack(one_by_one), expected)


def test_frames_agree_with_a_plain_decoding_loop(counting_video):
    with av.open(str(counting_video)) as container:
        expected = np.stack([picture.to_ndarray(format="rgb24") for picture in container.decode(video=0)])
    with open_video(counting_video) as video:
        np.testing.assert_array_equal(video.frames_at(range(120)), expected)


X264 = [
    "b-pyramid=strict",
    "b-pyramid=none:bframes=5",
    "open-gop=1:keyint=20",
    "ref=1:bframes=0",
    "intra-refresh=1:keyint=20",
    "keyint=20:direct=temporal:weightp=2",
]


@pytest.mark.parametrize("options", X264)
def test_leaving_out_frames_nobody_refers_to_changes_no_pixel(options, tmp_path, write_frames, draw_count, monkeypatch):
    x264 = {"crf": "20", "x264-params": options}
    path = write_frames(tmp_path / "film.mkv", (draw_count(index) for index in range(90)), options=x264)
    indices = [1, 2, 9, 10, 33, 34, 35, 62, 88]
    with open_video(path) as video:
        skipping = video.frames_at(indices, 32)
    monkeypatch.setattr(film_module, "_SKIPPING_CODECS", frozenset())
    with open_video(path) as video:
        np.testing.assert_array_equal(video.frames_at(range(90), 32)[indices], skipping)


def test_skipping_decodes_fewer_frames(long_gop_video, monkeypatch):
    with open_video(long_gop_video) as video:
        decoded = []
        send = type(video)._send
        monkeypatch.setattr(type(video), "_send", lambda self, packet: decoded.extend(out := send(self, packet)) or out)
        video.frames_at([140])
    assert len(decoded) < 110


def test_a_jump_is_made_only_over_a_keyframe(counting_video):
    with open_video(counting_video) as video:
        index = video._index
    assert [(run.start, run.wanted.tolist()) for run in index.runs(np.array([3, 40, 47]))] == [(0, [3, 40, 47])]
    starts = [run.start for run in index.runs(np.array([3, 50, 60, 100]))]
    assert len(starts) == 3
    assert starts[0] == 0
    assert all(index.key[start] for start in starts)


def test_no_jump_is_made_between_neighbours(counting_video):
    with open_video(counting_video) as video:
        assert len(video._index.runs(np.arange(120))) == 1


@pytest.mark.parametrize("threads", [1, 3])
def test_counted_films_too_large_to_keep_are_decoded_again(raw_video, read_count, monkeypatch, threads, packets_kept):
    monkeypatch.setattr(film_module, "_KEPT_BYTES", 0)
    with open_video(raw_video, threads=threads) as video:
        for indices in ([40, 3], [41, 42], [59], [0], [1], [0, 58]):
            assert [read_count(frame) for frame in video.frames_at(indices)] == indices
        assert [read_count(frame) for _, _, frame in video.iterate()] == list(range(60))


def test_order_and_repeats_are_kept(counting_video, read_count):
    with open_video(counting_video) as video:
        frames = video.frames_at([70, 3, 70, 119, 0, 3])
    assert [read_count(frame) for frame in frames] == [70, 3, 70, 119, 0, 3]


def test_no_frames_are_asked_for(counting_video):
    with open_video(counting_video) as video:
        assert video.frames_at([], 32).shape == (0, 32, 48, 3)


@pytest.mark.parametrize("index", [-1, 120])
def test_a_frame_that_is_not_there_is_an_index_error(counting_video, index):
    with open_video(counting_video) as video, pytest.raises(IndexError, match="0 to 119"):
        video.frames_at([0, index])


def test_info_of_a_film(counting_video):
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


def test_uneven_times_are_those_of_the_file(vfr_video, vfr_times_s, read_count):
    with open_video(vfr_video) as video:
        np.testing.assert_allclose(video.times_s, vfr_times_s, atol=1e-4)
        asked = [-1.0, 0.0, vfr_times_s[7], vfr_times_s[8] - 0.001, vfr_times_s[-1] + 9]
        assert [read_count(frame) for frame in video.frames_at_times(asked)] == [0, 0, 7, 7, 39]


def test_times_of_a_gif_are_its_frames_durations(gif_video, gif_times_s):
    with open_video(gif_video) as video:
        np.testing.assert_allclose(video.times_s, gif_times_s, atol=1e-6)
        assert video.info.duration_s == pytest.approx(1.8)


def test_times_start_at_zero_whatever_the_file_says(negative_video):
    with av.open(str(negative_video)) as container:
        told = np.array([float(picture.pts * picture.time_base) for picture in container.decode(video=0)])
    assert told[0] < 0
    with open_video(negative_video) as video:
        np.testing.assert_allclose(video.times_s, told - told[0], atol=1e-6)


def test_without_timestamps_frames_are_counted(raw_video):
    with open_video(raw_video) as video:
        np.testing.assert_allclose(video.times_s, np.arange(60) / 25)
        assert video.info.duration_s == pytest.approx(2.4)


def test_an_edit_list_hides_frames(edit_list_video, read_count, packets_kept):
    with open_video(edit_list_video) as video:
        assert len(video) == 70
        assert video.times_s[0] == 0
        assert [read_count(frame) for frame in video.frames_at([0, 1, 40, 69])] == [5, 6, 45, 74]


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_rotation_is_applied(rotated_videos, degrees, read_count):
    with open_video(rotated_videos[degrees]) as video:
        assert (video.info.height, video.info.width) == (64, 96)
        assert [read_count(frame) for frame in video.frames_at([0, 13, 19])] == [0, 13, 19]
        assert video.frames_at([13], (40, 50)).shape == (1, 40, 50, 3)
        assert read_count(video.frames_at([13], (40, 50))[0]) == 13


def test_mirrored_films_are_shown_as_the_matrix_says(tmp_path, draw_count, read_count):
    path = tmp_path / "mirrored.mp4"
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=25)
        stream.height, stream.width, stream.pix_fmt = 64, 96, "yuv420p"
        stream.set_display_rotation(0, hflip=True)
        output.mux(
            stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(draw_count(9)[:, ::-1]), format="rgb24"))
        )
        output.mux(stream.encode(None))
    with open_video(path) as video:
        assert read_count(video.frames_at([0])[0]) == 9


def test_pixels_that_are_not_square_are_named_but_not_stretched(wide_pixel_video):
    with open_video(wide_pixel_video) as video:
        assert (video.info.height, video.info.width) == (64, 96)
        assert video.pixel_aspect == pytest.approx(4 / 3)


@pytest.mark.parametrize(
    ("size", "expected"), [(None, (64, 96)), (32, (32, 48)), ((30, 31), (30, 31)), (128, (128, 192))]
)
@pytest.mark.parametrize("name", ["counting_video", "image_folder", "ten_bit_video", "gif_video"])
def test_frames_come_in_the_size_asked_for(name, size, expected, request, read_count):
    with open_video(request.getfixturevalue(name)) as video:
        frames = video.frames_at([2, 11], size)
    assert frames.shape == (2, *expected, 3)
    assert [read_count(frame) for frame in frames] == [2, 11]


def test_target_size_keeps_the_aspect():
    assert target_size(240, 320, 120) == (120, 160)
    assert target_size(320, 240, 120) == (160, 120)
    with pytest.raises(ValueError, match="positive"):
        target_size(10, 10, 0)


def test_shrinking_averages_instead_of_dropping_pixels(tmp_path, write_frames):
    stripes = np.zeros((64, 96, 3), np.uint8)
    stripes[:, ::2] = 255
    path = write_frames(tmp_path / "stripes.mkv", [stripes], codec="ffv1", pix_fmt="yuv444p")
    with open_video(path) as video:
        small = video.frames_at([0], (16, 24))[0, 4:-4, 4:-4].astype(int)
    assert abs(small - 127).max() < 12


def test_colours_survive_resizing(tmp_path, write_frames):
    colours = np.zeros((64, 96, 3), np.uint8)
    colours[:, :32], colours[:, 32:64], colours[:, 64:] = (200, 30, 40), (20, 180, 60), (30, 50, 220)
    path = write_frames(tmp_path / "colours.mp4", [colours], options={"crf": "5"})
    with open_video(path) as video:
        for size in (None, 32, (50, 60)):
            frame = video.frames_at([0], size)[0].astype(int)
            height, width = frame.shape[:2]
            for third in range(3):
                seen = frame[height // 2, width * (2 * third + 1) // 6]
                assert abs(seen - colours[0, 32 * third + 16].astype(int)).max() < 8


def test_iterate_gives_a_stretch_with_a_stride(counting_video, read_count):
    with open_video(counting_video) as video:
        seen = [
            (index, time_s, read_count(frame))
            for index, time_s, frame in video.iterate(32, start_s=1, end_s=2, stride=4)
        ]
    assert seen == [(index, pytest.approx(index / 25), index) for index in range(25, 50, 4)]


def test_two_readers_of_one_video_do_not_disturb_each_other(counting_video, read_count):
    with open_video(counting_video) as video:
        seen = []
        for first, second in zip(video.iterate(), video.iterate(start_s=2), strict=False):
            between = video.frames_at([110 - first[0] % 5])
            seen.append((read_count(first[2]), read_count(second[2]), read_count(between[0])))
            if len(seen) == 12:
                break
    assert seen == [(index, index + 50, 110 - index % 5) for index in range(12)]


@pytest.mark.parametrize("stride", [0, -1])
def test_iterate_refuses_a_stride_below_one(counting_video, stride):
    with open_video(counting_video) as video, pytest.raises(ValueError, match="stride"):
        video.iterate(stride=stride)


@pytest.mark.parametrize("threads", [1, 3])
def test_iterate_leaves_out_damaged_frames_and_says_so_once(damaged_video, read_count, caplog, threads):
    with open_video(damaged_video, threads=threads) as video, caplog.at_level(logging.WARNING, logger="kinema"):
        seen = [(index, read_count(frame)) for index, _, frame in video.iterate()]
        assert 1 <= video.num_damaged <= 60
        assert len(seen) == 120 - video.num_damaged
        assert {index for index, _ in seen} >= {*range(50), *range(96, 120)}
        assert all(index == count for index, count in seen if index < 50 or index >= 96)
        assert len(caplog.records) == 1
        assert f"{video.num_damaged} of 120" in caplog.text
        assert "damaged.mkv" in caplog.text


def test_a_damaged_frame_is_named_when_asked_for(damaged_video, read_count):
    with open_video(damaged_video) as video:
        there = {index for index, _, _ in video.iterate()}
        gone = min(set(range(120)) - there)
        with pytest.raises(UnreadableVideo, match=rf"damaged.mkv frame {gone} \({gone / 25:.3f} s\)"):
            video.frames_at([3, gone])
        assert read_count(video.frames_at([100])[0]) == 100


def test_a_film_that_breaks_off_ends_there(damaged_video, tmp_path, read_count):
    path = tmp_path / "cut.mkv"
    data = damaged_video.read_bytes()
    path.write_bytes(data[: len(data) // 3])
    with open_video(path) as video:
        assert 10 < len(video) < 60
        seen = [read_count(frame) for _, _, frame in video.iterate()]
    assert seen[:-1] == list(range(len(seen) - 1))


def test_frames_before_the_first_keyframe_are_no_frames(counting_video, tmp_path, read_count):
    path = tmp_path / "recorded.ts"
    with av.open(str(counting_video)) as source, av.open(str(path), "w") as output:
        stream = output.add_stream_from_template(source.streams.video[0])
        for number, packet in enumerate(source.demux(video=0)):
            if number >= 30 and packet.dts is not None:
                packet.stream = stream
                output.mux(packet)
    with open_video(path) as video:
        assert [read_count(frame) for frame in video.frames_at(range(len(video)))] == list(range(48, 120))


@pytest.mark.parametrize("starts_s", [(100, 0), (0, 100), (0, 0), (0, 1.02)])
def test_recordings_that_were_joined_go_on_where_the_first_ends(
    tmp_path, draw_count, write_frames, read_count, starts_s, packets_kept
):
    """Behind the joint, timestamps fall back, leap ahead, or lie between those from before it."""
    path = tmp_path / "joined.ts"
    parts = []
    for number, start_s in enumerate(starts_s):
        frames = (draw_count(50 * number + index) for index in range(50))
        times_ms = [round(1000 * start_s) + 40 * index for index in range(50)]
        parts.append(write_frames(tmp_path / f"{number}.ts", frames, times_ms=times_ms).read_bytes())
    path.write_bytes(b"".join(parts))
    with open_video(path) as video:
        assert [read_count(frame) for frame in video.frames_at(range(len(video)))] == list(range(100))
        np.testing.assert_allclose(video.times_s, np.arange(100) / 25, atol=1e-3)
        assert video.info.duration_s == pytest.approx(4, abs=1e-3)
        assert cut_off(video.info, video.promised_s) == ""


def test_a_track_that_begins_in_the_middle_of_a_recording_changes_nothing():
    """PyAV stops there: it has no place for the packet, which is gone, and can be asked for the next one."""

    class Container:
        left = [1, 2, None, 3, None, None, 4]

        def demux(self, track):
            while self.left:
                packet = self.left.pop(0)
                if packet is None:
                    raise IndexError("list index out of range")
                yield packet

    assert list(packets_of(Container(), None)) == [1, 2, 3, 4]


def test_jumps_in_a_program_stream_lead_to_the_right_frames(
    draw_count, write_frames, read_count, tmp_path, monkeypatch
):
    """Behind a jump, FFmpeg numbers the packets of such a file in another way."""
    how = {"codec": "mpeg2video", "container": "mpeg", "options": {"bf": "2", "g": "15", "threads": "1"}}
    path = write_frames(tmp_path / "film.mpg", (draw_count(index) for index in range(300)), **how)
    monkeypatch.setattr(packets, "KEEP_BYTES", 0)
    with open_video(path, threads=1) as video:
        for start in (280, 100, 205, 31, 150):
            assert [read_count(frame) for frame in video.frames_at(range(start, start + 16, 4))] == list(
                range(start, start + 16, 4)
            )


def test_a_last_frame_that_stays_long_is_no_damage(tmp_path, draw_count):
    """Nine pictures of 40 ms and one of four seconds, as animations and screen recordings end."""
    path = tmp_path / "slides.gif"
    first, *others = [Image.fromarray(draw_count(index)) for index in range(10)]
    first.save(path, save_all=True, append_images=others, duration=[40] * 9 + [4000])
    with open_video(path) as video:
        assert video.info.duration_s == pytest.approx(4.36)
        assert cut_off(video.info, video.promised_s) == ""


WRONG = [
    ("empty_file", UnreadableVideo, "empty"),
    ("text_file", UnreadableVideo, "not a video"),
    ("truncated_video", UnreadableVideo, "not a video, or damaged"),
    ("audio_file", UnreadableVideo, "no picture track"),
    ("zero_frame_video", EmptyVideo, "no frames"),
]


@pytest.mark.parametrize(("name", "kind", "words"), WRONG)
def test_what_is_no_video_is_one_clear_line(name, kind, words, request, capfd, open_files):
    path = request.getfixturevalue(name)
    before = open_files()
    with pytest.raises(kind, match=words) as caught:
        open_video(path)
    assert open_files() == before
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UnreadableVideo, match="no such video"):
        open_video(tmp_path / "gone.mp4")


def test_a_folder_without_images_is_empty(tmp_path):
    with pytest.raises(EmptyVideo, match="no images"):
        open_video(tmp_path)


def test_wrong_choices_are_usage_errors(counting_video):
    with pytest.raises(UsageError, match="backend"):
        open_video(counting_video, backend="vhs")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="thread"):
        open_video(counting_video, threads=0)


@pytest.mark.parametrize("name", ["counting_video", "raw_video", "damaged_video", "still_image", "gif_video"])
def test_every_file_is_closed(name, request, open_files, packets_kept):
    path = request.getfixturevalue(name)
    before = open_files()
    for _ in range(3):
        with open_video(path) as video:
            video.frames_at([0])
            next(iter(video.iterate()))
        video.close()
    assert open_files() == before


def test_damage_is_not_told_on_standard_error(damaged_video, capfd):
    with open_video(damaged_video) as video:
        for _ in video.iterate():
            pass
    assert capfd.readouterr() == ("", "")


def test_iterate_needs_memory_for_one_frame_only(long_gop_video, monkeypatch):
    import tracemalloc

    with open_video(long_gop_video) as video:
        tracemalloc.start()
        for _ in video.iterate((480, 640)):
            pass
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 6 * 480 * 640 * 3


@pytest.mark.real_data
def test_real_films_give_the_frames_of_a_plain_loop(real_data):
    for path in [
        *real_data.glob("films/**/*.mp4"),
        *real_data.glob("films/**/*.avi"),
        *real_data.glob("films/**/*.mkv"),
    ]:
        with av.open(str(path)) as container:
            expected = np.stack([picture.to_ndarray(format="rgb24") for picture in container.decode(video=0)])
        with open_video(path) as video:
            assert len(video) == len(expected), path
            some = np.random.default_rng(0).integers(0, len(expected), 24)
            np.testing.assert_array_equal(video.frames_at(some), expected[some], err_msg=str(path))


@pytest.mark.real_data
def test_real_phone_films_are_upright(real_data):
    sizes = {}
    for degrees in (0, 90, 180, 270):
        with open_video(real_data / "films" / "decord" / f"video_{degrees}.mov") as video:
            sizes[degrees] = (video.info.height, video.info.width)
    assert sizes == {0: (320, 568), 90: (568, 320), 180: (320, 568), 270: (568, 320)}
