"""The user's own table: `csv:FILE` with a header, number columns and a column `label`, empty where it is unlabelled."""

import csv

import numpy as np

from tfadgm.data.dataset import UNLABELLED, Dataset
from tfadgm.data.npz import describe

LABEL_COLUMN = "label"


def read_table(path, label_column=LABEL_COLUMN):
    """Returns (x float32 [N, D], labels: N strings or None, feature names); errors name the file, row and column."""
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            rows = list(csv.reader(file))
    except FileNotFoundError:
        raise ValueError(f"{path}: no such file; allowed: a csv file") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path}: not a readable csv file: {error}") from error
    if len(rows) < 2:
        raise ValueError(f"{path}: has {len(rows)} rows; allowed: a header and at least one example")
    header, body = rows[0], rows[1:]
    label_at = header.index(label_column) if label_column in header else None
    features = [i for i in range(len(header)) if i != label_at]
    x = np.empty((len(body), len(features)), "float32")
    for number, row in enumerate(body, 2):
        if len(row) != len(header):
            raise ValueError(f"{path}: row {number} has {len(row)} columns; allowed: {len(header)}, as the header")
        for j, i in enumerate(features):
            try:
                x[number - 2, j] = float(row[i])
            except ValueError:
                raise ValueError(f"{path}: row {number}, column {header[i]!r}: got {row[i]!r}; allowed: a number") from None
    labels = None if label_at is None else [row[label_at].strip() for row in body]
    return x, labels, [header[i] for i in features]


def load(argument=None, **_):
    """Returns the data set in the csv file `argument`; classes are the sorted distinct labels. It has no test set."""
    if not argument:
        raise ValueError("dataset csv: got no file; allowed: csv:FILE")
    x, labels, _ = read_table(argument)
    if labels is None:
        raise ValueError(f"{argument}: has no column {LABEL_COLUMN!r}; allowed: one, empty where an example is unlabelled")
    class_names = sorted({label for label in labels if label})
    if len(class_names) < 2:
        raise ValueError(f"{argument}: the labels name {len(class_names)} classes; allowed: at least 2")
    y = [class_names.index(label) if label else UNLABELLED for label in labels]
    return Dataset(str(argument), x, np.asarray(y), None, None, class_names, **describe(x))
