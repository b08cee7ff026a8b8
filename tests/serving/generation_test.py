"""What a model generates: draws of x, with the spread of p(x|z) around their means."""

import numpy as np
import pytest
import tensorflow as tf

from tfadgm import registry
from tfadgm.cli import sample
from tfadgm.data.preprocess import Preprocess
from tfadgm.networks import mlp
from tfadgm.serving import signatures

MODELS = {"vae": {}, "m2": {}, "sdgm": {}, "cagem": dict(dim_z=(3, 2))}


def _model(name, preprocess, likelihood="gaussian", **options):
    network = mlp.Network(hidden=(8,))
    return registry.model_class(name)(preprocess, 3, likelihood=likelihood, network=network, **MODELS[name], **options)


@pytest.mark.parametrize("name", MODELS)
def test_draws_have_the_deviation_of_p_around_their_means(name):
    scale = np.array([0.5, 4.0])
    model = _model(name, Preprocess((2,), "float32", scale, [10.0, -1.0]))
    factor = model.p["x"]
    factor.head.kernel.assign(tf.concat([factor.head.kernel[:, :2], tf.zeros([8, 2])], 1))  # of the variance
    factor.head.bias.assign([0.0, 0.0, 1.0, 3.0])
    floor = factor.log_variance_floor
    deviation = np.exp(0.5 * (floor + np.log1p(np.exp(np.array([1.0, 3.0]) - floor)))) / scale
    classes = [0, 2] if model.has_class else None
    (drawn, y), (means, _) = (sample.draw(model, classes, 2000, 5, means) for means in (False, True))
    assert y is None or y.tolist() == [0] * 2000 + [2] * 2000
    residual = (drawn - means) / deviation
    np.testing.assert_allclose(residual.mean(0), 0, atol=0.1)
    np.testing.assert_allclose(residual.std(0), 1, atol=0.06)
    assert abs(np.corrcoef(residual.T)[0, 1]) < 0.08  # independent given the latents


def test_draws_of_levels_are_levels_and_of_binary_pictures_binary():
    model = _model("vae", Preprocess((2, 2, 1), "uint8", 0.01, noise="dequantise"))
    drawn = sample.draw(model, None, 50, 0)[0]
    assert (drawn == np.rint(drawn)).all() and drawn.min() >= 0 and drawn.max() <= 255
    model = _model("vae", Preprocess((2, 2, 1), "uint8", 1 / 255, noise="binarise"), "bernoulli")
    assert set(np.unique(sample.draw(model, None, 50, 0)[0])) == {0.0, 255.0}
    means = sample.draw(model, None, 50, 0, means=True)[0]
    assert len(np.unique(means)) > 2


@pytest.mark.parametrize("likelihood", ["categorical", "logistic_mixture"])
def test_draws_of_counted_levels_are_levels(likelihood):
    model = _model("vae", Preprocess((3,), "uint8", 1 / 7), likelihood, levels=8)
    drawn = sample.draw(model, None, 200, 1)[0]
    np.testing.assert_allclose(drawn, np.rint(drawn), atol=1e-4)
    assert set(np.unique(np.rint(drawn))) <= set(range(8)) and len(np.unique(np.rint(drawn))) > 3


def test_draws_and_means_have_the_same_latents():
    model = _model("m2", Preprocess((2,)))
    seed, y = tf.constant([1, 2]), tf.one_hot([0, 1, 2], 3)
    (x, values), (mean, others) = (model.generate(seed, 3, y, means=means) for means in (False, True))
    np.testing.assert_array_equal(values["z"], others["z"])
    assert np.abs(x - mean).max() > 0.01
    exported = signatures.generate(model, tf.constant(4), y=tf.constant([1, 1]))
    np.testing.assert_array_equal(exported, signatures.generate(model, tf.constant(4), y=tf.constant([1, 1])))
