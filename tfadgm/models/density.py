"""Bounds of log p of single examples in nats, in the data's own units: one value for an example, in whatever row it stands.

All noise of an example is a function of the example (`noise.of_examples`): that of the latents, of binarising, of
dequantising. Evaluation and the exported signatures call the same functions, and so give the same value.

    w_s = p(x_s, latents_s) / q(latents_s | x_s),    log mean_s w_s <= log p(x) in expectation    (Burda et al. 2015, eq. 8)

x_s = x, but for dequantised data x_s = levels + u_s, u_s ~ U(0, 1)^D afresh for every sample: E w_s is then the probability
of the levels, the integral of p over their cube (Uria et al. 2013; in the average, as in Hoogeboom et al. 2020). A binarised
example is binarised once.
"""

import math

import tensorflow as tf

from tfadgm import noise

SEED = (0, 2016)  # all noise of evaluation comes from this seed


def elbo(model, raw):
    """Returns -U(x) <= log p(x) with one sample of every latent, in own units, [B]; raw [B, *raw_shape]."""
    seeds = noise.of_examples(raw, SEED)
    return model.elbo(raw, noise.fold(seeds, "elbo"), observed(model.preprocess, raw, seeds, 1)) + model.log_scale(raw)


def trained_elbo(model, raw):
    """Returns the bound that training maximises, as `elbo` does, of a model that is trained otherwise (see `Questions`)."""
    seeds = noise.of_examples(raw, SEED)
    bound = model.trained_elbo(raw, noise.fold(seeds, "elbo"), observed(model.preprocess, raw, seeds, 1))
    return bound + model.log_scale(raw)


def log_density(model, raw, samples):
    """Returns log (1/S) sum_s w_s in own units, [B], for S `samples`, a number or int32 []; raw [B, *raw_shape]."""
    return importance(model, raw, samples, model.log_weights)[0] + model.log_scale(raw)


def importance(model, raw, samples, log_weights, classes=()):
    """Returns (log (1/S) sum_s w_s, effective sample size), each [*classes, B]; w_s is of x as the model scales it.

    `noise.AT_ONCE` samples at a time, so that memory does not grow with S; sample s is the same whatever S is.

    Args:
      model: a `DeepGenerativeModel`.
      raw: [B, *raw_shape].
      samples: S, a number or int32 [].
      log_weights: of (raw, seed, samples, observed), such as `model.log_weights`; [*classes, S, B].
      classes: (K,) for weights of every class.
    """
    seeds = noise.of_examples(raw, SEED)

    def add(start, once, twice):
        size, seed = tf.minimum(samples - start, noise.AT_ONCE), noise.fold(seeds, start)
        log_w = log_weights(raw, seed, size, observed(model.preprocess, raw, seeds, size, start))
        once, twice = (_add(total, tf.reduce_logsumexp(k * log_w, -2)) for k, total in ((1, once), (2, twice)))
        return start + noise.AT_ONCE, once, twice

    nothing = tf.fill([*classes, tf.shape(raw)[0]], -math.inf)
    _, once, twice = tf.while_loop(
        lambda start, *_: start < samples, add, (tf.constant(0), nothing, nothing), parallel_iterations=1
    )
    return once - tf.math.log(tf.cast(samples, tf.float32)), tf.exp(2 * once - twice)


def _add(a, b):
    """log (exp a + exp b), of -inf too."""
    return tf.reduce_logsumexp(tf.stack([a, b]), 0)


def observed(preprocess, raw, seeds, samples=1, start=0):
    """Returns the x that are scored, [1, B, D], or [S, B, D] of dequantised data, for samples `start` and following."""
    seeds = noise.fold(seeds, "observation")
    return preprocess.observation(raw, noise.fold(seeds, start) if preprocess.noise == "dequantise" else seeds, samples)
