"""The virtual adversarial term: q(y|x) is to change little in the direction in which it would change most.

    -KL(t(y|x) || q(y|x' + r)),   r = argmax_{|r| <= radius} KL(t(y|x) || q(y|x' + r))

(Miyato et al. 2015, "Distributional smoothing with virtual adversarial training", eq. 4 to 6). The first argument is a
constant, and so is r, of which one power iteration from a random direction d is taken:

    r = radius g / |g|,   g = d/dr KL(t(y|x) || q(y|x' + r)) at r = radius d

In the paper t(y|x) = q(y|x) and x' = x. Of pictures x' may be x after a move by some pixels; and t(y|x), proportional to
q(y|x)^(1/T), may be surer, since smooth answers become flat ones where no bound is sure of the classes (MixMatch, Berthelot
et al. 2019, and UDA, Xie et al. 2020, have both).

No label enters, so that unlabelled examples teach the classifier that its decision is the same all around them. The
direction is found at the radius: nearer to x, bfloat16 rounds the divergence away.
"""

from collections.abc import Callable

import tensorflow as tf


def smoothness(
    log_probs: Callable[[tf.Tensor], tf.Tensor],
    log_t_y: tf.Tensor,
    x: tf.Tensor,
    radius: float,
    read_size: int,
    seed: tf.Tensor,
) -> tf.Tensor:
    """Returns -KL(t(y|x) || q(y|x' + r)) of each example, nats, [B].

    Args:
      log_probs: a function of x [1, B, D] that returns log q(y|x), [B, K], with the same noise at every call.
      log_t_y: log t(y|x), [B, K].
      x: x', [1, B, D].
      radius: |r|, in the units of x as networks read it.
      read_size: how many of the D numbers networks read; the others stay as they are.
      seed: int32 [2], of the first direction.
    """
    log_t_y = tf.stop_gradient(log_t_y)
    direction = _unit(tf.random.stateless_normal(tf.shape(x[..., :read_size]), seed, dtype=x.dtype))
    with tf.GradientTape() as tape:
        r = radius * direction
        tape.watch(r)
        change = tf.reduce_sum(_divergence(log_t_y, log_probs(_nudged(x, r))))
    r = radius * _unit(tape.gradient(change, r))
    return -_divergence(log_t_y, log_probs(_nudged(x, tf.stop_gradient(r))))


def _nudged(x, r):
    return x + tf.pad(r, [[0, 0], [0, 0], [0, x.shape[-1] - r.shape[-1]]])


def _divergence(log_p, log_q):
    return tf.reduce_sum(tf.exp(log_p) * (log_p - log_q), -1)


def _unit(r):
    """Directions, [..., n]; where there is none, as of a classifier that is constant, zeros."""
    largest = tf.reduce_max(tf.abs(r), -1, keepdims=True)
    r = tf.math.divide_no_nan(r, largest)  # tiny gradients have no square
    return tf.math.divide_no_nan(r, tf.norm(r, axis=-1, keepdims=True))
