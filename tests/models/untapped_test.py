"""The inverted model: its bound against a sum over every x, gradients through its samples, and the relaxed class."""

import itertools

import numpy as np
import pytest
import scipy.special
import tensorflow as tf
import tensorflow_probability as tfp

from tfadgm import evaluation, noise
from tfadgm.data.preprocess import Preprocess
from tfadgm.distributions import conditionals
from tfadgm.models.objective import Objective
from tfadgm.models.untapped import Untapped, UntappedOptions
from tfadgm.networks import batch_norm, mlp

SEED, D, K, B = tf.constant([1, 2]), 3, 4, 6


def _make(objective=None, **options):
    network = mlp.Network(hidden=(8,), activation="tanh")
    return Untapped(Preprocess([D]), K, network=network, objective=objective, options=UntappedOptions(**options))


def _batch():
    rng = np.random.default_rng(0)
    raw = tf.constant(rng.random((B, D)) < 0.5, tf.float32)
    return {"labelled": (raw, tf.constant(rng.integers(0, K, B))), "unlabelled": raw[::-1]}


def test_the_reverse_bound_is_the_sum_over_every_x_and_lies_below_the_evidence():
    model = _make()
    y, z = tf.one_hot([[2]], K), tf.constant([[[0.7, -1.2]]])
    p_x, bound, evidence = model.p["x"].distribution({"y": y, "z": z}), 0.0, 0.0
    for bits in itertools.product([0.0, 1.0], repeat=D):
        x = tf.constant([[bits]])
        log_q = model.q["y"].log_prob({"x": x}, y) + model.q["z"].log_prob({"x": x, "y": y}, z)
        log_p, log_q = float(p_x.log_prob(x)[0, 0]), float(log_q[0, 0])
        bound += np.exp(log_p) * (log_q - log_p - D * np.log(2))
        evidence += np.exp(log_q) / 2**D
    tiled = {"y": tf.tile(y, [1, 40_000, 1]), "z": tf.tile(z, [1, 40_000, 1])}
    drawn = model.reverse_bound(tiled, SEED).numpy()
    assert abs(drawn.mean() - bound) < 5 * drawn.std() / 200
    assert bound < np.log(evidence)


def test_the_labelled_reverse_bound_lies_below_the_evidence_of_x_and_y_and_meets_it_where_z_is_integrated():
    """E_{p(z)} of the weight that the bound takes the logarithm of is q(x, y), by quadrature over the square of z."""
    model = _make()
    x, y = tf.constant([[[1.0, 0.0, 1.0]]]), tf.one_hot([[2]], K)
    ticks = -1.5 + 3 * (np.arange(400) + 0.5) / 400
    z = tf.constant(np.stack(np.meshgrid(ticks, ticks), -1).reshape(1, -1, 2), tf.float32)
    many = z.shape[1]
    values = {"x": tf.tile(x, [1, many, 1]), "y": tf.tile(y, [1, many, 1]), "z": z}
    log_w = model.labelled_reverse_bound(values).numpy()[0]
    evidence = float(model.q["y"].log_prob({"x": x}, y)[0, 0]) - D * np.log(2)
    np.testing.assert_allclose(np.log(np.mean(np.exp(log_w))), evidence, atol=1e-3)
    assert np.mean(log_w) < evidence


def test_all_weights_of_equation_8_reach_the_objective():
    options = dict(forward_weight=2.0, reverse_weight=3.0, class_weight=5.0, x_weight=7.0, labelled_reverse=True)
    model = _make(Objective(labelled_weight=0.5, num_labelled=B, num_unlabelled=B), **options)
    terms = {name: float(value) for name, value in model.terms(_batch(), SEED).items()}
    by_hand = 2 * (0.5 * terms["labelled_bound"] + terms["unlabelled_bound"])
    by_hand += 3 * (terms["reverse_bound"] + terms["labelled_reverse_bound"])
    by_hand += 5 * terms["classification_bound"] + 7 * terms["x_bound"]
    np.testing.assert_allclose(terms["objective"], by_hand, rtol=1e-6)


@pytest.mark.parametrize("term", ["x_bound", "reverse_bound"])
def test_drawn_pictures_carry_a_gradient_to_the_decoder(term):
    model = _make()
    with tf.GradientTape() as tape:
        value = model.terms(_batch(), SEED)[term]
    weights = [w.value for w in model.p["x"].trainable_variables]
    assert all(np.any(gradient) for gradient in tape.gradient(value, weights))


def test_the_inverses_bound_can_train_q_alone_and_has_the_same_value_then():
    both, alone = _make(), _make(reverse_gradient="q")
    alone.set_weights(both.get_weights())
    with tf.GradientTape() as tape:
        value = alone.terms(_batch(), SEED)["reverse_bound"]
    np.testing.assert_allclose(value, both.terms(_batch(), SEED)["reverse_bound"], rtol=1e-6)
    p, q = ([w.value for part in factors.values() for w in part.trainable_variables] for factors in (alone.p, alone.q))
    of_p, of_q = tape.gradient(value, [p, q])
    assert all(gradient is None for gradient in of_p) and all(np.any(gradient) for gradient in of_q)


def test_drawn_pictures_are_zeros_and_ones_with_the_decoders_probabilities():
    model = _make()
    values = {name: tf.tile(value[:, :1], [1, 20_000, 1]) for name, value in model.unfeatured(1, SEED).items()}
    x, _ = model._draw_x(values, SEED)
    np.testing.assert_allclose(x, np.round(x), atol=1e-6)
    mean = model.p["x"].distribution(values).mean()[0, 0]
    np.testing.assert_allclose(np.mean(x[0], 0), mean, atol=0.02)


def test_unfeatured_labels_are_spread_over_the_classes_and_z_over_its_range():
    drawn = _make(z_range=(-1.0, 3.0)).unfeatured(4000, SEED)
    np.testing.assert_allclose(np.mean(drawn["y"][0], 0), np.full(K, 1 / K), atol=0.03)
    assert -1 <= np.min(drawn["z"]) < -0.99 and 2.99 < np.max(drawn["z"]) <= 3


def test_the_inverse_is_finite_at_the_border_of_what_z_is_drawn_from(monkeypatch):
    """Float32 noise is exactly 0 or nearly 1 once in 2^23 numbers: once in some thousand steps."""
    for end in (0, 1):
        monkeypatch.setattr(noise, "uniform", lambda shape, seed, *ends, end=end: tf.fill(shape, ends[end]))
        model = _make()
        values = model.unfeatured(K, SEED)
        monkeypatch.undo()
        assert np.isfinite(model.reverse_bound(values, SEED)).all()


def test_the_moving_averages_of_batch_norm_follow_real_examples_and_not_drawn_ones():
    network = mlp.Network(hidden=(8,), batch_norm=True)
    model = Untapped(Preprocess([D]), K, network=network)
    both, forward = [], []
    with batch_norm.batch_moments(both):
        assert "reverse_bound" in model.terms(_batch(), SEED)
    model.options = UntappedOptions(reverse_weight=0.0)
    with batch_norm.batch_moments(forward):
        assert "reverse_bound" not in model.terms(_batch(), SEED)
    assert len(forward) > 0
    for ours, theirs in zip(both, forward, strict=True):
        assert ours[0] is theirs[0]
        np.testing.assert_array_equal(ours[1], theirs[1])


def test_the_relaxed_class_has_tfps_density_and_hardens_when_it_is_cold():
    log_q = tf.nn.log_softmax(tf.constant([[[0.5, -1.0, 0.2, 0.0]]]))
    warm, cold = (conditionals.RelaxedCategorical(K, t) for t in (0.7, 1e-3))
    distribution = warm.distribution(log_q)
    log_y = warm.sample(distribution, 50, 1, SEED)
    theirs = tfp.distributions.RelaxedOneHotCategorical(0.7, logits=log_q).log_prob(tf.exp(log_y))
    np.testing.assert_allclose(warm.simplex_log_prob(distribution, log_y), theirs, rtol=1e-3, atol=1e-3)
    y = np.exp(cold.sample(cold.distribution(log_q), 20_000, 1, SEED))
    np.testing.assert_allclose(y[:, 0].mean(0), np.exp(log_q)[0, 0], atol=0.02)
    assert np.mean(y.max(-1) > 0.999) > 0.98


def test_a_cold_relaxed_bound_is_near_the_enumerated_one():
    options = dict(reverse_weight=0.0)
    relaxed = _make(Objective(samples=4000), class_draw="gumbel", gumbel_temperature=1e-2, **options)
    exact = _make(Objective(samples=4000), class_draw="enumerate")
    exact.set_weights(relaxed.get_weights())
    ours, theirs = (float(model.terms(_batch(), SEED)["unlabelled_bound"]) for model in (relaxed, exact))
    np.testing.assert_allclose(ours, theirs, atol=0.05)


# Two classes and one z: p(x) is an integral over a square, for y on the simplex, and one over two lines, for y one-hot.


def _small(objective=None, **options):
    network = mlp.Network(hidden=(8,), activation="tanh")
    model = Untapped(Preprocess([D]), 2, dim_z=1, network=network, objective=objective, options=UntappedOptions(**options))
    rng = np.random.default_rng(3)
    for w in model.weights:  # away from q = p
        w.assign(w + 0.5 * rng.normal(size=w.shape))
    return model


def _log_p_x(model, x, y, z):
    """log p(x|y,z), [len(y), len(z)], by the decoder's weights in double precision; y is the first class's share."""
    trunk, head = model.p["x"].trunk, model.p["x"].head
    first = trunk.dense[0].project
    kernel, bias, of_z, out, shift = (
        np.asarray(w, "float64") for w in (first["y"].kernel, first["y"].bias, first["z"].kernel, head.kernel, head.bias)
    )
    h = np.stack([y, 1 - y], -1)[:, None] @ kernel + bias + z[None, :, None] * of_z[0]
    logits = np.tanh(h) @ out + shift
    return (x * logits - np.logaddexp(0, logits)).sum(-1)


def _evidence(model, x, relaxed):
    """log p(x) with y uniform on the simplex or one-hot, by Gauss-Legendre over z (and y)."""
    ticks, weights = np.polynomial.legendre.leggauss(60)
    y, of_y = ((ticks + 1) / 2, weights / 2) if relaxed else (np.array([0.0, 1.0]), np.array([0.5, 0.5]))
    density = np.exp(_log_p_x(model, x, y, 1.5 * ticks))
    return np.log(of_y @ density @ (weights / 2))


def _repeated(x, count):
    return tf.constant(np.tile(x, (count, 1)), tf.float32)


@pytest.mark.parametrize("temperature", [0.3, 1.0])
def test_the_importance_weighted_bound_of_a_relaxed_class_tends_to_log_p_from_below(temperature):
    x, found = np.array([1.0, 0.0, 1.0]), []
    for samples in (1, 5, 500):
        objective = Objective(samples=samples, importance_weighted=True, num_labelled=0)
        model = _small(objective, class_draw="concrete", gumbel_temperature=temperature)
        bounds_of_seeds = [model.terms({"unlabelled": _repeated(x, 400)}, tf.constant([0, s])) for s in range(5)]
        found.append(np.mean([terms["unlabelled_bound"] for terms in bounds_of_seeds]))
    evidence = _evidence(model, x, relaxed=True)
    assert found[0] < found[1] < found[2] < evidence + 0.02
    np.testing.assert_allclose(found[2], evidence, atol=0.05)


def test_importance_weights_of_an_entropy_are_refused():
    with pytest.raises(ValueError, match="class_draw: got 'gumbel' with importance_weighted; allowed: concrete, enumerate"):
        _small(Objective(samples=2, importance_weighted=True), class_draw="gumbel")


def test_what_is_reported_is_of_one_hot_classes_and_what_was_trained_of_the_simplex():
    x, results = np.array([0.0, 1.0, 1.0]), []
    model = _small(class_draw="concrete")
    raw = _repeated(x, 500)
    one_hot, simplex = _evidence(model, x, relaxed=False), _evidence(model, x, relaxed=True)
    assert abs(one_hot - simplex) > 0.05  # two models
    log_w = model.log_weights(raw[:40], SEED, samples=2000).numpy().astype("float64")
    np.testing.assert_allclose(np.log(np.exp(log_w).mean()), one_hot, atol=0.02)
    for name, evidence in (("elbo", one_hot), ("trained_elbo", simplex)):
        bound = getattr(model, name)(raw, SEED).numpy()
        results.append(bound.mean())
        assert bound.mean() < evidence + 4 * bound.std() / np.sqrt(len(bound))
    trained = float(model.terms({"unlabelled": raw, "labelled": (raw[:2], tf.constant([0, 1]))}, SEED)["unlabelled_bound"])
    np.testing.assert_allclose(results[1], trained, atol=0.3)
    found = evaluation.densities(model, raw.numpy()[:20], samples=3)
    assert found["trained_elbo_of"] == "y on the simplex" and abs(found["trained_elbo"] - simplex) < 2
    assert abs(found["elbo"] - one_hot) < 2


def test_an_enumerated_class_is_trained_by_the_bound_that_is_reported():
    model = _small(class_draw="enumerate")
    raw = _repeated(np.array([0.0, 1.0, 1.0]), 4)
    assert model.trained_otherwise is None and "trained_elbo" not in evaluation.densities(model, raw.numpy(), samples=2)
    np.testing.assert_array_equal(model.trained_elbo(raw, SEED), model.elbo(raw, SEED))


def test_the_picture_term_reports_what_it_trains():
    """-|E x' - x|^2: value and gradient by the decoder's mean in double precision."""
    model = _small()
    x, y, z = np.array([1.0, 0.0, 1.0]), np.array([1.0]), np.array([0.4])
    logits = [_log_p_x(model, one, y, z)[0, 0] - _log_p_x(model, 0 * one, y, z)[0, 0] for one in np.eye(D)]
    mean = scipy.special.expit(logits)
    values = {"x": tf.constant([[x]], tf.float32), "y": tf.constant([[[1.0, 0.0]]]), "z": tf.constant([[[0.4]]])}
    with tf.GradientTape() as tape:
        value = model.x_bound(values)
    np.testing.assert_allclose(value, [[-((mean - x) ** 2).sum()]], rtol=1e-5)
    gradient = tape.gradient(value, model.p["x"].head.bias.value)
    np.testing.assert_allclose(gradient, -2 * (mean - x) * mean * (1 - mean), rtol=1e-4)


def test_the_labelled_reverse_bound_is_that_of_equation_59():
    """log q(x, y) - KL(p(z) || q(z|x, y)), the divergence by quadrature of a squashed Gaussian's density in numpy."""
    model = _small()
    x, y = tf.constant([[[1.0, 0.0, 1.0]]]), tf.constant([[[0.0, 1.0]]])
    loc, log_variance = np.asarray(model.q["z"]({"x": x, "y": y})[0, 0], "float64")
    ticks, weights = np.polynomial.legendre.leggauss(200)
    u = np.log((1 + ticks) / (1 - ticks))  # z = 1.5 ticks = -1.5 + 3 sigmoid(u)
    log_q_z = -0.5 * ((u - loc) ** 2 / np.exp(log_variance) + log_variance + np.log(2 * np.pi))
    log_q_z -= np.log(3) - np.logaddexp(0, u) - np.logaddexp(0, -u)
    divergence = (weights / 2) @ (-np.log(3) - log_q_z)
    log_q_x_y = float(tf.nn.log_softmax(model.q["y"]({"x": x}))[0, 0, 1]) - D * np.log(2)
    z = np.random.default_rng(0).uniform(-1.5, 1.5, 40_000)
    values = {name: tf.tile(value, [1, len(z), 1]) for name, value in (("x", x), ("y", y))}
    drawn = model.labelled_reverse_bound({**values, "z": tf.constant(z[None, :, None], tf.float32)}).numpy()
    assert abs(drawn.mean() - (log_q_x_y - divergence)) < 5 * drawn.std() / 200


def test_without_the_inverse_it_is_m2():
    terms = _make(reverse_weight=0.0, x_weight=0.0).term_weights
    assert "reverse_bound" not in terms and terms["x_bound"] == 0.0


@pytest.mark.parametrize(
    "options",
    [
        dict(class_draw="soft"),
        dict(reverse_gradient="p"),
        dict(z_range=(1.0, 1.0)),
        dict(gumbel_temperature=0.0),
        dict(x_weight=-1.0),
    ],
)
def test_impossible_options_are_refused(options):
    with pytest.raises(ValueError, match=f"{next(iter(options))}: got .*; allowed: "):
        UntappedOptions(**options)


def test_another_likelihood_is_refused():
    with pytest.raises(ValueError, match="likelihood: got 'gaussian'; allowed: bernoulli"):
        Untapped(Preprocess([D]), K, likelihood="gaussian")
