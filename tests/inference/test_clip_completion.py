from __future__ import annotations

import numpy as np

from kinema.inference.clip_completion import ClipCompletion

FRAMES = np.array([[0, 2, 4], [4, 6, 8], [2, 4, 6]])


def followed(completion: ClipCompletion, numbers: list[int]) -> list[tuple[int, list[int]]]:
    return [complete for number in numbers for complete in completion.add(number)]


def test_a_clip_is_complete_with_its_last_frame() -> None:
    completion = ClipCompletion(FRAMES)
    assert followed(completion, [0, 2]) == []
    assert followed(completion, [4, 6]) == [(0, [0, 2, 4]), (2, [2, 4, 6])]
    assert followed(completion, [8]) == [(1, [4, 6, 8])]
    assert list(completion.finish()) == []


def test_only_frames_that_are_still_needed_are_kept() -> None:
    completion = ClipCompletion(np.arange(1000)[:, None] + np.arange(4))
    for number in range(1003):
        list(completion.add(number))
        assert len(completion.kept) <= 4


def test_the_frame_before_replaces_one_that_does_not_arrive() -> None:
    completion = ClipCompletion(FRAMES)
    assert followed(completion, [0, 4, 9]) == [(0, [0, 0, 4]), (2, [0, 4, 4]), (1, [4, 4, 4])]


def test_a_replacement_is_kept_until_the_last_frame_it_replaces() -> None:
    completion = ClipCompletion(np.array([[50, 60], [70, 80], [90, 100]]))
    assert followed(completion, [48, 96]) == [(0, [48, 48]), (1, [48, 48])]
    assert list(completion.finish()) == [(2, [48, 96])]


def test_the_first_frame_replaces_frames_before_it() -> None:
    completion = ClipCompletion(FRAMES)
    assert followed(completion, [3, 10]) == [(0, [3, 3, 3]), (2, [3, 3, 3]), (1, [3, 3, 3])]


def test_clips_without_a_frame_to_come_are_complete_in_the_end() -> None:
    completion = ClipCompletion(FRAMES)
    assert followed(completion, [0, 2, 4]) == [(0, [0, 2, 4])]
    assert list(completion.finish()) == [(2, [2, 4, 4]), (1, [4, 4, 4])]
