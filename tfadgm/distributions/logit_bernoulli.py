"""The Bernoulli distribution of p(x|.)."""

import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow_probability import distributions as tfd


class LogitBernoulli(tfd.Bernoulli):
    """`tfd.Bernoulli` by its logits l, with log p(x) = x l - softplus(l): one transcendental function per pixel."""

    def __init__(self, logits: tf.Tensor) -> None:
        super().__init__(logits=logits, dtype=tf.float32)
        self._parameters = dict(logits=logits)

    @classmethod
    def _parameter_properties(cls, dtype, num_classes=None):
        return dict(logits=tfp.util.ParameterProperties())

    def _log_prob(self, x):
        return x * self.logits - tf.nn.softplus(self.logits)
