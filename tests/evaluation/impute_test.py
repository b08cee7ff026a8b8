"""Imputation of many rows: in chunks, each row by itself."""

import numpy as np
import pytest
import table_examples

from tfadgm import evaluation
from tfadgm.evaluation import answers


@pytest.fixture(scope="module")
def model():
    return table_examples.make_model()


def test_a_row_is_filled_in_whatever_chunk_it_stands(model, monkeypatch):
    x, done = table_examples.draw(30, seed=2), []
    together = evaluation.impute(model, x, samples=10, progress=lambda *counts: done.append(counts))
    monkeypatch.setattr(answers, "MEMORY_VALUES", 2000)  # chunks of a few rows
    apart = evaluation.impute(model, x, samples=10, progress=lambda *counts: done.append(counts))
    np.testing.assert_allclose(together, apart, rtol=1e-4)
    assert done[0] == (30, 30) and len(done) > 2 and done[-1] == (30, 30)
    assert np.isfinite(together).all() and (together == x)[~np.isnan(x)].all()


def test_draws_keep_what_is_there_and_are_values_of_their_columns(model):
    x = table_examples.draw(30, seed=2)
    found = evaluation.impute(model, x, samples=10, draws=3)
    assert found.shape == (3, 30, 7) and np.isfinite(found).all()
    assert (found == x)[:, ~np.isnan(x)].all() and (found[0] != found[1])[np.isnan(x)].any()
    low, high, whole = model.preprocess.bounds()
    assert ((low <= found) & (found <= high)).all() and (found == np.rint(found))[..., whole].all()
