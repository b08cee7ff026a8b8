"""Runs that leave out what a test is not about: the export and the baseline, or all that is not training.

As a program, `light.py VERB --FLAG=...` is bin/VERB with such runs, and without page and figures: for tests of processes.
"""

import contextlib

import numpy as np
import pytest

from tfadgm.reporting import report
from tfadgm.runs import reference, resuming
from tfadgm.runs.run_directory import Run
from tfadgm.training import baseline


def _guess(model, x, y, x_test, **_):
    return np.full((len(x_test), model.num_classes), 1 / model.num_classes)


def no_figures(directory, *arguments):
    """In place of `figures.all_figures`."""
    directory.mkdir(parents=True, exist_ok=True)


@contextlib.contextmanager
def runs():
    """Within this scope `run.train` writes no export, and its baseline guesses."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Run, "export", lambda self, **options: None)
        patch.setattr(reference, "measure", lambda *arguments: None)
        patch.setattr(baseline, "class_probabilities", _guess)
        yield


@contextlib.contextmanager
def nothing_but_training():
    """Within this scope `run.train` loads, trains, and writes what belongs to training."""
    with runs(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(report, "labelled_accuracy", lambda *arguments: {})
        patch.setattr(report, "evaluate", lambda *arguments: (dict.fromkeys(resuming.NEEDED, 0), None, None))
        yield
