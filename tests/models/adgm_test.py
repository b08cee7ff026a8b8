"""Which gradients train q(a|x), and the variants of the auxiliary."""

import numpy as np
import pytest
import tensorflow as tf

from tfadgm.data.preprocess import Preprocess
from tfadgm.models.adgm import ADGM
from tfadgm.models.objective import Objective
from tfadgm.networks import batch_norm, mlp, optimizers

SEED = tf.constant([1, 2])
NET = mlp.Network(hidden=(8,))


def _make(network=NET, objective=None, **options):
    return ADGM(Preprocess([6]), 3, network=network, objective=objective, dim_z=2, dim_a=2, **options)


def _batch():
    rng = np.random.default_rng(0)
    raw = tf.constant(rng.random((8, 6)) < 0.5, tf.float32)
    return {"labelled": (raw, tf.constant(rng.integers(0, 3, 8))), "unlabelled": raw[::-1]}


def _gradients(model, term, factor):
    with tf.GradientTape() as tape:
        value = model.terms(_batch(), SEED)[term]
    return tape.gradient(value, [w.value for w in factor.weights])


def _nothing(gradients):
    return all(gradient is None or not np.any(gradient) for gradient in gradients)


def _everything(gradients):
    return all(gradient is not None and np.any(gradient) for gradient in gradients)


@pytest.mark.parametrize("classifier_samples", [None, 3])
@pytest.mark.parametrize("aux_gradient", ["joint", "bound", "frozen"])
def test_the_classification_term_trains_q_of_a_only_when_the_gradients_are_joint(aux_gradient, classifier_samples):
    model = _make(aux_gradient=aux_gradient, objective=Objective(classifier_samples=classifier_samples))
    arrives = _gradients(model, "classification_bound", model.q["a"])
    assert _everything(arrives) if aux_gradient == "joint" else _nothing(arrives)
    assert _everything(_gradients(model, "classification_bound", model.q["y"]))
    assert _nothing(_gradients(model, "classification_bound", model.q["z"]))


@pytest.mark.parametrize("aux_gradient", ["joint", "bound"])
@pytest.mark.parametrize("term", ["labelled_bound", "unlabelled_bound"])
def test_both_bounds_train_q_of_a_unless_it_is_frozen(aux_gradient, term):
    model = _make(aux_gradient=aux_gradient)
    assert _everything(_gradients(model, term, model.q["a"]))


def test_the_options_change_gradients_but_no_value():
    terms = [_make(aux_gradient=option).terms(_batch(), SEED) for option in ("joint", "bound", "frozen")]
    for other in terms[1:]:
        for name, value in terms[0].items():
            np.testing.assert_allclose(other[name], value, rtol=1e-6)


@pytest.mark.parametrize("aux_gradient", ["joint", "bound", "frozen"])
def test_a_step_moves_everything_but_what_is_frozen(aux_gradient):
    network = mlp.Network(hidden=(8,), batch_norm=True)
    model = _make(network, Objective(beta=1e4), aux_gradient=aux_gradient)
    model.compile(optimizer=optimizers.Adam(1e-2), jit_compile=False)
    frozen = {id(w) for w in model.q["a"].weights} if aux_gradient == "frozen" else set()
    assert {id(w) for w in model.trainable_variables}.isdisjoint(frozen)
    before = [w.numpy() for w in model.trainable_variables], [w.numpy() for w in model.q["a"].weights]
    model.train_step(_batch())
    assert all(np.any(old != w.numpy()) for old, w in zip(before[0], model.trainable_variables, strict=True))
    kept = [np.all(old == w.numpy()) for old, w in zip(before[1], model.q["a"].weights, strict=True)]
    assert all(kept) if frozen else not any(kept)


@pytest.mark.parametrize("trunk", ["mlp", "conv"])
def test_a_frozen_a_is_the_same_function_in_training_after_it_and_before(trunk):
    network = mlp.Network(hidden=(8,), batch_norm=True, trunk=trunk, filters=(2,), image_shape=(2, 4, 1))
    model = ADGM(Preprocess([8]), 3, network=network, dim_z=2, dim_a=2, aux_gradient="frozen")
    model.compile(optimizer=optimizers.Adam(1e-2), jit_compile=False)
    raw = tf.constant(np.random.default_rng(0).random((8, 8)) < 0.5, tf.float32)
    before = model.q["a"]({"x": raw[tf.newaxis]}).numpy()
    for _ in range(3):
        model.train_step({"labelled": (raw, tf.constant([0, 1, 2, 0, 1, 2, 0, 1])), "unlabelled": raw})
    np.testing.assert_array_equal(model.q["a"]({"x": raw[tf.newaxis]}), before)
    with batch_norm.batch_moments():
        np.testing.assert_array_equal(model.q["a"]({"x": raw[tf.newaxis]}), before)


def test_the_frozen_auxiliary_stays_frozen_in_a_rebuilt_model():
    model = ADGM.from_config(_make(aux_gradient="frozen").get_config())
    assert not model.q["a"].trainable and not model.q["a"].trainable_variables
    assert _make().q["a"].trainable


VARIANTS = [dict(a_sees_x=True), dict(auxiliary="uninformed"), dict(auxiliary="deterministic")]


@pytest.mark.parametrize("options", VARIANTS)
@pytest.mark.parametrize("normalised", [False, True])
def test_the_variants_train_and_answer(options, normalised):
    network = mlp.Network(hidden=(8,), batch_norm=normalised)
    model = _make(network, Objective(samples=2, classifier_samples=3, exact_classes=1), **options)
    with tf.GradientTape() as tape, batch_norm.batch_moments():
        value = model.terms(_batch(), SEED)["objective"]
    for variable, gradient in zip(
        model.trainable_variables, tape.gradient(value, [v.value for v in model.trainable_variables]), strict=True
    ):
        assert gradient is not None and np.isfinite(gradient).all() and np.any(gradient), variable.path
    raw = _batch()["unlabelled"]
    assert model.elbo(raw, SEED).shape == (8,) and model.log_weights(raw, SEED, samples=3).shape == (3, 8)
    assert set(model.encode(raw)) == {"a", "z"} and model.generate(SEED, 4)[0].shape == (4, 6)
    rebuilt = ADGM.from_config(model.get_config())
    assert rebuilt.formula == model.formula


def test_a_deterministic_auxiliary_is_no_noise():
    model = _make(auxiliary="deterministic")
    raw = _batch()["unlabelled"]
    first, second = (model.log_class_probs(raw, tf.constant([0, s]), samples=2) for s in (1, 2))
    np.testing.assert_array_equal(first, second)
    assert np.abs(_make().log_class_probs(raw, SEED) - _make().log_class_probs(raw, SEED + 1)).max() > 0
