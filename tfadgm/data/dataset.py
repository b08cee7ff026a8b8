"""What a data set is: raw arrays, and how they become x. Shared helpers of the loaders."""

import dataclasses
import functools

import numpy as np

from tfadgm.data import count_preprocess, on_disk, robust, table_preprocess
from tfadgm.data.columns import Column
from tfadgm.data.count_preprocess import CountPreprocess
from tfadgm.data.preprocess import Preprocess

UNLABELLED = -1
HIDDEN_CELLS = 0.1  # share of a table's cells that are not read in training, where some are missing
PER_CHANNEL = ("channel", "standardise_channels")


@dataclasses.dataclass
class Dataset:
    """Raw examples and their labels.

    Attributes:
      name: as it is printed.
      x_train: [N, ...] raw examples (an array or a memory map).
      y_train: int64 [N]: class numbers; -1 is unlabelled.
      x_test, y_test: the test set, or None.
      class_names: K strings; none for data without classes.
      likelihood: the default p(x|.), one of `likelihoods.LIKELIHOODS`.
      levels: number of grey levels of raw examples that are whole numbers 0, ..., levels - 1; None for real numbers.
      scale: how a Gaussian p(x|.) sees them, x = (raw - shift) * scale: a number with shift 0; "standardise": both per
        feature, by moments that a few huge numbers do not move (see `robust`); "log1p": the same of log(1 + raw), for
        counts; "standardise_channels": both per channel; or "channel": a scale per channel and shift 0. All are of the
        training examples. Channels that are constant over these, such as an opaque alpha, are no components of x then.
      paper_labels: indices of the training examples that the paper labels, for `label_draw="paper"`; None: it draws them.
      labelled_classes: the classes that have labels in training; None: all. Others are to be found without.
      min_column_std: components of x whose standard deviation over the training set is below it are dropped.
      feature_names: of the columns of a table, by which later tables are matched; None: columns have no names.
      columns: of a table, its C `columns.Column`s; x is float32 [N, C], NaN where a cell is missing. None: an array.
      notes: what the loader took for what, in lines that are told before training.
      warnings: what it found that may be a mistake, likewise.
      any_size: whether pictures of other sizes have been fitted to that of x, and others are to be (see `Preprocess`).
      without_classes: why there are no classes, for the error of a model that needs them; "" where there are.
    """

    name: str
    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray | None
    y_test: np.ndarray | None
    class_names: list[str]
    likelihood: str = "bernoulli"
    levels: int | None = None
    scale: float | str = 1.0
    min_column_std: float = 0.0
    paper_labels: np.ndarray | None = None
    labelled_classes: tuple[int, ...] | None = None
    feature_names: list[str] | None = None
    columns: list[Column] | None = None
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    any_size: bool = False
    without_classes: str = ""

    def __post_init__(self) -> None:
        self.x_train, self.x_test = _native(self.x_train), _native(self.x_test)
        self.y_train = np.asarray(self.y_train, "int64")
        if self.y_test is not None:
            self.y_test = np.asarray(self.y_test, "int64")
        if self.columns is not None:
            self.feature_names = [column.name for column in self.columns]
        check(self)

    @property
    def num_classes(self) -> int:
        return len(self.class_names)

    @property
    def raw_shape(self) -> tuple[int, ...]:
        return tuple(self.x_train.shape[1:])

    def make_preprocess(
        self, likelihood: str | None = None, min_column_std: float | None = None, hidden_cells: float | None = None
    ) -> Preprocess | table_preprocess.TablePreprocess | CountPreprocess:
        """Returns the `Preprocess` that p(x|.) needs, fitted to the training examples (no labels, no test data).

        bernoulli: intensities in [0, 1], binarised afresh for every batch. categorical and logistic_mixture: levels on
        [0, 1], no noise. gaussian: as `scale` says, levels dequantised by U(0, 1). table: each column by its kind, a share
        `hidden_cells` of the cells not read in training (None: `HIDDEN_CELLS` where cells are missing, else none).
        negative_binomial: rows of counts as they are, read as logarithms of their shares (see `count_preprocess`).

        Raises:
          ValueError: if the likelihood does not suit the data, or no column is left.
        """
        threshold = self.min_column_std if min_column_std is None else min_column_std
        likelihood = likelihood or self.likelihood
        if (self.columns is None) != (likelihood != "table"):
            allowed = "table, which has columns of kinds" if self.columns else "any but table, which is for csv and parquet"
            raise ValueError(f"likelihood: got {likelihood!r} for {self.name}; allowed: {allowed}")
        if self.columns is not None:
            return self._table_preprocess(self.columns, hidden_cells)
        if hidden_cells is not None:
            raise ValueError(f"hidden_cells: got {hidden_cells} for {self.name}, which is no table; allowed: none")
        if likelihood == "negative_binomial":
            return self._count_preprocess(threshold)
        how = self._how(likelihood)
        columns = self._spread_out(threshold, how) if threshold > 0 else self._varying(likelihood)
        return Preprocess(self.raw_shape, str(self.x_train.dtype), columns=columns, any_size=self.any_size, **how)

    def _table_preprocess(self, columns, hidden_cells):
        if hidden_cells is None:
            hidden_cells = HIDDEN_CELLS * any(np.isnan(chunk).any() for chunk in on_disk.chunks(self.x_train))
        kinds, sizes = zip(*((column.kind, column.size) for column in columns), strict=True)
        return table_preprocess.fit(self.x_train, kinds, sizes, hidden_cells)

    def _count_preprocess(self, threshold):
        if len(self.raw_shape) != 1 or threshold > 0:
            got = f"examples {self.raw_shape}" if threshold == 0 else f"min_column_std={threshold}"
            raise ValueError(f"likelihood: got negative_binomial with {got}; allowed: rows of counts, without a threshold")
        for part, x in (("train", self.x_train), ("test", self.x_test)):
            if x is not None:
                count_preprocess.check(x, f"{part} x of {self.name}")
        return count_preprocess.fit(self.x_train)

    def _spread_out(self, threshold, how):
        """Returns the indices of the components whose standard deviation is at least the threshold."""
        layer = Preprocess(self.raw_shape, str(self.x_train.dtype), **how)
        std = _moments(layer(x).numpy() for x in on_disk.chunks(self.x_train))[1]
        columns = np.flatnonzero(std.reshape(-1) >= threshold)
        if not len(columns):
            raise ValueError(f"min_column_std: got {threshold}, which drops every column; allowed: below {std.max():.3g}")
        return columns

    @property
    def constant_channels(self) -> np.ndarray:
        """Numbers of the channels with one value in all training examples, where channels have scales; none, if all have."""
        if self.scale not in PER_CHANNEL:
            return np.zeros(0, "int64")
        constant = self._channel_moments[1] == 0
        return np.flatnonzero(constant & ~constant.all())

    def _varying(self, likelihood):
        """Returns the indices of the components of the channels that are not constant; None for all."""
        if likelihood != "gaussian" or not len(self.constant_channels):
            return None
        varies = ~np.isin(np.arange(self.raw_shape[-1]), self.constant_channels)
        return np.flatnonzero(np.broadcast_to(varies, self.raw_shape))

    def _how(self, likelihood):
        """Returns what `Preprocess` does under a likelihood, a dict of its arguments."""
        if likelihood == "gaussian" and self.standardised:
            return self._standardise()
        if likelihood == "gaussian":
            scale, shift = self._scale_and_shift()
            return dict(scale=scale, shift=shift, noise="none" if self.levels is None else "dequantise")
        if likelihood in ("categorical", "logistic_mixture") and self.levels is None:
            raise ValueError(
                f"likelihood: got {likelihood!r} for real numbers; allowed: gaussian, or bernoulli within [0, 1]"
            )
        if self.levels is None and any(chunk.min() < 0 or chunk.max() > 1 for chunk in on_disk.chunks(self.x_train)):
            raise ValueError("likelihood: got 'bernoulli' for numbers outside [0, 1]; allowed: gaussian")
        return dict(
            scale=1.0 if self.levels is None else 1.0 / (self.levels - 1),
            noise="binarise" if likelihood == "bernoulli" else "none",
        )

    @property
    def standardised(self) -> bool:
        """Whether a Gaussian p(x|.) sees every component with mean 0 and deviation 1."""
        return isinstance(self.scale, str) and self.scale in ("standardise", "log1p")

    @functools.cached_property
    def moments(self) -> robust.Columns:
        """The `robust.Columns` of the training examples, of log(1 + x) where that is how they are seen.

        Of a table, of the cells that are there, as they are.
        """
        return robust.columns(self.x_train, np.log1p if self.scale == "log1p" else None)

    def _standardise(self):
        found = self.moments
        scale = _inverse(found.std, found.mean)
        reached = np.maximum(np.abs(found.low - found.mean), np.abs(found.high - found.mean))
        reached = (reached + (0.0 if self.levels is None else 0.5)) * scale  # with the noise of what is dequantised
        return dict(
            scale=scale,
            shift=found.mean + (0.0 if self.levels is None else 0.5),  # the mean of what is dequantised
            transform="log1p" if self.scale == "log1p" else "none",
            limit=np.maximum(robust.LIMIT, 1.01 * reached),  # whatever is not far out stays as it is
            noise="none" if self.levels is None else "dequantise",
        )

    def _scale_and_shift(self):
        if not isinstance(self.scale, str):
            return self.scale, 0.0
        mean, std = self._channel_moments
        if self.scale == "channel":
            return _inverse(std, mean), 0.0
        return _inverse(std, mean), mean + (0.0 if self.levels is None else 0.5)  # the mean of what is dequantised

    @functools.cached_property
    def _channel_moments(self):
        """Mean and standard deviation of each channel over training examples and pixels, float64 [channels]."""
        return _moments(chunk.reshape(-1, chunk.shape[-1]) for chunk in on_disk.chunks(self.x_train))


def _native(x):
    """Returns x in the byte order of the machine, which is what TensorFlow reads."""
    return x if x is None or x.dtype.isnative else x.astype(x.dtype.newbyteorder("="))


def _moments(chunks):
    """Returns the mean and standard deviation per feature, float64, over an iterable of [n, ...].

    Sums are of differences to the first example: constants have a deviation of exactly 0, large means cost no digits.
    """
    first, count, total, squares = np.zeros(()), 0, 0.0, 0.0
    for chunk in chunks:
        first = first if count else np.array(chunk[0], "float64")
        chunk = np.subtract(chunk, first, dtype="float64")
        count, total, squares = count + len(chunk), total + chunk.sum(0), squares + (chunk**2).sum(0)
    mean = total / count
    return first + mean, np.sqrt(np.maximum(squares / count - mean**2, 0.0))


def _inverse(std, mean):
    """Returns 1 / std, or 1 where the spread is below what x, float32, can hold beside the mean."""
    precision = np.finfo("float32")
    return 1.0 / np.where(std > np.maximum(precision.eps * np.abs(mean), precision.tiny), std, 1.0)


def check(data: Dataset) -> None:
    """Raises a ValueError that names the part of `data` that cannot be right."""
    parts = [("train", data.x_train, data.y_train), ("test", data.x_test, data.y_test)]
    for part, x, y in parts:
        if x is None:
            continue
        if x.ndim == 0:
            raise ValueError(f"{data.name}: {part} x is a single value; allowed: an array [N, ...] of examples")
        if len(x) == 0:
            raise ValueError(f"{data.name}: the {part} set is empty; allowed: at least one example")
        if tuple(x.shape[1:]) != data.raw_shape or not data.raw_shape:
            raise ValueError(
                f"{data.name}: {part} examples have shape {tuple(x.shape[1:])}; allowed: {data.raw_shape or '[N, ...]'}"
            )
        if x.dtype.kind not in "uifb":
            raise ValueError(f"{data.name}: {part} x has dtype {x.dtype}; allowed: numbers")
        if data.columns is not None:
            _check_cells(data, part, x)
        elif x.dtype.kind == "f":
            bad = sum(int((~np.isfinite(chunk)).sum()) for chunk in on_disk.chunks(x))
            if bad:
                raise ValueError(f"{data.name}: {part} x has {bad} values that are NaN or infinite; allowed: finite numbers")
        if y is not None:
            _check_labels(data, part, x, y)


def _check_cells(data, part, x):
    if x.ndim != 2 or x.shape[1] != len(data.columns) or x.dtype != np.float32:
        told = f"allowed: float32 [N, {len(data.columns)}], as its columns"
        raise ValueError(f"{data.name}: {part} x is {x.dtype} of shape {x.shape}; {told}")
    codes = [(c, column.size) for c, column in enumerate(data.columns) if column.kind == "category"]
    at, sizes = [c for c, _ in codes], np.array([size for _, size in codes])
    for chunk in on_disk.chunks(x):
        if np.isinf(chunk).any() or (chunk[:, at] < 0).any() or (chunk[:, at] >= sizes).any():
            raise ValueError(
                f"{data.name}: {part} x has infinite values, or codes that are none of a category; allowed: finite numbers, "
                "NaN where a cell is missing, codes of 0 up to the number of categories"
            )


def _check_labels(data, part, x, y):
    if y.shape != (len(x),):
        raise ValueError(f"{data.name}: {part} y has shape {y.shape}; allowed: ({len(x)},), one label per example")
    lowest = UNLABELLED if part == "train" else 0
    if y.min() < lowest or y.max() >= data.num_classes:
        raise ValueError(
            f"{data.name}: {part} labels lie in {y.min()}..{y.max()}; allowed: {lowest}..{data.num_classes - 1}"
            + (" (-1 is unlabelled)" if part == "train" else "")
        )
