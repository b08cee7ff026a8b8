"""What the numbers of a table are taken for."""

import numpy as np
import pytest

from tfadgm.data import table
from tfadgm.data.dataset import Dataset

GENERATOR = np.random.default_rng(0)


def gene_counts(rows=300, genes=50):
    """Negative binomial counts, with the spread over genes and rows that sequencing has."""
    mean = np.exp(GENERATOR.normal(1, 1.5, genes)) * np.exp(GENERATOR.normal(0, 0.5, (rows, 1)))
    return GENERATOR.poisson(GENERATOR.gamma(0.5, 2 * mean))


TABLES = {
    "genes": (gene_counts(), "gaussian", "log1p"),
    "even counts": (GENERATOR.poisson(30, (300, 20)), "gaussian", "standardise"),
    "ages": (GENERATOR.integers(18, 90, (300, 3)), "gaussian", "standardise"),
    "within [0, 1]": (GENERATOR.uniform(size=(300, 3)), "gaussian", "standardise"),
    "0 and 1": (GENERATOR.integers(0, 2, (300, 3)), "bernoulli", "standardise"),
    "negative": (gene_counts() - 1, "gaussian", "standardise"),
}


@pytest.mark.parametrize("name", TABLES)
def test_likelihood_and_scale_suit_the_numbers(name):
    x, likelihood, scale = TABLES[name]
    for array in (x, x.astype("float32")):
        found = table.describe(array)
        assert (found["likelihood"], found["scale"]) == (likelihood, scale)


def test_numbers_within_0_and_1_are_told_apart_however_near_they_are():
    y = np.arange(400) % 2
    x = (0.5 + 0.03 * (2 * y[:, None] - 1) + GENERATOR.normal(0, 0.02, (400, 1))).astype("float32")
    data = Dataset("t", x, y, None, None, ["a", "b"], **table.describe(x))
    for likelihood in (None, "gaussian"):
        seen = data.make_preprocess(likelihood)(x).numpy()
        assert seen.std() == pytest.approx(1, rel=1e-3) and seen[y == 1].mean() - seen[y == 0].mean() > 1


def test_logarithms_of_counts_are_standardised_and_come_back():
    x = gene_counts().astype("float32")
    preprocess = Dataset("t", x, np.arange(300) % 2, None, None, ["a", "b"], **table.describe(x)).make_preprocess()
    seen, logarithms = preprocess(x).numpy(), np.log1p(x.astype("float64"))
    np.testing.assert_allclose(seen, (logarithms - logarithms.mean(0)) / logarithms.std(0), atol=1e-4)
    np.testing.assert_allclose(preprocess.picture(seen), x, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(preprocess.raw(seen), x, rtol=1e-4, atol=1e-4)
    again = preprocess.from_config(preprocess.get_config())
    np.testing.assert_array_equal(again(x), seen)
    assert np.isfinite(again(np.full((1, 50), -5, "float32"))).all()


@pytest.mark.parametrize("name", ["", "id", "Index", "Unnamed: 0"])
def test_identifiers(name):
    assert table.is_identifier(name)


@pytest.mark.parametrize("name", ["idle", "u", "label", "width"])
def test_no_identifiers(name):
    assert not table.is_identifier(name)
