"""Files of examples to classify: arrays, tables and pictures, and directories of them."""

import dataclasses
import math
import pathlib

import numpy as np

from tfadgm.data import csv, encoding, files, frames, h5ad, npz, on_disk, parquet, picture_files, table, tfrecord
from tfadgm.data.columns import Column

TABLES = {".csv": csv.Csv, ".parquet": parquet.Parquet}
KINDS = ".npz (array x), .csv, .parquet or .h5ad (a column of labels is ignored), .tfrecord (with features.json beside it), "
KINDS += f"pictures ({', '.join(picture_files.SUFFIXES)})"
SUFFIXES = (".npz", ".h5ad", ".tfrecord", *TABLES, *picture_files.SUFFIXES)


@dataclasses.dataclass
class Examples:
    """What a file holds.

    Attributes:
      x: [N, ...]; a picture is one uint8 example, [1, *shape].
      decoded: whether x was a picture, whose levels are 0 to 255 by its format.
      identifiers: N strings that the file calls its rows by, or None.
      notes: lines about what was not read as it stands.
    """

    x: np.ndarray
    decoded: bool = False
    identifiers: list | None = None
    notes: tuple = ()


@dataclasses.dataclass
class Row:
    """One example and where it came from; rows count from 0."""

    file: str
    row: int
    x: np.ndarray
    identifier: str | None = None


class Rows:
    """The examples of several files in their order, which are in a file of their own if they are many (see `on_disk`).

    Args:
      shape, dtype: of one.
    """

    def __init__(self, shape, dtype):
        self._x, self._parts = on_disk.Growing(shape, dtype, "examples"), []

    def add(self, file, x, identifiers):
        """Takes the examples of the next file, x [n, *shape], and what it calls them."""
        for chunk in on_disk.chunks(x):
            self._x.add(chunk)
        self._parts.append((file, len(x), identifiers))

    def __len__(self):
        return self._x.rows

    def __iter__(self):
        rows = (row for chunk in on_disk.chunks(self._x.array()) for row in np.array(chunk))
        for file, count, identifiers in self._parts:
            for i in range(count):
                yield Row(file, i, next(rows), identifiers and identifiers[i])


def expand(arguments):
    """Returns (files, notes): the arguments, directories replaced by the files of `KINDS` in them, at any depth.

    What is hidden (a dot before its name) is passed over.
    """
    found, notes = [], []
    for argument in map(pathlib.Path, arguments):
        if not argument.is_dir():
            found.append(argument)
            continue
        inside = sorted(path for path in argument.rglob("*") if path.is_file() and not _is_hidden(path, argument))
        fitting = [path for path in inside if _suffix(path) in SUFFIXES]
        found += fitting or [argument]
        if fitting and len(fitting) < len(inside):
            notes.append(f"{argument}: {len(inside) - len(fitting)} other files are passed over")
    return found, notes


def _is_hidden(path, directory):
    return any(part.startswith(".") for part in path.relative_to(directory).parts)


def check(files_to_read):
    """Raises a ValueError if there are no files, or one is missing or of an unknown kind; reads nothing."""
    if not files_to_read:
        raise ValueError(f"got no files; allowed: one or more of {KINDS}")
    for file in map(pathlib.Path, files_to_read):
        if file.is_dir():
            raise ValueError(f"{file}: is a directory that holds no file of these; allowed: {KINDS}")
        if _suffix(file) not in SUFFIXES:
            raise ValueError(f"{file}: has the suffix {file.suffix!r}; allowed: {KINDS}")
        files.check_regular(file, f"one of {KINDS}")


def is_picture(path):
    """Whether a file is read as a picture, by its name."""
    return pathlib.Path(path).suffix.lower() in picture_files.SUFFIXES


def read(path, shape, dtype, feature_names=None, remarks=None, any_size=False, columns=None):
    """Returns the `Examples` of one file of `KINDS`.

    Args:
      path: the file.
      shape, dtype: of one raw example of the model, by which a picture is read (`picture_files.read_example`).
      feature_names: of the columns that a model of numbers was trained on, by which those of a table are found; None takes
        all, in the order of the file.
      remarks: a `picture_files.Remarks` that is told what was left out of pictures.
      any_size: whether pictures of another size are fitted to that of the model.
      columns: the `columns.Column`s of a model of tables; None for every other model.
    """
    suffix = _suffix(path)
    if suffix == ".npz":
        return Examples(npz.read_arrays(path, ["x"])["x"])
    if suffix == ".h5ad":
        if columns is not None:
            raise ValueError(f"{path}: holds counts; allowed: for this model tables, of a csv or parquet")
        x, identifiers, notes = h5ad.read(path, feature_names)
        return Examples(x, identifiers=identifiers, notes=notes)
    if suffix == ".tfrecord":
        return Examples(*tfrecord.read(path, feature_names))
    if suffix in TABLES:
        return _table(TABLES[suffix](path), math.prod(shape), feature_names, columns)
    return Examples(picture_files.read_example(path, shape, dtype, remarks, any_size)[np.newaxis], decoded=True)


def _suffix(path):
    name = str(path).lower()
    if tfrecord.NAME.search(name):
        return ".tfrecord"
    return pathlib.Path(name.removesuffix(".gz") if name.endswith(".csv.gz") else name).suffix


def open_table(path):
    """Returns the `sources.Source` of a file of `TABLES`; None for any other."""
    return TABLES[_suffix(path)](path) if _suffix(path) in TABLES else None


def _table(source, width, names, columns):
    notes, ids, complete = [], [], columns is None
    identifiers = [name for name in source.names if table.is_identifier(name) or name in source.identifiers]
    if columns is None:
        columns = [Column(name) for name in names or _by_position(source, identifiers, width)]
        if names is None:
            notes.append(f"{source.where}: its columns are taken by position, as the model knows no names of columns")
    others = [name for name in source.names if name not in {column.name for column in columns}]
    further = [name for name in identifiers if name in others][:1]
    perhaps = not further and len(others) == 1 and others[0] != frames.LABEL
    x = encoding.encode(source, columns, tell=notes.append, further=others if perhaps else further, each=ids.extend)
    if perhaps and (len(set(ids)) < len(ids) or not any(map(_is_word, ids))):
        ids = []
    if not len(x):
        raise ValueError(f"{source.where}: has a header and no example; allowed: at least one")
    missing = _first_missing(x) if complete else None
    if missing is not None:
        row, c = missing
        raise ValueError(f"{source.where}: {source.row(row)}, column {columns[c].name!r}: is missing; allowed: a number")
    return Examples(x, identifiers=ids or None, notes=(*source.remarks, *notes))


def _is_word(text):
    """Whether a cell is there and is no number."""
    try:
        float(text)
    except (TypeError, ValueError):
        return bool(text)
    return False


def _first_missing(x):
    """Returns (row, column) of the first NaN of x [N, C], or None."""
    start = 0
    for chunk in on_disk.chunks(x):
        if np.isnan(chunk).any():
            row, c = np.argwhere(np.isnan(chunk))[0].tolist()
            return start + row, c
        start += len(chunk)
    return None


def _by_position(source, identifiers, width):
    """Returns the names of the columns that are features by position: identifiers too, where these make up the width."""
    names = [name for name in source.names if name != frames.LABEL]
    if not source.has_header and len(names) == len(source.names):
        encoding.check_columns(source, ["1", *names])  # raises
    return names if len(names) == width else [name for name in names if name not in identifiers]
