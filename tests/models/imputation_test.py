"""Imputation against enumeration of a one-dimensional z."""

import numpy as np
import pytest
import tensorflow as tf

from tfadgm.data import table_preprocess
from tfadgm.models import imputation
from tfadgm.models.m2 import M2
from tfadgm.models.vae import VAE
from tfadgm.networks.mlp import Network

KINDS, VALUES = ["number", "category", "count", "binary", "number"], [0, 3, 0, 0, 0]


def rows(n, seed=0):
    g = np.random.default_rng(seed)
    t = g.normal(size=n)
    return np.stack(
        [10 + t, g.integers(0, 2, n), g.poisson(np.exp(1 + 0.5 * t)), t > 0, np.exp(2 * t)],
        1,
        dtype="float32",
        casting="unsafe",
    )


@pytest.fixture(scope="module")
def preprocess():
    return table_preprocess.fit(rows(400), KINDS, VALUES)


def expected_on_a_grid(model, x, given):
    """E[x_miss | x_o] per cell, [N, C], by a sum over z; `given`: dict of further parents of x, one class at a time."""
    grid = np.linspace(-6, 6, 1201)
    z = tf.constant(grid[:, None, None], tf.float32)
    total, weight = 0.0, 0.0
    for parents in given:
        distribution = model.p["x"].distribution({**parents, "z": z})
        observed = model.preprocess(x)[tf.newaxis]
        log_p = distribution.log_prob(observed).numpy().reshape(len(grid), -1).astype("float64") - 0.5 * grid[:, None] ** 2
        mean = model.p["x"].expected(distribution)
        layout = model.preprocess.layout
        units = model.preprocess.in_units(layout.scored(tf.reshape(mean, [len(grid), -1, layout.size]))[0])
        columns = [
            units["numbers"][..., :1],
            units["categories"],
            units["counts"],
            units["binaries"],
            units["numbers"][..., 1:],
        ]
        values = tf.concat(columns, -1).numpy().astype("float64")
        w = np.exp(log_p)[..., None]
        total, weight = total + (w * values).sum(0), weight + w.sum(0)
    return total / weight


@pytest.mark.parametrize("classes", [0, 3])
def test_means_are_those_of_a_sum_over_the_latents(preprocess, classes):
    kind = M2 if classes else VAE
    model = kind(preprocess, classes, likelihood="table", network=Network(hidden=(8,)), dim_z=1, seed=4)
    x = rows(12, seed=1)
    x[:6, [0, 2]] = np.nan
    x[6:, [1, 3, 4]] = np.nan
    found = imputation.mean(model, tf.constant(x), 4000).numpy()
    given = [{"y": tf.one_hot([[k]], classes)} for k in range(classes)] if classes else [{}]
    expected = expected_on_a_grid(model, x, given)
    np.testing.assert_allclose(found[:6, 0], expected[:6, 0], rtol=0.02)
    np.testing.assert_allclose(found[:6, 2], expected[:6, 4], rtol=0.15)
    np.testing.assert_array_equal(found[6:, 1], expected[6:, 1:4].argmax(1))
    np.testing.assert_array_equal(found[6:, 3], np.rint(expected[6:, 5]))
    seen = ~np.isnan(x)
    np.testing.assert_array_equal(found[seen], x[seen])


def test_draws_keep_what_is_observed_and_spread_as_p_says(preprocess):
    model = VAE(preprocess, 0, likelihood="table", network=Network(hidden=(8,)), dim_z=1, seed=4)
    x = np.repeat(rows(1, seed=2), 2000, 0)
    x[:, [0, 3]] = np.nan
    x[:, 1] = np.arange(2000) % 2  # two kinds of rows, so that two noises
    found = imputation.draw(model, tf.constant(x), 3, 50).numpy()
    assert found.shape == (3, 2000, 5) and np.isfinite(found).all()
    np.testing.assert_array_equal(found[..., [1, 2, 4]], np.broadcast_to(x[:, [1, 2, 4]], (3, 2000, 3)))
    assert found[..., 0].std() > 0.3 and set(np.unique(found[..., 3])) == {0.0, 1.0}
