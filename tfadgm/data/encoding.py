"""Cells of a table as numbers, float32 [N, C] as a model's columns say (see `columns`), and back."""

import collections
import dataclasses

import numpy as np
import pandas
import pyarrow as pa

from tfadgm import telling
from tfadgm.data import cells, on_disk, sources, table, table_notes
from tfadgm.data.columns import OTHER

SHOWN = 3  # texts in a line
ALLOWED = dict(
    number="a number that float32 holds",
    binary="0 or 1, true or false, yes or no",
    count="a whole number, 0 or more",
    date="a date as in training, such as 2024-12-31",
)


def encode(frame, columns, where="data frame", tell=telling.warn, further=(), each=None):
    """Returns a table as the numbers that a model of `columns` reads, float32 [N, C], NaN where a cell is missing.

    Columns are found by name, in any order. A text that is no category is "other"; these and further columns are told.

    Args:
      frame: a `pandas.DataFrame`, or a `sources.Source`.
      columns: C `columns.Column`s, of the model.
      where: what errors call a data frame.
      tell: called with each line that is told.
      further, each: see `fill`.

    Raises:
      ValueError: for a column that is missing, or a cell that is none of its column's kind; it names row and column.
    """
    source = frame if isinstance(frame, sources.Source) else sources.Frame(frame, where)
    check_columns(source, [column.name for column in columns])
    x, unseen = fill(source, columns, further=further, each=each)
    tell_unseen(source, columns, unseen, tell)
    known = {column.name for column in columns} | {table.LABEL_COLUMN, *source.identifiers}
    extra = [name for name in source.names if name not in known and not table.is_identifier(name)]
    if extra:
        tell(f"{source.where}: the model has no column {table_notes.listed(extra)}: no part of x")
    return x


def check_columns(source, names):
    """Raises a ValueError unless a table has all columns `names`, those of a model."""
    missing = [name for name in names if name not in source.names]
    if missing and not source.has_header:
        raise ValueError(
            f"{source.where}: its first row is numbers; allowed: a header with the names {table_notes.listed(names)}"
        )
    if missing:
        told = "allowed: the columns that the model was trained on, with empty cells where a value is missing"
        raise ValueError(f"{source.where}: has no column {table_notes.listed(missing)}; {told}")


def decode(raw, columns):
    """Returns numbers, [N, C], as a `pandas.DataFrame` of what they stand for: texts, dates, None or NaN where missing.

    A code that is none exactly is the nearest.
    """
    raw = np.asarray(raw, "float64")
    return pandas.DataFrame({column.name: _decoded(raw[:, c], column) for c, column in enumerate(columns)})


def _decoded(values, column):
    if column.kind == "date":
        return pandas.to_datetime(np.round(values * 86400), unit="s")
    words = (*column.categories, OTHER) if column.kind == "category" else column.categories
    if not words:
        return values
    codes = np.clip(np.rint(np.nan_to_num(values)), 0, len(words) - 1).astype("int64")
    return [None if missing else words[code] for code, missing in zip(codes, np.isnan(values), strict=True)]


def fill(source, columns, further=(), each=None):
    """Returns (the cells of a table as numbers, float32 [N, C], {column: `Unseen`}).

    Args:
      source: a `sources.Source`, which has all `columns`.
      columns: C `columns.Column`s.
      further: names of columns that are read too, at most one; `each` is called with every part of it, a Series of texts.
      each: see above.
    """
    x, at, unseen = on_disk.Growing([len(columns)], "float32", source.where), 0, collections.defaultdict(Unseen)
    names = [column.name for column in columns]
    for arrays in source.chunks([*names, *further]):
        part = np.empty((len(arrays[0]), len(columns)), "float32")
        for alike in _alike(columns, arrays):
            part[:, alike] = _values(source, columns, alike, [arrays[c] for c in alike], at, unseen)
        if further:
            each(cells.as_text(arrays[-1]).to_pandas())
        x.add(part)
        at += len(part)
    return x.array(), unseen


@dataclasses.dataclass
class Unseen:
    """Cells of a column that are no category: how many, and some of their texts."""

    cells: int = 0
    texts: dict = dataclasses.field(default_factory=dict)

    def add(self, texts):
        self.cells += len(texts)
        self.texts.update(dict.fromkeys(texts.unique().to_pylist()[: max(0, SHOWN - len(self.texts))]))


def _alike(columns, arrays):
    """Returns lists of the numbers of columns whose cells become numbers by the same rule, and can do so at once."""
    found = collections.defaultdict(list)
    for c, (column, array) in enumerate(zip(columns, arrays[: len(columns)], strict=True)):
        found[column.kind, column.categories, column.format, array.type].append(c)
    return found.values()


def _values(source, columns, alike, arrays, start, unseen):
    """Returns a part of columns that are `_alike`, [n, D], or raises a ValueError for a cell that is none of its kind."""
    column, cut = columns[alike[0]], (len(alike), len(arrays[0]))
    array = cells.joined(arrays)
    found, bad = (part.reshape(cut) for part in cells.values(array, column))
    if bad.any():
        k, row = np.argwhere(bad)[0].tolist()
        at, comma = (
            f"{source.row(start + row)}, column {columns[alike[k]].name!r}",
            " with a decimal comma" * (column.format == ","),
        )
        allowed = f"{ALLOWED[column.kind]}{comma}, or an empty cell"
        raise ValueError(f"{source.where}: {at}: got {str(arrays[k][row])!r:.60}; allowed: {allowed}")
    if column.kind == "category":
        for k in np.flatnonzero((found == len(column.categories)).any(1)).tolist():
            texts = cells.category(cells.present(arrays[k]))
            unseen[columns[alike[k]].name].add(texts.filter(pa.array(found[k] == len(column.categories))))
    return found.T


def tell_unseen(source, columns, unseen, tell):
    """Tells of the cells that say no category of `columns`."""
    for column in columns:
        if found := unseen.get(column.name):
            shown = ", ".join(map(repr, found.texts))
            tell(
                f"{source.where}: column {column.name!r}: {found.cells} cells say what is no category of training, such as "
                f"{shown}: each is {OTHER!r}"
            )
