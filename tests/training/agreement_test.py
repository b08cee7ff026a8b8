"""The reported model is the function that was trained, after a few steps too; and says so where it is not."""

import types

import numpy as np
import pytest

from tfadgm import evaluation
from tfadgm.reporting import report
from tfadgm.runs import build, recipes

SIZES = {"m2": dict(dim_z=4), "sdgm": dict(dim_z=4, dim_a=4), "cagem": dict(dim_z=(8, 4)), "untapped": dict(dim_z=(2,))}


@pytest.mark.parametrize("name", SIZES)
def test_labelled_examples_are_classified_as_in_training_after_fifty_steps(name, tmp_path):
    settings = recipes.resolve(name, "digits", hidden=(64,), batch_norm=True, epochs=4, **SIZES[name])
    data, split = build.load_data(settings)
    model, state, rows = build.train(settings, data, split, tmp_path, quiet=True)
    x, y = data.x_train[split.labelled], data.y_train[split.labelled]
    reported = (evaluation.class_probabilities(model, x, 10).argmax(1) == y).mean()
    trained = float(rows[-1]["labelled_accuracy"])
    if name != "cagem":  # whose cascade has learned nothing yet
        assert trained > 0.85
    assert reported > trained - 0.05
    told = report.labelled_accuracy(model, settings, data, split, rows, state.epoch)
    assert told["labelled_accuracy_in_training"] == trained and "labelled_accuracy_warning" not in told


def _told(trained, right, monkeypatch, epoch=2, examples=100):
    data = types.SimpleNamespace(x_train=np.zeros((examples, 2)), y_train=np.zeros(examples, "int64"))
    split = types.SimpleNamespace(labelled=np.arange(examples))
    answers = np.where(np.arange(examples)[:, None] < right * examples, [0.9, 0.1], [0.1, 0.9])
    monkeypatch.setattr(evaluation, "class_probabilities", lambda model, x, samples: answers[: len(x)])
    rows = [dict(epoch="1", labelled_accuracy="0.2"), dict(epoch=2, labelled_accuracy=trained)]
    settings = types.SimpleNamespace(test_samples=1, batch_norm=True)
    return report.labelled_accuracy(None, settings, data, split, rows, epoch)


def test_a_reported_model_that_is_wrong_where_training_was_right_is_told_in_one_line(monkeypatch, capsys):
    found = _told(0.98, 0.43, monkeypatch)
    assert found["labelled_accuracy"] == 0.43 and "43.0% of the 100 labelled" in found["labelled_accuracy_warning"]
    told = capsys.readouterr().err
    assert told.startswith("warning: the model is right on 43.0%") and told.count("\n") == 1 and "98.0%" in told


@pytest.mark.parametrize("trained, right", [(0.98, 0.95), (1.0, 0.95), (0.3, 0.9), (0.5, 0.4)])
def test_differences_within_the_noise_and_better_ones_are_not_told(trained, right, monkeypatch, capsys):
    assert "labelled_accuracy_warning" not in _told(trained, right, monkeypatch) and not capsys.readouterr().err


def test_it_is_the_epoch_of_the_reported_weights_that_counts(monkeypatch):
    assert _told(0.98, 0.43, monkeypatch, epoch=1)["labelled_accuracy_in_training"] == 0.2
    assert _told(0.98, 0.43, monkeypatch, epoch=7) == {}
