"""The parts of the bound add up to it; KL per unit adds up to the latent's; Bayes' rule equals a sum in numpy."""

import numpy as np
import pytest
import scipy.special
import tensorflow as tf

from tfadgm import bounds, evaluation, noise, registry
from tfadgm.data.preprocess import Preprocess
from tfadgm.evaluation import answers, diagnostics
from tfadgm.models import density
from tfadgm.networks import mlp

D, K = 6, 3


def _make(name, **given):
    options = {"dim_z": (3, 2)} if name in ("cagem", "avae", "lvae", "m1m2") else {"dim_z": 3}
    options |= ({"dim_a": (3, 2)} if name == "avae" else {}) | given
    return registry.model_class(name)(Preprocess([D]), K, network=mlp.Network(hidden=(8,)), **options)


def _raw(count=20):
    return (np.random.default_rng(0).random((count, D)) < 0.5).astype("float32")


@pytest.mark.parametrize("name", ["vae", "avae", "lvae", "m2", "adgm", "sdgm", "cagem", "m1m2"])
def test_the_parts_add_up_to_the_bound(name):
    model = _make(name)
    parts = diagnostics.terms(model, _raw(), chunk=20)
    np.testing.assert_allclose(sum(parts.values()), np.mean(evaluation.elbo(model, _raw())), rtol=1e-4)
    assert len(parts) == len(model.p) + len(model.q)


def test_kl_per_unit_adds_up_to_the_difference_of_the_latents_parts():
    model = _make("adgm")
    parts = diagnostics.terms(model, _raw(), chunk=20)
    units = diagnostics.kl_per_unit(model, _raw(), chunk=20)
    assert {name: len(value) for name, value in units.items()} == {"a": 100, "z": 3}
    np.testing.assert_allclose(units["z"].sum(), -parts["log p(z)"] - parts["-log q(z|a,x,y)"], rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(units["a"].sum(), -parts["log p(a|y,z)"] - parts["-log q(a|x)"], rtol=1e-3, atol=1e-3)


def test_the_kl_of_a_linear_avae_is_that_given_a_whose_own_has_no_units():
    model = _make("avae", auxiliary="linear")
    parts, units = (f(model, _raw(), chunk=20) for f in (diagnostics.terms, diagnostics.kl_per_unit))
    assert {name: len(value) for name, value in units.items()} == {"z1": 3, "z2": 2}
    assert diagnostics.not_by_unit(model, units) == ["a1", "a2"]
    np.testing.assert_allclose(units["z2"].sum(), -parts["log p(z2)"] - parts["-log q(z2|a2,z1)"], rtol=1e-3, atol=1e-3)
    assert set(diagnostics.active_units(model, _raw())) == {"z1", "z2"}


def test_chunks_do_not_change_the_means_much():
    model = _make("vae")
    one, many = (diagnostics.terms(model, _raw(400), chunk=chunk) for chunk in (400, 100))
    for name, value in one.items():
        np.testing.assert_allclose(many[name], value, rtol=0.1)


def test_a_unit_that_ignores_x_is_not_active():
    model = _make("vae")
    kernel = model.q["z"].head.kernel
    kernel.assign(tf.concat([tf.zeros([8, 1]), 10 * kernel[:, 1:]], 1))
    assert diagnostics.active_units(model, _raw(100)) == {"z": 2}


def _folded(scale=0.4):
    """A VAE of two layers with q(z1|x) = N(x, 1), x 0 or 1, and the mean of q(z2|z1) scale |z1|."""
    network = mlp.Network(hidden=(2,))
    model = registry.model_class("vae")(Preprocess([1]), K, network=network, dim_z=(1, 1))
    for w in [*model.q["z1"].weights, *model.q["z2"].weights]:
        w.assign(tf.zeros_like(w))
    model.q["z1"].trunk.dense[0].project["x"].kernel.assign([[1.0, 0.0]])
    model.q["z1"].head.kernel.assign([[1.0, 0.0], [0.0, 0.0]])
    model.q["z2"].trunk.dense[0].project["z1"].kernel.assign([[1.0, -1.0]])
    model.q["z2"].head.kernel.assign([[scale, 0.0], [scale, 0.0]])
    return model


def test_a_unit_of_an_upper_layer_is_active_by_its_mean_over_all_parents():
    """Cov_x(E_{q(z2|x)} z2), by the mean of a folded normal, and not the variance at the mean of z1, which is 0.04."""
    model, raw = _folded(), np.tile([[0.0], [1.0]], (1000, 1)).astype("float32")
    mean = np.array([0.0, 1.0])
    folded = np.sqrt(2 / np.pi) * np.exp(-(mean**2) / 2) + mean * scipy.special.erf(mean / np.sqrt(2))
    exact = 0.4**2 * folded.var()
    assert exact < diagnostics.ACTIVE < 0.4**2 * 0.25
    assert diagnostics.active_units(model, raw) == {"z1": 1, "z2": 0}
    found = diagnostics.unit_variances(model, raw)
    np.testing.assert_allclose(found["z1"], [0.25], rtol=1e-5)
    np.testing.assert_allclose(found["z2"], [exact], atol=6e-4)


def test_the_draws_of_the_parents_do_not_make_a_unit_active():
    model, raw = _folded(scale=1.0), np.zeros((500, 1), "float32")
    found = diagnostics.unit_variances(model, raw, samples=2)  # the mean of two draws has a variance of 0.2
    assert abs(found["z2"][0]) < 0.05 and found["z1"][0] == 0


@pytest.mark.parametrize("name", registry.MODELS)
def test_every_model_has_variances_of_its_units(name):
    model = _make(name)
    found = diagnostics.unit_variances(model, _raw(30), samples=3)
    assert {n: v.shape for n, v in found.items()} == {n: (f.units,) for n, f in model.q.items() if n != "y"}


def test_bayes_rule_is_that_of_the_importance_weights():
    model, raw = _make("sdgm"), _raw(7)
    draws_seed = noise.fold(noise.of_examples(raw, density.SEED), tf.constant(0))
    log_w = np.asarray(model.class_log_weights(raw, draws_seed, 5), "float64")
    joint = np.exp(log_w).mean(1).T
    ours = evaluation.bayes_class_probabilities(model, raw, samples=5)
    np.testing.assert_allclose(ours, joint / joint.sum(1, keepdims=True), rtol=1e-3)
    bound, effective = evaluation.importance(model, raw, samples=5)
    w = np.exp(np.asarray(model.log_weights(raw, draws_seed, 5), "float64"))
    np.testing.assert_allclose(bound, np.log(w.mean(0)), rtol=1e-4)
    np.testing.assert_allclose(effective, w.sum(0) ** 2 / (w**2).sum(0), rtol=1e-3)
    assert ((1 <= effective) & (effective <= 5)).all()


def test_what_is_observed_does_not_depend_on_how_the_examples_are_cut(monkeypatch):
    preprocess = Preprocess([D], noise="binarise")
    model = registry.model_class("vae")(preprocess, K, network=mlp.Network(hidden=(8,)), dim_z=3)
    raw = np.linspace(0.2, 0.8, 300 * D, dtype="float32").reshape(300, D)
    weights = lambda self, raw, seed, samples, x: tf.reduce_sum(x * 2.0 ** tf.range(float(D)), -1)  # noqa: E731
    monkeypatch.setattr(type(model), "log_weights", weights)
    whole = evaluation.log_density(model, raw, samples=1)
    monkeypatch.setattr(answers, "MEMORY_VALUES", 8 * 7)
    np.testing.assert_array_equal(evaluation.log_density(model, raw, samples=1), whole)
    assert len(set(whole)) > 50  # of 64: each example has noise of its own


def test_importance_weights_in_parts_are_those_of_many_samples():
    model, raw = _make("vae"), _raw(6)
    bound, effective = evaluation.importance(model, raw, samples=2000)
    assert effective.mean() > 200 and ((1 <= effective) & (effective <= 2000)).all()
    exact = bounds.importance_bound(model.log_weights(raw, tf.constant([0, 0]), 50_000))
    np.testing.assert_allclose(bound, exact, atol=0.3)
