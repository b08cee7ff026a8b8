"""Rows of counts to x and back, against numpy; arrays of counts with a negative binomial likelihood."""

import numpy as np
import pytest
import tensorflow as tf

from tfadgm.data import count_preprocess, notes, npz, ranges
from tfadgm.data.dataset import Dataset
from tfadgm.data.table_preprocess import preprocess_from_config
from tfadgm.models.vae import VAE
from tfadgm.networks.mlp import Network
from tfadgm.serving import inputs

GENERATOR = np.random.default_rng(0)
X = GENERATOR.negative_binomial(0.5, 0.1, (80, 5)).astype("int32") + np.eye(80, 5, dtype="int32")
X[:, 3] += 1


def data(x=X, x_test=None, **options):
    y_test = None if x_test is None else np.zeros(len(x_test), int)
    return Dataset(
        "own", x, np.full(len(x), -1), x_test, y_test, ["a", "b"], **{"likelihood": "negative_binomial", **options}
    )


def test_networks_read_standardised_logarithms_of_shares_and_p_scores_the_counts():
    made = data().make_preprocess()
    libraries = X.sum(1, keepdims=True)
    values = np.log1p(X / libraries * np.median(libraries))
    centred = values - values.mean(0)
    expected = np.clip(centred / np.sqrt((centred**2).mean()), -count_preprocess.LIMIT, count_preprocess.LIMIT)
    x = made(X).numpy()
    np.testing.assert_allclose(x[:, :5], expected, atol=1e-5)
    np.testing.assert_array_equal(x[:, 5:], X)
    np.testing.assert_array_equal(made.raw(x), X)
    assert (made.size, made.read_size, made.components, made.raw_shape) == (10, 5, 5, (5,))
    np.testing.assert_allclose(made(2 * X).numpy()[:, :5], x[:, :5], atol=1e-5)  # the library size is divided out
    assert np.exp(made.layout.log_frequency).sum() == pytest.approx(1, abs=1e-5)


def test_a_column_of_zeros_and_a_constant_one_are_finite():
    x = np.zeros((6, 3), "int32")
    x[:, 0] = 2
    assert np.isfinite(data(x).make_preprocess()(x).numpy()).all()


def test_it_is_made_again_from_its_configuration():
    made = data().make_preprocess()
    again = preprocess_from_config(made.get_config())
    assert isinstance(again, count_preprocess.CountPreprocess) and again.get_config() == made.get_config()
    np.testing.assert_array_equal(again(X), made(X))


@pytest.mark.parametrize(
    "x, message",
    [
        (
            X + np.float32(0.5),
            r"holds .* in row 0, column 0 \(from 0\); allowed: whole numbers from 0 to 16777216, or gauss",
        ),
        (X - 5, "holds -.*; allowed: whole numbers"),
        (X.astype("int64") + 2**25, "holds .*; allowed: whole numbers"),
        (
            np.where(np.arange(80)[:, None] == 7, 0, X),
            r"1 rows of train x of own hold no count but 0, first row 7 \(from 0\)",
        ),
        (X.reshape(80, 5, 1), r"got negative_binomial with examples \(5, 1\); allowed: rows of counts"),
    ],
)
def test_what_is_no_count_is_refused(x, message):
    with pytest.raises(ValueError, match=message):
        data(x).make_preprocess()


def test_a_test_set_that_is_no_counts_is_refused_and_so_is_a_threshold():
    with pytest.raises(ValueError, match="test x of own holds 0.5 in row 0"):
        data(X.astype("float32"), np.full((2, 5), np.float32(0.5))).make_preprocess()
    with pytest.raises(ValueError, match="got negative_binomial with min_column_std=0.1"):
        data().make_preprocess(min_column_std=0.1)


def test_arrays_of_counts_are_told_of_the_likelihood(tmp_path):
    np.savez(tmp_path / "own.npz", x=GENERATOR.poisson(GENERATOR.gamma(0.2, 90, (90, 4))))
    found = npz.load(str(tmp_path / "own.npz"))
    assert "--likelihood=negative_binomial scores the counts themselves" in notes.taken(found, "gaussian")[0]
    line = notes.taken(found, "negative_binomial")[0]
    assert "p(x|.) negative binomial given the sum of the row" in line and "--likelihood" not in line


@pytest.mark.parametrize(
    "x, message",
    [
        (X[:3] + np.float32(0.5), "holds .* in row 0 .*; allowed: whole numbers from 0 to"),
        (-X[:3], "holds numbers from -.*; allowed: 0 to 16777216"),
        (0 * X[:3], "3 rows hold no count but 0, first row 0"),
    ],
)
def test_examples_at_use_are_counts(x, message):
    limits = ranges.of(data())
    assert ranges.compare("use", X[:1] > 0, limits) == [] and ranges.compare("use", 100 * X, limits) == []
    with pytest.raises(ValueError, match=f"use.*{message}"):
        ranges.compare("use", x, limits)


@pytest.mark.parametrize(
    "row", [[0, 0, 0, 0, 0], [1, -1, 0, 0, 3], [1, 0.5, 0, 0, 3], [1, np.nan, 0, 0, 3], [2**25, 0, 0, 0, 0]]
)
def test_a_graph_refuses_rows_that_are_no_counts(row):
    made = data(X.astype("float32")).make_preprocess()
    x = np.stack([X[0], row]).astype("float32")
    with pytest.raises(
        tf.errors.InvalidArgumentError, match=r"x: allowed: whole numbers from 0 to .*, in a row not 0 alone"
    ):
        inputs.read(tf.constant(x), made)
    np.testing.assert_array_equal(inputs.read(tf.constant(x[:1]), made), x[:1])


def test_a_density_of_an_array_of_counts_is_that_of_probabilities():
    made = data(X.astype("uint8")).make_preprocess()
    model = VAE(made, 0, likelihood="negative_binomial", network=Network(hidden=(4,)), dim_z=1)
    np.testing.assert_array_equal(model.log_scale(X), np.zeros(80))
