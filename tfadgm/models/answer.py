"""What answers q(y|x) where a model has been weighed against what its labels alone give (`runs.select` weighs).

    p(y|x) = sum_m w_m mean_s softmax(t_m f_m(y; x, s)),   w_m >= 0, sum_m w_m = 1

over three members, each a log q(y|.) up to a constant:

- model: f = log q(y|a_s, x), the model's own classifier, s its draws of what comes before y.
- network: f of the same network of x, trained on the labelled examples alone: the bound has weight 0.
- logistic: f = x W + b, of x as networks read it.

The temperatures t_m calibrate a member (Guo et al. 2017, "On calibration of modern neural networks"); the sum is a linear
opinion pool (Stone 1961), whose weights are those of stacking (Wolpert 1992; Yao et al. 2018). A weight of 1 is a selection.
"""

import dataclasses

import keras
import numpy as np
import tensorflow as tf

from tfadgm.distributions.conditionals import Categorical
from tfadgm.networks import initial, mlp

MEMBERS = ("model", "network", "logistic")


def pool(log_probs: tf.Tensor, temperatures: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    """log sum_m w_m softmax(t_m f_m), [..., K], from f_m = log_probs[m], [M, ..., K], and t and w, [M]."""
    shape = [-1, *[1] * (len(log_probs.shape) - 1)]
    log_w = tf.math.log(tf.maximum(tf.reshape(weights, shape), 1e-30))
    return tf.reduce_logsumexp(log_w + tf.nn.log_softmax(tf.reshape(temperatures, shape) * log_probs), 0)


class Answer(keras.layers.Layer):
    """The pool as a layer: (x, log q(y|a_s, x)) to log p(y|x). Its weights are assigned, not trained.

    Args:
      size, read_size: of x, and of the part of it that networks read.
      num_classes: K.
      network: the `mlp.Network` of the member "network".
    """

    def __init__(self, size: int, read_size: int, num_classes: int, network: mlp.Network) -> None:
        super().__init__(name="answer")
        self.read_size = read_size
        self.network = Categorical("x", num_classes, dataclasses.replace(network))
        with initial.weights_of("q(y)", 0):
            self.network.build_from({"x": size})
        options = dict(trainable=False, dtype="float32", autocast=False)
        shapes = dict(pool=(len(MEMBERS),), temperatures=(len(MEMBERS),))
        shapes |= dict(coefficients=(read_size, num_classes), bias=(num_classes,))
        for name, shape in shapes.items():
            setattr(self, f"{name}_", self.add_weight(name=name, shape=shape, initializer="zeros", **options))
        self.trainable = False
        self.built = True

    def assign(self, weights: dict[str, float], temperatures: dict[str, float], logistic: tuple, network: list) -> None:
        """Takes over what was found.

        Args:
          weights, temperatures: {member: w_m} and {member: t_m}.
          logistic: (W, b), [read_size, K] and [K].
          network: the arrays of the network's weights.
        """
        self.pool_.assign([weights[name] for name in MEMBERS])
        self.temperatures_.assign([temperatures[name] for name in MEMBERS])
        self.coefficients_.assign(np.asarray(logistic[0], "float32"))
        self.bias_.assign(np.asarray(logistic[1], "float32"))
        self.network.set_weights(network)

    def call(self, x: tf.Tensor, log_q_y: tf.Tensor) -> tf.Tensor:
        """log p(y|x) by sample, [S, B, K], from x [1, B, D] and the model's log q(y|a_s, x), [S, B, K]."""
        linear = tf.linalg.matmul(x[..., : self.read_size], self.coefficients_.value) + self.bias_
        members = log_q_y, self.network.log_probs({"x": x}), tf.nn.log_softmax(linear)
        alike = tf.stack([tf.broadcast_to(member, tf.shape(log_q_y)) for member in members])
        return pool(alike, self.temperatures_.value, self.pool_.value)
