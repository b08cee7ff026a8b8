"""A trained model as a SavedModel that a stock TensorFlow Serving can load: no tfadgm, Keras or TFP needed.

    BASE/1/, BASE/2/, ...     versions: saved_model.pb, variables/, assets.extra/; the largest is served
    BASE/index.json           what is in each version
    BASE/../serving/          configuration and the command of a server of BASE (see `serving.operations`)

What an export answers is in `serving.signatures`.
"""

import datetime
import fcntl
import itertools
import json
import os
import pathlib
import re
import shutil
import uuid
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tfadgm.data.columns import Column
from tfadgm.models import novelty
from tfadgm.models.base import DeepGenerativeModel
from tfadgm.serving import operations, table_inputs, table_requests, trust, warmup
from tfadgm.serving.classification import DESCRIPTION_FILE
from tfadgm.serving.signatures import METHODS, endpoints

RUN_NAME = "tfadgm"  # of the exports inside run directories
CARD_FILE = "assets.extra/model_card.md"


def save(
    model: DeepGenerativeModel,
    class_names: Sequence[str] | None,
    base: pathlib.Path | str,
    samples: int = 100,
    description: object = None,
    examples: np.ndarray | None = None,
    keep: int | None = None,
    model_name: str | None = None,
    columns: Sequence[Column] | None = None,
    reference: novelty.Reference | None = None,
    card: str | None = None,
) -> pathlib.Path:
    """Writes `model` as the next version, `<base>/<integer>`, and returns that path; a failure leaves nothing behind.

    Args:
      model: a `DeepGenerativeModel`.
      class_names: K different strings; None for a model without a class.
      base: the directory of all versions, created if needed: TF Serving's model_base_path.
      samples: draws of the latents before y that the class probabilities are averaged over.
      description: anything in JSON types, kept beside the model's name and factorisation in `assets.extra/tfadgm.json`
        and in the index of versions.
      examples: raw examples [N, ...] for the warm-up requests and the request to try; None takes ones.
      keep: how many versions are kept, the newest; None keeps all.
      model_name: the name under which a server offers the model; None takes that of the directory `base`.
      columns: of a model of tables, which then reads cells by the names of its columns; None: it reads arrays.
      reference: what the signature `novelty` compares with; None: there is no such signature.
      card: the text of `assets.extra/model_card.md`; None: there is none.

    Raises:
      ValueError: for class names or columns that do not fit the model, samples or keep below 1, a model_name that another
        export beside `base` has, or a graph that needs XLA.
    """
    base = pathlib.Path(base)
    model_name = base.absolute().name if model_name is None else model_name
    _check(model, list(class_names or []), samples, keep, model_name)
    _check_columns(model, columns)
    operations.check_name(base, model_name)
    base.mkdir(parents=True, exist_ok=True)
    # TF Serving skips names that are no integers, so it never sees half a model.
    unfinished = base / f".exporting-{uuid.uuid4().hex}"
    unfinished.mkdir()
    held = _held(unfinished)
    try:
        _write(model, class_names, unfinished, samples, columns, reference)
        _describe(model, class_names, unfinished, samples, description, model_name)
        if card is not None:
            (unfinished / CARD_FILE).write_text(card)
        examples = _examples(model, examples)
        warmup.write(unfinished, signatures(unfinished), model_name, examples, columns)
        path = _publish(unfinished, base)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
        if held is not None:
            os.close(held)
    _forget(base, keep)
    write_index(base)
    row = examples[0]
    operations.write(base, model_name, table_requests.instance(row, columns) if columns else row.tolist())
    return path


def _held(directory):
    """Returns the descriptor of a directory, locked until it is closed; None if another process has it, or none can."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return descriptor
    except OSError:
        os.close(descriptor)
        return None


def sweep(base: pathlib.Path) -> None:
    """Removes from a directory of versions what a process left there that was killed while it exported."""
    for path in base.glob(".exporting-*"):
        held = _held(path)
        if held is not None:
            shutil.rmtree(path, ignore_errors=True)
            os.close(held)
    for path in base.glob(".removing-*"):
        shutil.rmtree(path, ignore_errors=True)
    for path in [*base.glob(".index-*"), *base.glob("*.writing")]:
        path.unlink(missing_ok=True)


def _check(model, names, samples, keep, model_name):
    if model.classifies and not len(names) == len(set(names)) == model.num_classes:
        raise ValueError(f"class_names: got {names}; allowed: {model.num_classes} different names")
    for name, value in (("samples", samples), ("keep", keep)):
        if value is not None and value < 1:
            raise ValueError(f"{name}: got {value}; allowed: at least 1")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", model_name):
        raise ValueError(f"model_name: got {model_name!r}; allowed: letters, digits, '.', '_' and '-', as in a URL")


def _check_columns(model, columns):
    if columns is None:
        return
    kinds, sizes = getattr(model.preprocess, "kinds", ()), getattr(model.preprocess, "categories", ())
    found = [(column.kind, column.size if column.kind == "category" else 0) for column in columns]
    known = [(kind, size if kind == "category" else 0) for kind, size in zip(kinds, sizes, strict=True)]
    if found != known:
        raise ValueError(f"columns: got {len(found)} that are not of the kinds of the model's; allowed: its {len(known)}")


def _examples(model, examples):
    preprocess = model.preprocess
    if examples is None or not len(examples):
        examples = np.ones((1, *preprocess.raw_shape))  # 0 alone is no row of counts
    return np.asarray(examples, preprocess.raw_dtype)


def _write(model, class_names, path, samples, columns, reference):
    # A bare module: saving the Keras model would save every function that hangs on it, the compiled train step too.
    module = tf.Module()
    module.parameters = [variable.value for variable in model.weights]
    reader = table_inputs.Reader(columns, model.preprocess.reads_missing) if columns else None
    module.tables = reader.tables if reader else []
    tf.saved_model.save(module, str(path), signatures=endpoints(model, class_names, samples, reader, reference))
    check_portable(path)
    found = signatures(path)
    updater = tf.compat.v1.saved_model.signature_def_utils.MethodNameUpdater(str(path))
    for name, method in METHODS.items():  # TF2 writes "predict" for every signature
        if name in found:
            updater.replace_method_name(name, method, tags="serve")
    updater.save()


def _describe(model, class_names, path, samples, description, model_name):
    about = {"model": type(model).__name__, "model_name": model_name, "formula": model.formula.splitlines()}
    about |= {"class_names": class_names, "samples": samples}
    about |= {"time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")}
    file = path / DESCRIPTION_FILE
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps({**about, "description": description}, indent=1, default=str))


def _publish(unfinished, base):
    """Renames to the next version; a number that another process takes meanwhile is passed over."""
    for version in itertools.count(max(versions(base), default=0) + 1):
        try:
            os.rename(unfinished, base / str(version))
            return base / str(version)
        except OSError:
            if not (base / str(version)).exists():
                raise


def _forget(base, keep):
    """Removes all but the `keep` newest versions; each is renamed first, so that no half of it is ever visible."""
    for version in versions(base)[:-keep] if keep else []:
        leaving = base / f".removing-{uuid.uuid4().hex}"
        os.rename(base / str(version), leaving)
        shutil.rmtree(leaving)


def write_index(base: pathlib.Path) -> None:
    """Writes `<base>/index.json`: {version: what `assets.extra/tfadgm.json` says}, from the versions that are there."""
    found = {}
    for version in versions(base):
        file = base / str(version) / DESCRIPTION_FILE
        found[str(version)] = json.loads(file.read_text()) if file.exists() else None
    temporary = base / f".index-{uuid.uuid4().hex}"
    temporary.write_text(json.dumps(found, indent=1) + "\n")
    os.replace(temporary, base / "index.json")


def versions(base: pathlib.Path | str) -> list[int]:
    """Returns the version numbers under `base`, ascending."""
    return sorted(int(path.name) for path in pathlib.Path(base).iterdir() if path.name.isascii() and path.name.isdigit())


def _read(path):
    return trust.read(path).meta_graphs[0]


def check_portable(path: pathlib.Path | str) -> None:
    """Raises a ValueError if the SavedModel at `path` has functions that must be compiled: a stock server refuses them.

    Also if it has operations that `trust.check_saved_model`, by which it is opened, does not know.
    """
    trust.check_saved_model(path)
    library = _read(path).graph_def.library.function
    bad = {f.signature.name for f in library if f.attr["_XlaMustCompile"].b}
    bad |= {f.signature.name for f in library for node in f.node_def if node.attr["_XlaMustCompile"].b}
    if bad:
        raise ValueError(f"export: {', '.join(sorted(bad))} must be compiled by XLA; allowed: functions without jit_compile")


def signatures(path: pathlib.Path | str) -> dict[str, dict]:
    """Returns {name: {"method": ..., "inputs": {key: (dtype, shape)}, "outputs": ...}} of the SavedModel at `path`.

    dtype is a string; shape is a tuple with None for an unknown dimension, or None for an unknown rank.
    """

    def one(info):
        shape = tf.TensorShape(info.tensor_shape)
        return tf.as_dtype(info.dtype).name, None if shape.rank is None else tuple(shape)

    found = {}
    for name, signature in sorted(_read(path).signature_def.items()):
        if not name.startswith("__"):  # TensorFlow's own
            inputs, outputs = ({k: one(t) for k, t in sorted(s.items())} for s in (signature.inputs, signature.outputs))
            found[name] = {"method": signature.method_name, "inputs": inputs, "outputs": outputs}
    return found
