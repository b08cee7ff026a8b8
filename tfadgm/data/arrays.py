"""Arrays and data frames in memory, as scikit-learn hands them over: X [N, C], and labels of any type, or none."""

import dataclasses
import warnings

import numpy as np
import pandas as pd
from sklearn.utils.multiclass import check_classification_targets

from tfadgm.data import encoding, frames, labels, npz
from tfadgm.data.dataset import UNLABELLED, Dataset

AUTO = "auto"  # unlabelled: by the type of y


def is_mixed(X):
    """Whether X is a data frame with columns that hold other things than numbers."""
    return isinstance(X, pd.DataFrame) and not all(pd.api.types.is_numeric_dtype(dtype) for dtype in X.dtypes)


def dataset(X, numbers=None, classes=(), feature_names=None, as_table=False, **options):
    """Returns the `Dataset` of examples X with class numbers [N].

    It is what csv:FILE would take a table of mixed columns or missing cells for, and else what npz:FILE would.

    Args:
      X: float32 [N, C], NaN where a cell is missing, or uint8; or a data frame.
      numbers: of the classes, -1 where there is no label; None: no example has one.
      classes: what `class_numbers` found, [K].
      feature_names: of the columns; None: they have none.
      as_table: whether it is such a table in any case.
      **options: of `frames.read`: columns, ignore.
    """
    numbers = np.full(len(X), UNLABELLED) if numbers is None else numbers
    labelled = dict(y_train=numbers, class_names=[str(label) for label in classes])
    if as_table or isinstance(X, pd.DataFrame) or (X.dtype.kind == "f" and np.isnan(X).any()) or any(options.values()):
        found = frames.from_frame(as_frame(X, feature_names), None, **options, name="X")
        data = dataclasses.replace(found, **labelled, without_classes="")
    else:
        names = None if feature_names is None else list(feature_names)
        data = Dataset("X", X, x_test=None, y_test=None, feature_names=names, **labelled, **npz.describe(X))
    data.notes = (*data.notes, labels.told(numbers, data.class_names))
    return data


def as_frame(X, feature_names=None):
    """Returns X as a data frame, with the names x0, x1, ... where there are none."""
    if isinstance(X, pd.DataFrame):
        return X
    return pd.DataFrame(X, columns=[f"x{c}" for c in range(X.shape[1])] if feature_names is None else feature_names)


def filled(X, rows, columns, feature_names=None):
    """Returns a copy of X, an array or a data frame, with the cells that are missing as `rows` has them.

    Args:
      X: what `encoding.encode` makes (missing, NaN) of.
      rows: numbers of a model's columns, [N, C], without missing cells.
      columns: these C `columns.Column`s.
      feature_names: of X, if it is an array.
    """
    frame = as_frame(X, feature_names)
    missing, decoded = np.isnan(encoding.encode(frame, columns, "X", tell=lambda line: None)), encoding.decode(rows, columns)
    result = frame.set_axis([str(name) for name in frame.columns], axis=1)
    for c, column in enumerate(columns):
        if missing[:, c].any():
            values = result[column.name].astype(object)
            values[missing[:, c]] = decoded[column.name].to_numpy(object)[missing[:, c]]
            result[column.name] = values.infer_objects()
    return result.set_axis(frame.columns, axis=1) if isinstance(X, pd.DataFrame) else result.to_numpy("float32")


def class_numbers(y, unlabelled=AUTO):
    """Returns (class numbers int64 [N], -1 where there is no label; the classes, sorted, [K], of the type of y).

    Where -1 and 1 are all the numbers that there are, -1 is a class too if `unlabelled` is "auto", which is told: the other
    reading would leave one class, from which nothing can be learned.

    Args:
      y: labels [N]: numbers, text, or objects.
      unlabelled: see `without_label`.

    Raises:
      ValueError: for labels that are no classes, or of fewer than two, or a missing one where `unlabelled` is None.
    """
    y = np.asarray(y)
    missing, none = pd.isna(y), without_label(y, unlabelled)
    if unlabelled is None and missing.any():
        raise ValueError(f"y: got no label in {missing.sum()} rows, first in row {missing.argmax()}; allowed: one in each")
    if _is(unlabelled, AUTO) and (none & ~missing).any() and set(y[~missing].tolist()) == {-1, 1}:
        warnings.warn("y: -1 and 1 are taken for two classes; unlabelled=-1 takes -1 for no label", stacklevel=3)
        none = missing
    known = _of_one_type(y[~none])
    if len(known):
        check_classification_targets(known)
    classes, found = np.unique(known, return_inverse=True)
    if len(classes) < 2:
        names = "".join(f" {label!r}" for label in classes.tolist())
        raise ValueError(
            f"y: got {len(classes)} class{'es' * (len(classes) != 1)}{names}, and {none.sum()} rows without a label; "
            "allowed: at least 2 classes"
        )
    numbers = np.full(len(y), UNLABELLED)
    numbers[~none] = found
    return numbers, classes


def without_label(y, unlabelled=AUTO, classes=()):
    """Returns which of the labels y [N] say that there is none, bool [N].

    Args:
      y: an array of numbers, text or objects.
      unlabelled: those that do, beside missing ones (None, NaN, pandas' NA): "auto": the number -1, and the texts of
        `labels.is_unlabelled`; None: no other; any other value: those that equal it.
      classes: labels that are classes, whatever `unlabelled` is.
    """
    known = set(np.asarray(classes).tolist())

    def says_none(label):
        if label in known:
            return False
        if not _is(unlabelled, AUTO):
            return unlabelled is not None and bool(label == unlabelled)
        return labels.is_unlabelled(label) if isinstance(label, str) else label == UNLABELLED

    none = pd.isna(y)
    none[~none] = [says_none(label) for label in y[~none].tolist()]
    return none


def _is(unlabelled, name):
    return isinstance(unlabelled, str) and unlabelled == name


def _of_one_type(values):
    """Returns labels of dtype object as numbers, if all are; raises a ValueError for text beside numbers."""
    if values.dtype.kind != "O":
        return values
    text = [isinstance(value, str) for value in values.tolist()]
    if not any(text):
        return np.asarray(values.tolist())
    if not all(text):
        one, other = values[text.index(True)], values[text.index(False)]
        raise ValueError(f"y: holds text and numbers, such as {one!r} and {other!r}; allowed: labels of one type")
    return values
