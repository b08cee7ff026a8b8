"""Cross-fitting: folds leave out each label once, and no model has seen what it is asked."""

import os
import signal
import time

import light
import numpy as np
import pytest

from tfadgm import evaluation
from tfadgm.reporting import summary
from tfadgm.runs import build, cross_fit, recipes, run
from tfadgm.training import stopping


def test_folds_have_their_share_of_each_class_and_never_the_only_label_of_one():
    y = np.array([0] * 6 + [1] * 4 + [2])
    found = cross_fit.folds(y, 2, seed=0)
    assert [np.bincount(found[y == k]).tolist() for k in (0, 1)] == [[3, 3], [2, 2]] and found[y == 2].tolist() == [-1]
    assert cross_fit.folds(np.array([0, 0, 1, 1]), 4, seed=0).max() == 3  # classes do not all begin at the first fold
    np.testing.assert_array_equal(found, cross_fit.folds(y, 2, seed=0))


def test_each_label_is_answered_by_a_model_that_has_not_seen_it(tmp_path, monkeypatch):
    settings = recipes.resolve("m2", "digits", labels=40, hidden=(8,), dim_z=2, epochs=1, cross_fit=2, density_examples=5)
    asked, trained, train = [], [], build.train

    def watched(settings, data, split, directory, quiet, start):
        trained.append(split)
        return train(settings, data, split, directory, quiet, start)

    monkeypatch.setattr(build, "train", watched)
    probabilities = evaluation.class_probabilities
    monkeypatch.setattr(evaluation, "class_probabilities", lambda m, x, s: asked.append(len(x)) or probabilities(m, x, s))
    with light.runs():
        results = run.train(settings, tmp_path / "run", quiet=True)
    whole, *parts = trained
    assert results["crossfit_examples"] == 40 and len(parts) == 2 and asked[-2:] == [20, 20]
    for part in parts:
        left_out = np.setdiff1d(whole.labelled, part.labelled)
        assert len(left_out) == 20 and not np.isin(left_out, part.unlabelled).any()
        assert len(part.unlabelled) == len(whole.unlabelled) - 20
    assert np.intersect1d(*(part.labelled for part in parts)).size == 0
    text = dict(summary.rows(results))["cross-fitted error"]
    assert text.startswith(f"{100 * results['crossfit_error']:.2f}% (") and "40 examples in 2 folds" in text


def test_a_signal_between_two_steps_of_the_folds_is_told_with_the_fold(tmp_path, monkeypatch):
    settings = recipes.resolve("m2", "digits", labels=40, hidden=(8,), dim_z=2, epochs=1, cross_fit=2)
    data, split = build.load_data(settings)
    paths = []

    def trained(settings, data, split, directory, quiet, start):
        paths.append(directory)
        if len(paths) == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        return build.make_model(settings, data, split), None, []

    monkeypatch.setattr(build, "train", trained)
    monkeypatch.setattr(
        evaluation, "class_probabilities", lambda model, x, samples: time.sleep(0.05) or np.full((len(x), 10), 0.1)
    )
    with pytest.raises(stopping.Terminated, match="^terminated in the cross-fitting, in fold 2 of 2$"):
        cross_fit.measure(settings, data, split, tmp_path, quiet=True)


def test_a_finished_run_can_be_cross_fitted_afterwards(tmp_path):
    given = dict(labels=20, hidden=(8,), dim_z=2, epochs=1, density_examples=5)
    before = run.train(recipes.resolve("m2", "digits", **given), tmp_path / "run", quiet=True)
    after = run.train(recipes.resolve("m2", "digits", **given, cross_fit=2), tmp_path / "run", quiet=True)
    assert "crossfit_error" not in before and after["crossfit_examples"] == 20
    more = run.train(recipes.resolve("m2", "digits", **given, cross_fit=3), tmp_path / "run", quiet=True)
    assert (
        more["crossfit_folds"] == 3 and len(list((tmp_path / "run" / "folds").iterdir())) == 5
    )  # none is taken for another
    assert after["test_error"] == before["test_error"] and not (tmp_path / "run" / "export" / "2").exists()


@pytest.mark.parametrize("given", [dict(cross_fit=1), dict(cross_fit=-2), dict(cross_fit=3, labels=0)], ids=str)
def test_folds_without_a_meaning_are_refused(given):
    with pytest.raises(ValueError, match="cross_fit: got .*allowed: 0, or at least 2 with labels"):
        recipes.resolve("m2", "digits", **given)
