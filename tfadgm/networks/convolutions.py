"""Convolutional trunks: flat images [..., D] of any size to features and back, for any leading axes.

Each stride-2 convolution halves the sides, rounded up; the transposed ones go through the same sizes backwards.
"""

import math

import keras
import tensorflow as tf

from tfadgm.networks import initial
from tfadgm.networks.batch_norm import BatchNorm
from tfadgm.networks.layers import ACTIVATIONS, hidden_dense, hidden_initializer, leading_axes, restore_leading


def _normalise_maps(norm, maps, reader):
    """Batch norm per channel of maps [N, height, width, C], N being the leading axes of `reader` [..., features].

    The positions of a map are further examples. A class axis stays an axis, for the weights of an enumerated class.
    """
    leading = leading_axes(reader) if reader.shape.rank == 4 else []
    rows = tf.reshape(maps, [*leading, -1, maps.shape[-1]])
    return tf.reshape(norm(rows), tf.shape(maps))


def _halved(network):
    """Returns the sides [(height, width), ...] of an image and of its maps after each convolution: halves, rounded up."""
    height, width, _ = network.image_shape
    return [(-(-height // 2**i), -(-width // 2**i)) for i in range(len(network.filters) + 1)]


def position_means(features, network):
    """Returns the means of the last maps over their positions, [..., C], given a `ConvEncoder`'s features [..., units]."""
    channels = network.filters[-1]
    positions = features.shape[-1] // channels
    return tf.reduce_mean(tf.reshape(features, [*leading_axes(features), positions, channels]), -2)


class ConvEncoder(keras.layers.Layer):
    """Reads flat images [..., D] by stride-2 convolutions, each before `depth` - 1 others; gives flat maps [..., units]."""

    def __init__(self, network, **kwargs):
        super().__init__(**kwargs)
        self.network = network
        initializer = hidden_initializer(network.activation)
        kinds = [
            (n, 3, 1, f"{i}_{j}") if j else (n, 4, 2, f"{i}")
            for i, n in enumerate(network.filters)
            for j in range(network.depth)
        ]
        self.convolutions = [
            keras.layers.Conv2D(n, sides, stride, "same", kernel_initializer=initializer, name=f"conv_{name}")
            for n, sides, stride, name in kinds
        ]
        self.norms = [BatchNorm(name=f"norm_{name}") for *_, name in kinds] if network.batch_norm else []
        self.units = math.prod(_halved(network)[-1]) * network.filters[-1]

    def build(self, shape):
        channels = self.network.image_shape[-1]
        for i, conv in enumerate(self.convolutions):
            conv.build((None, None, None, channels))
            channels = conv.filters
            if self.norms:
                self.norms[i].build((None, channels))
        self.built = True

    def call(self, x):
        h = tf.reshape(x, [-1, *self.network.image_shape])
        for i, conv in enumerate(self.convolutions):
            h = conv(h)
            if self.norms:
                h = _normalise_maps(self.norms[i], h, x)
            h = ACTIVATIONS[self.network.activation](h)
        return restore_leading(tf.reshape(h, [-1, self.units]), x)


class ConvHead(keras.layers.Layer):
    """Writes the parameters of p(x|.) by stride-2 transposed convolutions: hidden [..., H] to [..., D * parameters].

    A convolution doubles the sides; where the encoder's had an odd one, the last row or column is cut off.
    With several parameters per pixel the last axis is ordered as a dense head's: all first parameters, then all second.
    """

    def __init__(self, network, parameters, **kwargs):
        super().__init__(**kwargs)
        self.network, self.parameters = network, parameters
        self.channels = network.image_shape[-1]
        *larger, smallest = _halved(network)
        self.small, self.sides = (*smallest, network.filters[-1]), larger[::-1]
        self.expand = hidden_dense(math.prod(self.small), network, name="expand")
        outputs = [*network.filters[-2::-1], self.channels * parameters]
        self.convolutions = [
            keras.layers.Conv2DTranspose(n, 4, 2, "same", kernel_initializer=initial.glorot_normal(), name=f"conv_{i}")
            for i, n in enumerate(outputs)
        ]
        self.norms = [BatchNorm(name=f"norm_{i}") for i in range(len(outputs))] if network.batch_norm else []

    def build(self, shape):
        self.expand.build((None, shape[-1]))
        channels = self.small[-1]
        for conv in self.convolutions:
            conv.build((None, None, None, channels))
            channels = conv.filters
        for norm, units in zip(self.norms, (math.prod(self.small), *self.network.filters[-2::-1]), strict=False):
            norm.build((None, units))
        self.built = True

    def call(self, hidden):
        activation, h = ACTIVATIONS[self.network.activation], self.expand(hidden)
        if self.norms:
            h = self.norms[0](h)
        h = tf.reshape(activation(h), [-1, *self.small])
        for i, (conv, (height, width)) in enumerate(zip(self.convolutions, self.sides, strict=True)):
            if i:
                h = activation(_normalise_maps(self.norms[i], h, hidden) if self.norms else h)
            h = conv(h)[:, :height, :width]
        h = tf.reshape(h, [-1, height * width * self.channels, self.parameters])
        h = tf.reshape(tf.linalg.matrix_transpose(h), [-1, height * width * self.channels * self.parameters])
        return restore_leading(h, hidden)
