"""Where a bound's nats go: terms by factor, KL per unit, active units."""

from collections.abc import Container

import numpy as np
import tensorflow as tf

from tfadgm import bounds, class_weights, noise
from tfadgm.data import on_disk
from tfadgm.distributions.conditionals import DiagonalNormal
from tfadgm.models import density
from tfadgm.models.base import DeepGenerativeModel

ACTIVE = 0.01  # variance of a unit's mean over the data above which it is active (Burda et al. 2016, section 5.1)


def terms(model: DeepGenerativeModel, x: np.ndarray, chunk: int = 200) -> dict[str, float]:
    """Returns the mean over examples of each factor's part in the bound, a dict of name to nats per example (a float).

    "log p(x|y,z)", "-log q(z|a,x,y)", ...: their sum is the ELBO with one sample of every latent, y being enumerated. All is
    of x as the model scales it; the ELBO in the data's own units has the model's `log_scale` more.

    Args:
      model: a `DeepGenerativeModel`.
      x: raw examples.
      chunk: examples at a time.
    """
    return taken_apart(model, x, chunk)[0]


def kl_per_unit(model: DeepGenerativeModel, x: np.ndarray, chunk: int = 200) -> dict[str, np.ndarray]:
    """Returns E_q [log q(z_d|.) - log p(z_d|.)] of every unit of each Gaussian latent, a dict of name to [units], nats.

    Latents whose density is no product over units, in q or in p, are left out (see `not_by_unit`): one behind flows, or the
    a of a linear AVAE. The KL of the others is then that given these.
    """
    return taken_apart(model, x, chunk)[1]


def taken_apart(
    model: DeepGenerativeModel, x: np.ndarray, chunk: int = 200
) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """Returns (`terms`, `kl_per_unit`) of the same draws, by one graph."""

    def both(raw):
        parts, units = _terms(model, raw)
        return {f"term {name}": value for name, value in parts.items()} | {f"unit {n}": v for n, v in units.items()}

    found = _mean_over_chunks(both, x, chunk)
    parts = {name[5:]: float(value) for name, value in found.items() if name.startswith("term ")}
    return parts, {name[5:]: value for name, value in found.items() if name.startswith("unit ")}


def not_by_unit(model: DeepGenerativeModel, units: Container[str]) -> list[str]:
    """Returns the names of the latents that `units`, of `kl_per_unit`, leaves out."""
    return [name for name in model.latents if name not in units and not model.q[name].is_deterministic]


def active_units(model: DeepGenerativeModel, x: np.ndarray, chunk: int = 100) -> dict[str, int]:
    """Returns how many units of each latent are active, which is A_u > `ACTIVE`: see `unit_variances`."""
    return {name: int((value > ACTIVE).sum()) for name, value in unit_variances(model, x, chunk).items()}


def unit_variances(model: DeepGenerativeModel, x: np.ndarray, chunk: int = 100, samples: int = 50) -> dict[str, np.ndarray]:
    """Returns A_u = Cov_x(E_{q(u|x)} u) of every unit, a dict of name to [units] (Burda et al. 2016, section 5.1).

    Of the latents that q reads off something: the mean of one that is drawn from noise alone is a constant, used or not.
    The mean of an upper layer, or behind y, goes over the layers before it too. It is estimated twice, by `samples` draws
    each, and A_u is the covariance of both over the examples, which the draws' own variance has no part in.

    Args:
      model: a `DeepGenerativeModel`.
      x: raw examples.
      chunk: examples at a time.
      samples: draws of what comes before a latent.
    """

    def moments(raw):
        seed = noise.fold(noise.of_examples(raw, density.SEED)[0], "units")  # one for the chunk, of its first example
        means = _posterior_means(model, raw, seed, samples)
        return {name: tf.reduce_mean([a * b, a, b], 1) for name, (a, b) in means.items()}

    found = _mean_over_chunks(moments, x, chunk)
    return {name: product - first * second for name, (product, first, second) in found.items()}


def _posterior_means(model, raw, seed, samples):
    """Two independent estimates of E_{q(u|x)} u, [B, units] each, of each latent u that reads something, a dict."""
    batch = tf.shape(raw)[0]
    values, draws, means = {"x": model.observe(raw)}, noise.Draws(seed, batch, 2 * samples), {}
    for name, factor in model.q.items():
        distribution = factor.distribution(values)
        values[name] = draws(name, factor, distribution)
        if name not in model.latents or not factor.given:
            continue
        # Given its parents the mean of a Gaussian is known; behind flows a draw stands for it.
        normal = isinstance(getattr(distribution, "distribution", None), DiagonalNormal)
        known = distribution.mean() if normal else values[name]
        known = tf.broadcast_to(known, [2 * samples, batch, factor.units])
        means[name] = tf.reduce_mean(known[:samples], 0), tf.reduce_mean(known[samples:], 0)
    return means


def _mean_over_chunks(function, x, chunk):
    total: dict[str, np.ndarray] = {}
    spec = tf.TensorSpec([None, *x.shape[1:]], x.dtype)  # one graph, for the rest of a division too
    compiled = tf.function(function, input_signature=[spec], autograph=False)
    for start in range(0, len(x), chunk):
        raw = np.ascontiguousarray(x[start : start + chunk])
        for name, value in compiled(raw).items():
            total[name] = total.get(name, 0.0) + value.numpy().astype("float64") * len(raw) / len(x)
        on_disk.release(x)
    return total


def _terms(model, raw):
    """Returns (parts of the bound, KL per unit), two dicts of means over the batch, of the draws of `density.elbo`."""
    seeds = noise.of_examples(raw, density.SEED)
    x = density.observed(model.preprocess, raw, seeds)
    draws = noise.Draws(noise.fold(seeds, "elbo"), tf.shape(raw)[0])
    values, weights, parts = _follow(model, x, draws)

    def mean(term):  # over samples and examples, the class weighted by q(y|.)
        return tf.reduce_mean(tf.reduce_sum(weights * term, 0) if weights is not None else term)

    units = {}
    for symbol, sign, factors in (("p", 1.0, model.p), ("q", -1.0, model.q)):
        for name, factor in factors.items():
            if (symbol, name) == ("q", "y") or factor.is_deterministic:
                continue
            parts[_title(sign, symbol, name, factor)] = sign * mean(factor.log_prob(values, values[name]))
    for name, factor in model.q.items():
        q, p = (_log_prob_per_unit(each, values, name) for each in (factor, model.p.get(name)))
        if q is not None and p is not None:
            units[name] = tf.stack([mean(term) for term in tf.unstack(q - p, axis=-1)])
    return parts, units


def _follow(model, x, draws):
    """Returns the values of all variables, the weights of an enumerated y (None without one) and the part of q(y|.)."""
    if not model.has_class:
        return bounds.follow(model.q, {"x": x}, draws)[0], None, {}
    values, _, log_q_y = bounds.infer_class(model.q, x, draws)
    y, weights = class_weights.enumerate_classes(log_q_y)
    values, _ = bounds.follow(bounds.split_at_y(model.q)[2], {**values, "y": y}, draws)
    title = _title(-1.0, "q", "y", model.q["y"])
    return values, weights, {title: tf.reduce_mean(class_weights.entropy(log_q_y))}


def _title(sign, symbol, name, factor):
    given = f"|{','.join(factor.given)}" if factor.given else ""
    return f"{'-' if sign < 0 else ''}log {symbol}({name}{given})"


def _log_prob_per_unit(factor, values, name):
    """log of each unit's density, [..., units]; None for what is no product of Gaussians."""
    independent = None if factor is None else factor.distribution(values)
    normal = getattr(independent, "distribution", None)
    return normal.log_prob(values[name]) if isinstance(normal, DiagonalNormal) else None
