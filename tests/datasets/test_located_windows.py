"""Training sequences of located actions: crops, cut actions, batches."""

from __future__ import annotations

import numpy as np
import torch

from kinema.datasets.clips import Broken
from kinema.datasets.dataset import DataSet
from kinema.datasets.located_windows import LocatedSample, LocatedSequence, LocatedWindows, collate_located
from kinema.labels import Labels
from kinema.types import Example


def windows(*sequences: LocatedSequence | str, window: int = 20, least: int = 1) -> LocatedWindows:
    examples = tuple(Example(f"{number}.mp4", ()) for number in range(len(sequences)))
    return LocatedWindows(DataSet("set", "root", examples, Labels(("a", "b"))), sequences, window, least, seed=0)


def video(count: int, *times: tuple[float, float]) -> LocatedSequence:
    rows = np.repeat(np.arange(count, dtype=np.float32)[:, None], 3, axis=1)
    return LocatedSequence(rows, np.array(times, np.float64).reshape(-1, 2), np.arange(len(times)))


def sample(data: LocatedWindows, index: int = 0, epoch: int = 0) -> LocatedSample:
    found = data[(epoch, index)]
    assert isinstance(found, LocatedSample)
    return found


def test_actions_stay_at_their_features():
    data = windows(video(100, (30.0, 36.0), (60.0, 70.0)))
    assert len(data) == 5
    seen = 0
    for epoch in range(40):
        found = sample(data, epoch % 5, epoch)
        first = float(found.features[0, 0])
        assert len(found.features) == 20
        for (start, end), kind in zip(found.times.tolist(), found.classes.tolist(), strict=True):
            true = data.sequences[0].times[kind]
            cut = np.clip(true, first, first + 20)
            assert [start + first, end + first] == cut.tolist()
            assert cut[1] - cut[0] >= (true[1] - true[0]) / 2
            seen += 1
    assert seen > 10  # half of the sequences hold an action at least


def test_the_same_epoch_gives_the_same_sequence():
    data = windows(video(100, (30.0, 36.0)))
    assert sample(data, 2, 3).features.equal(sample(data, 2, 3).features)
    assert not sample(data, 2, 3).features.equal(sample(data, 2, 4).features)


def test_an_action_may_begin_before_the_first_feature():
    data = windows(video(1, (-2.0, 3.0)))
    assert sample(data).times.tolist() == [[-2.0, 3.0]]


def test_a_video_without_an_action_is_a_sequence_too():
    assert sample(windows(video(50))).times.shape == (0, 2)
    assert sample(windows(video(5))).times.shape == (0, 2)


def test_few_videos_are_repeated():
    data = windows(video(5), video(5), video(5), least=7)
    assert len(data) == len(data.data.examples) == 9
    assert [example.path for example in data.data.examples[:4]] == ["0.mp4", "1.mp4", "2.mp4", "0.mp4"]


def test_batches_are_padded_and_list_broken_videos():
    data = windows(video(10, (2.0, 4.0)), "cannot be read", video(6))
    batch = collate_located([data[index] for index in range(3)])
    assert [item.reason for item in batch.broken] == ["cannot be read"]
    assert batch.indices.tolist() == [0, 2]
    assert batch.mask.sum(dim=1).tolist() == [len(sample(data, 0).features), len(sample(data, 2).features)]
    assert not batch.features[~batch.mask].any()
    assert [len(each) for each in batch.classes] == [1, 0]
    nothing = collate_located([Broken(0, "a.mp4", "why")])
    assert len(nothing.indices) == 0
    assert nothing.features.dtype == torch.float32
