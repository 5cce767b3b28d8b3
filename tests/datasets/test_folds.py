from __future__ import annotations

import itertools
import random
from dataclasses import replace
from pathlib import Path

import pytest

from kinema.datasets.dataset import DataSet
from kinema.datasets.folds import fold_data
from kinema.datasets.splits import torn_groups
from kinema.errors import DataError, UnknownName
from kinema.labels import Labels
from kinema.types import Example, TimeSpan


def data_of(*examples: Example) -> DataSet:
    return DataSet("toy", "/toy", examples, Labels.of(label for e in examples for label in e.labels))


def plain(**counts: int) -> DataSet:
    return data_of(*(Example(f"/toy/{c}/{n}.mp4", (c,)) for c, count in counts.items() for n in range(count)))


def grouped(num_groups: int, seed: int) -> DataSet:
    rng = random.Random(seed)
    return data_of(
        *(
            Example(f"/toy/{group}_{number}.mp4", (rng.choices("abc", weights=(6, 3, 1))[0],), group=f"place{group}")
            for group in range(num_groups)
            for number in range(rng.randint(1, 12))
        )
    )


def kept_back(folds: list[DataSet]) -> list[str]:
    return sorted(example.key for fold in folds for example in fold.part("valid").examples)


@pytest.mark.parametrize("by", ["auto", "random", "blocks"])
def test_every_example_is_kept_back_exactly_once(by):
    data = plain(a=23, b=11, c=5)
    folds = fold_data(data, 5, by=by)
    assert kept_back(folds) == sorted(example.key for example in data.examples)
    assert all(len(fold) == len(data) and fold.parts == ("train", "valid") for fold in folds)


def test_classes_are_as_even_as_whole_numbers_allow():
    folds = fold_data(plain(a=23, b=11, c=5), 5)
    for label, least in (("a", 4), ("b", 2), ("c", 1)):
        assert {fold.part("valid").counts()[label] for fold in folds} <= {least, least + 1}
    sizes = [len(fold.part("valid")) for fold in folds]
    assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize("by", ["auto", "random", "groups", "blocks"])
@pytest.mark.parametrize("seed", range(3))
def test_no_fold_tears_a_group(by, seed):
    data = grouped(30, seed)
    folds = fold_data(data, 4, by=by, seed=seed)
    assert all(torn_groups(fold) == [] for fold in folds)
    assert kept_back(folds) == sorted(example.key for example in data.examples)


@pytest.mark.parametrize("seed", range(5))
def test_whole_groups_come_out_with_even_classes(seed):
    data = grouped(60, seed)
    for fold in fold_data(data, 5, seed=seed):
        for label, count in fold.part("valid").counts().items():
            whole = data.counts()[label]
            assert count == pytest.approx(whole / 5, abs=max(2, 0.04 * whole))


def test_spans_of_one_file_stay_together():
    spans = [Example(f"/toy/{n // 4}.mp4", ("ab"[n % 2],), TimeSpan(n % 4, n % 4 + 1)) for n in range(40)]
    for fold in fold_data(data_of(*spans), 5):
        assert torn_groups(fold) == []


@pytest.mark.parametrize("by", ["auto", "groups", "blocks"])
def test_videos_that_one_person_ties_stay_together(by):
    seen = {0: ("main", "left"), 1: ("main", "right")}  # who is in the two films of a pair
    spans = [
        Example(f"/toy/{film}.mp4", ("ab"[n % 2],), TimeSpan(n, n + 1), group=f"{film // 2}/{seen[film % 2][n % 2]}")
        for film in range(20)
        for n in range(4)
    ]
    for fold in fold_data(data_of(*spans), 5, by=by):
        learned, judged = ({e.path for e in fold.part(part).examples} for part in ("train", "valid"))
        assert not learned & judged
        assert torn_groups(fold) == []


def test_blocks_of_several_labels_are_runs_of_all_files():
    examples = (Example(f"/toy/{n}.mp4", labels) for n, labels in enumerate(itertools.combinations("abcdef", 3)))
    folds = fold_data(replace(data_of(*examples), multi_label=True), 4, by="blocks")
    judged = [sorted(int(Path(e.path).stem) for e in fold.part("valid").examples) for fold in folds]
    assert judged == [list(range(start, start + 5)) for start in (0, 5, 10, 15)]


def test_the_same_seed_gives_the_same_folds_in_any_order_of_listing():
    data = grouped(20, 0)
    again = data.with_examples(reversed(data.examples))
    first, second, other = (fold_data(d, 4, seed=s) for d, s in ((data, 1), (again, 1), (data, 2)))
    assert [fold.fingerprint for fold in first] == [fold.fingerprint for fold in second]
    assert [fold.fingerprint for fold in first] != [fold.fingerprint for fold in other]


def test_blocks_keep_neighbours_together():
    folds = fold_data(plain(a=10, b=10), 5, by="blocks")
    names = sorted(int(e.key.split("/")[-1][:-4]) for e in folds[1].part("valid").examples if e.label == "a")
    assert names == [2, 3]


def test_parts_of_its_own_are_divided_anew_but_a_test_part_stays():
    parts = [(p, c, n) for p in ("train", "valid", "test") for c in "ab" for n in range(4)]
    data = data_of(*(Example(f"/toy/{p}{c}{n}.mp4", (c,), split=p) for p, c, n in parts))
    for fold in fold_data(data, 4):
        assert len(fold.part("test")) == 8
        assert len(fold.part("valid")) == 4
        assert all("/test" in example.key for example in fold.part("test").examples)


def test_a_class_with_fewer_examples_than_folds_is_named(caplog):
    fold_data(plain(a=20, rare=3), 5)
    assert "rare" in caplog.text


def test_what_cannot_be_folded_says_why():
    with pytest.raises(DataError, match="3 folds of 2 examples"):
        fold_data(plain(a=1, b=1), 3)
    with pytest.raises(DataError, match="at least 2"):
        fold_data(plain(a=9, b=9), 1)
    with pytest.raises(DataError, match="no example has a group"):
        fold_data(plain(a=9, b=9), 3, by="groups")
    with pytest.raises(UnknownName, match="groups"):
        fold_data(plain(a=9, b=9), 3, by="group")
