"""Each conditional's density against SciPy, its draws' law and shape, its behaviour at the extremes."""

import numpy as np
import pytest
import scipy.special
import scipy.stats
import tensorflow as tf

from tfadgm import bounds, noise
from tfadgm.distributions import conditionals, likelihoods, linear_gaussian, transformed
from tfadgm.networks import mlp

SEED = (1, 2)
SIZES = {"y": 3, "z": 2}


def _rng(*key):
    return np.random.default_rng(key)


def _built(conditional, seed=0, scale=1.0):
    """Gives a conditional large random weights, so that its parameters depend strongly on its parents."""
    conditional.build_from(SIZES)
    for weight in conditional.weights:
        weight.assign(_rng(seed, *weight.shape).normal(scale=scale, size=weight.shape))
    return conditional


def _make(cls, given="y z", units=4, **options):
    return _built(cls(given, units, mlp.Network(hidden=(5,)), **options))


def _constant(conditional, parameters):
    """Makes the parameters of a conditional equal to `parameters` for every value of its parents."""
    conditional.head.kernel.assign(tf.zeros_like(conditional.head.kernel))
    conditional.head.bias.assign(np.asarray(parameters, "float32"))
    return conditional


def _parents(classes=3, samples=2, batch=5):
    y = tf.eye(classes)[:, tf.newaxis, tf.newaxis, :]
    return {"y": y, "z": tf.constant(_rng(7).normal(size=(samples, batch, 2)), tf.float32)}


# ------------------------------------------------------------------------------------------------------------ densities


def test_gaussian_log_prob_is_scipys():
    gaussian, values = _make(conditionals.Gaussian), _parents()
    loc, log_variance = np.split(gaussian(values).numpy(), 2, -1)
    assert loc.shape == (3, 2, 5, 4) and log_variance.std() > 0.1
    value = _rng(1).normal(size=loc.shape)
    expected = scipy.stats.norm.logpdf(value, loc, np.exp(log_variance / 2)).sum(-1)
    np.testing.assert_allclose(gaussian.log_prob(values, tf.constant(value, tf.float32)), expected, rtol=1e-4, atol=1e-4)


def test_gaussian_distribution_has_its_mean_and_variance():
    gaussian, values = _make(conditionals.Gaussian), _parents()
    loc, log_variance = np.split(gaussian(values).numpy(), 2, -1)
    np.testing.assert_allclose(gaussian.distribution(values).mean(), loc)
    np.testing.assert_allclose(gaussian.distribution(values).variance(), np.exp(log_variance), rtol=1e-4)


def test_an_untrained_gaussian_with_small_heads_is_nearly_standard_normal():
    small, glorot = (
        conditionals.Gaussian("y z", 4, mlp.Network(hidden=(50,), head_deviation=deviation)) for deviation in (1e-3, None)
    )
    for gaussian in (small, glorot):
        gaussian.build_from(SIZES)
        assert np.abs(gaussian.head.kernel).max() > 0
    np.testing.assert_allclose(small(_parents()), np.zeros((3, 2, 5, 8)), atol=0.05)
    assert np.abs(glorot(_parents())).max() > 0.1


def test_a_second_gaussian_of_the_same_shape_starts_with_other_numbers():
    first, second = (conditionals.Gaussian("z", 4, mlp.Network(hidden=(5,))) for _ in range(2))
    for gaussian in (first, second):
        gaussian.build_from(SIZES)
    assert np.abs(np.asarray(first.head.kernel) - second.head.kernel).max() > 0


def test_the_floor_bounds_the_log_variance_and_leaves_it_alone_far_above():
    gaussian = _make(conditionals.Gaussian, units=3, log_variance_floor=-2.0)
    _constant(gaussian, [0.0, 0.0, 0.0, -50.0, -2.0, 20.0])
    log_variance = np.log(gaussian.distribution(_parents()).variance()[0, 0, 0])
    np.testing.assert_allclose(log_variance, [-2.0, -2.0 + np.log(2), 20.0], rtol=1e-4)


def test_standard_normal_is_scipys_and_needs_no_parents():
    normal, value = conditionals.StandardNormal(units=4), _rng(2).normal(size=(3, 2, 5, 4))
    normal.build_from({})
    expected = scipy.stats.norm.logpdf(value).sum(-1)
    np.testing.assert_allclose(normal.log_prob({}, tf.constant(value, tf.float32)), expected, rtol=1e-5)
    assert normal.given == () and not normal.weights


def test_deterministic_is_a_function_of_its_parents_without_a_density():
    conditional = _make(conditionals.Deterministic)
    values = _parents()
    assert conditional.is_deterministic and not conditionals.Gaussian().is_deterministic
    drawn = conditional.sample(conditional.distribution(values), 2, 5, tf.constant(SEED))
    np.testing.assert_allclose(drawn, conditional(values))
    assert drawn.shape == (3, 2, 5, 4)


def test_categorical_is_a_softmax_over_one_hot_children():
    categorical, values = _make(conditionals.Categorical), _parents()
    expected = scipy.special.log_softmax(categorical(values).numpy(), -1)
    np.testing.assert_allclose(categorical.log_probs(values), expected, rtol=1e-4, atol=1e-5)
    for k in range(4):
        value = tf.one_hot(tf.fill(expected.shape[:-1], k), 4)
        np.testing.assert_allclose(categorical.log_prob(values, value), expected[..., k], rtol=1e-4, atol=1e-5)


def test_categorical_log_probs_are_finite_when_one_class_has_it_all():
    categorical = _constant(_make(conditionals.Categorical), [1e3, 0.0, -1e3, 0.0])
    np.testing.assert_allclose(categorical.log_probs(_parents())[0, 0, 0], [0.0, -1e3, -2e3, -1e3])


def test_uniform_categorical_is_minus_log_k_for_any_leading_axes():
    uniform = conditionals.UniformCategorical(units=4)
    uniform.build_from({})
    for value in (tf.eye(4)[:, tf.newaxis, tf.newaxis, :], tf.one_hot([[0, 3]], 4)):
        log_prob = uniform.log_prob({}, value)
        assert log_prob.shape == value.shape[:-1]
        np.testing.assert_allclose(log_prob, np.full(log_prob.shape, -np.log(4)), rtol=1e-6)
        np.testing.assert_allclose(uniform.distribution({}).log_prob(value), log_prob, rtol=1e-6)


# --------------------------------------------------------------------------------------------------- draws and gradients


def test_gaussian_draws_have_the_right_moments():
    gaussian = _constant(_make(conditionals.Gaussian, units=2), [1.0, -2.0, np.log(4.0), np.log(0.25)])
    drawn = gaussian.sample(gaussian.distribution(_parents(samples=1)), 4000, 5, tf.constant(SEED))
    assert drawn.shape == (3, 4000, 5, 2)
    rows = drawn[0].numpy().reshape(-1, 2)
    np.testing.assert_allclose(rows.mean(0), [1.0, -2.0], atol=5 * 2 / np.sqrt(20000))
    np.testing.assert_allclose(rows.std(0), [2.0, 0.5], rtol=0.03)
    assert abs(np.corrcoef(rows.T)[0, 1]) < 0.05


def test_all_classes_share_the_noise_and_nothing_else_does():
    gaussian, values = _make(conditionals.Gaussian), _parents(samples=1)
    distribution = gaussian.distribution(values)
    assert distribution.batch_shape == (3, 1, 5)
    drawn = gaussian.sample(distribution, 6, 5, tf.constant(SEED))
    assert drawn.shape == (3, 6, 5, 4)
    noise = ((drawn - distribution.mean()) / distribution.stddev()).numpy()
    np.testing.assert_allclose(noise[1:], noise[:1].repeat(2, 0), atol=1e-3)
    assert np.unique(np.round(noise[0], 3)).size > 0.9 * noise[0].size
    assert np.abs(drawn[0] - drawn[1]).max() > 0.1


def test_gaussian_draws_carry_gradients_to_mean_and_variance():
    gaussian, values = _make(conditionals.Gaussian), _parents()
    with tf.GradientTape() as tape:
        drawn = gaussian.sample(gaussian.distribution(values), 2, 5, tf.constant(SEED))
        loss = tf.reduce_sum(tf.square(drawn))
    gradient = tape.gradient(loss, gaussian.head.bias.value).numpy()
    assert np.abs(gradient).min() > 0


GAUSSIANS = {
    "gaussian": lambda: conditionals.Gaussian("z", 2, mlp.Network(hidden=(5,))),
    "squashed": lambda: transformed.SquashedGaussian("z", 2, mlp.Network(hidden=(5,)), -1.5, 1.5),
    "flows": lambda: transformed.PlanarFlow("z", 2, mlp.Network(hidden=(5,)), flows=2),
    "linear": lambda: linear_gaussian.LinearGaussian("y", "z", 2, mlp.Network(hidden=(5,)), linear_units=3),
    "merged": lambda: conditionals.PrecisionWeighted("z", _wide(), 2, mlp.Network(hidden=(5,))),
}


def _wide():
    """A Gaussian of "y" whose precision counts for nothing."""
    prior = conditionals.Gaussian("y", 2, mlp.Network(hidden=(5,)))
    prior.build_from(SIZES)
    return _constant(prior, [0.0, 0.0, 300.0, 300.0])


def _log_jacobian(kind, parameters, u):
    """log |det df/du| of what a kind of Gaussian does to u, in double precision, by its head's parameters."""
    if kind == "squashed":
        return (np.log(3.0) - np.logaddexp(0, u) - np.logaddexp(0, -u)).sum(-1)
    total, flows = 0.0, np.split(parameters[4:12], 4) if kind == "flows" else []
    for us, ws, b in reversed(list(zip(flows[:2], flows[2:], parameters[12:], strict=True)) if flows else []):
        w, h = ws + 0.5, 0.0
        raised, h = np.logaddexp(0, w @ us), np.tanh(u @ w + b)
        total += np.log(h**2 + (1 - h**2) * raised)
        u = u + (us + (raised - 1 - w @ us) * w / (w @ w)) * h[..., None]
    return total


@pytest.mark.parametrize("log_variance", [-180.0, -100.0, -40.0, -33.0, -25.0, -5.0, 3.0, 100.0, 170.0])
@pytest.mark.parametrize("kind", GAUSSIANS)
def test_the_density_of_a_draw_is_that_of_its_noise_however_narrow_or_wide_it_is(kind, log_variance, monkeypatch):
    factor, drawn = GAUSSIANS[kind](), []
    factor.build_from(SIZES)
    rest = 0.7 * _rng(4).normal(size=factor.head_units - 4)
    parameters = np.float64(np.float32([0.7, -0.3, log_variance, log_variance, *rest]))
    _constant(factor, parameters)
    normal = noise.normal
    monkeypatch.setattr(noise, "normal", lambda *args: drawn.append(normal(*args)) or drawn[-1])
    draws = noise.Draws(tf.constant(SEED), 5, samples=400)
    values = {"y": tf.ones([1, 5, 3]), "z": tf.zeros([1, 5, 2])}
    with tf.GradientTape() as tape:
        found, log_q = bounds.follow({"v": factor}, values, draws)
    e = drawn[0].numpy().astype("float64")
    exact = -0.5 * (e**2 + log_variance + np.log(2 * np.pi)).sum(-1)
    if kind in ("squashed", "flows"):
        if log_variance > 50:  # the draws are beyond all float32
            return
        exact = exact - _log_jacobian(kind, parameters, parameters[:2] + np.exp(log_variance / 2) * e)
    assert found["v"].shape == (400, 5, 2) and log_q["v"].shape == (400, 5)
    np.testing.assert_allclose(log_q["v"], exact, rtol=1e-5, atol=3e-4 if kind == "flows" else 2e-5)
    assert np.isfinite(tape.gradient(log_q["v"], factor.head.bias.value)).all()


def test_values_that_are_given_are_scored_as_they_are():
    gaussian, values = _constant(_make(conditionals.Gaussian, units=2), [0.7, -0.3, -30.0, -30.0]), _parents(samples=1)
    pinned = tf.constant(np.float32([0.7, -0.3]) + np.float32([1e-6, 0.0]))[tf.newaxis, tf.newaxis]
    _, log_q = bounds.follow({"v": gaussian}, values, noise.Draws(tf.constant(SEED), 5, pinned={"v": pinned}))
    exact = scipy.stats.norm.logpdf(np.float64(pinned), np.float64(np.float32([0.7, -0.3])), np.exp(-15.0)).sum(-1)
    np.testing.assert_allclose(log_q["v"], np.broadcast_to(exact, log_q["v"].shape), rtol=1e-5)


@pytest.mark.parametrize("log_variance", [-150.0, -100.0, 100.0, 150.0])
def test_the_density_of_a_given_value_does_not_overflow_before_it_must(log_variance):
    normal = conditionals.DiagonalNormal(tf.constant([0.0]), tf.constant([log_variance]))
    value = np.float32(3 * np.exp(log_variance / 2))
    with tf.GradientTape() as tape:
        tape.watch(normal.log_variance)
        log_prob = normal.log_prob(tf.constant([value]))
    exact = scipy.stats.norm.logpdf(np.float64(value), 0.0, np.exp(log_variance / 2))
    np.testing.assert_allclose(log_prob, [exact], rtol=1e-5)


@pytest.mark.parametrize("cls", [conditionals.StandardNormal, conditionals.UniformCategorical])
def test_priors_draw_samples_of_whole_batches(cls):
    prior = cls(units=4)
    prior.build_from({})
    drawn = prior.sample(prior.distribution({}), 3, 2000, tf.constant(SEED))
    assert drawn.shape == (3, 2000, 4)
    if cls is conditionals.UniformCategorical:
        np.testing.assert_array_equal(tf.sort(drawn)[..., -2:], np.broadcast_to([0, 1], (3, 2000, 2)))
        np.testing.assert_allclose(np.mean(drawn, (0, 1)), np.full(4, 0.25), atol=0.03)


def test_a_categorical_draws_its_classes_with_their_probabilities():
    categorical = _constant(_make(conditionals.Categorical), np.log([0.1, 0.2, 0.3, 0.4]))
    values = {"y": tf.ones([1, 1, 3]), "z": tf.zeros([1, 1, 2])}
    drawn = categorical.sample(categorical.distribution(values), 2, 5000, tf.constant(SEED))
    assert drawn.shape == (2, 5000, 4)
    np.testing.assert_allclose(np.mean(drawn, (0, 1)), [0.1, 0.2, 0.3, 0.4], atol=0.02)


def test_the_latents_densities_and_draws_of_given_noise_are_the_same_compiled_and_not():
    gaussian, categorical, values = _make(conditionals.Gaussian), _make(conditionals.Categorical), _parents()
    value = tf.constant(_rng(1).normal(size=(3, 2, 5, 4)), tf.float32)

    def densities():
        prior = conditionals.StandardNormal(units=4).log_prob({}, value)
        return gaussian.log_prob(values, value), categorical.log_probs(values), prior

    for compiled, eager in zip(tf.function(densities, jit_compile=True)(), densities(), strict=True):
        np.testing.assert_allclose(compiled, eager, rtol=1e-4, atol=1e-4)


def test_a_batch_of_unknown_size_draws_and_scores():
    gaussian = _make(conditionals.Gaussian)

    @tf.function(input_signature=[tf.TensorSpec([1, None, 2])])
    def f(z):
        values = {"y": tf.eye(3)[:, tf.newaxis, tf.newaxis, :], "z": z}
        distribution = gaussian.distribution(values)
        drawn = gaussian.sample(distribution, 2, tf.shape(z)[1], tf.constant(SEED))
        return drawn, distribution.log_prob(drawn)

    drawn, log_prob = f(tf.zeros([1, 5, 2]))
    assert drawn.shape == (3, 2, 5, 4) and log_prob.shape == (3, 2, 5)


# --------------------------------------------------------------------------------- flows, squashed and merged Gaussians


def _values(name, size, seed=0):
    return {name: tf.constant(np.random.default_rng(seed).normal(size=(1, 1, size)), tf.float32)}


def _scattered(conditional):
    """Gives all weights of a conditional values that matter."""
    rng = np.random.default_rng(1)
    for w in conditional.weights:
        w.assign(0.7 * rng.normal(size=w.shape))
    return conditional


def test_a_gaussian_behind_planar_flows_has_mass_one_and_its_samples_its_density():
    factor = transformed.PlanarFlow("h", 2, mlp.Network(hidden=(4,)), flows=3)
    factor.build_from({"h": 3})
    distribution = _scattered(factor).distribution(_values("h", 3))
    side = np.linspace(-15, 15, 601, dtype="float32")
    grid = tf.constant(np.stack(np.meshgrid(side, side), -1).reshape(-1, 1, 2))
    density = np.exp(distribution.log_prob(grid).numpy().astype("float64"))
    np.testing.assert_allclose(density.sum() * (side[1] - side[0]) ** 2, 1.0, atol=0.02)
    sample = factor.sample(distribution, 500, 1, tf.constant([1, 2]))
    fresh = distribution.log_prob(tf.constant(sample.numpy()))  # through the inverse, not the cache
    np.testing.assert_allclose(distribution.log_prob(sample), fresh, atol=1e-2)


def test_a_squashed_gaussian_has_mass_one_on_its_interval():
    factor = transformed.SquashedGaussian("h", 1, mlp.Network(hidden=(4,)), -1.5, 1.5)
    factor.build_from({"h": 3})
    distribution = _scattered(factor).distribution(_values("h", 3))
    z = np.linspace(-1.5, 1.5, 200_001, dtype="float64")
    middle = tf.constant(((z[1:] + z[:-1]) / 2)[:, None, None], tf.float32)
    mass = np.exp(distribution.log_prob(middle).numpy().astype("float64")).sum() * (z[1] - z[0])
    np.testing.assert_allclose(mass, 1.0, atol=2e-3)
    sample = factor.sample(distribution, 2000, 1, tf.constant([1, 2]))
    assert -1.5 <= np.min(sample) and np.max(sample) <= 1.5


def test_the_uniform_prior_is_constant_on_its_cube():
    prior = transformed.Uniform(-1.0, 3.0, units=2)
    z = prior.sample(prior.distribution({}), 4, 5, tf.constant([1, 2]))
    assert z.shape == (4, 5, 2)
    np.testing.assert_allclose(prior.log_prob({}, z), np.full((4, 5), -2 * np.log(4.0)), rtol=1e-6)
    np.testing.assert_allclose(prior.distribution({}).log_prob(z), prior.log_prob({}, z), rtol=1e-6)


def test_a_precision_weighted_gaussian_is_the_product_of_both():
    network = mlp.Network(hidden=(4,))
    prior = conditionals.Gaussian("top", 2, network)
    merged = conditionals.PrecisionWeighted("x", prior, 2, network)
    assert merged.given == ("top", "x")
    prior.build_from({"top": 3})
    merged.build_from({"top": 3, "x": 5})
    seen = conditionals.Gaussian("x", 2, network)
    seen.build_from({"x": 5})
    _scattered(prior), _scattered(merged)
    seen.set_weights(merged.get_weights())  # the prior's weights are not among its own
    values = _values("x", 5) | _values("top", 3, seed=2)
    (m1, v1), (m2, v2) = (
        (d.mean().numpy(), d.variance().numpy()) for d in (seen.distribution(values), prior.distribution(values))
    )
    ours = merged.distribution(values)
    np.testing.assert_allclose(ours.variance(), 1 / (1 / v1 + 1 / v2), rtol=1e-4)
    np.testing.assert_allclose(ours.mean(), (m1 / v1 + m2 / v2) / (1 / v1 + 1 / v2), rtol=1e-4, atol=1e-5)


def _of_log_variance(cls, v, ceiling, base=False, **options):
    """The log-variance of a conditional (or of the base of a transformed one) whose network gives mu = 0 and v."""
    network = mlp.Network(hidden=(5,), log_variance_ceiling=ceiling)
    factor = cls("y z", 1, network, **options)
    factor.build_from(SIZES)
    values = [0.0, v] + [0.0] * (factor.head_units - 2)
    distribution = _constant(factor, values).distribution(_parents())
    return np.log((distribution.distribution if base else distribution).variance().numpy().flat[0])


@pytest.mark.parametrize(("v", "expected"), [(40.0, 2.0), (2.0, 2.0 - np.log(2.0)), (-9.0, -9.0)])
def test_the_ceiling_of_the_log_variance_is_smooth_and_for_latents_alone(v, expected):
    np.testing.assert_allclose(_of_log_variance(conditionals.Gaussian, v, 2.0), expected, atol=1e-4)
    np.testing.assert_allclose(_of_log_variance(conditionals.Gaussian, v, None), v, atol=1e-4)
    floored = -7.0 + np.logaddexp(0.0, v + 7.0)
    np.testing.assert_allclose(_of_log_variance(likelihoods.GaussianLikelihood, v, 2.0), floored, atol=1e-4)


def test_the_ceiling_holds_for_every_gaussian_that_reads_its_variance_off_a_network():
    for make in (
        lambda ceiling: _of_log_variance(transformed.SquashedGaussian, 40.0, ceiling, base=True),
        lambda ceiling: _of_log_variance(transformed.PlanarFlow, 40.0, ceiling, base=True, flows=2),
    ):
        np.testing.assert_allclose([make(2.0), make(None)], [2.0, 40.0], atol=1e-4)


def test_the_ceiling_of_a_linear_gaussian_is_that_of_what_a_adds_too():
    network = mlp.Network(hidden=(5,), log_variance_ceiling=2.0)
    free, bounded = (
        _built(linear_gaussian.LinearGaussian("a", "y", 4, net, linear_units=2), scale=30.0)
        for net in (mlp.Network(hidden=(5,)), network)
    )
    bounded.set_weights(free.get_weights())
    values = {"y": tf.eye(3)[tf.newaxis], "a": tf.zeros([1, 3, 2])}
    variances = []
    for factor in (free, bounded):
        _, log_variance, directions = factor._parameters(values)
        variances.append(log_variance.numpy() + np.log1p(np.sum(np.square(directions), -1)))
    assert variances[0].max() > 10
    np.testing.assert_allclose(variances[1], 2.0 - np.logaddexp(0.0, 2.0 - variances[0]), rtol=1e-3, atol=1e-3)
