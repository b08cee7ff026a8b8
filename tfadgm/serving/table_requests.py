"""Requests to a served model of tables: what its inputs are called, and raw rows as tensors by column or as tf.Example."""

import dataclasses
import json
import keyword
import re
import unicodedata
from collections.abc import Iterable, Sequence

import numpy as np
import tensorflow as tf

from tfadgm.data import spelling
from tfadgm.data.columns import Column
from tfadgm.serving.table_inputs import is_text


def keys(columns: Sequence[Column]) -> list[str]:
    """Returns what the columns are called in signatures, where names must be words of ASCII; in order.

    Accents are dropped, every other character that is no letter, digit or _ is _, a name that begins with no letter has
    `column_` before it, a word of Python's _ after it, and of names that are the same then, but for case, the later ones
    have their number after it.
    """
    found: list[str] = []
    for column in columns:
        plain = unicodedata.normalize("NFKD", column.name).encode("ascii", "ignore").decode()
        key = re.sub(r"[^A-Za-z0-9_]", "_", plain)
        key = key if key[:1].isalpha() else f"column_{key}"
        key += "_" * (keyword.iskeyword(key) or key == "self")
        taken, number, unique = {other.lower() for other in found}, 2, key
        while unique.lower() in taken:
            unique, number = f"{key}_{number}", number + 1
        found.append(unique)
    return found


def described(columns: Sequence[Column]) -> list[str]:
    """Returns the columns as the signature `columns` answers them: JSON of what a `Column` is, and of its `key`."""
    return [json.dumps({**column.to_dict(), "key": key}) for column, key in zip(columns, keys(columns), strict=True)]


def columns_of(answers: Iterable[bytes]) -> list[Column]:
    """Returns the columns that `described` had written."""
    contents = map(json.loads, answers)
    return [Column.from_dict({name: value for name, value in one.items() if name != "key"}) for one in contents]


def named(x: np.ndarray, columns: Sequence[Column]) -> dict[str, np.ndarray]:
    """Returns raw rows x [N, C] as the inputs of the signature `predict`: {key: [N]}, of strings or float32."""
    found = {}
    for c, (key, column) in enumerate(zip(keys(columns), columns, strict=True)):
        if is_text(column):
            usual = dataclasses.replace(column, format=None)  # a date is of ISO 8601
            found[key] = np.array(spelling.texts(x[:, c], usual), object)
        else:
            found[key] = np.asarray(x[:, c], "float32")
    return found


def instance(row: np.ndarray, columns: Sequence[Column]) -> dict[str, str | float]:
    """Returns a raw row [C] in JSON types, as REST has it; NaN where a number is missing, "" where a text is."""
    return {key: values.tolist()[0] for key, values in named(row[np.newaxis], columns).items()}


def example(row: np.ndarray, columns: Sequence[Column]) -> tf.train.Example:
    """Returns a raw row [C] as a tf.Example with a feature for each column that is there, by its name."""
    found = tf.train.Example()
    for column, value in zip(columns, instance(row, columns).values(), strict=True):
        if isinstance(value, str) and value:
            found.features.feature[column.name].bytes_list.value.append(value.encode())
        elif not isinstance(value, str) and value == value:
            found.features.feature[column.name].float_list.value.append(value)
    return found
