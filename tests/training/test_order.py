import numpy as np

from kinema.training.order import EpochBatches, epoch_order


def flat(batches: EpochBatches) -> list[int]:
    return [index for batch in batches for _, index in batch]


def test_every_example_comes_once_an_epoch():
    assert sorted(flat(EpochBatches(12, batch_size=4))) == list(range(12))


def test_epochs_differ_and_the_same_epoch_repeats():
    order = EpochBatches(50, batch_size=10)
    first = flat(order)
    order.move_to(1)
    second = flat(order)
    order.move_to(0)
    assert first != second
    assert flat(order) == first


def test_going_on_in_the_middle_gives_the_batches_not_yet_seen():
    order = EpochBatches(20, batch_size=4, accumulate=2)
    whole = list(order)
    order.move_to(0, start=3)
    assert list(order) == whole[6:]
    assert len(order) == len(whole) - 6


def test_the_epoch_travels_with_the_index():
    order = EpochBatches(4, batch_size=2)
    order.move_to(7)
    assert {epoch for batch in order for epoch, _ in batch} == {7}


def test_two_processes_share_a_batch_without_overlap():
    one = EpochBatches(16, batch_size=8)
    shares = [EpochBatches(16, batch_size=8, process=p, num_processes=2) for p in (0, 1)]
    for whole, left, right in zip(one, *shares, strict=True):
        assert left + right == whole


def test_a_last_batch_too_small_for_batch_norm_is_left_for_the_next_order():
    assert EpochBatches(9, batch_size=4).num_batches == 2
    assert EpochBatches(10, batch_size=4).num_batches == 3
    assert EpochBatches(3, batch_size=8).num_batches == 1


def test_weighted_order_shows_rare_examples_in_proportion():
    weights = np.array([9.0] + [1.0] * 9)
    counts = np.bincount(epoch_order(10, seed=0, epoch=0, weights=weights), minlength=10)
    assert counts.sum() == 10
    assert counts[0] == 5
    assert counts[1:].max() <= 1
