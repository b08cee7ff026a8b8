"""Gaussians through a bijector, such as a flow, and the uniform prior of those on an interval."""

import math
from typing import Any

import tensorflow as tf
from tensorflow_probability import bijectors as tfb
from tensorflow_probability import distributions as tfd

from tfadgm import noise
from tfadgm.distributions import bijectors
from tfadgm.distributions.conditionals import Conditional, DiagonalNormal, Gaussian, Size, Values
from tfadgm.networks import initial, mlp


class TransformedGaussian(Gaussian):
    """Base of what is a Gaussian through a bijector."""

    def sample(self, distribution: tfd.Distribution, samples: Size, batch: Size, seed: tf.Tensor) -> tf.Tensor:
        """The image of a draw of the Gaussian."""
        return distribution.bijector.forward(super().sample(distribution.distribution, samples, batch, seed))

    def sample_and_log_prob(
        self, distribution: tfd.Distribution, samples: Size, batch: Size, seed: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """The image of a draw u of the Gaussian, and log N(u) - log |det df/du|."""
        before, log_prob = super().sample_and_log_prob(distribution.distribution, samples, batch, seed)
        bijector = distribution.bijector
        return bijector.forward(before), log_prob - bijector.forward_log_det_jacobian(before, 1)

    def point(self, distribution: tfd.Distribution) -> tf.Tensor:
        """The image of the Gaussian's mean."""
        return distribution.bijector.forward(distribution.distribution.mean())


class SquashedGaussian(TransformedGaussian):
    """A Gaussian through a scaled sigmoid, on (low, high) (Gemp et al. 2017, section 2)."""

    def __init__(
        self,
        given: str = "",
        units: int = 1,
        network: mlp.Network | None = None,
        low: float = 0.0,
        high: float = 1.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(given, units, network, **kwargs)
        self.low, self.high = low, high

    def distribution(self, values: Values) -> tfd.Distribution:
        return tfd.TransformedDistribution(super().distribution(values), bijectors.scaled_sigmoid(self.low, self.high))


class Uniform(Conditional):
    """A uniform prior on [low, high]^units.

    Draws keep `MARGIN` of the width away from the border, where the inverse of a squashed Gaussian is infinite: float32
    noise is exactly 0 once in 2^23 numbers.
    """

    MARGIN = 1e-6

    def __init__(self, low: float, high: float, units: int = 1, **kwargs: Any) -> None:
        super().__init__(units=units, **kwargs)
        self.low, self.high = low, high

    def distribution(self, values: Values) -> tfd.Distribution:
        low, high = tf.fill([self.units], self.low), tf.fill([self.units], self.high)
        return tfd.Independent(tfd.Uniform(low, high), 1)

    def sample(self, distribution: tfd.Distribution, samples: Size, batch: Size, seed: tf.Tensor) -> tf.Tensor:
        margin = self.MARGIN * (self.high - self.low)
        return noise.uniform([samples, batch, self.units], seed, self.low + margin, self.high - margin)

    def log_prob(self, values: Values, value: tf.Tensor) -> tf.Tensor:
        """-units log(high - low), [...], also at the border, which a squashed Gaussian reaches by rounding."""
        return tf.fill(tf.shape(value)[:-1], -self.units * math.log(self.high - self.low))


class PlanarFlow(TransformedGaussian):
    """A Gaussian through planar flows whose parameters depend on the parents too (Rezende and Mohamed 2015, section 4.2).

    Args:
      flows: their number.
    """

    def __init__(
        self, given: str = "", units: int = 1, network: mlp.Network | None = None, flows: int = 1, **kwargs: Any
    ) -> None:
        self.flows = flows
        super().__init__(given, units, network, **kwargs)

    @property
    def head_units(self) -> int:
        return 2 * self.units + self.flows * (2 * self.units + 1)

    def _head_initializer(self):
        return initial.normal(1e-2)  # small, so that the flows start near the identity

    def distribution(self, values: Values) -> tfd.Distribution:
        sizes = [self.units] * (2 + 2 * self.flows) + [1] * self.flows
        loc, log_variance, *rest = tf.split(self(values), sizes, axis=-1)
        u, w, b = rest[: self.flows], rest[self.flows : 2 * self.flows], rest[2 * self.flows :]
        # w of its own scale: at w = 0, where a small head starts, a planar flow has no gradient in u.
        planar = [bijectors.Planar(u[i], w[i] + 1.0 / self.units, b[i][..., 0]) for i in range(self.flows)]
        normal = tfd.Independent(DiagonalNormal(loc, self._bounded(log_variance)), 1)
        return tfd.TransformedDistribution(normal, tfb.Chain(planar))
