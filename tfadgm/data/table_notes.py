"""What is told of a table before training: the kinds of its columns, what it lacks, and what in it may be a mistake."""

import numpy as np

from tfadgm.data import on_disk, survey
from tfadgm.data.columns import KINDS

SHOWN = 5  # names in a line
CALLED = dict(  # one, and several
    number=("number", "numbers"),
    binary=("yes/no", "yes/no"),
    category=("category", "categories"),
    count=("count", "counts"),
    date=("date", "dates"),
)
LEAST_LABELLED = 20  # rows by which a column is suspected to be the label
MOST_VALUES = 20  # of a column that may be the label, beyond the number of classes


def listed(names, most=10):
    """Returns names as they stand in a line, `most` of them at most."""
    text = ", ".join(map(repr, names[:most]))
    return text if len(names) <= most else f"{text} and {len(names) - most} more"


def kinds(columns):
    """Returns the kinds of columns in words, such as "2 numbers ('a', 'b'), 1 category ('town')"."""
    of = {kind: [column.name for column in columns if column.kind == kind] for kind in KINDS}
    found = {kind: names for kind, names in of.items() if names}
    return ", ".join(
        f"{len(names)} {CALLED[kind][len(names) > 1]} ({listed(names, SHOWN)})" for kind, names in found.items()
    )


def summary(data):
    """Returns lines about what a table holds: missing cells, categories, duplicates; `data` is its `Dataset`."""
    lines, missing = [], np.zeros(len(data.columns), "int64")
    other = np.zeros(len(data.columns), "int64")
    sizes = np.array([len(column.categories) if column.kind == "category" else -1 for column in data.columns])
    for chunk in on_disk.chunks(data.x_train):
        missing += np.isnan(chunk).sum(0)
        other += (chunk == sizes).sum(0)
    if missing.any():
        most = np.argsort(-missing, kind="stable")[:SHOWN]
        shown = ", ".join(f"{data.feature_names[c]!r} {missing[c]}" for c in most if missing[c])
        more = f", and {(missing > 0).sum() - SHOWN} more columns" if (missing > 0).sum() > SHOWN else ""
        cells_ = data.x_train.size
        lines.append(f"missing: {missing.sum()} of {cells_} cells ({missing.sum() / cells_:.1%}; {shown}{more})")
    for c in np.flatnonzero(sizes >= 0)[:SHOWN].tolist():
        column, rest = data.columns[c], f", and {other[c]} cells are others" if other[c] else ""
        lines.append(
            f"column {column.name!r}: {len(column.categories)} categories ({listed(column.categories, SHOWN)}){rest}"
        )
    copies = duplicates(data.x_train)
    if copies:
        lines.append(f"rows: {copies} of {len(data.x_train)} are copies of others, of which some may be held out")
    return lines


def hashes(x):
    """Returns a number per row of x, float32 [N, C], uint64 [N]: those of rows that are alike are the same."""
    words = np.random.default_rng([0, 64]).integers(1, 2**64, (2, x.shape[1]), "uint64") | np.uint64(1)
    found = np.empty(len(x), "uint64")
    start = 0
    for chunk in on_disk.chunks(x):
        bits = np.where(np.isnan(chunk), np.float32(np.nan), chunk + np.float32(0)).astype("float32").view("uint32")
        mixed = (bits.astype("uint64") + words[0]) * words[1]
        found[start : start + len(chunk)] = (mixed ^ (mixed >> np.uint64(29))).sum(1, dtype="uint64")
        start += len(chunk)
    return found


def duplicates(x, others=None):
    """Returns how many rows of x [N, C] another row of x before them repeats, or a row of `others`, if these are given."""
    if others is not None:
        return int(np.isin(hashes(x), hashes(others)).sum())
    found = hashes(x)
    found.sort()
    return int((found[1:] == found[:-1]).sum())


def ambiguous(source, found, inferred, usual):
    """Returns a line about the numbers of which nothing tells whether their comma or point is the decimal one."""
    doubtful = [
        each.name
        for each, column in zip(found, inferred, strict=True)
        if column is not None and column.kind in ("number", "count") and survey.is_ambiguous(each)
    ]
    if not doubtful:
        return []
    told = {".": "a point is taken for decimal, and 1,234 for 1234", ",": "a comma is taken for decimal, and 1.234 for 1234"}
    return [f"{source.where}: {_columns(doubtful)}: nothing tells what 1,234 or 1.234 is there; {told[usual]}"]


def left_out(source, found, texts):
    """Returns a line about a column that is none of a table; see `survey.Findings`."""
    what = f"{source.where}: column {found.name!r}"
    if found.kind is None:
        return f"{what}: holds lists, bytes or the like; ignored"
    if not found.present:
        return f"{what}: is empty; ignored"
    different = f"more than {survey.MOST_TEXTS}" if texts is None else len(texts)
    return f"{what}: {different} different texts in {found.present} cells, as names, identifiers or free text are; ignored"


def warnings(data):
    """Returns lines about columns of a table that may be the label itself."""
    found = _leaked(data)
    if not found:
        return []
    return [f"{data.name}: {_columns(found)}: tells the label of each labelled row; --ignore it if it is the label itself"]


def _columns(names):
    return f"column{'s' * (len(names) > 1)} {listed(names, SHOWN)}"


def _leaked(data):
    """Returns names of columns that tell the label: a value has one class, and few there are, or classes are intervals."""
    known = data.y_train >= 0
    if known.sum() < max(LEAST_LABELLED, 3 * data.num_classes) or data.num_classes < 2:
        return []
    rows = np.flatnonzero(known)
    y, classes = data.y_train[rows], len(np.unique(data.y_train[rows]))
    if classes < 2:
        return []
    # What does not tell the labels of some rows does not tell those of all.
    step = -(-len(rows) * len(data.columns) // (4 * on_disk.CHUNK_VALUES))
    some, some_y = on_disk.gather(data.x_train, rows[::step]), y[::step]
    found = [c for c in range(len(data.columns)) if _tells(some[:, c], some_y, classes)]
    if len(some) < len(rows):
        found = [c for c in found if _tells(_column(data.x_train, c)[rows], y, classes)]
    return [data.columns[c].name for c in found]


def _column(x, c):
    return np.concatenate([chunk[:, c] for chunk in on_disk.chunks(x)])


def _tells(values, y, classes):
    if np.isnan(values).any():
        return False
    order = np.lexsort((y, values))
    values, y = values[order], y[order]
    changes = values[1:] != values[:-1]
    if (~changes & (y[1:] != y[:-1])).any():
        return False
    distinct = 1 + int(changes.sum())
    runs = 1 + int((y[1:] != y[:-1]).sum())
    return runs <= classes if distinct > classes + MOST_VALUES else distinct < 2 * classes or runs <= classes
