"""A training of a few steps, for which no graph is built, is the training that a graph gives."""

import numpy as np

from tfadgm.models.base import DeepGenerativeModel
from tfadgm.runs import build, recipes
from tfadgm.training import fit


def test_steps_without_a_graph_end_with_the_same_weights(tmp_path, monkeypatch):
    # Before batch norm a bias has no gradient but rounding, which Adam makes steps of.
    tiny = dict(hidden=(8,), dim_z=2, batch_norm=False, batch=400, epochs=1)  # 3 steps
    settings = recipes.resolve("m2", "digits", labels=20, **tiny)
    data, split = build.load_data(settings)
    found, called, terms = {}, [], DeepGenerativeModel.terms
    monkeypatch.setattr(DeepGenerativeModel, "terms", lambda *args: called.append(1) or terms(*args))
    for few in (2, 3):
        monkeypatch.setattr(fit, "FEW_STEPS", few)
        model, state, _ = build.train(settings, data, split, tmp_path / str(few), quiet=True)
        found[few] = model.get_weights()
        assert state.steps == 3
    assert len(called) == 1 + 3  # traced once, then called in each step
    for compiled, eager in zip(found[2], found[3], strict=True):
        np.testing.assert_allclose(eager, compiled, atol=2e-5)
