"""Batch normalisation whose moments know about an enumerated class axis, as scopes around the bounds.

All tensors are [..., features]: class K, sample S and batch B lead, and broadcast.
"""

import contextlib
import contextvars
import dataclasses

import keras
import tensorflow as tf


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


class BatchNorm(keras.layers.Layer):
    """gamma (h - mean) / sqrt(variance + epsilon) + beta over all leading axes; see `batch_moments`.

    A `fixed` one always takes its moving averages: a network that was trained before is to stay the function it was.
    """

    momentum, epsilon = 0.99, 1e-4
    fixed = False

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
        scope = _moments.get()
        if scope is None or self.fixed:
            return self._normalise(h, tf.convert_to_tensor(self.moving_mean), tf.convert_to_tensor(self.moving_variance))
        mean, variance = _weighted_mean_and_variance(tf.cast(h, tf.float32), scope.weights)
        if scope.updates is not None:
            scope.updates.append((self, mean, variance))
        return self._normalise(h, mean, variance)

    def _normalise(self, h, mean, variance):
        scale = tf.convert_to_tensor(self.gamma) * tf.math.rsqrt(variance + self.epsilon)
        offset = tf.convert_to_tensor(self.beta) - mean * scale
        return h * tf.cast(scale, h.dtype) + tf.cast(offset, h.dtype)

    def update(self, mean, variance):
        """Moves the moving averages towards `mean` and `variance`."""
        for moving, value in ((self.moving_mean, mean), (self.moving_variance, variance)):
            moving.assign(self.momentum * moving + (1 - self.momentum) * value)


def _weighted_mean_and_variance(h, weights):
    """Returns the mean and variance of `h` [..., units] under `weights` [K, S, B] (None: equal weights).

    h is [K, S, B, units], or [K, S, B, positions, units] of maps; with fewer axes it has no class.
    """
    if weights is None or h.shape.rank < 4:  # without a class axis, sum_y q(y|x) = 1: all weights are equal
        return tf.nn.moments(h, list(range(h.shape.rank - 1)))
    for axis in range(3):  # what h does not depend on
        if h.shape[axis] == 1:
            weights = tf.reduce_sum(weights, axis, keepdims=True)
    if h.shape.rank == 5:
        weights = weights[..., tf.newaxis]
    weights = tf.broadcast_to(weights, tf.shape(h)[:-1])
    weights = tf.reshape(weights / tf.reduce_sum(weights), [1, -1])
    rows = tf.reshape(h, [-1, h.shape[-1]])
    mean = tf.linalg.matmul(weights, rows)
    variance = tf.linalg.matmul(weights, tf.math.squared_difference(rows, mean))
    return mean[0], variance[0]
