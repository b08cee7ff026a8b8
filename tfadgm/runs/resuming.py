"""What becomes of a command whose directory holds a run: it is complete, goes on, goes on for longer, or is refused."""

import dataclasses
import json
import os
import pathlib

import h5py

from tfadgm.data import files
from tfadgm.runs import allowed, build, fold_files, run_directory
from tfadgm.runs.kinds import AUTO
from tfadgm.runs.settings import BUDGETS, Settings, located
from tfadgm.serving import export
from tfadgm.telling import warn
from tfadgm.training import callbacks, checkpoints

# May change: a run can be trained longer, or measured otherwise.
BUDGET = (*BUDGETS, "patience", "cross_fit", "select", "answer_temperature")
MANNER = ("on_nan",)  # may change too: another way to the same
NEEDED = {"model", "dataset", "labels", "seed", "evaluated_on", "epochs", "elbo"}  # of results


def existing_results(settings: Settings, directory: pathlib.Path) -> dict | None:
    """Returns the results of a finished run of the same settings, None for a new or unfinished one, or raises.

    A run may go on with another budget than it began with, if that is not used up yet, and with the same data at another
    place.

    Raises:
      ValueError: if `directory` is no run's and not empty, if its run has other settings, or its data have changed.
    """
    allowed.check_directory(directory)
    path = directory / "config.json"
    if not path.exists():
        return None
    config = run_directory.read_json(path)
    changed = _changed(settings, path, config)
    _refuse(changed, directory, config)
    run_directory.check_data(directory, config, settings)
    if set(BUDGETS) & set(changed):
        _check_budget(settings, directory)
    _check_stopped(settings, changed, config["settings"], directory)
    done, whole = finished_results(directory), _is_whole(directory / "model.weights.h5")
    if (directory / "results.json").exists() and not (done and whole):
        warn(f"{directory / ('model.weights.h5' if done else 'results.json')}: lost or damaged; it is made again")
    return done if whole and not set(changed) & set(BUDGET) else None


def _is_whole(path):
    """Whether a file of weights is there and ends where it says."""
    try:
        if path.is_file():
            with h5py.File(path):
                return True
    except OSError:
        pass
    return False


def finished_results(directory: pathlib.Path) -> dict | None:
    """Returns the results of a finished run; None if there are none, or results.json holds something else.

    Raises:
      ValueError: if it is no file.
    """
    path = directory / "results.json"
    if path.exists():
        files.check_regular(path, "the results of a run")
    try:
        found = run_directory.read_json(path)
    except ValueError:
        return None
    return found if isinstance(found, dict) and NEEDED <= set(found) else None


def as_begun(settings: Settings, directory: pathlib.Path) -> Settings:
    """Returns the settings as a run that was begun before one of their defaults was there to choose has them.

    Then all classes were visited, nothing was held out, p(y) was uniform, and sizes and steps were fixed.
    """
    path = directory / "config.json"
    if not path.exists():
        return settings
    config = run_directory.read_json(path)
    before = run_directory.of_config(path, config, "settings")
    older = not {"hold_out", "data"} <= set(config)
    if older and settings.exact_classes == "auto" and before.get("exact_classes") is None:
        settings = dataclasses.replace(settings, exact_classes=None)
    if "sizes" not in config:  # nothing followed the data, and the model answered alone
        given = {name: before[name] for name in build.sizes(settings) if name in before}
        if settings.steps == AUTO:
            given |= {name: before.get(name) for name in BUDGETS}
        settings = dataclasses.replace(settings, **given, stop="none", select=False)
    if settings.validation is None and before.get("validation", 0) == 0:
        settings = dataclasses.replace(settings, validation=0)
    if settings.class_prior == "auto" and "class_prior" not in before:
        settings = dataclasses.replace(settings, class_prior="uniform")
    return settings


def sweep(directory: pathlib.Path, finished: bool) -> None:
    """Removes from a run directory what a process left there that was killed while it wrote.

    The checkpoints of a run that is not `finished` are swept when one of them has been restored.
    """
    if finished:
        checkpoints.sweep(directory / "checkpoints")
        fold_files.remove(directory)
    for pattern in ("*.writing", ".*.writing", "writing_*"):
        for path in directory.glob(pattern):
            path.unlink(missing_ok=True)
    export.sweep(directory / "export")


def renew(settings: Settings, directory: pathlib.Path) -> str | None:
    """Makes config.json that of `settings`, which `existing_results` accepted; returns what a run goes on for, or None.

    Results of a smaller budget are kept as results-after-N-epochs.json.
    """
    path = directory / "config.json"
    config = run_directory.read_json(path)
    changed = _changed(settings, path, config)
    longer, (epochs, *_) = bool(set(changed) & set(BUDGET)), _used(directory)
    for name in ("evaluation", "results") if longer else ():  # results last: a run without them is unfinished
        if (directory / f"{name}.json").exists():
            os.replace(directory / f"{name}.json", directory / f"{name}-after-{epochs}-epochs.json")
    if changed:
        config["settings"] |= {name: now for name, (_, now) in changed.items()}
        run_directory.write_json(path, config)
    if not set(changed) & set(BUDGETS):
        return None
    name, value = next((name, getattr(settings, name)) for name in BUDGETS if getattr(settings, name) is not None)
    budget = f"{value if isinstance(value, int | str) else f'{value:g}'} {name}"
    return f"after {epochs} epochs goes on to {budget}, with the learning rate of such a run from there on"


def has_another_budget(directory: pathlib.Path, budget: dict[str, float | None]) -> bool:
    """Whether the run in `directory` has other epochs or minutes than the dict `budget`."""
    before = run_directory.read_json(directory / "config.json")["settings"]
    return any(before.get(name) != value for name, value in budget.items())


def _changed(settings, path, config):
    """Returns {name: (before, now)} of the settings that differ from those in the content of a config.json."""
    before = {**run_directory.DEFAULTS, **run_directory.of_config(path, config, "settings")}  # an older run may lack one
    before = {name: located(name, value) for name, value in before.items()}
    now = json.loads(json.dumps(dataclasses.asdict(settings)))
    return {name: (before[name], now[name]) for name in now if before[name] != now[name]}


def _refuse(changed, directory, config):
    """Raises a ValueError for a change that makes another run; where the same data lie makes none."""
    places = ["data_dir"]
    if "dataset" in changed and isinstance(config.get("data"), dict):
        before, now = (str(value).partition(":") for value in changed["dataset"])
        places += ["dataset"] if before[0] == now[0] else []
    barred = [
        f"{name} was {was}, now {now}" for name, (was, now) in changed.items() if name not in (*BUDGET, *MANNER, *places)
    ]
    if barred:
        raise ValueError(
            f"out: {directory} holds a run of another configuration: {'; '.join(barred)}; allowed: another directory"
        )


def _check_budget(settings, directory):
    for name, used in zip(BUDGETS, _used(directory), strict=True):
        given = getattr(settings, name)
        if given not in (None, "auto") and given <= used:
            raise ValueError(
                f"{name}: got {given:g} for {directory}, which had {used:.4g} already; allowed: more, or another directory"
            )


def _check_stopped(settings, changed, before, directory):
    """Raises a ValueError for a longer budget of a run that patience has stopped, which would not go on."""
    done, asked = finished_results(directory), before.get("epochs")
    longer = set(BUDGETS) & set(changed) and "patience" not in changed and settings.patience is not None
    if longer and done and asked and done["epochs"] < asked:
        raise ValueError(
            f"epochs: the run in {directory} was stopped after {done['epochs']} of {asked} by patience {settings.patience}; "
            "allowed: another --patience, or none"
        )


def _used(directory):
    """Returns (epochs, minutes, steps) of the training so far, those of a first stage included."""
    rows, done = callbacks.read_rows(directory / "metrics.csv")[-1:], finished_results(directory) or {}
    first = [finished_results(path.parent) or {} for path in directory.glob("*/results.json")]
    epochs = sum(int(row["epoch"]) for row in rows) + sum(each.get("epochs", 0) for each in first)
    seconds = sum(float(row.get("seconds") or 0) for row in rows) + sum(each.get("train_seconds", 0) for each in first)
    minutes = max(seconds, done.get("train_seconds", 0)) / 60
    return max(epochs, done.get("epochs", 0)), minutes, done.get("steps", 0)
