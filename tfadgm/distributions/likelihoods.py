"""p(x | parents) of each kind of data: conditionals whose network may end in transposed convolutions.

All are over x [..., D]; see `conditionals.py` for the leading axes.
"""

import math
from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow_probability import bijectors as tfb
from tensorflow_probability import distributions as tfd

from tfadgm import registry
from tfadgm.distributions.conditionals import Conditional, Gaussian, Values
from tfadgm.distributions.logit_bernoulli import LogitBernoulli
from tfadgm.networks import convolutions, mlp

# Floor of the log-variance of a Gaussian p(x|.). The papers' code has none, and the likelihood of a pixel that never
# changes is then unbounded. A variance of exp(-7) is a standard deviation of 0.03 in units of the scaled data: 7.7 levels
# of 256 where these are scaled to [0, 1], so that log p(x|z) is at most 2.6 nats per pixel there.
LOG_VARIANCE_FLOOR = -7.0

LOG_SCALE_OF_DRAWS = 80.0  # a logistic of a larger scale overflows in float32; its draws are at the ends anyway


class Likelihood(Conditional):
    """p(x | parents): a conditional whose trunk may end in transposed convolutions."""

    def _make_head(self):
        if self.network.trunk == "conv":
            return convolutions.ConvHead(self.network, self.parameters_per_unit, name="head")
        return super()._make_head()

    def expected(self, distribution: tfd.Distribution) -> tf.Tensor:
        """Returns E[x | parents], the picture that is shown."""
        return distribution.mean()


class BernoulliLikelihood(Likelihood):
    """x in [0, 1]^D, independent Bernoulli given the parents."""

    def distribution(self, values: Values) -> tfd.Distribution:
        return tfd.Independent(LogitBernoulli(self(values)), 1)


class GaussianLikelihood(Likelihood, Gaussian):
    """x in R^D, N(mu, diag exp(v)) with the floor `LOG_VARIANCE_FLOOR` on v, and no ceiling: x has a scale of its own."""

    log_variance_ceiling = None

    def __init__(
        self,
        given: str = "",
        units: int = 1,
        network: mlp.Network | None = None,
        log_variance_floor: float = LOG_VARIANCE_FLOOR,
        **kwargs: Any,
    ) -> None:
        super().__init__(given, units, network, log_variance_floor, **kwargs)


class CategoricalLikelihood(Likelihood):
    """x in {0, ..., levels - 1}^D / (levels - 1): a softmax over the levels of each pixel (van den Oord et al. 2016)."""

    def __init__(
        self, given: str = "", units: int = 1, network: mlp.Network | None = None, levels: int = 256, **kwargs: Any
    ) -> None:
        self.levels = self.parameters_per_unit = levels
        super().__init__(given, units, network, **kwargs)

    def distribution(self, values: Values) -> tfd.Distribution:
        logits = _split_last(self(values), self.levels)
        scale = tfb.Scale(1.0 / (self.levels - 1))
        return tfd.Independent(_Rescaled(tfd.Categorical(logits=logits, dtype=tf.float32), scale), 1)

    def expected(self, distribution: tfd.Distribution) -> tf.Tensor:
        probs = tf.nn.softmax(distribution.distribution.distribution.logits)
        return tf.linalg.matvec(probs, tf.linspace(0.0, 1.0, self.levels))


class QuantisedLogistic(tfd.QuantizedDistribution):
    """A logistic distribution on 0, ..., levels - 1: level k has the mass from k - 1/2 to k + 1/2, the outer ones the tails.

    With s its scale and t+- = (k +- 1/2 - centre) / s the mass is sigmoid(t+) - sigmoid(t-), here without a difference:

        log mass = log sigmoid(t+) + log sigmoid(-t-) + log(1 - exp(-1/s)),

    without the last term, and the one of the open side, at either end.

    Args:
      centre, log_scale: [...].
      levels: their number.
    """

    def __init__(self, centre: tf.Tensor, log_scale: tf.Tensor, levels: int) -> None:
        self.centre, self.log_scale, self.levels = centre, log_scale, levels
        # For draws: level k takes what rounds up to it, hence the shift.
        logistic = tfd.Logistic(centre, tf.exp(tf.minimum(log_scale, LOG_SCALE_OF_DRAWS)))
        shifted = tfd.TransformedDistribution(logistic, tfb.Shift(-0.5))
        super().__init__(shifted, low=0.0, high=levels - 1.0)
        self._parameters = dict(centre=centre, log_scale=log_scale, levels=levels)

    @classmethod
    def _parameter_properties(cls, dtype, num_classes=None):
        real = tfp.util.ParameterProperties()
        return dict(centre=real, log_scale=real)

    def _log_prob(self, level):
        inverse = tf.exp(-self.log_scale)
        below = tf.math.log_sigmoid((level + 0.5 - self.centre) * inverse)
        above = tf.math.log_sigmoid((self.centre - level + 0.5) * inverse)
        lowest, highest = level < 0.5, level > self.levels - 1.5
        inside = below + above + _log_one_minus_exp(inverse, -self.log_scale)
        return tf.where(lowest, below, tf.where(highest, above, inside))


def _log_one_minus_exp(w, log_w):
    """log(1 - exp(-w)) for w > 0, given log w too: for a w that is next to 0, or is 0 in float32."""
    small, large = tf.minimum(w, 0.1), tf.maximum(w, 0.1)  # what is not taken stays where its gradient is finite
    return tf.where(w < 0.1, log_w - small / 2 + small**2 / 24, tf.math.log(-tf.math.expm1(-large)))


class LogisticMixtureLikelihood(Likelihood):
    """x in {0, ..., levels - 1}^D / (levels - 1): a discretised mixture of logistics (Salimans et al. 2017, eq. 1-2).

    Each pixel's mixture has `components` weights, centres and log-scales; the mass of a level is the difference of the
    mixture's distribution function at its borders, the outermost levels taking the tails. The picture that `expected`
    gives is the mean of the components' centres, clipped to [0, 1].
    """

    def __init__(
        self,
        given: str = "",
        units: int = 1,
        network: mlp.Network | None = None,
        levels: int = 256,
        components: int = 5,
        **kwargs: Any,
    ) -> None:
        self.levels, self.components = levels, components
        self.parameters_per_unit = 3 * components
        super().__init__(given, units, network, **kwargs)

    def distribution(self, values: Values) -> tfd.Distribution:
        weights, centres, log_scales = tf.split(_split_last(self(values), self.parameters_per_unit), 3, axis=-1)
        # Centres start spread over the levels and scales at a tenth of the range, as an untrained head gives zeros.
        spread = tf.linspace(-0.8, 0.8, self.components) if self.components > 1 else tf.zeros([1])
        half = 0.5 * (self.levels - 1)
        log_scales = tf.maximum(log_scales - 2.0, -7.0) + math.log(half)
        quantised = QuantisedLogistic(half * (1.0 + centres + spread), log_scales, self.levels)
        mixture = tfd.MixtureSameFamily(tfd.Categorical(logits=weights), quantised)
        return tfd.Independent(_Rescaled(mixture, tfb.Scale(1.0 / (self.levels - 1))), 1)

    def expected(self, distribution: tfd.Distribution) -> tf.Tensor:
        mixture = distribution.distribution.distribution
        centre = tf.clip_by_value(mixture.components_distribution.centre / (self.levels - 1), 0.0, 1.0)
        return tf.reduce_sum(tf.nn.softmax(mixture.mixture_distribution.logits) * centre, -1)


class _Rescaled(tfd.TransformedDistribution):
    """A distribution on whole levels seen on [0, 1]; its probabilities are masses, so no Jacobian is added."""

    def _log_prob(self, x):
        return self.distribution.log_prob(tf.round(self.bijector.inverse(x)))


def _split_last(parameters, per_unit):
    """[..., per_unit * D], all first parameters first, to [..., D, per_unit]."""
    shape = tf.concat([tf.shape(parameters)[:-1], [per_unit, parameters.shape[-1] // per_unit]], 0)
    return tf.linalg.matrix_transpose(tf.reshape(parameters, shape))


def likelihood(name: str, given: str, units: int, network: mlp.Network, **options: Any) -> Likelihood:
    """Returns the conditional p(x | given) called `name`, one of `registry.LIKELIHOODS`."""
    return registry.lookup(registry.LIKELIHOODS, "likelihood", name)(given, units, network, **options)
