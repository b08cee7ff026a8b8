"""M1's classifier in TensorFlow is the fitted one; M1+M2 keeps the M1 that it starts from."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from tfadgm import noise
from tfadgm.data.dataset import Dataset
from tfadgm.data.pipeline import split
from tfadgm.data.preprocess import Preprocess
from tfadgm.models import svm
from tfadgm.models.m1 import M1
from tfadgm.models.m1m2 import M1M2
from tfadgm.models.objective import Objective
from tfadgm.networks import batch_norm, mlp, optimizers

SEED, D, K = tf.constant([1, 2]), 6, 3


def _network(normalised=False):
    return mlp.Network(hidden=(8,), hidden_above=(5,), batch_norm=normalised)


def _data():
    rng = np.random.default_rng(0)
    y = np.arange(90) % K
    x = (rng.random((90, D)) < 0.2 + 0.6 * (np.arange(D) % K == y[:, None])).astype("float32")
    return Dataset("toy", x, y, x[:20], y[:20], ["a", "b", "c"])


@pytest.mark.parametrize("kind", svm.KINDS)
@pytest.mark.parametrize("anchors", [20, 200])
def test_the_layer_answers_as_the_fitted_machine(kind, anchors, monkeypatch):
    model = M1(Preprocess([D]), K, network=_network(), dim_z=4, feature_classifier=kind, anchors=anchors)
    fitted = []
    fit = svm.fit
    monkeypatch.setattr(svm, "fit", lambda *args, **kwargs: fitted.append(fit(*args, **kwargs)) or fitted[0])
    data = _data()
    model.finish(data, split(data.y_train, K, labels=12), seed=0)
    features = model.features(data.x_test).numpy()
    expected = fitted[0].probabilities(features)
    np.testing.assert_allclose(model(data.x_test), expected, rtol=1e-3, atol=1e-4)
    draws = noise.Draws(SEED, 1, samples=3)
    np.testing.assert_allclose(np.exp(model.classify(model.observe(data.x_test), draws)), expected, rtol=1e-3, atol=1e-4)
    rebuilt = M1.from_config(model.get_config())
    rebuilt.set_weights(model.get_weights())
    np.testing.assert_allclose(rebuilt(data.x_test), expected, rtol=1e-3, atol=1e-4)


def test_m1_needs_labels_and_a_known_classifier():
    with pytest.raises(ValueError, match="labels: got 0"):
        M1(Preprocess([D]), K, network=_network(), objective=Objective(num_labelled=0))
    with pytest.raises(ValueError, match="feature_classifier: got 'tree'; allowed: logistic, svm, tsvm"):
        M1(Preprocess([D]), K, network=_network(), feature_classifier="tree")


def _pair(normalised=True, **options):
    m1 = M1(Preprocess([D]), K, network=_network(normalised), dim_z=4, seed=1)
    return m1, M1M2(Preprocess([D]), K, network=_network(normalised), dim_z=(4, 3), **options)


def _train(model):
    model.compile(optimizer=optimizers.Adam(1e-2), jit_compile=False)
    raw = tf.constant(_data().x_train[:8])
    model.train_step({"labelled": (raw, tf.constant([0, 1, 2, 0, 1, 2, 0, 1])), "unlabelled": raw})


def test_m1m2_starts_from_an_m1_and_does_not_change_it():
    m1, model = _pair()
    model.start_from(m1)
    theirs = [w.numpy() for factor in (m1.q["z"], m1.p["x"]) for w in factor.weights]
    raw = _data().x_test
    np.testing.assert_allclose(model.encode(raw)["z1"], m1.encode(raw)["z"], rtol=1e-5)
    before = [w.numpy() for w in model.trainable_variables]
    _train(model)
    ours = [w.numpy() for factor in (model.q["z1"], model.p["x"]) for w in factor.weights]
    assert all(np.array_equal(a, b) for a, b in zip(ours, theirs, strict=True))  # moving averages too
    assert all(np.any(a != w.numpy()) for a, w in zip(before, model.trainable_variables, strict=True))


def test_a_frozen_m1_of_convolutions_stays_the_function_it_was():
    """Its batch norm stands in the encoder and in the head too, not in the dense part alone."""
    images = mlp.Network(hidden=(8,), batch_norm=True, trunk="conv", filters=(2, 3), image_shape=(4, 4, 1))
    model = M1M2(Preprocess([16]), K, network=images, dim_z=(4, 3))
    rng = np.random.default_rng(0)
    for w in model.weights:
        if w.name == "moving_mean":  # of an M1 that was trained
            w.assign(rng.normal(size=w.shape))
    raw = tf.constant(rng.random((8, 16)) < 0.5, tf.float32)
    parts = model.q["z1"], model.p["x"]
    before = [w.numpy() for part in parts for w in part.weights]
    means = model.encode(raw)["z1"].numpy()
    model.compile(optimizer=optimizers.Adam(1e-2), jit_compile=False)
    for _ in range(5):
        model.train_step({"labelled": (raw, tf.constant([0, 1, 2, 0, 1, 2, 0, 1])), "unlabelled": raw})
    for old, w in zip(before, [w for part in parts for w in part.weights], strict=True):
        np.testing.assert_array_equal(old, w.numpy(), w.path)
    np.testing.assert_array_equal(means, model.encode(raw)["z1"])
    z1 = tf.constant(rng.normal(size=(1, 4, 4)), tf.float32)
    outside = model.p["x"]({"z1": z1})
    with batch_norm.batch_moments():  # in training it is that function too
        np.testing.assert_array_equal(model.q["z1"]({"x": raw[tf.newaxis]})[0, :, :4], means)
        np.testing.assert_array_equal(model.p["x"]({"z1": z1}), outside)


def test_end_to_end_everything_moves():
    _, model = _pair(normalised=False, end_to_end=True)
    before = [w.numpy() for w in model.q["z1"].trainable_variables]
    _train(model)
    assert model.first_stage is None and before
    assert all(np.any(a != w.numpy()) for a, w in zip(before, model.q["z1"].trainable_variables, strict=True))


def test_m1m2_classifies_by_the_mean_of_z1():
    _, model = _pair()
    raw = _data().x_test
    mean = model.encode(raw)["z1"][tf.newaxis]
    np.testing.assert_allclose(model.log_class_probs(raw, SEED), model.q["y"].log_probs({"z1": mean})[0], rtol=1e-4)


@pytest.mark.parametrize("changed", [dict(activation="softplus"), dict(log_variance_ceiling=2.0)])
def test_an_m1_that_is_another_function_of_the_same_weights_is_refused(changed):
    m1, _ = _pair()
    model = M1M2(Preprocess([D]), K, network=dataclasses.replace(_network(True), **changed), dim_z=(4, 3))
    with pytest.raises(ValueError, match=f"{next(iter(changed))}: the m1 has .*, this model .*; allowed: the same"):
        model.start_from(m1)


def test_an_m1_of_other_sizes_is_refused():
    _, model = _pair()
    other = M1(Preprocess([D]), K, network=_network(True), dim_z=7)
    with pytest.raises(ValueError, match="m1: its networks have weights"):
        model.start_from(other)
