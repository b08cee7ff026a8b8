"""Conditional distributions p(child | parents): Keras layers that wrap TensorFlow Probability.

A conditional's `call` maps a dict of parent values to parameter tensors (what Keras can trace); `distribution` wraps
them in a `tfd.Distribution` whose event is the last axis. Leading axes are [K, S, B] (class, sample, batch) and broadcast.
"""

import math

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from tfadgm import noise
from tfadgm.distributions import bijectors
from tfadgm.networks import initial, layers, mlp

tfd, tfb = tfp.distributions, tfp.bijectors


class Conditional(keras.layers.Layer):
    """Base class of p(child | parents).

    Args:
      given: names of the parents, separated by spaces, in the order in which they are printed.
      units: size of the child.
      network: a `mlp.Network`; None for a conditional without parents.
    """

    parameters_per_unit = 1
    is_deterministic = False

    def __init__(self, given="", units=1, network=None, **kwargs):
        super().__init__(**kwargs)
        self.given, self.units, self.network = tuple(given.split()), int(units), network
        if self.given:
            self.trunk = mlp.MLP(self.given, network, name="trunk")
            self.head = self._make_head()

    @property
    def head_units(self):
        """How many parameters `call` returns."""
        return self.units * self.parameters_per_unit

    def _make_head(self, initializer=None):
        return layers.Dense(self.head_units, kernel_initializer=initializer or initial.glorot_normal(), name="head")

    def build_from(self, sizes):
        """Creates the weights; `sizes` maps each parent's name to its number of units."""
        if self.given:
            self.trunk.build_from(sizes)
            self.head.build((None, self.network.hidden[-1]))
        self.built = True

    def freeze(self):
        """Keeps the conditional as it is: no weight is trained, and all batch norm in it takes its moving averages."""
        self.trainable = False

    def call(self, values):
        """Returns the parameters, float32 [..., units * parameters_per_unit], given a dict of parent values."""
        return tf.cast(self.head(self.trunk(values)), tf.float32)

    def distribution(self, values):
        """Returns p(child | values) as a `tfd.Distribution` with event shape [units]."""
        raise NotImplementedError

    def sample(self, distribution, samples, batch, seed):
        """Draws [..., S, B, units] from `distribution`, whose leading axes may be 1 or missing."""
        missing = tf.stack([samples, batch])
        shape = tf.broadcast_dynamic_shape(distribution.batch_shape_tensor(), missing)
        return tfd.BatchBroadcast(distribution, shape).sample(seed=seed)

    def sample_and_log_prob(self, distribution, samples, batch, seed):
        """Returns a draw as `sample` does, and its log-density under `distribution`, [...]."""
        value = self.sample(distribution, samples, batch, seed)
        return value, distribution.log_prob(value)

    def point(self, distribution):
        """Returns the value that stands for `distribution`: its mean."""
        return distribution.mean()

    def log_prob(self, values, value):
        """Returns log p(value | values), [...]."""
        return self.distribution(values).log_prob(value)


# ------------------------------------------------------------------------------------------------------------ latents


class DiagonalNormal(tfd.Normal):
    """N(loc, exp(log_variance)): `tfd.Normal` parameterised as in the papers, without a logarithm of an exponential."""

    def __init__(self, loc, log_variance):
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

    def __init__(self, given="", units=1, network=None, log_variance_floor=None, **kwargs):
        super().__init__(given, units, network, **kwargs)
        self.log_variance_floor = log_variance_floor

    def _make_head(self):
        deviation = self.network.head_deviation
        return super()._make_head(initial.normal(deviation) if deviation else None)

    def distribution(self, values):
        loc, log_variance = tf.split(self(values), 2, axis=-1)
        return tfd.Independent(DiagonalNormal(loc, self._bounded(log_variance)), 1)

    @property
    def log_variance_ceiling(self):
        """See `mlp.Network`."""
        return self.network and self.network.log_variance_ceiling

    def _bounded(self, log_variance):
        floor, ceiling = self.log_variance_floor, self.log_variance_ceiling
        if ceiling is not None:
            log_variance = ceiling - tf.nn.softplus(ceiling - log_variance)
        return log_variance if floor is None else floor + tf.nn.softplus(log_variance - floor)

    def sample(self, distribution, samples, batch, seed):
        """loc + scale * noise, the noise [S, B, units] shared by all classes.

        Each class's draw has the right law and the sum over classes is linear in them, so the bound stays unbiased;
        the difference between two classes' bounds, which trains q(y|.), gets a smaller variance, at 1/K of the noise.
        """
        return self._draw(distribution, samples, batch, seed)[0]

    def sample_and_log_prob(self, distribution, samples, batch, seed):
        """A draw loc + scale * e, and -1/2 sum (e^2 + v + log 2 pi) by its noise e.

        Read off the value, e would be another number where the scale is not far above the last digit of the value.
        """
        sample, e = self._draw(distribution, samples, batch, seed)
        log_variance = tf.reduce_sum(distribution.distribution.log_variance, -1)
        return sample, -0.5 * (tf.reduce_sum(tf.square(e), -1) + log_variance + self.units * math.log(2 * math.pi))

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

    def distribution(self, values):
        zeros = tf.zeros([self.units])
        return tfd.Independent(DiagonalNormal(zeros, zeros), 1)


class TransformedGaussian(Gaussian):
    """Base of what is a Gaussian through a bijector."""

    def sample(self, distribution, samples, batch, seed):
        """The image of a draw of the Gaussian."""
        return distribution.bijector.forward(super().sample(distribution.distribution, samples, batch, seed))

    def sample_and_log_prob(self, distribution, samples, batch, seed):
        """The image of a draw u of the Gaussian, and log N(u) - log |det df/du|."""
        before, log_prob = super().sample_and_log_prob(distribution.distribution, samples, batch, seed)
        bijector = distribution.bijector
        return bijector.forward(before), log_prob - bijector.forward_log_det_jacobian(before, 1)

    def point(self, distribution):
        """The image of the Gaussian's mean."""
        return distribution.bijector.forward(distribution.distribution.mean())


class SquashedGaussian(TransformedGaussian):
    """A Gaussian through a scaled sigmoid, on (low, high) (Gemp et al. 2017, section 2)."""

    def __init__(self, given="", units=1, network=None, low=0.0, high=1.0, **kwargs):
        super().__init__(given, units, network, **kwargs)
        self.low, self.high = low, high

    def distribution(self, values):
        return tfd.TransformedDistribution(super().distribution(values), bijectors.scaled_sigmoid(self.low, self.high))


class Uniform(Conditional):
    """A uniform prior on [low, high]^units.

    Draws keep `MARGIN` of the width away from the border, where the inverse of a squashed Gaussian is infinite: float32
    noise is exactly 0 once in 2^23 numbers.
    """

    MARGIN = 1e-6

    def __init__(self, low, high, units=1, **kwargs):
        super().__init__(units=units, **kwargs)
        self.low, self.high = low, high

    def distribution(self, values):
        low, high = tf.fill([self.units], self.low), tf.fill([self.units], self.high)
        return tfd.Independent(tfd.Uniform(low, high), 1)

    def sample(self, distribution, samples, batch, seed):
        margin = self.MARGIN * (self.high - self.low)
        return noise.uniform([samples, batch, self.units], seed, self.low + margin, self.high - margin)

    def log_prob(self, values, value):
        """-units log(high - low), [...], also at the border, which a squashed Gaussian reaches by rounding."""
        return tf.fill(tf.shape(value)[:-1], -self.units * math.log(self.high - self.low))


class PlanarFlow(TransformedGaussian):
    """A Gaussian through planar flows whose parameters depend on the parents too (Rezende and Mohamed 2015, section 4.2).

    Args:
      flows: their number.
    """

    def __init__(self, given="", units=1, network=None, flows=1, **kwargs):
        self.flows = flows
        super().__init__(given, units, network, **kwargs)

    @property
    def head_units(self):
        return 2 * self.units + self.flows * (2 * self.units + 1)

    def _make_head(self):
        # Small, so that the flows start near the identity.
        return Conditional._make_head(self, initial.normal(1e-2))

    def distribution(self, values):
        sizes = [self.units] * (2 + 2 * self.flows) + [1] * self.flows
        loc, log_variance, *rest = tf.split(self(values), sizes, axis=-1)
        u, w, b = rest[: self.flows], rest[self.flows : 2 * self.flows], rest[2 * self.flows :]
        # w of its own scale: at w = 0, where a small head starts, a planar flow has no gradient in u.
        planar = [bijectors.Planar(u[i], w[i] + 1.0 / self.units, b[i][..., 0]) for i in range(self.flows)]
        normal = tfd.Independent(DiagonalNormal(loc, self._bounded(log_variance)), 1)
        return tfd.TransformedDistribution(normal, tfb.Chain(planar))


class PrecisionWeighted(Gaussian):
    """What is read off the parents, merged with what a prior expects (Sonderby et al. 2016, eq. 11-13).

        N((mu / v + mu_p / v_p) / (1 / v + 1 / v_p), 1 / (1 / v + 1 / v_p)),  (mu, v) of the parents, (mu_p, v_p) the prior's

    Args:
      given: the parents that the network reads; those of the prior join them.
      prior: a `Gaussian`, p(child | its parents). Its weights stay its own.
    """

    def __init__(self, given, prior, units, network, **kwargs):
        super().__init__(given, units, network, **kwargs)
        self.given = prior.given + self.given
        self._prior_distribution = prior.distribution  # a method: a layer would be counted among this one's weights

    def distribution(self, values):
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

    def distribution(self, values):
        return tfd.Independent(tfd.Deterministic(self(values)), 1)

    def sample(self, distribution, samples, batch, seed):
        return distribution.mean()


class Categorical(Conditional):
    """Cat(child | softmax(parents)), the child a one-hot vector [..., units]."""

    def distribution(self, values):
        return tfd.OneHotCategorical(logits=self(values), dtype=tf.float32)

    def log_probs(self, values):
        """Returns the log-probabilities of all classes, [..., units]."""
        return tf.nn.log_softmax(self(values))


class UniformCategorical(Categorical):
    """Cat(child | 1/K, ..., 1/K): a prior over one-hot vectors."""

    def distribution(self, values):
        return tfd.OneHotCategorical(logits=tf.zeros([self.units]), dtype=tf.float32)

    def log_prob(self, values, value):
        return tf.fill(tf.shape(value)[:-1], -math.log(self.units))


class RelaxedCategorical(Conditional):
    """log y of a Gumbel-softmax class y = softmax((log q(y|x) + g) / t), g Gumbel noise, y on the simplex.

    (Maddison, Mnih and Teh 2017, eq. 2; Jang, Gu and Poole 2017.) Its logarithm is drawn, since y itself underflows.

    Args:
      temperature: t, greater than 0.
    """

    def __init__(self, units, temperature, **kwargs):
        super().__init__(units=units, **kwargs)
        self.temperature = temperature

    def distribution(self, log_q_y):
        """Of log y, given log q(y|x) [..., units]."""
        return tfd.ExpRelaxedOneHotCategorical(self.temperature, logits=log_q_y)

    def sample(self, distribution, samples, batch, seed):
        uniform = noise.uniform([samples, batch, self.units], seed, low=1e-20)
        gumbel = -tf.math.log(-tf.math.log(uniform))
        return tf.nn.log_softmax((distribution.logits + gumbel) / self.temperature)

    def point(self, distribution):
        """The logarithm of the relaxed class without noise."""
        return tf.nn.log_softmax(distribution.logits / self.temperature)

    def simplex_log_prob(self, distribution, log_y):
        """The log-density of y = exp(log_y) on the simplex, [...] (Maddison, Mnih and Teh 2017, eq. 23)."""
        return distribution.log_prob(log_y) - tf.reduce_sum(log_y, -1)
