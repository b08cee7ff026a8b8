"""Mean and deviation of columns that a few huge numbers do not move: those far outside the quartiles are left out.

Of ordinary data nothing is left out, and these are the mean and the standard deviation.
"""

import dataclasses
import math
import warnings

import numpy as np

from tfadgm.data import on_disk

# A value is far out where it is more than FENCE times the distance of the quartiles beyond them: 27 standard deviations
# of a normal distribution. Tukey's fences (1977) have 1.5 and 3; these are to leave alone whatever is merely skewed.
FENCE = 20.0
MOST = 0.01  # share of a column that can be far out: more are what the column is like, as beside many zeros
LIMIT = 30.0  # of |x| in standard deviations; what lies beyond enters as this
# The next where a column's values at these are the same, or more than MOST lie far beyond them.
QUANTILES = (0.25, 0.75), (0.1, 0.9), (0.01, 0.99)
SAMPLE_VALUES = 4_000_000  # from which quantiles are taken


@dataclasses.dataclass
class Columns:
    """What is known of each component of raw examples, float64 [*raw_shape], values far out left aside.

    Attributes:
      mean, std: their moments.
      low, high: their smallest and largest values.
      far: {flat index of a component: (how many values are far out, the row of the first, its value)}.
    """

    mean: np.ndarray
    std: np.ndarray
    low: np.ndarray
    high: np.ndarray
    far: dict


def columns(x, transform=None):
    """Returns the `Columns` of transform(x), x [N, ...]; None is the identity. In one pass, quantiles are of a `sample`.

    NaN is a value that is missing; a component without any value has 0 and no spread.
    """
    transform = transform or (lambda values: values)
    below, above = _fences(transform(sample(x)))
    # Sums are of differences to a value of the data: constants have a deviation of exactly 0, large means cost no digits.
    first, start = np.full(math.prod(x.shape[1:]), np.nan), 0
    count, total, squares, far = 0, 0.0, 0.0, {}
    low, high = np.inf, -np.inf
    for chunk in on_disk.chunks(x):
        values = transform(chunk.reshape(len(chunk), -1).astype("float64"))
        there = ~np.isnan(values)
        kept = (values >= below) & (values <= above)
        if not kept.all():
            _note_far(far, values, there & ~kept, start)
        if np.isnan(first).any():
            begun = values[there.argmax(0), np.arange(len(first))]
            first = np.where(np.isnan(first), np.clip(begun, below, above), first)
        difference = np.where(kept, values - first, 0.0)
        count, total, squares = count + kept.sum(0), total + difference.sum(0), squares + (difference**2).sum(0)
        low = np.minimum(low, np.where(kept, values, np.inf).min(0))
        high = np.maximum(high, np.where(kept, values, -np.inf).max(0))
        start += len(values)
    none = count == 0
    mean = total / np.where(none, 1, count)
    std = np.sqrt(np.maximum(squares / np.where(none, 1, count) - mean**2, 0.0))
    found = (np.where(none, 0.0, part) for part in (first + mean, std, low, high))
    return Columns(*(part.reshape(x.shape[1:]) for part in found), far)


def sample(x):
    """Returns rows evenly over x, float64, as many as `SAMPLE_VALUES` have room for."""
    return np.asarray(on_disk.every(x, math.ceil(x.size / SAMPLE_VALUES)), "float64")


def _fences(rows):
    """Returns the lowest and the highest value that is not far out, [D] each."""
    rows = rows.reshape(len(rows), -1)
    below, above = np.full(rows.shape[1], -np.inf), np.full(rows.shape[1], np.inf)
    undecided, missing = np.ones(rows.shape[1], bool), np.isnan(rows)
    most = np.maximum(2, MOST * (~missing).sum(0))
    for levels in QUANTILES:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of columns without any value
            low, high = (np.nanquantile if missing.any() else np.quantile)(rows, levels, axis=0)
        spread = np.where(undecided, high - low, 0.0)
        lowest, highest = low - FENCE * spread, high + FENCE * spread
        outside = ((rows < lowest) | (rows > highest)).sum(0)
        found = (spread > 0) & (outside <= most)
        below, above = np.where(found, lowest, below), np.where(found, highest, above)
        undecided &= ~found
    return below, above


def _note_far(far, values, out, start):
    for column in np.flatnonzero(out.any(0)).tolist():
        rows = np.flatnonzero(out[:, column])
        count, row, value = far.get(column, (0, start + int(rows[0]), float(values[rows[0], column])))
        far[column] = (count + len(rows), row, value)
