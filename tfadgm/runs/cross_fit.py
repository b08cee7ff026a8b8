"""The error where nothing is held out: each labelled example is classified by a model that was trained without it."""

import dataclasses
import pathlib

import numpy as np

from tfadgm import evaluation, telling
from tfadgm.data import on_disk, pipeline
from tfadgm.data.dataset import Dataset
from tfadgm.models.base import DeepGenerativeModel
from tfadgm.runs import build
from tfadgm.runs.settings import Settings
from tfadgm.training import stopping


def folds(y: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Returns the fold of each labelled example, int [N]: 0 to count - 1, or -1 for one that is never left out.

    The examples of a class are dealt to the folds in turn, so that each has about its share. A class's only label is never
    left out: no model could learn the class.

    Args:
      y: class numbers [N].
      count: at least 2.
      seed: of the order in which a class's examples are dealt.
    """
    generator, found, dealt = np.random.default_rng([seed, 7]), np.full(len(y), -1), 0
    for k in np.unique(y):
        members = generator.permutation(np.flatnonzero(y == k))
        if len(members) > 1:
            found[members] = (dealt + np.arange(len(members))) % count
            dealt += len(members)
    return found


def measure(
    settings: Settings,
    data: Dataset,
    split: pipeline.Split,
    directory: pathlib.Path,
    quiet: bool = False,
    start: DeepGenerativeModel | None = None,
) -> dict[str, float | list[float]]:
    """Trains a model for each of `settings.cross_fit` folds, without its labels, and returns what their answers are worth.

    The examples of a fold leave the unlabelled pool too, and are classified by the model's last weights. A model without
    some of the labels is a little worse than the one that is reported, so that the error is a little too high.

    Args:
      settings, data, split: of a run, whose models are trained with the same settings.
      directory: a `pathlib.Path`, of the run; the models' own are in folds/0-of-3, ... An interrupted one goes on.
      quiet: whether to print no progress.
      start: the trained model of the first stage, for a model that has one.

    Returns:
      A dict of crossfit_folds, crossfit_error, crossfit_error_interval, crossfit_balanced_accuracy, crossfit_examples,
      crossfit_ece, crossfit_nll.

    Raises:
      stopping.Stopped: by SIGTERM or SIGINT.
    """
    fold = folds(data.y_train[split.labelled], settings.cross_fit, settings.seed)
    last = dataclasses.replace(settings, keep="last", patience=None)
    answers = np.zeros((len(fold), len(build.value_names(settings, data))))
    k = 0
    with stopping.within(lambda: f"in the cross-fitting, in fold {k + 1} of {settings.cross_fit}"):
        for k in range(fold.max(initial=-1) + 1):
            telling.advance("folds", k, settings.cross_fit)
            left_out = split.labelled[fold == k]
            part = dataclasses.replace(
                split,
                labelled=split.labelled[fold != k],
                unlabelled=np.setdiff1d(split.unlabelled, left_out),
                validation=left_out,
            )
            path = directory / "folds" / f"{k}-of-{settings.cross_fit}"
            path.mkdir(parents=True, exist_ok=True)
            model, _, _ = build.train(last, data, part, path, quiet, start)
            model = model.with_precision("float32")
            answers[fold == k] = evaluation.class_probabilities(
                model, on_disk.take(data.x_train, left_out), settings.test_samples
            )
    kept = fold >= 0
    if not kept.any():
        return {}
    found = evaluation.classification(answers[kept], data.y_train[split.labelled][kept])
    names = ("error", "error_interval", "balanced_accuracy", "examples", "ece", "nll")
    return {"crossfit_folds": settings.cross_fit, **{f"crossfit_{name}": found[name] for name in names}}
