"""Pictures at another size: the user's own fitted to one by `fit`, data sets' by area average or by the nearest pixel."""

import numpy as np
import tensorflow as tf

LARGEST = 1 << 26  # pixels of a picture that is fitted: what is decoded before takes three bytes each


@tf.function(
    input_signature=[tf.TensorSpec([None, None, None], tf.uint8), *[tf.TensorSpec([], tf.int64)] * 2], autograph=False
)
def fit(picture, height, width):
    """Returns a picture at another size: a window around its centre, resized; an aspect ratio stays what it is.

    The window is the largest one that has the new aspect ratio, to whole pixels. With s = its side / the new side, the new
    pixel i of each axis is the mean of the window's pixels j by the weights

        max(0, 1 - |(i + 1/2) s - (j + 1/2)| / max(1, s)),

    which is linear interpolation where a picture grows, and antialiased where it shrinks. One that has the new size is left
    as it is. Training and the exported graph call this one function, so that both see the same levels.

    Args:
      picture: uint8 [old height, old width, channels].
      height, width: the new size.

    Returns:
      uint8 [height, width, channels], rounded to the nearest level.
    """
    old_height, old_width, _ = tf.unstack(tf.shape(picture, tf.int64))
    rows = tf.clip_by_value((2 * old_width * height + width) // (2 * width), 1, old_height)  # rounded to the nearest
    columns = tf.clip_by_value((2 * old_height * width + height) // (2 * height), 1, old_width)
    top, left = (old_height - rows) // 2, (old_width - columns) // 2
    window = picture[top : top + rows, left : left + columns]
    resized = tf.image.resize(window, tf.cast([height, width], tf.int32), antialias=True)
    return tf.cast(tf.round(resized), tf.uint8)


def area_average(x, height, width):
    """Returns pictures at another size: each new pixel is the mean over the area of the old picture that it covers.

    With s = old / new, pixel i covers the interval [i s, (i + 1) s) of the old axis, old pixels at its ends in part:
    new = A old B^T, where A_ij = |[i s, (i + 1) s) cut with [j, j + 1)| / s, and B likewise.

    Args:
      x: uint8 [..., old height, old width].
      height, width: the new size.

    Returns:
      uint8 [..., height, width], rounded to the nearest level.
    """
    rows, columns = _cover(x.shape[-2], height), _cover(x.shape[-1], width)
    return np.rint(rows @ x.astype("float32") @ columns.T).astype("uint8")


def _cover(old, new):
    step = old / new
    low, high = np.arange(new)[:, np.newaxis] * step, np.arange(1, new + 1)[:, np.newaxis] * step
    pixel = np.arange(old)
    return (np.clip(np.minimum(high, pixel + 1) - np.maximum(low, pixel), 0, None) / step).astype("float32")


def nearest(x, height, width):
    """Returns pictures [..., height, width] whose pixels are those of x, [..., old, old], at the new pixels' centres."""
    rows = ((np.arange(height) + 0.5) * x.shape[-2] / height).astype(int)
    columns = ((np.arange(width) + 0.5) * x.shape[-1] / width).astype(int)
    return x[..., rows[:, np.newaxis], columns]


def stretch(x):
    """Returns uint8 pictures [..., height, width] with levels spread so that each one's span 0, ..., 255."""
    low, high = x.min((-2, -1), keepdims=True), x.max((-2, -1), keepdims=True)
    span = np.maximum(high.astype("float64") - low, 1)
    return np.floor((x.astype("float64") - low) * (255 / span) + 0.5).astype("uint8")
