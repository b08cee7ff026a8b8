"""Of a table: its columns, as they are and as the model draws them, and what it fills into cells that are hidden from it."""

import numpy as np
import tensorflow as tf

from tfadgm import evaluation
from tfadgm.data import on_disk, spelling
from tfadgm.reporting.page import render

ROWS = 2000  # real rows that are compared, and as many that are drawn
SHOWN = 40  # columns
BARS = 24
MOST_CATEGORIES = 12
LEAST_SHARE = 5e-4  # of "other", which is else no bar
IMPUTED, HIDDEN, FEWEST = 400, 0.15, 5  # rows of which a share of cells is hidden; cells of a column that are enough
MOST_TIMES = 5  # as often other cells of the same rows are hidden, where these are few
SAMPLES = 50
EACH, MOST_CLASSES, MOST_CELLS = 3, 5, 12  # rows that are shown of each class; classes; columns
LINE, GAP = 76, 2  # letters of such a row at most, of which some between columns
EXACT = ("binary", "category")  # kinds whose cells are right or wrong


def columns(content):
    """Each column's marginal, of real rows and of rows that are drawn from p(x), and how far they are apart.

    The distance is the total variation between the shares of the bars, from 0 to 1; of rows that are drawn from the data
    themselves it is not 0 either.
    """
    data = content.data
    if data.columns is None:
        return None
    real = _some(data.x_train, ROWS)
    x, _ = content.model.generate(tf.constant([0, 11]), len(real), means=False)
    drawn = content.model.preprocess.raw(x, drawn=True).numpy()
    found = [_column(column, real[:, c], drawn[:, c]) for c, column in enumerate(data.columns)]
    found.sort(key=lambda each: -each["distance"])
    return dict(columns=found[:SHOWN], total=len(found), compared=len(real), labels=content.model.has_class)


def rows(content):
    """A few rows that are drawn, of each class, as texts: (names of columns, [(class or None, cells)], further columns)."""
    model, columns = content.model, content.data.columns
    names = content.names[:MOST_CLASSES] if model.has_class else [None]
    found = []
    for k, name in enumerate(names):
        y = None if name is None else tf.one_hot(tf.fill([EACH], k), model.num_classes)
        x, _ = model.generate(tf.constant([k, 12]), EACH, y, means=False)
        drawn = model.preprocess.raw(x, drawn=True).numpy()
        texts = [spelling.texts(_round(drawn[:, c]), column) for c, column in enumerate(columns[:MOST_CELLS])]
        found += [(name, [cells[n] for cells in texts]) for n in range(EACH)]
    names = [column.name for column in columns[:MOST_CELLS]]
    lines = [["class", *names], *(["" if name is None else name, *cells] for name, cells in found)]
    wide = [max(len(part) for line in lines for part in render.parts(line[c])) + GAP for c in range(len(names) + 1)]
    shown = max(1, int(np.sum(np.cumsum(wide) <= LINE)) - 1)
    return names[:shown], [(name, cells[:shown]) for name, cells in found], len(columns) - shown


def _some(x, most):
    chosen = np.sort(np.random.default_rng(0).permutation(len(x))[:most])
    return np.asarray(on_disk.gather(x, chosen), "float32")


def _column(column, real, drawn):
    there, drawn = real[~np.isnan(real)], drawn[np.isfinite(drawn)]
    words = _words(column)
    if words:
        edges, low, high = np.arange(len(words) + 1) - 0.5, None, None
    else:
        low, high = np.quantile(there, [0.005, 0.995])
        edges = _edges(column, float(low), float(high))
    shares = [np.histogram(np.clip(part, edges[0], edges[-1]), edges)[0] / max(len(part), 1) for part in (there, drawn)]
    order = range(len(shares[0]))
    if words and len(words) > MOST_CATEGORIES:
        order = np.argsort(-shares[0], kind="stable")[:MOST_CATEGORIES]
    if column.kind == "category":
        order = [k for k in order if k < len(words) - 1 or max(part[k] for part in shares) >= LEAST_SHARE]
    bars = [[float(part[k]) for k in order] for part in shares]
    described = dict(
        name=column.name,
        kind=column.kind,
        missing=float(np.isnan(real).mean()),
        distance=float(0.5 * np.abs(shares[0] - shares[1]).sum()),
        real=bars[0],
        drawn=bars[1],
        top=max(*bars[0], *bars[1], 1e-9),
        words=[words[k] for k in order] if words else None,
        ends=None,
        quartiles=None,
    )
    if not words:
        described["ends"] = spelling.texts([edges[0], edges[-1]] if column.kind != "count" else [low, high], column)
        described["quartiles"] = [
            spelling.texts(_round(np.quantile(part, [0.25, 0.5, 0.75])), column) for part in (there, drawn)
        ]
    return described


def _round(values):
    """To three digits, or whole: enough to read."""
    return [float(f"{value:.3g}") if abs(value) < 1e3 else float(np.rint(value)) for value in values]


def _words(column):
    if column.kind == "category":
        return [*column.categories, "other"]
    return list(column.categories or ("0", "1")) if column.kind == "binary" else None


def _edges(column, low, high):
    if column.kind == "count" and high - low < BARS:
        return np.arange(np.floor(low), np.ceil(high) + 2) - 0.5
    low, high = _round([low, high])
    return np.linspace(low, high if high > low else low + 1, BARS + 1)


def imputation(content):
    """The error of cells that were there and were hidden, beside that of the column's median or most frequent value."""
    data = content.data
    if data.columns is None:
        return None
    if not content.model.preprocess.reads_missing:
        return dict(rows=None)
    x = _some(content.held_out[0], IMPUTED)
    examples, times = len(x), min(MOST_TIMES, max(1, IMPUTED // len(x)))
    x = np.tile(x, (times, 1))
    hidden = ~np.isnan(x) & (np.random.default_rng(1).random(x.shape) < HIDDEN)
    filled = evaluation.impute(content.model, np.where(hidden, np.float32(np.nan), x), SAMPLES)
    usual, rows = usual_values(data), []
    for c, column in enumerate(data.columns):
        at = hidden[:, c]
        if at.sum() < FEWEST:
            continue
        truth, exact = x[at, c], column.kind in EXACT
        errors = [_error(guess, truth, exact) for guess in (filled[at, c], np.full(len(truth), usual[c]))]
        rows.append(
            dict(name=column.name, kind=column.kind, cells=int(at.sum()), exact=exact, model=errors[0], usual=errors[1])
        )
    for row in rows:
        row["ratio"] = row["model"] / row["usual"] if row["usual"] else None
    rows.sort(key=lambda row: np.inf if row["ratio"] is None else row["ratio"])
    about = dict(examples=examples, times=times, share=HIDDEN, trained=content.part == "train")
    about["worse"] = sum(row["ratio"] is not None and row["ratio"] > 1 for row in rows)
    return dict(rows=rows[:SHOWN], total=len(rows), **about) if rows else None


def usual_values(data):
    """The most frequent value of each column that is a category or yes/no, the median of any other, float64 [C]."""
    train = _some(data.x_train, 20_000)
    found = []
    for c, column in enumerate(data.columns):
        known = train[~np.isnan(train[:, c]), c]
        if not len(known):
            found.append(np.nan)
        else:
            found.append(np.bincount(known.astype(int)).argmax() if column.kind in EXACT else np.median(known))
    return np.array(found, "float64")


def _error(guess, truth, exact):
    return float(np.mean(np.rint(guess) != truth) if exact else np.mean(np.abs(guess - truth)))
