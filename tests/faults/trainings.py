"""Runs that are as small as can be."""

import dataclasses
import json

import numpy as np

from tfadgm.data.preprocess import Preprocess
from tfadgm.models.m2 import M2
from tfadgm.networks import mlp
from tfadgm.runs import recipes, run
from tfadgm.runs.run_directory import Run
from tfadgm.training import checkpoints

SMALL = dict(hidden=(4,), dim_z=2, epochs=2, batch=20, checkpoint_seconds=0.0, select=False, stop="none")


def write_data(path):
    """Writes 60 examples of two classes, 40 of them labelled; returns the path."""
    generator = np.random.default_rng(0)
    y = np.arange(60) % 2
    x = generator.normal(y[:, None], 0.5, (60, 3)).astype("float32")
    np.savez(path, x=x, y=np.where(np.arange(60) < 40, y, -1), x_test=x, y_test=y)
    return path


def settings(path, model="m2", **changes):
    """Returns the settings of a small run of the data at `path`."""
    return recipes.resolve(model, f"npz:{path}", **{**SMALL, **changes})


def train(own, directory):
    """Trains, or goes on; returns the results."""
    return run.train(own, directory, quiet=True)


def weights(directory):
    """Returns the weights of a finished run."""
    return [weight.numpy() for weight in Run.open(directory).model.weights]


def same(first, second):
    """Whether two lists of weights have the same bits."""
    return len(first) == len(second) and all(a.tobytes() == b.tobytes() for a, b in zip(first, second, strict=True))


def listing(directory):
    """Returns what is in a run directory, but for the names of TensorBoard's files."""
    return sorted(str(p.relative_to(directory)) for p in directory.rglob("*") if "tensorboard" not in p.parts)


def write_run(directory, dataset="npz:own.npz"):
    """Writes a run that can be opened, without a training behind it; returns (directory, content of config.json)."""
    model = M2(Preprocess((3,)), 2, likelihood="gaussian", network=mlp.Network(hidden=(4,)), dim_z=2)
    own = recipes.resolve("m2", dataset, hidden=(4,), dim_z=2, epochs=1, labels=None)
    checkpoints.save_weights(model, directory / "model.weights.h5")
    config = dict(settings=dataclasses.asdict(own), model_config=model.get_config(), class_names=["no", "yes"])
    config = json.loads(json.dumps({**config, "git_revision": None}))
    (directory / "config.json").write_text(json.dumps(config))
    Run.open(directory)
    return directory, config
