"""The run directory: config.json, split.npz, metrics.csv, tensorboard/, checkpoints/, figures/, results.json, export/1/.

`train` goes the whole way and goes on where it was interrupted; `Run.open` gives a finished run's model.
"""

import dataclasses
import importlib.metadata
import json
import math
import os
import pathlib
import platform
import resource
import shutil
import subprocess
import time

import numpy as np

from tfadgm import baseline, diagnostics, evaluation, export, figures, training
from tfadgm.data import pipeline
from tfadgm.models.base import DeepGenerativeModel
from tfadgm.registry import model_class
from tfadgm.settings import Settings

PACKAGES = ("tensorflow", "keras", "tensorflow-probability", "numpy", "tensorflow-datasets", "scikit-learn")


def train(settings, directory, quiet=False):
    """Trains, evaluates, draws and exports into `directory`; returns the results. A finished run returns its results.

    Args:
      settings: a `Settings`.
      directory: the run directory: new, empty, or one of the same settings.
      quiet: whether to print no progress.

    Raises:
      ValueError: if the directory belongs to another configuration, or data and settings do not fit.
      OSError: if it cannot be written, or the disk has too little room.
    """
    directory = pathlib.Path(directory)
    done = _existing(settings, directory)
    if done is not None:
        return done
    data, split = training.load_data(settings)
    model_probe = training.make_model(settings, data, split)  # raises before anything is written
    _check_disk(directory, model_probe)
    names = _class_names(settings, data)
    given = Run.open(settings.first_run).model if settings.first_run is not None else None
    _begin(settings, directory, data, split, model_probe, names)
    if not quiet:
        print(
            model_probe.formula, f"{data.name}: {len(split.unlabelled)} unlabelled, {len(split.labelled)} labelled", sep="\n"
        )
    start, own = given, settings
    if model_probe.first_stage is not None and given is None:
        start, own = _first_stage(model_probe.first_stage, settings, directory, quiet)
    model, state, rows = training.train(own, data, split, directory, quiet, start)
    model = model.with_precision("float32")
    results, y, probabilities = evaluate(model, settings, data, split)
    results.update(_costs(state, rows, split, settings))
    if not (directory / "export" / "1").exists():
        exported = Run(directory, read_json(directory / "config.json"), settings, model, names)
        exported.export(samples=settings.test_samples, examples=_held_out(data, split)[1][:32], results=results)
    figures.all_figures(directory / "figures", model, data, split, rows, y, probabilities, names)
    write_json(directory / "results.json", results)
    return results


def _class_names(settings, data):
    """Returns the names of the values of y: the classes, or, without labels, numbered clusters."""
    if settings.labels == 0:
        return [f"cluster {k}" for k in range(settings.clusters or data.num_classes)]
    return data.class_names


def _first_stage(name, settings, directory, quiet):
    """Trains the model `name` in a run of its own, `directory`/NAME; returns it and the settings of what is left to train.

    Either takes half of the budget.
    """
    half = {n: getattr(settings, n) and getattr(settings, n) / 2 for n in ("epochs", "minutes")}
    half["epochs"] = half["epochs"] and math.ceil(half["epochs"])
    own = dataclasses.replace(settings, **half)
    given = {field.name: getattr(own, field.name) for field in dataclasses.fields(own) if field.metadata["group"] != "model"}
    dim_z = None if settings.dim_z is None else settings.dim_z[:1]
    train(Settings(**{**given, "model": name, "dim_z": dim_z}), directory / name, quiet)
    return Run.open(directory / name).model, own


def evaluate(model, settings, data, split):
    """Returns (results, y, probabilities) on the test set, or on the validation examples where there is none.

    y and probabilities are None for models without a class, and where no held-out example has a label.
    """
    part, x, y = _held_out(data, split)
    results = dict(
        model=settings.model,
        dataset=settings.dataset,
        labels=len(split.labelled) if model.classifies else 0,
        seed=settings.seed,
        evaluated_on=part,
    )
    probabilities = None
    if model.classifies and y is not None:
        probabilities = evaluation.class_probabilities(model, x, settings.test_samples)
        if not split.labelled.size:
            probabilities = probabilities @ _match(model, settings, data, split)
        named = evaluation.classification(probabilities, y)
        results.update({(f"{part}_{k}" if k in ("error", "error_stderr", "examples") else k): v for k, v in named.items()})
        if split.labelled.size:
            labelled = (data.x_train[split.labelled], data.y_train[split.labelled])
            supervised = baseline.class_probabilities(model, *labelled, x, seed=settings.seed)
            results["supervised_baseline_error"] = evaluation.classification(supervised, y)["error"]
    results.update(evaluation.densities(model, x, settings.density_samples, settings.density_examples))
    return results, (None if probabilities is None else y), probabilities


def bayes(model, data, split, samples, examples):
    """Returns error, calibration and seconds of the generative classifier (`evaluation.bayes_class_probabilities`).

    Raises:
      ValueError: if the model has no class, or no held-out example has a label.
    """
    part, x, y = _held_out(data, split)
    if not model.has_class or y is None or not split.labelled.size:
        raise ValueError("bayes_samples: allowed: 0, since there is no p(x, y), or no label to compare with")
    begun = time.perf_counter()
    probabilities = evaluation.bayes_class_probabilities(model, x[:examples], samples)
    named = evaluation.classification(probabilities, y[:examples])
    discriminative = evaluation.classification(evaluation.class_probabilities(model, x[:examples]), y[:examples])
    return dict(
        bayes_samples=samples,
        bayes_seconds=time.perf_counter() - begun,
        **{f"bayes_{name}": value for name, value in named.items()},
        bayes_q_error=discriminative["error"],
    )


def diagnose(model, data, split, examples):
    """Returns the terms of the bound by factor, the KL per unit and the active units, over held-out examples."""
    _, x, _ = _held_out(data, split)
    units = diagnostics.kl_per_unit(model, x[:examples])
    return dict(
        examples=len(x[:examples]),
        terms=diagnostics.terms(model, x[:examples]),
        kl_per_unit={name: [float(v) for v in value] for name, value in units.items()},
        active_units=diagnostics.active_units(model, x[:examples]),
    )


def _match(model, settings, data, split, examples=5000):
    """Returns which class each cluster stands for, one-hot [clusters, classes]: for the report alone, by training labels."""
    known = split.unlabelled[data.y_train[split.unlabelled] >= 0][:examples]
    clusters = evaluation.class_probabilities(model, data.x_train[known], settings.test_samples)
    return evaluation.match_clusters(clusters.argmax(1), data.y_train[known], model.num_classes, data.num_classes)


def _held_out(data, split):
    if data.x_test is not None:
        return "test", data.x_test, data.y_test
    if split.validation.size:
        return "validation", data.x_train[split.validation], data.y_train[split.validation]
    return "train", data.x_train[split.unlabelled], None


def _costs(state, rows, split, settings):
    steps = state.epoch * pipeline.steps_per_epoch(split, settings.batch)
    return dict(
        train_seconds=round(state.seconds, 3),
        epochs=state.epoch,
        steps_per_second=steps / max(state.seconds, 1e-9),
        peak_memory_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        best_validation_error=state.best if np.isfinite(state.best) else None,
    )


# ------------------------------------------------------------------------------------------------------ the directory


def _existing(settings, directory):
    """Returns the results of a finished run of the same settings, None for a new or unfinished one, or raises."""
    if directory.exists() and not directory.is_dir():
        raise ValueError(f"out: {directory} is a file; allowed: a directory")
    path = directory / "config.json"
    if not path.exists():
        if directory.exists() and any(directory.iterdir()):
            raise ValueError(
                f"out: {directory} is not empty and holds no run; allowed: a new or empty directory, or a run's"
            )
        return None
    before, now = read_json(path)["settings"], json.loads(json.dumps(dataclasses.asdict(settings)))
    changed = [f"{name} was {before.get(name)}, now {now[name]}" for name in now if before.get(name) != now[name]]
    if changed:
        raise ValueError(
            f"out: {directory} holds a run of another configuration: {'; '.join(changed)}; allowed: another directory"
        )
    finished = directory / "results.json"
    return read_json(finished) if finished.exists() else None


def _check_disk(directory, model):
    existing = next(parent for parent in [directory, *directory.absolute().parents] if parent.exists())
    if not os.access(existing, os.W_OK):
        raise ValueError(f"out: {directory} cannot be written; allowed: a directory that you may write")
    weights = 4 * sum(int(np.prod(w.shape)) for w in model.weights)
    needed = 12 * weights + (50 << 20)  # two checkpoints of four arrays per weight, two weight files, export, figures
    free = shutil.disk_usage(existing).free
    if free < needed:
        raise ValueError(f"out: {directory} has {free >> 20} MiB of free disk; allowed: at least {needed >> 20} MiB")


def _begin(settings, directory, data, split, model, class_names):
    directory.mkdir(parents=True, exist_ok=True)
    if (directory / "config.json").exists():
        return
    np.savez(directory / "split.npz", **dataclasses.asdict(split))
    write_json(
        directory / "config.json",
        dict(
            settings=dataclasses.asdict(settings),
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
        settings = Settings(**config["settings"])
        weights = path / "model.weights.h5"
        if not weights.exists():
            raise ValueError(f"run: {path} has not finished training; run the same bin/train again to go on")
        model = model_class(settings.model).from_config({**config["model_config"], "precision": "float32"})
        model.load_weights(weights)
        return cls(path, config, settings, model, config["class_names"])

    def data(self):
        """Returns (data, split) as the run had them."""
        return training.load_data(self.settings)

    def held_out(self):
        """Returns (x, y) of the examples that the results are of: the test set, if there is one."""
        _, x, y = _held_out(*self.data())
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
