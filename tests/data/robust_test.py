"""Moments that a few huge numbers do not move: those of ordinary data elsewhere."""

import numpy as np
import pytest
from sklearn import datasets

from tfadgm.data import robust
from tfadgm.data.dataset import Dataset

ORDINARY = ["iris", "wine", "breast_cancer", "diabetes", "digits"]


def of(name):
    return getattr(datasets, f"load_{name}")().data


@pytest.mark.parametrize("name", ORDINARY)
def test_of_ordinary_data_they_are_mean_and_standard_deviation(name):
    x = of(name)
    found = robust.columns(x)
    assert not found.far
    np.testing.assert_allclose(found.mean, x.mean(0), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(found.std, x.std(0), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("outlier", [1e6, -1e12, 3e38])
@pytest.mark.parametrize("name", ["iris", "wine", "breast_cancer"])
def test_an_outlier_is_left_out_and_named(name, outlier):
    x = of(name)
    x[7, 2] = outlier
    found, others = robust.columns(x), np.delete(x[:, 2], 7)
    assert found.far == {2: (1, 7, outlier)}
    np.testing.assert_allclose([found.mean[2], found.std[2]], [others.mean(), others.std()], rtol=1e-9)
    assert found.low[2] == others.min() and found.high[2] == others.max()


def test_rare_values_of_a_sparse_column_are_not_far_out():
    x = np.zeros((1000, 3))
    x[:5, 0], x[:300, 1], x[:, 2] = 1, np.arange(300), 7
    assert not robust.columns(x).far


def make(x):
    return Dataset("t", x.astype("float32"), np.arange(len(x)) % 2, None, None, ["a", "b"], "gaussian", scale="standardise")


def test_x_is_standardised_but_for_what_is_far_out():
    x = of("breast_cancer")
    plain = make(x).make_preprocess()(x.astype("float32")).numpy()
    np.testing.assert_allclose(plain, (x - x.mean(0)) / x.std(0), atol=1e-3)
    x[7, 3] = 1e12
    with_outlier = make(x).make_preprocess()(x.astype("float32")).numpy()
    assert with_outlier[7, 3] == robust.LIMIT
    with_outlier[7, 3] = plain[7, 3]
    np.testing.assert_allclose(with_outlier, plain, atol=0.05)


def test_what_was_never_seen_stays_finite():
    preprocess = make(of("wine")).make_preprocess()
    seen = preprocess(np.full((1, 13), 3.4e38, "float32")).numpy()
    assert np.isfinite(seen).all() and seen.max() <= 1.5 * robust.LIMIT
    assert preprocess.from_config(preprocess.get_config()).limit.tolist() == preprocess.limit.tolist()


def test_standardised_values_of_training_are_never_cut():
    x = np.zeros((5000, 1))
    x[0] = 1.0  # 70 standard deviations from the mean, and nothing is wrong with it
    assert make(x).make_preprocess()(x.astype("float32")).numpy().max() == pytest.approx((1 - x.mean()) / x.std(), rel=1e-5)


@pytest.mark.parametrize("share", [0.12, 0.26, 0.27, 0.6])
def test_a_skewed_column_with_many_zeros_is_left_alone(share):
    """Where just over a quarter is not 0, the distance of the quartiles is that to the smallest of them."""
    generator = np.random.default_rng(3)
    x = np.where(generator.random((4000, 1)) < share, generator.exponential(1.0, (4000, 1)), 0.0)
    found = robust.columns(x)
    assert sum(count for count, *_ in found.far.values()) <= 2 and found.std[0] == pytest.approx(x.std(), rel=0.1)
