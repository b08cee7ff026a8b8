"""Tables as they come: which columns there are and of what kinds, and their cells as numbers, float32 [N, C].

A table is read twice, a few rows at a time: `survey` finds the kinds, then each cell becomes a number (see `columns`).
"""

import collections
import csv
import dataclasses
import difflib

import numpy as np

from tfadgm import telling
from tfadgm.data import cells, encoding, labels, on_disk, robust, sources, survey, table, table_notes
from tfadgm.data.columns import KINDS, ORDERS
from tfadgm.data.dataset import UNLABELLED, Dataset

LABEL = table.LABEL_COLUMN
LEAST_COUNTS = 50  # cells by which a column of whole numbers is taken for one of counts
MOST_COUNT = 1 << 24  # beyond which float32 does not tell whole numbers apart


@dataclasses.dataclass
class Chosen:
    """Which columns of a table are read as what.

    Attributes:
      features, label, identifiers: names of columns; label is None where there is none.
      kinds: {name: kind} that the user gives.
      learns: whether a model is to learn from it, and not to be measured by it.
    """

    features: list
    label: str | None
    identifiers: list
    kinds: dict
    learns: bool = True


def read(source, label=LABEL, columns=None, ignore=None, known=None):
    """Returns the `Dataset` of a table; classes are the sorted distinct labels. It has no test set.

    Args:
      source: a `sources.Source`.
      label: the column of labels; None: there is none. One that has no column `LABEL` is unlabelled.
      columns: kinds of columns that the user gives, {name: kind} or "NAME:KIND,..." (see `KINDS` and `columns.ORDERS`).
      ignore: names of columns that are not read, a list or "NAME,...".
      known: the `columns.Column`s of a model, as which the table is read; None: they are found.

    Raises:
      ValueError: for what is no such table; it names the table, row and column.
    """
    chosen = choose(source, label, columns, ignore, known)
    y, told = labels.Labels(f"{source.where}: column {chosen.label!r}"), ()
    if known is None:
        known, told = _survey(source, chosen, y)
        x = encoding.fill(source, known)[0]
        known = _settled(known, x, chosen.kinds)
    else:
        x, unseen = encoding.fill(source, known, further=[chosen.label] * (chosen.label is not None), each=y.add)
        encoding.tell_unseen(source, known, unseen, telling.warn)
    return _dataset(source, chosen, known, x, y, told)


def read_numbers(source, label=LABEL):
    """Returns the `Dataset` of a table as an array of numbers, none of which is missing."""
    data = read(source, label, dict.fromkeys(choose(source, label).features, "number"))
    return dataclasses.replace(data, columns=None, **table.describe(data.x_train))


def choose(source, label=LABEL, columns=None, ignore=None, known=None):
    """Returns what is `Chosen` of the columns of a table; the arguments are those of `read`."""
    kinds, ignored = _kinds(source, columns), _names(ignore)
    _check_names(source, "ignore", ignored)
    if not source.has_header and LABEL not in source.names and label not in source.names:
        raise ValueError(
            f"{source.where}: its first row is numbers; allowed: a header, a row of names (not numbers) of the columns"
        )
    if label is not None and label != LABEL:
        _check_names(source, "label", [label])
    label = label if label in source.names else None
    if known is not None:
        encoding.check_columns(source, [column.name for column in known])
        return Chosen([column.name for column in known], label, [], {}, learns=False)
    identifiers = [name for name in source.names if table.is_identifier(name) or name in source.identifiers]
    identifiers = [name for name in identifiers if name not in kinds and name not in ignored and name != label]
    features = [name for name in source.names if name != label and name not in identifiers and name not in ignored]
    if not features:
        told = "allowed: at least one column that is no label and no identifier"
        raise ValueError(f"{source.where}: has no column but {table_notes.listed(source.names)}; {told}")
    return Chosen(features, label, identifiers, kinds)


def _names(text):
    """Returns names that were given as a list, or as a row of a csv file."""
    if text is None or not isinstance(text, str):
        return list(text or [])
    return [name.strip() for name in next(csv.reader([text], skipinitialspace=True), []) if name.strip()]


def _kinds(source, given):
    """Returns {name: kind} of what was given, as a dict or as text."""
    if not isinstance(given, dict):
        pairs = {part: part.rpartition(":") for part in _names(given)}
        wrong = [part for part, (_, colon, _) in pairs.items() if not colon]
        if wrong:
            raise ValueError(f"columns: got {wrong[0]!r}; allowed: NAME:KIND, of the kinds {', '.join((*KINDS, *ORDERS))}")
        given = {name.strip(): kind.strip() for name, _, kind in pairs.values()}
    _check_names(source, "columns", given)
    allowed = (*KINDS, *ORDERS)
    for name, kind in given.items():
        if kind not in allowed:
            raise ValueError(f"columns: got {name}:{kind}; allowed: NAME:KIND, of the kinds {', '.join(allowed)}")
    return dict(given)


def _check_names(source, what, names):
    for name in names:
        if name not in source.names:
            near = difflib.get_close_matches(name, source.names, 1, 0.5) or source.names
            had = f"such as {near[0]!r}" if len(near) == 1 else table_notes.listed(near)
            raise ValueError(f"{what}: got {name!r}, which {source.where} has not; allowed: its columns, {had}")


def _survey(source, chosen, y):
    """Reads the table once; returns (its columns, lines about columns that are left out)."""
    found, told = survey.Survey(chosen.features), []
    names = chosen.features + [chosen.label] * (chosen.label is not None)
    for arrays in source.chunks(names):
        found.add(arrays[: len(chosen.features)])
        if chosen.label is not None:
            _check_labels(source, chosen.label, arrays[-1].type)
            y.add(cells.as_text(arrays[-1]).to_pandas())
    if not found.rows:
        raise ValueError(f"{source.where}: has a header and no example; allowed: at least one")
    findings = found.findings()
    usual = survey.decimal(findings, source.decimal)
    inferred = [survey.infer(source, each, usual, chosen.kinds.get(each.name)) for each in findings]
    told += table_notes.ambiguous(source, findings, inferred, usual)
    texts = _count_texts(source, findings, inferred)
    columns = []
    for each, column in zip(findings, inferred, strict=True):
        if column is not None and column.kind == "category":
            kept = survey.categories(texts[each.name])
            kept = tuple(sorted(texts[each.name] or ())) if kept is None and each.name in chosen.kinds else kept
            column = None if kept is None else dataclasses.replace(column, categories=kept[: survey.MOST_CATEGORIES])
        if column is None:
            told.append(table_notes.left_out(source, each, texts.get(each.name)))
        else:
            columns.append(column)
    if not columns:
        raise ValueError(f"{source.where}: has no column of numbers, categories or dates; {'; '.join(told)}")
    return columns, told


def _check_labels(source, label, kind):
    if cells.kind_of(kind) is None:
        raise ValueError(f"{source.where}: column {label!r}: holds {kind}; allowed: texts, numbers or truth values")


def _count_texts(source, found, inferred):
    """Returns {name: {text: rows}} of the columns that are categories, some of which take another reading of the table."""
    chosen = [(each, column) for each, column in zip(found, inferred, strict=True) if column and column.kind == "category"]
    texts = {each.name: each.texts for each, _ in chosen}
    again = [each.name for each, _ in chosen if each.texts is not None and sum(each.texts.values()) != each.present]
    if again:
        texts |= {name: collections.Counter() for name in again}
        for arrays in source.chunks(again):
            for name, array in zip(again, arrays, strict=True):
                texts[name] = survey.count(cells.category(cells.present(array)), texts[name])
    return texts


def _settled(columns, x, given):
    """Returns the columns, of which numbers are now told apart from counts, and from 0 and 1; see `table.gain`."""
    low, high, whole = np.full(len(columns), np.inf), np.full(len(columns), -np.inf), np.ones(len(columns), bool)
    for chunk in on_disk.chunks(x):
        low, high = np.fmin(low, np.fmin.reduce(chunk, 0)), np.fmax(high, np.fmax.reduce(chunk, 0))
        whole &= ((chunk == np.rint(chunk)) | np.isnan(chunk)).all(0)
    rows, settled = robust.sample(x), []
    for c, column in enumerate(columns):
        if column.kind == "number" and column.name not in given and whole[c] and low[c] >= 0:
            values = rows[:, c][~np.isnan(rows[:, c])]
            if (low[c], high[c]) == (0, 1):
                column = dataclasses.replace(column, kind="binary")
            elif LEAST_COUNTS <= len(values) and high[c] < MOST_COUNT and table.gain(values[:, None]) > table.LEAST_GAIN:
                column = dataclasses.replace(column, kind="count")
        settled.append(column)
    return settled


def _dataset(source, chosen, columns, x, y, told):
    """Returns the `Dataset` of what was read; `y` are the `labels.Labels`."""
    lack = f"{source.where}: has no column {LABEL!r} (--label=COLUMN names another)"
    names, spelled, numbers = [], {}, np.full(len(x), UNLABELLED)
    if chosen.label is not None:
        numbers, names, spelled = y.result()
        lack = "" if names else f"{source.where}: column {chosen.label!r} is unlabelled in every row"
    if len(names) == 1 and chosen.learns:
        spelled = "".join(f", and {text!r} is unlabelled" for text in spelled)
        raise ValueError(f"{source.where}: the labels name 1 class, {names[0]!r}{spelled}; allowed: at least 2, or none")
    data = Dataset(source.where, x, numbers, None, None, list(names), likelihood="table", columns=columns)
    data.without_classes = lack
    left_out = [f"column {name!r} identifies the rows and is no feature" for name in chosen.identifiers]
    labelled = [] if chosen.label is None else [labels.told(numbers, names, spelled)]
    data.notes = (*left_out, *table_notes.summary(data), *labelled)
    data.warnings = (*source.remarks, *told, *table_notes.warnings(data))
    return data


def from_frame(frame, label=LABEL, columns=None, ignore=None, name="data frame"):
    """Returns the `Dataset` of a `pandas.DataFrame` (see `read`), which is called `name`."""
    return read(sources.Frame(frame, name), label, columns, ignore)
