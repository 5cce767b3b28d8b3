from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from kinema.clips.windows import WindowOptions
from kinema.errors import VideoError
from kinema.inference.reader import ClipReader, ClipViews, ReadAhead, VideoEnd, VideoStart, read_frames
from kinema.types import InputSpec
from kinema.video import open_video

SPEC = InputSpec(clip_len=4, frame_stride=3, size=(64, 96))


def clips_of(path, spec: InputSpec = SPEC, **options):
    return list(ClipReader(spec, WindowOptions(**options)).read(0, str(path)))


def numbers_in(views, read_count) -> list[int]:
    return [read_count(frame.permute(1, 2, 0).numpy()) for frame in views[0].unbind(dim=1)]


@pytest.mark.parametrize("spec", [SPEC, SPEC.with_(sampling="spread", window_s=1.0), SPEC.with_(fps=10.0)])
@pytest.mark.parametrize("options", [{}, {"step_s": 0.2}, {"num_clips": 3}])
def test_every_clip_shows_the_planned_frames(counting_video, read_count, spec, options) -> None:
    opened, *clips, done = clips_of(counting_video, spec, **options)
    assert isinstance(opened, VideoStart)
    assert done == VideoEnd(0)
    planned = sorted(zip(opened.windows.owner.tolist(), opened.windows.frames.tolist(), strict=True))
    assert sorted((clip.window, numbers_in(clip.views, read_count)) for clip in clips) == planned


def test_sparse_frames_are_the_right_ones(counting_video, read_count) -> None:
    wanted = np.array([0, 1, 40, 41, 90, 119])
    with open_video(counting_video) as video:
        found = [
            (i, read_count(f))
            for indices, frames in read_frames(video, wanted, None)
            for i, f in zip(indices, frames, strict=True)
        ]
    assert found == [(i, i) for i in wanted]


def test_damaged_frames_are_replaced_by_the_one_before(damaged_video, caplog) -> None:
    opened, *clips, done = clips_of(damaged_video)
    assert done == VideoEnd(0, damage="1 frame could not be decoded")
    assert len(clips) == len(opened.windows.frames)
    assert "1 of 1 frames could not be decoded" in caplog.text


@pytest.mark.parametrize("by_frame", [False, True])
def test_frames_that_are_lost_in_the_middle_are_counted_at_the_end(damaged_video, by_frame) -> None:
    spec = SPEC.with_(frame_stride=1)
    items = list(ClipReader(spec, WindowOptions(step_s=0.04), by_frame=by_frame).read(0, str(damaged_video)))
    with open_video(damaged_video) as video:
        num_lost = 120 - len(list(video.iterate()))
        num_concealed = video.num_damaged - num_lost
    assert num_lost > 1
    assert num_concealed > 1
    damage = f"{num_lost} frames could not be decoded and {num_concealed} frames are damaged"
    assert items[-1] == VideoEnd(0, damage=damage)


@pytest.mark.parametrize("by_frame", [False, True])
def test_lost_frames_are_counted_but_not_those_skipped_on_purpose(damaged_video, counting_video, by_frame) -> None:
    reader = ClipReader(SPEC.with_(frame_stride=1), WindowOptions(step_s=0.04), by_frame=by_frame, fast_seek="nonref")
    *_, done = reader.read(0, str(damaged_video))
    assert done.damage.startswith("2 frames could not be decoded")
    *_, done = reader.read(0, str(counting_video))
    assert done == VideoEnd(0)


def test_a_bad_file_is_done_with_an_error(text_file) -> None:
    (done,) = clips_of(text_file)
    assert isinstance(done.error, VideoError)


def test_an_unforeseen_error_is_the_file_s_alone(counting_video, monkeypatch) -> None:
    monkeypatch.setattr("kinema.inference.reader.plan_windows", lambda *args: 1 / 0)
    (done,) = clips_of(counting_video)
    assert "ZeroDivisionError" in str(done.error)


def test_only_some_clips_wait_however_slow_the_network_is() -> None:
    made = []

    def read(number, path):
        for window in range(100):
            made.append(window)
            yield ClipViews(number, window, None)
        yield VideoEnd(number)

    with ReadAhead(read, ["a"], num_threads=1, depth=3) as items:
        next(iter(items))
        time.sleep(0.3)
        assert len(made) <= 1 + 3 + 1
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("decode-")]


def test_items_of_several_videos_all_arrive(counting_video, short_video, text_file) -> None:
    reader = ClipReader(SPEC, WindowOptions())
    with ReadAhead(
        reader.read, [str(p) for p in (counting_video, text_file, short_video)], num_threads=2, depth=4
    ) as items:
        found = list(items)
    assert sorted(item.number for item in found if isinstance(item, VideoEnd)) == [0, 1, 2]
    assert {item.number for item in found if isinstance(item, ClipViews)} == {0, 2}
