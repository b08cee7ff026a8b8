"""Pictures that are moved by whole pixels, which changes no class: further examples of it."""

import tensorflow as tf


def moved(pictures: tf.Tensor, most: int, seed: tf.Tensor) -> tf.Tensor:
    """Returns pictures, each moved by whole pixels either way, uniform from -`most` to `most`; its border is repeated.

    Args:
      pictures: [B, height, width, channels], raw.
      most: pixels, less than either side; 0: what comes, which need be no pictures, is returned.
      seed: int32 [2].
    """
    if not most:
        return pictures
    height, width = pictures.shape[1:3]
    moves = tf.random.stateless_uniform([2, tf.shape(pictures)[0], 1], seed, -most, most + 1, tf.int32)
    rows, columns = (
        tf.clip_by_value(tf.range(side) + move, 0, side - 1) for side, move in ((height, moves[0]), (width, moves[1]))
    )
    return tf.gather(tf.gather(pictures, rows, axis=1, batch_dims=1), columns, axis=2, batch_dims=1)
