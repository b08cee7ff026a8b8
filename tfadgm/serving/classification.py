"""Classifies the user's files with an exported model, through its signatures alone (see `export`)."""

import dataclasses
import functools
import json
import pathlib
from collections.abc import Callable, Container, Iterator, Sequence
from typing import Protocol

import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike

from tfadgm import telling
from tfadgm.data import examples, picture_files, ranges
from tfadgm.data.columns import Column
from tfadgm.data.table_preprocess import UNLEARNED
from tfadgm.serving import table_requests, warmup

DESCRIPTION_FILE = "assets.extra/tfadgm.json"  # within a SavedModel: what `export` says of it
NEEDED = ("serving_default", "classify", "log_density")


def find(path: pathlib.Path | str) -> pathlib.Path:
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


def choose(run: pathlib.Path | str | None = None, saved_model: pathlib.Path | str | None = None) -> pathlib.Path:
    """Returns the SavedModel of exactly one of a run's directory and an export."""
    if saved_model and not run:
        return find(saved_model)
    if not run or saved_model:
        raise ValueError(f"got {'both' if run else 'neither'} of --run and --saved_model; allowed: exactly one")
    exports = pathlib.Path(run) / "export"
    if not exports.is_dir():
        raise ValueError(f"{run}: has no export; allowed: the directory of a run after bin/export --run={run}")
    return find(exports)


def description(path: pathlib.Path | str) -> dict:
    """Returns what was said of the run when the SavedModel at `path` was exported, a dict; empty if nothing was."""
    try:
        found = json.loads((pathlib.Path(path) / DESCRIPTION_FILE).read_text())["description"]
    except (OSError, ValueError, LookupError, TypeError):
        return {}
    return found if isinstance(found, dict) else {}


class AnyClassifier(Protocol):
    """What classifies files: a `Classifier`, or a `client.RemoteClassifier`; the attributes are those of the first."""

    at_once: int
    class_names: list[str]
    raw_shape: tuple[int, ...]
    raw_dtype: np.dtype
    feature_names: list[str] | None
    columns: list[Column] | None
    ranges: dict | None

    def probabilities(self, x: np.ndarray, batch: int) -> np.ndarray: ...

    def log_density(self, x: np.ndarray, samples: int, batch: int) -> np.ndarray: ...


class Classifier:
    """An exported classifier.

    Args:
      path: a SavedModel, or a directory of versions (see `find`).

    Attributes:
      at_once: how many batches `records` hands over together.
      path: the SavedModel that was loaded.
      class_names: K strings, in the order of the probabilities.
      raw_shape, raw_dtype: of one raw example.
      feature_names: of the columns of a table, by which those of a file are found; None: it has no names.
      columns: of a model of tables, its `columns.Column`s; None: it reads arrays.
      ranges: of the training examples (`ranges.of`); None: not known.

    Raises:
      ValueError: if there is no SavedModel, or it lacks a signature of `NEEDED`.
    """

    at_once = 1

    def __init__(self, path: pathlib.Path | str) -> None:
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
        self._by_rows = by_rows(self._signatures)
        spec = self._signatures[self._by_rows].structured_input_signature[1].get("x")
        if spec is None:
            raise ValueError(f"{self.path}: {self._by_rows} has no input x; allowed: a model that tfadgm exported")
        self.raw_shape, self.raw_dtype = tuple(spec.shape[1:]), np.dtype(spec.dtype.as_numpy_dtype)
        self.columns = self._columns()
        self.class_names = self._class_names()
        about = description(self.path)
        self.feature_names, self.ranges = about.get("feature_names"), about.get("ranges")

    def _columns(self):
        if "columns" not in self._signatures:
            return None
        number = tf.range(self.raw_shape[0], dtype=tf.int64)
        return table_requests.columns_of(self._signatures["columns"](number=number)["column"].numpy())

    def _class_names(self):
        example = nothing(self.raw_shape, self.raw_dtype, self.columns)
        answer = self._signatures["classify"](inputs=tf.constant([example.SerializeToString()]))
        return [name.decode() for name in answer["classes"][0].numpy()]

    @functools.cached_property
    def any_size(self) -> bool:
        """Whether pictures of other sizes are fitted to that of the model's, as its graph answers when it is sent one."""
        if "predict_bytes" not in self._signatures:
            return False
        try:
            self._signatures["predict_bytes"](inputs=tf.constant([other_size(self.raw_shape)]))
        except tf.errors.InvalidArgumentError:
            return False
        return True

    def probabilities(self, x: np.ndarray, batch: int = 100) -> np.ndarray:
        """Returns q(y|x), float32 [N, K], for raw examples x [N, *raw_shape] (see `as_raw`)."""
        predict = self._signatures[self._by_rows]
        x = as_raw(x, self.raw_shape, self.raw_dtype, bool(self.columns))
        parts = [predict(x=tf.constant(rows))["probabilities"].numpy() for rows in _batches(x, batch)]
        return np.concatenate([np.zeros((0, len(self.class_names)), "float32"), *parts])

    def log_density(self, x: np.ndarray, samples: int, batch: int = 100) -> np.ndarray:
        """Returns the importance-weighted bound of log p(x) with `samples` samples, float32 [N], in nats."""
        score, samples = self._signatures["log_density"], tf.constant(samples)
        x = as_raw(x, self.raw_shape, self.raw_dtype, bool(self.columns))
        parts = [score(x=tf.constant(rows), samples=samples)["log_density"].numpy() for rows in _batches(x, batch)]
        return np.concatenate([np.zeros(0, "float32"), *parts])


def other_size(shape: tuple[int, ...]) -> bytes:
    """Returns a PNG file of a black picture that is one pixel higher than `shape`, [height, width, 1 or 3]."""
    return tf.io.encode_png(np.zeros((shape[0] + 1, *shape[1:]), "uint8")).numpy()


def by_rows(signatures: Container[str]) -> str:
    """Returns the name of the signature that reads raw examples and answers probabilities; of tables, `predict_float`."""
    return "predict_float" if "columns" in signatures else "serving_default"


def nothing(shape: tuple[int, ...], dtype: np.dtype, columns: list[Column] | None) -> tf.train.Example:
    """Returns an example to ask for the names of the classes: ones, or a row of a table in which no cell is missing."""
    if not columns:
        return warmup.memory_example(np.ones(shape, dtype))
    example, words = tf.train.Example(), {"category": b"other", "date": b"1970-01-01"}
    for column in columns:
        feature = example.features.feature[column.name]
        if column.kind in words:
            feature.bytes_list.value.append(words[column.kind])
        else:
            feature.float_list.value.append(0.0)
    return example


def _batches(x, batch):
    return (x[i : i + batch] for i in range(0, len(x), batch))


def as_raw(x: ArrayLike, shape: Sequence[int], dtype: np.dtype | str, missing: bool = False) -> np.ndarray:
    """Returns x [N, ...] as an array of `dtype`, or raises a ValueError that says what does not fit.

    Nothing is scaled, rounded or clipped: whole numbers may come as floats and the other way round, and no more. NaN is
    allowed where values may be `missing`.
    """
    x = np.asarray(x)
    if x.ndim == 0 or x.shape[1:] != tuple(shape):
        raise ValueError(f"x has shape {x.shape}; allowed: (N, {', '.join(map(str, shape))}), as the model's examples")
    return ranges.as_dtype(x, dtype, missing=missing)


@dataclasses.dataclass
class Row:
    """One example and where it came from; rows count from 0."""

    file: str
    row: int
    x: np.ndarray
    identifier: str | None = None


def read_rows(
    files: Sequence[pathlib.Path | str], classifier: AnyClassifier, failed: Callable[[ValueError], None] | None = None
) -> list[Row]:
    """Returns a `Row` for every example of `files`.

    Args:
      files: paths of files.
      classifier: a `Classifier`, or what has its attributes.
      failed: called with the ValueError of a file that cannot be read or does not fit, which is then left out; None:
        raises it.
    """
    rows, remarks = [], picture_files.Remarks()
    for file in files:
        try:
            rows += _rows_of(file, classifier, remarks)
        except ValueError as error:
            if failed is None:
                raise
            failed(error)
    for line in remarks.lines():
        telling.warn(line)
    return rows


def _rows_of(file, classifier, remarks):
    examples.check([file])
    shape, dtype, columns = classifier.raw_shape, classifier.raw_dtype, classifier.columns
    any_size = examples.is_picture(file) and classifier.any_size
    found = examples.read(file, shape, dtype, classifier.feature_names, remarks, any_size, columns)
    try:
        x = as_raw(found.x, shape, dtype, bool(columns))
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from None
    if columns:
        _check_missing(file, x, classifier)
    told = list(found.notes)
    if classifier.ranges is not None and found.decoded:
        ranges.check_levels(file, found.x, classifier.ranges)
    elif classifier.ranges is not None:
        told += ranges.compare(file, found.x, classifier.ranges, classifier.feature_names)
    for line in told:
        telling.warn(line)
    return [Row(str(file), i, *row) for i, row in enumerate(zip(x, found.identifiers or [None] * len(x), strict=True))]


def _check_missing(file, x, classifier):
    """Raises a ValueError if a cell is missing and the model refuses that: one such row is asked about."""
    missing = np.isnan(x).any(1)
    if not missing.any():
        return
    try:
        classifier.probabilities(x[missing][:1])
    except (tf.errors.InvalidArgumentError, OSError) as error:
        if UNLEARNED not in str(error):
            raise
        told = f"{missing.sum()} of {len(x)} rows, the first is row {missing.argmax()} (from 0)"
        raise ValueError(f"{file}: has missing cells in {told}; allowed: {UNLEARNED}") from None


def records(
    classifier: AnyClassifier,
    files: Sequence[pathlib.Path | str],
    batch: int = 100,
    log_density_samples: int = 0,
    progress: telling.Progress | None = None,
    failed: Callable[[ValueError], None] | None = None,
) -> Iterator[dict]:
    """Yields one dict of JSON types per example, in the order of `files`; all files are read and checked first.

    Keys: file, row, id (where a csv has a column that identifies its rows), class, probability (of that class),
    probabilities (of every class by name), and log_density (nats; None if it is not finite) if `log_density_samples` is not
    0. `progress(done, total)` is called now and then.

    Args:
      classifier: a `Classifier` or `serving.client.RemoteClassifier`.
      files: paths of files of `examples.KINDS`.
      batch: examples that are computed at once.
      log_density_samples: importance samples of log p(x).
      progress: see above.
      failed: called with the ValueError of each file or row that has no answer, or an answer that is not finite; the others
        are answered. None: raises it.

    Raises:
      ValueError: for `batch` or samples out of range, or no files; without `failed` also for a file that is missing,
        unreadable or does not fit the model.
    """
    if batch < 1 or log_density_samples < 0:
        raise ValueError(f"got batch={batch}, log_density_samples={log_density_samples}; allowed: at least 1, at least 0")
    if not files:
        examples.check(files)
    rows = read_rows(files, classifier, failed)
    done = 0
    for part in _batches(rows, batch * classifier.at_once):
        x = np.stack([row.x for row in part])
        densities = classifier.log_density(x, log_density_samples, batch) if log_density_samples else [None] * len(part)
        for row, probabilities, density in zip(part, classifier.probabilities(x, batch), densities, strict=True):
            if not np.isfinite(probabilities).all():
                _tell(failed, f"{row.file}: row {row.row}: its probabilities are not finite; allowed: values as trained on")
                continue
            record = _record(row, classifier.class_names, probabilities)
            if density is not None:
                record["log_density"] = float(density) if np.isfinite(density) else None
                if not np.isfinite(density) and failed:
                    failed(ValueError(f"{row.file}: row {row.row}: its log_density is not finite"))
            yield record
        done += len(part)
        if progress:
            progress(done, len(rows))


def _tell(failed, message):
    if failed is None:
        raise ValueError(message)
    failed(ValueError(message))


def _record(row, class_names, probabilities):
    best = int(np.argmax(probabilities))
    named = dict(zip(class_names, map(float, probabilities), strict=True))
    return {
        "file": row.file,
        "row": row.row,
        **({} if row.identifier is None else {"id": row.identifier}),
        "class": class_names[best],
        "probability": float(probabilities[best]),
        "probabilities": named,
    }
