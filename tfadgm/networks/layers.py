"""The layers that networks are made of: dense ones over any leading axes, a sum over parents, initialisation.

All tensors are [..., features]: any number of leading axes (class K, sample S, batch B), which broadcast.
"""

import keras
import tensorflow as tf

from tfadgm.networks import initial

ACTIVATIONS = {
    "relu": tf.nn.relu,
    "softplus": tf.nn.softplus,
    "tanh": tf.nn.tanh,
    "leaky_relu": lambda h: tf.nn.leaky_relu(h, 0.01),
}


def hidden_initializer(activation):
    """Glorot-normal with gain sqrt(2) for rectifiers (He et al. 2015 for the gain), 1 otherwise."""
    gain = 2.0 if activation in ("relu", "leaky_relu") else 1.0
    options = dict(scale=gain, mode="fan_avg", distribution="untruncated_normal")
    return initial.Drawn(keras.initializers.VarianceScaling, **options)


class Dense(keras.layers.Dense):
    """h W + b for any leading axes, as one matrix product (a batched product with a shared W is many times slower)."""

    def call(self, h):
        rows = tf.reshape(h, [-1, h.shape[-1]])
        out = tf.linalg.matmul(rows, tf.convert_to_tensor(self.kernel))
        if self.use_bias:
            out = tf.nn.bias_add(out, tf.convert_to_tensor(self.bias))
        if h.shape.rank == 2:
            return out
        return restore_leading(out, h)


def leading_axes(like):
    """Returns the sizes of all axes of `like` but the last, a list, static where they are known."""
    dynamic = tf.shape(like)
    return [size if size is not None else dynamic[i] for i, size in enumerate(like.shape[:-1])]


def restore_leading(rows, like):
    """Reshapes [N, units] to the leading axes of `like`."""
    return tf.reshape(rows, [*leading_axes(like), rows.shape[-1]])


def hidden_dense(units, network, **kwargs):
    """Returns a dense layer before the activation of a `mlp.Network`."""
    return Dense(units, kernel_initializer=hidden_initializer(network.activation), **kwargs)


class ParentSum(keras.layers.Layer):
    """The first layer of a network with several parents: W_a a + W_y y + W_x x + b.

    It equals a dense layer on the concatenation, but an enumerated y [K, 1, 1, K] broadcasts instead of being tiled, x
    is projected once instead of once per class, and each parent has its own Glorot fan-in (as in the authors' code).
    """

    def __init__(self, given, units, activation, **kwargs):
        super().__init__(**kwargs)
        self.project = {
            name: Dense(units, use_bias=(i == 0), kernel_initializer=hidden_initializer(activation), name=f"from_{name}")
            for i, name in enumerate(given)
        }

    def build_from(self, sizes):
        for name, dense in self.project.items():
            dense.build((None, sizes[name]))
        self.built = True

    def call(self, values):
        # Few rows first: [1, B] + [S, B] is added before it meets [K, 1, 1].
        terms = [dense(values[name]) for name, dense in self.project.items()]
        terms.sort(key=lambda term: term.shape.rank)
        return sum(terms[1:], terms[0])
