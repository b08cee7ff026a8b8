"""p(x|parents) of a mixed table: a product over columns of which each is of its own kind, missing cells not scored.

    log p(x_o | .) = sum_c m_c log p_c(x_c | .),    m_c = 1 where cell c is observed

Leaving a factor out of a product over columns integrates it out: with o the observed columns every bound of the package is
one of log p(x_o), for any q, also one that reads less than x_o. That the missing cells tell nothing by being missing
(missing at random) is an assumption (Nazabal et al. 2020; Mattei and Frellsen 2019).

    column     p_c                                                   parameters
    number     N(mu, exp v) of a standardised value                  mu, v, at least `LOG_VARIANCE_FLOOR`
    yes/no     Bernoulli                                             logit
    count      negative binomial of mean mu and shape r,             log mu, in standard deviations of the logarithm from
               variance mu + mu^2 / r                                its mean over training; log r, with a ceiling
    category   categorical over the values of training and "other"   a logit per value
"""

from collections.abc import Callable
from typing import Any

import tensorflow as tf
from tensorflow_probability import distributions as tfd

from tfadgm import noise
from tfadgm.data.layout import BINARIES, CATEGORIES, COUNTS, NUMBERS, Layout
from tfadgm.distributions.conditionals import Conditional, DiagonalNormal, Size, Values
from tfadgm.distributions.logit_bernoulli import LogitBernoulli
from tfadgm.networks import mlp

LOG_VARIANCE_FLOOR = -7.0  # a standard deviation of 0.03 of that of the column, without which a constant one has no bound
LOG_SHAPE_CEILING = 7.0  # beyond it the negative binomial is a Poisson, and its log-gamma functions lose their digits
LOG_MEAN_CEILING = 16.0  # of a count: larger ones are no whole numbers in float32


class TableDistribution(tfd.Distribution):
    """A product of distributions over the columns of x, in the form that `Layout` gives it.

    Args:
      numbers, binaries, counts: distributions of [..., n], one value each; None where there are none.
      categories: for each of the layout's groups a `tfd.OneHotCategorical` of [..., columns, values].
      layout: a `Layout`.
    """

    def __init__(
        self,
        numbers: DiagonalNormal | None,
        binaries: LogitBernoulli | None,
        counts: tfd.NegativeBinomial | None,
        categories: list[tfd.OneHotCategorical],
        layout: Layout,
    ) -> None:
        self.parts = {NUMBERS: numbers, BINARIES: binaries, COUNTS: counts}
        self.categories, self.layout = categories, layout
        super().__init__(
            tf.float32, tfd.FULLY_REPARAMETERIZED, validate_args=False, allow_nan_stats=True, name="TableDistribution"
        )

    def _event_shape(self):
        return tf.TensorShape([self.layout.size])

    def _log_prob(self, x):
        values, observed = self.layout.scored(x)
        total = 0.0
        for kind, part in self.parts.items():
            if part is not None:
                total += tf.reduce_sum(observed[kind] * part.log_prob(values[kind]), -1)
        for part, one_hot, mask in self._grouped(values[CATEGORIES], observed[CATEGORIES]):
            total += tf.reduce_sum(mask * part.log_prob(one_hot), -1)
        return total

    def _grouped(self, one_hot, masks):
        """Yields (distribution, one-hot values [..., columns, values], bits [..., columns]) of each group."""
        groups = self.layout.groups
        values = tf.split(one_hot, [size * count for size, count in groups], -1) if groups else []
        bits = tf.split(masks, [count for _, count in groups], -1) if groups else []
        for (size, count), part, value, mask in zip(groups, self.categories, values, bits, strict=True):
            # A cell that is missing is all 0, of which a one-hot distribution gives log p = 0 too.
            yield part, _grouped_values(value, count, size), mask

    def each(self, function: Callable[[tfd.Distribution], tf.Tensor], like: tf.Tensor) -> tf.Tensor:
        """Returns x, all of it observed and read, of function(distribution) of each part; `like`: [..., 1] of its axes."""
        axes = tf.shape(like)[:-1]

        def shaped(parts, size):  # those of a batch that is not known have no shape
            flat = [tf.reshape(function(part), tf.concat([axes, [width]], 0)) for part, width in parts if part is not None]
            return tf.concat(flat, -1) if flat else tf.zeros(tf.concat([axes, [size]], 0))

        sizes = self.layout.sizes()
        parts = {kind: [(part, sizes[kind])] for kind, part in self.parts.items()}
        widths = [size * count for size, count in self.layout.groups]
        parts[CATEGORIES] = list(zip(self.categories, widths, strict=True))
        everything = tf.ones(tf.concat([axes, [self.layout.columns]], 0))
        values = {kind: shaped(parts[kind], size) for kind, size in sizes.items()}
        return self.layout.assemble(values, everything, everything)


def _grouped_values(flat, count, size):
    return tf.reshape(flat, tf.concat([tf.shape(flat)[:-1], [count, size]], 0))


class TableLikelihood(Conditional):
    """x in the form that `Layout` gives it, a product over its columns.

    Args:
      layout: a `Layout`.
    """

    def __init__(
        self,
        given: str = "",
        units: int = 1,
        network: mlp.Network | None = None,
        layout: Layout | None = None,
        **kwargs: Any,
    ) -> None:
        if layout is None or units != layout.size:
            raise ValueError(f"likelihood: got 'table' for {units} numbers without columns of kinds; allowed: gaussian")
        self.layout = layout
        super().__init__(given, units, network, **kwargs)

    @property
    def head_units(self) -> int:
        layout = self.layout
        return 2 * layout.numbers + layout.binaries + 2 * layout.counts + sum(layout.categories)

    def distribution(self, values: Values) -> TableDistribution:
        layout = self.layout
        n, b, c = layout.numbers, layout.binaries, layout.counts
        groups = [size * count for size, count in layout.groups]
        loc, log_variance, logits, means, shapes, *categories = tf.split(self(values), [n, n, b, c, c, *groups], -1)
        return TableDistribution(
            DiagonalNormal(loc, LOG_VARIANCE_FLOOR + tf.nn.softplus(log_variance - LOG_VARIANCE_FLOOR)) if n else None,
            LogitBernoulli(logits) if b else None,
            self._counts(means, shapes) if c else None,
            [
                tfd.OneHotCategorical(logits=_grouped_values(part, count, size), dtype=tf.float32)
                for part, (size, count) in zip(categories, layout.groups, strict=True)
            ],
            layout,
        )

    def _counts(self, means, shapes):
        log_mean = list(self.layout.count_shift) + means / list(self.layout.count_scale)
        log_mean = LOG_MEAN_CEILING - tf.nn.softplus(LOG_MEAN_CEILING - log_mean)
        log_shape = LOG_SHAPE_CEILING - tf.nn.softplus(LOG_SHAPE_CEILING - shapes)
        return tfd.NegativeBinomial(tf.exp(log_shape), logits=log_mean - log_shape)

    def sample(self, distribution: tfd.Distribution, samples: Size, batch: Size, seed: tf.Tensor) -> tf.Tensor:
        shape = tf.stack([samples, batch])
        like = tf.zeros(tf.concat([self._axes(distribution, shape), [1]], 0))
        seeds = iter(tf.unstack(tf.random.experimental.stateless_split(seed, 3 + len(distribution.categories))))

        def draw(part):
            axes = tf.shape(like)[:-1]
            wide = tf.concat([axes, part.batch_shape_tensor()[-1:]], 0)
            if isinstance(part, DiagonalNormal):
                return part.loc + part.scale * noise.normal(wide, next(seeds))
            return tfd.BatchBroadcast(part, wide).sample(seed=next(seeds))

        return distribution.each(draw, like)

    def _axes(self, distribution, shape):
        part = next(p for p in [*distribution.parts.values(), *distribution.categories] if p is not None)
        return tf.broadcast_dynamic_shape(part.batch_shape_tensor()[:-1], shape)

    def expected(self, distribution: tfd.Distribution) -> tf.Tensor:
        """Returns x of the mean of each column given the parents: probabilities, of what is 0 or 1 and of categories."""
        part = next(p for p in [*distribution.parts.values(), *distribution.categories] if p is not None)
        like = tf.zeros(tf.concat([part.batch_shape_tensor()[:-1], [1]], 0))
        return distribution.each(_mean, like)

    def point(self, distribution: tfd.Distribution) -> tf.Tensor:
        return self.expected(distribution)


def _mean(part):
    return part.probs_parameter() if isinstance(part, tfd.OneHotCategorical | LogitBernoulli) else part.mean()
