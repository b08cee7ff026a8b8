"""p(y) of classes that are not equally probable."""

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfadgm.distributions.conditionals import Categorical

tfd = tfp.distributions


class FixedCategorical(Categorical):
    """Cat(child | pi): a prior over one-hot vectors.

    Between these, on the simplex, `log_prob` is log sum_k pi_k y_k. With log K! it is there the density of the mixture
    sum_k pi_k Dir(y | 1 + e_k), whose k-th part leans to class k; it is uniform where pi is.

    Args:
      probabilities: pi, K positive numbers; they are divided by their sum.
    """

    def __init__(self, probabilities, **kwargs):
        super().__init__(units=len(probabilities), **kwargs)
        probabilities = np.asarray(probabilities, "float64")
        self.probabilities = (probabilities / probabilities.sum()).astype("float32")

    def distribution(self, values):
        return tfd.OneHotCategorical(logits=np.log(self.probabilities), dtype=tf.float32)

    def log_prob(self, values, value):
        return tf.math.log(tf.reduce_sum(value * self.probabilities, -1))
