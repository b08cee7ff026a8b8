"""The user's own arrays: `npz:FILE` with x, y and optionally x_test, y_test. Never a pickle.

An array is read alone, and a large one a few rows at a time, into a map (see `on_disk`).

y holds class numbers, -1 or NaN where there is none, or text: names of classes, "" where there is none (see
`labels.is_unlabelled`).
"""

import math
import zipfile

import numpy as np
import pandas

from tfadgm.data import files, labels, on_disk, ranges, table
from tfadgm.data.dataset import UNLABELLED, Dataset
from tfadgm.data.on_disk import chunks

MOST_CLASSES = labels.MOST_CLASSES
KIND = "an npz file"
# An array that shrinks to less than a hundredth and is large is a bomb, or holds nothing: deflate reaches 1 in 1,030.
BOMB_BYTES, BOMB_RATIO = 1 << 30, 100
BLOCK_BYTES = 8 << 20  # of a large array that are read at once


def read_arrays(path, required, optional=()):
    """Returns a dict of the named arrays of an npz file, in the machine's byte order.

    Raises:
      ValueError: that names the file and what is wrong: a pickle, a member that is no array, one that would not fit onto the
        disk. Nothing is decompressed before that is known.
    """
    files.check_regular(path, KIND)
    try:
        with zipfile.ZipFile(path) as archive:
            members = {name.removesuffix(".npy"): name for name in archive.namelist() if name.endswith(".npy")}
            missing = [name for name in required if name not in members]
            if missing:
                had = ", ".join(members) or "none"
                raise ValueError(f"has arrays {had}; allowed: {', '.join(required)} are required")
            found = [name for name in (*required, *optional) if name in members]
            for name in found:
                _check_member(archive, name, members[name])
            return {name: _read_member(archive, f"{path}: {name}", members[name]) for name in found}
    except Exception as error:  # zip, format and pickle errors
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ValueError(f"{path}: not a readable npz file: {reason}") from error


def _check_member(archive, name, member):
    """Raises a ValueError for a member whose bytes are not those of the array that its first lines announce."""
    about = archive.getinfo(member)
    with archive.open(member) as file:
        try:
            shape, _, dtype = _header(file)
        except ValueError as error:
            raise ValueError(f"{name} is no array: {error}") from error
        begun = file.tell()
    if dtype.hasobject:
        text = f" or text, as np.asarray({name}, str) is" if name.startswith("y") else ""
        raise ValueError(f"{name} holds Python objects; allowed: numbers{text}")
    size = int(np.prod(shape, dtype=object)) * dtype.itemsize
    if size != about.file_size - begun:
        raise ValueError(f"{name} has {about.file_size - begun} bytes; allowed: {size}, as its shape {shape} says")
    if size > BOMB_BYTES and size > BOMB_RATIO * max(about.compress_size, 1):
        raise ValueError(
            f"{name} expands from {about.compress_size} to {size} bytes; allowed: at most {BOMB_RATIO} times its compressed "
            f"size beyond {BOMB_BYTES} bytes"
        )
    on_disk.check_room(size, name)


def _header(file):
    """Returns (shape, whether columns come first, dtype) by the first lines of an array."""
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    return read(file)


def _read_member(archive, what, member):
    with archive.open(member) as file:
        if archive.getinfo(member).file_size > on_disk.LARGE_BYTES:
            return _read_large(file, what)
        array = np.lib.format.read_array(file, allow_pickle=False)
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def _read_large(file, what):
    """Returns an array whose rows, or, where columns come first, whose columns, are read a few at a time."""
    shape, fortran, dtype = _header(file)
    found = on_disk.Growing((shape[::-1] if fortran else shape)[1:], dtype, what, shape[-1 if fortran else 0])
    each = int(np.prod(found.shape, dtype="int64")) * dtype.itemsize
    while block := file.read(each * max(1, BLOCK_BYTES // each)):
        found.add(np.frombuffer(block, dtype).reshape(-1, *found.shape))
    if not fortran:
        return found.array()
    by_rows = on_disk.Growing(shape[1:], dtype, what)
    for rows in chunks(found.array().T):
        by_rows.add(rows)
    return by_rows.array()


def describe(x):
    """Returns the likelihood, levels and scale that suit raw examples x.

    Tables are as `table.describe` says. Of pictures: numbers within [0, 1], whole ones too, are Bernoulli. So are other
    uint8 examples, as intensities, but for pictures of several channels, which are Gaussian and standardised per channel.
    All else is standardised and Gaussian.
    """
    if table.is_table(x):
        return table.describe(x)
    low, high = ranges.span(x) if x.dtype.kind in "uifb" and x.size else (0, math.inf)
    if 0 <= low <= high <= 1:
        return dict(likelihood="bernoulli", levels=None if x.dtype.kind == "f" else 2)
    if x.dtype != np.uint8:
        return dict(likelihood="gaussian", scale="standardise")
    if x.ndim == 4 and x.shape[-1] > 1:
        return dict(likelihood="gaussian", levels=256, scale="standardise_channels")
    return dict(likelihood="bernoulli", levels=256, scale=1 / 255)


def _labels(path, name, y):
    """Returns class numbers as int64, or raises a ValueError that names the file and the array."""
    if y.dtype.kind == "f":
        y = np.where(np.isnan(y), UNLABELLED, y.astype("float64"))
        if not (np.abs(y) < MOST_CLASSES).all() or (y != np.rint(y)).any():
            raise ValueError(f"{path}: {name} holds fractions; allowed: whole numbers, -1 or NaN is unlabelled")
    elif y.dtype.kind not in "uib":
        raise ValueError(f"{path}: {name} has dtype {y.dtype}; allowed: whole numbers, -1 is unlabelled, or text")
    _check_flat(path, name, y)
    if y.size and y.max() >= MOST_CLASSES:
        raise ValueError(f"{path}: {name} has the label {y.max()}; allowed: -1 (unlabelled) to {MOST_CLASSES - 1}")
    return y.astype("int64")


def _check_flat(path, name, y):
    if y.ndim != 1:
        raise ValueError(f"{path}: {name} has shape {y.shape}; allowed: (N,), one label per example")


def _text(path, name, y):
    """Returns labels as a `pandas.Series` of strings, or raises a ValueError that names the file and the array."""
    _check_flat(path, name, y)
    if y.dtype.kind == "S":
        try:
            y = np.char.decode(y, "utf-8")
        except UnicodeDecodeError:
            raise ValueError(f"{path}: {name} holds bytes that are no UTF-8; allowed: text") from None
    if y.dtype.kind != "U":
        raise ValueError(f"{path}: {name} has dtype {y.dtype} beside labels that are text; allowed: text")
    return pandas.Series(y, dtype=object)


def class_numbers(path, given):
    """Returns (class numbers of each array of labels, a dict; class names; {spelling: rows} that were taken for none).

    Args:
      path: of the file.
      given: {"y": [N], "y_test": [M]}, or one of them, or none: class numbers, or text.
    """
    if not any(y.dtype.kind in "US" for y in given.values()):
        numbers = {name: _labels(path, name, y) for name, y in given.items()}
        return numbers, [str(k) for k in range(_count_classes(path, **numbers))], {}
    found = labels.Labels(f"{path}: y")
    for name, y in given.items():
        for part in chunks(y):
            found.add(_text(path, name, part))
    y, names, unlabelled = found.result()
    if len(names) == 1:
        raise ValueError(f"{path}: the labels name 1 class, {names[0]!r}; allowed: at least 2, or none")
    ends = np.cumsum([len(part) for part in given.values()])
    return dict(zip(given, np.split(y, ends[:-1]), strict=True)), names, unlabelled


def _examples(path, name, x):
    """Returns raw examples, real ones as float32, or raises a ValueError that names the file and the array."""
    if x.dtype.kind not in "uifb":
        raise ValueError(f"{path}: {name} has dtype {x.dtype}; allowed: numbers")
    if x.ndim < 2 or not x.size:
        raise ValueError(f"{path}: {name} has shape {x.shape}; allowed: [N, ...], examples of at least one number")
    if x.ndim == 4 and x.shape[1] in (1, 3, 4) and x.shape[3] > 4:
        told = f"allowed: [N, height, width, channels], as {name}.transpose(0, 2, 3, 1) has"
        raise ValueError(f"{path}: {name} has shape {x.shape}: its channels seem to come first; {told}")
    if x.dtype.kind != "f":
        return x
    with np.errstate(over="ignore"):
        bad = sum(int((~np.isfinite(part.astype("float32"))).sum()) for part in chunks(x))
    if bad:
        raise ValueError(f"{path}: {name} has {bad} values that are NaN or infinite; allowed: numbers that float32 holds")
    return on_disk.converted(x, np.dtype("float32"), f"{path}: {name}")


def load(argument=None, **_):
    """Returns the data set in the npz file `argument`."""
    if not argument:
        raise ValueError("dataset npz: got no file; allowed: npz:FILE")
    path = files.expanded(argument)
    arrays = read_arrays(path, ["x"], ["y", "x_test", "y_test"])
    numbers, names, unlabelled = class_numbers(path, {name: arrays[name] for name in ("y", "y_test") if name in arrays})
    for name in {"x", "x_test"} & set(arrays):
        arrays[name] = _examples(path, name, arrays[name])
    x, x_test = arrays["x"], arrays.get("x_test")
    y, y_test = numbers.get("y", np.full(len(x), UNLABELLED)), numbers.get("y_test")
    if (x_test is None) != (y_test is None) and (names or x_test is None):
        raise ValueError(f"{path}: has one of x_test and y_test; allowed: both or none")
    if x_test is not None:
        x_test = ranges.as_dtype(x_test, x.dtype, f"{path}: x_test")
    data = Dataset(str(path), x, y, x_test, y_test, names, **describe(x))
    data.notes = (labels.told(y, names, unlabelled),)
    data.warnings = () if x_test is None else tuple(ranges.compare(f"{path}: x_test", x_test, ranges.of(data)))
    if not names:
        had = f"has arrays {', '.join(arrays)}, and no y"
        data.without_classes = f"{path}: {'y is unlabelled in every row' if 'y' in arrays else had}"
    return data


def _count_classes(path, y=(), y_test=()):
    """Returns K, one more than the largest label; 0 where every example is unlabelled."""
    y = np.asarray(y, "int64")
    classes = int(max(y.max(initial=UNLABELLED), np.max(y_test, initial=UNLABELLED))) + 1
    if classes == 1:
        raise ValueError(f"{path}: the labels name 1 classes; allowed: at least 2, 0 to K - 1, or none")
    counts = np.bincount(y[y >= 0], minlength=classes)
    if counts.any() and not counts[0] and y.min() == UNLABELLED:
        raise ValueError(f"{path}: y has no label 0, and -1 is unlabelled; allowed: classes numbered 0 to K - 1")
    labels.check_classes(f"{path}: y", {str(k): int(n) for k, n in enumerate(counts) if n}, len(y))
    return classes
