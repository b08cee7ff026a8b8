"""What is refused of settings, directories and runs before any work: all that needs neither TensorFlow nor the data.

Whatever a command can refuse is refused here first, since TensorFlow takes seconds to import.
"""

import dataclasses
import math
import os
import pathlib
from typing import Any

from tfadgm import registry
from tfadgm.data import files, image_sizes
from tfadgm.models import latents
from tfadgm.runs import json_files, lock
from tfadgm.runs.kinds import AUTO, BUDGETS

WEIGHTS = ("labelled_weight", "unlabelled_weight", "virtual_adversarial", "class_balance")  # of terms of the objective
POSITIVE = (
    *("batch", "labelled_batch", "test_samples", "density_samples", "density_examples", "samples", *BUDGETS, "clusters"),
    *("genes", "anchors", "threads", "learning_rate", "adam_epsilon", "decay", "decay_epochs", "max_norm", "max_value"),
    *("patience", "head_deviation", "log_variance_ceiling", "answer_temperature"),
)
LAYERS = dict(m1=1, m2=1, adgm=1, sdgm=1, untapped=1, m1m2=2, cagem=2)  # of z; the others have as many as one likes
READ_ONCE = ("vae", "m1", "m1m2")  # models with one network of q that reads x
TABLES = ("csv", "parquet")
# Which data sets have an option, and why others have not.
OPTIONS_OF_DATA = dict(
    label=((*TABLES, "h5ad", "tfrecord"), "it has no names of columns"),
    columns=(TABLES, "it has no names of columns"),
    ignore=(TABLES, "it has no names of columns"),
    tfds_name=(registry.OF_TFDS, "it is not of TensorFlow Datasets"),
    image_size=(("images",), "it is for images:DIR alone"),
    genes=(("h5ad",), "it is for h5ad:FILE alone"),
    features=(("tfrecord",), "it is for tfrecord:PATTERN alone"),
    test_files=(("tfrecord",), "it is for tfrecord:PATTERN alone"),
)
OBJECTIVES = ("error", "nll", "bound")  # of a search
SEARCH, BEST = "search.sqlite", "best.yaml"  # what the directory of a search has
BEGUN = ("split.npz", "config.writing", lock.NAME)  # what the beginning of a run leaves if it is interrupted
NO_RUN = "run: got none; allowed: --run=DIR, a directory that bin/train made"


def check_ranges(settings: Any) -> None:
    """Raises a ValueError for a number of a `Settings` that is out of its range."""
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        parts = value if isinstance(value, tuple) else (value,)
        if any(isinstance(part, float) and not math.isfinite(part) for part in parts):
            raise ValueError(f"{field.name}: got {value}; allowed: finite numbers")
    for name in POSITIVE:
        value = getattr(settings, name)
        if value not in (None, AUTO) and not value > 0:
            raise ValueError(f"{name}: got {value}; allowed: greater than 0")
    if settings.image_size is not None:
        image_sizes.parse(settings.image_size)
    for name in ("dim_z", "dim_a"):
        if getattr(settings, name) != AUTO and any(size < 1 for size in getattr(settings, name) or ()):
            raise ValueError(f"{name}: got {getattr(settings, name)}; allowed: sizes greater than 0")
    if settings.labels is not None and settings.labels < 0:
        raise ValueError(f"labels: got {settings.labels}; allowed: none, or at least 0")
    if settings.trunk == "conv" and settings.min_column_std:
        raise ValueError(f"min_column_std: got {settings.min_column_std} with trunk conv; allowed: none (all pixels)")
    if settings.class_prior == "labels" and settings.labels == 0:
        raise ValueError("class_prior: got labels with labels 0; allowed: uniform, auto, or a number per value of y")
    for name in ("validation", "warmup_epochs", "beta", "checkpoint_seconds", *WEIGHTS):
        if getattr(settings, name) != AUTO and not (getattr(settings, name) or 0) >= 0:
            raise ValueError(f"{name}: got {getattr(settings, name)}; allowed: at least 0")
    if not settings.class_entropy >= 1:
        raise ValueError(f"class_entropy: got {settings.class_entropy}; allowed: at least 1, the bound's own")
    if settings.cross_fit < 0 or settings.cross_fit == 1 or (settings.cross_fit and settings.labels == 0):
        raise ValueError(
            f"cross_fit: got {settings.cross_fit} with labels {settings.labels}; allowed: 0, or at least 2 with labels"
        )
    for name in ("decay_from", "average", "hidden_cells"):
        value = getattr(settings, name)
        if value is not None and not 0 <= value < 1:
            raise ValueError(f"{name}: got {value}; allowed: 0 up to, but not including, 1")
    if not 0 <= settings.seed < 2**31:
        raise ValueError(f"seed: got {settings.seed}; allowed: 0 to {2**31 - 1}")


def check_model(settings: Any) -> None:
    """Raises a ValueError for what the model of a `Settings` has not, or cannot be.

    The models say the same where they are made; `tests/runs/allowed_test.py` compares.
    """
    model = settings.model
    options = [field for field in dataclasses.fields(settings) if field.metadata["group"] == "model"]
    of_model = {field.name: field.metadata["of"] is None or model in field.metadata["of"] for field in options}
    for name, is_of_model in of_model.items():
        if not is_of_model and getattr(settings, name) is not None:
            common = ("class_prior", "clusters")  # of every model with a y
            known = ", ".join(other for other, has in of_model.items() if has and other not in common)
            raise ValueError(f"{name}: model {model} has no such option; allowed: {known}")
    if settings.dim_z not in (None, AUTO):
        latents.sizes("dim_z", settings.dim_z, LAYERS.get(model))
    kinds = registry.AUXILIARIES.get(model, registry.AUXILIARIES["adgm"])
    if settings.auxiliary is not None and settings.auxiliary not in kinds:
        raise ValueError(f"auxiliary: got {settings.auxiliary!r}; allowed: {', '.join(kinds)}")
    if settings.clusters is not None and model in registry.WITHOUT_CLASS:
        raise ValueError(f"clusters: got {settings.clusters} for {model}, which has no class y; allowed: none")
    if settings.first_run is not None and model not in registry.STAGED:
        raise ValueError(f"first_run: got {settings.first_run}; allowed: none, as {model} starts from no other model")
    if settings.closed_kl and settings.importance_weighted:
        raise ValueError("closed_kl: got true with importance_weighted, whose weights have no means; allowed: false")
    if settings.shared_encoder != "off":
        check_encoder(settings)
    if settings.trunk == "mlp" and (settings.depth > 1 or settings.pooled):
        got = f"depth: got {settings.depth}" if settings.depth > 1 else "pooled: got true"
        raise ValueError(f"{got} with trunk 'mlp', which has no maps; allowed: with trunk conv")
    if settings.pooled and model in (*registry.WITHOUT_CLASS, *registry.STAGED):
        raise ValueError(f"pooled: got true for {model}, which has no q(y|.) of x; allowed: false")
    if model in registry.WITHOUT_CLASS or settings.labels == 0:
        check_unlabelled(settings)


def check_encoder(settings: Any) -> None:
    """Raises a ValueError for an encoder that the networks of q cannot share, of a `Settings`."""
    model, how = settings.model, settings.shared_encoder
    one_layer = settings.dim_z not in (None, AUTO) and len(settings.dim_z) == 1
    if model in READ_ONCE or settings.auxiliary == "linear" or (model == "lvae" and one_layer):
        raise ValueError(f"shared_encoder: got {how!r} for {model}, in whose q one network reads x; allowed: off")
    if settings.hidden != AUTO and len(settings.hidden) < 2 and model != "untapped":  # which may have others for q
        few = "two or more widths, of which the first is shared"
        raise ValueError(f"hidden: got {settings.hidden} with shared_encoder {how!r}; allowed: {few}")
    if settings.aux_gradient == "frozen":
        why = "with a shared_encoder, which q(y|.) and q(z|.) train; allowed: joint, bound"
        raise ValueError(f"aux_gradient: got 'frozen' {why}")


def check_unlabelled(settings: Any) -> None:
    """Raises a ValueError for what needs labels, of a `Settings` whose model learns from none."""
    model = settings.model
    for name, neutral in dict(unlabelled_weight=1, class_entropy=1, virtual_adversarial=0, class_balance=0, shift=0).items():
        if getattr(settings, name) != neutral:
            told = f"{getattr(settings, name)} for {model}, which learns from no labels"
            raise ValueError(f"{name}: got {told}; allowed: {neutral}")
    if settings.shared_encoder == "stopped":
        raise ValueError(f"shared_encoder: got 'stopped' for {model}, which learns from no labels; allowed: off, on")
    if settings.patience is not None:
        raise ValueError(f"patience: got {settings.patience} for {model}, which learns from no labels; allowed: none")


def check_terms(settings: Any) -> None:
    """Raises a ValueError where a `Settings` shapes what is not there: a term without a weight, convolutions of no trunk.

    A search may still give these, and so is not held to this.
    """
    if settings.trunk == "mlp" and settings.filters != type(settings).filters:
        why = "with trunk 'mlp', which has no convolutions"
        raise ValueError(f"filters: got {settings.filters} {why}; allowed: {type(settings).filters}, or trunk conv")
    for name, neutral in dict(adversarial_radius=None, adversarial_shift=0, adversarial_temperature=1).items():
        value = getattr(settings, name)
        if value != neutral and not settings.virtual_adversarial:
            usual = "none" if neutral is None else neutral
            raise ValueError(f"{name}: got {value} with virtual_adversarial 0; allowed: {usual}, or a weight greater than 0")


def check_data(settings: Any) -> None:
    """Raises a ValueError for a data set of a `Settings` that is unknown, or has no such option."""
    name = settings.dataset.partition(":")[0]
    if name not in registry.DATASETS:
        suffix = pathlib.Path(settings.dataset.lower().removesuffix(".gz")).suffix
        kind = suffix[1:] if suffix in (".csv", ".npz", ".parquet", ".h5ad") else None
        kind = "images" if kind is None and os.path.isdir(os.path.expanduser(settings.dataset)) else kind
        known = ", ".join(registry.DATASETS) if kind is None else f"{kind}:{settings.dataset}"
        raise ValueError(f"unknown dataset: got {settings.dataset!r}; allowed: {known}")
    for option, (sets, why) in OPTIONS_OF_DATA.items():
        value, usual = getattr(settings, option), getattr(type(settings), option)
        if value != usual and name not in sets:
            raise ValueError(f"{option}: got {value!r} for {name}; allowed: {usual or 'none'}, as {why}")


def check_files(settings: Any) -> None:
    """Raises a ValueError for files and directories that a `Settings` names and that are not there."""
    name, _, place = settings.dataset.partition(":")
    kind = f"{name}:{dict(images='DIR', tfrecord='PATTERN').get(name, 'FILE')}"
    if name in registry.OF_FILES and not place:
        raise ValueError(f"dataset {name}: got no {'directory' if name == 'images' else 'file'}; allowed: {kind}")
    if name == "images" and not os.path.isdir(place):
        raise ValueError(f"dataset images: got {place!r}, which is no directory; allowed: {kind}, a folder per class")
    if name == "tfrecord":
        files.matched(place, "dataset tfrecord")
    elif name in registry.OF_FILES and name != "images":
        files.check_regular(place, f"{kind}, a file")
    if name in registry.OF_TFDS and settings.data_dir is not None and "://" not in settings.data_dir:
        if not os.path.isdir(settings.data_dir):
            raise ValueError(f"data_dir: got {settings.data_dir!r}, which is no directory; allowed: a TFDS data directory")
    if settings.first_run is not None:
        check_run(settings.first_run)


def check_directory(directory: pathlib.Path) -> None:
    """Raises a ValueError for a directory that can be no run's: a file, or one that holds something else."""
    if directory.exists() and not directory.is_dir():
        raise ValueError(f"out: {directory} is a file; allowed: a directory")
    if directory.exists() and not (directory / "config.json").exists():
        if any(entry.name not in BEGUN for entry in directory.iterdir()):
            raise ValueError(
                f"out: {directory} is not empty and holds no run; allowed: a new or empty directory, or a run's"
            )


def check_search(directory: pathlib.Path) -> None:
    """Raises a ValueError for a directory that can be none of a search."""
    if directory.exists() and not directory.is_dir():
        raise ValueError(f"out: {directory} is a file; allowed: a directory")
    others = [entry for entry in directory.iterdir() if entry.name != lock.NAME] if directory.exists() else []
    if others and not (directory / SEARCH).exists():
        raise ValueError(f"out: {directory} is not empty and holds no search; allowed: a new directory, or a search's")


def check_run(path: pathlib.Path | str | None) -> None:
    """Raises a ValueError for what is no directory of a trained run: none, no config.json, or no weights."""
    if not path:
        raise ValueError(NO_RUN)
    path = pathlib.Path(path).expanduser()
    if not path.is_dir():
        raise ValueError(f"run: {path} is no directory; allowed: a directory that bin/train made")
    config = json_files.read_json(path / "config.json")
    if not isinstance(config, dict) or not isinstance(config.get("settings"), dict) or "model_config" not in config:
        raise ValueError(f"{path / 'config.json'}: has no settings or model; allowed: a config.json that bin/train wrote")
    weights = path / "model.weights.h5"
    if not weights.exists():
        lack = f"has not finished training, or has lost {weights.name}"
        raise ValueError(f"run: {path} {lack}; run the same bin/train again to go on, or to make it again")
