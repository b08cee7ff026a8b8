"""Terms of the objective: an example alone in its batch with batch norm, the weights of entropy and balance of the class."""

import numpy as np
import pytest
import tensorflow as tf

from tfadgm import registry
from tfadgm.data.preprocess import Preprocess
from tfadgm.models.objective import Objective
from tfadgm.networks import batch_norm, mlp, optimizers

SEED, D, K = tf.constant([1, 2]), 6, 3


def _make(name, **objective):
    network = mlp.Network(hidden=(8, 8), batch_norm=True)
    sizes = {"dim_z": (3, 2)} if name in ("cagem", "lvae") else {"dim_z": 3}
    return registry.model_class(name)(Preprocess([D]), K, network=network, objective=Objective(**objective), **sizes)


def _raw(count, seed=0):
    return tf.constant(np.random.default_rng(seed).random((count, D)) < 0.5, tf.float32)


@pytest.mark.parametrize("samples", [1, 4])
@pytest.mark.parametrize("name", ["m2", "adgm", "cagem", "untapped"])
def test_a_labelled_example_alone_in_its_batch_is_read(name, samples):
    """By moments of its own every example would be the same, and so would every q(y|x) that is trained on it."""
    model = _make(name, samples=samples)
    found, expected = [], []
    for x in np.eye(D, dtype="float32")[:3]:
        batch = {"labelled": (tf.constant(x[np.newaxis]), tf.constant([1])), "unlabelled": _raw(8)}
        expected.append(float(model.terms(batch, SEED)["classification_bound"]))  # by the moving averages
        with batch_norm.batch_moments():
            found.append(float(model.terms(batch, SEED)["classification_bound"]))
    assert np.ptp(found) > 1e-3
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize("name", ["vae", "lvae", "m2", "adgm"])
def test_an_unlabelled_example_alone_moves_no_moving_average(name):
    """Its variance is 0, to which the averages would go."""
    model = _make(name, num_labelled=0)
    model.compile(optimizer=optimizers.Adam(1e-2), jit_compile=False)
    averages = [w for w in model.weights if w.name.startswith("moving_")]
    before = [w.numpy() for w in averages]
    trained = [w.numpy() for w in model.trainable_variables]
    model.train_step({"unlabelled": _raw(1)})
    assert averages and all(np.all(old == w.numpy()) for old, w in zip(before, averages, strict=True))
    assert any(np.any(old != w.numpy()) for old, w in zip(trained, model.trainable_variables, strict=True))


@pytest.mark.parametrize("name", ["m2", "cagem", "untapped"])
def test_the_entropy_of_the_class_has_its_weight_in_the_objective_and_the_bound_stays_the_bound(name):
    batch = {"labelled": (_raw(4), tf.constant([0, 1, 2, 0])), "unlabelled": _raw(8, seed=1)}
    options = dict(num_unlabelled=8, unlabelled_weight=0.5)
    plain = {term: float(value) for term, value in _make(name, **options).terms(batch, SEED).items()}
    model = _make(name, **options, class_entropy=3.0)
    found = {term: float(value) for term, value in model.terms(batch, SEED).items()}
    scale = model.term_weights["unlabelled_bound"]  # 0.5; of Untapped in its forward weight
    if name == "m2":  # what precedes y is x alone
        log_q = model.q["y"].log_probs({"x": model.preprocess(batch["unlabelled"])}).numpy().astype("float64")
        assert found["class_entropy"] == pytest.approx(-(np.exp(log_q) * log_q).sum(-1).mean(), rel=1e-5)
    assert 0 < found["class_entropy"] <= np.log(K)
    assert found["unlabelled_bound"] == pytest.approx(plain["unlabelled_bound"], rel=1e-6)
    assert found["objective"] == pytest.approx(plain["objective"] + 2 * scale * found["class_entropy"], rel=1e-5)
    assert "class_entropy" not in plain | _make(name, **options | dict(unlabelled_weight=0), class_entropy=3.0).term_weights


@pytest.mark.parametrize("name", ["m2", "sdgm", "cagem", "untapped"])
def test_the_balance_of_the_classes_has_its_weight_in_the_objective(name):
    batch = {"labelled": (_raw(4), tf.constant([0, 1, 2, 0])), "unlabelled": _raw(8, seed=1)}
    plain = {term: float(value) for term, value in _make(name, num_unlabelled=8).terms(batch, SEED).items()}
    model = _make(name, num_unlabelled=8, class_balance=5.0)
    found = {term: float(value) for term, value in model.terms(batch, SEED).items()}
    if name == "m2":
        q = np.exp(model.q["y"].log_probs({"x": model.preprocess(batch["unlabelled"])}).numpy().astype("float64")).mean(0)
        assert found["class_balance"] == pytest.approx(-np.sum(q * np.log(q * K)), rel=1e-4, abs=1e-7)
    assert found["class_balance"] < 0
    assert found["objective"] == pytest.approx(plain["objective"] + 5 * found["class_balance"], rel=1e-5)
    assert "class_balance" not in plain


@pytest.mark.parametrize("name", ["vae", "lvae", "m2", "adgm", "sdgm", "cagem"])
def test_divergences_in_closed_form_are_those_that_are_sampled(name):
    batch = {"labelled": (_raw(4), tf.constant([0, 1, 2, 0])), "unlabelled": _raw(8, seed=1)}
    batch = {"unlabelled": batch["unlabelled"]} if name in registry.WITHOUT_CLASS else batch
    sampled, closed = _make(name, samples=4000), _make(name, samples=4000, closed_kl=True)
    for model in (sampled, closed):
        for i, weight in enumerate(model.trainable_variables):
            weight.assign(np.random.default_rng(i).normal(scale=0.5, size=weight.shape))
    sampled, closed = ({term: float(v) for term, v in m.terms(batch, SEED).items()} for m in (sampled, closed))
    for term in ("unlabelled_bound", *(["labelled_bound"] if "labelled_bound" in sampled else [])):
        assert closed[term] != sampled[term] and closed[term] == pytest.approx(sampled[term], abs=0.03), term


def test_divergences_of_importance_weights_are_refused():
    with pytest.raises(ValueError, match="closed_kl: got true with importance_weighted.*; allowed: false"):
        Objective(closed_kl=True, importance_weighted=True)
