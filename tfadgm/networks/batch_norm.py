"""Batch normalisation whose moments know about an enumerated class axis, as scopes around the bounds.

All tensors are [..., features]: class K, sample S and batch B lead, and broadcast.
"""

import contextlib
import contextvars
import dataclasses

import keras
import tensorflow as tf

from tfadgm.networks.layers import restore_leading


@dataclasses.dataclass(frozen=True)
class _Moments:
    updates: list | None
    weights: object = None


_moments = contextvars.ContextVar("tfadgm_moments", default=None)


@contextlib.contextmanager
def batch_moments(updates=None):
    """Within this scope batch norm uses the moments of the batch; outside it, the moving averages.

    `updates`, if a list, receives (layer, mean, variance): the caller applies them after the compiled step, since a
    variable update inside an XLA function does not work under `MirroredStrategy`.
    """
    token = _moments.set(_Moments(updates))
    try:
        yield
    finally:
        _moments.reset(token)


@contextlib.contextmanager
def unrecorded_moments():
    """Within this scope batch norm works as outside it, but the moving averages do not follow: for x that are no data."""
    current = _moments.get()
    token = _moments.set(current and dataclasses.replace(current, updates=None))
    try:
        yield
    finally:
        _moments.reset(token)


@contextlib.contextmanager
def weighted_moments(weights):
    """Within this scope the moments over an enumerated class axis are weighted by `weights`, [K, S, B].

    An enumerated pass visits every class of every example. Unweighted, its moments would be those of a world where all
    classes are equally likely for every x. With the weights q(y|x) they are the moments under q(a,y,z|x), hence those
    of the labelled pass and of a test example, whatever K is.
    """
    current = _moments.get()
    token = _moments.set(current and dataclasses.replace(current, weights=tf.stop_gradient(weights)))
    try:
        yield
    finally:
        _moments.reset(token)


@contextlib.contextmanager
def of_examples(count):
    """Within this scope batch norm sees `count` examples: one alone, which its own moments normalise away, takes the moving
    averages, and moves none. None, a number that is not known before the batch is, changes nothing.
    """
    token = _moments.set(None if count == 1 else _moments.get())
    try:
        yield
    finally:
        _moments.reset(token)


class BatchNorm(keras.layers.Layer):
    """gamma (h - mean) / sqrt(variance + epsilon) + beta over all leading axes; see `batch_moments`.

    One that is not trainable is `fixed`, as in Keras, and always takes its moving averages: a network that was trained
    before is to stay the function it was. The momentum is 0.99 where Lasagne, in which the papers' code is written, has 0.9.
    """

    momentum, epsilon = 0.99, 1e-4

    @property
    def fixed(self):
        """Whether the moving averages are taken always."""
        return not self.trainable

    def build(self, shape):
        units = shape[-1]
        options = dict(shape=(units,), dtype="float32", autocast=False)
        self.gamma = self.add_weight(name="gamma", initializer="ones", **options)
        self.beta = self.add_weight(name="beta", initializer="zeros", **options)
        options.update(trainable=False, aggregation="mean")
        self.moving_mean = self.add_weight(name="moving_mean", initializer="zeros", **options)
        self.moving_variance = self.add_weight(name="moving_variance", initializer="ones", **options)
        self.built = True

    def call(self, h):
        scope, gamma, beta = _moments.get(), tf.convert_to_tensor(self.gamma), tf.convert_to_tensor(self.beta)
        if scope is None or self.fixed:
            scale = gamma * tf.math.rsqrt(tf.convert_to_tensor(self.moving_variance) + self.epsilon)
            offset = beta - tf.convert_to_tensor(self.moving_mean) * scale
            return h * tf.cast(scale, h.dtype) + tf.cast(offset, h.dtype)
        rows, weights = tf.reshape(h, [-1, h.shape[-1]]), _row_weights(h, scope.weights)
        out, mean, variance = normalise(rows, gamma, beta, weights, self.epsilon)
        if scope.updates is not None:
            scope.updates.append((self, mean, variance))
        return restore_leading(out, h)

    def update(self, mean, variance, step=None):
        """Moves the moving averages towards `mean` and `variance`: m <- d m + (1 - d) mean.

        d = min(momentum, (t - 1) / (t + 8)) at step t = 1, 2, ...: the first moments replace the start at 0 and 1, of which
        nothing is left, and the averages of a short run are over its last tenth. Without a step, d is the momentum.
        """
        decay = self.momentum
        if step is not None:
            step = tf.cast(step, tf.float32)
            decay = tf.minimum(decay, (step - 1.0) / (step + 8.0))
        for moving, value in ((self.moving_mean, mean), (self.moving_variance, variance)):
            moving.assign(decay * moving + (1.0 - decay) * value)


def normalise(h, gamma, beta, weights=None, epsilon=BatchNorm.epsilon):
    """Returns (gamma d / sqrt(variance + epsilon) + beta, mean, variance), d = h - mean, by the moments of `h`.

        mean = sum_i w_i h_i,   variance = sum_i w_i d_i^2,   s = 1 / sqrt(variance + epsilon)

    The gradient of the first, g being what comes from above, is written out, since half of the passes over memory of what
    is derived from the above are superfluous; mean and variance have none.

        dh_i = gamma s (g_i - w_i (sum_j g_j + s^2 d_i sum_j g_j d_j)),   dgamma = s sum_j g_j d_j,   dbeta = sum_j g_j

    All is computed in float32; the rows that come and go have the type of `h`. Sums over rows are products with a row
    vector, which are faster than reductions.

    Args:
      h: [N, units].
      gamma, beta: [units].
      weights: [N], which add up to 1; None: 1 / N each.
    """

    @tf.custom_gradient
    def normalised(h, gamma, beta):
        wide, count = tf.cast(h, tf.float32), tf.cast(tf.shape(h)[0], tf.float32)
        ones = tf.ones([1, tf.shape(h)[0]])
        shares = ones / count if weights is None else weights[tf.newaxis]
        mean = tf.linalg.matmul(shares, wide)
        d = wide - mean
        variance = tf.linalg.matmul(shares, d * d)[0]
        s = tf.math.rsqrt(variance + epsilon)
        scale = gamma * s

        def gradient(g, *_):
            g = tf.cast(g, tf.float32)
            sum_g, sum_gd = tf.linalg.matmul(ones, g)[0], tf.linalg.matmul(ones, g * d)[0]
            slope = -scale * s * s * sum_gd
            if weights is None:
                dh = (g - sum_g / count) * scale + d * (slope / count)
            else:
                dh = g * scale + (d * slope - scale * sum_g) * weights[:, tf.newaxis]
            return tf.cast(dh, h.dtype), s * sum_gd, sum_g

        return (tf.cast(d * scale + beta, h.dtype), mean[0], variance), gradient

    return normalised(h, gamma, beta)


def _row_weights(h, weights):
    """Returns `weights` [K, S, B] as weights of the rows of `h`, [N], which add up to 1; None if they are all equal.

    h is [K, S, B, units], or [K, S, B, positions, units] of maps; with fewer axes it has no class.
    """
    if weights is None or h.shape.rank < 4:  # without a class axis, sum_y q(y|x) = 1: all weights are equal
        return None
    for axis in range(3):  # what h does not depend on
        if h.shape[axis] == 1:
            weights = tf.reduce_sum(weights, axis, keepdims=True)
    if h.shape.rank == 5:
        weights = weights[..., tf.newaxis]
    weights = tf.reshape(tf.broadcast_to(weights, tf.shape(h)[:-1]), [-1])
    return weights / tf.reduce_sum(weights)
