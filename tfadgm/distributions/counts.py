"""p(x|parents) of rows of counts given their library size: negative binomials, as in scVI (Lopez et al. 2018).

    log p(x | ., l) = sum_g log NB(x_g; l rho_g, r_g),    l = sum_g x_g
    NB(x; mu, r) = Gamma(x + r) / (Gamma(r) x!) (r / (r + mu))^r (mu / (r + mu))^x,    variance mu + mu^2 / r
    rho = softmax(log f + h),    f the columns' shares in the counts of training, h the network's

r_g, the inverse dispersion, is a weight of each column. The library size is conditioned on: it is read off the row
that is scored, so that log p(x | l) tells nothing of how much was counted. As in scVI with `use_observed_lib_size`, the
product does not know that its counts have the sum l: summed over the rows of one l it is less than 1.
"""

from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow_probability import distributions as tfd

from tfadgm import noise
from tfadgm.data.count_preprocess import CountLayout
from tfadgm.distributions.conditionals import Conditional, Size, Values
from tfadgm.networks import mlp

LOG_SHAPE_CEILING = 7.0  # beyond it the negative binomial is a Poisson, and its log-gamma functions lose their digits
LOG_SHAPE_FLOOR = -7.0


def log_pmf(x: tf.Tensor, log_mean: tf.Tensor, log_shape: tf.Tensor) -> tf.Tensor:
    """log NB(x; mu, r), elementwise, from log mu and log r; shapes broadcast.

    What depends on x and r alone is computed on their shape. With eta = log mu - log r the rest is

        x log(mu / (r + mu)) + r log(r / (r + mu)) = x min(eta, 0) - r max(eta, 0) - (x + r) log(1 + exp(-|eta|)),

    in which nothing large is subtracted from something large: float32 holds it for counts of a million and for means of
    1e-20.
    """
    shape, eta = tf.exp(log_shape), log_mean - log_shape
    coefficient = -tfp.math.lbeta(1.0 + x, shape) - tf.math.log(x + shape)  # log Gamma(x + r) / (Gamma(r) x!)
    tail = (x + shape) * tf.math.log1p(tf.exp(-tf.abs(eta)))
    return coefficient + (x * tf.minimum(eta, 0.0) - shape * tf.maximum(eta, 0.0) - tail)


class CountDistribution(tfd.Distribution):
    """A product of negative binomials over the columns of x, given the sum of its counts.

    Args:
      log_rho: log of each column's expected share, [..., G].
      log_shape: log r, [G].
      layout: a `CountLayout`.
    """

    def __init__(self, log_rho: tf.Tensor, log_shape: tf.Tensor, layout: CountLayout) -> None:
        self.log_rho, self.log_shape, self.layout = log_rho, log_shape, layout
        super().__init__(
            tf.float32, tfd.NOT_REPARAMETERIZED, validate_args=False, allow_nan_stats=True, name="CountDistribution"
        )

    def _batch_shape(self):
        return self.log_rho.shape[:-1]

    def _batch_shape_tensor(self):
        return tf.shape(self.log_rho)[:-1]

    def _event_shape(self):
        return tf.TensorShape([2 * self.layout.columns])

    def _log_prob(self, x):
        counts = self.layout.scored(x)
        library = tf.reduce_sum(counts, -1, keepdims=True)
        log_mean = tf.math.log(tf.maximum(library, 1.0)) + self.log_rho
        # Of a row without counts the mean is 0, and its probability 1.
        return tf.where(library[..., 0] > 0, tf.reduce_sum(log_pmf(counts, log_mean, self.log_shape), -1), 0.0)


class CountLikelihood(Conditional):
    """x in the form that `CountLayout` gives it, a product over its columns given the library size.

    Draws have library sizes of training, whatever the parents; `expected` has their median.

    Args:
      layout: a `CountLayout`.
    """

    def __init__(
        self,
        given: str = "",
        units: int = 1,
        network: mlp.Network | None = None,
        layout: CountLayout | None = None,
        **kwargs: Any,
    ) -> None:
        if not isinstance(layout, CountLayout) or units != 2 * layout.columns:
            told = "allowed: gaussian"
            raise ValueError(f"likelihood: got 'negative_binomial' for {units} numbers that are not rows of counts; {told}")
        self.layout = layout
        super().__init__(given, units, network, **kwargs)
        shape = dict(shape=(layout.columns,), initializer="zeros", dtype="float32", autocast=False)
        self.log_shape = self.add_weight(name="log_shape", **shape)

    @property
    def head_units(self) -> int:
        return self.layout.columns

    def distribution(self, values: Values) -> CountDistribution:
        log_rho = tf.nn.log_softmax(self.layout.log_frequency + self(values))
        log_shape = LOG_SHAPE_CEILING - tf.nn.softplus(LOG_SHAPE_CEILING - self.log_shape.value)
        log_shape = LOG_SHAPE_FLOOR + tf.nn.softplus(log_shape - LOG_SHAPE_FLOOR)
        return CountDistribution(log_rho, log_shape, self.layout)

    def sample(self, distribution: tfd.Distribution, samples: Size, batch: Size, seed: tf.Tensor) -> tf.Tensor:
        library = noise.uniform([samples, batch, 1], noise.fold(seed, "library"))
        at = tf.cast(library * len(self.layout.libraries), tf.int32)
        log_mean = tf.math.log(tf.gather(list(self.layout.libraries), at)) + distribution.log_rho
        log_shape = distribution.log_shape
        counts = tfd.NegativeBinomial(tf.exp(log_shape), logits=log_mean - log_shape).sample(seed=noise.fold(seed, "counts"))
        return self.layout.assemble(counts)

    def expected(self, distribution: tfd.Distribution) -> tf.Tensor:
        """Returns x of the mean counts at the median library size."""
        return self.layout.assemble(self.layout.median * tf.exp(distribution.log_rho))

    def point(self, distribution: tfd.Distribution) -> tf.Tensor:
        return self.expected(distribution)
