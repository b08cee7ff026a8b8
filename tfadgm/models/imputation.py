"""What the missing cells of a table may be: importance-weighted means, and draws.

    E[x_miss | x_o] ~ sum_s w_s E[x_miss | latents_s] / sum_s w_s,    w_s = p(x_o, latents_s) / q(latents_s | x_o)

(Mattei and Frellsen 2019, eq. 11, with the classes y enumerated: s goes over classes and draws). The noise of a row is a
function of the row, so that its answer does not depend on the rows beside it.
"""

import tensorflow as tf

from tfadgm import bounds, noise
from tfadgm.models import density

SAMPLES = 100


def mean(model, raw, samples=SAMPLES):
    """Returns raw rows [B, C] whose missing cells have their mean given the observed ones.

    Of numbers under a power transform (see `TablePreprocess`) the mean over the draws of the latents of the median given
    these; of counts the mean; of categories and of yes or no the most probable value. Observed cells stay as they are.

    Args:
      model: a `DeepGenerativeModel` of a table.
      raw: float32 [B, C], NaN where a cell is missing.
      samples: S, draws of the latents.
    """
    preprocess, layout = model.preprocess, model.preprocess.layout
    likelihood = model.p["x"]
    values, log_w, _ = _weighted(model, raw, samples)
    expected = likelihood.expected(likelihood.distribution(values))
    expected = _joined(tf.broadcast_to(expected, tf.concat([tf.shape(log_w), [layout.size]], 0)))
    weights = tf.nn.softmax(_joined(log_w[..., tf.newaxis]), 0)  # [S, B, 1]
    means = {
        kind: tf.reduce_sum(weights * value, 0) for kind, value in preprocess.in_units(layout.scored(expected)[0]).items()
    }
    filled = preprocess.rows(means, tf.ones([tf.shape(raw)[0], layout.columns]))
    return tf.where(tf.math.is_nan(raw), filled, raw)


def draw(model, raw, draws, samples=SAMPLES):
    """Returns `draws` completions of raw rows, [draws, B, C], for multiple imputation.

    By sampling-importance-resampling: a draw of the latents in proportion to its weight, of `samples`, and x given it.

    Args:
      model, raw, samples: see `mean`.
      draws: how many.
    """
    preprocess, likelihood = model.preprocess, model.p["x"]
    values, log_w, seeds = _weighted(model, raw, samples)
    seed = noise.fold(seeds[0], "imputation")  # of the whole: completions are draws, which the rows beside may change
    x = likelihood.sample(likelihood.distribution(values), samples, tf.shape(raw)[0], noise.fold(seed, "x"))
    x = _joined(tf.broadcast_to(x, tf.concat([tf.shape(log_w), [preprocess.size]], 0)))  # [S, B, D]
    log_w = tf.transpose(_joined(log_w[..., tf.newaxis])[..., 0])
    chosen = tf.random.stateless_categorical(log_w, draws, noise.fold(seed, "draw"))  # [B, draws]
    filled = preprocess.raw(tf.gather(tf.transpose(x, [1, 0, 2]), chosen, batch_dims=1), drawn=True)
    return tf.where(tf.math.is_nan(raw), tf.transpose(filled, [1, 0, 2]), raw)


def _weighted(model, raw, samples):
    """Returns (values, log_w, seeds [B, 2]): see `bounds.weighted_draws`."""
    seeds = noise.of_examples(raw, density.SEED)
    draws = noise.Draws(noise.fold(seeds, "imputation"), tf.shape(raw)[0], samples)
    return (*bounds.weighted_draws(model.p, model.q, model.observe(raw), draws), seeds)


def _joined(value):
    """[K, S, B, n] or [S, B, n] to [K S, B, n]."""
    return tf.reshape(value, tf.concat([[-1], tf.shape(value)[-2:-1], [value.shape[-1]]], 0))
