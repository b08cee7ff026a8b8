"""New examples with labels, to measure a trained run on: a file of the kinds that it could be trained on."""

import pathlib
from typing import Protocol

import numpy as np

from tfadgm import registry
from tfadgm.data import ranges
from tfadgm.data.dataset import Dataset
from tfadgm.models.base import DeepGenerativeModel
from tfadgm.serving import classification, inputs
from tfadgm.telling import tell, warn

KINDS = "an .npz with x and y, a .csv with a column of labels, or a folder of pictures with a folder per class"


class Trained(Protocol):
    """What is asked of a run: the content of its config.json, and its model."""

    config: dict
    model: DeepGenerativeModel


def read(path: pathlib.Path | str, opened: Trained, data: Dataset) -> tuple[str, np.ndarray, np.ndarray]:
    """Returns ("data", x, y): raw examples [N, ...] as the run's model reads them, and the run's class numbers [N].

    y is -1 where a class is not known. Columns of a table are found by name, where the run knows names.

    Args:
      path: of `KINDS`; of an .npz its x and y.
      opened: a `Trained`, such as a `run_directory.Run`.
      data: its `Dataset`, whose classes are meant.

    Raises:
      ValueError: for what is none of `KINDS`, does not fit the model, or has classes that the run does not know.
    """
    kind = {".npz": "npz", ".csv": "csv"}.get(pathlib.Path(path).suffix.lower())
    kind = "images" if pathlib.Path(path).is_dir() else kind
    if kind is None:
        raise ValueError(f"data: got {path}; allowed: {KINDS}")
    preprocess = opened.model.preprocess
    pictures = preprocess if inputs.reads_pictures(preprocess) else None
    found = registry.lookup(registry.DATASETS, "dataset", kind)(str(path), preprocess=pictures)
    x = _columns(path, found, opened.config.get("feature_names"))
    try:
        x = classification.as_raw(x, preprocess.raw_shape, preprocess.raw_dtype)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    limits, names = opened.config.get("ranges"), opened.config.get("feature_names")
    for line in found.notes:
        tell(line)
    for line in (*found.warnings, *(ranges.compare(str(path), x, limits, names) if limits else ())):
        warn(line)
    return "data", x, _classes(path, found, data.class_names)


def _columns(path, found, wanted):
    """x, its columns in the order of the run's names, if both have names."""
    names = getattr(found, "feature_names", None)
    if not names or not wanted:
        return found.x_train
    missing = [name for name in wanted if name not in names]
    if missing:
        raise ValueError(f"{path}: has no column {', '.join(missing)}; allowed: the columns of the run's data")
    return found.x_train[:, [names.index(name) for name in wanted]]


def _classes(path, found, class_names):
    """The class numbers of `class_names`, by the names of the classes of the file."""
    used = np.unique(found.y_train[found.y_train >= 0])
    unknown = [found.class_names[k] for k in used if found.class_names[k] not in class_names]
    if unknown:
        raise ValueError(f"{path}: has the classes {', '.join(unknown)}; allowed: {', '.join(class_names)}")
    number = {k: class_names.index(found.class_names[k]) for k in used}
    return np.asarray([number.get(k, -1) for k in found.y_train.tolist()], "int64")
