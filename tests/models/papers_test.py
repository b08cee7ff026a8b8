"""The bound of each model, written out as in its paper with scipy's densities and a loop over y, at latents that are known.

The networks' outputs are the model's own; which densities they enter, with which parents and signs, is written here again.
"""

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
from scipy.special import logsumexp

from tfadgm import bounds, registry
from tfadgm.data.preprocess import Preprocess
from tfadgm.models.objective import Objective
from tfadgm.models.untapped import UntappedOptions
from tfadgm.networks import mlp

D, K, B = 6, 3, 5
SEED = tf.constant([3, 4])


def _make(name, **options):
    network = mlp.Network(hidden=(8,), hidden_above=(5,))
    model = registry.model_class(name)(Preprocess([D]), K, network=network, **options)
    rng = np.random.default_rng(0)
    for w in model.trainable_variables:
        w.assign(0.5 * rng.normal(size=w.shape))
    return model


def _raw():
    return (np.random.default_rng(1).random((B, D)) < 0.5).astype("float32")


def _parameters(factor, **parents):
    values = {name: tf.constant(value[None], tf.float32) for name, value in parents.items()}
    return factor(values).numpy().astype("float64")[0]


def gaussian(factor, value, **parents):
    """log N(value | mu, exp(v)), [B], mu and v the outputs of the factor's network."""
    mu, v = np.split(_parameters(factor, **parents), 2, -1)
    return scipy.stats.norm.logpdf(value, mu, np.exp(v / 2)).sum(-1)


def standard(value):
    return scipy.stats.norm.logpdf(value).sum(-1)


def bernoulli(factor, x, **parents):
    logits = _parameters(factor, **parents)
    return scipy.stats.bernoulli.logpmf(x.astype(int), 1 / (1 + np.exp(-logits))).sum(-1)


def categorical(factor, **parents):
    """log-probabilities of all classes, [B, K]."""
    logits = _parameters(factor, **parents)
    return logits - logsumexp(logits, -1, keepdims=True)


def mean(factor, **parents):
    return np.split(_parameters(factor, **parents), 2, -1)[0]


def one_hot(k):
    return np.tile(np.eye(K)[k], (B, 1))


def _check(model, expected):
    np.testing.assert_allclose(model.elbo(_raw(), SEED), expected, rtol=1e-5, atol=1e-5)


def test_vae_of_two_layers(mean_latents):
    model, x = _make("vae", dim_z=(3, 2)), _raw()
    p, q = model.p, model.q
    z1 = mean(q["z1"], x=x)
    z2 = mean(q["z2"], z1=z1)
    of_p = bernoulli(p["x"], x, z1=z1) + gaussian(p["z1"], z1, z2=z2) + standard(z2)
    _check(model, of_p - gaussian(q["z1"], z1, x=x) - gaussian(q["z2"], z2, z1=z1))


@pytest.mark.parametrize("sees", [False, True])
def test_avae_of_one_layer_eq_2(sees, mean_latents):
    model, x = _make("avae", dim_z=3, dim_a=2, a_sees_x=sees), _raw()
    p, q, seen = model.p, model.q, {"x": _raw()} if sees else {}
    a = mean(q["a"], x=x)
    z = mean(q["z"], a=a, x=x)
    of_p = bernoulli(p["x"], x, z=z) + standard(z) + gaussian(p["a"], a, z=z, **seen)
    _check(model, of_p - gaussian(q["a"], a, x=x) - gaussian(q["z"], z, a=a, x=x))


def test_avae_of_two_layers_eq_19_and_20(mean_latents):
    model, x = _make("avae", dim_z=(3, 2), dim_a=(2, 4)), _raw()
    p, q = model.p, model.q
    a1 = mean(q["a1"], x=x)
    z1 = mean(q["z1"], a1=a1, x=x)
    a2 = mean(q["a2"], a1=a1, x=x)
    z2 = mean(q["z2"], a2=a2, z1=z1)
    of_p = bernoulli(p["x"], x, z1=z1) + standard(z2) + gaussian(p["a2"], a2, z2=z2)
    of_p += gaussian(p["z1"], z1, z2=z2) + gaussian(p["a1"], a1, z1=z1, z2=z2)
    of_q = gaussian(q["a1"], a1, x=x) + gaussian(q["z1"], z1, a1=a1, x=x)
    of_q += gaussian(q["a2"], a2, a1=a1, x=x) + gaussian(q["z2"], z2, a2=a2, z1=z1)
    _check(model, of_p - of_q)


@pytest.mark.parametrize("latents", ["means", "draws"])
def test_the_bound_of_a_linear_avae_is_that_of_correlated_gaussians(latents, request):
    """log q(a) + log q(z|a,.) - log p(a|z,.) is log N(z | mu, s (I + V V') s), whatever a is."""
    if latents == "means":
        request.getfixturevalue("mean_latents")
    model, x = _make("avae", dim_z=(3, 2), dim_a=(2, 4), auxiliary="linear"), _raw()
    p, q = model.p, model.q
    values, _ = bounds.follow(q, {"x": tf.constant(x[None])}, model._draws(tf.constant(x[None]), SEED))
    z1, z2 = (np.broadcast_to(values[name].numpy()[0], (B, units)) for name, units in (("z1", 3), ("z2", 2)))

    def correlated(factor, value, **parents):
        mu, v, moved = np.split(_parameters(factor, **parents), [factor.units, 2 * factor.units], -1)
        directions = moved.reshape(B, factor.units, -1) + factor.directions.numpy()
        spread = np.exp(v / 2)
        covariance = (
            spread[:, :, None] * (np.eye(factor.units) + directions @ directions.swapaxes(1, 2)) * spread[:, None, :]
        )
        return np.array([scipy.stats.multivariate_normal.logpdf(*each) for each in zip(value, mu, covariance, strict=True)])

    of_p = bernoulli(p["x"], x, z1=z1) + standard(z2) + gaussian(p["z1"], z1, z2=z2)
    _check(model, of_p - correlated(q["z1"], z1, x=x) - correlated(q["z2"], z2, z1=z1))


def test_a_linear_avae_reads_x_once_for_its_bound_and_answers_with_the_mean_of_z(monkeypatch):
    model, x = _make("avae", dim_z=(3,), dim_a=(2,), auxiliary="linear"), _raw()
    trunk, calls = model.q["z"].trunk.call, []
    monkeypatch.setattr(model.q["z"].trunk, "call", lambda values: calls.append(1) or trunk(values))
    model.elbo(x, SEED)
    model.terms({"unlabelled": x}, SEED)
    model.log_weights(x, SEED, samples=4)
    assert len(calls) == 3
    np.testing.assert_array_equal(model(x), model.encode(x)["z"])
    assert np.std(model(x), 0).min() > 0


def test_lvae_merges_by_precision(mean_latents):
    model, x = _make("lvae", dim_z=(3, 2)), _raw()
    p, q = model.p, model.q
    z2 = mean(q["z2"], x=x)
    (m1, v1), (m2, v2) = (
        np.split(parameters, 2, -1) for parameters in (_parameters(q["z1"], x=x), _parameters(p["z1"], z2=z2))
    )
    precision = np.exp(-v1) + np.exp(-v2)
    z1 = (m1 * np.exp(-v1) + m2 * np.exp(-v2)) / precision
    of_q = gaussian(q["z2"], z2, x=x) + scipy.stats.norm.logpdf(z1, z1, precision**-0.5).sum(-1)
    _check(model, bernoulli(p["x"], x, z1=z1) + gaussian(p["z1"], z1, z2=z2) + standard(z2) - of_q)


def test_m2_eq_6_and_7(mean_latents):
    model, x = _make("m2", dim_z=3), _raw()
    p, q = model.p, model.q
    log_q_y, total = categorical(q["y"], x=x), 0.0
    for k in range(K):
        z = mean(q["z"], x=x, y=one_hot(k))
        f = bernoulli(p["x"], x, y=one_hot(k), z=z) - np.log(K) + standard(z) - gaussian(q["z"], z, x=x, y=one_hot(k))
        total += np.exp(log_q_y[:, k]) * (f - log_q_y[:, k])
    _check(model, total)


ADGMS = {
    "adgm": {},
    "sdgm": {},
    "adgm, a sees x": dict(a_sees_x=True),
    "adgm, uninformed": dict(auxiliary="uninformed"),
    "adgm, deterministic": dict(auxiliary="deterministic"),
}


@pytest.mark.parametrize("name", ADGMS)
def test_adgm_and_sdgm_eq_11_and_25_and_the_variants_of_a(name, mean_latents):
    model, x, options = _make(name.partition(",")[0], dim_z=3, dim_a=2, **ADGMS[name]), _raw(), ADGMS[name]
    p, q, auxiliary = model.p, model.q, options.get("auxiliary", "informed")
    a = _parameters(q["a"], x=x) if auxiliary == "deterministic" else mean(q["a"], x=x)
    seen, log_q_y, total = {"a": a} if name == "sdgm" else {}, categorical(q["y"], a=a, x=x), 0.0
    for k in range(K):
        y = one_hot(k)
        z = mean(q["z"], a=a, x=x, y=y)
        f = bernoulli(p["x"], x, y=y, z=z, **seen) - np.log(K) + standard(z) - gaussian(q["z"], z, a=a, x=x, y=y)
        if auxiliary == "informed":
            f += gaussian(p["a"], a, y=y, z=z, **({"x": x} if options else {})) - gaussian(q["a"], a, x=x)
        elif auxiliary == "uninformed":
            f += standard(a) - gaussian(q["a"], a, x=x)
        total += np.exp(log_q_y[:, k]) * (f - log_q_y[:, k])
    _check(model, total)


@pytest.mark.parametrize("skip", [False, True])
def test_cagem_eq_3(skip, mean_latents):
    model, x = _make("cagem", dim_z=(3, 2), skip=skip), _raw()
    p, q, seen = model.p, model.q, {"x": _raw()} if skip else {}
    z1 = mean(q["z1"], x=x)
    log_q_y, total = categorical(q["y"], z1=z1, x=x), 0.0
    for k in range(K):
        y = one_hot(k)
        z2 = mean(q["z2"], y=y, z1=z1, **seen)
        f = bernoulli(p["x"], x, y=y, z1=z1) + gaussian(p["z1"], z1, y=y, z2=z2) + standard(z2)
        f += categorical(p["y"], z2=z2)[:, k] - gaussian(q["z1"], z1, x=x) - gaussian(q["z2"], z2, y=y, z1=z1, **seen)
        total += np.exp(log_q_y[:, k]) * (f - log_q_y[:, k])
    _check(model, total)


def test_m1m2_section_2_3(mean_latents):
    model, x = _make("m1m2", dim_z=(3, 2)), _raw()
    p, q = model.p, model.q
    z1 = mean(q["z1"], x=x)
    log_q_y, total = categorical(q["y"], z1=z1), 0.0
    for k in range(K):
        y = one_hot(k)
        z2 = mean(q["z2"], y=y, z1=z1)
        f = bernoulli(p["x"], x, z1=z1) + gaussian(p["z1"], z1, y=y, z2=z2) + standard(z2) - np.log(K)
        f -= gaussian(q["z1"], z1, x=x) + gaussian(q["z2"], z2, y=y, z1=z1)
        total += np.exp(log_q_y[:, k]) * (f - log_q_y[:, k])
    _check(model, total)


def _squashed(factor, low, high, **parents):
    """(z, log q(z|.)) of the squashed Gaussian at its mean: eq. 10 and the Jacobian (high - low) s (1 - s)."""
    mu, v = np.split(_parameters(factor, **parents), 2, -1)
    s = 1 / (1 + np.exp(-mu))
    log_q = scipy.stats.norm.logpdf(mu, mu, np.exp(v / 2)) - np.log((high - low) * s * (1 - s))
    return low + (high - low) * s, log_q.sum(-1)


def test_untapped_eq_3_and_4_with_y_enumerated(mean_latents):
    low, high = -1.5, 1.5
    options = UntappedOptions(class_draw="enumerate", reverse_weight=0.0)
    model, x = _make("untapped", dim_z=2, options=options, objective=Objective(labelled_weight=1.0)), _raw()
    p, q = model.p, model.q
    log_q_y, f = categorical(q["y"], x=x), np.zeros([B, K])
    for k in range(K):
        z, log_q_z = _squashed(q["z"], low, high, x=x, y=one_hot(k))
        f[:, k] = bernoulli(p["x"], x, y=one_hot(k), z=z) - np.log(K) - 2 * np.log(high - low) - log_q_z
    _check(model, (np.exp(log_q_y) * (f - log_q_y)).sum(1))
    y = np.array([0, 1, 2, 0, 1])
    terms = model.terms({"labelled": (_raw(), tf.constant(y)), "unlabelled": _raw()}, SEED)
    np.testing.assert_allclose(terms["labelled_bound"], f[np.arange(B), y].mean(), rtol=1e-5)
    np.testing.assert_allclose(terms["classification_bound"], log_q_y[np.arange(B), y].mean(), rtol=1e-5)


@pytest.mark.parametrize("class_draw", ["gumbel", "concrete"])
def test_untapped_eq_4_with_a_relaxed_class(class_draw, mean_latents):
    low, high, warm = -1.5, 1.5, 0.7
    model, x = _make("untapped", options=UntappedOptions(class_draw=class_draw, gumbel_temperature=warm)), _raw()
    p, q = model.p, model.q
    log_q_y = categorical(q["y"], x=x)
    log_y = log_q_y / warm - logsumexp(log_q_y / warm, -1, keepdims=True)
    y = np.exp(log_y).astype("float32")
    z, log_q_z = _squashed(q["z"], low, high, x=x, y=y)
    bound = bernoulli(p["x"], x, y=y, z=z) - 2 * np.log(high - low) - log_q_z
    if class_draw == "gumbel":
        bound += -np.log(K) - (np.exp(log_q_y) * log_q_y).sum(1)
    else:  # Maddison et al., eq. 23, without its factor (K - 1)!, which is the density of a uniform y too
        density = (K - 1) * np.log(warm) + (log_q_y - (warm + 1) * log_y).sum(1) - K * logsumexp(log_q_y - warm * log_y, 1)
        bound -= density
    terms = model.terms({"labelled": (_raw(), tf.zeros(B, tf.int32)), "unlabelled": _raw()}, SEED)
    np.testing.assert_allclose(terms["unlabelled_bound"], bound.mean(), rtol=1e-5)


def test_untapped_eq_7_and_17_at_a_given_x(monkeypatch):
    low, high = -1.5, 1.5
    model, x = _make("untapped"), _raw()
    p, q = model.p, model.q
    y, z = np.eye(K)[[0, 1, 2, 0, 1]].astype("float32"), np.random.default_rng(5).uniform(-1, 1, (B, 2)).astype("float32")
    values = {"y": tf.constant(y[None]), "z": tf.constant(z[None])}
    log_p_x = bernoulli(p["x"], x, y=y, z=z)
    monkeypatch.setattr(model, "_draw_x", lambda *_: (tf.constant(x[None]), p["x"].log_prob(values, tf.constant(x[None]))))
    mu, v = np.split(_parameters(q["z"], x=x, y=y), 2, -1)
    s = (z - low) / (high - low)
    log_q_z = scipy.stats.norm.logpdf(np.log(s / (1 - s)), mu, np.exp(v / 2)) - np.log((high - low) * s * (1 - s))
    expected = (categorical(q["y"], x=x) * y).sum(1) + log_q_z.sum(1) - log_p_x - D * np.log(2)
    np.testing.assert_allclose(model.reverse_bound(values, SEED)[0], expected, rtol=1e-4)
    mean = 1 / (1 + np.exp(-_parameters(p["x"], y=y, z=z)))
    np.testing.assert_allclose(model.x_bound({**values, "x": x[None]})[0], -((mean - x) ** 2).sum(1), rtol=1e-5)
