"""Smaller pictures: by area average, or by the nearest pixel."""

import numpy as np


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
