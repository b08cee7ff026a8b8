"""What an exported model answers: each signature is a function of TensorFlow.

(N examples; K classes; raw: shape and dtype of one example before `Preprocess`; densities and entropies in nats)

    name             inputs                                       outputs
    serving_default  x raw [N, ...]                               classes string [N], probabilities float32 [N, K]
    predict          the same
    predict_float    x float32 [N, ...], the raw values           the same
    predict_bytes    inputs string [N]: PNG or JPEG files         the same (models of uint8 pictures)
    classify         inputs string [N]: tf.Example                classes string [N, K], scores float32 [N, K]
    regress          inputs string [N]: tf.Example                outputs float32 [N]: log_density, `REGRESS_SAMPLES` samples
    encode           x raw [N, ...]                               one float32 [N, units] per latent of q: its mean
    generate         y int64 [M], count int32 [], seed int32 []   x float32 [M count, ...], in raw units: `count` of each y
    log_density      x raw [N, ...], samples int32 []             log_density float32 [N]
    uncertainty      x raw [N, ...]                               entropy, expected_entropy, mutual_information float32 [N]

A model without a class has `encode` as its `serving_default`, a `generate` without y, and no predict, classify or
uncertainty. `classify` is for TF Serving's Classify call, `regress` for Regress, the others for Predict. `generate` and
`log_density` have a scalar input: over REST they take the column format ("inputs": {...}), and a server that batches
requests cannot serve these two.

An answer is a function of its row alone, so that a server may batch and pad: all rows share the same noise. That of the
classifier is stored in the graph; that of `log_density` and `generate` is made from a seed. (Float32 rounding still depends
on the batch's size: about 1e-6, relative.)
"""

import functools
import math

import numpy as np
import tensorflow as tf

from tfadgm import bounds, class_weights, noise
from tfadgm.serving import inputs

CLASSIFY_METHOD, REGRESS_METHOD = "tensorflow/serving/classify", "tensorflow/serving/regress"
METHODS = {"classify": CLASSIFY_METHOD, "regress": REGRESS_METHOD}
REGRESS_SAMPLES = 10
# First halves of the seeds; the second is 0, or the caller's.
CLASS_SEED, DENSITY_SEED, GENERATE_SEED = 1, 2, 3


def log_class_probs_by_sample(model, raw, samples):
    """log q(y|a_s, x), float32 [S, N, K], from `samples` draws that all rows share; raw [N, *raw_shape]."""
    draws = noise.Draws(tf.constant([CLASS_SEED, 0]), batch=1, samples=samples)
    return model.classify_by_sample(model.observe(raw), draws)


def log_class_probs(model, raw, samples):
    """log q(y|x) = log mean_s q(y|a_s, x), float32 [N, K], from `samples` draws that all rows share; raw [N, *raw_shape]."""
    return class_weights.average_class(log_class_probs_by_sample(model, raw, samples))[0]


def uncertainty(model, raw, samples):
    """How unsure q(y|x) = mean_s q(y|a_s, x) is, and how much of it the draws of a disagree about, in nats.

        entropy = H[mean_s q(y|a_s, x)],   expected_entropy = mean_s H[q(y|a_s, x)]
        mutual_information = entropy - expected_entropy = I(y; a | x) >= 0

    Returns a dict of float32 [N]; the mutual information is 0 for a model that draws nothing before y.
    """
    log_q_y = log_class_probs_by_sample(model, raw, samples)
    total = class_weights.entropy(class_weights.average_class(log_q_y))[0]
    expected = tf.reduce_mean(class_weights.entropy(log_q_y), 0)
    return {"entropy": total, "expected_entropy": expected, "mutual_information": tf.maximum(total - expected, 0.0)}


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
        with tf.control_dependencies([tf.debugging.assert_positive(n, "count: allowed: at least 1")]):
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
    raw = tf.reshape(x, [-1, *preprocess.raw_shape]) / preprocess.scale + preprocess.shift
    return (tf.math.expm1(raw) if preprocess.transform == "log1p" else raw) - middle


def endpoints(model, class_names, samples):
    """Returns a dict of signature name to concrete function (see the module's docstring); none is compiled by XLA."""
    table = _of_any_model(model) | (_of_classifiers(model, class_names, samples) if model.classifies else {})
    table.setdefault("serving_default", table["encode"])
    return {name: tf.function(f, autograph=False).get_concrete_function(*specs) for name, (f, *specs) in table.items()}


def _of_any_model(model):
    x, examples, scalar = _raw(model), tf.TensorSpec([None], tf.string, "inputs"), _scalar

    def encode(x):
        return model.encode(inputs.read(x, model.preprocess))

    def density(x, samples):
        return {"log_density": log_density(model, inputs.read(x, model.preprocess), samples)}

    def regress(serialised):
        raw = inputs.parse_examples(serialised, model.preprocess, model.levels)
        return {"outputs": log_density(model, raw, tf.constant(REGRESS_SAMPLES))}

    def of_class(y, count, seed):
        with tf.control_dependencies([tf.debugging.assert_positive(count, "count: allowed: at least 1")]):
            return {"x": generate(model, seed, y=tf.repeat(y, count))}

    table = {"encode": (encode, x), "log_density": (density, x, scalar("samples")), "regress": (regress, examples)}
    if model.has_class:
        table["generate"] = (of_class, tf.TensorSpec([None], tf.int64, "y"), scalar("count"), scalar("seed"))
    else:
        table["generate"] = (lambda count, seed: {"x": generate(model, seed, n=count)}, scalar("count"), scalar("seed"))
    return table


def _of_classifiers(model, class_names, samples):
    names, preprocess = tf.constant(list(class_names)), model.preprocess
    x, strings = _raw(model), tf.TensorSpec([None], tf.string, "inputs")

    def answer(raw):
        probabilities = tf.exp(log_class_probs(model, raw, samples))
        return {"classes": tf.gather(names, tf.argmax(probabilities, -1)), "probabilities": probabilities}

    def predict(x):
        return answer(inputs.read(x, preprocess))

    def classify(serialised):
        raw = inputs.parse_examples(serialised, preprocess, model.levels)
        scores = tf.exp(log_class_probs(model, raw, samples))
        return {"classes": tf.tile(names[tf.newaxis], [tf.shape(scores)[0], 1]), "scores": scores}

    table = {
        "serving_default": (predict, x),
        "predict": (predict, x),
        "predict_float": (predict, tf.TensorSpec(x.shape, tf.float32, "x")),
        "classify": (classify, strings),
        "uncertainty": (lambda x: uncertainty(model, inputs.read(x, preprocess), samples), x),
    }
    if inputs.reads_pictures(preprocess):
        decode = functools.partial(inputs.decode_pictures, preprocess=preprocess, name="inputs", levels=model.levels)
        table["predict_bytes"] = (lambda files: answer(decode(files)), strings)
    return table


def _raw(model):
    return tf.TensorSpec([None, *model.preprocess.raw_shape], model.preprocess.raw_dtype, "x")


def _scalar(name):
    return tf.TensorSpec([], tf.int32, name)
