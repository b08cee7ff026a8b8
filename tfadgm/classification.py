"""Classifies the user's files with an exported model, through its signatures alone (see `export`)."""

import dataclasses
import math
import pathlib

import numpy as np
import tensorflow as tf

from tfadgm import telling
from tfadgm.data import csv, npz, picture_files
from tfadgm.data.files import check_regular

NEEDED = ("serving_default", "classify", "log_density")
KINDS = f".npz (array x), .csv (a column {csv.LABEL_COLUMN!r} is ignored), pictures ({', '.join(picture_files.SUFFIXES)})"


def find(path):
    """Returns the SavedModel that `path` names: itself, or its largest integer version, as TF Serving would choose."""
    path = pathlib.Path(path)
    if (path / "saved_model.pb").is_file():
        return path
    inside = [d for d in path.iterdir() if d.name.isascii() and d.name.isdigit()] if path.is_dir() else []
    found = [d for d in inside if (d / "saved_model.pb").is_file()]
    if not found:
        what = "holds no SavedModel" if path.is_dir() else "is no directory"
        raise ValueError(f"{path}: {what}; allowed: a directory with saved_model.pb, or one whose integer versions have it")
    return max(found, key=lambda d: int(d.name))


def choose(run=None, saved_model=None):
    """Returns the SavedModel of exactly one of a run's directory and an export."""
    if bool(run) == bool(saved_model):
        raise ValueError(f"got {'both' if run else 'neither'} of --run and --saved_model; allowed: exactly one")
    if saved_model:
        return find(saved_model)
    exports = pathlib.Path(run) / "export"
    if not exports.is_dir():
        raise ValueError(f"{run}: has no export; allowed: the directory of a run after bin/export --run={run}")
    return find(exports)


class Classifier:
    """An exported classifier.

    Args:
      path: a SavedModel, or a directory of versions (see `find`).

    Attributes:
      at_once: how many batches `records` hands over together.
      path: the SavedModel that was loaded.
      class_names: K strings, in the order of the probabilities.
      raw_shape, raw_dtype: of one raw example.

    Raises:
      ValueError: if there is no SavedModel, or it lacks a signature of `NEEDED`.
    """

    at_once = 1

    def __init__(self, path):
        self.path = find(path)
        try:
            # Kept: the signatures do not keep the variables alive.
            self._loaded = tf.saved_model.load(str(self.path))
        except Exception as error:  # a damaged file may raise anything
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise ValueError(f"{self.path}: not a readable SavedModel: {reason}") from error
        self._signatures = self._loaded.signatures
        missing = [name for name in NEEDED if name not in self._signatures]
        if missing:
            had = ", ".join(sorted(self._signatures)) or "none"
            raise ValueError(f"{self.path}: has signatures {had}; allowed: those of a classifier: {', '.join(NEEDED)}")
        spec = self._signatures["serving_default"].structured_input_signature[1].get("x")
        if spec is None:
            raise ValueError(f"{self.path}: serving_default has no input x; allowed: a model that tfadgm exported")
        self.raw_shape, self.raw_dtype = tuple(spec.shape[1:]), np.dtype(spec.dtype.as_numpy_dtype)
        self.class_names = self._class_names()

    def _class_names(self):
        size = math.prod(self.raw_shape) * self.raw_dtype.itemsize
        memory = tf.train.Feature(bytes_list=tf.train.BytesList(value=[bytes(size)]))
        example = tf.train.Example(features=tf.train.Features(feature={"x_bytes": memory}))
        answer = self._signatures["classify"](inputs=tf.constant([example.SerializeToString()]))
        return [name.decode() for name in answer["classes"][0].numpy()]

    def probabilities(self, x, batch=100):
        """Returns q(y|x), float32 [N, K], for raw examples x [N, *raw_shape] (see `as_raw`)."""
        predict = self._signatures["serving_default"]
        x = as_raw(x, self.raw_shape, self.raw_dtype)
        parts = [predict(x=tf.constant(rows))["probabilities"].numpy() for rows in _batches(x, batch)]
        return np.concatenate([np.zeros((0, len(self.class_names)), "float32"), *parts])

    def log_density(self, x, samples, batch=100):
        """Returns the importance-weighted bound of log p(x) with `samples` samples, float32 [N], in nats."""
        score, samples = self._signatures["log_density"], tf.constant(samples)
        x = as_raw(x, self.raw_shape, self.raw_dtype)
        parts = [score(x=tf.constant(rows), samples=samples)["log_density"].numpy() for rows in _batches(x, batch)]
        return np.concatenate([np.zeros(0, "float32"), *parts])


def _batches(x, batch):
    return (x[i : i + batch] for i in range(0, len(x), batch))


def as_raw(x, shape, dtype):
    """Returns x [N, ...] as an array of `dtype`, or raises a ValueError that says what does not fit.

    Nothing is scaled, rounded or clipped: whole numbers may come as floats and the other way round, and no more.
    """
    x, dtype = np.asarray(x), np.dtype(dtype)
    if x.ndim == 0 or x.shape[1:] != tuple(shape):
        raise ValueError(f"x has shape {x.shape}; allowed: (N, {', '.join(map(str, shape))}), as the model's examples")
    if x.dtype.kind not in "uifb":
        raise ValueError(f"x has dtype {x.dtype}; allowed: numbers")
    if x.dtype.kind == "f":
        _refuse(x, ~np.isfinite(x), "finite numbers")
    if dtype.kind == "f":
        low, high = -np.finfo(dtype).max, np.finfo(dtype).max
    else:
        low, high = (0, 1) if dtype.kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    kind = "numbers" if dtype.kind == "f" else "whole numbers"
    wrong = (x < low) | (x > high)
    if dtype.kind != "f" and x.dtype.kind == "f":
        wrong |= x != np.rint(x)
    _refuse(x, wrong, f"{kind} from {low:.6g} to {high:.6g}, as the model's {dtype} examples")
    return x.astype(dtype)


def _refuse(x, wrong, allowed):
    if wrong.any():
        at = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise ValueError(f"x holds {x[at]} in row {at[0]} (from 0; {wrong.sum()} such values); allowed: {allowed}")


def read(path, shape, dtype, remarks=None):
    """Returns the examples of one file of `KINDS`, [N, ...]; a picture is one uint8 example, [1, *shape].

    `shape` and `dtype` are those of the model's raw examples, by which a picture is read (`picture_files.read_example`).
    """
    suffix = pathlib.Path(path).suffix.lower()
    if suffix == ".npz":
        return npz.read_arrays(path, ["x"])["x"]
    if suffix == ".csv":
        return csv.read_table(path)[0]
    return picture_files.read_example(path, shape, dtype, remarks)[np.newaxis]


def check_files(files):
    """Raises a ValueError if there are no files, or one is missing or of an unknown kind; reads nothing."""
    if not files:
        raise ValueError(f"got no files; allowed: one or more of {KINDS}")
    for file in map(pathlib.Path, files):
        if file.suffix.lower() not in (".npz", ".csv", *picture_files.SUFFIXES):
            raise ValueError(f"{file}: has the suffix {file.suffix!r}; allowed: {KINDS}")
        check_regular(file, f"one of {KINDS}")


@dataclasses.dataclass
class Row:
    """One example and where it came from; rows count from 0."""

    file: str
    row: int
    x: np.ndarray


def read_rows(files, shape, dtype):
    """Returns a `Row` for every example of `files`; the first file that does not fit raises a ValueError naming it."""
    check_files(files)
    rows, remarks = [], picture_files.Remarks()
    for file in files:
        x = read(file, shape, dtype, remarks)
        try:
            x = as_raw(x, shape, dtype)
        except ValueError as error:
            raise ValueError(f"{file}: {error}") from None
        rows += [Row(str(file), i, example) for i, example in enumerate(x)]
    for line in remarks.lines():
        telling.warn(line)
    return rows


def records(classifier, files, batch=100, log_density_samples=0, progress=None):
    """Yields one dict of JSON types per example, in the order of `files`; all files are read and checked first.

    Keys: file, row, class, probability (of that class), probabilities (of every class by name), and log_density (nats;
    None if it is not finite) if `log_density_samples` is not 0. `progress(done, total)` is called now and then.

    Raises:
      ValueError: for a file that is missing, unreadable or does not fit the model; for `batch` or samples out of range.
    """
    if batch < 1 or log_density_samples < 0:
        raise ValueError(f"got batch={batch}, log_density_samples={log_density_samples}; allowed: at least 1, at least 0")
    rows = read_rows(files, classifier.raw_shape, classifier.raw_dtype)
    done = 0
    for part in _batches(rows, batch * classifier.at_once):
        x = np.stack([row.x for row in part])
        densities = classifier.log_density(x, log_density_samples, batch) if log_density_samples else [None] * len(part)
        for row, probabilities, density in zip(part, classifier.probabilities(x, batch), densities, strict=True):
            record = _record(row, classifier.class_names, probabilities)
            if density is not None:
                record["log_density"] = float(density) if np.isfinite(density) else None
            yield record
        done += len(part)
        if progress:
            progress(done, len(rows))


def _record(row, class_names, probabilities):
    if not np.isfinite(probabilities).all():
        raise ValueError(f"{row.file}: row {row.row}: its probabilities are not finite; allowed: values as trained on")
    best = int(np.argmax(probabilities))
    named = dict(zip(class_names, map(float, probabilities), strict=True))
    return {
        "file": row.file,
        "row": row.row,
        "class": class_names[best],
        "probability": float(probabilities[best]),
        "probabilities": named,
    }
