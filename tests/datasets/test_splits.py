from __future__ import annotations

import itertools
import os
import random
from dataclasses import replace
from pathlib import Path

import pytest

from kinema.datasets import open_data
from kinema.datasets.dataset import DataSet
from kinema.datasets.splits import split_data, torn_groups
from kinema.errors import DataError, UnknownName
from kinema.labels import Labels
from kinema.types import Example, TimeSpan


def data_of(*examples: Example) -> DataSet:
    return DataSet("toy", "/toy", examples, Labels.of(label for e in examples for label in e.labels))


def plain(**counts: int) -> DataSet:
    return data_of(*(Example(f"/toy/{c}/{n}.mp4", (c,)) for c, count in counts.items() for n in range(count)))


def grouped(num_groups: int = 20, seed: int = 0) -> DataSet:
    """Groups of uneven size and mix, three uneven classes."""
    rng = random.Random(seed)
    examples = []
    for group in range(num_groups):
        for number in range(rng.randint(1, 12)):
            label = rng.choices("abc", weights=(6, 3, 1))[0]
            examples.append(Example(f"/toy/{group}_{number}.mp4", (label,), group=f"place{group}/cam"))
    return data_of(*examples)


def part_of(data: DataSet) -> dict[str, str | None]:
    return {example.key: example.split for example in data.examples}


def test_the_own_parts_are_kept(caplog):
    data = data_of(
        *(Example(f"{p}{c}{n}", (c,), split=p) for p in ("train", "valid", "test") for c in "ab" for n in "12")
    )
    assert split_data(data).examples == data.examples
    assert not caplog.records


def test_random_takes_the_same_share_of_each_class():
    split = split_data(plain(a=100, b=50, c=10), by="random", valid_fraction=0.2)
    assert split.part("valid").counts() == {"a": 20, "b": 10, "c": 2}
    assert split.part("train").counts() == {"a": 80, "b": 40, "c": 8}


def test_a_rare_class_has_at_least_one_example_on_each_side():
    assert split_data(plain(a=100, b=2), valid_fraction=0.1).part("valid").counts() == {"a": 10, "b": 1}


def test_the_same_seed_gives_the_same_split_in_any_order_of_listing():
    data = plain(a=30, b=30)
    shuffled = data.with_examples(reversed(data.examples))
    assert part_of(split_data(data, seed=1)) == part_of(split_data(shuffled, seed=1))
    assert part_of(split_data(data, seed=1)) != part_of(split_data(data, seed=2))


@pytest.mark.parametrize("by", ["auto", "random", "groups", "blocks"])
@pytest.mark.parametrize("seed", range(5))
def test_no_way_tears_a_group(by, seed):
    split = split_data(grouped(seed=seed), by=by, seed=seed)
    assert torn_groups(split) == []
    assert split.parts == ("train", "valid")


@pytest.mark.parametrize("seed", range(5))
def test_groups_come_out_with_even_classes(seed):
    data = grouped(40, seed)
    split = split_data(data, by="groups", valid_fraction=0.25, seed=seed)
    for label, count in split.part("valid").counts().items():
        assert count == pytest.approx(0.25 * data.counts()[label], abs=max(1, 0.08 * data.counts()[label]))


def test_spans_of_one_file_stay_together():
    spans = [Example(f"/toy/{n // 4}.mp4", ("ab"[n % 2],), TimeSpan(n % 4, n % 4 + 1)) for n in range(40)]
    split = split_data(data_of(*spans))
    assert torn_groups(split) == []
    assert len(split.part("valid")) == 8


def people_in_films(num_films: int = 30) -> DataSet:
    """Spans of films whose group is who is seen; a person is in two films, so that three films are tied each."""
    return data_of(
        *(
            Example(
                f"/toy/{film}.mp4",
                ("ab"[n % 2],),
                TimeSpan(n, n + 1),
                group=f"person{film // 3 * 10 + film % 3 + n % 2}",
            )
            for film in range(num_films)
            for n in range(4)
        )
    )


@pytest.mark.parametrize("how", [{"by": "auto"}, {"by": "groups"}, {"by": "blocks"}, {"valid_groups": ["person11"]}])
def test_videos_that_one_person_ties_stay_together(how):
    data = people_in_films()
    parts = [{Path(e.path).stem for e in split_data(data, **how).part(p).examples} for p in ("train", "valid")]
    assert not parts[0] & parts[1]
    assert all({film // 3 for film in map(int, part)} != set(range(10)) for part in parts)
    for trio in range(10):
        films = {str(3 * trio + n) for n in range(3)}
        assert films <= parts[0] or films <= parts[1]


def test_a_file_is_one_however_its_path_is_spelt(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    spelt = (
        f"{folder}{n}.mp4" for n in range(20) for folder in ("", "./", "../" + tmp_path.name + "/", f"{tmp_path}/")
    )
    spans = (Example(path, ("ab"[n % 2],), TimeSpan(n, n + 1)) for n, path in enumerate(spelt))
    split = split_data(data_of(*spans))
    files = [{os.path.realpath(e.path) for e in split.part(part).examples} for part in ("train", "valid")]
    assert [len(part) for part in files] == [16, 4]
    assert torn_groups(split) == []


def test_a_group_that_is_called_like_a_file_loses_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = data_of(
        *(Example(f"{n}.mp4", ("ab"[n % 2],), group=f"{n - 1}.mp4" if n % 4 == 3 else None) for n in range(40))
    )
    split = split_data(data)
    assert len(split.part("train")) + len(split.part("valid")) == 40


def test_parts_of_its_own_that_tear_a_file_are_reported_also_where_the_groups_are_whole(caplog):
    rows = [("a.mp4", "train", "p1"), ("./a.mp4", "valid", "p2"), ("b.mp4", "train", "p3"), ("b.mp4", "valid", "p3")]
    examples = [
        Example(path, (c,), TimeSpan(n, n + 1), split, who) for n, (path, split, who) in enumerate(rows) for c in "xy"
    ]
    data = data_of(*examples)
    assert torn_groups(data) == [os.path.abspath("a.mp4"), "p3"]
    split_data(data)
    assert "2 groups or files are in two parts" in caplog.text


@pytest.mark.parametrize("by", ["auto", "random", "blocks"])
@pytest.mark.parametrize("copies", [1, 2])
def test_several_labels_keep_the_share_whatever_their_combinations(by, copies):
    combinations = list(itertools.islice(itertools.combinations("abcdefgh", 4), 60))
    examples = (Example(f"/toy/{n}_{c}.mp4", labels) for n, labels in enumerate(combinations) for c in range(copies))
    data = replace(data_of(*examples), multi_label=True)
    split = split_data(data, by=by, valid_fraction=0.2)
    assert len(split.part("valid")) == pytest.approx(12 * copies, abs=1)


def test_several_labels_come_out_even():
    rng = random.Random(0)
    data = replace(
        data_of(*(Example(f"/toy/{n}.mp4", tuple(rng.sample("abcdef", 3))) for n in range(200))), multi_label=True
    )
    for label, count in split_data(data, valid_fraction=0.2).part("valid").counts().items():
        assert count == pytest.approx(0.2 * data.counts()[label], abs=2)


def test_blocks_of_several_labels_are_the_last_files_of_all():
    data = replace(data_of(*(Example(f"/toy/{n}.mp4", ("ab"[n % 2], "c")) for n in range(20))), multi_label=True)
    split = split_data(data, by="blocks", valid_fraction=0.2)
    assert sorted(Path(e.path).stem for e in split.part("valid").examples) == ["16", "17", "18", "19"]


def test_blocks_are_the_last_files_of_each_class_in_natural_order():
    split = split_data(plain(a=20, b=10), by="blocks", valid_fraction=0.2)
    assert sorted(e.path for e in split.part("valid").examples) == [
        "/toy/a/16.mp4", "/toy/a/17.mp4", "/toy/a/18.mp4", "/toy/a/19.mp4", "/toy/b/8.mp4", "/toy/b/9.mp4",
    ]  # fmt: skip


def test_named_groups_are_for_validation():
    split = split_data(grouped(), valid_groups=("place1/*", "place3/*"))
    assert {example.group for example in split.part("valid").examples} == {"place1/cam", "place3/cam"}


def test_a_pattern_that_no_group_has_says_the_nearest():
    with pytest.raises(UnknownName, match="place3/cam"):
        split_data(grouped(), valid_groups=("plaice3/cam",))


def test_a_test_part_is_left_alone_and_validation_comes_out_of_train():
    train = [Example(f"{c}{n}", (c,), split="train", group=f"{c}{n // 2}") for c in "ab" for n in range(20)]
    test = [Example(f"t{c}", (c,), split="test") for c in "ab"]
    split = split_data(data_of(*train, *test))
    assert len(split.part("test")) == 2
    assert len(split.part("valid")) == 8
    assert torn_groups(split) == []


def test_groups_without_groups_say_how_to_name_them():
    with pytest.raises(DataError, match="group_by"):
        split_data(plain(a=5, b=5), by="groups")


def test_a_single_group_cannot_be_split():
    with pytest.raises(DataError, match="never torn"):
        split_data(data_of(Example("1", ("a",), group="g"), Example("2", ("b",), group="g")))


def test_a_class_of_one_part_only_is_warned_of(caplog):
    split_data(plain(a=10, b=10, rare=1))
    assert "no example in the valid part: rare" in caplog.text


def test_own_parts_that_tear_a_group_are_warned_of(caplog):
    split_data(data_of(*(Example(f"{p}{c}", (c,), split=p, group="one") for p in ("train", "valid") for c in "ab")))
    assert "groups or files are in two parts" in caplog.text


def test_an_unknown_way_says_the_nearest():
    with pytest.raises(UnknownName, match="blocks"):
        split_data(plain(a=2, b=2), by="block")


def test_one_video_a_class_says_what_to_add(touch):
    with pytest.raises(DataError, match="each class has one video or group: add others"):
        split_data(open_data(touch("run/1.mp4", "jump/2.mp4")))
