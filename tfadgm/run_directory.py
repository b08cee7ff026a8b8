"""The run directory: config.json, split.npz, metrics.csv, tensorboard/, checkpoints/, figures/, results.json, export/1/."""

import dataclasses
import importlib.metadata
import json
import os
import pathlib
import platform
import shutil
import subprocess
import time

import numpy as np

from tfadgm import export, report, training
from tfadgm.data import npz
from tfadgm.models.base import DeepGenerativeModel
from tfadgm.registry import model_class
from tfadgm.settings import Settings

_DEFAULTS = json.loads(json.dumps({field.name: field.default for field in dataclasses.fields(Settings)}))
_BEGUN = ("split.npz", "config.writing")  # what `begin` leaves if it is interrupted
PACKAGES = ("tensorflow", "keras", "tensorflow-probability", "numpy", "tensorflow-datasets", "scikit-learn")


@dataclasses.dataclass
class Run:
    """A trained run.

    Attributes:
      path: its directory.
      config: the content of config.json.
      settings: its `Settings`.
      model: the model with its best (averaged) weights; it computes in float32, whatever it was trained in.
      class_names: K strings.
    """

    path: pathlib.Path
    config: dict
    settings: Settings
    model: DeepGenerativeModel
    class_names: list

    @classmethod
    def open(cls, path):
        """Opens a run directory; raises a ValueError if it is none, or has not finished training."""
        path = pathlib.Path(path)
        if not path.is_dir():
            raise ValueError(f"run: {path} is no directory; allowed: a directory that bin/train made")
        config = read_json(path / "config.json")
        given = _of_config(path / "config.json", config, "settings", "model_config", "class_names", "git_revision")
        given = {name: value for name, value in given.items() if value is not None or name in _DEFAULTS}
        unknown = [name for name in given if name not in _DEFAULTS]
        if unknown:
            told = "allowed: those that bin/train --help lists"
            raise ValueError(f"{path / 'config.json'}: got the settings {', '.join(unknown)}; {told}")
        settings = Settings(**given)
        weights = path / "model.weights.h5"
        if not weights.exists():
            raise ValueError(f"run: {path} has not finished training; run the same bin/train again to go on")
        model = model_class(settings.model).from_config({**config["model_config"], "precision": "float32"})
        model.load_weights(weights)
        return cls(path, config, settings, model, config["class_names"])

    def data(self):
        """Returns (data, split) as the run had them; raises a ValueError if the split is another now."""
        data, split = training.load_data(self.settings)
        check_split(self.path, split)
        return data, split

    def held_out(self):
        """Returns (x, y) of the examples that the results are of: the test set, if there is one."""
        _, x, y = report.held_out(*self.data())
        return x, y

    def export(self, to=None, examples=None, results=None, **options):
        """Writes the next version of the export of the run, into its own directory or `to`; returns its path.

        Args:
          to: a directory of versions.
          examples: raw examples for the warm-up requests.
          results: what is said of the run in the index of versions.
          **options: see `export.save`.
        """
        about = dict(run=str(self.path.absolute()), git_revision=self.config["git_revision"], results=results)
        if to is None:
            to, options["model_name"] = self.path / "export", options.get("model_name") or export.RUN_NAME
        return export.save(self.model, self.class_names, to, description=about, examples=examples, **options)


def _of_config(path, config, *names):
    """Returns the part names[0] of the content of a config.json; a ValueError if it or another of `names` is missing."""
    missing = [name for name in names if not isinstance(config, dict) or name not in config]
    if missing or not isinstance(config[names[0]], dict):
        raise ValueError(f"{path}: has no {', '.join(missing) or names[0]}; allowed: a config.json that bin/train wrote")
    return config[names[0]]


def existing_results(settings, directory):
    """Returns the results of a finished run of the same settings, None for a new or unfinished one, or raises."""
    if directory.exists() and not directory.is_dir():
        raise ValueError(f"out: {directory} is a file; allowed: a directory")
    path = directory / "config.json"
    if not path.exists():
        if directory.exists() and any(entry.name not in _BEGUN for entry in directory.iterdir()):
            raise ValueError(
                f"out: {directory} is not empty and holds no run; allowed: a new or empty directory, or a run's"
            )
        return None
    before = {**_DEFAULTS, **_of_config(path, read_json(path), "settings")}  # an older run may lack a setting
    now = json.loads(json.dumps(dataclasses.asdict(settings)))
    changed = [f"{name} was {before[name]}, now {now[name]}" for name in now if before[name] != now[name]]
    if changed:
        raise ValueError(
            f"out: {directory} holds a run of another configuration: {'; '.join(changed)}; allowed: another directory"
        )
    finished = directory / "results.json"
    return read_json(finished) if finished.exists() else None


def as_held_out(settings, directory):
    """Returns the settings, with nothing held out in a run that was begun when that was the default."""
    path = directory / "config.json"
    if settings.validation is None and path.exists():
        before = _of_config(path, read_json(path), "settings").get("validation", 0)
        return settings if before is None else dataclasses.replace(settings, validation=before)
    return settings


def check_split(directory, split):
    """Raises a ValueError if the run in `directory` was begun with another split than `split`."""
    path = directory / "split.npz"
    if not path.exists():
        return
    drawn = dataclasses.asdict(split)
    before = npz.read_arrays(path, list(drawn))
    for name, now in drawn.items():
        if not np.array_equal(before[name], now):
            raise ValueError(
                f"{path}: {name} examples are others than when the run began; allowed: the data that it began with, or "
                "another directory"
            )


def check_disk(directory, model):
    """Raises a ValueError if `directory` cannot be written, or has too little room for a run of `model`."""
    existing = next(parent for parent in [directory, *directory.absolute().parents] if parent.exists())
    if not os.access(existing, os.W_OK):
        raise ValueError(f"out: {directory} cannot be written; allowed: a directory that you may write")
    weights = 4 * sum(int(np.prod(w.shape)) for w in model.weights)
    needed = 12 * weights + (50 << 20)  # two checkpoints of four arrays per weight, two weight files, export, figures
    free = shutil.disk_usage(existing).free
    if free < needed:
        raise ValueError(f"out: {directory} has {free >> 20} MiB of free disk; allowed: at least {needed >> 20} MiB")


def begin(settings, directory, data, split, model, class_names):
    """Writes split.npz and config.json of a new run; for one that was begun, checks that its split is still the same."""
    directory.mkdir(parents=True, exist_ok=True)
    if (directory / "config.json").exists():
        check_split(directory, split)
        return
    np.savez(directory / "split.npz", **dataclasses.asdict(split))
    write_json(
        directory / "config.json",
        dict(
            settings=dataclasses.asdict(settings),
            resolved=training.resolved(settings, model),
            split="split.npz",
            class_names=class_names,
            formula=model.formula.splitlines(),
            model_config=model.get_config(),
            versions={name: _version(name) for name in PACKAGES} | {"python": platform.python_version()},
            git_revision=git_revision(),
            started=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        ),
    )


def _version(package):
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def git_revision():
    """Returns the commit of the checkout that this package is imported from, or None."""
    command = ["git", "-C", str(pathlib.Path(__file__).parent), "rev-parse", "HEAD"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=5).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


def read_json(path):
    """Returns the content of a JSON file, or raises a ValueError that names it."""
    try:
        return json.loads(pathlib.Path(path).read_text())
    except FileNotFoundError:
        raise ValueError(f"{path}: no such file; allowed: a run directory that bin/train made") from None
    except ValueError as error:
        raise ValueError(f"{path}: not a readable JSON file: {error}") from None


def write_json(path, content):
    """Writes JSON under a temporary name and renames it."""
    temporary = path.with_suffix(".writing")
    temporary.write_text(json.dumps(content, indent=2) + "\n")
    os.replace(temporary, path)
