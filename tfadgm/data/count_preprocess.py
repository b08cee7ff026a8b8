"""From rows of counts to x: a Keras layer, as `Preprocess` is one for other arrays.

    x = [ what networks read | the counts ],    l_n = sum_g counts_ng,    m the median of l over training
    read_ng = clip((log(1 + m counts_ng / l_n) - shift_g) * scale)

l is the library size: how much of an example was counted, such as molecules of a cell. Networks read what is left when it is
divided out, p(x|.) scores the counts as they are, given l (`distributions.counts`).
"""

import dataclasses

import keras
import numpy as np
import tensorflow as tf

from tfadgm.data import on_disk

MOST_COUNT = 1 << 24  # beyond which float32 does not tell whole numbers apart
LIMIT = 10.0  # of |read|
QUANTILES = 100  # of the library sizes of training, from which those of draws are taken
ALLOWED = f"whole numbers from 0 to {MOST_COUNT}"


@dataclasses.dataclass(frozen=True)
class CountLayout:
    """What is known of the counts of training, and where they stand in x.

    Attributes:
      median: m, the median of the library sizes.
      libraries: `QUANTILES` of them, ascending.
      log_frequency: [G], the logarithm of each column's share in all counts.
      shift: [G], the means of log(1 + m counts / l).
      scale: one number: 1 / their standard deviation, over columns and rows.
    """

    median: float
    libraries: tuple
    log_frequency: np.ndarray
    shift: np.ndarray
    scale: float

    @property
    def columns(self):
        """G, the number of counts in a row."""
        return len(self.log_frequency)

    def assemble(self, counts):
        """Returns x, float32 [..., 2 G], of counts or of their means, [..., G]."""
        share = tf.math.divide_no_nan(counts, tf.reduce_sum(counts, -1, keepdims=True))
        read = (tf.math.log(1.0 + self.median * share) - self.shift) * self.scale  # ONNX has no log1p
        return tf.concat([tf.clip_by_value(read, -LIMIT, LIMIT), counts], -1)

    def scored(self, x):
        """Returns the counts in x, [..., G]."""
        return x[..., self.columns :]


class CountPreprocess(keras.layers.Layer):
    """x = [read | counts], float32 [B, 2 G], of rows of counts [B, G]; see the module and `CountLayout`.

    Args:
      raw_dtype: of the rows, such as "int32".
      median, libraries, log_frequency, shift, scale: see `CountLayout`.
    """

    noise, transform, image_shape = "none", "none", None

    def __init__(self, raw_dtype, median, libraries, log_frequency, shift, scale, **kwargs):
        super().__init__(**{**kwargs, "name": "preprocess", "dtype": "float32"})
        arrays = {name: np.asarray(v, "float32") for name, v in (("log_frequency", log_frequency), ("shift", shift))}
        numbers = np.concatenate([*map(np.ravel, arrays.values()), np.ravel([median, scale]), np.ravel(libraries)])
        if arrays["shift"].shape != arrays["log_frequency"].shape or arrays["shift"].ndim != 1 or not np.size(libraries):
            raise ValueError(f"shift: got {arrays['shift'].shape}; allowed: a number for each column, as log_frequency")
        if not np.isfinite(numbers.astype("float32")).all():
            raise ValueError("preprocess: got numbers that are not finite; allowed: finite ones")
        self.raw_dtype, self.shift, self.scale = raw_dtype, arrays["shift"], np.float32(scale)
        self.layout = CountLayout(float(median), tuple(map(float, libraries)), scale=float(scale), **arrays)
        self.built = True

    @property
    def raw_shape(self):
        return (self.layout.columns,)

    @property
    def size(self):
        """D = 2 G, the size of x."""
        return 2 * self.layout.columns

    @property
    def read_size(self):
        """G, how many of the first entries of x networks read."""
        return self.layout.columns

    components = read_size  # how many numbers of an example log p(x) is of

    def bounds(self):
        """Returns (low, high, whole): the values that counts may have."""
        return 0, MOST_COUNT, True

    def call(self, raw, seed=None):
        """Returns x, [B, D]; nothing in it is drawn."""
        return self.layout.assemble(tf.cast(raw, tf.float32))

    def observation(self, raw, seeds=None, samples=1):
        """Returns the x that densities score, [1, B, D]."""
        return self(raw)[tf.newaxis]

    def log_jacobian(self, raw):
        """0 for every row, [B]: counts have probabilities."""
        return tf.zeros(tf.shape(raw)[:1])

    def raw(self, x, drawn=False):
        """Returns the counts in x, float32 [..., G]; those of draws are whole."""
        return self.layout.scored(x)

    def picture(self, x):
        """Returns `raw(x)` as an array."""
        return np.asarray(self.raw(x), "float32")

    def get_config(self):
        layout = dataclasses.asdict(self.layout)
        arrays = {name: np.asarray(layout.pop(name)).tolist() for name in ("libraries", "log_frequency", "shift")}
        return {**super().get_config(), "raw_dtype": self.raw_dtype, **layout, **arrays}


def check(x, where):
    """Raises a ValueError that names the first row of x [N, G] that holds no counts, or none but 0."""
    start = 0
    for chunk in on_disk.chunks(x):
        wrong = ~are_counts(chunk)
        if wrong.any():
            row, column = np.argwhere(wrong)[0].tolist()
            at = f"row {start + row}, column {column} (from 0)"
            raise ValueError(f"likelihood: got negative_binomial, and {where} holds {chunk[row, column]:g} in {at}; {TOLD}")
        start += len(chunk)
    empty = np.flatnonzero(library_sizes(x) == 0)
    if len(empty):
        counts = f"{len(empty)} rows of {where} hold no count but 0, first row {empty[0]} (from 0)"
        raise ValueError(f"likelihood: got negative_binomial, and {counts}; allowed: rows with at least one count")


TOLD = f"allowed: {ALLOWED}, or gaussian"


def are_counts(values):
    """Whether each of the values is a whole number of at least 0 that float32 holds, bool; NaN is none."""
    with np.errstate(invalid="ignore"):
        return (values >= 0) & (values <= MOST_COUNT) & (values == np.rint(values))


def library_sizes(x):
    """Returns the sums of rows x [N, G], float64 [N]."""
    return np.concatenate([chunk.sum(1, dtype="float64") for chunk in on_disk.chunks(x)])


def fit(x):
    """Returns the `CountPreprocess` of training rows x, counts [N, G] of which none is empty. No labels, no test data."""
    libraries = library_sizes(x)
    median, columns = float(np.median(libraries)), x.shape[1]
    totals = sum(chunk.sum(0, dtype="float64") for chunk in on_disk.chunks(x))
    log_frequency = np.log((totals + 0.5) / (totals.sum() + 0.5 * columns))  # finite where a column is 0 in all rows
    mean, squares, start = np.zeros(columns), np.zeros(columns), 0
    for chunk in on_disk.chunks(x):
        share = chunk / libraries[start : start + len(chunk), np.newaxis]
        values = np.log1p(median * share)
        mean, squares, start = mean + values.sum(0), squares + (values**2).sum(0), start + len(chunk)
    mean, squares = mean / len(x), squares / len(x)
    deviation = float(np.sqrt(np.maximum(squares - mean**2, 0.0).mean()))
    quantiles = np.quantile(libraries, (np.arange(QUANTILES) + 0.5) / QUANTILES)
    return CountPreprocess(str(x.dtype), median, quantiles, log_frequency, mean, 1 / (deviation or 1.0))
