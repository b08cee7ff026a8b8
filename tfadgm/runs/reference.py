"""novelty.json of a run: log p(x) of examples of the law of the training data, with which its export compares new ones."""

import pathlib

import numpy as np

from tfadgm import evaluation
from tfadgm.data import on_disk
from tfadgm.data.dataset import Dataset
from tfadgm.data.pipeline import Split
from tfadgm.models.base import DeepGenerativeModel
from tfadgm.models.novelty import EXAMPLES, SAMPLES, Reference
from tfadgm.runs import run_directory
from tfadgm.telling import warn

NAME = "novelty.json"
ENOUGH = 100  # validation examples, from which the test set is left alone


def measure(model: DeepGenerativeModel, data: Dataset, split: Split) -> Reference | None:
    """Returns the `Reference` of a trained model; None, and a warning, if no density is finite.

    Of validation examples, or of the test set where these are few, or of training where there is none, at most `EXAMPLES`.
    """
    if split.validation.size >= ENOUGH:
        of, x = "validation", on_disk.gather(data.x_train, split.validation[:EXAMPLES])
    elif data.x_test is not None:
        of, x = "test", data.x_test[:EXAMPLES]
    else:
        rows = split.unlabelled[:: max(1, len(split.unlabelled) // EXAMPLES)][:EXAMPLES]
        of, x = "train", on_disk.gather(data.x_train, rows)
    found = evaluation.log_density(model, x, SAMPLES)
    if not np.isfinite(found).any():
        warn("novelty: no log p(x) is finite, so that the export has no such signature")
        return None
    return Reference(found[np.isfinite(found)], of)


def write(directory: pathlib.Path, reference: Reference) -> None:
    """Writes the file into the directory of a run."""
    run_directory.write_json(directory / NAME, reference.to_dict())


def read(directory: pathlib.Path) -> Reference | None:
    """Returns the reference of a run; None if it has none, as older ones; raises a ValueError if the file is damaged."""
    path = directory / NAME
    if not path.exists():
        return None
    try:
        return Reference.from_dict(run_directory.read_json(path))
    except (ValueError, OverflowError) as error:
        reason = str(error).removeprefix(f"{path}: ")
        raise ValueError(f"{path}: {reason}; bin/evaluate --run={directory} writes it again") from None
