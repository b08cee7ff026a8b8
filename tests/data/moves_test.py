"""Moved pictures beside slices of padded ones."""

import numpy as np
import tensorflow as tf

from tfadgm.data.moves import moved

SEED, GENERATOR = tf.constant([3, 4]), np.random.default_rng(0)


def test_pictures_are_moved_by_whole_pixels_and_their_border_is_repeated():
    height, width, most, n = 5, 4, 2, 300
    pictures = GENERATOR.random((n, height, width, 2)).astype("float32")
    found = moved(tf.constant(pictures), most, SEED).numpy()
    padded = np.pad(pictures, [(0, 0), (most, most), (most, most), (0, 0)], mode="edge")
    moves = [(down, right) for down in range(2 * most + 1) for right in range(2 * most + 1)]
    seen = []
    for picture, before in zip(found, padded, strict=True):
        (move,) = [m for m in moves if np.array_equal(picture, before[m[0] : m[0] + height, m[1] : m[1] + width])]
        seen.append(move)
    assert set(seen) == set(moves), "each of 25 has been drawn"


def test_without_a_move_all_is_as_it_was_pictures_or_not():
    rows = tf.constant(GENERATOR.random((3, 4)))
    assert moved(rows, 0, SEED) is rows
