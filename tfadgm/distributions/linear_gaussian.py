"""A latent that is linear in an auxiliary a ~ N(0, I), and the posterior of a that follows: for the linear AVAE.

    q(a) q(z|a,.) = q(z|.) p(a|z,.),   q(z|.) = N(mu, diag(s) (I + V V') diag(s))

so that with p(a|z,.) as below the bound is that of q(z|.) alone, whose covariance has a part of low rank.
"""

import contextlib
import contextvars
from collections.abc import Iterator
from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow_probability import distributions as tfd

from tfadgm.distributions.conditionals import Conditional, DiagonalNormal, Gaussian, Values
from tfadgm.networks import initial, layers, mlp

_computed: contextvars.ContextVar[dict | None] = contextvars.ContextVar("tfadgm_computed", default=None)


@contextlib.contextmanager
def computed_once() -> Iterator[None]:
    """Within this scope a `LinearGaussian` reads the same values once, for q(child|.) and for what follows from it in p,
    and remembers by which noise its child was drawn.
    """
    token = _computed.set({})
    try:
        yield
    finally:
        _computed.reset(token)


class LinearGaussian(Gaussian):
    """A Gaussian whose mean is linear in one parent a, the rest being read off the others:

        child = mu + s * (V a + e),  e ~ N(0, I),  that is N(child | mu + s * V a, diag s^2)

    with mu, log s^2 and V [units, units of a] from the network, V as a departure from a weight. For a ~ N(0, I), child given
    the others has the covariance diag(s) (I + V V') diag(s): a diagonal one and one of low rank. A ceiling of the
    log-variance is that of this covariance's diagonal, s_d^2 (1 + |V_d|^2).

    Args:
      linear: the name of a.
      given: the names of the others.
      linear_units: the size of a.
    """

    DEVIATION = 0.1  # of the initial V, which at 0 would have no gradient

    def __init__(self, linear: str, given: str, units: int, network: mlp.Network, linear_units: int, **kwargs: Any) -> None:
        self.linear, self.linear_units = linear, linear_units
        super().__init__(given, units, network, **kwargs)
        self.given = (linear, *self.given)

    @property
    def head_units(self) -> int:
        return (2 + self.linear_units) * self.units

    def build_from(self, sizes: dict[str, int]) -> None:
        super().build_from(sizes)
        start = initial.normal(self.DEVIATION)
        self.directions = self.add_weight((self.units, self.linear_units), start, name="directions")

    def _parameters(self, values):
        """mu, log s^2 [..., units] and V [..., units, units of a]; the value of a is not read."""
        read, computed = [values[name] for name in self.given[1:]], _computed.get()
        if computed is not None and self in computed:
            before, parameters = computed[self]
            if all(a is b for a, b in zip(read, before, strict=True)):
                return parameters
        sizes = [self.units, self.units, self.units * self.linear_units]
        loc, log_variance, matrix = tf.split(self(values), sizes, axis=-1)
        matrix = tf.reshape(matrix, [*layers.leading_axes(matrix), self.units, self.linear_units])
        matrix = matrix + tf.convert_to_tensor(self.directions)
        if self.log_variance_ceiling is not None:
            by_a = tf.math.log1p(tf.reduce_sum(tf.square(matrix), -1))
            log_variance = self._bounded(log_variance + by_a) - by_a
        parameters = loc, log_variance, matrix
        if computed is not None:
            computed[self] = read, parameters
        return parameters

    def distribution(self, values: Values) -> tfd.Distribution:
        loc, log_variance, directions = self._parameters(values)
        moved = tf.linalg.matvec(directions, values[self.linear])
        normal = DiagonalNormal(loc + tf.exp(0.5 * log_variance) * moved, log_variance)
        normal.moved = moved
        return tfd.Independent(normal, 1)

    def _draw(self, distribution, samples, batch, seed):
        """As of any Gaussian; within `computed_once`, V a + e is kept for the `posterior` of the draw."""
        sample, e = super()._draw(distribution, samples, batch, seed)
        computed = _computed.get()
        if computed is not None:
            computed["drawn", self] = sample, distribution.distribution.moved + e
        return sample, e

    def posterior(self, values: Values, child: tf.Tensor) -> tfd.Distribution:
        """Returns p(a | child, the others) for a ~ N(0, I), exactly (as in factor analysis):

        N(a | M^-1 V' (child - mu) / s, M^-1),  M = I + V' V
        """
        loc, log_variance, directions = self._parameters(values)
        drawn, standardised = (_computed.get() or {}).get(("drawn", self), (None, None))
        if drawn is not child:
            standardised = (child - loc) * tf.exp(-0.5 * log_variance)
        seen = tf.linalg.matvec(directions, standardised, transpose_a=True)
        precision = tf.eye(self.linear_units) + tf.matmul(directions, directions, transpose_a=True)
        factor = tf.linalg.LinearOperatorLowerTriangular(tf.linalg.cholesky(precision))
        mean = factor.solvevec(factor.solvevec(seen), adjoint=True)
        return tfp.experimental.distributions.MultivariateNormalPrecisionFactorLinearOperator(mean, factor)


class LinearGaussianPosterior(Conditional):
    """p(a | child, the others) that makes a ~ N(0, I) and a `LinearGaussian` child exact; no weight of its own.

    Args:
      child: the name of the child.
      conditional: its `LinearGaussian`.
    """

    def __init__(self, child: str, conditional: LinearGaussian, **kwargs: Any) -> None:
        super().__init__(units=conditional.linear_units, **kwargs)
        self.given, self.child = (*conditional.given[1:], child), child
        self._posterior = conditional.posterior  # a method: a layer would be counted among this one's weights

    def build_from(self, sizes: dict[str, int]) -> None:
        self.built = True

    def distribution(self, values: Values) -> tfd.Distribution:
        return self._posterior(values, values[self.child])
