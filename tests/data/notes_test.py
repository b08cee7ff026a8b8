"""What is told before training."""

import types

import numpy as np
import pytest

from tfadgm.data import notes, pipeline, table
from tfadgm.data.dataset import Dataset

GENERATOR = np.random.default_rng(0)


def make(x, y=None, **options):
    y = np.arange(len(x)) % 2 if y is None else y
    return Dataset("t", x.astype("float32"), y, None, None, ["a", "b"], **{**table.describe(x), **options})


def told(data, **model):
    usual = dict(likelihood=data.likelihood, learns_from_labels=True, has_class_prior=True, class_prior=None)
    known = types.SimpleNamespace(**{**usual, **model})
    return notes.warnings(data, pipeline.split(data.y_train, 2), known)


def test_ordinary_data_give_no_warning():
    assert not told(make(GENERATOR.normal(size=(200, 4))))


def test_an_outlier_is_told_with_its_column():
    x = GENERATOR.normal(size=(200, 4))
    x[17, 2] = 1e6
    (line,) = told(make(x, feature_names=["a", "b", "mass", "d"]))
    assert "column 'mass': 1 value is far outside the others, 1e+06 in example 17" in line
    assert not told(make(x, likelihood="bernoulli")) and "column 2 (from 0)" in told(make(x))[0]


def test_class_counts_are_told_where_they_differ_much():
    y = (np.arange(200) < 10).astype(int)
    (line,) = told(make(GENERATOR.normal(size=(200, 4)), y))
    assert "class a has 190 labels and b 10, but p(y) takes all classes for equally probable" in line
    assert line.endswith("unless --class_prior=labels")
    for other in (dict(learns_from_labels=False), dict(class_prior=(0.95, 0.05)), dict(has_class_prior=False)):
        assert not told(make(GENERATOR.normal(size=(200, 4)), y), **other)


def test_how_probable_p_y_makes_each_class_is_said():
    model = types.SimpleNamespace(has_class_prior=True, class_prior=(0.95, 0.05))
    assert notes.prior(model, ["often", "rare"]) == "p(y): often 95%, rare 5%"
    model.class_prior = None
    drawn = notes.prior(model, ["often", "rare"], 40)
    assert "uniform over 2 classes: the 40 labels were drawn evenly" in drawn and "--class_prior" in drawn
    assert notes.prior(types.SimpleNamespace(has_class_prior=False), []) == "p(y): as the model learns it"


@pytest.mark.parametrize(
    "column, words",
    [
        (np.arange(5, 205), "column 'a': counts the rows; --ignore it"),
        (np.full(200, 3.0), "column 'a': one value in all examples"),
        (1.7e9 + 500 * np.arange(200) % 7000, "column 'a': numbers that float32 hardly tells apart"),
    ],
)
def test_columns_that_may_be_a_mistake(column, words):
    x = np.stack([column, GENERATOR.normal(size=200)], 1)
    assert any(words in line for line in told(make(x, feature_names=["a", "b"])))


def test_columns_that_count_the_first_rows_alone_are_no_mistake(monkeypatch):
    x = GENERATOR.normal(size=(200, 5))
    x[:3, [0, 2, 3]] = np.arange(3)[:, np.newaxis]
    assert not told(make(x, feature_names=list("abcde")))
    x[:, 3] = np.arange(200)
    for rows in (1, 7, 200):
        monkeypatch.setattr(notes.on_disk, "chunks", lambda x, rows=rows: (x[i : i + rows] for i in range(0, len(x), rows)))
        assert [line for line in told(make(x, feature_names=list("abcde"))) if "'d': counts the rows" in line]


@pytest.mark.parametrize(
    "x, likelihood, words",
    [
        (GENERATOR.normal(size=(20, 4)), "gaussian", "4 numbers; each standardised, p(x|.) Gaussian"),
        (GENERATOR.poisson(GENERATOR.gamma(0.2, 90, (90, 4))), "gaussian", "counts: of log(1 + x), each standardised"),
        (GENERATOR.integers(0, 2, (20, 4)), "bernoulli", "0 or 1, as intensities"),
    ],
)
def test_what_numbers_are_taken_for(x, likelihood, words):
    assert words in notes.taken(make(x), likelihood)[0]


def test_a_table_of_truth_values_is_told_like_others():
    x = GENERATOR.random((50, 3)) < 0.5
    data = Dataset("t", x, np.arange(50) % 2, None, None, ["a", "b"], likelihood="gaussian", levels=2, scale="standardise")
    assert not told(data)
