from __future__ import annotations

import random

import pytest

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
    assert "groups stand in two parts" in caplog.text


def test_an_unknown_way_says_the_nearest():
    with pytest.raises(UnknownName, match="blocks"):
        split_data(plain(a=2, b=2), by="block")
