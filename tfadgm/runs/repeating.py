"""The command that makes a run again, and which of its settings are not the defaults."""

import dataclasses
import pathlib
import shlex
from typing import Any

from tfadgm.runs import recipes
from tfadgm.runs.settings import BUDGETS, Settings


def command(settings: Settings, directory: pathlib.Path | str) -> str:
    """Returns the line of bin/train, for a shell, that trains a run of these settings in `directory`."""
    given = _unlike(settings, recipes.resolve(settings.model, settings.dataset))
    given = {name: value for name, value in given.items() if name not in BUDGETS or value is not None}
    # A recipe answers what it is given: as with a budget, in place of which it has none of its own then.
    given |= _unlike(settings, recipes.resolve(settings.model, settings.dataset, **given))
    named = dict(model=settings.model, dataset=settings.dataset, labels=settings.labels, seed=settings.seed)
    words = [f"--{name}={text(value)}" for name, value in (named | given).items()]
    return shlex.join(["bin/train", *words, f"--out={directory}"])


def again(directory: pathlib.Path | str) -> str:
    """Returns the line of bin/train that repeats the run in `directory` in another one, by its config.json."""
    return shlex.join(["bin/train", f"--config={pathlib.Path(directory) / 'config.json'}", f"--out={directory}-again"])


def _unlike(settings, usual):
    names = [field.name for field in dataclasses.fields(Settings)]
    return {name: getattr(settings, name) for name in names if getattr(settings, name) != getattr(usual, name)}


def changed(settings: Settings) -> list[dict[str, Any]]:
    """Returns the settings that differ from the defaults of `Settings`: dicts of name, value, default, by and text.

    `by` is "recipe" where the data set's or the model's recipe has that value, else "given"; `text` says what it is.
    """
    usual, found = recipes.resolve(settings.model, settings.dataset), []
    for field in dataclasses.fields(Settings):
        value = getattr(settings, field.name)
        if value == field.default or field.name in ("model", "dataset"):
            continue
        by = "recipe" if value == getattr(usual, field.name) else "given"
        told = dict(name=field.name, value=text(value), default=text(field.default))
        found.append(told | dict(by=by, text=field.metadata["text"]))
    return found


def text(value: object) -> str:
    """Returns the value of a setting as `settings.parse` reads it."""
    if value is None:
        return "none"
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)
