"""What an exported model answers: each signature is a function of TensorFlow.

(N examples; K classes; raw: shape and dtype of one example before `Preprocess`; densities and entropies in nats)

    name             inputs                                       outputs
    serving_default  x raw [N, ...]                               classes string [N], probabilities float32 [N, K]
    predict          the same
    predict_float    x float32 [N, ...], the raw values           the same
    predict_bytes    inputs string [N]: PNG or JPEG files         the same (models of uint8 pictures; see `decode_pictures`)
    classify         inputs string [N]: tf.Example                classes string [N, K], scores float32 [N, K]
    regress          inputs string [N]: tf.Example                outputs float32 [N]: log_density, `REGRESS_SAMPLES` samples
    encode           x raw [N, ...]                               one float32 [N, units] per latent of q: its mean
    generate         y int64 [M], count int32 [], seed int32 []   x float32 [M count, ...], in raw units: `count` of each y
    generate_mean    the same                                     the same, but E[x | latents] in place of draws of x
    log_density      x raw [N, ...], samples int32 []             log_density float32 [N]
    uncertainty      x raw [N, ...]                               entropy, expected_entropy, mutual_information float32 [N]
    novelty          x raw [N, ...]                               log_density, low, typical float32 [N]: `models.novelty`

Of tables (N rows, C columns; cells as `table_inputs` says, by the names of `table_requests.keys` in `predict`):

    serving_default  a tensor [N] per column, string or float32   classes string [N], probabilities float32 [N, K]
    predict          the same
    classify         inputs string [N]: tf.Example, a feature per column   as above; so is regress
    impute           x float32 [N, C]                             x float32 [N, C]: missing cells have their mean
    columns          number int64 [N], from 0                     column string [N]: JSON of a `Column`, and its key

x are raw rows, float32 [N, C], NaN where a cell is missing, in the others, `predict_float` among them.

Densities are in the data's own units, of the columns that the model has kept (see `density`); of binarised data they are
probabilities of the binary picture, of levels that were dequantised or counted, probabilities of the levels; of counts
under negative binomials they are probabilities given the sum of the row, and draws have sums of training.

A model without a class has `encode` as its `serving_default`, a `generate` without y, and no predict, classify or
uncertainty; `novelty` is there if the export was given what to compare with. `classify` is for TF Serving's Classify call,
`regress` for Regress, the others for Predict. `generate`, `generate_mean` and `log_density` have a scalar input: over REST
they take the column format ("inputs": {...}), and a server that batches requests cannot serve these three.

An answer is a function of its row alone, so that a server may batch and pad. The noise of the classifier is common to all
rows and stored in the graph; that of `log_density` is made from the row, that of `generate` from a seed. (Float32 rounding
still depends on the batch's size: about 1e-6, relative.)
"""

import functools
from collections.abc import Sequence

import tensorflow as tf

from tfadgm import class_weights
from tfadgm.models import density, imputation, novelty
from tfadgm.models.base import DeepGenerativeModel
from tfadgm.serving import inputs, table_inputs, table_requests

CLASSIFY_METHOD, REGRESS_METHOD = "tensorflow/serving/classify", "tensorflow/serving/regress"
METHODS = {"classify": CLASSIFY_METHOD, "regress": REGRESS_METHOD}
REGRESS_SAMPLES = 10
GENERATE_SEED = 3  # first half of the seed of `generate`; the second is the caller's


def log_class_probs(model: DeepGenerativeModel, raw: tf.Tensor, samples: int) -> tf.Tensor:
    """log q(y|x) = log mean_s q(y|a_s, x), float32 [N, K], from `samples` draws that all rows share; raw [N, *raw_shape]."""
    return model.log_answer(raw, samples)


def uncertainty(model: DeepGenerativeModel, raw: tf.Tensor, samples: int) -> dict[str, tf.Tensor]:
    """How unsure q(y|x) = mean_s q(y|a_s, x) is, and how much of it the draws of a disagree about, in nats.

        entropy = H[mean_s q(y|a_s, x)],   expected_entropy = mean_s H[q(y|a_s, x)]
        mutual_information = entropy - expected_entropy = I(y; a | x) >= 0

    Returns a dict of float32 [N]; the mutual information is 0 for a model that draws nothing before y.
    """
    log_q_y = model.log_answer_by_sample(raw, samples)
    total = class_weights.entropy(class_weights.average_class(log_q_y))[0]
    expected = tf.reduce_mean(class_weights.entropy(log_q_y), 0)
    return {"entropy": total, "expected_entropy": expected, "mutual_information": tf.maximum(total - expected, 0.0)}


def log_density(model: DeepGenerativeModel, raw: tf.Tensor, samples: tf.Tensor) -> tf.Tensor:
    """The importance-weighted bound of log p(x) in own units, nats, float32 [N]: see `density.log_density`.

    Args:
      model: a `DeepGenerativeModel`.
      raw: [N, *raw_shape].
      samples: S, int32 [].
    """
    with tf.control_dependencies([tf.debugging.assert_positive(samples, "samples: allowed: at least 1")]):
        return density.log_density(model, raw, tf.identity(samples))


def generate(
    model: DeepGenerativeModel, seed: tf.Tensor, y: tf.Tensor | None = None, n: tf.Tensor | None = None, means: bool = False
) -> tf.Tensor:
    """Draws of x in raw units, float32 [N, *raw_shape]; a pure function of its arguments.

    Levels that were dequantised in training become levels again, those that the raw dtype can hold.

    Args:
      model: a `DeepGenerativeModel`.
      seed: int32 [].
      y: class numbers, int64 [N]; None: of each example drawn from p(y), of a model with a class.
      n: N, int32 [], where y is None.
      means: E[x | latents] of the same draws of the latents in place of draws of x: smooth pictures, but rows of a table
        with less spread than the data, and more correlation.
    """
    seed = tf.stack([GENERATE_SEED, tf.cast(seed, tf.int32)])
    if y is None:
        with tf.control_dependencies([tf.debugging.assert_positive(n, "count: allowed: at least 1")]):
            return model.preprocess.raw(model.generate(seed, tf.identity(n), means=means)[0], not means)
    y = tf.cast(y, tf.int64)
    known = tf.reduce_all((y >= 0) & (y < model.num_classes))
    with tf.control_dependencies([tf.debugging.Assert(known, [f"y: allowed: 0 to {model.num_classes - 1}; got", y])]):
        one_hot = tf.one_hot(y, model.num_classes)
    return model.preprocess.raw(model.generate(seed, tf.shape(y)[0], one_hot, means=means)[0], not means)


def endpoints(
    model: DeepGenerativeModel,
    class_names: Sequence[str] | None,
    samples: int,
    reader: table_inputs.Reader | None = None,
    reference: novelty.Reference | None = None,
) -> dict[str, tf.types.experimental.ConcreteFunction]:
    """Returns a dict of signature name to concrete function (see the module's docstring); none is compiled by XLA.

    `reader` is that of the columns of a model of tables; None: examples are arrays. `reference` is what `novelty` compares
    with; None: there is no such signature.
    """
    of_arrays = functools.partial(inputs.parse_examples, preprocess=model.preprocess, levels=model.levels)
    parse = of_arrays if reader is None else reader.parse_examples
    table = _of_any_model(model, parse)
    if model.classifies:
        table |= _of_classifiers(model, class_names, samples, parse, reader)
    if reader is not None:
        table |= _of_tables(model, reader)
    if reference is not None:
        table["novelty"] = _of_novelty(model, reference)
    table.setdefault("serving_default", table["encode"])
    return {name: tf.function(f, autograph=False).get_concrete_function(*specs) for name, (f, *specs) in table.items()}


def _of_any_model(model, parse):
    x, examples, scalar = _raw(model), tf.TensorSpec([None], tf.string, "inputs"), _scalar

    def encode(x):
        return model.encode(inputs.read(x, model.preprocess, model.levels))

    def of_x(x, samples):
        return {"log_density": log_density(model, inputs.read(x, model.preprocess, model.levels), samples)}

    def regress(serialised):
        return {"outputs": log_density(model, parse(serialised), tf.constant(REGRESS_SAMPLES))}

    table = {"encode": (encode, x), "log_density": (of_x, x, scalar("samples")), "regress": (regress, examples)}
    for name, means in (("generate", False), ("generate_mean", True)):
        table[name] = _generator(model, means)
    return table


def _generator(model, means):
    """Returns (function, its specifications) of `generate` or `generate_mean`."""

    def of_class(y, count, seed):
        with tf.control_dependencies([tf.debugging.assert_positive(count, "count: allowed: at least 1")]):
            return {"x": generate(model, seed, y=tf.repeat(y, count), means=means)}

    def of_any(count, seed):
        return {"x": generate(model, seed, n=count, means=means)}

    scalars = _scalar("count"), _scalar("seed")
    return (of_class, tf.TensorSpec([None], tf.int64, "y"), *scalars) if model.has_class else (of_any, *scalars)


def _of_classifiers(model, class_names, samples, parse, reader):
    names, preprocess = tf.constant(list(class_names)), model.preprocess
    x, strings = _raw(model), tf.TensorSpec([None], tf.string, "inputs")

    def answer(raw):
        probabilities = tf.exp(log_class_probs(model, raw, samples))
        return {"classes": tf.gather(names, tf.argmax(probabilities, -1)), "probabilities": probabilities}

    def predict(x):
        return answer(inputs.read(x, preprocess, model.levels))

    def classify(serialised):
        scores = tf.exp(log_class_probs(model, parse(serialised), samples))
        return {"classes": tf.tile(names[tf.newaxis], [tf.shape(scores)[0], 1]), "scores": scores}

    named = (predict, x)
    if reader is not None:
        named = (lambda *columns: answer(reader.rows(columns)), *_named(reader))
    table = {
        "serving_default": named,
        "predict": named,
        "predict_float": (predict, tf.TensorSpec(x.shape, tf.float32, "x")),
        "classify": (classify, strings),
        "uncertainty": (lambda x: uncertainty(model, inputs.read(x, preprocess, model.levels), samples), x),
    }
    if inputs.reads_pictures(preprocess):
        decode = functools.partial(inputs.decode_pictures, preprocess=preprocess, name="inputs", levels=model.levels)
        table["predict_bytes"] = (lambda files: answer(decode(files)), strings)
    return table


def _of_tables(model, reader):
    described = table_requests.described(reader.columns)
    texts, last = tf.constant(described), len(described) - 1

    def impute(x):
        return {"x": imputation.mean(model, inputs.read(x, model.preprocess, model.levels))}

    def columns(number):
        known = tf.reduce_all((number >= 0) & (number <= last))
        with tf.control_dependencies([tf.debugging.Assert(known, [f"number: allowed: 0 to {last}; got", number])]):
            return {"column": tf.gather(texts, number)}

    return {"impute": (impute, _raw(model)), "columns": (columns, tf.TensorSpec([None], tf.int64, "number"))}


def _of_novelty(model, reference):
    def novelty_of(x):
        found = log_density(model, inputs.read(x, model.preprocess, model.levels), tf.constant(reference.samples))
        return {"log_density": found, **reference.p_values(found)}

    return novelty_of, _raw(model)


def _named(reader):
    kinds = [tf.string if table_inputs.is_text(column) else tf.float32 for column in reader.columns]
    return [tf.TensorSpec([None], kind, key) for kind, key in zip(kinds, table_requests.keys(reader.columns), strict=True)]


def _raw(model):
    return tf.TensorSpec([None, *model.preprocess.raw_shape], model.preprocess.raw_dtype, "x")


def _scalar(name):
    return tf.TensorSpec([], tf.int32, name)
