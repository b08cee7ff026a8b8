"""The inverted model: its bound against a sum over every x, gradients through its samples, and the relaxed class."""

import itertools

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tfadgm import conditionals, networks
from tfadgm.data.preprocess import Preprocess
from tfadgm.models.objective import Objective
from tfadgm.models.untapped import Untapped, UntappedOptions

SEED, D, K, B = tf.constant([1, 2]), 3, 4, 6


def _make(objective=None, **options):
    network = networks.Network(hidden=(8,), activation="tanh")
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


@pytest.mark.parametrize("term", ["x_bound", "reverse_bound"])
def test_drawn_pictures_carry_a_gradient_to_the_decoder(term):
    model = _make()
    with tf.GradientTape() as tape:
        value = model.terms(_batch(), SEED)[term]
    weights = [w.value for w in model.p["x"].trainable_variables]
    assert all(np.any(gradient) for gradient in tape.gradient(value, weights))


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
    options = dict(reverse=False, gumbel_temperature=1e-2)
    relaxed, exact = _make(Objective(samples=4000), **options), _make(Objective(samples=4000), class_draw="enumerate")
    exact.set_weights(relaxed.get_weights())
    ours, theirs = (float(model.terms(_batch(), SEED)["unlabelled_bound"]) for model in (relaxed, exact))
    np.testing.assert_allclose(ours, theirs, atol=0.05)


def test_without_the_inverse_it_is_m2():
    terms = _make(reverse=False, x_weight=0.0).term_weights
    assert "reverse_bound" not in terms and terms["x_bound"] == 0.0


@pytest.mark.parametrize(
    "options", [dict(class_draw="soft"), dict(z_range=(1.0, 1.0)), dict(gumbel_temperature=0.0), dict(x_weight=-1.0)]
)
def test_impossible_options_are_refused(options):
    with pytest.raises(ValueError, match=f"{next(iter(options))}: got .*; allowed: "):
        UntappedOptions(**options)


def test_another_likelihood_is_refused():
    with pytest.raises(ValueError, match="likelihood: got 'gaussian'; allowed: bernoulli"):
        Untapped(Preprocess([D]), K, likelihood="gaussian")
