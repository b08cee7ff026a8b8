"""A trained model as a SavedModel that a stock TensorFlow Serving can load: no tfadgm, Keras or TFP needed.

Signatures (N examples; K classes; raw: shape and dtype of one example before `Preprocess`):

    name             inputs                                     outputs
    serving_default  x raw [N, ...]                             classes string [N], probabilities float32 [N, K]
    classify         inputs string [N]: tf.Example              classes string [N, K], scores float32 [N, K]
    encode           x raw [N, ...]                             one float32 [N, units] per latent of q: its mean
    generate         y int64 [N], seed int32 []                 x float32 [N, ...], in raw units
    log_density      x raw [N, ...], samples int32 []           log_density float32 [N], nats

A model without a class has no `classify`, its `serving_default` is `encode` and its `generate` reads n int32 [] for y.
`classify` is for TF Serving's Classify call, the others are for Predict. `generate` and `log_density` have a scalar input:
over REST they take the column format ("inputs": {...}), and a server that batches requests cannot serve these two.

An answer is a function of its row alone, so that a server may batch and pad: all rows share the same noise, derived from
a constant seed. (Float32 rounding still depends on the batch's size: about 1e-6, relative.)
"""

import datetime
import itertools
import json
import math
import os
import pathlib
import shutil
import uuid

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from tfadgm import bounds, noise

CLASSIFY_METHOD = "tensorflow/serving/classify"
# First halves of the seeds; the second is 0, or the caller's.
CLASS_SEED, DENSITY_SEED, GENERATE_SEED = 1, 2, 3
DESCRIPTION_FILE = "assets.extra/tfadgm.json"


def log_class_probs(model, raw, samples):
    """log q(y|x) = log mean_s q(y|a_s, x), float32 [N, K], from `samples` draws that all rows share; raw [N, *raw_shape]."""
    draws = noise.Draws(tf.constant([CLASS_SEED, 0]), batch=1, samples=samples)
    return model.classify(model.observe(raw), draws)


def log_density(model, raw, samples):
    """log (1/S) sum_s w_s <= log p(x) in expectation, float32 [N], in nats: the importance-weighted bound.

    x is the preprocessed example (binary data are rounded), and p its density or mass. One sample at a time, so that
    memory does not grow with S; sample s has the same noise whatever S is.

    Args:
      model: a `DeepGenerativeModel`.
      raw: [N, *raw_shape].
      samples: S, int32 [].
    """
    with tf.control_dependencies([tf.debugging.assert_positive(samples, "samples: allowed: at least 1")]):
        x = model.preprocess.observation(raw)[tf.newaxis]

    def add(s, total):
        draws = noise.Draws(noise.fold(tf.constant([DENSITY_SEED, 0]), s), batch=1)
        log_w = bounds.marginal_log_weight(model.p, model.q, x, draws)[0]
        return s + 1, tf.reduce_logsumexp(tf.stack([total, log_w]), 0)

    _, total = tf.while_loop(lambda s, _: s < samples, add, (0, tf.fill([tf.shape(x)[1]], -math.inf)))
    return total - tf.math.log(tf.cast(samples, tf.float32))


def generate(model, seed, y=None, n=None):
    """Ancestral samples E[x | latents] in raw units, float32 [N, *raw_shape]; a pure function of its arguments.

    Args:
      model: a `DeepGenerativeModel`.
      seed: int32 [].
      y: class numbers, int64 [N], for a model with a class.
      n: N, int32 [], for a model without.
    """
    seed = tf.stack([GENERATE_SEED, tf.cast(seed, tf.int32)])
    if not model.has_class:
        with tf.control_dependencies([tf.debugging.assert_positive(n, "n: allowed: at least 1")]):
            return picture(model.preprocess, model.generate(seed, tf.identity(n))[0])
    y = tf.cast(y, tf.int64)
    known = tf.reduce_all((y >= 0) & (y < model.num_classes))
    with tf.control_dependencies([tf.debugging.Assert(known, [f"y: allowed: 0 to {model.num_classes - 1}; got", y])]):
        one_hot = tf.one_hot(y, model.num_classes)
    return picture(model.preprocess, model.generate(seed, tf.shape(y)[0], one_hot)[0])


def picture(preprocess, x):
    """`Preprocess.picture` in TensorFlow: x [N, D] to raw units, float32 [N, *raw_shape]; dropped columns are 0 in x."""
    if preprocess.columns is not None:
        position = np.full(math.prod(preprocess.raw_shape), preprocess.size)  # one more column, of zeros
        position[preprocess.columns] = np.arange(preprocess.size)
        x = tf.gather(tf.pad(x, [[0, 0], [0, 1]]), position, axis=1)
    middle = 0.5 if preprocess.noise == "dequantise" else 0.0
    return tf.reshape(x, [-1, *preprocess.raw_shape]) / preprocess.scale + preprocess.shift - middle


def parse_examples(serialised, preprocess):
    """Returns raw examples, float32 [N, *raw_shape], from serialised tf.Example protos, string [N].

    Each has either the feature `x`, the flat raw example as Int64List (raw dtypes of whole numbers) or FloatList (the
    others), or `x_bytes`, its memory in the raw dtype: for REST, where JSON cannot say whether 1 is an integer.
    """
    size, dtype = math.prod(preprocess.raw_shape), tf.as_dtype(preprocess.raw_dtype)
    numbers = tf.float32 if dtype.is_floating else tf.int64
    features = {"x": tf.io.RaggedFeature(numbers), "x_bytes": tf.io.RaggedFeature(tf.string)}
    found = tf.io.parse_example(serialised, features)
    lengths, strings = found["x"].row_lengths(), found["x_bytes"].row_lengths()
    memory = found["x_bytes"].to_tensor(shape=[None, 1])[:, 0]
    right = (strings == 1) & (lengths == 0) & (tf.strings.length(memory) == size * dtype.size)
    right |= (strings == 0) & (lengths == size)
    message = f"tf.Example: allowed: feature x with {size} values of {numbers.name}, or x_bytes with one string of "
    message += f"{size * dtype.size} bytes ({dtype.name} {list(preprocess.raw_shape)}, little-endian)"
    with tf.control_dependencies([tf.debugging.Assert(tf.reduce_all(right), [message])]):
        values = tf.cast(found["x"].to_tensor(shape=[None, size]), tf.float32)
    octets = tf.io.decode_raw(memory, tf.uint8, fixed_length=size * dtype.size)
    octets = octets if dtype.size == 1 else tf.reshape(octets, [-1, size, dtype.size])
    read = tf.bitcast(octets, tf.uint8 if dtype == tf.bool else dtype)
    raw = tf.where(strings[:, tf.newaxis] > 0, tf.cast(read, tf.float32), values)
    return tf.reshape(raw, [-1, *preprocess.raw_shape])


def endpoints(model, class_names, samples):
    """Returns a dict of signature name to concrete function (see the module's docstring); none is compiled by XLA."""
    x = tf.TensorSpec([None, *model.preprocess.raw_shape], model.preprocess.raw_dtype, "x")
    inputs, y = tf.TensorSpec([None], tf.string, "inputs"), tf.TensorSpec([None], tf.int64, "y")
    seed, n, number = (tf.TensorSpec([], tf.int32, name) for name in ("seed", "n", "samples"))
    names = tf.constant(list(class_names or [""]))

    def predict(x):
        probabilities = tf.exp(log_class_probs(model, x, samples))
        return {"classes": tf.gather(names, tf.argmax(probabilities, -1)), "probabilities": probabilities}

    def classify(inputs):
        scores = tf.exp(log_class_probs(model, parse_examples(inputs, model.preprocess), samples))
        return {"classes": tf.tile(names[tf.newaxis], [tf.shape(scores)[0], 1]), "scores": scores}

    density = (lambda x, samples: {"log_density": log_density(model, x, samples)}, x, number)
    table = {"encode": (model.encode, x), "log_density": density}
    if model.classifies:
        table |= {"serving_default": (predict, x), "classify": (classify, inputs)}
    else:
        table["serving_default"] = table["encode"]
    if model.has_class:
        table["generate"] = (lambda y, seed: {"x": generate(model, seed, y=y)}, y, seed)
    else:
        table["generate"] = (lambda n, seed: {"x": generate(model, seed, n=n)}, n, seed)
    return {name: tf.function(f, autograph=False).get_concrete_function(*specs) for name, (f, *specs) in table.items()}


def save(model, class_names, base, samples=100, description=None):
    """Writes `model` as the next version, `<base>/<integer>`, and returns that path; a failure leaves nothing behind.

    Args:
      model: a `DeepGenerativeModel`.
      class_names: K different strings; None for a model without a class.
      base: the directory of all versions, created if needed: TF Serving's model_base_path.
      samples: draws of the latents before y that the class probabilities are averaged over.
      description: anything in JSON types, kept in `assets.extra/tfadgm.json` beside the model's name and factorisation.

    Raises:
      ValueError: for class names that do not fit the model, samples below 1, or a graph that needs XLA.
    """
    names = list(class_names or [])
    if model.classifies and not len(names) == len(set(names)) == model.num_classes:
        raise ValueError(f"class_names: got {class_names}; allowed: {model.num_classes} different names")
    if samples < 1:
        raise ValueError(f"samples: got {samples}; allowed: at least 1")
    base = pathlib.Path(base)
    base.mkdir(parents=True, exist_ok=True)
    # TF Serving skips names that are no integers, so it never sees half a model.
    unfinished = base / f".exporting-{uuid.uuid4().hex}"
    try:
        _write(model, class_names, unfinished, samples)
        _describe(model, class_names, unfinished, samples, description)
        return _publish(unfinished, base)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _write(model, class_names, path, samples):
    # A bare module: saving the Keras model would save every function that hangs on it, the compiled train step too.
    module = tf.Module()
    module.parameters = [variable.value for variable in model.weights]
    tf.saved_model.save(module, str(path), signatures=endpoints(model, class_names, samples))
    check_portable(path)
    if model.classifies:  # TF2 writes "predict" for every signature
        updater = tf.compat.v1.saved_model.signature_def_utils.MethodNameUpdater(str(path))
        updater.replace_method_name("classify", CLASSIFY_METHOD, tags="serve")
        updater.save()


def _describe(model, class_names, path, samples, description):
    about = {"model": type(model).__name__, "formula": model.formula.splitlines(), "class_names": class_names}
    about |= {"samples": samples, "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")}
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


def versions(base):
    """Returns the version numbers under `base`, ascending."""
    return sorted(int(path.name) for path in pathlib.Path(base).iterdir() if path.name.isascii() and path.name.isdigit())


def _read(path):
    message = saved_model_pb2.SavedModel()
    message.ParseFromString((pathlib.Path(path) / "saved_model.pb").read_bytes())
    return message.meta_graphs[0]


def check_portable(path):
    """Raises a ValueError if the SavedModel at `path` has functions that must be compiled: a stock server refuses them."""
    library = _read(path).graph_def.library.function
    bad = {f.signature.name for f in library if f.attr["_XlaMustCompile"].b}
    bad |= {f.signature.name for f in library for node in f.node_def if node.attr["_XlaMustCompile"].b}
    if bad:
        raise ValueError(f"export: {', '.join(sorted(bad))} must be compiled by XLA; allowed: functions without jit_compile")


def signatures(path):
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
