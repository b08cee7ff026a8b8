"""Looks for settings that do better on validation examples: trials of Optuna, each of which is the training of a run.

The first trial has the settings as they are, so that what is found is at least as good, on the validation examples. The test
set is never asked. The search is kept in a file: the same command goes on, within a trial too.
"""

import dataclasses
import json
import math
import pathlib
import shutil
from typing import Any

import keras
import numpy as np
import optuna

from tfadgm import evaluation, machine, telling
from tfadgm.data import on_disk, pipeline
from tfadgm.data.dataset import Dataset
from tfadgm.models.base import DeepGenerativeModel
from tfadgm.reporting import search_figures
from tfadgm.runs import allowed, build, configuration, lock, run_directory, search_space
from tfadgm.runs.settings import Settings
from tfadgm.training import callbacks

MOST_HELD_OUT = 1000  # validation examples where the settings name none, and at most a fifth of those with a label
CHECKS = 20  # of a trial, by which it may be given up
SAMPLES = 20  # of a inside q(y|x), as `callbacks.Validate` has them


def search(
    settings: Settings,
    directory: pathlib.Path,
    objective: str,
    trials: int,
    minutes: float | None = None,
    quiet: bool = False,
) -> dict[str, Any]:
    """Makes trials until there are so many, or their training has taken so long; returns what was found.

    Args:
      settings: where it begins; its budget is that of each trial.
      directory: of the search: search.sqlite, trials/, best.yaml, history.png, importances.png, slices.png.
      objective: of `allowed.OBJECTIVES`, on the validation examples: "error", "nll" of q(y|x) in nats, or "bound" of
        log p(x) in nats per example, which is maximised.
      trials: those before included.
      minutes: of training and measuring, those before included.
      quiet: whether to print no progress.

    Returns:
      A dict of trials, pruned, failed, best and default (values of the objective), best_trial and changed, {name: (before,
      after)} of settings.

    Raises:
      ValueError: if the directory holds another search, or something else, or the first trial cannot be trained.
      stopping.Stopped: by SIGTERM or SIGINT in training, whose state is saved.
    """
    with lock.held(directory), telling.showing("off" if quiet else "auto"):
        machine.set_threads(settings.threads, settings.xla)
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        return _Search(settings, directory, objective).run(trials, minutes)


class _Search:
    def __init__(self, settings, directory, objective):
        allowed.check_search(directory)
        self.directory, self.objective, self.asked = directory, objective, settings
        path = directory / allowed.SEARCH
        self.study = optuna.create_study(
            storage=f"sqlite:///{path}",
            study_name="search",
            load_if_exists=True,
            pruner=optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=CHECKS // 4),
        )
        self._check_same()
        self.identity = run_directory.identity_of_data(settings)
        data, _ = build.load_data(dataclasses.replace(settings, validation=0))
        alone = dict(validation=settings.validation or _held_out(data), select=False, cross_fit=0)
        settings = dataclasses.replace(settings, **alone)
        self.data, self.split = data, build.draw_split(settings, data)
        self.settings = build.sized(settings, self.data, self.split)
        self.start = None if settings.first_run is None else run_directory.Run.open(settings.first_run).model
        model = build.make_model(self.settings, self.data, self.split)
        self.learns, self.names = model.learns_from_labels, build.value_names(self.settings, data)
        self.space = search_space.space(self.settings, self.learns)

    def _check_same(self):
        """Raises a ValueError if the search in the directory was begun with other settings."""
        now = json.loads(json.dumps(dict(dataclasses.asdict(self.asked), objective=self.objective)))
        before = self.study.user_attrs.get("asked")
        if before is None:
            self.study.set_user_attr("asked", now)
        elif changed := [f"{name} was {before.get(name)}, now {now[name]}" for name in now if before.get(name) != now[name]]:
            told = f"holds a search of another configuration: {'; '.join(changed)}"
            raise ValueError(f"out: {self.directory} {told}; allowed: another directory")

    def run(self, trials, minutes):
        if not self.study.get_trials(deepcopy=False):
            self.study.enqueue_trial({name: parameter.default for name, parameter in self.space.items()})
        while (done := len(self._finished())) < trials and (minutes is None or self._seconds() < 60 * minutes):
            with telling.task(f"trial {done + 1} of {trials}"):
                self._trial(self._next(done))
        found = self.told()
        search_figures.draw(self.study, self.objective, self.directory)
        return found

    def _finished(self):
        return [trial for trial in self.study.get_trials(deepcopy=False) if trial.state.is_finished()]

    def _seconds(self):
        return sum(trial.user_attrs.get("seconds", 0.0) for trial in self._finished())

    def _next(self, number):
        """Returns the trial that was interrupted, or the next one; its values follow from the seed and those before."""
        self.study.sampler = optuna.samplers.TPESampler(seed=self.settings.seed + number)
        trials, state = self.study.get_trials(deepcopy=False), optuna.trial.TrialState.RUNNING
        begun = next((trial for trial in trials if trial.state == state), None)
        return self.study.ask() if begun is None else optuna.trial.Trial(self.study, begun._trial_id)

    def _trial(self, trial):
        values = {name: parameter.suggest(trial, name) for name, parameter in self.space.items()}
        settings = search_space.applied(self.settings, values)
        path = self.directory / "trials" / str(trial.number)
        report = Report(trial, self.objective, self.data, self.split, settings, self.learns)
        try:
            model = build.make_model(settings, self.data, self.split)
            run_directory.begin(settings, path, self.data, self.split, model, self.names, self.identity)
            model, state, _ = build.train(settings, self.data, self.split, path, False, self.start, [report])
            value = measure(model.with_precision("float32"), self.objective, self.data, self.split)
            trial.set_user_attr("seconds", state.seconds)
            if not math.isfinite(value):
                raise ValueError(f"{self.objective}: is {value}")
            self.study.tell(trial, value)
        except optuna.TrialPruned:
            trial.set_user_attr("seconds", report.seconds)
            self.study.tell(trial, state=optuna.trial.TrialState.PRUNED)
        except ValueError as error:  # as of a training that diverged; without the settings as they are there is no search
            if trial.number == 0:
                raise
            telling.warn(f"trial {trial.number} failed: {str(error).splitlines()[0]}")
            self.study.tell(trial, state=optuna.trial.TrialState.FAIL)
        shutil.rmtree(path / "checkpoints", ignore_errors=True)
        configuration.write(self.directory / allowed.BEST, self.best())

    def best(self):
        """Returns the settings of the best trial, with what they do beside training as it was asked."""
        found = search_space.applied(self.settings, self.study.best_trial.params)
        return dataclasses.replace(found, select=self.asked.select, cross_fit=self.asked.cross_fit)

    def told(self):
        finished = self._finished()
        count = {state: sum(trial.state == state for trial in finished) for state in optuna.trial.TrialState}
        best, default = self.study.best_trial, finished[0]
        usual, now = dataclasses.asdict(self.settings), dataclasses.asdict(search_space.applied(self.settings, best.params))
        return dict(
            trials=len(finished),
            pruned=count[optuna.trial.TrialState.PRUNED],
            failed=count[optuna.trial.TrialState.FAIL],
            best=self._told(best),
            default=self._told(default),
            best_trial=best.number,
            examples=len(self.split.validation),
            changed={name: (usual[name], now[name]) for name in now if now[name] != usual[name]},
        )

    def _told(self, trial: optuna.trial.FrozenTrial) -> float:
        """The value of a trial that was completed, of a bound itself."""
        value = math.nan if trial.value is None else trial.value
        return -value if self.objective == "bound" else value


def measure(model: DeepGenerativeModel, objective: str, data: Dataset, split: pipeline.Split) -> float:
    """Returns what is minimised, of the validation examples: the error, the nll in nats, or minus the mean bound."""
    x, y = on_disk.take(data.x_train, split.validation), data.y_train[split.validation]
    if objective == "bound":
        return -float(evaluation.elbo(model, x).mean(dtype="float64"))
    probabilities = evaluation.class_probabilities(model, x, SAMPLES)
    if objective == "error":
        return float((probabilities.argmax(1) != y).mean())
    return -float(np.log(np.maximum(probabilities[np.arange(len(y)), y], 1e-12)).mean())


class Report(keras.callbacks.Callback):
    """Tells a trial of Optuna how it does, at most `CHECKS` times, and ends it where it is worse than the median was.

    Raises:
      optuna.TrialPruned: then.
    """

    def __init__(
        self,
        trial: optuna.trial.Trial,
        objective: str,
        data: Dataset,
        split: pipeline.Split,
        settings: Settings,
        learns_from_labels: bool,
    ) -> None:
        super().__init__()
        self.trial, self.objective, self.data, self.split = trial, objective, data, split
        self.epochs, self.minutes = build.plan(settings, split).epochs, settings.minutes
        self.can_tell = objective == "bound" or learns_from_labels  # M1's classifier is fitted when training has ended
        self.known = trial.study.get_trials(deepcopy=False)[trial.number].intermediate_values
        self.seconds = 0.0

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        logs = logs or {}
        self.seconds = logs["seconds"]
        share = (epoch + 1) / self.epochs if self.epochs else self.seconds / 60 / (self.minutes or 1.0)
        step = int(CHECKS * min(share, 1.0))
        if not self.can_tell or step in self.known or not 0 < step < CHECKS:
            return
        with callbacks.averaged_weights(self.model):
            value = measure(self.model, self.objective, self.data, self.split)
        self.known = {**self.known, step: value}
        if math.isfinite(value):
            self.trial.report(value, step)
            if self.trial.should_prune():
                raise optuna.TrialPruned


def _held_out(data):
    """Returns how many validation examples there are where nobody says it."""
    labelled = int((data.y_train >= 0).sum()) if data.num_classes else len(data.x_train)
    if labelled < 10:
        raise ValueError(f"validation: {data.name} has {labelled} examples with labels; allowed: --validation=N of more")
    return min(MOST_HELD_OUT, labelled // 5)
