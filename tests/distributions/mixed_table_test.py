"""p(x|.) of a mixed table, against numpy and scipy, and the bound of its observed cells against quadrature."""

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

from tfadgm.data import table_preprocess
from tfadgm.distributions import table
from tfadgm.models import density
from tfadgm.models.m2 import M2
from tfadgm.models.vae import VAE
from tfadgm.networks.mlp import Network

KINDS = ["category", "number", "binary", "count", "category", "number", "category"]
VALUES = [3, 0, 0, 0, 2, 0, 3]


def rows(n, missing=0.3, seed=0):
    """A table of all kinds, with a long tail and holes."""
    g = np.random.default_rng(seed)
    columns = [
        g.integers(0, 3, n),
        np.exp(g.normal(2, 1.5, n)),
        g.integers(0, 2, n),
        g.negative_binomial(2, 0.1, n),
        g.integers(0, 2, n),
        g.normal(50, 10, n),
        g.integers(0, 3, n),
    ]
    x = np.stack(columns, 1).astype("float32")
    x[g.random(x.shape) < missing] = np.nan
    return x


@pytest.fixture(scope="module")
def preprocess():
    return table_preprocess.fit(rows(500), KINDS, VALUES)


@pytest.fixture(scope="module")
def vae(preprocess):
    return VAE(preprocess, 0, likelihood="table", network=Network(hidden=(8,)), dim_z=1, seed=3)


def log_prob_by_scipy(factor, parameters, x, preprocess):
    """log p of the observed cells of raw rows x [N, C], given the head's parameters [N, P], a loop over cells."""
    layout = preprocess.layout
    x_scored = preprocess(x).numpy()[:, layout.read_size :]
    total = np.zeros(len(x))
    for n in range(len(x)):
        p = list(parameters[n].astype("float64"))
        take = lambda count: [p.pop(0) for _ in range(count)]  # noqa: E731, B023
        loc, v = take(layout.numbers), take(layout.numbers)
        logits, mean, shape = take(layout.binaries), take(layout.counts), take(layout.counts)
        categories = [take(size) for size in layout.categories]
        floor = table.LOG_VARIANCE_FLOOR
        for i, c in enumerate(preprocess.order["numbers"]):
            if not np.isnan(x[n, c]):
                sigma = np.exp(0.5 * (floor + np.log1p(np.exp(v[i] - floor))))
                total[n] += scipy.stats.norm.logpdf(x_scored[n, i], loc[i], sigma)
        for i, c in enumerate(preprocess.order["binaries"]):
            if not np.isnan(x[n, c]):
                total[n] += scipy.stats.bernoulli.logpmf(int(x[n, c]), 1 / (1 + np.exp(-logits[i])))
        for i, c in enumerate(preprocess.order["counts"]):
            if not np.isnan(x[n, c]):
                log_mu = preprocess.shift[c] + mean[i] / preprocess.scale[c]
                mu = np.exp(table.LOG_MEAN_CEILING - np.log1p(np.exp(table.LOG_MEAN_CEILING - log_mu)))
                r = np.exp(table.LOG_SHAPE_CEILING - np.log1p(np.exp(table.LOG_SHAPE_CEILING - shape[i])))
                total[n] += scipy.stats.nbinom.logpmf(int(x[n, c]), r, r / (r + mu))
        for logit, c in zip(categories, preprocess.order["categories"], strict=True):
            if not np.isnan(x[n, c]):
                total[n] += logit[int(x[n, c])] - np.logaddexp.reduce(logit)
    return total


def test_log_prob_is_that_of_scipy_over_the_observed_cells(vae, preprocess):
    x, factor = rows(20, seed=1), vae.p["x"]
    z = tf.constant(np.random.default_rng(2).normal(size=(1, 20, 1)), tf.float32) * 3
    found = factor.log_prob({"z": z}, preprocess(x)[tf.newaxis]).numpy()[0]
    expected = log_prob_by_scipy(factor, factor({"z": z}).numpy()[0], x, preprocess)
    np.testing.assert_allclose(found, expected, rtol=2e-5)


def quadrature(vae, x):
    """log p(x_o) in the columns' units, [N], by a sum over a grid of the one-dimensional z."""
    grid = np.linspace(-8, 8, 2001)
    z = tf.constant(grid[:, None, None], tf.float32)
    log_p = vae.p["x"].log_prob({"z": z}, vae.preprocess(x)[tf.newaxis]).numpy().astype("float64")  # [2001, N]
    log_p += scipy.stats.norm.logpdf(grid)[:, None] + np.log(grid[1] - grid[0])
    return np.logaddexp.reduce(log_p, 0) + vae.preprocess.log_jacobian(x).numpy()


def test_bounds_of_the_observed_cells_are_below_quadrature_and_reach_it(vae):
    x = rows(30, missing=0.4, seed=5)
    exact = quadrature(vae, x)
    log_w = vae.log_weights(x, tf.constant([4, 2]), 4000).numpy() + vae.log_scale(x).numpy()
    elbos, errors = log_w.mean(0), log_w.std(0) / np.sqrt(len(log_w))
    assert (elbos < exact + 4 * errors).all() and (elbos < exact).mean() > 0.8
    many, effective = density.importance(vae, tf.constant(x), 5000, vae.log_weights)
    known = effective.numpy() > 300
    assert known.mean() > 0.6
    np.testing.assert_allclose((many + vae.log_scale(x)).numpy()[known], exact[known], atol=0.15)


def test_a_hidden_column_gives_the_bound_of_the_marginal(vae, preprocess):
    """The sum of p over the values of a category, and the integral over a number, is p of the row without the cell."""
    row = rows(1, missing=0.0, seed=7)
    without = row.copy()
    without[0, 0] = np.nan
    every = np.repeat(row, 3, 0)
    every[:, 0] = [0, 1, 2]
    np.testing.assert_allclose(np.logaddexp.reduce(quadrature(vae, every)), quadrature(vae, without)[0], atol=1e-4)


@pytest.mark.parametrize("column", [1, 5])
def test_densities_in_the_columns_units_integrate_to_one(vae, column):
    """Over a number alone, with a long tail (column 1) or without, all other cells missing."""
    centre, spread = vae.preprocess.centre[column], vae.preprocess.spread[column]
    u = np.linspace(-14, 14, 40001)  # of sinh, so that tails are reached
    raw = np.full((len(u), len(KINDS)), np.nan, "float32")
    raw[:, column] = centre + spread * np.sinh(u) / 2
    wide = np.concatenate([quadrature(vae, raw[i : i + 4000]) for i in range(0, len(raw), 4000)])
    inside = np.abs(vae.preprocess(raw).numpy()[:, vae.preprocess.read_size :]).max(1) < 29  # not cut
    values, points = np.exp(wide)[inside], raw[inside, column].astype("float64")
    assert abs(np.trapezoid(values, points) - 1) < 2e-3


def test_a_count_and_a_yes_or_no_sum_to_one(vae):
    for column, values in ((3, np.arange(4000)), (2, np.arange(2))):
        raw = np.full((len(values), len(KINDS)), np.nan, "float32")
        raw[:, column] = values
        assert abs(np.exp(quadrature(vae, raw)).sum() - 1) < 2e-3


def test_what_is_hidden_from_q_is_scored_in_p(preprocess):
    hiding = table_preprocess.TablePreprocess(**{**preprocess.get_config(), "hidden": 0.5})
    x = rows(400, missing=0.2, seed=8)
    drawn, whole = hiding(x, tf.constant([1, 2])).numpy(), preprocess(x).numpy()
    size, values = preprocess.read_size, preprocess.layout.values
    np.testing.assert_array_equal(drawn[:, size:], whole[:, size:])
    seen, observed = drawn[:, values:size], whole[:, values:size]
    assert (seen <= observed).all() and abs(seen.sum() / observed.sum() - 0.5) < 0.05
    spread = preprocess.layout.spread(tf.constant(seen)).numpy()
    np.testing.assert_array_equal(drawn[:, :values], whole[:, :values] * spread)
    np.testing.assert_array_equal(hiding(x).numpy(), whole)  # nothing is hidden without a seed


def test_draws_have_the_means_and_shares_of_p(preprocess):
    model = M2(preprocess, 3, likelihood="table", network=Network(hidden=(8,)), dim_z=2, seed=1)
    factor, n = model.p["x"], 20_000
    values = {"y": tf.one_hot([[2]], 3), "z": tf.constant([[[0.3, -0.8]]])}
    distribution = factor.distribution(values)
    x = factor.sample(distribution, n, 1, tf.constant([5, 6])).numpy()[:, 0]
    layout = preprocess.layout
    np.testing.assert_array_equal(x[:, : layout.numbers], x[:, layout.read_size :][:, : layout.numbers])
    assert (x[:, -layout.columns :] == 1).all()
    scored, expected = x[:, layout.read_size :], factor.expected(distribution).numpy()[0, 0, layout.read_size :]
    error = (scored.mean(0) - expected) / (scored.std(0) / np.sqrt(n) + 1e-9)
    assert np.abs(error[: layout.values]).max() < 4.5
    raw = preprocess.raw(tf.constant(x), drawn=True).numpy()
    assert (raw[:, 3] == np.rint(raw[:, 3])).all() and set(np.unique(raw[:, 0])) <= {0.0, 1.0, 2.0}


def test_gradients_are_finite_for_rows_without_any_cell_and_for_extreme_ones(preprocess):
    model = M2(preprocess, 2, likelihood="table", network=Network(hidden=(8,)), dim_z=2, seed=1)
    x = rows(6, seed=9)
    x[0] = np.nan
    x[1] = [2, 1e30, 1, 1e9, 1, -1e30, 0]
    batch = {"labelled": (x, np.arange(6) % 2), "unlabelled": tf.constant(x)}
    with tf.GradientTape() as tape:
        loss = model.terms(batch, tf.constant([1, 2]))["objective"]
    gradients = tape.gradient(loss, [v.value for v in model.trainable_variables])
    assert np.isfinite(loss) and all(np.isfinite(g).all() for g in gradients if g is not None)


def test_what_cannot_be_of_a_table_is_refused(preprocess):
    from tfadgm.models.adgm import ADGM

    with pytest.raises(ValueError, match="a_sees_x=false"):
        ADGM(preprocess, 2, likelihood="table", network=Network(hidden=(4,)), a_sees_x=True)
    with pytest.raises(ValueError, match="allowed: gaussian"):
        table.TableLikelihood("z", 5, Network(hidden=(4,)))
