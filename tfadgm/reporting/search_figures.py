"""Pictures of a search: how it went, which settings mattered, and how each of them did."""

import math
import warnings

import numpy as np
from matplotlib.ticker import MaxNLocator, NullFormatter

from tfadgm.reporting import plotting

UNITS = dict(error="error, %", nll="nll, nats", bound="bound, nats")


def draw(study, objective, directory):
    """Writes history.png, slices.png and, where it can be told, importances.png of an Optuna study into a directory."""
    trials = [trial for trial in study.get_trials() if trial.value is not None and trial.state.name == "COMPLETE"]
    factor = dict(error=100.0, nll=1.0, bound=-1.0)[objective]
    values = np.array([factor * trial.value for trial in trials])
    _history(directory / "history.png", np.array([trial.number for trial in trials]), values, objective)
    names = [name for name in trials[0].params if len({trial.params[name] for trial in trials}) > 1]
    if names:
        _slices(directory / "slices.png", trials, names, values, objective)
    if len(trials) > 3 and names and np.ptp(values) > 0:
        _importances(directory / "importances.png", study)


def _history(path, numbers, values, objective):
    best = (np.maximum if objective == "bound" else np.minimum).accumulate(values)
    with plotting.canvas(path, 5.0, 3.0, xlabel="trial", ylabel=f"validation {UNITS[objective]}") as ax:
        ax.plot(numbers, values, "o", markersize=3)
        ax.step(numbers, best, where="post", label="best so far")
        ax.axhline(values[0], color=plotting.QUIET, linewidth=0.8, label="the settings as they were")
        ax.legend()


def _slices(path, trials, names, values, objective):
    rows = math.ceil(len(names) / 4)
    with plotting.canvas(path, 10.0, 2.2 * rows, (rows, 4)) as axes:
        for ax in np.ravel(axes)[len(names) :]:
            ax.set_axis_off()
        for ax, name in zip(np.ravel(axes), names, strict=False):
            given, of = [trial.params[name] for trial in trials], trials[0].distributions[name]
            choices = getattr(of, "choices", ())
            ax.plot([choices.index(value) for value in given] if choices else given, values, "o", markersize=3)
            if choices:
                ax.set_xticks(range(len(choices)), [str(choice) for choice in choices])
            elif of.log:
                ax.set_xscale("log", base=2 if of.high < 100 * of.low else 10)
                ax.xaxis.set_major_formatter("{x:g}")
                ax.xaxis.set_minor_formatter(NullFormatter())
            elif isinstance(of.high, int):
                ax.xaxis.set_major_locator(MaxNLocator(5, integer=True))
            ax.set_title(plotting.plain(name))
        np.ravel(axes)[0].set_ylabel(f"validation {UNITS[objective]}")


def _importances(path, study):
    import optuna

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
        found = optuna.importance.get_param_importances(study, evaluator=evaluator)
    with plotting.canvas(path, 5.0, 0.6 + 0.28 * len(found), xlabel="share of the variance (fANOVA)") as ax:
        ax.barh([plotting.plain(name) for name in found], list(found.values()))
        ax.invert_yaxis()
