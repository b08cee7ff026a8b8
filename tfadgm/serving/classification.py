"""A classifier that is an exported model, asked through its signatures alone (see `export`); `records` reads files."""

import functools
import json
import pathlib
from collections.abc import Collection, Container, Iterator, Sequence
from typing import Any, Protocol

import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike

from tfadgm.data import files, ranges
from tfadgm.data.columns import Column
from tfadgm.serving import table_requests, trust, warmup

DESCRIPTION_FILE = "assets.extra/tfadgm.json"  # within a SavedModel: what `export` says of it
NEEDED = ("serving_default", "classify", "log_density")
NOVELTY = ("log_density", "low", "typical")  # outputs of the signature `novelty`


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
    if (pathlib.Path(run) / "config.json").is_file() and not (pathlib.Path(run) / "model.weights.h5").is_file():
        raise ValueError(f"{run}: its training has not ended; allowed: a finished run, which the same bin/train makes of it")
    if not exports.is_dir():
        raise ValueError(f"{run}: has no export; allowed: the directory of a run after bin/export --run={run}")
    return find(exports)


def description(path: pathlib.Path | str) -> dict:
    """Returns what was said of the run when the SavedModel at `path` was exported, a dict; empty if nothing was."""
    try:
        text = files.read_text(pathlib.Path(path) / DESCRIPTION_FILE, "what an export says of its run")
        found = json.loads(text)["description"]
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
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

    def novelty(self, x: np.ndarray, batch: int) -> np.ndarray: ...


class Classifier:
    """An exported classifier.

    Args:
      path: a SavedModel, or a directory of versions (see `find`).
      novelty: whether `novelty` will be asked for; a model without classes is then one too.
      allow_ops: operations of its graph that are allowed beside those that compute (`trust.ALLOWED`).

    Attributes:
      at_once: how many batches `records.of_files` hands over together.
      path: the SavedModel that was loaded.
      class_names: K strings, in the order of the probabilities; none of a model without classes.
      raw_shape, raw_dtype: of one raw example.
      feature_names: of the columns of a table, by which those of a file are found; None: it has no names.
      columns: of a model of tables, its `columns.Column`s; None: it reads arrays.
      ranges: of the training examples (`ranges.of`); None: not known.

    Raises:
      ValueError: if there is no SavedModel, or it lacks a signature that is needed (see `check_signatures`).
    """

    at_once = 1

    def __init__(self, path: pathlib.Path | str, novelty: bool = False, allow_ops: Collection[str] = ()) -> None:
        self.path = find(path)
        try:
            trust.check_saved_model(self.path, allow_ops)
            # Kept: the signatures do not keep the variables alive.
            self._loaded = tf.saved_model.load(str(self.path))
        except Exception as error:  # a damaged file may raise anything
            reason = (str(error).strip() or type(error).__name__).splitlines()[0].removeprefix(f"{self.path}: ")
            what = "" if reason.startswith(str(self.path)) else f"{self.path}: "  # a file within it
            raise ValueError(f"{what}not a readable SavedModel: {reason}") from error
        self._signatures = self._loaded.signatures
        check_signatures(str(self.path), self._signatures, novelty)
        self._by_rows = by_rows(self._signatures)
        spec = self._signatures["log_density"].structured_input_signature[1].get("x")
        if spec is None:
            raise ValueError(f"{self.path}: log_density has no input x; allowed: a model that tfadgm exported")
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
        if "classify" not in self._signatures:
            return []
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
        parts = [predict(x=tf.constant(rows))["probabilities"].numpy() for rows in batches(x, batch)]
        return np.concatenate([np.zeros((0, len(self.class_names)), "float32"), *parts])

    def log_density(self, x: np.ndarray, samples: int, batch: int = 100) -> np.ndarray:
        """Returns the importance-weighted bound of log p(x) with `samples` samples, float32 [N], in nats."""
        return self._ask("log_density", ("log_density",), x, batch, samples=tf.constant(samples))[:, 0]

    def novelty(self, x: np.ndarray, batch: int = 100) -> np.ndarray:
        """Returns log p(x) in nats and the p-values low and typical (see `models.novelty`), float32 [N, 3]."""
        return self._ask("novelty", NOVELTY, x, batch)

    def _ask(self, signature, outputs, x, batch, **further):
        """Returns the outputs of a signature for all of x, float32 [N, outputs]."""
        ask, parts = self._signatures[signature], [np.zeros((0, len(outputs)), "float32")]
        for rows in batches(as_raw(x, self.raw_shape, self.raw_dtype, bool(self.columns)), batch):
            answer = ask(x=tf.constant(rows), **further)
            parts.append(np.stack([answer[name].numpy() for name in outputs], -1))
        return np.concatenate(parts)


def check_signatures(place: str, found: Collection[str], novelty: bool = False) -> None:
    """Raises a ValueError if a model has not what is asked for: a classifier's `NEEDED`, or `novelty`."""
    if novelty and "novelty" not in found:
        raise ValueError(
            f"{place}: has nothing to compare with; allowed: an export of a run with novelty.json, which bin/evaluate "
            "--run=DIR gives an older one, and then bin/export"
        )
    missing = [] if novelty else [name for name in NEEDED if name not in found]
    if missing:
        had = ", ".join(sorted(found)) or "none"
        raise ValueError(f"{place}: has signatures {had}; allowed: those of a classifier: {', '.join(NEEDED)}")


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


def batches(x: Any, batch: int) -> Iterator:
    """Yields x, an array or a list, by `batch` rows."""
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
