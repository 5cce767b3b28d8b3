from __future__ import annotations

import numpy as np

from kinema.datasets.perceptual_hash import PerceptualHash, hash_video, similar_pairs
from kinema.video import open_video

RNG = np.random.default_rng(0)


def hash_of(cells: np.ndarray) -> PerceptualHash:
    bits = (cells[:, :, :-1] > cells[:, :, 1:]).astype(np.uint8).reshape(-1)
    return PerceptualHash(bits, cells.astype(np.float32))


SCENE = RNG.uniform(0, 255, (4, 8, 9))
BRIGHTER = hash_of(SCENE * 0.5 + 100)
OTHER = hash_of(RNG.uniform(0, 255, (4, 8, 9)))


def test_a_brighter_copy_in_another_part_is_similar() -> None:
    assert similar_pairs([hash_of(SCENE), OTHER, BRIGHTER], ["train", "valid", "valid"]) == [(0, 2, 0)]
    assert similar_pairs([hash_of(SCENE), BRIGHTER], [None, None]) == [(0, 1, 0)]
    assert similar_pairs([hash_of(SCENE), BRIGHTER], ["train", "train"]) == []


def test_the_most_similar_pair_comes_first() -> None:
    changed = SCENE.copy()
    changed[0, 0, :2] = changed[0, 0, 1::-1]
    found = similar_pairs([hash_of(SCENE), hash_of(changed), BRIGHTER], ["train", "valid", "test"])
    assert found[0] == (0, 2, 0)
    assert {pair[:2] for pair in found[1:]} == {(0, 1), (1, 2)}
    assert all(distance > 0 for *_, distance in found[1:])


def test_videos_without_contrast_are_not_compared() -> None:
    black = hash_of(np.zeros((4, 8, 9)))
    assert black.is_flat
    assert similar_pairs([black, black, black], [None] * 3) == []


def test_equal_bits_are_not_enough_if_the_grey_cells_differ() -> None:
    spikes = SCENE.copy()
    spikes[:, :, 8] = np.where(SCENE[:, :, 7] > SCENE[:, :, 8], SCENE[:, :, 7] - 5000, SCENE[:, :, 7] + 5000)
    pair = [hash_of(SCENE), hash_of(spikes)]
    assert (pair[0].bits == pair[1].bits).all()
    assert similar_pairs(pair, ["train", "valid"]) == []


def test_a_hash_has_64_bits_for_each_of_four_frames(counting_video) -> None:
    with open_video(str(counting_video)) as video:
        found = hash_video(video)
    assert found.bits.shape == (256,)
    assert found.cells.shape == (4, 8, 9)
    assert set(np.unique(found.bits)) <= {0, 1}
    assert not found.is_flat
