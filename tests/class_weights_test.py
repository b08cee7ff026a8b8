"""Averages and entropy of classes, and unbiased class sampling."""

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

from tfadgm import class_weights

SEED = tf.constant([3, 4])


def _rng(*key):
    return np.random.default_rng(key)


def _logits(classes, samples=2, batch=3):
    return tf.constant(_rng(8, classes).normal(size=(samples, batch, classes)), tf.float32)


def test_enumerate_classes_puts_the_classes_first():
    log_q_y = tf.nn.log_softmax(_logits(4))
    y, weights = class_weights.enumerate_classes(log_q_y)
    assert y.shape == (4, 1, 1, 4)
    np.testing.assert_array_equal(y[:, 0, 0], np.eye(4))
    np.testing.assert_allclose(weights, np.moveaxis(np.exp(log_q_y), -1, 0), rtol=1e-6)
    f = tf.constant(_rng(1).normal(size=(4, 2, 3)), tf.float32)
    expected = np.einsum("sbk,ksb->sb", np.exp(log_q_y), f)
    np.testing.assert_allclose(class_weights.class_average(weights, f, log_q_y), expected, rtol=1e-5, atol=1e-6)


def test_balance_is_highest_where_the_classes_of_a_batch_are_as_the_prior_says():
    q_y = np.random.default_rng(3).dirichlet([0.5, 1.0, 2.0], 40)
    for shares in (None, (0.2, 0.3, 0.5)):
        expected = -scipy.stats.entropy(q_y.mean(0), shares or np.full(3, 1 / 3))
        found = class_weights.balance(tf.constant(np.log(q_y), tf.float32), shares)
        assert float(found) == pytest.approx(expected, rel=1e-4)
    assert float(class_weights.balance(tf.constant(np.log(q_y), tf.float32), tuple(q_y.mean(0)))) == pytest.approx(
        0, abs=1e-5
    )


def test_averages_over_samples_and_entropy_are_those_of_numpy():
    log_q_y = tf.nn.log_softmax(3 * _logits(4, samples=5))
    q_y = np.exp(log_q_y.numpy().astype("float64"))
    averaged = class_weights.average_class(log_q_y)
    assert averaged.shape == (1, 3, 4)
    np.testing.assert_allclose(averaged[0], np.log(q_y.mean(0)), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(class_weights.entropy(log_q_y), scipy.stats.entropy(q_y, axis=-1), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(class_weights.average_class(log_q_y[:1]), log_q_y[:1], atol=1e-6)


def test_the_average_stays_finite_where_probabilities_underflow():
    log_q_y = tf.constant([[[0.0, -500.0]], [[0.0, -400.0]]])
    np.testing.assert_allclose(class_weights.average_class(log_q_y), [[[0.0, -400 - np.log(2)]]], rtol=1e-6)


@pytest.mark.parametrize(("classes", "exact"), [(4, 1), (4, 2), (6, 1), (6, 3)])
def test_class_sampling_is_unbiased_in_value_and_gradient_exactly(choose_class, classes, exact):
    # The expectation over the sampled class is written out: every choice, weighted by its probability.
    logits, theta = _logits(classes), tf.constant(_rng(9).normal(size=(classes, 2)), tf.float32)
    cotangent = _rng(10).normal(size=(2, 3))

    def estimate(exact, r=1.0):
        with tf.GradientTape() as tape:
            tape.watch([logits, theta])
            log_q_y = tf.nn.log_softmax(logits)
            if exact is None:
                y, weights = class_weights.enumerate_classes(log_q_y)
            else:
                y, weights = class_weights.most_probable_classes(log_q_y, exact, SEED)
            f = tf.reduce_prod(tf.sin(y @ theta), -1) * tf.constant([[1.0, -2.0, 5.0]]) - 30.0  # far from zero: a baseline
            value = class_weights.class_average(weights, f, log_q_y)
            loss = tf.reduce_sum(value * tf.constant(r * cotangent, tf.float32))
        return [r * value.numpy(), *(g.numpy() for g in tape.gradient(loss, [logits, theta]))]

    enumerated, expectation, values = estimate(None), [0.0] * 3, []
    for rank in range(classes - exact):
        chosen, r = choose_class(tf.nn.log_softmax(logits), exact, rank)
        y, _ = class_weights.most_probable_classes(tf.nn.log_softmax(logits), exact, SEED)
        np.testing.assert_array_equal(np.argmax(y[-1], -1), chosen)
        terms = estimate(exact, r)
        values.append(terms[0] / r)
        expectation = [mean + term for mean, term in zip(expectation, terms, strict=True)]
    assert np.std(values, 0).min() > 1e-4  # it is an estimate, in every row
    for ours, theirs in zip(expectation, enumerated, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=2e-5)


def test_the_exact_classes_are_the_most_probable_and_the_sampled_one_is_another():
    log_q_y = tf.nn.log_softmax(_logits(6))
    y, weights = class_weights.most_probable_classes(log_q_y, 2, SEED)
    assert y.shape == (3, 2, 3, 6) and weights.shape == (3, 2, 3)
    classes = np.argmax(y, -1)
    order = np.argsort(-log_q_y.numpy(), -1)
    np.testing.assert_array_equal(np.moveaxis(classes[:2], 0, -1), order[..., :2])
    assert np.all((classes[2] != classes[0]) & (classes[2] != classes[1]))
    probabilities = np.take_along_axis(np.exp(log_q_y), np.moveaxis(classes, 0, -1), -1)
    np.testing.assert_allclose(np.moveaxis(weights[:2], 0, -1), probabilities[..., :2], rtol=1e-5)
    np.testing.assert_allclose(weights[2], 1 - probabilities[..., :2].sum(-1), rtol=1e-4)  # q / r = 1 - q(T)


def test_the_sampled_class_has_the_frequencies_of_the_rest():
    q_y = np.array([0.4, 0.05, 0.25, 0.2, 0.1])
    log_q_y = tf.constant(np.broadcast_to(np.log(q_y), (2, 10_000, 5)), tf.float32)
    y, _ = class_weights.most_probable_classes(log_q_y, 2, SEED)
    counts = np.sum(y[-1], (0, 1))
    assert counts[0] == counts[2] == 0
    r = q_y[[1, 3, 4]] / q_y[[1, 3, 4]].sum()
    assert scipy.stats.chisquare(counts[[1, 3, 4]], r * 20_000).pvalue > 1e-3
    other, _ = class_weights.most_probable_classes(log_q_y, 2, SEED + 1)
    assert np.any(other[-1] != y[-1])


def test_class_sampling_is_finite_when_one_class_has_all_the_probability():
    logits = tf.constant([[[1e4, 0.0, -1e4, 0.0, 5.0]]])
    with tf.GradientTape() as tape:
        tape.watch(logits)
        log_q_y = tf.nn.log_softmax(logits)
        y, weights = class_weights.most_probable_classes(log_q_y, 2, SEED)
        f = tf.linalg.matvec(y, tf.constant([1.0, 2.0, 3.0, 4.0, 5.0]))
        value = class_weights.class_average(weights, f, log_q_y) + class_weights.entropy(log_q_y)
    np.testing.assert_allclose(value, [[1.0]], rtol=1e-5)
    assert np.isfinite(tape.gradient(value, logits)).all()
