"""What is told before training: what the data were taken for, and what in them may be a mistake."""

import numpy as np

from tfadgm.data import on_disk, table_notes

IMBALANCE = 3  # a class with so many times the labels of another is told
MANY = 20  # classes that are numbers, from which it is told
SHOWN = 5  # columns in a line
SCORED = "--likelihood=negative_binomial scores the counts themselves, and --dataset=h5ad:FILE reads sparse ones"
PRECISION = 1000  # steps of float32 in a standard deviation, below which it is told


def taken(data, likelihood):
    """Returns lines that say what examples, columns and labels were taken for.

    Args:
      data: a `Dataset`.
      likelihood: of the model's p(x|.).
    """
    shape = (
        _shape(data.raw_shape) if data.columns is None else f"{len(data.columns)} columns: {table_notes.kinds(data.columns)}"
    )
    return [f"x: {shape}; {_seen(data, likelihood)}", *data.notes]


def _shape(shape):
    if len(shape) == 1:
        return f"{shape[0]} numbers"
    sides = " x ".join(map(str, shape[:2]))
    if len(shape) == 2:
        return f"pictures of {sides} pixels"
    return f"pictures of {sides} pixels, {shape[2]} channel{'s' * (shape[2] > 1)}" if len(shape) == 3 else f"arrays {shape}"


def _seen(data, likelihood):
    if data.columns is not None:
        return f"p(x|.) {likelihood}"
    if likelihood == "gaussian" and data.standardised:
        of = "counts: of log(1 + x), " if data.scale == "log1p" else ""
        scored = "" if data.scale != "log1p" else f" ({SCORED})"
        return f"{of}each standardised, p(x|.) Gaussian{scored}"
    if likelihood == "negative_binomial":
        return (
            "counts, of which the networks read log(1 + count / sum of the row * median sum), p(x|.) negative binomial "
            "given the sum of the row"
        )
    kind = "real numbers" if data.levels is None else "0 or 1" if data.levels == 2 else f"{data.levels} levels"
    if likelihood == "bernoulli":
        return f"{kind}, as intensities within [0, 1] drawn as 0 or 1 for every batch, p(x|.) Bernoulli"
    constant = data.constant_channels if likelihood == "gaussian" else ()
    left_out = "".join(f"; channel {c} (from 0) has one value in all examples and is left out" for c in constant)
    return f"{kind}, p(x|.) {likelihood}{left_out}"


def prior(model, names, labels=None):
    """Returns a line that says how probable p(y) makes the values of y, whose names are `names`.

    Args:
      model: a model that learns from labels.
      names: of the values of y.
      labels: how many labels were drawn evenly over the classes; None: none were drawn.
    """
    if not model.has_class_prior:
        return "p(y): as the model learns it"
    if model.class_prior is None:
        drawn = f": the {labels} labels were drawn evenly, and do not tell how often each is" if labels else ""
        return f"p(y): uniform over {len(names)} classes{drawn} (--class_prior=P1,P2,... tells it)"
    shown = [f"{name} {100 * share:.3g}%" for name, share in list(zip(names, model.class_prior, strict=True))[:MANY]]
    return f"p(y): {', '.join(shown)}" + (f" and {len(names) - MANY} more" if len(names) > MANY else "")


def warnings(data, split, model):
    """Returns lines about what may be a mistake, in the data and in the labels that are known.

    Args:
      data: a `Dataset`.
      split: its `pipeline.Split`.
      model: the model that is to be trained.
    """
    lines = list(data.warnings)
    if data.columns is not None or (model.likelihood == "gaussian" and data.standardised):
        lines += _of_columns(data)
    if model.learns_from_labels:
        lines += _of_classes(data, split, model.has_class_prior and model.class_prior is None)
    return lines


def _of_columns(data):
    found, real = data.moments, np.array([column.kind in ("number", "date") for column in data.columns or ()], bool)
    real = real if data.columns else np.ones(found.mean.size, bool)
    far = [(column, what) for column, what in found.far.items() if real[column]]
    lines = [_far(data, column, *what) for column, what in far[:SHOWN]]
    if len(far) > SHOWN:
        lines.append(f"{data.name}: {len(far) - SHOWN} more columns have values far out")
    mean, std = found.mean.reshape(-1), found.std.reshape(-1)
    constant = np.flatnonzero(std == 0)
    if len(constant) and len(data.raw_shape) == 1:
        lines.append(f"{data.name}: {_columns(data, constant)}: one value in all examples, which tells nothing")
    coarse = np.flatnonzero(real & (std > 0) & (std < PRECISION * np.finfo("float32").eps * np.abs(mean)))
    if len(coarse):
        lines.append(f"{data.name}: {_columns(data, coarse)}: numbers that float32 hardly tells apart; subtract a constant")
    counting = [c for c in _counting(data) if real[c]]
    if len(counting):
        lines.append(f"{data.name}: {_columns(data, counting)}: counts the rows; --ignore it if it is no feature")
    return lines


def _far(data, column, count, row, value):
    value = np.expm1(value) if data.scale == "log1p" else value
    values = "1 value is" if count == 1 else f"{count} values are"
    return (
        f"{data.name}: {_columns(data, [column])}: {values} far outside the others, {value:g} in example {row} (from 0); "
        "left out of its scale, and cut to what the scale has room for"
    )


def _columns(data, columns):
    names = [repr(data.feature_names[c]) if data.feature_names else f"{c} (from 0)" for c in columns[:SHOWN]]
    more = f" and {len(columns) - SHOWN} more" if len(columns) > SHOWN else ""
    return f"column{'s' * (len(columns) > 1)} {', '.join(names)}{more}"


def _counting(data):
    """Returns the columns of a table that grow by 1 from row to row."""
    x = data.x_train
    if x.ndim != 2 or len(x) < 3:
        return np.zeros(0, "int64")
    counting, before = np.subtract(x[1], x[0], dtype="float64") == 1, None
    for chunk in on_disk.chunks(x):
        if not counting.any():
            break
        rows = chunk if before is None else np.concatenate([before, chunk])
        counting[counting] = (np.diff(rows[:, counting].astype("float64"), axis=0) == 1).all(0)
        before = np.array(chunk[-1:])
    return np.flatnonzero(counting)


def _of_classes(data, split, uniform):
    counts = np.bincount(data.y_train[split.labelled], minlength=data.num_classes)
    known = np.flatnonzero(counts)
    most, least = known[counts[known].argmax()], known[counts[known].argmin()]
    lines = []
    if uniform and counts[most] >= IMBALANCE * counts[least]:
        lines.append(
            f"{data.name}: class {data.class_names[most]} has {counts[most]} labels and {data.class_names[least]} "
            f"{counts[least]}, but p(y) takes all classes for equally probable; rare ones will be answered too often, "
            "unless --class_prior=labels"
        )
    if data.num_classes > MANY and all(name.lstrip("-").isdecimal() for name in data.class_names) and data.feature_names:
        first, last = data.class_names[0], data.class_names[-1]
        lines.append(f"{data.name}: each of {data.num_classes} numbers, {first} to {last}, is a class of its own")
    return lines
