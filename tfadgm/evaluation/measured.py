"""New examples with labels, to measure a trained run on: a file of the kinds that it could be trained on."""

import pathlib
from typing import Protocol

import numpy as np

from tfadgm.data import examples, frames, h5ad, images, labels, npz, ranges, table_notes, tfrecord
from tfadgm.data.columns import Column
from tfadgm.data.dataset import Dataset
from tfadgm.models.base import DeepGenerativeModel
from tfadgm.serving import classification, inputs
from tfadgm.telling import tell, warn

KINDS = "an .npz with x and y, a .csv, .parquet, .h5ad or .tfrecord with labels, or a folder of pictures for each class"


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
    columns, preprocess = opened.config.get("columns"), opened.model.preprocess
    found = _load(path, opened.config, preprocess if inputs.reads_pictures(preprocess) else None)
    try:
        x = classification.as_raw(found.x_train, preprocess.raw_shape, preprocess.raw_dtype, bool(columns))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    if columns:
        preprocess.check_missing(x, path)
    limits, names = opened.config.get("ranges"), opened.config.get("feature_names")
    for line in found.notes:
        tell(line)
    copies = table_notes.duplicates(x, data.x_train) if columns else 0
    if copies:
        warn(f"{path}: {copies} of {len(x)} rows are rows of the run's data too")
    for line in (*found.warnings, *(ranges.compare(str(path), x, limits, names) if limits else ())):
        warn(line)
    return "data", x, _classes(path, found, data.class_names)


def _load(path, config, pictures):
    """The `Dataset` in a file. Columns of a table are those of the run's model; of one of arrays, all are numbers."""
    if pathlib.Path(path).is_dir():
        return images.load(str(path), preprocess=pictures)
    if pathlib.Path(path).suffix.lower() == ".npz":
        return npz.load(str(path))
    label = config.get("settings", {}).get("label", frames.LABEL)
    if tfrecord.NAME.search(str(path).lower()):
        return tfrecord.load(str(path), label=label, features=config.get("settings", {}).get("features"))
    if pathlib.Path(path).suffix.lower() == ".h5ad" and not config.get("columns"):
        return h5ad.load(str(path), label=label, known=config.get("feature_names"))
    source = examples.open_table(path)
    if source is None:
        raise ValueError(f"data: got {path}; allowed: {KINDS}")
    if config.get("columns"):
        return frames.read(source, label, known=[Column.from_dict(column) for column in config["columns"]])
    if config.get("feature_names"):
        return frames.read(source, label, known=[Column(name) for name in config["feature_names"]])
    return frames.read_numbers(source, label)


def _classes(path, found, class_names):
    """The class numbers of `class_names`, by the names of the classes of the file."""
    used = np.unique(found.y_train[found.y_train >= 0])
    known = {labels.plain(name) or name: k for k, name in enumerate(class_names)} | {n: k for k, n in enumerate(class_names)}
    unknown = [found.class_names[k] for k in used if found.class_names[k] not in known]
    if unknown:
        raise ValueError(f"{path}: has the classes {', '.join(unknown)}; allowed: {', '.join(class_names)}")
    number = {k: known[found.class_names[k]] for k in used}
    return np.asarray([number.get(k, -1) for k in found.y_train.tolist()], "int64")
