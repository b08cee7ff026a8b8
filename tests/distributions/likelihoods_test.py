"""Each likelihood's density against SciPy, the mass of its levels, its behaviour at the extremes."""

import numpy as np
import pytest
import scipy.special
import scipy.stats
import tensorflow as tf
from conditionals_test import SEED, SIZES, _built, _constant, _make, _parents, _rng

from tfadgm.distributions import conditionals, likelihoods
from tfadgm.networks import mlp

LIKELIHOODS = [
    ("bernoulli", {}),
    ("gaussian", {}),
    ("categorical", dict(levels=8)),
    ("logistic_mixture", dict(levels=8, components=3)),
]


def _observation(name, shape, levels=8):
    rng = _rng(3)
    if name == "bernoulli":
        return tf.constant(rng.integers(0, 2, shape), tf.float32)
    if name == "gaussian":
        return tf.constant(rng.normal(size=shape), tf.float32)
    return tf.constant(rng.integers(0, levels, shape) / (levels - 1), tf.float32)


def test_only_the_gaussian_likelihood_has_a_floor():
    network = mlp.Network(hidden=(5,))
    assert conditionals.Gaussian("z", 4, network).log_variance_floor is None
    likelihood = _built(likelihoods.likelihood("gaussian", "z", 1, network))
    _constant(likelihood, [0.0, -1e3])
    variance = likelihood.distribution(_parents()).variance()
    np.testing.assert_allclose(variance, np.full(variance.shape, np.exp(likelihoods.LOG_VARIANCE_FLOOR)), rtol=1e-4)


def test_bernoulli_log_prob_is_scipys_also_for_intensities():
    bernoulli, values = _make(likelihoods.BernoulliLikelihood), _parents()
    logits = bernoulli(values).numpy()
    for x in (_rng(0).integers(0, 2, (1, 5, 4)), _rng(0).random((1, 5, 4))):
        expected = (x * -np.logaddexp(0, -logits) + (1 - x) * -np.logaddexp(0, logits)).sum(-1)
        np.testing.assert_allclose(bernoulli.log_prob(values, tf.constant(x, tf.float32)), expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(bernoulli.distribution(values).mean(), scipy.special.expit(logits), rtol=1e-4)


def test_bernoulli_is_stable_where_it_is_certain():
    logits = tf.constant([1e4, 1e4, -1e4, -1e4])
    with tf.GradientTape() as tape:
        tape.watch(logits)
        log_prob = likelihoods.LogitBernoulli(logits).log_prob(tf.constant([1.0, 0.0, 1.0, 0.0]))
    np.testing.assert_allclose(log_prob, [0.0, -1e4, -1e4, 0.0])
    np.testing.assert_allclose(tape.gradient(log_prob, logits), [0.0, -1.0, 1.0, 0.0])


def _level_masses(likelihood, values, levels):
    """The probability of each level of each pixel, [levels, K, S, B, D]."""
    per_pixel = likelihood.distribution(values).distribution
    return np.exp([per_pixel.log_prob(tf.fill((3, 2, 5, likelihood.units), k / (levels - 1))) for k in range(levels)])


@pytest.mark.parametrize("scale", [0.3, 1.0, 3.0])
@pytest.mark.parametrize(("name", "options"), LIKELIHOODS[2:])
def test_the_masses_of_all_levels_sum_to_one_in_each_pixel(name, options, scale):
    likelihood = likelihoods.likelihood(name, "y z", 4, mlp.Network(hidden=(5,)), **options)
    masses = _level_masses(_built(likelihood, scale=scale), _parents(), 8)
    np.testing.assert_allclose(masses.sum(0), np.ones(masses.shape[1:]), rtol=1e-3)
    assert masses.std(0).max() > 0.05


def test_categorical_likelihood_is_a_softmax_over_levels():
    likelihood, values = _make(likelihoods.CategoricalLikelihood, levels=8), _parents()
    logits = likelihood(values).numpy().reshape(3, 2, 5, 8, 4)  # all pixels' first level, all pixels' second level, ...
    log_probs = np.moveaxis(scipy.special.log_softmax(logits, 3), 3, -1)
    level = _rng(4).integers(0, 8, (1, 5, 4))
    expected = np.take_along_axis(log_probs, np.broadcast_to(level, (3, 2, 5, 4))[..., None], -1)[..., 0].sum(-1)
    np.testing.assert_allclose(likelihood.log_prob(values, tf.constant(level / 7, tf.float32)), expected, rtol=1e-4)
    mean = likelihood.expected(likelihood.distribution(values))
    np.testing.assert_allclose(mean, np.exp(log_probs) @ np.linspace(0, 1, 8), rtol=1e-4, atol=1e-5)


def test_a_categorical_likelihood_that_is_sure_of_a_level_has_no_jacobian():
    likelihood = _make(likelihoods.CategoricalLikelihood, units=1, levels=8)
    _constant(likelihood, 200 * np.eye(8)[5])
    log_prob = likelihood.log_prob(_parents(), tf.fill([1, 5, 1], 5 / 7))
    np.testing.assert_allclose(log_prob, np.zeros((3, 2, 5)), atol=1e-5)


def test_logistic_mixture_is_the_difference_of_distribution_functions():
    likelihood, values = _make(likelihoods.LogisticMixtureLikelihood, levels=8, components=3), _parents()
    parameters = np.moveaxis(likelihood(values).numpy().astype("float64").reshape(3, 2, 5, 9, 4), 3, -1)
    weights, centres, log_scales = np.split(parameters, 3, -1)
    centres = 3.5 * (1 + centres + np.linspace(-0.8, 0.8, 3))
    scales = 3.5 * np.exp(np.maximum(log_scales - 2, -7))
    level = np.broadcast_to(_rng(4).integers(0, 8, (1, 5, 4)), (3, 2, 5, 4))[..., None]
    upper = np.where(level == 7, 1.0, scipy.special.expit((level + 0.5 - centres) / scales))
    lower = np.where(level == 0, 0.0, scipy.special.expit((level - 0.5 - centres) / scales))
    mass = (scipy.special.softmax(weights, -1) * (upper - lower)).sum(-1)
    seen = mass.min(-1) > 1e-4  # where the plain difference has digits left
    assert seen.mean() > 0.3
    log_prob = likelihood.log_prob(values, tf.constant(level[..., 0] / 7, tf.float32))
    np.testing.assert_allclose(log_prob.numpy()[seen], np.log(mass).sum(-1)[seen], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("level", [0, 100, 255])
@pytest.mark.parametrize("log_scale", [-20.0, -5.0, 0.0, 6.0, 8.0, 10.0, 14.0, 20.0, 60.0, 300.0])
def test_the_mass_of_a_level_is_right_for_every_scale(log_scale, level):
    """By Gauss-Legendre over the level, where the scale has not all the mass in it; the tails by their own formula."""
    likelihood = _make(likelihoods.LogisticMixtureLikelihood, units=1, levels=256, components=1)
    _constant(likelihood, [0.0, -0.2, log_scale])
    with tf.GradientTape() as tape:
        log_prob = likelihood.log_prob(_parents(), tf.fill([1, 5, 1], level / 255))
    centre, log_s = 127.5 * (1 + np.float64(np.float32(-0.2))), max(log_scale - 2, -7.0) + np.log(127.5)
    ticks, weights = np.polynomial.legendre.leggauss(400)
    t = (level + ticks / 2 - centre) / np.exp(log_s)
    inside = scipy.special.logsumexp(scipy.stats.logistic.logpdf(t) - log_s, b=weights / 2)
    border = (min(level, 254) + 0.5 - centre) / np.exp(log_s)
    exact = {0: -np.logaddexp(0, -border), 255: -np.logaddexp(0, border)}.get(level, inside)
    np.testing.assert_allclose(log_prob, np.full((3, 2, 5), exact), rtol=2e-5, atol=2e-5)
    gradient = tape.gradient(log_prob, likelihood.head.bias.value).numpy()
    assert np.isfinite(gradient).all()
    if level == 100 and log_scale >= 10:  # the mass is 1 / (4 s)
        np.testing.assert_allclose(gradient[2], -30.0, rtol=1e-4)


def test_one_wide_component_leaves_the_gradient_of_all_others_finite():
    likelihood = _make(likelihoods.LogisticMixtureLikelihood, units=2, levels=256, components=3)
    # All pixels' first parameter, all pixels' second one, ...: the last log-scale of the second pixel.
    _constant(likelihood, [0.0] * 17 + [14.0])
    with tf.GradientTape() as tape:
        log_prob = likelihood.log_prob(_parents(), tf.fill([1, 5, 2], 0.4))
    gradient = tape.gradient(log_prob, likelihood.head.bias.value).numpy()
    assert np.isfinite(gradient).all() and np.count_nonzero(gradient) > 10


@pytest.mark.parametrize("log_scale", [-3.0, 1.0, 200.0])
def test_draws_of_a_quantised_logistic_follow_its_masses(log_scale):
    quantised = likelihoods.QuantisedLogistic(tf.fill([20_000], 2.7), tf.fill([20_000], log_scale), 8)
    drawn = quantised.sample(seed=tf.constant(SEED)).numpy()
    masses = np.exp([quantised.log_prob(tf.fill([20_000], float(k)))[0] for k in range(8)])
    np.testing.assert_allclose(masses.sum(), 1.0, rtol=1e-5)
    np.testing.assert_allclose(np.bincount(drawn.astype(int), minlength=8) / 20_000, masses, atol=0.02)


@pytest.mark.parametrize("components", [1, 3])
def test_the_expected_value_of_a_logistic_mixture_is_about_the_mean_of_its_masses(components):
    likelihood = likelihoods.LogisticMixtureLikelihood("y z", 4, mlp.Network(hidden=(5,)), levels=8, components=components)
    values = _parents()
    _built(likelihood, scale=0.3)
    mean = np.tensordot(np.linspace(0, 1, 8), _level_masses(likelihood, values, 8), 1)
    expected = likelihood.expected(likelihood.distribution(values))
    assert expected.shape == (3, 2, 5, 4)
    np.testing.assert_allclose(expected, mean, atol=0.1)
    assert np.corrcoef(np.ravel(expected), mean.ravel())[0, 1] > 0.95


@pytest.mark.parametrize("x", [0.0, 3 / 7, 1.0])
@pytest.mark.parametrize("centre", [-20.0, 0.0, 20.0])
def test_a_logistic_mixture_far_from_the_data_has_finite_density_and_gradient(x, centre):
    likelihood = _make(likelihoods.LogisticMixtureLikelihood, units=1, levels=8, components=2)
    _constant(likelihood, [0.0, 0.0, centre, centre, -3.0, -3.0])
    with tf.GradientTape() as tape:
        log_prob = likelihood.log_prob(_parents(), tf.fill([1, 5, 1], x))
    assert np.isfinite(log_prob).all()
    assert np.isfinite(tape.gradient(log_prob, likelihood.head.bias.value)).all()


@pytest.mark.parametrize(("name", "options"), LIKELIHOODS)
def test_a_likelihood_has_a_density_per_example_and_a_picture(name, options):
    likelihood = _built(likelihoods.likelihood(name, "y z", 4, mlp.Network(hidden=(5,)), **options))
    values = _parents()
    assert likelihood.log_prob(values, _observation(name, (1, 5, 4))).shape == (3, 2, 5)
    picture = likelihood.expected(likelihood.distribution(values)).numpy()
    assert picture.shape == (3, 2, 5, 4)
    if name != "gaussian":
        assert picture.min() >= 0 and picture.max() <= 1


@pytest.mark.parametrize(("name", "options"), LIKELIHOODS)
def test_convolutional_likelihoods_agree_with_their_parameters_in_number_and_order(name, options):
    network = mlp.Network(hidden=(5,), trunk="conv", filters=(2,), image_shape=(4, 2, 1))
    likelihood = likelihoods.likelihood(name, "y z", 8, network, **options)
    likelihood.build_from(SIZES)
    values = _parents()
    assert likelihood(values).shape[-1] == 8 * likelihood.parameters_per_unit
    assert likelihood.log_prob(values, _observation(name, (1, 5, 8))).shape == (3, 2, 5)


def test_an_unknown_likelihood_lists_the_known_ones():
    with pytest.raises(ValueError, match="'poisson'.*bernoulli, gaussian, categorical, logistic_mixture"):
        likelihoods.likelihood("poisson", "z", 4, mlp.Network())


@pytest.mark.parametrize(("name", "options"), LIKELIHOODS)
def test_gradients_are_finite_and_the_same_compiled_and_not(name, options):
    likelihood = _built(likelihoods.likelihood(name, "y z", 4, mlp.Network(hidden=(5,)), **options))
    values, x = _parents(), _observation(name, (1, 5, 4))

    def value_and_gradient():
        with tf.GradientTape() as tape:
            log_prob = likelihood.log_prob(values, x)
        return log_prob, tape.gradient(log_prob, [w.value for w in likelihood.trainable_variables])

    eager, compiled = value_and_gradient(), tf.function(value_and_gradient, jit_compile=True)()
    np.testing.assert_allclose(compiled[0], eager[0], rtol=1e-4, atol=1e-4)
    for ours, theirs in zip(compiled[1], eager[1], strict=True):
        assert np.isfinite(theirs).all()
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-3)
