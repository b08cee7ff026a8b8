"""p(x|.) of counts given their sum: SciPy's negative binomial in float64, gradients, draws, the bound."""

import itertools

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

from tfadgm.data import count_preprocess
from tfadgm.distributions import counts, likelihoods
from tfadgm.models.adgm import ADGM
from tfadgm.models.m2 import M2
from tfadgm.models.vae import VAE
from tfadgm.networks.mlp import Network

G = 7
NETWORK = Network(hidden=(6,))


def rows(n=60, seed=0):
    generator = np.random.default_rng(seed)
    x = generator.negative_binomial(1.5, 0.2, (n, G)).astype("int32")
    x[:, 0] += 1
    return x


def moved(model):
    """The model with all weights moved, so that nothing is trivial."""
    for i, weight in enumerate(model.weights):
        weight.assign(weight + 0.5 * np.random.default_rng(i).standard_normal(weight.shape))
    return model


@pytest.fixture(scope="module")
def preprocess():
    return count_preprocess.fit(rows())


@pytest.fixture(scope="module")
def vae(preprocess):
    return moved(VAE(preprocess, 0, likelihood="negative_binomial", network=NETWORK, dim_z=1, seed=3))


def by_scipy(x, mean, shape):
    x, mean, shape = (np.asarray(v, "float64") for v in (x, mean, shape))
    return scipy.stats.nbinom.logpmf(x, shape, shape / (shape + mean))


def test_log_pmf_is_scipys_for_counts_to_2_to_the_24_and_means_next_to_0():
    grid = itertools.product([0, 1, 2, 17, 1000, 10**6, 2**24], [-20, -12, -2, 0, 3, 8, 13.8], [-7, -1, 0, 2, 5, 7])
    x, log_mean, log_shape = np.array(list(grid), "float32").T
    found = counts.log_pmf(*map(tf.constant, (x, log_mean, log_shape))).numpy()
    mean, shape = np.exp(log_mean.astype("float64")), np.exp(log_shape.astype("float64"))
    np.testing.assert_allclose(found, by_scipy(x, mean, shape), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("log_mean", [-46.0, -1000.0])
def test_log_pmf_of_a_mean_that_scipy_cannot_hold(log_mean):
    found = counts.log_pmf(tf.constant([0.0, 1.0]), tf.constant(log_mean), tf.constant(2.0)).numpy()
    np.testing.assert_allclose(found, [0, log_mean], atol=1e-5)


def test_gradients_are_those_of_differences_of_scipy():
    generator = np.random.default_rng(1)
    x = tf.constant(generator.negative_binomial(2, 0.05, 200), tf.float32)
    log_mean, log_shape = (tf.constant(generator.normal(0, 2, 200), tf.float32) for _ in range(2))
    with tf.GradientTape() as tape:
        tape.watch([log_mean, log_shape])
        total = tf.reduce_sum(counts.log_pmf(x, log_mean, log_shape))
    m, r, h = log_mean.numpy().astype("float64"), log_shape.numpy().astype("float64"), 1e-4
    by_mean = by_scipy(x, np.exp(m + h), np.exp(r)) - by_scipy(x, np.exp(m - h), np.exp(r))
    by_shape = by_scipy(x, np.exp(m), np.exp(r + h)) - by_scipy(x, np.exp(m), np.exp(r - h))
    for found, expected in zip(tape.gradient(total, [log_mean, log_shape]), (by_mean, by_shape), strict=True):
        np.testing.assert_allclose(found, expected / (2 * h), rtol=2e-3, atol=2e-3)


def test_log_prob_is_that_of_scipy_given_the_sum_of_the_row(vae, preprocess):
    x, factor = rows(20, seed=1), vae.p["x"]
    values = {"z": tf.constant(np.random.default_rng(2).normal(size=(3, 20, 1)), tf.float32)}
    logits = factor(values).numpy().astype("float64")  # [3, 20, G]
    rho = np.exp(preprocess.layout.log_frequency + logits)
    rho /= rho.sum(-1, keepdims=True)
    w = factor.log_shape.numpy().astype("float64")
    ceiling, floor = counts.LOG_SHAPE_CEILING, counts.LOG_SHAPE_FLOOR
    log_shape = ceiling - np.logaddexp(0, ceiling - w)
    shape = np.exp(floor + np.logaddexp(0, log_shape - floor))
    expected = by_scipy(x, x.sum(1, keepdims=True) * rho, shape).sum(-1)
    found = factor.log_prob(values, preprocess(x)[tf.newaxis])
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_a_row_without_counts_has_probability_1(vae, preprocess):
    assert vae.p["x"].log_prob({"z": tf.zeros([1, 1, 1])}, preprocess(np.zeros((1, G), "int32"))[tf.newaxis]).numpy() == 0


def test_the_dispersions_are_trained_and_every_weight_has_a_gradient(preprocess):
    model = moved(M2(preprocess, 3, likelihood="negative_binomial", network=NETWORK, dim_z=2, seed=2))
    batch = {"labelled": (rows(8), np.arange(8) % 3), "unlabelled": rows(8, seed=5)}
    with tf.GradientTape() as tape:
        objective = model.terms(batch, tf.constant([1, 2]))["objective"]
    gradients = tape.gradient(objective, [v.value for v in model.trainable_variables])
    assert any(v is model.p["x"].log_shape for v in model.trainable_variables)
    assert all(g is not None and np.isfinite(g).all() and np.any(g) for g in gradients)


def test_draws_have_the_library_sizes_of_training_and_the_shares_of_p(vae, preprocess):
    factor, n = vae.p["x"], 40_000
    distribution = factor.distribution({"z": tf.constant([[[0.4]]])})
    x = factor.sample(distribution, n, 1, tf.constant([5, 6])).numpy()[:, 0]
    drawn, rho = preprocess.raw(x), np.exp(distribution.log_rho.numpy()[0, 0])
    assert (drawn == np.rint(drawn)).all() and (drawn >= 0).all()
    np.testing.assert_array_equal(x, preprocess(drawn).numpy())
    libraries, shape = np.array(preprocess.layout.libraries), np.exp(distribution.log_shape.numpy())
    assert abs(np.median(libraries) / np.median(rows().sum(1)) - 1) < 0.05
    np.testing.assert_allclose(drawn.mean(0), libraries.mean() * rho, rtol=0.05, atol=0.02)
    second = (libraries**2).mean() * rho**2 * (1 + 1 / shape) + libraries.mean() * rho  # E[x^2]
    np.testing.assert_allclose((drawn**2).mean(0), second, rtol=0.2)
    mean = preprocess.raw(factor.expected(distribution)).numpy()[0, 0]
    np.testing.assert_allclose(mean, preprocess.layout.median * rho, rtol=1e-4)


def test_rows_that_are_no_counts_have_no_such_likelihood():
    with pytest.raises(
        ValueError, match="got 'negative_binomial' for 4 numbers that are not rows of counts; allowed: gauss"
    ):
        likelihoods.likelihood("negative_binomial", "z", 4, NETWORK)
    with pytest.raises(ValueError, match=r"got 'negative_binomial' with p\(a\|.*; allowed: a_sees_x=false"):
        ADGM(
            count_preprocess.fit(rows()), 3, likelihood="negative_binomial", network=NETWORK, dim_z=1, dim_a=1, a_sees_x=True
        )
