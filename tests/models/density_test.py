"""Densities of single examples: one value in every row, in the data's own units, against closed forms."""

import math

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

from tfadgm import evaluation, registry
from tfadgm.data.preprocess import Preprocess
from tfadgm.networks import mlp
from tfadgm.serving import signatures


def _model(preprocess, likelihood="gaussian", name="vae", **options):
    network = mlp.Network(hidden=(8,))
    return registry.model_class(name)(preprocess, 3, likelihood=likelihood, network=network, dim_z=2, **options)


def _known(preprocess, mean, deviation):
    """A VAE whose z is N(0, I) in p and in q, and whose p(x|z) is N(mean, deviation^2): log w is log p(x) for every draw."""
    model = _model(preprocess)
    for factor in (model.q["z"], model.p["x"]):
        factor.head.kernel.assign(tf.zeros_like(factor.head.kernel))
    floor = model.p["x"].log_variance_floor
    variance = np.full(preprocess.size, 2 * math.log(deviation))
    above = np.log(np.expm1(variance - floor)) + floor  # v = floor + softplus(. - floor)
    model.p["x"].head.bias.assign(np.concatenate([np.broadcast_to(mean, variance.shape), above]))
    return model


PREPROCESSES = {
    "none": Preprocess((3,), "float32", [0.5, 2.0, 8.0], [1.0, -1.0, 0.0]),
    "dequantise": Preprocess((2, 2, 1), "uint8", 0.1, 3.0, noise="dequantise"),
    "binarise": Preprocess((2, 2, 1), "uint8", 1 / 255, noise="binarise"),
}


@pytest.mark.parametrize("noise", PREPROCESSES)
@pytest.mark.parametrize("name", ["vae", "adgm"])
def test_an_example_has_one_density_in_every_row_and_batch_and_where_it_is_served(noise, name):
    preprocess = PREPROCESSES[noise]
    model = _model(preprocess, "bernoulli" if noise == "binarise" else "gaussian", name)
    raw = np.random.default_rng(0).integers(0, 256, (7, *preprocess.raw_shape)).astype(preprocess.raw_dtype)
    many = np.concatenate([raw, np.repeat(raw[:1], 600, 0)])
    for measure in (evaluation.elbo, lambda model, x: evaluation.log_density(model, x, 25)):
        whole = measure(model, many)
        np.testing.assert_allclose(whole[7:], np.repeat(whole[:1], 600), rtol=1e-4, atol=1e-3)
        np.testing.assert_allclose(measure(model, raw[::-1])[::-1], whole[:7], rtol=1e-4, atol=1e-3)
    served = tf.function(lambda x, samples: signatures.log_density(model, x, samples))(raw, tf.constant(25))
    np.testing.assert_allclose(served, whole[:7], rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("columns", [None, [0, 2]])
def test_a_density_is_in_the_units_of_the_data(columns):
    scale, shift = np.array([1 / 16, 2.0, 5.0]), np.array([3.0, 0.0, -1.0])
    model = _known(Preprocess((3,), "float32", scale, shift, columns), 0.3, 0.8)
    raw = np.random.default_rng(1).normal(size=(6, 3)).astype("float32") * 4
    expected = scipy.stats.norm(0.3 / scale + shift, 0.8 / scale).logpdf(raw)[:, columns or slice(None)].sum(1)
    np.testing.assert_allclose(evaluation.log_density(model, raw, 3), expected, rtol=1e-4)
    np.testing.assert_allclose(evaluation.elbo(model, raw), expected, rtol=1e-4)
    found = evaluation.densities(model, raw, 3)
    assert found["log_density_own_units"] == pytest.approx(expected.mean(), rel=1e-4)
    assert found["components"] == (3 if columns is None else 2) and found["components_dropped"] == 3 - found["components"]
    of_x = scipy.stats.norm(0.3, 0.8).logpdf((raw - shift) * scale)[:, columns or slice(None)].sum(1)
    assert found["log_density"] == pytest.approx(of_x.mean(), rel=1e-4)
    assert "bits_per_dimension" not in found


def test_a_density_does_not_depend_on_the_unit_in_which_the_model_works():
    raw = np.random.default_rng(2).normal(size=(5, 2)).astype("float32")
    fine, coarse = (_known(Preprocess((2,), "float32", scale), 0.0, scale) for scale in (1.0, 1 / 4))
    np.testing.assert_allclose(*(evaluation.log_density(model, raw, 2) for model in (fine, coarse)), rtol=1e-3)


def test_the_density_of_levels_is_the_logarithm_of_their_probability():
    scale, deviation = 0.1, 0.12  # a level is 0.1 wide, so that the density changes within it
    model = _known(Preprocess((2,), "uint8", scale, noise="dequantise"), 0.45, deviation)
    raw = np.array([[4, 4], [3, 6], [1, 4]], "uint8")
    normal = scipy.stats.norm(0.45 / scale, deviation / scale)
    exact = np.log(normal.cdf(raw + 1.0) - normal.cdf(raw)).sum(1)
    np.testing.assert_allclose(evaluation.log_density(model, raw, 4000), exact, atol=0.03)
    found = evaluation.densities(model, raw, 4000)
    assert found["bits_per_dimension"] == pytest.approx(-exact.mean() / math.log(2) / 2, abs=0.02)


def test_a_probability_has_no_unit():
    model = _model(PREPROCESSES["binarise"], "bernoulli")
    raw = np.random.default_rng(0).integers(0, 256, (4, 2, 2, 1)).astype("uint8")
    assert evaluation.log_scale(model, raw).tolist() == [0.0] * 4
    assert "bits_per_dimension" not in evaluation.densities(model, raw, 2)


def test_a_density_has_the_same_samples_however_many_there_are():
    model = _model(PREPROCESSES["none"])
    raw = np.random.default_rng(3).normal(size=(50, 3)).astype("float32")
    few, many = (np.exp(evaluation.log_density(model, raw, s).astype("float64")) * s for s in (20, 45))
    assert (few <= many * (1 + 1e-4)).all()  # the first 20 weights are among the 45


def test_the_effective_samples_of_a_squashed_gaussian_are_said_to_mean_nothing():
    model = _model(Preprocess((4,)), "bernoulli", "untapped")
    found = evaluation.densities(model, np.ones((3, 4), "float32"), 2)
    assert "infinite variance" in found["effective_samples_note"]
    assert "effective_samples_note" not in evaluation.densities(_model(Preprocess((4,))), np.ones((3, 4), "float32"), 2)
