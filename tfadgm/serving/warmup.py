"""Warm-up requests: a server replays them before it offers a version, so that no client waits for the first call.

`assets.extra/tf_serving_warmup_requests` is a TFRecord of `PredictionLog`, one for every signature and batch size.
"""

import importlib.util
import pathlib
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tfadgm.data.columns import Column
from tfadgm.serving import table_requests

FILE = "assets.extra/tf_serving_warmup_requests"
BATCHES = (1, 32)
PACKAGE = "tensorflow-serving-api"
BY_COLUMN = ("serving_default", "predict")  # signatures that read tables by column


def available() -> bool:
    """Whether the package with TF Serving's protocol is installed."""
    return importlib.util.find_spec("tensorflow_serving") is not None


def write(
    path: pathlib.Path | str,
    signatures: dict[str, dict],
    model_name: str,
    examples: np.ndarray,
    columns: Sequence[Column] | None = None,
) -> int:
    """Writes the requests of the SavedModel at `path` and returns their number; 0 without `PACKAGE`.

    Args:
      path: the SavedModel.
      signatures: of `export.signatures`.
      model_name: the name under which a server offers it.
      examples: raw examples, repeated as needed.
      columns: of a table; None: examples are arrays.
    """
    if not available():
        return 0
    file = pathlib.Path(path) / FILE
    file.parent.mkdir(exist_ok=True)
    logs = [
        _log(model_name, name, signature, examples[np.arange(batch) % len(examples)], columns)
        for name, signature in signatures.items()
        for batch in BATCHES
    ]
    with tf.io.TFRecordWriter(str(file)) as writer:
        for log in logs:
            writer.write(log.SerializeToString())
    return len(logs)


def _log(model_name, name, signature, x, columns):
    from tensorflow_serving.apis import prediction_log_pb2

    log = prediction_log_pb2.PredictionLog()
    kind = signature["method"].rsplit("/", 1)[-1]
    request = getattr(log, f"{kind}_log").request
    request.model_spec.name, request.model_spec.signature_name = model_name, name
    if kind == "predict" and columns and name in BY_COLUMN and "probabilities" in signature["outputs"]:
        for key, values in table_requests.named(x, columns).items():
            request.inputs[key].CopyFrom(tf.make_tensor_proto(values))
    elif kind == "predict":
        for key, (dtype, shape) in signature["inputs"].items():
            request.inputs[key].CopyFrom(tf.make_tensor_proto(_value(key, dtype, shape, x)))
    else:
        rows = (table_requests.example(row, columns) if columns else example(row) for row in x)
        request.input.example_list.examples.extend(rows)
    return log


def _value(key, dtype, shape, x):
    """A value for the input `key` of a signature that reads the raw examples x."""
    if key == "x":
        return x.astype(dtype)
    if dtype == "string":
        return np.array([tf.io.encode_png(picture).numpy() for picture in x], object)
    return np.ones([len(x)] * len(shape), dtype) * (key not in ("y", "number"))


def example(x: np.ndarray) -> tf.train.Example:
    """Returns a raw example as a tf.Example whose feature `x` holds its numbers."""
    values = np.ravel(x)
    if values.dtype.kind == "f":
        feature = tf.train.Feature(float_list=tf.train.FloatList(value=values))
    else:
        feature = tf.train.Feature(int64_list=tf.train.Int64List(value=values.astype("int64")))
    return tf.train.Example(features=tf.train.Features(feature={"x": feature}))


def memory_example(x: np.ndarray) -> tf.train.Example:
    """Returns a raw example as a tf.Example whose feature `x_bytes` holds its memory."""
    feature = tf.train.Feature(bytes_list=tf.train.BytesList(value=[np.ascontiguousarray(x).tobytes()]))
    return tf.train.Example(features=tf.train.Features(feature={"x_bytes": feature}))
