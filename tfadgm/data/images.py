"""The user's own pictures: `images:DIR`, a folder per class, one named `unlabelled`, all pictures of one size.

Pictures in folders within a class folder are of that class. What is left out (hidden files, other kinds) is told.
"""

import collections
import os
import pathlib

import numpy as np

from tfadgm.data import files, labels, picture_files
from tfadgm.data.dataset import UNLABELLED, Dataset, allocate
from tfadgm.data.labels import is_unlabelled
from tfadgm.data.picture_files import SUFFIXES, read_image, read_shape

UNLABELLED_FOLDER = "unlabelled"
PARTS = {"train", "training", "test", "testing", "val", "valid", "validation", "dev", "extra"}


def read_images(paths, remarks=None):
    """Returns the picture files as one uint8 array [N, height, width, channels]; all must have one size.

    All headers are read before the first pixel. One picture in colour gives all three channels. `remarks`, a
    `picture_files.Remarks`, is told what was left out of the files.

    Raises:
      ValueError: for a file that cannot be read, or whose size is not that of most.
    """
    shapes = [read_shape(path) for path in paths]
    shape = _common_shape(paths, shapes)
    x = allocate((len(paths), *shape), np.uint8)
    for i, path in enumerate(paths):
        x[i] = read_image(path, shape, remarks)
    return x


def _common_shape(paths, shapes):
    sizes = collections.Counter(shape[:2] for shape in shapes)
    (common, number), *others = sizes.most_common()
    if others:
        odd = next(i for i, shape in enumerate(shapes) if shape[:2] != common)
        listed = ", ".join(f"{count} of {width} x {height}" for (height, width), count in others[:5])
        raise ValueError(
            f"{paths[odd]}: is a picture of {picture_files.size(shapes[odd])}; allowed: one size, as the "
            f"{common[1]} x {common[0]} of {number} of the {len(paths)} pictures; there are {listed}"
            + (f" and {len(others) - 5} further sizes" if len(others) > 5 else "")
        )
    return *common, max(shape[2] for shape in shapes)


class _Listing:
    """The picture files under a directory by class folder, and what is left out."""

    def __init__(self, root):
        self.root, self.folders, self.left_out, self.nested = root, {}, {}, []
        for entry in sorted(root.iterdir()):
            if _is_hidden(entry.name):
                self.left_out[entry] = "hidden"
            elif entry.is_dir():
                self.folders[entry.name] = list(self._pictures(entry))
            else:
                self.left_out[entry] = "beside the class folders"

    def _pictures(self, top):
        for parent, folders, names in os.walk(top, onerror=_unreadable):
            parent = pathlib.Path(parent)
            for name in list(folders):
                if _is_hidden(name) or (parent / name).is_symlink():
                    self.left_out[parent / name] = "hidden" if _is_hidden(name) else "links to folders"
                    folders.remove(name)
            folders.sort()
            for path in sorted(parent / name for name in names):
                reason = _reason(path)
                if reason:
                    self.left_out[path] = reason
                    continue
                if parent != top:
                    self.nested.append(path)
                yield path

    def warnings(self):
        """Yields a line each about what is left out, and what is read that might not be meant."""
        if self.left_out:
            counts = collections.Counter(self.left_out.values()).most_common()
            listed, first = ", ".join(f"{number} {reason}" for reason, number in counts), next(iter(self.left_out))
            yield f"{self.root}: left out, as no pictures of a class: {listed} (first: {first})"
        if self.nested:
            yield (
                f"{self.root}: {len(self.nested)} pictures lie in folders within the class folders, and are read as of the "
                f"class (first: {self.nested[0]})"
            )
        taken = [name for name in self.folders if is_unlabelled(name) and name != UNLABELLED_FOLDER]
        if taken:
            yield f"{self.root}: pictures in {', '.join(taken)} are taken to have no label; other names are classes"


def _unreadable(error):
    raise ValueError(f"{error.filename}: {error.strerror}; allowed: a folder that can be read") from None


def _is_hidden(name):
    return name.startswith(".") or name == "__MACOSX"


def _reason(path):
    """Returns why a file is no picture of a class, or None."""
    if _is_hidden(path.name):
        return "hidden"
    if path.suffix.lower() not in SUFFIXES:
        return path.suffix.lower() or "without a suffix"
    return None if path.is_file() else "no regular files"


def _check_folders(root, folders):
    """Returns the class names, or raises a ValueError if the folders are not one per class with pictures in each."""
    class_names = [name for name in folders if not is_unlabelled(name)]
    if class_names and {name.lower() for name in class_names} <= PARTS:
        raise ValueError(
            f"{root}: has the folders {', '.join(class_names)}, which are no classes; allowed: a folder per class, such as "
            f"images:{root / class_names[-1]}"
        )
    if len(class_names) < 2:
        raise ValueError(f"{root}: has {len(class_names)} class folders; allowed: at least 2")
    if not any(folders.values()):
        raise ValueError(f"{root}: its folders hold no pictures; allowed: files ending in {', '.join(SUFFIXES)}")
    empty = [name for name in class_names if not folders[name]]
    if empty:
        raise ValueError(f"{root}: no picture in {', '.join(empty)}; allowed: at least one in each class folder")
    return class_names


def load(argument=None, **_):
    """Returns the data set in the folder `argument`; it has no test set."""
    root = pathlib.Path(files.expanded(argument) or "")
    if not argument or not root.is_dir():
        raise ValueError(f"dataset images: got {argument!r}; allowed: images:DIR, a directory with a folder per class")
    listing, remarks = _Listing(root), picture_files.Remarks()
    class_names = _check_folders(root, listing.folders)
    numbers = {name: number for number, name in enumerate(class_names)}
    y = [numbers.get(name, UNLABELLED) for name, paths in listing.folders.items() for _ in paths]
    x = read_images([path for paths in listing.folders.values() for path in paths], remarks)
    if x.shape[-1] == 1:
        kind = dict(likelihood="bernoulli", scale=1 / 255)
    else:
        kind = dict(likelihood="gaussian", scale="standardise_channels")
    data = Dataset(str(root), x, np.asarray(y), None, None, class_names, levels=256, **kind)
    data.notes = (labels.told(data.y_train, class_names),)
    data.warnings = (*listing.warnings(), *(f"{root}: {line}" for line in remarks.lines()))
    return data
