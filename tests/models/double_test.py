"""float32 and bfloat16 beside float64: every term of every model is near what its graph computes in double precision."""

import inspect

import double
import numpy as np
import pytest
import tensorflow as tf

from tfadgm import registry
from tfadgm.data.preprocess import Preprocess
from tfadgm.models.objective import Objective
from tfadgm.networks import mlp

D, K, B = 12, 4, 8
SEED = np.array([5, 6], "int32")
SIZES = {name: dict(dim_z=(3, 3)) for name in ("cagem", "lvae", "m1m2")}
# The distance allowed, as a share of 1 + |term|: of float32 a hundred of its roundings, of bfloat16 ten of its own; and of
# bfloat16 eight times what it does to a term, in exact arithmetic, to round the weights: some bounds are that steep.
# With its weights as they begin, CaGeM's bound of a Gaussian x is -3e7 here, about -exp 17: presumably the inverse of a tiny
# variance, whose logarithm bfloat16 rounds by more than that bears. Smaller weights keep it where models are trained.
SCALES = {"cagem": 0.7}
NEAR = {"float32": 100 * 2.0**-24, "bfloat16": 10 * 2.0**-9}
STEEP = {"float32": 0.0, "bfloat16": 8.0}


def make(name, likelihood="bernoulli", scale=1.0, number=0):
    """A model with random weights of the spread `scale` times those that it begins with, and biases that are not 0."""
    cls = registry.model_class(name)
    arguments = {n for base in cls.__mro__ for n in inspect.signature(base.__init__).parameters}
    options = {n: 3 for n in arguments if n.startswith("dim_")} | SIZES.get(name, {})
    objective = Objective(samples=2, num_labelled=B, num_unlabelled=10 * B)
    network = mlp.Network(hidden=(16,))
    model = cls(Preprocess([D]), K, likelihood=likelihood, network=network, objective=objective, seed=number, **options)
    generator = np.random.default_rng(number)
    for weight in model.trainable_weights:
        value = np.asarray(weight)
        weight.assign(scale * (value if value.any() else generator.normal(size=value.shape, scale=0.1)))
    return model


def batch(likelihood="bernoulli", scale=1.0):
    generator = np.random.default_rng(3)
    x = generator.random((2, B, D)) < 0.4 if likelihood == "bernoulli" else scale * generator.normal(size=(2, B, D))
    return {"labelled": (tf.constant(x[0], tf.float32), tf.constant(np.arange(B) % K, tf.int64)), "unlabelled": x[1] * 1.0}


def terms(model, given):
    given = given | {"unlabelled": tf.constant(given["unlabelled"], tf.float32)}
    if not model.has_class:
        given.pop("labelled")
    return lambda: model.terms(given, SEED)


def distances(found, exact):
    return {name: abs(float(found[name]) - exact[name]) / (1 + abs(exact[name])) for name in exact if "accuracy" not in name}


def rounded(model):
    """A copy of the model with its weights rounded to bfloat16."""
    other = type(model).from_config(model.get_config())
    other.set_weights([np.asarray(tf.cast(tf.cast(w, tf.bfloat16), w.dtype)) for w in map(tf.constant, model.get_weights())])
    return other


@pytest.mark.parametrize("name", registry.MODELS)
def test_every_term_is_near_that_of_double_precision(name):
    kinds = ("bernoulli",) if name == "untapped" else ("bernoulli", "gaussian")
    for number, likelihood in enumerate(kinds):
        model, given = make(name, likelihood, SCALES.get(name, 1.0), number), batch(likelihood)
        exact = double.of(terms(model, given))
        steep = distances(double.of(terms(rounded(model), given)), exact)
        for precision, near in NEAR.items():
            found = tf.function(terms(model.with_precision(precision), given), autograph=False)()
            far = distances(found, exact)
            far = {n: (d, steep[n]) for n, d in far.items() if not d < near + STEEP[precision] * steep[n]}
            assert not far, (likelihood, precision, far)
            if precision == "float32":
                assert any(float(found[term]) != exact[term] for term in exact)  # of other arithmetic


@pytest.mark.parametrize("scale, x_scale", [(1.0, 1e3), (1.0, 1e-30), (3.0, 30.0)])
def test_extreme_weights_and_inputs_are_near_or_overflow_in_double_precision_too(scale, x_scale):
    for name in ("vae", "adgm"):
        model, given = make(name, "gaussian", scale), batch("gaussian", x_scale)
        found, exact = terms(model, given)(), double.of(terms(model, given))
        for term, value in exact.items():
            if abs(value) < 1e30 and "accuracy" not in term:
                assert abs(float(found[term]) - value) <= 1e-4 * (1 + abs(value)), (name, term, float(found[term]), value)
