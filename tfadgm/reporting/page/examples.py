"""Single held-out examples: those that a classifier is least sure of, or surely wrong on; those that log p(x) finds odd.

A picture is shown as it is. Of a row of a table, or of an array of numbers, it is shown which columns speak for a class:

    log q(y|x) - log q(y|x without column c)

A column is hidden as a missing cell; where a model knows none, the usual value of training takes its place.
"""

import numpy as np

from tfadgm import evaluation
from tfadgm.data import on_disk, spelling
from tfadgm.reporting import figures, plotting, vector
from tfadgm.reporting.page import tables

SHOWN = 12  # pictures
ROWS = 6  # rows of a table
SPEAKING = 5  # columns of a row that are shown
MOST_ANSWERS = 3000  # rows that are classified to see which columns speak
MOST_COLUMNS = 200
LEAST = 0.02  # nats, from which a column speaks


def uncertain(content):
    """The examples of highest entropy of q(y|x)."""
    if content.probabilities is None:
        return None
    p = content.probabilities
    with np.errstate(all="ignore"):
        entropy = -np.nansum(p * np.log(p), 1)
    chosen = np.argsort(-np.where(np.isfinite(p).all(1), entropy, -1.0), kind="stable")[: _count(content)]
    return _shown(content, chosen) | dict(entropy=[float(entropy[i]) for i in chosen], highest=float(np.log(p.shape[1])))


def wrong(content):
    """The examples whose wrong answer is the most probable."""
    if content.probabilities is None:
        return None
    p = content.probabilities
    false = np.flatnonzero((p.argmax(1) != content.y) & np.isfinite(p).all(1))
    chosen = false[np.argsort(-p[false].max(1), kind="stable")][: _count(content)]
    return _shown(content, chosen) | dict(wrong=len(false), examples=len(p))


def _count(content):
    return SHOWN if plotting.is_image(content.data.raw_shape) else ROWS


def _shown(content, chosen):
    x, numbers = content.measured
    x = on_disk.gather(x, chosen)
    found = [_described(content, i, int(numbers[i])) for i in chosen]
    if plotting.is_image(content.data.raw_shape):
        for each, tile in zip(found, plotting.pixels(content.model, x.astype("float32")) if len(x) else [], strict=True):
            each["picture"] = vector.data_uri(tile)
        return dict(pictures=found, rows=None, how=None, numbered=False)
    how = _speak(content, x, chosen, found) if len(x) else None
    return dict(pictures=None, rows=found, how=how, numbered=content.data.columns is not None)


def _described(content, i, number):
    p, names = content.probabilities[i], content.answers
    order = np.argsort(-p, kind="stable")[:3]
    answers = [(names[k], float(p[k])) for k in order if p[k] > 5e-4 or k == order[0]]
    truth = content.data.class_names[content.y[i]]
    return dict(name=content.example(number), truth=truth, right=bool(order[0] == content.y[i]), answers=answers, columns=[])


def _speak(content, x, chosen, found):
    """Gives each of `found` the columns that speak for its answer and for another class; returns how they were hidden.

    The other class is the true one, or the second most probable where the answer is right.
    """
    flat = x.reshape(len(x), -1)
    columns = flat.shape[1]
    if not content.split.labelled.size or content.data.labelled_classes is not None:
        return None  # clusters stand for classes, and what the model answers is another list
    if columns > MOST_COLUMNS or len(x) * columns > MOST_ANSWERS:
        return "many"
    hidden, how = _hidden(content, flat)
    log_p = np.log(np.maximum(content.probabilities[chosen], 1e-30))
    without = evaluation.class_probabilities(content.model, hidden.reshape(-1, *x.shape[1:]), content.test_samples)
    without = np.log(np.maximum(without, 1e-30)).reshape(len(x), columns, -1)
    effect = log_p[:, np.newaxis] - without
    texts = _texts(content, flat)
    for n, i in enumerate(chosen):
        first, second = np.argsort(-log_p[n], kind="stable")[:2]
        other = second if first == content.y[i] else content.y[i]
        order = np.argsort(-np.abs(effect[n][:, [first, other]]).max(1), kind="stable")
        told = [c for c in order[:SPEAKING] if np.abs(effect[n, c, [first, other]]).max() >= LEAST]
        names = content.answers[first], content.answers[other]
        lines = [(*texts[n][c], float(effect[n, c, first]), float(effect[n, c, other])) for c in told]
        found[n] |= dict(columns=lines, between=names)
    return how


def _hidden(content, flat):
    """Returns (rows, one without each column, [n, C, C], and what stands in its place)."""
    data = content.data
    if data.columns is None:
        train = data.x_train[:10_000].reshape(-1, flat.shape[1])
        instead, how = train.mean(0, dtype="float64"), "mean"
        instead = np.rint(instead) if flat.dtype.kind in "uib" else instead
    elif content.model.preprocess.reads_missing:
        instead, how = np.full(flat.shape[1], np.nan), "missing"
    else:
        instead, how = tables.usual_values(data), "usual"
    hidden = np.repeat(flat[:, np.newaxis], flat.shape[1], 1)
    at = np.arange(flat.shape[1])
    hidden[:, at, at] = instead.astype(flat.dtype)
    return hidden, how


def _texts(content, flat):
    """(name of the column, text of the cell) of each cell, [n][C]."""
    data = content.data
    if data.columns is not None:
        cells = [spelling.texts(flat[:, c], column) for c, column in enumerate(data.columns)]
    else:
        cells = [[f"{value:.4g}" for value in flat[:, c].tolist()] for c in range(flat.shape[1])]
    names = data.feature_names or [f"x[{c}]" for c in range(flat.shape[1])]
    return [[(names[c], cells[c][n] or "missing") for c in range(flat.shape[1])] for n in range(len(flat))]


def density(content):
    """The held-out examples of the lowest and of the highest bound of log p(x), and how log p(x) is spread.

    A missing cell is not scored: of a table those rows are compared that miss as many cells as most do.
    """
    x, numbers = content.held_out
    x = np.asarray(x[:2000])
    bound = evaluation.elbo(content.model, x)
    missing = np.isnan(x).sum(1) if content.data.columns is not None else np.zeros(len(x), int)
    usual = np.bincount(missing).argmax()
    finite = np.flatnonzero(np.isfinite(bound) & (missing == usual))
    order = finite[np.argsort(bound[finite], kind="stable")]
    count = _count(content)
    ends = [("least probable", order[:count]), ("most probable", order[::-1][:count])]
    groups = [(title, _odd(content, x, numbers, bound, chosen)) for title, chosen in ends]
    spread = _spread(content.usual) if content.usual is not None and len(content.usual.log_density) > 1 else None
    about = dict(numbered=content.data.columns is not None, part=content.part, examples=len(finite))
    return about | dict(groups=groups, missing=int(usual) if missing.any() else None, spread=spread)


def _spread(usual):
    """The histogram of log p(x) of the law of training, and its quantiles."""
    values, drawn = usual.log_density.astype("float64"), {}
    figures.density_histogram(values, lambda figure: drawn.update(svg=vector.svg(figure, "density_histogram")))
    levels = (0.01, 0.05, 0.5, 0.95, 0.99)
    quantiles = [(level, float(value)) for level, value in zip(levels, np.quantile(values, levels), strict=True)]
    of = {"validation": "validation", "test": "test", "train": "training"}.get(usual.of, usual.of)
    return dict(figure=drawn["svg"], quantiles=quantiles, examples=len(values), of=of, samples=usual.samples)


def _odd(content, x, numbers, bound, chosen):
    found = [dict(name=content.example(int(numbers[i])), bound=float(bound[i])) for i in chosen]
    if plotting.is_image(content.data.raw_shape):
        for each, tile in zip(found, plotting.pixels(content.model, x[chosen].astype("float32")), strict=True):
            each["picture"] = vector.data_uri(tile)
        return found
    texts = _texts(content, x[chosen].reshape(len(chosen), -1)[:, :MOST_COLUMNS])
    return [each | dict(cells=cells[:12], more=max(0, len(cells) - 12)) for each, cells in zip(found, texts, strict=True)]
