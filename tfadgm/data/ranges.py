"""Numbers at use beside those of training: of the same kind, and in the same units."""

import math

import numpy as np

from tfadgm.data import count_preprocess, on_disk
from tfadgm.data.on_disk import chunks
from tfadgm.data.robust import columns

MOST_COLUMNS = 4096  # whose ranges are kept one by one
TABLE_ROWS = 100_000  # from which those of a table are taken
OUTSIDE = 0.5  # share of a column's values outside what is usual, from which it is told
LEVELS = 32  # pictures that reach it are not within [0, 1]


def as_dtype(x, dtype, name="x", missing=False):
    """Returns x [N, ...] as an array of `dtype`, or raises a ValueError that says what does not fit.

    Nothing is scaled, rounded or clipped: whole numbers may come as floats and the other way round, and no more. NaN is
    allowed where values may be `missing`.
    """
    x, dtype = np.asarray(x), np.dtype(dtype)
    if x.dtype.kind not in "uifb":
        raise ValueError(f"{name} has dtype {x.dtype}; allowed: numbers")
    if x.dtype.kind == "f":
        _refuse(name, x, np.isinf if missing else lambda part: ~np.isfinite(part), "finite numbers")
    if dtype.kind == "f":
        low, high = -np.finfo(dtype).max, np.finfo(dtype).max
    else:
        low, high = (0, 1) if dtype.kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    kind = "numbers" if dtype.kind == "f" else "whole numbers"
    whole = dtype.kind != "f" and x.dtype.kind == "f"

    def wrong(part):
        outside = (part < low) | (part > high)
        return outside | (part != np.rint(part)) if whole else outside

    _refuse(name, x, wrong, f"{kind} from {low:.6g} to {high:.6g}, as the model's {dtype} examples")
    return on_disk.converted(x, dtype, name)


def _refuse(name, x, wrong, allowed):
    """Raises a ValueError if `wrong`, a function of examples, finds values in x; it names the first."""
    start, count, first = 0, 0, ""
    for part in chunks(x):
        found = wrong(part)
        if found.any():
            at = tuple(int(i) for i in np.argwhere(found)[0])
            first = first or f"{part[at]} in row {start + at[0]}"
            count += int(found.sum())
        start += len(part)
    if count:
        raise ValueError(f"{name} holds {first} (from 0; {count} such values); allowed: {allowed}")


def of(data, likelihood=None):
    """Returns the smallest and the largest value of training examples, dict(low, high, bounds) of JSON types.

    One of each per column of a table (but for values far out, see `robust`), or one of each for all. bounds: the numbers
    that p(x|.) knows, such as [0, 255]; None: all. Counts have bounds alone, and `whole`.

    Args:
      data: a `Dataset`.
      likelihood: of p(x|.); None is the data set's.
    """
    likelihood = likelihood or data.likelihood
    if data.columns is not None:
        return _of_table(data)
    if likelihood == "negative_binomial":
        return dict(low=None, high=None, bounds=[0, count_preprocess.MOST_COUNT], whole=True)
    bounds = None if likelihood == "gaussian" else [0, 1 if data.levels is None else data.levels - 1]
    if len(data.raw_shape) == 1 and data.raw_shape[0] <= MOST_COLUMNS and data.standardised:
        found = data.moments
        low, high = (np.expm1(v) if data.scale == "log1p" else v for v in (found.low, found.high))
        return dict(low=low.tolist(), high=high.tolist(), bounds=bounds)
    low, high = span(data.x_train)
    return dict(low=low, high=high, bounds=bounds)


def _of_table(data):
    """Of the columns of numbers, dates and counts; None for the others, and beyond `MOST_COLUMNS`."""
    low, high = [], []
    for first, rows in on_disk.column_blocks(data.x_train, max(1, len(data.x_train) // TABLE_ROWS)):
        for values, column in zip(rows.T, data.columns[first : min(first + len(rows.T), MOST_COLUMNS)], strict=False):
            values = values[~np.isnan(values)] if column.kind in ("number", "date", "count") else ()
            found = columns(values[:, None]) if len(values) else None
            low.append(float(found.low[0]) if found else None)
            high.append(float(found.high[0]) if found else None)
    return dict(low=low, high=high, bounds=None)


def compare(where, x, limits, names=None):
    """Returns warnings, a list of lines, about examples that are in other units than those of training.

    Args:
      where: what lines call the examples, such as the file's name.
      x: [N, ...].
      limits: what `of` returned.
      names: of the columns.

    Raises:
      ValueError: for numbers beyond the bounds, and for pictures on [0, 1] where those of training reach 255.
    """
    if not x.size:
        return []
    low, high = span(x)
    bounds = limits["bounds"]
    if bounds and not bounds[0] <= low <= high <= bounds[1]:
        raise ValueError(f"{where}: holds numbers from {low:g} to {high:g}; allowed: {bounds[0]} to {bounds[1]}")
    if limits.get("whole"):
        _refuse(where, x, lambda part: ~count_preprocess.are_counts(part), count_preprocess.ALLOWED)
        empty = np.flatnonzero(np.concatenate([~part.any(1) for part in chunks(x)]))
        if len(empty):
            told = "allowed: at least one count of what the model knows in each"
            raise ValueError(f"{where}: {len(empty)} rows hold no count but 0, first row {empty[0]} (from 0); {told}")
        return []
    if isinstance(limits["low"], list):
        return _compare_columns(where, x, limits, names)
    usual = f"{limits['low']:g} to {limits['high']:g}"
    for a, b in (((low, high), (limits["low"], limits["high"])), ((limits["low"], limits["high"]), (low, high))):
        if a[0] >= 0 and 0 < a[1] <= 1 and b[0] >= 0 and b[1] >= LEVELS:
            raise ValueError(f"{where}: holds numbers from {low:g} to {high:g}; allowed: {usual}, as in training")
    if low < limits["low"] or high > limits["high"]:
        far = max(limits["low"] - low, high - limits["high"]) > limits["high"] - limits["low"]
        return [f"{where}: holds numbers from {low:g} to {high:g}; in training {usual}"] if far else []
    return []


def check_levels(where, x, limits):
    """Raises a ValueError for a picture of a file, of 256 levels by its format, if training had so few as to be others.

    A dark picture is not told: its levels are what they are.
    """
    high = max((part.max() for part in chunks(x)), default=0)
    if limits["high"] < LEVELS and high > limits["high"]:
        raise ValueError(f"{where}: holds levels to {high}; allowed: 0 to {limits['high']:g}, as in training")


def _compare_columns(where, x, limits, names):
    low, high = (np.asarray(limits[key], "float64") for key in ("low", "high"))  # NaN of columns without a range
    observed, outside = np.zeros(len(low), "int64"), np.zeros(len(low), "int64")
    with np.errstate(over="ignore"):
        room = high - low + 1e-6 * np.maximum(np.abs(low), np.abs(high))  # what float32 and logarithms round off
        for part in chunks(x):
            part = part[:, : len(low)].astype("float64")
            observed += (~np.isnan(part)).sum(0)
            outside += ((part < low - room) | (part > high + room)).sum(0)
    observed = np.maximum(observed, 1)
    found = np.flatnonzero(outside / observed > OUTSIDE)
    if not len(found):
        return []
    one = found[0]
    name = repr(names[one]) if names else f"{one} (from 0)"
    more = f", and {len(found) - 1} other columns likewise" if len(found) > 1 else ""
    total = math.fsum(math.fsum(np.nan_to_num(part[:, one].astype("float64"))) for part in chunks(x))
    values = f"{total / observed[one]:g} on average, in training {low[one]:g} to {high[one]:g}"
    return [f"{where}: column {name} is {values}{more}; the same units are needed"]


def span(x):
    """Returns the smallest and the largest value of x, two floats."""
    parts = [(part.min(), part.max()) for part in chunks(x)]
    return float(min(low for low, _ in parts)), float(max(high for _, high in parts))
