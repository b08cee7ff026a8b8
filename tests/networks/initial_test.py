"""Initial weights: a function of seed and name alone, of the papers' distributions, and of no generator of the program."""

import concurrent.futures
import random

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfadgm import registry
from tfadgm.data.dataset import Dataset
from tfadgm.data.pipeline import split
from tfadgm.data.preprocess import Preprocess
from tfadgm.distributions import conditionals
from tfadgm.models.potential import Potential, energy
from tfadgm.networks import initial, mlp
from tfadgm.training import baseline

D, K = 6, 3
NETWORKS = [
    mlp.Network(hidden=(8, 5), batch_norm=True),
    mlp.Network(hidden=(8,), trunk="conv", filters=(2,), image_shape=(2, 2, 2)),
]


def _make(name, seed=0, network=NETWORKS[0], **options):
    size = D if network.trunk == "mlp" else 8
    options |= {"dim_z": (3, 2)} if name in ("cagem", "lvae", "m1m2") else {"dim_z": 3}
    return registry.model_class(name)(Preprocess([size]), K, network=network, seed=seed, **options)


def _draw_by_every_generator():
    """A number of each generator that a program may use without a seed of its own."""
    keras_number = float(keras.random.normal(())), float(keras.initializers.RandomNormal()(()))
    return random.random(), np.random.random(), float(tf.random.normal(())), *keras_number


def _leaves_generators_alone(action):
    found = []
    for act in (lambda: None, action):
        keras.utils.set_random_seed(5)  # Python, NumPy, Keras and TensorFlow
        act()
        found.append(_draw_by_every_generator())
    return found[0] == found[1]


@pytest.mark.parametrize("name", registry.MODELS)
@pytest.mark.parametrize("network", NETWORKS, ids=["dense", "convolutional"])
def test_building_a_model_neither_moves_nor_reads_a_generator_of_the_program(name, network):
    made = []
    assert _leaves_generators_alone(lambda: made.append(_make(name, network=network)))
    keras.utils.set_random_seed(99)
    for ours, theirs in zip(made[0].get_weights(), _make(name, network=network).get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_the_potentials_the_baseline_and_m1s_classifier_leave_the_generators_alone():
    model, m1 = _make("m2"), _make("m1", feature_classifier="svm", anchors=20)
    rng = np.random.default_rng(0)
    x, y = (rng.random((40, D)) < 0.5).astype("float32"), np.arange(40) % K
    data = Dataset("toy", x, y, x, y, ["a", "b", "c"])
    drawn = split(y, K, labels=12)
    for auxiliary in (True, False):
        assert _leaves_generators_alone(lambda auxiliary=auxiliary: Potential(energy("U1"), auxiliary))
    assert _leaves_generators_alone(lambda: baseline.class_probabilities(model, x, y, x, steps=2))
    assert _leaves_generators_alone(lambda: m1.finish(data, drawn, seed=0))


def test_models_that_are_built_side_by_side_start_as_they_do_alone():
    names = [name for name in registry.MODELS for _ in range(2)]
    alone = [_make(name, seed).get_weights() for seed, name in enumerate(names)]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda item: _make(item[1], item[0]).get_weights(), enumerate(names)))
    for ours, theirs in zip(together, alone, strict=True):
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(a, b)


def test_a_weight_depends_on_seed_name_and_its_number_alone():
    def kernels(name, seed):
        gaussian = conditionals.Gaussian("x", 4, mlp.Network(hidden=(5, 5)))
        with initial.weights_of(name, seed):
            gaussian.build_from({"x": 5})
        return [w.numpy() for w in gaussian.weights if w.name == "kernel"]

    first, again = kernels("q(z)", 1), kernels("q(z)", 1)
    others = kernels("q(a)", 1), kernels("q(z)", 2)
    assert len(first) == 3 and np.abs(first[0] - first[1]).max() > 0
    for i, kernel in enumerate(first):
        np.testing.assert_array_equal(kernel, again[i])
        assert all(np.abs(kernel - other[i]).max() > 0 for other in others)


def test_heads_start_from_a_truncated_glorot_normal_and_hidden_layers_from_a_whole_one():
    factor = conditionals.Gaussian("x", 150, mlp.Network(hidden=(400, 300)))
    with initial.weights_of("q(z)", 0):
        factor.build_from({"x": 200})
    hidden, head = np.ravel(factor.trunk.dense[1].kernel), np.ravel(factor.head.kernel)
    np.testing.assert_allclose(hidden.var(), 2 * 2 / (400 + 300), rtol=0.02)  # gain sqrt(2) of a rectifier
    np.testing.assert_allclose(head.var(), 2 / (300 + 300), rtol=0.02)
    np.testing.assert_allclose([hidden.mean(), head.mean()], [0, 0], atol=1e-3)
    assert np.abs(hidden).max() > 3.5 * hidden.std()
    # A normal cut at two standard deviations has 0.7737 of its variance.
    np.testing.assert_allclose(np.abs(head).max(), 2 * np.sqrt(2 / 600 / 0.7737), rtol=1e-2)
    np.testing.assert_allclose(np.mean((head / head.std()) ** 4), 2.37, atol=0.05)  # its kurtosis
