"""Small SavedModels for the tests of the conformance server itself: what TF Serving takes, and what it refuses."""

import os

import tensorflow as tf

CLASSIFY, REGRESS = "tensorflow/serving/classify", "tensorflow/serving/regress"
X, INPUTS = tf.TensorSpec([None, 2], tf.float32, "x"), tf.TensorSpec([None], tf.string, "inputs")
GOOD = 3  # the version of the good model, and the factor in its numbers


def signature(function, *specs):
    return tf.function(function).get_concrete_function(*specs)


def parse(inputs):
    return tf.io.parse_example(inputs, {"x": tf.io.FixedLenFeature([2], tf.float32)})["x"]


def publish(base, version, signatures, methods, warmup=()):
    """Writes `<base>/<version>` in one step: a server never sees half of it. `warmup`: `PredictionLog`s."""
    path = base / f".unfinished-{version}"
    tf.saved_model.save(tf.Module(), str(path), signatures=signatures)
    updater = tf.compat.v1.saved_model.signature_def_utils.MethodNameUpdater(str(path))
    for name, method in methods.items():
        updater.replace_method_name(name, method, tags="serve")
    updater.save()
    if warmup:
        (path / "assets.extra").mkdir()
        with tf.io.TFRecordWriter(str(path / "assets.extra" / "tf_serving_warmup_requests")) as writer:
            for log in warmup:
                writer.write(log.SerializeToString())
    os.rename(path, base / str(version))


def publish_good(base, version, warmup=()):
    """A model whose every number is the version's own multiple."""
    scale = float(version)

    def default(x):
        with tf.control_dependencies([tf.debugging.Assert(tf.reduce_all(x >= 0), ["x: allowed: at least 0; got", x])]):
            return {"classes": tf.fill([tf.shape(x)[0]], "owl"), "probabilities": scale * x}

    def classify(inputs):
        scores = scale * parse(inputs)
        return {"classes": tf.tile([["cat", "owl"]], [tf.shape(scores)[0], 1]), "scores": scores}

    def draw(y, count):
        return {"x": scale * tf.tile(tf.cast(y, tf.float32), [count])}

    def levels(x):
        return {"same": x, "x_bytes": tf.fill([tf.shape(x)[0]], "a")}

    y, count = tf.TensorSpec([None], tf.int64, "y"), tf.TensorSpec([], tf.int32, "count")
    functions = {
        "serving_default": signature(default, X),
        "classify": signature(classify, INPUTS),
        "regress": signature(lambda inputs: {"outputs": scale * parse(inputs)[:, 0]}, INPUTS),
        "encode": signature(lambda x: {"z": tf.reshape(x, [-1, 2])}, X),
        "draw": signature(draw, y, count),
        "levels": signature(levels, tf.TensorSpec([None], tf.uint8, "x")),
        "text": signature(lambda inputs: {"length": tf.strings.length(inputs)}, INPUTS),
    }
    publish(base, version, functions, {"classify": CLASSIFY, "regress": REGRESS}, warmup)


def publish_bad(base, version):
    """A model whose signatures TF Serving refuses, each for a reason of its own."""
    kinds = {
        "three": lambda inputs: {"classes": inputs, "scores": parse(inputs), "more": inputs},
        "other": lambda inputs: {"labels": inputs},
        "flat": lambda inputs: {"scores": parse(inputs)[:, 0]},
        "ragged": lambda inputs: {"classes": tf.tile(inputs[:, tf.newaxis], [1, 3]), "scores": parse(inputs)},
        "double": lambda inputs: {"scores": tf.cast(parse(inputs), tf.float64)},
        "short": lambda inputs: {"scores": parse(inputs)[1:]},
        "pairs": lambda inputs: {"outputs": parse(inputs)},
        "half": lambda inputs: {"outputs": tf.cast(parse(inputs)[:, 0], tf.float16)},
        "unnamed": lambda inputs: {"scores": parse(inputs)},
    }
    functions = {kind: signature(function, INPUTS) for kind, function in kinds.items()}
    functions["wide"] = signature(lambda x: {"x": x}, tf.TensorSpec([None], tf.uint16, "x"))
    functions["scalar"] = signature(lambda x: {"x": tf.reduce_sum(x)}, X)
    methods = dict.fromkeys(kinds, CLASSIFY) | dict.fromkeys(("pairs", "half"), REGRESS)
    del methods["unnamed"]
    publish(base, version, functions, methods)
