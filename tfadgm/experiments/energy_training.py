"""How the bound of a `Potential` is maximised and measured."""

import math

import keras
import numpy as np
import scipy.special
import scipy.stats
import tensorflow as tf

from tfadgm import bounds, machine, noise
from tfadgm.networks.optimizers import Adam


@machine.sums_as_written()
def fit(model, settings, seed, xla=False):
    """Maximises the bound of a `Potential` in one compiled function; deterministic in the seed.

    XLA is off by default: on one core a step of the default size takes 2.3 ms with it and 0.45 ms without.
    """
    rate = keras.optimizers.schedules.CosineDecay(settings.learning_rate, settings.steps)
    optimizer, variables = Adam(rate, average=settings.average), model.trainable_variables
    optimizer.build(variables)
    reduce_samples = bounds.importance_bound if settings.samples > 1 else bounds.mean_bound

    def step(i):
        hot = tf.maximum(0.0, 1.0 - 2.0 * tf.cast(i, tf.float32) / settings.steps)
        temperature = tf.pow(settings.temperature, hot)
        draws = noise.step_seed(seed, i), settings.samples, settings.batch
        with tf.GradientTape() as tape:
            log_w = model.log_weights(*draws, temperature) / temperature  # -U / temperature + log p - log q
            loss = -tf.reduce_mean(reduce_samples(log_w))
        gradients = tape.gradient(loss, [v.value for v in variables])
        optimizer.apply_gradients(zip(gradients, variables, strict=True))
        return i + 1

    loop = tf.function(lambda: tf.while_loop(lambda i: i < settings.steps, step, [0]), jit_compile=xla, autograph=False)
    loop()
    optimizer.finalize_variable_values(variables)


def evaluate(model, settings, seed):
    """Returns a dict of floats in nats, each with a standard error, from draws of q that training never saw.

        bound              mean of log w, at most log Z
        importance_bound   mean of log (1/S) sum_s w_s over groups of S = `importance_samples`, at most log Z
        log_z_estimate     log of the mean of all w, an estimate of log Z; its error by the delta method

    Raises a ValueError if a weight is not finite: training diverged.
    """
    log_weights, group = tf.function(model.log_weights, autograph=False), settings.importance_samples
    draws = noise.fold(tf.constant([seed, 0]), "evaluation"), group, settings.evaluation_samples // group
    log_w = log_weights(*draws).numpy().astype("float64")
    if not np.isfinite(log_w).all():
        raise ValueError("training diverged: the bound is not finite; allowed: a smaller learning_rate")
    weighted = scipy.special.logsumexp(log_w, 0) - math.log(group)
    log_z = scipy.special.logsumexp(log_w) - math.log(log_w.size)
    results = {}
    for name, value, terms in (
        ("bound", log_w.mean(), log_w),
        ("importance_bound", weighted.mean(), weighted),
        ("log_z_estimate", log_z, np.exp(log_w - log_z)),
    ):
        results |= {name: float(value), f"{name}_stderr": float(scipy.stats.sem(terms, None))}
    return results
