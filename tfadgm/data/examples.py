"""Files of examples to classify: arrays, tables and pictures, and directories of them."""

import dataclasses
import math
import pathlib

import numpy as np

from tfadgm.data import csv, files, npz, picture_files

KINDS = f".npz (array x), .csv (a column {csv.LABEL_COLUMN!r} is ignored), pictures ({', '.join(picture_files.SUFFIXES)})"
SUFFIXES = (".npz", ".csv", *picture_files.SUFFIXES)


@dataclasses.dataclass
class Examples:
    """What a file holds.

    Attributes:
      x: [N, ...]; a picture is one uint8 example, [1, *shape].
      decoded: whether x was a picture, whose levels are 0 to 255 by its format.
      identifiers: N strings that the file calls its rows by, or None.
      notes: lines about what was not read as it stands.
    """

    x: np.ndarray
    decoded: bool = False
    identifiers: list | None = None
    notes: tuple = ()


def expand(arguments):
    """Returns (files, notes): the arguments, directories replaced by the files of `KINDS` in them, at any depth.

    What is hidden (a dot before its name) is passed over.
    """
    found, notes = [], []
    for argument in map(pathlib.Path, arguments):
        if not argument.is_dir():
            found.append(argument)
            continue
        inside = sorted(path for path in argument.rglob("*") if path.is_file() and not _is_hidden(path, argument))
        fitting = [path for path in inside if path.suffix.lower() in SUFFIXES]
        found += fitting or [argument]
        if fitting and len(fitting) < len(inside):
            notes.append(f"{argument}: {len(inside) - len(fitting)} other files are passed over")
    return found, notes


def _is_hidden(path, directory):
    return any(part.startswith(".") for part in path.relative_to(directory).parts)


def check(files_to_read):
    """Raises a ValueError if there are no files, or one is missing or of an unknown kind; reads nothing."""
    if not files_to_read:
        raise ValueError(f"got no files; allowed: one or more of {KINDS}")
    for file in map(pathlib.Path, files_to_read):
        if file.is_dir():
            raise ValueError(f"{file}: is a directory that holds no file of these; allowed: {KINDS}")
        if file.suffix.lower() not in SUFFIXES:
            raise ValueError(f"{file}: has the suffix {file.suffix!r}; allowed: {KINDS}")
        files.check_regular(file, f"one of {KINDS}")


def is_picture(path):
    """Whether a file is read as a picture, by its name."""
    return pathlib.Path(path).suffix.lower() in picture_files.SUFFIXES


def read(path, shape, dtype, feature_names=None, remarks=None, any_size=False):
    """Returns the `Examples` of one file of `KINDS`.

    Args:
      path: the file.
      shape, dtype: of one raw example of the model, by which a picture is read (`picture_files.read_example`).
      feature_names: of the columns that the model was trained on, by which those of a csv are found; None takes all, in
        the order of the file.
      remarks: a `picture_files.Remarks` that is told what was left out of pictures.
      any_size: whether pictures of another size are fitted to that of the model.
    """
    suffix = pathlib.Path(path).suffix.lower()
    if suffix == ".npz":
        return Examples(npz.read_arrays(path, ["x"])["x"])
    if suffix == ".csv":
        found = csv.read_table(path, feature_names, math.prod(shape), to_train=False)
        return Examples(found.x, identifiers=found.identifier, notes=tuple(_notes(path, found, feature_names)))
    return Examples(picture_files.read_example(path, shape, dtype, remarks, any_size)[np.newaxis], decoded=True)


def _notes(path, found, feature_names):
    if feature_names is None:
        yield f"{path}: its columns are taken by position, as the model knows no names of columns"
    if found.ignored:
        yield f"{path}: the model has no column {csv.listed(found.ignored)}: ignored"
