"""The linear Gaussian of the AVAE, and its posterior: Bayes' rule, draws, and what is computed once."""

import numpy as np
import pytest
import scipy.special
import scipy.stats
import tensorflow as tf
from conditionals_test import SEED, _built, _constant, _parents, _rng

from tfadgm import bounds, noise
from tfadgm.distributions import conditionals, linear_gaussian
from tfadgm.networks import mlp


def _linear(deviation=0.5):
    z_given_a = linear_gaussian.LinearGaussian("a", "y", 4, mlp.Network(hidden=(5,)), linear_units=2)
    return _built(z_given_a, scale=deviation), linear_gaussian.LinearGaussianPosterior("z", z_given_a)


def test_the_posterior_of_a_linear_gaussian_is_that_of_bayes_rule_on_a_grid():
    likelihood, posterior = _linear()
    posterior.build_from({})
    assert likelihood.given == ("a", "y") and posterior.given == ("y", "z") and not posterior.weights
    line = np.linspace(-6, 6, 301)
    grid = tf.constant(np.stack(np.meshgrid(line, line), -1).reshape(-1, 1, 2), tf.float32)  # [S, 1, 2]
    values = {"y": tf.eye(3)[tf.newaxis, :1], "z": tf.constant(_rng(3).normal(size=(1, 1, 4)), tf.float32)}
    joint = likelihood.log_prob({**values, "a": grid}, values["z"]).numpy()[:, 0].astype("float64")
    joint += scipy.stats.norm.logpdf(grid.numpy()[:, 0]).sum(-1)
    evidence = scipy.special.logsumexp(joint) + 2 * np.log(line[1] - line[0])
    np.testing.assert_allclose(posterior.log_prob(values, grid)[:, 0], joint - evidence, rtol=1e-4, atol=1e-4)


def test_the_posterior_of_a_linear_gaussian_broadcasts_and_draws():
    _, posterior = _linear()
    values = {"y": tf.eye(3)[:, tf.newaxis, tf.newaxis], "z": tf.constant(_rng(3).normal(size=(2, 5, 4)), tf.float32)}
    distribution = posterior.distribution(values)
    sample = posterior.sample(distribution, 2, 5, SEED)
    assert sample.shape == (3, 2, 5, 2)
    np.testing.assert_allclose(
        distribution.log_prob(sample)[2, 1, 3],
        posterior.log_prob({"y": values["y"][2], "z": values["z"][1:, 3:4]}, sample[2, 1, 3])[0, 0],
        rtol=1e-5,
    )


@pytest.mark.parametrize("log_variance", [-100.0, -40.0, -33.0, 0.0])
def test_a_linear_gaussian_and_its_posterior_leave_the_density_of_their_draw(log_variance):
    """log q(a) + log q(z|a) - log p(a|z) is log q(z), a Gaussian of covariance s^2 (I + V V'), by numpy."""
    z_given_a, p_a = _linear()
    matrix = 0.5 * _rng(8).normal(size=(4, 2))
    _constant(z_given_a, np.r_[np.full(4, 0.7), np.full(4, log_variance), matrix.ravel()])
    matrix = matrix + np.asarray(z_given_a.directions)
    q = {"a": conditionals.StandardNormal(units=2), "z": z_given_a}
    draws = noise.Draws(tf.constant(SEED), 3, samples=50)
    with linear_gaussian.computed_once():
        values, log_q = bounds.follow(q, {"y": tf.eye(3)[tf.newaxis]}, draws)
        ours = log_q["a"] + log_q["z"] - p_a.log_prob(values, values["a"])
    a, e = (noise.normal([50, 3, n], noise.fold(draws.seed, name)).numpy() for name, n in (("a", 2), ("z", 4)))
    standardised = np.float64(a) @ matrix.T + e
    exact = scipy.stats.multivariate_normal(np.zeros(4), np.eye(4) + matrix @ matrix.T).logpdf(standardised)
    np.testing.assert_allclose(ours, exact - 2 * log_variance, rtol=2e-5, atol=2e-4)


def test_what_a_linear_gaussian_reads_is_computed_once_in_the_scope_and_not_for_other_values(monkeypatch):
    likelihood, posterior = _linear()
    trunk, calls = likelihood.trunk.call, []
    monkeypatch.setattr(likelihood.trunk, "call", lambda values: calls.append(1) or trunk(values))
    parents = _parents()
    values = {"y": parents["y"], "a": parents["z"], "z": tf.constant(_rng(3).normal(size=(2, 5, 4)), tf.float32)}
    apart = likelihood.log_prob(values, values["z"]), posterior.log_prob(values, values["a"])
    assert len(calls) == 2
    with linear_gaussian.computed_once():
        np.testing.assert_array_equal(likelihood.log_prob(values, values["z"]), apart[0])
        np.testing.assert_array_equal(posterior.log_prob(values, values["a"]), apart[1])
        assert len(calls) == 3
        other = likelihood.log_prob({**values, "y": parents["y"][::-1]}, values["z"])
        np.testing.assert_allclose(other, apart[0][::-1], rtol=1e-5)
    assert len(calls) == 4
