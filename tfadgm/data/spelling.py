"""The numbers of a table as people write them: a csv's texts, and a file of the user's whose missing cells are filled."""

import numpy as np
import pandas
import pyarrow as pa
import pyarrow.compute as pc

from tfadgm.data import cells
from tfadgm.data.columns import OTHER

DRAW, FILLED = "draw", "filled"  # columns of their own in a completed file


def texts(values, column):
    """Returns what the numbers of a `columns.Column` say, N texts; "" where they are missing.

    Dates are as the column has them, of ISO 8601 with their time only where there is one; counts and codes are the nearest.
    """
    values = np.asarray(values, "float64")
    there = ~np.isnan(values)
    return ["" if not here else text for here, text in zip(there, _spell(np.where(there, values, 0), column), strict=True)]


def _spell(values, column):
    if column.kind == "date":
        dates = pandas.to_datetime(np.round(values * 86400), unit="s")
        usual = column.format in (None, cells.ISO)
        return [date.isoformat().removesuffix("T00:00:00") for date in dates] if usual else dates.strftime(column.format)
    words = (*column.categories, OTHER) if column.kind == "category" else column.categories
    if words or column.kind in ("count", "binary"):
        whole = np.rint(values).astype("int64")
        return [words[k] for k in np.clip(whole, 0, len(words) - 1)] if words else map(str, whole)
    return [_number(value).replace(".", column.format or ".") for value in np.asarray(values, "float32")]


def _number(value):
    """The shortest text of a float32, without a point where it is whole."""
    return np.format_float_positional(value, trim="-") if 1e-4 <= abs(value) < 1e16 or value == 0 else f"{value!s}"


def frame(x, columns):
    """Returns raw rows, [N, C], as a `pandas.DataFrame` of texts."""
    return pandas.DataFrame({column.name: texts(x[:, c], column) for c, column in enumerate(columns)})


def completed(source, columns, x, filled, mark=False, whole=None):
    """Returns the rows of a table, all its columns, with filled cells in place of missing ones, a `pyarrow.Table`.

    Args:
      source: a `sources.Source`, which has all `columns`. What it says stays as it is.
      columns: C `columns.Column`s.
      x: its raw rows, [N, C], NaN where a cell is missing.
      filled: raw rows without missing cells, [N, C]; or several times, [draws, N, C], which come one after the other, with
        their number, from 1, in a column `DRAW`.
      mark: whether a column `FILLED` names the columns that are filled in each row.
      whole: which numbers are whole in training, bool [C], and so are filled with the nearest whole number; None: none.

    Raises:
      ValueError: if the table has a column of that name itself.
    """
    own = [DRAW] * (filled.ndim == 3) + [FILLED] * mark
    for name in own:
        if name in source.names:
            raise ValueError(f"{source.where}: has a column {name!r} itself; allowed: another name, as this one is added")
    parts = list(source.chunks(source.names))
    arrays = {name: cells.joined([part[c] for part in parts]) for c, name in enumerate(source.names)}
    missing = np.isnan(x)
    tables = []
    for number, rows in enumerate(filled if filled.ndim == 3 else filled[np.newaxis], 1):
        done = dict(arrays)
        for c, column in enumerate(columns):
            if missing[:, c].any():
                values = np.rint(rows[:, c]) if whole is not None and whole[c] else rows[:, c]
                done[column.name] = _filled(arrays[column.name], column, x[:, c], values)
        if mark:
            done[FILLED] = [
                ", ".join(column.name for column, gone in zip(columns, row, strict=True) if gone) for row in missing
            ]
        first = {DRAW: np.full(len(x), number)} if filled.ndim == 3 else {}
        tables.append(pa.table({**first, **done}))
    return pa.concat_tables(tables, promote_options="permissive")


def _filled(array, column, x, values):
    """An arrow array whose cells are `values` where x is NaN; its type stays what it is, where that can say them."""
    gone, kind = pa.array(np.isnan(x)), array.type.value_type if pa.types.is_dictionary(array.type) else array.type
    array = array.cast(kind)
    if column.kind == "date" and (x[~np.isnan(x)] % 1 == 0).all():
        values = np.floor(values)  # a column of days
    if column.kind == "count":
        values = np.rint(values)
    if cells.is_text(kind):
        return pc.if_else(gone, pa.array(texts(values, column), kind), array)
    if pa.types.is_boolean(kind):
        return pc.if_else(gone, pa.array(values > 0.5), array)
    if cells.kind_of(kind) == "date":
        seconds = pa.array(np.round(np.asarray(values, "float64") * 86400).astype("int64"), pa.timestamp("s"))
        return pc.if_else(gone, seconds.cast(kind), array)
    if column.kind == "category":
        texts_of = pa.array(texts(values, column))
        return pc.if_else(gone, texts_of, cells.as_text(array))
    array = pc.if_else(gone, pa.array(np.asarray(values, "float64")), array.cast(pa.float64()))
    whole = pa.types.is_integer(kind) and (np.asarray(values)[np.isnan(x)] % 1 == 0).all()
    return array.cast(kind) if whole else array
