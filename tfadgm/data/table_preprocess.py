"""From the raw rows of a table, missing cells and all, to x: a Keras layer, as `Preprocess` is one for arrays.

A raw row is float32 [C], NaN where a cell is missing: numbers and dates as they are, 0 or 1, counts, and the code of a
category, of which the last is "other" (see `columns.Column`).
"""

import keras
import numpy as np
import scipy.stats
import tensorflow as tf

from tfadgm.data import on_disk, robust
from tfadgm.data.count_preprocess import CountPreprocess
from tfadgm.data.layout import BINARIES, CATEGORIES, COUNTS, NUMBERS, Layout
from tfadgm.data.preprocess import Preprocess
from tfadgm.noise import uniform

KINDS = {NUMBERS: ("number", "date"), BINARIES: ("binary",), COUNTS: ("count",), CATEGORIES: ("category",)}
# Nats per cell that a power must gain over the identity to be taken, and what powers there are: all these map R onto R.
LEAST_GAIN, POWERS = 0.1, (0.0, 2.0)
LEAST_SKEW = 0.3  # below which no power is tried
FIT_ROWS = 100_000  # from which the scales of columns are found, evenly over the table
POWER_ROWS = 2_000  # likewise, the powers

# What a model answers for a cell that is missing, if none was missing, or hidden, in its training, nobody has taught it.
UNLEARNED = "no missing cell (NaN), as the model has seen none in training, which --hidden_cells=0.1 changes"


class TablePreprocess(keras.layers.Layer):
    """x = [read | scored], float32 [B, D], of raw rows [B, C]; see `Layout`. A number v becomes

        x = clip(scale * (yj((v - centre) / spread) - shift)),

    yj the power transform of Yeo and Johnson 2000 (the identity for the power 1), so that a column with a long tail is
    near to a Gaussian; `log_jacobian` has its slope.

    Args:
      kinds: of each raw column, "number", "date", "binary", "count" or "category".
      categories: the number of values of each column that is a category, "other" included; 0 for the others.
      centre, spread, power, shift, scale, limit: of each column that is a number; of one that is a count shift and scale,
        of log(1 + count). [C] each, anything for the other kinds.
      hidden: share of the observed cells that are not read, drawn afresh for every batch of training. They are scored.
      whole: of each column that is a number, whether draws of it are rounded, as what it was in training is whole; None:
        none is. (It has a density nevertheless.)
    """

    noise, transform, image_shape, raw_dtype = "none", "none", None, "float32"

    def __init__(self, kinds, categories, centre, spread, power, shift, scale, limit, hidden=0.0, whole=None, **kwargs):
        super().__init__(**{**kwargs, "name": "preprocess", "dtype": "float32"})
        self.kinds, self.categories, self.hidden = tuple(kinds), tuple(categories), hidden
        known = {kind for kinds in KINDS.values() for kind in kinds}
        if not self.kinds or not set(self.kinds) <= known:
            raise ValueError(f"kinds: got {self.kinds}; allowed: {', '.join(sorted(known))}")
        if not 0 <= hidden < 1:
            raise ValueError(f"hidden: got {hidden}; allowed: 0 up to, but not including, 1")
        given = dict(centre=centre, spread=spread, power=power, shift=shift, scale=scale, limit=limit)
        for name, value in given.items():
            value = np.asarray(value, "float32")
            if value.shape != (len(self.kinds),) or not np.isfinite(value).all():
                raise ValueError(f"{name}: got {value}; allowed: a finite number for each of {len(self.kinds)} columns")
            setattr(self, name, value)
        self.whole = np.zeros(len(self.kinds), bool) if whole is None else np.asarray(whole, bool)
        if self.whole.shape != (len(self.kinds),):
            raise ValueError(f"whole: got {whole}; allowed: true or false for each of {len(self.kinds)} columns")
        self.order = self._order()
        counts = self.order[COUNTS]
        self.layout = Layout(
            len(self.order[NUMBERS]),
            len(self.order[BINARIES]),
            len(counts),
            [self.categories[c] for c in self.order[CATEGORIES]],
            self.shift[counts].tolist(),
            self.scale[counts].tolist(),
        )
        self.built = True

    def _order(self):
        """Returns {kind of the layout: raw column numbers}, categories by their number of values."""
        order = {name: [c for c, kind in enumerate(self.kinds) if kind in kinds] for name, kinds in KINDS.items()}
        order[CATEGORIES].sort(key=lambda c: self.categories[c])
        return {name: np.asarray(columns, "int32") for name, columns in order.items()}

    @property
    def _columns(self):
        """The numbers of the raw columns, in the order that they have in x."""
        return np.concatenate(list(self.order.values()))

    @property
    def raw_shape(self):
        return (len(self.kinds),)

    @property
    def components(self):
        """How many numbers of an example log p(x) is of, if no cell is missing."""
        return len(self.kinds)

    @property
    def size(self):
        """D, the size of x."""
        return self.layout.size

    @property
    def read_size(self):
        """How many of the first entries of x networks read."""
        return self.layout.read_size

    @property
    def reads_missing(self):
        """Whether networks have learned of cells that are missing: some were, or were hidden, in training."""
        return self.hidden > 0

    def check_missing(self, raw, what):
        """Raises a ValueError that begins with `what` if a cell is missing in rows [N, C] and networks know of none."""
        missing = np.concatenate([np.isnan(chunk).any(1) for chunk in on_disk.chunks(raw)])
        if missing.any() and not self.reads_missing:
            told = f"{missing.sum()} of {len(raw)} rows, the first is row {missing.argmax()} (from 0)"
            raise ValueError(f"{what}: has missing cells in {told}; allowed: {UNLEARNED}")

    def bounds(self):
        """Returns (low, high, whole), [C] each: the smallest and largest value of each column, and whether all are whole."""
        real = np.array([kind in ("number", "date") for kind in self.kinds])
        top = {"binary": 1, "category": None}
        high = [top.get(kind, np.inf) or size - 1 for kind, size in zip(self.kinds, self.categories, strict=True)]
        return np.where(real, -np.inf, 0.0), np.array(high, "float64"), ~real

    def call(self, raw, seed=None):
        """Returns x, [B, D]; with a seed, as in training, a share `hidden` of the cells is not read."""
        observed = tf.cast(~tf.math.is_nan(raw), tf.float32)
        raw = tf.where(tf.math.is_nan(raw), 0.0, raw)
        parts = {kind: tf.gather(raw, columns, axis=-1) for kind, columns in self.order.items()}
        parts[NUMBERS] = self._standardised(parts[NUMBERS])
        parts[CATEGORIES] = self._one_hot(parts[CATEGORIES])
        observed = tf.gather(observed, self._columns, axis=-1)
        seen = observed
        if seed is not None and self.hidden > 0:
            seen *= tf.cast(uniform(tf.shape(observed), seed) >= self.hidden, tf.float32)
        return self.layout.assemble(parts, observed, seen)

    def _of_numbers(self, name):
        return getattr(self, name)[self.order[NUMBERS]]

    def _standardised(self, numbers):
        centre, spread, power, shift, scale, limit = map(
            self._of_numbers, ("centre", "spread", "power", "shift", "scale", "limit")
        )
        return tf.clip_by_value(scale * (yeo_johnson((numbers - centre) / spread, power) - shift), -limit, limit)

    def _one_hot(self, codes):
        parts, start = [], 0
        for size, alike in self.layout.groups:
            found = tf.one_hot(tf.cast(codes[..., start : start + alike], tf.int32), size)
            parts.append(tf.reshape(found, [-1, alike * size]))
            start += alike
        return tf.concat(parts, -1) if parts else codes

    def observation(self, raw, seeds=None, samples=1):
        """Returns the x that densities score, [1, B, D]; nothing in it is drawn."""
        return self(raw)[tf.newaxis]

    def log_jacobian(self, raw):
        """log |dx / d raw| over the observed numbers, float32 [B]: what makes a density of x one in the columns' units.

        Counts, categories and yes or no have probabilities, which have no units.
        """
        raw = tf.gather(raw, self.order[NUMBERS], axis=-1)
        centre, spread, power, scale = map(self._of_numbers, ("centre", "spread", "power", "scale"))
        missing = tf.math.is_nan(raw)
        standard = (tf.where(missing, 0.0, raw) - centre) / spread
        slope = tf.sign(standard) * (power - 1) * tf.math.log1p(tf.abs(standard)) + np.log(scale / spread)
        return tf.reduce_sum(tf.where(missing, 0.0, slope), -1)

    def raw(self, x, drawn=False):
        """Returns the raw rows, float32 [..., C], of the scored part of x: what `call` makes x of.

        Args:
          x: [..., D], in which a category may be probabilities in place of one-hot, and 0 or 1 a probability.
          drawn: whether counts, and numbers that are `whole`, become whole; probabilities become the most probable value in
            either case.
        """
        values, masks = self.layout.scored(x)
        return self.rows(self.in_units(values), tf.concat(list(masks.values()), -1), drawn)

    def in_units(self, values):
        """Returns `values` {kind: [..., n]} of x with the numbers in their columns' own units."""
        centre, spread, power, shift, scale = map(self._of_numbers, ("centre", "spread", "power", "shift", "scale"))
        numbers = centre + spread * inverse_yeo_johnson(values[NUMBERS] / scale + shift, power)
        return {**values, NUMBERS: numbers}

    def rows(self, values, observed, drawn=False):
        """Returns raw rows, float32 [..., C], of values in own units, NaN where `observed` [..., C] is 0; see `raw`."""
        counts = tf.round(values[COUNTS]) if drawn else values[COUNTS]
        numbers = values[NUMBERS]
        if drawn:
            numbers = tf.where(self._of_numbers("whole"), tf.round(numbers), numbers)
        columns = [numbers, tf.round(values[BINARIES]), counts, self._codes(values[CATEGORIES])]
        ordered = tf.where(observed < 0.5, np.nan, tf.concat(columns, -1))
        return tf.gather(ordered, np.argsort(self._columns), axis=-1)

    def _codes(self, one_hot):
        parts, start = [], 0
        for size, alike in self.layout.groups:
            part = one_hot[..., start : start + alike * size]
            part = tf.reshape(part, tf.concat([tf.shape(one_hot)[:-1], [alike, size]], 0))
            parts.append(tf.cast(tf.argmax(part, -1), tf.float32))
            start += alike * size
        return tf.concat(parts, -1) if parts else one_hot

    def picture(self, x):
        """Returns `raw(x)` as an array."""
        return self.raw(tf.convert_to_tensor(x, tf.float32)).numpy()

    def get_config(self):
        numbers = ("centre", "spread", "power", "shift", "scale", "limit")
        return {
            **super().get_config(),
            **dict(kinds=list(self.kinds), categories=list(self.categories), hidden=self.hidden, whole=self.whole.tolist()),
            **{name: getattr(self, name).tolist() for name in numbers},
        }


def preprocess_from_config(config):
    """Returns the `TablePreprocess`, `CountPreprocess` or `Preprocess` that `config`, of its `get_config`, describes."""
    kinds = {"kinds": TablePreprocess, "libraries": CountPreprocess}
    return next((kind for name, kind in kinds.items() if name in config), Preprocess)(**config)


def yeo_johnson(v, power):
    """The power transform of Yeo and Johnson 2000, for powers from 0 to 2, elementwise.

    ((1 + v)^p - 1) / p for v >= 0, and -((1 - v)^(2 - p) - 1) / (2 - p) for v < 0; by expm1, so that 0 and 2 are no
    exceptions: (1 + v)^p - 1 = expm1(p log(1 + v)).
    """
    log = tf.math.log1p(tf.abs(v))
    power = np.where(np.asarray(power) == 0, 1e-6, np.where(np.asarray(power) == 2, 2 - 1e-6, power))
    exponent = tf.where(v >= 0, power, 2 - power)
    return tf.sign(v) * tf.math.expm1(exponent * log) / exponent


def inverse_yeo_johnson(u, power):
    """The inverse of `yeo_johnson`, elementwise."""
    power = np.where(np.asarray(power) == 0, 1e-6, np.where(np.asarray(power) == 2, 2 - 1e-6, power))
    exponent = tf.where(u >= 0, power, 2 - power)
    return tf.sign(u) * tf.math.expm1(tf.math.log1p(exponent * tf.abs(u)) / exponent)


def fit(x, kinds, categories, hidden=0.0):
    """Returns the `TablePreprocess` of a table.

    Args:
      x: raw rows, float [N, C], NaN where a cell is missing. No labels, no test data.
      kinds, categories, hidden: see `TablePreprocess`.
    """
    found, whole = [], []
    for first, rows in on_disk.column_blocks(x, max(1, -(-len(x) // FIT_ROWS))):
        found += [_of_column(rows[:, c].astype("float64"), kinds[first + c]) for c in range(rows.shape[1])]
        whole += (np.isin(kinds[first : first + rows.shape[1]], "number") & _is_whole(rows)).tolist()
    names = ("centre", "spread", "power", "shift", "scale", "limit")
    return TablePreprocess(kinds, categories, **dict(zip(names, np.array(found).T, strict=True)), hidden=hidden, whole=whole)


def _is_whole(rows):
    """Whether all cells of each column are whole numbers, bool [C]."""
    return ((rows == np.rint(rows)) | np.isnan(rows)).all(0)


def _of_column(values, kind):
    """Returns (centre, spread, power, shift, scale, limit) of a column."""
    values = values[~np.isnan(values)]
    nothing = (0.0, 1.0, 1.0, 0.0, 1.0, robust.LIMIT)
    if kind not in ("number", "date", "count") or not len(values):
        return nothing
    if kind == "count":
        logarithms = np.log1p(values)
        return (*nothing[:3], logarithms.mean(), 1 / (_spread(logarithms) or 1.0), robust.LIMIT)
    moments = robust.columns(values[:, None])
    mean, std = moments.mean[0], _positive(moments.std[0], moments.mean[0])
    inside = np.clip(values, moments.low[0], moments.high[0])
    centre, spread, power = _power(inside[:: max(1, -(-len(inside) // POWER_ROWS))], mean, std)
    if power == 1:
        return mean, std, 1.0, 0.0, 1.0, max(robust.LIMIT, 1.01 * np.abs((inside - mean) / std).max())
    transformed = scipy.stats.yeojohnson((inside - centre) / spread, power)
    shift, deviation = transformed.mean(), _spread(transformed) or 1.0
    reached = np.abs((transformed - shift) / deviation).max()
    return centre, spread, power, shift, 1 / deviation, max(robust.LIMIT, 1.01 * reached)


def _spread(values):
    return float(values.std())


def _positive(std, mean):
    """std, or 1 where it is below what float32 can hold beside the mean."""
    precision = np.finfo("float32")
    return std if std > max(precision.eps * abs(mean), precision.tiny) else 1.0


def _power(values, mean, std):
    """Returns (centre, spread, power) under which values are most like a Gaussian; mean, std, 1 if that gains too little.

    A logarithm of (v - lowest) is among them, nearly: power 0 about the lowest value, in units of what most are above it.
    """
    if values.std() == 0 or abs(scipy.stats.skew(values)) < LEAST_SKEW:
        return mean, std, 1.0
    low, tenth, quarter, median, three = np.quantile(values, (0.0, 0.1, 0.25, 0.5, 0.75))
    scales = [(mean, std), (median, three - quarter), (low, median - low), (low, tenth - low)]
    found = [(*_gain(values, centre, spread), centre, spread) for centre, spread in scales if spread > 1e-6 * std]
    gain, power, centre, spread = max(found)
    gain += np.log(values.std())  # beyond the identity's, which is -log of the deviation
    return (centre, spread, power) if gain > LEAST_GAIN else (mean, std, 1.0)


def _gain(values, centre, spread):
    """Returns (nats per value, power) of the best power of (values - centre) / spread, but for a constant."""
    standard = (values - centre) / spread
    found = [(scipy.stats.yeojohnson_llf(power, standard) / len(values), power) for power in np.linspace(*POWERS, 11)]
    likelihood, power = max(found)
    return likelihood - np.log(spread), float(power)
