"""The run directory: config.json, split.npz, metrics.csv, checkpoints/, figures/, report.html, results.json, export/1/."""

import dataclasses
import functools
import importlib.metadata
import json
import os
import pathlib
import platform
import shutil
import subprocess
import time
from typing import Any, Self

import numpy as np

from tfadgm import registry
from tfadgm.data import fingerprint, npz, pipeline, ranges
from tfadgm.data.columns import Column
from tfadgm.data.dataset import Dataset
from tfadgm.data.table_preprocess import preprocess_from_config
from tfadgm.models.base import DeepGenerativeModel
from tfadgm.networks import initial
from tfadgm.reporting import model_card, report
from tfadgm.runs import allowed, build, described
from tfadgm.runs.json_files import read_json, write_json
from tfadgm.runs.settings import Settings
from tfadgm.serving import export
from tfadgm.training import checkpoints

DEFAULTS = json.loads(json.dumps({field.name: field.default for field in dataclasses.fields(Settings)}))
PACKAGES = ("tensorflow", "keras", "tensorflow-probability", "numpy", "tensorflow-datasets", "scikit-learn")


@dataclasses.dataclass
class Run:
    """A trained run.

    Attributes:
      path: its directory; None: it has none, as arrays in memory were its data.
      config: the content of config.json.
      settings: its `Settings`.
      model: the model with its best (averaged) weights; it computes in float32, whatever it was trained in.
      class_names: K strings.
    """

    path: pathlib.Path | None
    config: dict
    settings: Settings
    model: DeepGenerativeModel
    class_names: list[str]

    @classmethod
    def open(cls, path: pathlib.Path | str) -> Self:
        """Opens a run directory; raises a ValueError if it is none, or has not finished training."""
        allowed.check_run(path)
        path = pathlib.Path(path).expanduser()
        config = read_json(path / "config.json")
        given = of_config(path / "config.json", config, "settings", "model_config", "class_names", "git_revision")
        given = {name: value for name, value in given.items() if value is not None or name in DEFAULTS}
        unknown = [name for name in given if name not in DEFAULTS]
        if unknown:
            told = "allowed: those that bin/train --help lists"
            raise ValueError(f"{path / 'config.json'}: got the settings {', '.join(unknown)}; {told}")
        settings = described.checked(path / "config.json", lambda: Settings(**given))
        weights = path / "model.weights.h5"
        with initial.at_most(weights.stat().st_size):  # whatever sizes the config announces
            model = described.model(path / "config.json", settings.model, config)
        checkpoints.load_weights(model, weights)
        return cls(path, config, settings, model, config["class_names"])

    @property
    def columns(self) -> list[Column] | None:
        """The columns of a model of tables; None: it reads arrays."""
        found = self.config.get("columns")
        return found and described.checked(
            self.path or "config.json", lambda: [Column.from_dict(column) for column in found]
        )

    def __getstate__(self) -> dict:
        """A pickle holds configuration and weights, and no live object of Keras."""
        return {**vars(self), "model": self.model.get_weights()}

    def __setstate__(self, state: dict) -> None:
        vars(self).update(state)
        self.model = described.model("the pickle of a run", self.settings.model, self.config)
        self.model.set_weights(state["model"])

    def save(self, path: str | pathlib.Path) -> None:
        """Writes config.json and model.weights.h5 of the run into a directory, new or empty, which `Run.open` opens."""
        path = pathlib.Path(path).expanduser()
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise ValueError(f"save: {path} exists and is no empty directory; allowed: a new or an empty one")
        checkpoints.save_weights(self.model, path / "model.weights.h5")
        write_json(path / "config.json", self.config)

    @property
    def directory(self) -> pathlib.Path:
        """The path; raises a ValueError for a run that has none."""
        if self.path is None:
            raise ValueError("run: has no directory, as its data were arrays in memory; allowed: one that was saved")
        return self.path

    def data(self) -> tuple[Dataset, pipeline.Split]:
        """Returns (data, split) as the run had them; raises a ValueError if the data or the split are others now."""
        if self.settings.dataset == registry.IN_MEMORY:
            raise ValueError("run: was trained on arrays in memory, which it does not hold; allowed: other data")
        path = self.directory
        check_data(path, self.config, self.settings)
        data, split = build.load_data(self.settings, **manner_of_data(path))
        check_split(path, split)
        return data, split

    def held_out(self) -> tuple[np.ndarray, np.ndarray | None]:
        """Returns (x, y) of the examples that the results are of: the test set, if there is one."""
        _, x, y = report.held_out(*self.data())
        return x, y

    def export(
        self,
        to: pathlib.Path | str | None = None,
        examples: np.ndarray | None = None,
        results: dict | None = None,
        **options: Any,
    ) -> pathlib.Path:
        """Writes the next version of the export of the run, into its own directory or `to`; returns its path.

        Args:
          to: a directory of versions.
          examples: raw examples for the warm-up requests.
          results: what is said of the run in the index of versions.
          **options: see `export.save`.
        """
        about = dict(run=str(self.path and self.path.absolute()), git_revision=self.config["git_revision"], results=results)
        about |= {name: self.config.get(name) for name in ("feature_names", "columns", "ranges")}
        card = model_card.text(self.model, self.class_names, self.config, results, options.get("reference"))
        options |= dict(columns=self.columns, card=card)
        if to is None:
            to, options["model_name"] = self.directory / "export", options.get("model_name") or export.RUN_NAME
        return export.save(self.model, self.class_names, to, description=about, examples=examples, **options)


def of_config(path: pathlib.Path, config: dict, *names: str) -> dict:
    """Returns the part names[0] of the content of a config.json; a ValueError if it or another of `names` is missing."""
    missing = [name for name in names if not isinstance(config, dict) or name not in config]
    if missing or not isinstance(config[names[0]], dict):
        raise ValueError(f"{path}: has no {', '.join(missing) or names[0]}; allowed: a config.json that bin/train wrote")
    return config[names[0]]


def identity_of_data(settings: Settings) -> dict | None:
    """Returns the identity of the user's own files (see `fingerprint.of`); None for data sets that have none."""
    kind, _, place = settings.dataset.partition(":")
    return fingerprint.of(place, settings.test_files, settings.features) if kind in registry.OF_FILES and place else None


def check_data(directory: pathlib.Path, config: dict, settings: Settings) -> None:
    """Raises a ValueError if the user's own files are others than when the run in `directory` began."""
    kind, _, place = settings.dataset.partition(":")
    if kind in registry.OF_FILES and place and config.get("data") is not None:
        fingerprint.check(place, config["data"], f"run: {directory}", settings.test_files, settings.features)


def manner_of_data(directory: pathlib.Path) -> dict[str, bool]:
    """How the run in `directory`, or a new one, loads its data (see `build.load_data`); those of old did otherwise."""
    path = directory / "config.json"
    config = read_json(path) if path.exists() else dict(hold_out="stratified", columns=None)
    return dict(stratified=config.get("hold_out") == "stratified", kinds="columns" in config)


def check_split(directory: pathlib.Path, split: pipeline.Split) -> None:
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


def check_preprocess(directory: pathlib.Path, model: DeepGenerativeModel) -> None:
    """Raises a ValueError if the run in `directory` was begun with another preprocessing than that of `model`.

    It is fitted to the data, and a version of this package may fit it otherwise than the one before.
    """
    path, now = directory / "config.json", model.preprocess.get_config()
    described = of_config(path, read_json(path), "model_config").get("preprocess", {})
    before = preprocess_from_config(described).get_config() if described else now
    alike = before.keys() == now.keys() and all(_alike(before[name], now[name]) for name in now if name != "name")
    if not alike:
        raise ValueError(
            f"{path}: the run was begun with another preprocessing of x than now, by another version or other data; "
            "allowed: another directory"
        )


def _alike(before, now):
    """Whether two JSON values are the same, numbers but for what rounding makes of them."""
    try:
        before, now = (np.asarray(value, "float64") for value in (before, now))
        return before.shape == now.shape and np.allclose(before, now, rtol=1e-4, atol=1e-30, equal_nan=True)
    except (TypeError, ValueError):
        return before == now


def check_disk(directory: pathlib.Path, model: DeepGenerativeModel) -> None:
    """Raises a ValueError if `directory` cannot be written, or has too little room for a run of `model`."""
    existing = next(parent for parent in [directory, *directory.absolute().parents] if parent.exists())
    if not os.access(existing, os.W_OK):
        raise ValueError(f"out: {directory} cannot be written; allowed: a directory that you may write")
    weights = 4 * sum(int(np.prod(w.shape)) for w in model.weights)
    needed = 12 * weights + (50 << 20)  # two checkpoints of four arrays per weight, two weight files, export, figures
    free = shutil.disk_usage(existing).free
    if free < needed:
        raise ValueError(f"out: {directory} has {free >> 20} MiB of free disk; allowed: at least {needed >> 20} MiB")


def sizes(directory: pathlib.Path) -> dict[str, Any] | None:
    """Returns what a run that was begun in `directory` had for sizes that follow the data (see `build.sizes`), or None."""
    path = directory / "config.json"
    return read_json(path).get("sizes") if path.exists() else None


def begin(
    settings: Settings,
    directory: pathlib.Path,
    data: Dataset,
    split: pipeline.Split,
    model: DeepGenerativeModel,
    class_names: list[str],
    identity: dict | None = None,
    found: dict[str, Any] | None = None,
) -> None:
    """Writes split.npz and config.json of a new run; for one that was begun, checks that its split is still the same.

    `identity` is that of the user's own data, from before they were read (see `identity_of_data`); `found` are the sizes
    that follow from these where the settings have "auto" (see `build.sizes`).
    """
    directory.mkdir(parents=True, exist_ok=True)
    if (directory / "config.json").exists():
        check_split(directory, split)
        check_preprocess(directory, model)
        return
    np.savez(directory / "split.npz", **dataclasses.asdict(split))
    write_json(directory / "config.json", configuration(settings, data, model, class_names, identity, found))


def configuration(
    settings: Settings,
    data: Dataset,
    model: DeepGenerativeModel,
    class_names: list[str],
    identity: dict | None = None,
    found: dict | None = None,
) -> dict:
    """Returns the content of the config.json of a new run; see `begin`."""
    return dict(
        settings=dataclasses.asdict(settings),
        sizes=found or {},
        resolved=build.resolved(settings, model),
        split="split.npz",
        data=identity,
        hold_out="stratified",
        feature_names=data.feature_names,
        columns=data.columns and [column.to_dict() for column in data.columns],
        ranges=ranges.of(data, model.likelihood),
        class_names=class_names,
        formula=model.formula.splitlines(),
        model_config=model.get_config(),
        versions={name: _version(name) for name in PACKAGES} | {"python": platform.python_version()},
        git_revision=git_revision(),
        started=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    )


def save_answer(directory: pathlib.Path, model: DeepGenerativeModel) -> None:
    """Tells config.json what answers: a pool, whose weights are written too, none any more, or at which temperature."""
    config = read_json(directory / "config.json")
    if config["model_config"].get("answer_temperature", 1.0) != model.answer_temperature:
        config["model_config"]["answer_temperature"] = model.answer_temperature
        write_json(directory / "config.json", config)
    if model.answer is not None or config["model_config"].get("answer"):
        checkpoints.save_weights(model, directory / "model.weights.h5")
        config["model_config"]["answer"] = model.answer is not None
        write_json(directory / "config.json", config)


@functools.cache
def _version(package):
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


@functools.cache
def git_revision() -> str | None:
    """Returns the commit of the checkout that this package is imported from, or None."""
    command = ["git", "-C", str(pathlib.Path(__file__).parent), "rev-parse", "HEAD"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=5).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
