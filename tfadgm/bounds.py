"""Every bound of every paper, from "sum of log p minus sum of log q". Knows no model.

A model is two ordered dicts of conditionals, p (generative) and q (inference). All bounds are maximised, in nats per
example. The one shape convention is [K, S, B, event]: class, sample, batch, event; x is [1, B, D], a sampled latent
[S, B, units], an enumerated one-hot y [K, 1, 1, K]. All sums are made in log space.
"""

from collections.abc import Callable, Collection
from typing import TypeAlias

import tensorflow as tf

from tfadgm import class_weights, noise
from tfadgm.distributions.conditionals import Conditional, Gaussian, PrecisionWeighted, Values
from tfadgm.distributions.linear_gaussian import computed_once
from tfadgm.networks import batch_norm

Factors: TypeAlias = dict[str, Conditional]  # p or q, or a part of it, by the names of the children; parents before children
CLOSED = (Gaussian, PrecisionWeighted)  # of q, whose divergence may have a closed form; a linear one has a cheaper way


def follow(factors: Factors, given: Values, draws: noise.Draws, closed: Factors | None = None) -> tuple[Values, Values]:
    """Walks `factors` in order (ancestral sampling), drawing every variable that is not in `given`.

    With `closed`, log q(v|.) of a Gaussian v gives way to KL(q(v|.) || p(v|.)) + log p(v|.), which has the same mean over
    draws of v: in `log_weight` only the divergence is left, in closed form. It can be had where what p(v|.) reads is known
    before v is drawn. Of the noise of v that of both densities is taken out, and that of what reads v is left.

    Args:
      factors: ordered dict of name to `Conditional`: a part of q, or p.
      given: dict of name to value: what is observed or was drawn before. Not scored.
      draws: a `noise.Draws`: the seed and number of samples, and latents that are pinned (scored, not drawn).
      closed: p, for divergences in closed form; means over draws alone have any use for these.

    Returns:
      (values, log_factors): the value of every variable, and log q(v | parents), [K, S, B] or [S, B], of each variable
      that was drawn or pinned. A deterministic variable has a value and no density.
    """
    values, log_factors = dict(given), {}
    for name, factor in factors.items():
        if name in given:
            continue
        distribution = factor.distribution(values)
        if factor.is_deterministic:
            values[name] = draws(name, factor, distribution)
        else:
            prior, divergence = closed.get(name) if closed else None, None
            if prior is not None and type(factor) in CLOSED and set(prior.given) <= values.keys():
                divergence = factor.divergence(distribution, prior.distribution(values))
            values[name], log_factors[name] = draws.scored(name, factor, distribution)
            if prior is not None and divergence is not None:
                log_factors[name] = divergence + prior.log_prob(values, values[name])
    return values, log_factors


def log_weight(p: Factors, values: Values, log_q: Values, temperature: float | tf.Tensor = 1.0) -> tf.Tensor:
    """log p(x|.) + temperature * (sum log p(latents|.) - sum log q(latents|.)), [K, S, B] or [S, B].

    At temperature 1 its exponential is the importance weight p(x, latents) / q(latents | x), whose mean is p(x).
    """
    log_p = {name: factor.log_prob(values, values[name]) for name, factor in p.items()}
    log_p_x = log_p.pop("x")
    return log_p_x + temperature * (_total(log_p) - _total(log_q))


def _total(terms):
    return sum(terms.values()) if terms else 0.0


def mean_bound(log_w: tf.Tensor) -> tf.Tensor:
    """Mean over samples of the log-weights, [..., S, B] to [..., B]: the evidence lower bound."""
    return tf.reduce_mean(log_w, axis=-2)


def importance_bound(log_w: tf.Tensor) -> tf.Tensor:
    """log (1/S) sum_s w_s, [..., S, B] to [..., B] (Burda et al. 2015, eq. 8); at least `mean_bound`, rising with S."""
    samples = tf.cast(tf.shape(log_w)[-2], log_w.dtype)
    return tf.reduce_logsumexp(log_w, axis=-2) - tf.math.log(samples)


def split_at_y(q: Factors) -> tuple[Factors, Conditional, Factors]:
    """Splits an ordered q into the factors before y, the factor of y, and those after it."""
    names = list(q)
    at = names.index("y")
    return {n: q[n] for n in names[:at]}, q["y"], {n: q[n] for n in names[at + 1 :]}


def first_samples(values: Values, samples: int) -> Values:
    """Keeps the first `samples` of each value's sample axis."""
    return {name: value[..., :samples, :, :] for name, value in values.items()}


# ---------------------------------------------------------------------------------------------------- the class side


def infer_class(
    q: Factors, x: tf.Tensor, draws: noise.Draws, stopped: Collection[str] = (), closed: Factors | None = None
) -> tuple[Values, Values, tf.Tensor]:
    """Draws what q draws before y, and scores every class.

    Args:
      q: the inference model.
      x: [1, B, D].
      draws: its `samples` is the number of samples of a inside q(y|a, x).
      stopped: names of what comes before y at which gradients of the class probabilities stop: if at all of it, they reach
        q(y|.) alone.
      closed: see `follow`.

    Returns:
      (values, log_q, log_q_y): values and log-densities of the latents before y, and log q(y | a_s, x), [S, B, K].
    """
    before, q_y, _ = split_at_y(q)
    values, log_q = follow(before, {"x": x}, draws, closed)
    given = values
    if stopped:  # what is not stopped has the same draws again
        given, _ = follow(before, {"x": x, **{name: tf.stop_gradient(values[name]) for name in stopped}}, draws)
    return values, log_q, q_y.log_probs(given)


def visit_classes(log_q_y: tf.Tensor, draws: noise.Draws, exact_classes: int | None = None) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns (y, weights) of the classes over which a sum over y goes: all of them, or k and one that is drawn.

    Args:
      log_q_y: [S, B, K].
      draws: a `noise.Draws`.
      exact_classes: None: `class_weights.enumerate_classes`. k: `class_weights.most_probable_classes`.
    """
    if exact_classes is None:
        return class_weights.enumerate_classes(log_q_y)
    return class_weights.most_probable_classes(log_q_y, exact_classes, noise.fold(draws.seed, "y"), draws.batch)


def cascade_class(
    p: Factors, q: Factors, values: Values, log_q_y: tf.Tensor, draws: noise.Draws, exact_classes: int | None = None
) -> tf.Tensor:
    """log p(y | a_s, x) ~ log E_{q(y'|a_s,x) q(z|x,y',a_s)} p(y|z), [S, B, K], for a p whose class has parents (CaGeM).

    Gradients reach the parameters of p(y|.), and through the weights q(y'|a_s,x) what `log_q_y` lets through (Maaloe et
    al. 2017, appendix B: H_p is a function of both). See `class_weights.average_class`.

    Args:
      p, q: the model.
      values: x and the latents before y, from `infer_class`.
      log_q_y: log q(y'|a_s, x), [S, B, K].
      draws: a `noise.Draws`.
      exact_classes: y' is enumerated, or k and one drawn: see `visit_classes`. Both are distributions over y, with the
        same mean over draws.
    """
    _, _, after = split_at_y(q)
    visited, weights = visit_classes(log_q_y, draws, exact_classes)
    with batch_norm.weighted_moments(weights):
        values, _ = follow(after, {**values, "y": visited}, draws)
        log_p_y = p["y"].log_probs({name: tf.stop_gradient(value) for name, value in values.items()})  # [K', S, B, K]
    # Of all classes in the log domain, where nothing underflows; of some, which classify, without a gradient at 0.
    every = tf.transpose(log_q_y, [2, 0, 1])
    log_weights = every if exact_classes is None else tf.math.log(tf.maximum(weights, 1e-30))
    return tf.reduce_logsumexp(log_p_y + log_weights[..., tf.newaxis], 0)


def classification_bound(log_q_y: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    """log (1/S) sum_s q(y|a_s, x), [B], from log q(y|a_s, x) [S, B, K] and one-hot y [B, K].

    The papers' code has the logarithm outside the average; eq. 12 of Maaloe et al. 2016 prints it twice.
    """
    return tf.reduce_sum(class_weights.average_class(log_q_y)[0] * y, -1)


# --------------------------------------------------------------------------------------------------------- the bounds


def labelled_bound(
    p: Factors,
    q: Factors,
    x: tf.Tensor,
    y: tf.Tensor,
    draws: noise.Draws,
    temperature: float | tf.Tensor = 1.0,
    reduce_samples: Callable[[tf.Tensor], tf.Tensor] = mean_bound,
    inferred: tuple[Values, Values] | None = None,
    closed: Factors | None = None,
) -> tf.Tensor:
    """-L(x, y) <= log p(x, y), [B] (Kingma et al. 2014, eq. 6; Maaloe et al. 2016, eq. 10).

        E_{q(a|x) q(z|a,x,y)} [log p(x, y, a, z) - log q(a|x) - log q(z|a, x, y)]

    Args:
      p, q: the model.
      x, y: [1, B, D] and one-hot [B, K].
      draws: a `noise.Draws`.
      temperature: multiplies the latents' terms (warm-up); 1 is the bound.
      reduce_samples: `mean_bound` or `importance_bound`.
      inferred: (values, log_q) of the latents before y, if they have been drawn already.
      closed: see `follow`.
    """
    before, _, after = split_at_y(q)
    values, log_q = inferred or follow(before, {"x": x}, draws, closed)
    values, log_q_after = follow(after, {**values, "y": y[tf.newaxis]}, draws, closed)
    return reduce_samples(log_weight(p, values, {**log_q, **log_q_after}, temperature))


def unlabelled_bound(
    p: Factors,
    q: Factors,
    inferred: tuple[Values, Values],
    log_q_y: tf.Tensor,
    draws: noise.Draws,
    temperature: float | tf.Tensor = 1.0,
    reduce_samples: Callable[[tf.Tensor], tf.Tensor] = mean_bound,
    exact_classes: int | None = None,
    closed: Factors | None = None,
) -> tf.Tensor:
    """-U(x) <= log p(x), [B], with the sum over y inside (Maaloe et al. 2016, eq. 11, 17 and 27).

        E_{q(a|x)} [ sum_y q(y|.) E_{q(z|a,x,y)} [f(x, y, a, z)] + H(q(y|.)) ],   f = log p(x,y,a,z) - log q(a,z|x,y)

    `log_q_y` [S, B, K] is log q(y|a_s, x), one distribution per sample of a (eq. 17); or [1, B, K], one distribution
    for all of them, such as the average over more samples of a. The second is a bound as well, for any q(y|.) that may
    depend on all the draws a_1, ..., a_n: with w(y) the sample mean of p(x,y,a,z) / q(a,z|x,y), Jensen twice gives
    log p(x) = log E sum_y w(y) >= E sum_y q(y) [log w(y) - log q(y)] >= the above. Its middle term is the importance-
    weighted bound of this function (`reduce_samples=importance_bound`), which needs one distribution for all samples. With
    more and more samples it tends to E_q [sum_y q(y) log p(x,y) / q(y)] = log p(x) - KL(q(y|x) || p(y|x)), not to log p(x):
    the average over y stays outside the logarithm. (`marginal_log_weight` has it inside.)

    Args:
      p, q: the model.
      inferred: (values, log_q) of x and the latents before y, from `infer_class`.
      log_q_y: [S, B, K] or [1, B, K].
      draws: a `noise.Draws`.
      temperature: multiplies the latents' terms and the entropy; 1 is the bound.
      reduce_samples: `mean_bound` or `importance_bound`.
      exact_classes: None for exact enumeration, or k: see `visit_classes`.
      closed: see `follow`.
    """
    _, _, after = split_at_y(q)
    values, log_q = inferred
    y, weights = visit_classes(log_q_y, draws, exact_classes)
    with batch_norm.weighted_moments(weights):
        values, log_q_after = follow(after, {**values, "y": y}, draws, closed)
        f = log_weight(p, values, {**log_q, **log_q_after}, temperature)  # [K, S, B]
    if log_q_y.shape[0] == 1:  # one q(y|x) for all samples: reduce them within each class
        f = reduce_samples(f)[:, tf.newaxis]
    per_sample = class_weights.class_average(weights, f, log_q_y) + temperature * class_weights.entropy(log_q_y)
    return tf.reduce_mean(per_sample, 0)


def density_log_weight(
    p: Factors,
    q: Factors,
    x: tf.Tensor,
    draws: noise.Draws,
    temperature: float | tf.Tensor = 1.0,
    closed: Factors | None = None,
) -> tf.Tensor:
    """log p(x, latents) - log q(latents|x), [S, B], of a model without a class; see `log_weight` for the temperature.

    No weight but a term of a mean with `closed` (see `follow`).
    """
    with computed_once():
        values, log_q = follow(q, {"x": x}, draws, closed)
        return log_weight(p, values, log_q, temperature)


def marginal_log_weight(p: Factors, q: Factors, x: tf.Tensor, draws: noise.Draws) -> tf.Tensor:
    """log w_s with w_s an unbiased estimate of p(x), [S, B].

    Without y: `density_log_weight`. With y, which is summed over exactly and so needs no q(y|.):

        w_s = sum_y p(x, y, a_s, z_s^y) / (q(a_s|x) q(z_s^y | a_s, x, y)).
    """
    if "y" not in q:
        return density_log_weight(p, q, x, draws)
    return tf.reduce_logsumexp(class_log_weight(p, q, x, draws), 0)


def class_log_weight(p: Factors, q: Factors, x: tf.Tensor, draws: noise.Draws) -> tf.Tensor:
    """log w_s(y) with w_s(y) an unbiased estimate of p(x, y) for every class, [K, S, B]."""
    return weighted_draws(p, q, x, draws)[1]


def weighted_draws(p: Factors, q: Factors, x: tf.Tensor, draws: noise.Draws) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
    """Draws of the latents for every class, and the logarithms of their importance weights.

    Returns:
      (values, log_w): [K, S, B, units] of each variable (some axes of size 1), and log p(x, y, a, z) - log q(a, z|x, y),
      [K, S, B]. Without y: [S, B, units], and log p(x, latents) - log q(latents|x), [S, B].
    """
    if "y" not in q:
        with computed_once():
            values, log_q = follow(q, {"x": x}, draws)
            return values, log_weight(p, values, log_q)
    before, q_y, after = split_at_y(q)
    values, log_q = follow(before, {"x": x}, draws)
    y = tf.eye(q_y.units)[:, tf.newaxis, tf.newaxis, :]
    values, log_q_after = follow(after, {**values, "y": y}, draws)
    return values, log_weight(p, values, {**log_q, **log_q_after})
