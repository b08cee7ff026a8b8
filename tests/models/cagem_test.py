"""Where CaGeM's labels reach, its cascade against a loop over every class, clusters, and examples of a given class."""

import numpy as np
import pytest
import tensorflow as tf

from tfadgm import bounds, class_weights, noise
from tfadgm.data.preprocess import Preprocess
from tfadgm.models.cagem import CaGeM
from tfadgm.models.objective import Objective
from tfadgm.networks import batch_norm, mlp
from tfadgm.serving import signatures

SEED, K, B = tf.constant([1, 2]), 3, 8


def _make(normalised=False, objective=None, classes=K, **options):
    network = mlp.Network(hidden=(8,), hidden_above=(5,), batch_norm=normalised)
    return CaGeM(Preprocess([6]), classes, network=network, objective=objective, dim_z=(3, 2), **options)


def _batch(labelled=True):
    rng = np.random.default_rng(0)
    raw = tf.constant(rng.random((B, 6)) < 0.5, tf.float32)
    both = {"labelled": (raw, tf.constant(rng.integers(0, K, B))), "unlabelled": raw[::-1]}
    return both if labelled else {"unlabelled": raw[::-1]}


@pytest.mark.parametrize(("normalised", "exact_classes"), [(False, None), (True, None), (False, 1), (True, 1)])
def test_labels_train_the_two_classifiers_and_nothing_else(normalised, exact_classes):
    model = _make(normalised, Objective(labelled_weight=0.0, exact_classes=exact_classes))
    q_y, p_y = model.q["y"].trainable_variables, model.p["y"].trainable_variables
    for term, reached in {"classification_bound": q_y, "cascade_bound": q_y + p_y}.items():
        with tf.GradientTape() as tape, batch_norm.batch_moments():
            value = model.terms(_batch(), SEED)[term]
        own = {id(w) for w in reached}
        variables = model.trainable_variables
        for w, gradient in zip(variables, tape.gradient(value, [w.value for w in variables]), strict=True):
            if id(w) in own:
                # A bias before batch norm is cancelled by it.
                assert gradient is not None and (np.any(gradient) or (normalised and w.name == "bias")), w.path
            else:
                assert gradient is None or not np.any(gradient), w.path


def test_in_training_the_cascade_visits_all_classes_whatever_the_bound_does(monkeypatch):
    visited = []
    choose = class_weights.most_probable_classes
    monkeypatch.setattr(class_weights, "most_probable_classes", lambda *args: visited.append(args[1]) or choose(*args))
    _make(objective=Objective(labelled_weight=0.0, exact_classes=1)).terms(_batch(), SEED)
    assert visited == [1]  # the unlabelled bound


def test_there_is_no_labelled_bound_unless_it_is_asked_for():
    assert "labelled_bound" not in _make().terms(_batch(), SEED)
    assert "labelled_bound" in _make(objective=Objective(labelled_weight=0.5)).terms(_batch(), SEED)


def test_the_cascade_is_the_sum_over_the_class_that_q_infers(mean_latents):
    model = _make()
    x = model.observe(_batch()["unlabelled"])
    draws = noise.Draws(SEED, B, samples=2)
    values, _, log_q_y = bounds.infer_class(model.q, x, draws)
    total = 0.0
    for k in range(K):
        y = tf.tile(tf.one_hot(k, K)[None, None], [1, B, 1])
        inner, _ = bounds.follow({"z2": model.q["z2"]}, {**values, "y": y}, draws)
        total += np.exp(log_q_y)[..., k : k + 1] * np.exp(model.p["y"].log_probs(inner))
    ours = np.exp(bounds.cascade_class(model.p, model.q, values, log_q_y, draws)).mean(0)
    np.testing.assert_allclose(ours, total.mean(0), rtol=1e-5)
    np.testing.assert_allclose(ours.sum(-1), np.ones(B), rtol=1e-5)


def test_the_cascade_that_draws_one_class_has_the_mean_of_the_one_that_visits_all(choose_class):
    model = _make(classes=5)
    for factor in (model.q["y"], model.q["z2"], model.p["y"]):
        factor.head.kernel.assign(3 * factor.head.kernel)  # classes that differ
    x = model.observe(_batch()["unlabelled"])
    draws = noise.Draws(SEED, B, samples=2)
    values, _, log_q_y = bounds.infer_class(model.q, x, draws)
    every = np.exp(bounds.cascade_class(model.p, model.q, values, log_q_y, draws))
    mean, estimates = 0.0, []
    for rank in range(3):
        _, r = choose_class(log_q_y, 2, rank)
        estimates.append(np.exp(bounds.cascade_class(model.p, model.q, values, log_q_y, draws, 2)))
        np.testing.assert_allclose(estimates[-1].sum(-1), np.ones([2, B]), rtol=1e-5)
        mean += r[..., np.newaxis] * estimates[-1]
    assert np.std(estimates, 0).max() > 1e-3  # they are estimates
    np.testing.assert_allclose(mean, every, rtol=1e-4)


def test_a_class_is_drawn_where_there_are_more_than_three_and_all_examples_share_the_draw(monkeypatch):
    exact, batches = [], []
    cascade, choose = bounds.cascade_class, class_weights.most_probable_classes
    monkeypatch.setattr(bounds, "cascade_class", lambda *args: exact.append(args[-1]) or cascade(*args))
    monkeypatch.setattr(class_weights, "most_probable_classes", lambda *args: batches.append(args[-1]) or choose(*args))
    raw = _batch()["unlabelled"]
    for classes in (2, 3, 4, 20):
        model = _make(classes=classes)
        probabilities = np.exp(signatures.log_class_probs(model, raw, 7))
        alone = np.exp(signatures.log_class_probs(model, raw[5:6], 7))
        np.testing.assert_allclose(probabilities[5:6], alone, rtol=1e-5)
        assert model.classifier_rows == min(classes, 3)
    assert exact == [None] * 4 + [2] * 4 and batches == [1] * 4


def test_the_cascade_classifies_by_default_and_q_if_asked():
    cascade, q = _make(), _make(classifier="q")
    q.set_weights(cascade.get_weights())
    raw = _batch()["unlabelled"]
    ours, theirs = (np.exp(m.log_class_probs(raw, SEED, samples=50)) for m in (cascade, q))
    _, _, log_q_y = bounds.infer_class(q.q, q.observe(raw), noise.Draws(SEED, B, samples=50))
    np.testing.assert_allclose(theirs, np.exp(class_weights.average_class(log_q_y)[0]), rtol=1e-5)
    assert np.abs(ours - theirs).max() > 1e-3


def test_without_labels_the_classes_are_clusters():
    model = _make(objective=Objective(num_labelled=0, labelled_weight=0.0))
    assert set(model.terms(_batch(labelled=False), SEED)) == {"objective", "unlabelled_bound"} == set(model.term_names)


def test_an_example_of_a_class_has_a_z2_of_that_class():
    model = _make()
    kernel = model.p["y"].head.kernel
    kernel.assign(10 * kernel)  # classes that differ
    y = tf.one_hot([0, 1, 2] * 100, K)
    _, values = model.generate(SEED, 300, y=y)
    log_p = model.p["y"].log_probs({"z2": values["z2"]})
    prior = model.p["y"].log_probs({"z2": tf.random.stateless_normal([300, 2], SEED)})
    chosen, drawn = (float(tf.reduce_mean(tf.reduce_sum(tf.exp(log) * y, -1))) for log in (log_p, prior))
    assert chosen > drawn + 0.2
    z2 = tf.ones([300, 2])
    np.testing.assert_array_equal(model.generate(SEED, 300, y, {"z2": z2})[1]["z2"], z2)


@pytest.mark.parametrize("options", [dict(dim_z=(3,)), dict(dim_z=5), dict(dim_z=(3, 0)), dict(classifier="x")])
def test_impossible_options_are_refused(options):
    with pytest.raises(ValueError, match=f"{next(iter(options))}: got .*; allowed: "):
        CaGeM(Preprocess([6]), K, **options)
