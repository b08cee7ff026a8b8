"""Functions of log q(y|.) alone, [S, B, K]: its average, the classes that are visited, their weights, entropy, balance."""

import math

import tensorflow as tf

from tfadgm import noise


def average_class(log_q_y):
    """log q(y|x) = log (1/S) sum_s q(y|a_s, x): [S, B, K] to [1, B, K]."""
    samples = tf.cast(tf.shape(log_q_y)[0], log_q_y.dtype)
    return tf.reduce_logsumexp(log_q_y, axis=0, keepdims=True) - tf.math.log(samples)


def enumerate_classes(log_q_y):
    """All classes: one-hot y [K, 1, 1, K] and their weights q(y|.), [K, S, B]."""
    num_classes = log_q_y.shape[-1]
    y = tf.eye(num_classes)[:, tf.newaxis, tf.newaxis, :]
    return y, tf.transpose(tf.exp(log_q_y), [2, 0, 1])


def most_probable_classes(log_q_y, exact, seed, batch=None):
    """The `exact` most probable classes and one sampled from the rest, with unbiased weights.

    For T the exact set and y' ~ r(y) = q(y) / (1 - q(T)) outside it,

        sum_y q(y) f(y) = sum_{y in T} q(y) f(y) + E_r [q(y') / r(y') f(y')],

    and with the denominator r(y') held constant the gradient is unbiased too: its expectation is
    sum_y (dq(y) f(y) + q(y) df(y)). Without batch norm, that is, whose moments make f(y') depend on the other examples'
    draws. (Rao-Blackwellisation: Liu et al. 2019, "Rao-Blackwellized stochastic gradients for discrete distributions".)

    Args:
      log_q_y: [S, B, K].
      exact: k, at least 1 and less than K - 1.
      seed: int32 [2].
      batch: B, or 1 if all examples share the noise by which y' is drawn.

    Returns:
      (y, weights): one-hot [k + 1, S, B, K], the sampled class last, and weights [k + 1, S, B], whose sum is 1.
    """
    num_classes = log_q_y.shape[-1]
    fixed = tf.stop_gradient(log_q_y)
    top = tf.math.top_k(fixed, exact).indices
    in_top = tf.reduce_sum(tf.one_hot(top, num_classes), -2)
    rest = tf.nn.log_softmax(tf.where(in_top > 0, -1e30, fixed))  # finite: some formats of an export select by products
    shape = [log_q_y.shape[0] or tf.shape(fixed)[0], tf.shape(fixed)[1] if batch is None else batch, num_classes]
    gumbel = -tf.math.log(-tf.math.log(noise.uniform(shape, seed, 1e-20)))
    sampled = tf.argmax(rest + gumbel, -1, output_type=tf.int32)
    classes = tf.concat([top, sampled[..., tf.newaxis]], -1)  # [S, B, k + 1]
    y = tf.one_hot(classes, num_classes)
    log_r = tf.reduce_sum(y[..., -1, :] * tf.where(in_top > 0, 0.0, rest), -1)
    log_weights = tf.linalg.matvec(y, log_q_y) - tf.stack([tf.zeros_like(log_r)] * exact + [log_r], -1)
    return tf.transpose(y, [2, 0, 1, 3]), tf.transpose(tf.exp(log_weights), [2, 0, 1])


def class_average(weights, f, log_q_y):
    """sum_y q(y) f(y), [..., S, B], from the classes that were visited.

    With every class visited it is the plain weighted sum. Otherwise a baseline b, the weighted mean of f over the exact
    classes, is subtracted where the weight of the sampled class is random and added back where it is known:

        sum_{y in T} q(y) f(y) + w' (f(y') - b) + (1 - q(T)) b,

    which leaves value and gradient unbiased, since E[w'] = 1 - q(T), as does E[dw'].
    """
    if weights.shape[0] == log_q_y.shape[-1]:
        return tf.reduce_sum(weights * f, 0)
    exact, fixed = weights[:-1], tf.stop_gradient(weights[:-1])
    baseline = tf.reduce_sum(fixed * tf.stop_gradient(f[:-1]), 0) / tf.reduce_sum(fixed, 0)
    outside = 1.0 - tf.reduce_sum(exact, 0)
    return tf.reduce_sum(exact * f[:-1], 0) + weights[-1] * (f[-1] - baseline) + outside * baseline


def balance(log_q_y, shares=None):
    """-KL(mean_b q(y|x_b) || p(y)) in nats, [B, K] to a scalar; p(y) are the `shares` of the classes, None: equal.

    A classifier that is to be smooth, and to be right on a few labels, may answer one class for all the others. The classes
    of many examples together are known better than that (Krause et al. 2010, "Discriminative clustering by regularized
    information maximization", eq. 8).
    """
    log_shares = -math.log(log_q_y.shape[-1]) if shares is None else tf.math.log(tf.constant(shares, log_q_y.dtype))
    log_mean = tf.reduce_logsumexp(log_q_y, 0) - tf.math.log(tf.cast(tf.shape(log_q_y)[0], log_q_y.dtype))
    return -tf.reduce_sum(tf.exp(log_mean) * (log_mean - log_shares))


def entropy(log_q_y):
    """H(q(y|.)) in nats, [..., K] to [...]."""
    return -tf.reduce_sum(tf.exp(log_q_y) * log_q_y, -1)
