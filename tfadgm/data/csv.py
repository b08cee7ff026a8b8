"""The user's own table: `csv:FILE` with a header, number columns and a column `label`, empty where it is unlabelled.

A column that numbers or names the rows (`table.is_identifier`: an empty header, `id`, ...) is no feature.
"""

import csv
import dataclasses
import warnings

import numpy as np
import pandas

from tfadgm.data import files, labels, table
from tfadgm.data.dataset import UNLABELLED, Dataset, allocate
from tfadgm.data.table import LABEL_COLUMN

LONGEST_HEADER = 1 << 24  # characters
CHUNK_CELLS = 1 << 18
LARGEST = float(np.finfo("float32").max)


@dataclasses.dataclass
class Table:
    """What a csv file holds.

    Attributes:
      x: float32 [N, D].
      names: of its D columns.
      y, class_names, unlabelled: see `labels.Labels.result`; y is None if there is no column of labels.
      identifiers: names of the columns that identify rows.
      identifier: N strings of the first of these, or None.
      ignored: names of the other columns, which are neither.
    """

    x: np.ndarray
    names: list
    y: np.ndarray | None = None
    class_names: tuple = ()
    unlabelled: dict = dataclasses.field(default_factory=dict)
    identifiers: tuple = ()
    identifier: list | None = None
    ignored: tuple = ()


def read_table(path, wanted=None, number=None, to_train=True):
    """Returns the `Table` in a csv file.

    Args:
      path: the file, in UTF-8. Its first row is the header; blank lines do not count as rows.
      wanted: names of the columns of x, in their order; the file's own order and further columns do not matter. None
        takes all columns but that of the labels and those that identify rows.
      number: how many columns x should have, for a model that knows no names: where those that identify rows make it up,
        they are features, as they were once.
      to_train: whether labels are read, for training, or the rows' identifiers, for answers.

    Raises:
      ValueError: for what is no such table; it names file, row and column. The header is row 1.
    """
    files.check_regular(path, "a csv file")
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            header = _header(path, file)
            names = _features(path, header, wanted, number)
            return _read_body(path, file, header, names, to_train)
    except (pandas.errors.ParserError, pandas.errors.ParserWarning) as error:
        _explain(path, [])
        raise _unreadable(path, error) from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise _unreadable(path, error) from error


def _unreadable(path, error):
    return ValueError(f"{path}: not a readable csv file: {str(error).splitlines()[0]}")


def _header(path, file):
    """Reads and returns the names of the columns."""
    lines = iter(lambda: file.readline(LONGEST_HEADER), "")
    header = [name.strip() for name in next((row for row in csv.reader(lines) if row), [])]
    if not header:
        raise ValueError(f"{path}: has 0 rows; allowed: a header and at least one example")
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise ValueError(f"{path}: has the column {twice[0]!r} twice; allowed: columns of different names")
    return header


def _features(path, header, wanted, number):
    """Returns the names of the columns of x, or says why the header does not have them."""
    if wanted is not None:
        missing = [name for name in wanted if name not in header]
        if missing and _are_numbers(header):
            raise ValueError(f"{path}: its first row is numbers; allowed: a header with the names {listed(wanted)}")
        if missing:
            raise ValueError(f"{path}: has no column {listed(missing)}; allowed: the columns that the model was trained on")
        return list(wanted)
    if _are_numbers(header):
        raise ValueError(f"{path}: its first row is numbers; allowed: a header, a row of names (not numbers) of the columns")
    unlabelled = [name for name in header if name != LABEL_COLUMN]
    if len(unlabelled) == number:
        return unlabelled
    names = [name for name in unlabelled if not table.is_identifier(name)]
    if not names:
        raise ValueError(f"{path}: has no column but {listed(header)}; allowed: at least one column of numbers")
    return names


def _are_numbers(cells):
    """Whether a first row is one of an example, and no header: half of it or more are numbers, and no cell says `label`."""
    return LABEL_COLUMN not in cells and 2 * sum(map(_is_number, cells)) >= len(cells)


def _is_number(text):
    try:
        return abs(float(text)) <= LARGEST
    except ValueError:
        return False


def listed(names, most=10):
    """Returns names as they stand in a line, `most` of them at most."""
    text = ", ".join(map(repr, names[:most]))
    return text if len(names) <= most else f"{text} and {len(names) - most} more"


def _read_body(path, file, header, names, to_train):
    identifiers = tuple(name for name in header if table.is_identifier(name) and name not in names)
    kept = [name for name in header if name == LABEL_COLUMN] if to_train else identifiers[:1]
    texts, identifier, parts = labels.Labels(f"{path}: column {LABEL_COLUMN!r}"), [], []
    for frame in _frames(file, header, kept):
        parts.append(_numbers(path, frame, names))
        if to_train and kept:
            texts.add(frame[LABEL_COLUMN])
        elif kept:
            identifier += frame[kept[0]].tolist()
    if not sum(map(len, parts)):
        raise ValueError(f"{path}: has 1 row; allowed: a header and at least one example")
    found = texts.result() if to_train and kept else ()
    ignored = tuple(name for name in header if name not in names and name != LABEL_COLUMN and name not in identifiers)
    x = _joined(parts, len(names))
    return Table(x, names, *found, identifiers=identifiers, identifier=identifier or None, ignored=ignored)


def _frames(file, header, texts):
    """Yields the rows after the header as data frames, whose columns `texts` stay text."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", pandas.errors.ParserWarning)  # of rows that are cut to the header's length
        try:
            yield from pandas.read_csv(
                file,
                header=None,
                names=header,
                index_col=False,
                dtype=dict.fromkeys(texts, str),
                keep_default_na=False,
                skip_blank_lines=len(header) > 1,
                chunksize=max(1, CHUNK_CELLS // len(header)),
                low_memory=False,
            )
        except pandas.errors.EmptyDataError:
            return


def _numbers(path, frame, names):
    """Returns the columns `names` of a data frame, float32 [n, D]; a cell that is no finite number is told."""
    frame = frame[names]
    for name, kind in frame.dtypes.items():
        if not (pandas.api.types.is_numeric_dtype(kind) and not pandas.api.types.is_bool_dtype(kind)):
            frame = frame.assign(**{name: pandas.to_numeric(frame[name].astype(str), errors="coerce")})
    with np.errstate(over="ignore"):
        x = frame.to_numpy("float32")
    if not np.isfinite(x).all():
        _explain(path, names)
        bad = names[int(np.argmax(~np.isfinite(x).all(0)))]
        raise ValueError(f"{path}: column {bad!r} holds what is no number; allowed: finite numbers")
    return x


def _explain(path, names):
    """Raises a ValueError for the first row of the file that has too many cells or, in the columns `names`, no number."""
    with open(path, newline="", encoding="utf-8-sig", errors="replace") as file:
        body = (row for row in csv.reader(file) if row)
        columns = [name.strip() for name in next(body, [])]
        for number, row in enumerate(body, 2):
            if len(row) > len(columns):
                raise ValueError(f"{path}: row {number} has {len(row)} columns; allowed: {len(columns)}, as the header")
            cells = dict(zip(columns, row, strict=False))
            for name in names:
                if not _is_number(cells.get(name, "")):
                    got = cells.get(name, "")
                    raise ValueError(f"{path}: row {number}, column {name!r}: got {got!r}; allowed: a number")


def _joined(parts, columns):
    """Returns the parts, each [n, D], as one array, and forgets them on the way."""
    x, start = allocate((sum(map(len, parts)), columns), "float32"), 0
    for i, part in enumerate(parts):
        x[start : start + len(part)] = part
        start, parts[i] = start + len(part), None
    return x


def load(argument=None, **_):
    """Returns the data set in the csv file `argument`; classes are the sorted distinct labels. It has no test set."""
    if not argument:
        raise ValueError("dataset csv: got no file; allowed: csv:FILE")
    path = files.expanded(argument)
    found = read_table(path)
    lack = "" if found.y is not None else f"{path}: has no column {LABEL_COLUMN!r}"
    y = np.full(len(found.x), UNLABELLED) if lack else found.y
    if not lack and not found.class_names:
        lack = f"{path}: column {LABEL_COLUMN!r} is unlabelled in every row"
    if len(found.class_names) == 1:
        spelled = "".join(f", and {text!r} is unlabelled" for text in found.unlabelled)
        raise ValueError(f"{path}: the labels name 1 class, {found.class_names[0]!r}{spelled}; allowed: at least 2, or none")
    return Dataset(
        str(path),
        found.x,
        y,
        None,
        None,
        list(found.class_names),
        **table.describe(found.x),
        feature_names=found.names,
        notes=_notes(found),
        without_classes=lack,
    )


def _notes(found):
    left_out = [f"column {name!r} identifies the rows and is no feature" for name in found.identifiers]
    told = [] if found.y is None else [labels.told(found.y, found.class_names, found.unlabelled)]
    return tuple(left_out + told)
