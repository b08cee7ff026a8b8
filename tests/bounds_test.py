"""The laws of the bounds: enumeration, a closed-form mixture of linear Gaussians, unbiased class sampling.

The closed-form world has classes y, latents z and a and data x that are jointly Gaussian given y, so that log p(x),
log p(x, y) and every posterior are known. With the exact posteriors as q every bound must be log p(x) whatever is drawn.
"""

import types

import numpy as np
import pytest
import scipy.special
import scipy.stats
import tensorflow as tf
import tensorflow_probability as tfp

from tfadgm import bounds, class_weights, noise
from tfadgm.distributions import conditionals, likelihoods
from tfadgm.networks import mlp

tfd = tfp.distributions
SEED = tf.constant([3, 4])
K, DZ, DA, DX = 3, 2, 2, 3
BLOCKS = {"z": slice(0, DZ), "a": slice(DZ, DZ + DA), "x": slice(DZ + DA, DZ + DA + DX)}


def _rng(*key):
    return np.random.default_rng(key)


# ------------------------------------------------------------------------------------------------ the closed-form world


class Linear:
    """N(child | bias_y + sum_n matrix_y,n n, covariance_y): linear in its parents, with coefficients that y chooses."""

    is_deterministic = False
    sample = conditionals.Conditional.sample
    sample_and_log_prob = conditionals.Conditional.sample_and_log_prob

    def __init__(self, matrices, bias, covariance):
        self.matrices = {name: tf.constant(matrix, tf.float32) for name, matrix in matrices.items()}
        self.bias = tf.constant(bias, tf.float32)
        self.cholesky = tf.constant(np.linalg.cholesky(covariance), tf.float32)
        self.given, self.units = (*matrices, "y"), self.bias.shape[-1]

    def distribution(self, values):
        y = values.get("y", tf.ones([1]))  # a model without y has one class
        loc = tf.einsum("...k,kd->...d", y, self.bias)
        for name, matrix in self.matrices.items():
            loc += tf.linalg.matvec(tf.einsum("...k,kdn->...dn", y, matrix), values[name])
        return tfd.MultivariateNormalTriL(loc, tf.einsum("...k,kde->...de", y, self.cholesky))

    def log_prob(self, values, value):
        return self.distribution(values).log_prob(value)


class Mixture(Linear):
    """sum_y p(y|x) N(child | bias_y + matrix_y x, covariance_y): the exact q(a|x)."""

    def __init__(self, log_class, *linear):
        super().__init__(*linear)
        self.log_class = log_class

    def distribution(self, values):
        loc = tf.einsum("kdn,...n->...kd", self.matrices["x"], values["x"]) + self.bias
        classes = tfd.Categorical(logits=self.log_class(values))
        return tfd.MixtureSameFamily(classes, tfd.MultivariateNormalTriL(loc, self.cholesky))


class World:
    """p(y) p(z) p(a|y,z) p(x|y,z) (or p(x|a,y,z)), its exact posteriors and log p(x)."""

    def __init__(self, classes=K, skip=False, informed=True):
        rng, self.classes = _rng(0), classes
        self.prior = rng.dirichlet(np.full(classes, 5.0))
        a_of_z, x_of_z = 0.5 * informed * rng.normal(size=(classes, DA, DZ)), rng.normal(size=(classes, DX, DZ))
        x_of_a = 0.5 * skip * rng.normal(size=(classes, DX, DA))
        a, x = 0.5 * informed * rng.normal(size=(classes, DA)), 0.5 * rng.normal(size=(classes, DX))
        noise_a, noise_x = 0.9 * np.eye(DA), 0.8 * np.eye(DX)
        self.mean = np.concatenate([np.zeros((classes, DZ)), a, x + np.einsum("kij,kj->ki", x_of_a, a)], -1)
        factor = np.stack(  # (z, a, x) = mean + factor (three independent noises)
            [
                np.block(
                    [
                        [np.eye(DZ), np.zeros((DZ, DA + DX))],
                        [a_of_z[k], noise_a, np.zeros((DA, DX))],
                        [x_of_z[k] + x_of_a[k] @ a_of_z[k], x_of_a[k] @ noise_a, noise_x],
                    ]
                )
                for k in range(classes)
            ]
        )
        self.covariance = factor @ np.swapaxes(factor, 1, 2)
        self.z = conditionals.StandardNormal(units=DZ)
        self.p_a = Linear({"z": a_of_z}, a, [noise_a**2] * classes)
        self.p_x = Linear({"z": x_of_z, **({"a": x_of_a} if skip else {})}, x, [noise_x**2] * classes)
        self.p_y = conditionals.FixedCategorical(self.prior)

    def posterior(self, child, *parents):
        """(matrices, bias, covariance) of the Gaussian p(child | parents, y)."""
        rows, columns = BLOCKS[child], np.r_[tuple(BLOCKS[n] for n in parents)]
        cross = self.covariance[:, rows][:, :, columns]
        gain = cross @ np.linalg.inv(self.covariance[:, columns][:, :, columns])
        bias = self.mean[:, rows] - np.einsum("kij,kj->ki", gain, self.mean[:, columns])
        covariance = self.covariance[:, rows][:, :, rows] - gain @ np.swapaxes(cross, 1, 2)
        sizes = np.cumsum([BLOCKS[n].stop - BLOCKS[n].start for n in parents])[:-1]
        return dict(zip(parents, np.split(gain, sizes, -1), strict=True)), bias, covariance

    def log_joint(self, *names):
        """A function of values: log p(y, names) for every y, [..., K]."""
        columns = np.r_[tuple(BLOCKS[n] for n in names)]
        covariance = self.covariance[:, columns][:, :, columns]
        normal = tfd.MultivariateNormalTriL(
            tf.constant(self.mean[:, columns], tf.float32), tf.constant(np.linalg.cholesky(covariance), tf.float32)
        )

        def log_joint(values):
            leading = sum(0 * values[n][..., :1] for n in names)
            value = tf.concat([values[n] + leading for n in names], -1)
            return normal.log_prob(value[..., tf.newaxis, :]) + np.log(self.prior).astype("float32")

        return log_joint

    def log_p(self, x):
        """Exact log p(x, y), [K, B], in double precision."""
        block = BLOCKS["x"]
        return np.stack(
            [
                scipy.stats.multivariate_normal(self.mean[k, block], self.covariance[k, block, block]).logpdf(x)
                + np.log(self.prior[k])
                for k in range(self.classes)
            ]
        ).reshape(self.classes, -1)

    def data(self, batch):
        """Draws x, [B, DX], and its y, [B]."""
        rng = _rng(1)
        y = rng.choice(self.classes, size=batch, p=self.prior)
        block = BLOCKS["x"]
        x = [rng.multivariate_normal(self.mean[k, block], self.covariance[k, block, block]) for k in y]
        return np.array(x, "float32"), y


def _classifier(log_joint, tilt=0.0):
    """q(y|.) proportional to exp(log_joint + tilt)."""
    tilt = tf.constant(tilt, tf.float32)
    return types.SimpleNamespace(units=K, log_probs=lambda values: tf.nn.log_softmax(log_joint(values) + tilt))


def _off(linear, shift, inflate):
    """A posterior that is wrong by a shift of its mean and a factor of its covariance."""
    matrices, bias, covariance = linear
    return matrices, bias + shift, covariance * inflate


def _vae(shift=0.0, inflate=1.0):
    world = World(classes=1)
    q = {"z": Linear(*_off(world.posterior("z", "x"), shift, inflate))}
    return world, {"z": world.z, "x": world.p_x}, q


def _m2(shift=0.0, inflate=1.0, tilt=0.0):
    world = World()
    q = {"y": _classifier(world.log_joint("x"), tilt), "z": Linear(*_off(world.posterior("z", "x"), shift, inflate))}
    return world, {"y": world.p_y, "z": world.z, "x": world.p_x}, q


def _auxiliary(shift=0.0, inflate=1.0, tilt=0.0, **options):
    world = World(**options)
    q = {
        "a": Mixture(world.log_joint("x"), *_off(world.posterior("a", "x"), shift, inflate)),
        "y": _classifier(world.log_joint("a", "x"), tilt),
        "z": Linear(*_off(world.posterior("z", "a", "x"), shift, inflate)),
    }
    return world, {"y": world.p_y, "z": world.z, "a": world.p_a, "x": world.p_x}, q


def _adgm(**wrong):
    return _auxiliary(**wrong)


def _uninformed(**wrong):
    return _auxiliary(informed=False, **wrong)


def _sdgm(**wrong):
    return _auxiliary(skip=True, **wrong)


WITH_CLASS = [_m2, _adgm, _uninformed, _sdgm]
ALL = [_vae, *WITH_CLASS]


def _draws(batch, samples=1, **options):
    return noise.Draws(SEED, batch, samples, **options)


def _unlabelled(p, q, x, draws, average=False, **options):
    values, log_q, log_q_y = bounds.infer_class(q, x, draws)
    if average:
        log_q_y = class_weights.average_class(log_q_y)
    return bounds.unlabelled_bound(p, q, (values, log_q), log_q_y, draws, **options)


@pytest.mark.parametrize("make", ALL)
def test_with_the_exact_posterior_every_log_weight_is_log_p_x(make):
    world, p, q = make()
    x, _ = world.data(6)
    log_p_x = scipy.special.logsumexp(world.log_p(x), 0)
    log_w = bounds.marginal_log_weight(p, q, tf.constant(x[np.newaxis]), _draws(6, samples=4))
    assert log_w.shape == (4, 6)
    np.testing.assert_allclose(log_w, np.broadcast_to(log_p_x, (4, 6)), rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize("make", WITH_CLASS)
@pytest.mark.parametrize("samples", [1, 4])
def test_with_the_exact_posterior_the_unlabelled_bound_is_log_p_x(make, samples):
    world, p, q = make()
    x, _ = world.data(6)
    log_p_x = scipy.special.logsumexp(world.log_p(x), 0)
    bound = _unlabelled(p, q, tf.constant(x[np.newaxis]), _draws(6, samples))
    assert bound.shape == (6,)
    np.testing.assert_allclose(bound, log_p_x, rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize("make", [_m2, _uninformed])  # elsewhere q(a|x) differs from p(a|x,y), and the bound is no equality
def test_with_the_exact_posterior_the_labelled_side_is_log_p_x_y(make):
    world, p, q = make()
    x, y = world.data(6)
    log_p = world.log_p(x)
    log_w = bounds.class_log_weight(p, q, tf.constant(x[np.newaxis]), _draws(6, samples=4))
    np.testing.assert_allclose(log_w, np.broadcast_to(log_p[:, None], (K, 4, 6)), rtol=1e-5, atol=2e-5)
    for reduce_samples in (bounds.mean_bound, bounds.importance_bound):
        bound = bounds.labelled_bound(
            p, q, tf.constant(x[np.newaxis]), tf.one_hot(y, K), _draws(6, samples=4), reduce_samples=reduce_samples
        )
        np.testing.assert_allclose(bound, log_p[y, np.arange(6)], rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize("make", [_adgm, _sdgm])
def test_the_classification_bound_of_the_exact_posterior_is_log_p_y_given_x(make):
    world, _, q = make()
    x, y = world.data(5)
    log_p = world.log_p(x)
    _, _, log_q_y = bounds.infer_class(q, tf.constant(x[np.newaxis]), _draws(5, samples=20_000))
    exact = (log_p - scipy.special.logsumexp(log_p, 0))[y, np.arange(5)]
    np.testing.assert_allclose(bounds.classification_bound(log_q_y, tf.one_hot(y, K)), exact, atol=0.05)
    inside = tf.reduce_mean(tf.gather(log_q_y, y, axis=2, batch_dims=0), 0)
    assert np.all(np.diag(inside) < exact)  # the log inside the average would be lower


WRONG = dict(shift=0.3, inflate=1.4)


def _copies(make, samples, copies=3000, **wrong):
    """Many independent estimates for one example: its copies on the batch axis."""
    world, p, q = make(**(wrong or WRONG))
    x = np.repeat(world.data(1)[0], copies, 0)
    return world.log_p(x[:1])[:, 0], p, q, tf.constant(x[np.newaxis]), _draws(copies, samples)


def _near(values, expected, errors=5.0):
    values = np.asarray(values, "float64")
    np.testing.assert_allclose(values.mean(-1), expected, atol=errors * np.max(values.std(-1)) / np.sqrt(values.shape[-1]))


@pytest.mark.parametrize("make", ALL)
def test_with_a_wrong_posterior_the_weights_still_average_to_p_x(make):
    log_p, p, q, x, draws = _copies(make, samples=10)
    log_w = bounds.marginal_log_weight(p, q, x, draws)
    weights = np.exp(np.ravel(log_w) - scipy.special.logsumexp(log_p))
    assert weights.std() > 0.1
    _near(weights, 1.0)


@pytest.mark.parametrize("make", WITH_CLASS)
def test_with_a_wrong_posterior_the_weights_of_each_class_average_to_p_x_y(make):
    log_p, p, q, x, draws = _copies(make, samples=10)
    log_w = np.reshape(bounds.class_log_weight(p, q, x, draws), (K, -1))
    for k in range(K):
        _near(np.exp(log_w[k] - log_p[k]), 1.0)


def test_the_mean_bound_falls_short_of_log_p_x_by_the_divergence_of_the_posteriors():
    log_p, p, q, x, draws = _copies(_vae, samples=10)
    exact = Linear(*World(classes=1).posterior("z", "x")).distribution({"x": x[:, :1]})
    gap = float(np.squeeze(q["z"].distribution({"x": x[:, :1]}).kl_divergence(exact)))
    assert gap > 0.1
    _near(bounds.mean_bound(bounds.marginal_log_weight(p, q, x, draws)), log_p[0] - gap)


def test_the_importance_bound_with_a_class_tends_to_log_p_x_less_the_divergence_of_the_classes():
    """log p(x) - KL(q(y|x) || p(y|x)): the average over y stays outside the logarithm."""
    log_p, p, q, x, draws = _copies(_m2, samples=300, copies=400, tilt=[3.0, 0.0, -1.5], **WRONG)
    log_p_x = scipy.special.logsumexp(log_p)
    log_q = np.asarray(q["y"].log_probs({"x": x[:, :1]})[0, 0], "float64")
    divergence = np.exp(log_q) @ (log_q - (log_p - log_p_x))
    assert divergence > 0.1
    bound = _unlabelled(p, q, x, draws, average=True, reduce_samples=bounds.importance_bound)
    np.testing.assert_allclose(np.mean(bound), log_p_x - divergence, atol=0.02)


@pytest.mark.parametrize("make", ALL)
def test_importance_bounds_rise_with_the_samples_from_the_mean_bound_to_log_p_x(make):
    log_p, p, q, x, draws = _copies(make, samples=64, copies=1500)
    log_p_x = scipy.special.logsumexp(log_p)
    log_w = bounds.marginal_log_weight(p, q, x, draws)
    rising = [float(np.mean(bounds.importance_bound(log_w[:s]))) for s in (1, 2, 8, 64)]
    assert np.all(np.diff(rising) > 0)
    assert rising[0] < log_p_x - 0.05
    assert abs(rising[-1] - log_p_x) < 0.02
    np.testing.assert_allclose(bounds.importance_bound(log_w[:1]), bounds.mean_bound(log_w[:1]), rtol=1e-5, atol=1e-5)
    assert np.all(bounds.importance_bound(log_w) >= bounds.mean_bound(log_w) - 1e-5)


@pytest.mark.parametrize("make", WITH_CLASS)
@pytest.mark.parametrize("options", [{}, dict(average=True), dict(average=True, reduce_samples=bounds.importance_bound)])
def test_with_a_wrong_posterior_and_classifier_the_unlabelled_bound_is_below_log_p_x(make, options):
    log_p, p, q, x, draws = _copies(make, samples=4, shift=0.3, inflate=1.4, tilt=[0.5, 0.0, -0.5])
    bound = np.asarray(_unlabelled(p, q, x, draws, **options), "float64")
    assert bound.mean() + 4 * bound.std() / np.sqrt(bound.size) < scipy.special.logsumexp(log_p)


@pytest.mark.parametrize("make", [_adgm, _sdgm])
@pytest.mark.parametrize("reduce_samples", [bounds.mean_bound, bounds.importance_bound])
def test_averaging_the_classifier_over_samples_keeps_a_lower_bound(make, reduce_samples):
    log_p, p, q, x, draws = _copies(make, samples=5, shift=0.0)
    log_p_x = scipy.special.logsumexp(log_p)
    values, log_q, log_q_y = bounds.infer_class(q, x, draws)
    averaged = class_weights.average_class(log_q_y)
    inferred = bounds.first_samples(values, 2), {"a": log_q["a"][:2]}  # fewer samples in the bound than in q(y|x)
    bound = bounds.unlabelled_bound(p, q, inferred, averaged, draws.replace(samples=2), reduce_samples=reduce_samples)
    bound = np.asarray(bound, "float64")
    assert bound.mean() < log_p_x + 4 * bound.std() / np.sqrt(bound.size)
    # No slack hides a mistake: the classes of each sample with the entropy of the average would exceed log p(x).
    of_samples = tf.reduce_mean(class_weights.entropy(log_q_y), 0)
    mixed = bounds.unlabelled_bound(p, q, (values, log_q), log_q_y, draws) - of_samples
    assert np.mean(mixed + class_weights.entropy(averaged)[0]) > log_p_x + 1e-3


# ------------------------------------------------------------------------------------------- enumeration against a loop


def _network_model(skip=True, classes=4, seed=0):
    """The SDGM (or ADGM) of neural networks with random weights, and pinned latents of its own for every class."""
    net, sizes = mlp.Network(hidden=(6,)), {"x": 5, "y": classes, "z": 3, "a": 2}
    p = dict(
        y=conditionals.FixedCategorical(_rng(seed, 98).dirichlet(np.full(classes, 2.0))),
        z=conditionals.StandardNormal(units=3),
        a=conditionals.Gaussian("y z", 2, net),
        x=likelihoods.BernoulliLikelihood("a y z" if skip else "y z", 5, net),
    )
    q = dict(
        a=conditionals.Gaussian("x", 2, net),
        y=conditionals.Categorical("a x", classes, net),
        z=conditionals.Gaussian("a x y", 3, net),
    )
    for i, factor in enumerate([*p.values(), *q.values()]):
        factor.build_from(sizes)
        for weight in factor.weights:
            weight.assign(_rng(seed, i, *weight.shape).normal(scale=0.7, size=weight.shape))
    x = tf.constant(_rng(seed, 99).integers(0, 2, (1, 6, 5)), tf.float32)
    return p, q, x


def _latents(classes=4, samples=3, batch=6):
    rng = _rng(5)
    a = tf.constant(rng.normal(size=(samples, batch, 2)), tf.float32)
    return a, tf.constant(rng.normal(size=(classes, samples, batch, 3)), tf.float32)


def _f(p, q, x, y, a, z, temperature=1.0):
    """log p(x|.) + temperature (log p(y, z, a) - log q(a, z|.)), [S, B], for one class y (one-hot [K])."""
    values = {"x": x, "y": tf.broadcast_to(y, [1, 1, len(y)]), "a": a, "z": z}
    latents = sum(p[n].log_prob(values, values[n]) for n in "yza") - sum(q[n].log_prob(values, values[n]) for n in "za")
    return (p["x"].log_prob(values, x) + temperature * latents).numpy()


def _numpy_reduce(reduce_samples):
    if reduce_samples is bounds.mean_bound:
        return lambda f: f.mean(0)
    return lambda f: scipy.special.logsumexp(f, 0) - np.log(len(f))


@pytest.mark.parametrize("skip", [False, True])
@pytest.mark.parametrize("temperature", [1.0, 0.3, 0.0])
def test_enumeration_equals_a_loop_over_the_classes_for_each_sample(skip, temperature):
    p, q, x = _network_model(skip)
    a, z = _latents()
    draws = _draws(6, 3, pinned={"a": a, "z": z})
    values, log_q, log_q_y = bounds.infer_class(q, x, draws)
    assert log_q_y.shape == (3, 6, 4) and values["a"] is a
    bound = bounds.unlabelled_bound(p, q, (values, log_q), log_q_y, draws, temperature)
    expected = 0.0
    for k, y in enumerate(np.eye(4, dtype="float32")):
        log_q_k = log_q_y.numpy()[..., k]
        expected += np.exp(log_q_k) * (_f(p, q, x, y, a, z[k], temperature) - temperature * log_q_k)
    np.testing.assert_allclose(bound, expected.mean(0), rtol=1e-5, atol=1e-5)


def _kl(factor, prior, values):
    """KL(factor || prior), summed over units, by TFP's own Gaussians."""
    own, other = (d.distribution(values).distribution for d in (factor, prior))
    normals = [tfd.Normal(d.loc, tf.exp(0.5 * d.log_variance)) for d in (own, other)]
    return tf.reduce_sum(tfd.kl_divergence(*normals), -1)


@pytest.mark.parametrize("temperature", [1.0, 0.3])
def test_a_divergence_in_closed_form_takes_the_place_of_the_densities_of_a_draw(temperature):
    """Of z, whose prior reads nothing; p(a|y,z) reads z, which is not known when a is drawn."""
    p, q, x = _network_model()
    a, z = _latents()
    draws = _draws(6, 3, pinned={"a": a, "z": z})
    values, log_q, log_q_y = bounds.infer_class(q, x, draws, closed=p)
    bound = bounds.unlabelled_bound(p, q, (values, log_q), log_q_y, draws, temperature, closed=p)
    expected, f = 0.0, []
    for k, y in enumerate(np.eye(4, dtype="float32")):
        given = {"x": x, "y": tf.broadcast_to(y, [1, 1, 4]), "a": a, "z": z[k]}
        densities = p["z"].log_prob(given, z[k]) - q["z"].log_prob(given, z[k])
        f.append(_f(p, q, x, y, a, z[k], temperature) - temperature * (densities + _kl(q["z"], p["z"], given)).numpy())
        log_q_k = log_q_y.numpy()[..., k]
        expected += np.exp(log_q_k) * (f[-1] - temperature * log_q_k)
    np.testing.assert_allclose(bound, expected.mean(0), rtol=1e-5, atol=1e-5)
    y = tf.one_hot([2] * 6, 4)
    pinned = draws.replace(pinned={"a": a, "z": z[2]})
    labelled = bounds.labelled_bound(p, q, x, y, pinned, temperature, closed=p)
    np.testing.assert_allclose(labelled, f[2].mean(0), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("downwards", [True, False])
def test_a_divergence_has_a_closed_form_where_what_p_reads_is_known_before(downwards):
    net, sizes = mlp.Network(hidden=(6,)), {"x": 5, "z1": 3, "z2": 2}
    p = dict(
        z2=conditionals.StandardNormal(units=2),
        z1=conditionals.Gaussian("z2", 3, net),
        x=likelihoods.BernoulliLikelihood("z1", 5, net),
    )
    if downwards:
        q = dict(z2=conditionals.Gaussian("x", 2, net), z1=conditionals.PrecisionWeighted("x", p["z1"], 3, net))
    else:
        q = dict(z1=conditionals.Gaussian("x", 3, net), z2=conditionals.Gaussian("z1", 2, net))
    for i, factor in enumerate([*p.values(), *q.values()]):
        factor.build_from(sizes)
        for weight in factor.weights:
            weight.assign(_rng(i, *weight.shape).normal(scale=0.7, size=weight.shape))
    x = tf.constant(_rng(99).integers(0, 2, (1, 6, 5)), tf.float32)
    found = bounds.density_log_weight(p, q, x, _draws(6, 4), 0.7, closed=p)
    values, log_q = bounds.follow(q, {"x": x}, _draws(6, 4))
    latents = {name: p[name].log_prob(values, values[name]) - log_q[name] for name in q}
    for name in q if downwards else ("z2",):
        latents[name] = -_kl(q[name], p[name], values)
    expected = p["x"].log_prob(values, x) + 0.7 * sum(latents.values())
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("reduce_samples", [bounds.mean_bound, bounds.importance_bound])
@pytest.mark.parametrize("temperature", [1.0, 0.3])
def test_enumeration_equals_a_loop_over_the_classes_with_one_distribution_for_all_samples(reduce_samples, temperature):
    p, q, x = _network_model()
    a, z = _latents()
    draws = _draws(6, 3, pinned={"a": a, "z": z})
    values, log_q, log_q_y = bounds.infer_class(q, x, draws)
    log_q_y = class_weights.average_class(log_q_y)
    assert log_q_y.shape == (1, 6, 4)
    bound = bounds.unlabelled_bound(p, q, (values, log_q), log_q_y, draws, temperature, reduce_samples)
    expected = 0.0
    for k, y in enumerate(np.eye(4, dtype="float32")):
        f = _numpy_reduce(reduce_samples)(_f(p, q, x, y, a, z[k], temperature))
        log_q_k = log_q_y.numpy()[0, :, k]
        expected += np.exp(log_q_k) * (f - temperature * log_q_k)
    np.testing.assert_allclose(bound, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("reduce_samples", [bounds.mean_bound, bounds.importance_bound])
def test_the_labelled_bound_and_the_weights_of_classes_are_those_of_the_loop(reduce_samples):
    p, q, x = _network_model()
    a, z = _latents()
    f = np.stack([_f(p, q, x, y, a, z[k]) for k, y in enumerate(np.eye(4, dtype="float32"))])
    draws = _draws(6, 3, pinned={"a": a, "z": z})
    np.testing.assert_allclose(bounds.class_log_weight(p, q, x, draws), f, rtol=1e-5, atol=1e-5)
    marginal = scipy.special.logsumexp(f, 0)
    np.testing.assert_allclose(bounds.marginal_log_weight(p, q, x, draws), marginal, rtol=1e-5, atol=1e-5)
    y = np.array([0, 3, 2, 1, 1, 0])
    z_of_y = np.moveaxis(z.numpy()[y, :, np.arange(6)], 0, 1)
    draws = _draws(6, 3, pinned={"a": a, "z": tf.constant(z_of_y)})
    expected = _numpy_reduce(reduce_samples)(f[y, :, np.arange(6)].T)
    for inferred in (None, bounds.follow({"a": q["a"]}, {"x": x}, draws)):
        bound = bounds.labelled_bound(p, q, x, tf.one_hot(y, 4), draws, reduce_samples=reduce_samples, inferred=inferred)
        np.testing.assert_allclose(bound, expected, rtol=1e-5, atol=1e-5)


def test_temperature_zero_leaves_the_reconstruction_and_the_bound_is_linear_in_it():
    p, q, x = _network_model()
    a, z = _latents()
    y = tf.one_hot([0, 3, 2, 1, 1, 0], 4)
    draws = _draws(6, 3, pinned={"a": a, "z": z[0]})
    cold, half, warm = (bounds.labelled_bound(p, q, x, y, draws, temperature) for temperature in (0.0, 0.5, 1.0))
    values = {"x": x, "y": y[tf.newaxis], "a": a, "z": z[0]}
    np.testing.assert_allclose(cold, np.mean(p["x"].log_prob(values, x), 0), rtol=1e-5)
    np.testing.assert_allclose(half, (cold + warm) / 2, rtol=1e-5, atol=1e-5)
    assert np.abs(warm - cold).min() > 1e-2


def test_enumeration_draws_z_from_each_class_of_its_own():
    # The latents' law, not only their score: a wrong order of axes would draw z of one class and score it under another.
    world, p, q = _m2()
    x, _ = world.data(2)
    y = tf.eye(K)[:, tf.newaxis, tf.newaxis, :]
    values, log_q = bounds.follow({"z": q["z"]}, {"x": tf.constant(x[np.newaxis]), "y": y}, _draws(2, 4000))
    assert values["z"].shape == (K, 4000, 2, DZ) and log_q["z"].shape == (K, 4000, 2)
    matrices, bias, covariance = world.posterior("z", "x")
    mean = np.einsum("kdn,bn->kbd", matrices["x"], x) + bias[:, None]
    np.testing.assert_allclose(np.mean(values["z"], 1), mean, atol=5 * np.sqrt(covariance.max() / 4000))


# ------------------------------------------------------------------------------------------ sampling some of the classes


@pytest.mark.parametrize("average", [False, True])
def test_the_bound_with_sampled_classes_is_unbiased_for_every_weight_of_the_model(choose_class, average):
    p, q, x = _network_model()
    samples = 3 if average else 1  # with one sample there is one choice per example, whose probability weighs its bound
    a, z = _latents(samples=samples)
    z = z[0]  # the same z for all classes, whose order changes
    draws = _draws(6, samples, pinned={"a": a, "z": z})
    weights = [w.value for factor in [*p.values(), *q.values()] for w in factor.trainable_variables]

    def infer():
        values, log_q, log_q_y = bounds.infer_class(q, x, draws)
        return (values, log_q), class_weights.average_class(log_q_y)

    def estimate(exact, r):
        with tf.GradientTape() as tape:
            bound = bounds.unlabelled_bound(p, q, *infer(), draws, exact_classes=exact) * r
        return [bound.numpy(), *(g.numpy() for g in tape.gradient(bound, weights))]

    log_q_y, expectation = infer()[1], [0.0] * (1 + len(weights))
    for rank in range(3):
        _, r = choose_class(log_q_y, 1, rank)
        terms = estimate(1, r[0].astype("float32"))
        expectation = [mean + term for mean, term in zip(expectation, terms, strict=True)]
    for ours, theirs in zip(expectation, estimate(None, 1.0), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)


# ------------------------------------------------------------------------------------------------------- small functions


def test_the_classification_bound_is_the_log_of_the_average_over_samples():
    log_q_y = tf.nn.log_softmax(tf.constant(3 * _rng(8, 4).normal(size=(5, 3, 4)), tf.float32))
    q_y = np.exp(log_q_y.numpy().astype("float64"))
    y = np.array([1, 3, 0])
    classification = bounds.classification_bound(log_q_y, tf.one_hot(y, 4))
    np.testing.assert_allclose(classification, np.log(q_y.mean(0))[np.arange(3), y], rtol=1e-5, atol=1e-6)


def test_sample_reductions_are_those_of_numpy_on_the_axis_before_the_last():
    log_w = tf.constant(_rng(2).normal(size=(4, 3, 6)), tf.float32)
    np.testing.assert_allclose(bounds.mean_bound(log_w), log_w.numpy().mean(1), rtol=1e-5, atol=1e-6)
    expected = scipy.special.logsumexp(log_w, axis=1) - np.log(3)
    np.testing.assert_allclose(bounds.importance_bound(log_w), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(bounds.importance_bound(tf.constant([[-1e4], [-1e4]])), [-1e4])  # no underflow


def test_follow_scores_what_it_draws_or_is_pinned_but_not_what_is_given_or_deterministic():
    net = mlp.Network(hidden=(4,))
    q = {"a": conditionals.Deterministic("x", 2, net), "z": conditionals.Gaussian("a x", 3, net)}
    for factor in q.values():
        factor.build_from({"x": 5, "a": 2})
    x = tf.ones([1, 6, 5])
    values, log_q = bounds.follow(q, {"x": x}, _draws(6, 3))
    assert set(values) == {"x", "a", "z"} and set(log_q) == {"z"}
    assert values["a"].shape == (1, 6, 2) and values["z"].shape == (3, 6, 3)
    np.testing.assert_allclose(log_q["z"], q["z"].log_prob(values, values["z"]), rtol=1e-6)
    values, log_q = bounds.follow(q, {"x": x}, _draws(6, pinned={"z": tf.ones([1, 6, 3])}))
    np.testing.assert_allclose(log_q["z"], q["z"].log_prob(values, tf.ones([1, 6, 3])), rtol=1e-6)
    given = {"x": x, "z": tf.zeros([1, 6, 3])}
    values, log_q = bounds.follow(q, given, _draws(6))
    assert not log_q and values["z"] is given["z"] and "a" not in given


def test_split_at_y_and_first_samples():
    before, q_y, after = bounds.split_at_y({"a1": 1, "a2": 2, "y": 3, "z": 4})
    assert (before, q_y, after) == ({"a1": 1, "a2": 2}, 3, {"z": 4})
    assert list(before) == ["a1", "a2"]
    kept = bounds.first_samples({"x": tf.zeros([1, 6, 5]), "a": tf.range(24.0)[:, None, None] * tf.ones([24, 6, 2])}, 3)
    assert kept["x"].shape == (1, 6, 5)
    np.testing.assert_array_equal(kept["a"][:, 0, 0], [0, 1, 2])


def test_stopping_the_gradient_of_the_classifier_stops_it_at_the_latents_only():
    _, q, x = _network_model()
    for stopped in ((), ("a",)):
        with tf.GradientTape() as tape:
            _, _, log_q_y = bounds.infer_class(q, x, _draws(6, 3), stopped)
            loss = tf.reduce_sum(bounds.classification_bound(log_q_y, tf.one_hot([0, 1, 2, 3, 0, 1], 4)))
        of_a, of_y = tape.gradient(loss, [q[n].head.kernel.value for n in "ay"])
        assert np.abs(of_y).max() > 0
        assert (of_a is None or not np.any(of_a)) == bool(stopped)
