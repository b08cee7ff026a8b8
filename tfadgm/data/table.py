"""Tables, x [N, D]: which columns are features, and what their numbers are taken for."""

import numpy as np

from tfadgm.data.on_disk import chunks
from tfadgm.data.robust import sample

LABEL_COLUMN = "label"
INDEX_NAMES = frozenset(["", "id", "index", "idx", "row", "rowid", "row_id", "uuid", "identifier"])
INDEX_NAMES |= {"unnamed: 0", "__index_level_0__"}  # of pandas
SMALLEST_PICTURE = 8  # pixels to a side
# Nats per column. Counts of genes have 0.55 to 0.8, grey levels of digits 0.3, Poisson counts of a mean of 3 or more 0.
LEAST_GAIN = 0.4


def is_identifier(name):
    """Whether a column's name says that it numbers or names the rows: an empty one (pandas' index), id, index, ..."""
    return name.strip().casefold() in INDEX_NAMES


def is_table(x):
    """Whether x [N, ...] is a table: rows of numbers, but for bytes that fill a square, which are pictures laid flat."""
    if x.ndim != 2:
        return False
    sides = {np.sqrt(x.shape[1] / channels) for channels in (1, 3)}
    square = any(side == round(side) >= SMALLEST_PICTURE for side in sides)
    return not (x.dtype == np.uint8 and square and any(chunk.max() > 1 for chunk in chunks(x)))


def describe(x):
    """Returns likelihood, levels and scale of a table, a dict of arguments of `Dataset`.

    Columns of 0 and 1 alone are Bernoulli. All others are Gaussian and standardised, within [0, 1] too, and of their
    logarithms if they are counts for which that is nearer to a Gaussian (see `are_skewed_counts`).
    """
    if all(((chunk == 0) | (chunk == 1)).all() for chunk in chunks(x)):
        return dict(likelihood="bernoulli", levels=None if x.dtype.kind == "f" else 2, scale="standardise")
    return dict(likelihood="gaussian", scale="log1p" if are_skewed_counts(x) else "standardise")


def are_counts(x):
    """Whether x holds whole numbers of at least 0 alone."""
    return all(((chunk >= 0) & (chunk == np.rint(chunk))).all() for chunk in chunks(x))


def are_skewed_counts(x):
    """Whether x holds counts whose logarithms log(1 + x) are nearer to Gaussians than they are themselves.

    The mean gain in log-likelihood decides, of Gaussians with each column's own moments, that of the logarithms with its
    Jacobian prod 1 / (1 + x) (Box and Cox 1964, for the powers 1 and 0). Constant columns have no part in it.
    """
    return x.shape[1] > 1 and are_counts(x) and gain(sample(x)) > LEAST_GAIN


def gain(rows):
    """Returns the mean over columns of that gain, nats, of rows of counts, float64 [N, D]; 0 where all are constant."""
    rows = rows[:, rows.std(0) > 0] if len(rows) else rows[:, :0]
    if not rows.shape[1]:
        return 0.0
    logarithms = np.log1p(rows)
    return float((np.log(rows.std(0)) - np.log(logarithms.std(0)) - logarithms.mean(0)).mean())
