"""Conditional distributions p(child | parents): Keras layers that wrap TensorFlow Probability.

A conditional's `call` maps a dict of parent values to parameter tensors (what Keras can trace); `distribution` wraps
them in a `tfd.Distribution` whose event is the last axis. Leading axes are [K, S, B] (class, sample, batch) and broadcast.
"""

import math
from collections.abc import Sequence
from typing import Any, TypeAlias

import keras
import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow_probability import distributions as tfd

from tfadgm import noise
from tfadgm.networks import initial, layers, mlp

Values: TypeAlias = dict[str, tf.Tensor]  # of variables, by their names
Size: TypeAlias = int | tf.Tensor  # of an axis: a number, or int32 [] where a graph learns it as it runs


class Conditional(keras.layers.Layer):
    """Base class of p(child | parents).

    Args:
      given: names of the parents, separated by spaces, in the order in which they are printed.
      units: size of the child.
      network: a `mlp.Network`; None: the default one, which a conditional without parents does not use.
    """

    parameters_per_unit = 1
    is_deterministic = False

    def __init__(self, given: str = "", units: int = 1, network: mlp.Network | None = None, **kwargs: Any) -> None:
        # Keras would count: a graph would have other names, and another order of nodes, in the eleventh model of a process.
        super().__init__(**{"name": type(self).__name__.strip("_"), **kwargs})
        self.given, self.units, self.network = tuple(given.split()), int(units), network or mlp.Network()
        if self.given:
            self.trunk = mlp.MLP(self.given, self.network, name="trunk")
            self.head = self._make_head()

    @property
    def head_units(self) -> int:
        """How many parameters `call` returns."""
        return self.units * self.parameters_per_unit

    def _make_head(self):
        return layers.Dense(self.head_units, kernel_initializer=self._head_initializer(), name="head")

    def _head_initializer(self):
        return initial.glorot_normal()

    def build_from(self, sizes: dict[str, int]) -> None:
        """Creates the weights; `sizes` maps each parent's name to its number of units."""
        if self.given:
            self.trunk.build_from(sizes)
            self.head.build((None, self.network.hidden[-1]))
        self.built = True

    def freeze(self) -> None:
        """Keeps the conditional as it is: no weight is trained, and all batch norm in it takes its moving averages."""
        self.trainable = False

    def call(self, values: Values) -> tf.Tensor:
        """Returns the parameters, float32 [..., units * parameters_per_unit], given a dict of parent values."""
        return tf.cast(self.head(self.trunk(values)), tf.float32)

    def distribution(self, values: Values) -> tfd.Distribution:
        """Returns p(child | values) as a `tfd.Distribution` with event shape [units]."""
        raise NotImplementedError

    def sample(self, distribution: tfd.Distribution, samples: Size, batch: Size, seed: tf.Tensor) -> tf.Tensor:
        """Draws [..., S, B, units] from `distribution`, whose leading axes may be 1 or missing."""
        missing = tf.stack([samples, batch])
        shape = tf.broadcast_dynamic_shape(distribution.batch_shape_tensor(), missing)
        return tfd.BatchBroadcast(distribution, shape).sample(seed=seed)

    def sample_and_log_prob(
        self, distribution: tfd.Distribution, samples: Size, batch: Size, seed: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns a draw as `sample` does, and its log-density under `distribution`, [...]."""
        value = self.sample(distribution, samples, batch, seed)
        return value, distribution.log_prob(value)

    def point(self, distribution: tfd.Distribution) -> tf.Tensor:
        """Returns the value that stands for `distribution`: its mean."""
        return distribution.mean()

    def log_prob(self, values: Values, value: tf.Tensor) -> tf.Tensor:
        """Returns log p(value | values), [...]."""
        return self.distribution(values).log_prob(value)


# ------------------------------------------------------------------------------------------------------------ latents


class DiagonalNormal(tfd.Normal):
    """N(loc, exp(log_variance)): `tfd.Normal` parameterised as in the papers, without a logarithm of an exponential."""

    def __init__(self, loc: tf.Tensor, log_variance: tf.Tensor) -> None:
        self.log_variance = log_variance
        super().__init__(loc, tf.exp(0.5 * log_variance))
        self._parameters = dict(loc=loc, log_variance=log_variance)

    @classmethod
    def _parameter_properties(cls, dtype, num_classes=None):
        real = tfp.util.ParameterProperties()
        return dict(loc=real, log_variance=real)

    def _log_prob(self, x):
        squared = tf.square((x - self.loc) * tf.exp(-0.5 * self.log_variance))  # exp(-v) overflows from |v| = 88 on
        return -0.5 * (squared + self.log_variance + math.log(2 * math.pi))


class Gaussian(Conditional):
    """N(child | mu(parents), diag exp(v(parents))), mu and v linear in the last hidden layer (Maaloe et al., eq. 14-16).

    Args:
      log_variance_floor: if given, v is floor + softplus(v - floor), which is at least the floor.
    """

    parameters_per_unit = 2

    def __init__(
        self,
        given: str = "",
        units: int = 1,
        network: mlp.Network | None = None,
        log_variance_floor: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(given, units, network, **kwargs)
        self.log_variance_floor = log_variance_floor

    def _head_initializer(self):
        deviation = self.network.head_deviation
        return initial.normal(deviation) if deviation else super()._head_initializer()

    def distribution(self, values: Values) -> tfd.Distribution:
        loc, log_variance = tf.split(self(values), 2, axis=-1)
        return tfd.Independent(DiagonalNormal(loc, self._bounded(log_variance)), 1)

    @property
    def log_variance_ceiling(self) -> float | None:
        """See `mlp.Network`."""
        return self.network.log_variance_ceiling

    def _bounded(self, log_variance):
        floor, ceiling = self.log_variance_floor, self.log_variance_ceiling
        if ceiling is not None:
            log_variance = ceiling - tf.nn.softplus(ceiling - log_variance)
        return log_variance if floor is None else floor + tf.nn.softplus(log_variance - floor)

    def sample(self, distribution: tfd.Distribution, samples: Size, batch: Size, seed: tf.Tensor) -> tf.Tensor:
        """loc + scale * noise, the noise [S, B, units] shared by all classes.

        Each class's draw has the right law and the sum over classes is linear in them, so the bound stays unbiased;
        the difference between two classes' bounds, which trains q(y|.), gets a smaller variance, at 1/K of the noise.
        """
        return self._draw(distribution, samples, batch, seed)[0]

    def sample_and_log_prob(
        self, distribution: tfd.Distribution, samples: Size, batch: Size, seed: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """A draw loc + scale * e, and -1/2 sum (e^2 + v + log 2 pi) by its noise e.

        Read off the value, e would be another number where the scale is not far above the last digit of the value.
        """
        sample, e = self._draw(distribution, samples, batch, seed)
        log_variance = tf.reduce_sum(distribution.distribution.log_variance, -1)
        return sample, -0.5 * (tf.reduce_sum(tf.square(e), -1) + log_variance + self.units * math.log(2 * math.pi))

    def divergence(self, distribution: tfd.Distribution, prior: tfd.Distribution) -> tf.Tensor | None:
        """KL(distribution || prior) in nats, [...], of two diagonal Gaussians; None where one of both is something else.

        1/2 sum [v_p - v + (exp(v) + (mu - mu_p)^2) exp(-v_p) - 1]
        """
        own, other = (getattr(d, "distribution", None) for d in (distribution, prior))
        if not (isinstance(own, DiagonalNormal) and isinstance(other, DiagonalNormal)):
            return None
        far = tf.exp(own.log_variance - other.log_variance)
        far += tf.square((own.loc - other.loc) * tf.exp(-0.5 * other.log_variance))
        return 0.5 * tf.reduce_sum(other.log_variance - own.log_variance + far - 1.0, -1)

    def _draw(self, distribution, samples, batch, seed):
        """Returns (a draw, its noise)."""
        normal, e = distribution.distribution, noise.normal([samples, batch, self.units], seed)
        sample = normal.loc + normal.scale * e
        if isinstance(samples, int) and isinstance(batch, int):
            shape = tf.broadcast_static_shape(distribution.batch_shape, tf.TensorShape([samples, batch]))
            sample = tf.ensure_shape(sample, [*shape, self.units])
        return sample, e


class StandardNormal(Gaussian):
    """N(child | 0, I): a prior."""

    def distribution(self, values: Values) -> tfd.Distribution:
        zeros = tf.zeros([self.units])
        return tfd.Independent(DiagonalNormal(zeros, zeros), 1)


class PrecisionWeighted(Gaussian):
    """What is read off the parents, merged with what a prior expects (Sonderby et al. 2016, eq. 11-13).

        N((mu / v + mu_p / v_p) / (1 / v + 1 / v_p), 1 / (1 / v + 1 / v_p)),  (mu, v) of the parents, (mu_p, v_p) the prior's

    Args:
      given: the parents that the network reads; those of the prior join them.
      prior: a `Gaussian`, p(child | its parents). Its weights stay its own.
    """

    def __init__(self, given: str, prior: Gaussian, units: int, network: mlp.Network | None, **kwargs: Any) -> None:
        super().__init__(given, units, network, **kwargs)
        self.given = prior.given + self.given
        self._prior_distribution = prior.distribution  # a method: a layer would be counted among this one's weights

    def distribution(self, values: Values) -> tfd.Distribution:
        seen, expected = super().distribution(values).distribution, self._prior_distribution(values).distribution
        share = tf.sigmoid(expected.log_variance - seen.log_variance)  # of 1 / v in the sum of both precisions
        loc = expected.loc + share * (seen.loc - expected.loc)
        # v v_p / (v + v_p) = v_p (1 - share)
        log_variance = expected.log_variance + tf.math.log_sigmoid(seen.log_variance - expected.log_variance)
        return tfd.Independent(DiagonalNormal(loc, log_variance), 1)


class Deterministic(Gaussian):
    """child = mu(parents), without noise and without a density: the ablation of Maaloe et al. 2016, figure 5."""

    parameters_per_unit = 1
    is_deterministic = True

    def distribution(self, values: Values) -> tfd.Distribution:
        return tfd.Independent(tfd.Deterministic(self(values)), 1)

    def sample(self, distribution: tfd.Distribution, samples: Size, batch: Size, seed: tf.Tensor) -> tf.Tensor:
        return distribution.mean()


class Categorical(Conditional):
    """Cat(child | softmax(parents)), the child a one-hot vector [..., units]. Its network is `mlp.Network.classifier`."""

    def __init__(self, given: str = "", units: int = 1, network: mlp.Network | None = None, **kwargs: Any) -> None:
        super().__init__(given, units, (network or mlp.Network()).classifier, **kwargs)

    def distribution(self, values: Values) -> tfd.Distribution:
        return tfd.OneHotCategorical(logits=self(values), dtype=tf.float32)

    def log_probs(self, values: Values) -> tf.Tensor:
        """Returns the log-probabilities of all classes, [..., units]."""
        return tf.nn.log_softmax(self(values))


class UniformCategorical(Categorical):
    """Cat(child | 1/K, ..., 1/K): a prior over one-hot vectors."""

    def distribution(self, values: Values) -> tfd.Distribution:
        return tfd.OneHotCategorical(logits=tf.zeros([self.units]), dtype=tf.float32)

    def log_prob(self, values: Values, value: tf.Tensor) -> tf.Tensor:
        return tf.fill(tf.shape(value)[:-1], -math.log(self.units))


class FixedCategorical(Categorical):
    """Cat(child | pi): a prior over one-hot vectors.

    Between these, on the simplex, `log_prob` is log sum_k pi_k y_k. With log K! it is there the density of the mixture
    sum_k pi_k Dir(y | 1 + e_k), whose k-th part leans to class k; it is uniform where pi is.

    Args:
      probabilities: pi, K positive numbers; they are divided by their sum.
    """

    def __init__(self, probabilities: Sequence[float], **kwargs: Any) -> None:
        super().__init__(units=len(probabilities), **kwargs)
        total = sum(probabilities)
        self.probabilities = tuple(float(share / total) for share in probabilities)

    def distribution(self, values: Values) -> tfd.Distribution:
        return tfd.OneHotCategorical(probs=tf.constant(self.probabilities), dtype=tf.float32)

    def log_prob(self, values: Values, value: tf.Tensor) -> tf.Tensor:
        return tf.math.log(tf.reduce_sum(value * tf.constant(self.probabilities), -1))


class RelaxedCategorical(Conditional):
    """log y of a Gumbel-softmax class y = softmax((log q(y|x) + g) / t), g Gumbel noise, y on the simplex.

    (Maddison, Mnih and Teh 2017, eq. 2; Jang, Gu and Poole 2017.) Its logarithm is drawn, since y itself underflows.

    Args:
      temperature: t, greater than 0.
    """

    def __init__(self, units: int, temperature: float, **kwargs: Any) -> None:
        super().__init__(units=units, **kwargs)
        self.temperature = temperature

    def distribution(self, log_q_y: tf.Tensor) -> tfd.Distribution:
        """Of log y, given log q(y|x) [..., units]."""
        return tfd.ExpRelaxedOneHotCategorical(self.temperature, logits=log_q_y)

    def sample(self, distribution: tfd.Distribution, samples: Size, batch: Size, seed: tf.Tensor) -> tf.Tensor:
        uniform = noise.uniform([samples, batch, self.units], seed, low=1e-20)
        gumbel = -tf.math.log(-tf.math.log(uniform))
        return tf.nn.log_softmax((distribution.logits + gumbel) / self.temperature)

    def point(self, distribution: tfd.Distribution) -> tf.Tensor:
        """The logarithm of the relaxed class without noise."""
        return tf.nn.log_softmax(distribution.logits / self.temperature)

    def simplex_log_prob(self, distribution: tfd.Distribution, log_y: tf.Tensor) -> tf.Tensor:
        """The log-density of y = exp(log_y) on the simplex, [...] (Maddison, Mnih and Teh 2017, eq. 23)."""
        return distribution.log_prob(log_y) - tf.reduce_sum(log_y, -1)
