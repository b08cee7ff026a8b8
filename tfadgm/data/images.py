"""The user's own pictures: `images:DIR`, a folder per class, and one named `unlabelled`.

Pictures in folders within a class folder are of that class. What is left out (hidden files, other kinds) is told.
Pictures of several sizes become pictures of one, by `resize.fit`.
"""

import collections
import math
import os
import pathlib

import numpy as np

from tfadgm.data import files, image_sizes, labels, on_disk, picture_files
from tfadgm.data.dataset import UNLABELLED, Dataset
from tfadgm.data.labels import is_unlabelled
from tfadgm.data.picture_files import SUFFIXES, read_image, read_shape

UNLABELLED_FOLDER = "unlabelled"
PARTS = {"train", "training", "test", "testing", "val", "valid", "validation", "dev", "extra"}
LARGE_SHARE = 3  # times all other folders together: pictures that perhaps have no label
MOST_PIXELS = 64 * 64  # of the size that is taken by itself


def read_images(paths, shape, remarks=None, any_size=False, what="pictures"):
    """Returns the picture files as one uint8 array [N, height, width, channels]; see `picture_files.read_image`."""
    x = on_disk.Growing(shape, np.uint8, what, len(paths))
    for path in paths:
        x.add(read_image(path, shape, remarks, any_size)[np.newaxis])
    return x.array()


def _chosen(shapes, image_size):
    """Returns ((height, width, channels), any_size) for pictures of `shapes`; see `load`."""
    sizes = {shape[:2] for shape in shapes}
    any_size = image_size is not None or len(sizes) > 1
    size = image_sizes.parse(image_size) if image_size is not None else _median(shapes) if any_size else sizes.pop()
    return (*size, max(shape[2] for shape in shapes)), any_size


def _in_grey(x, what):
    """Returns pictures of three channels with the first alone if all three are the same in every one; None if not."""
    if not all((chunk == chunk[..., :1]).all() for chunk in on_disk.chunks(x)):
        return None
    found = on_disk.Growing((*x.shape[1:3], 1), x.dtype, what)
    for chunk in on_disk.chunks(x):
        found.add(chunk[..., :1])
    return found.array()


def _median(shapes):
    height, width = np.median([shape[:2] for shape in shapes], axis=0)
    shrink = min(1.0, math.sqrt(MOST_PIXELS / (height * width)))
    return max(1, round(shrink * height)), max(1, round(shrink * width))


def _told(shapes, shape, by_itself):
    """Yields a line about pictures of `shapes` of which not all have the size of `shape`."""
    others = sorted((own[:2] for own in shapes if own[:2] != shape[:2]), key=math.prod)
    if others:
        ends = " to ".join(f"{height} x {width}" for height, width in dict.fromkeys((others[0], others[-1])))
        how = f" (their median, of at most {MOST_PIXELS} pixels; --image_size=HxW chooses another)" if by_itself else ""
        yield (
            f"{len(others)} of {len(shapes)} pictures, of {ends} pixels (height x width), are resized and cut to "
            f"{shape[0]} x {shape[1]}{how}"
        )


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
        yield from self._without_labels()
        taken = [name for name in self.folders if is_unlabelled(name) and name != UNLABELLED_FOLDER]
        if taken:
            yield f"{self.root}: pictures in {', '.join(taken)} are taken to have no label; other names are classes"

    def _without_labels(self):
        """A line about a folder that is far larger than the others together: it may hold what has no label yet."""
        sizes = {name: len(paths) for name, paths in self.folders.items()}
        largest = max(sizes, key=sizes.get)
        rest = sum(sizes.values()) - sizes[largest]
        if len(sizes) > 2 and sizes[largest] > LARGE_SHARE * rest and not is_unlabelled(largest):
            yield (
                f"{self.root}: class {largest!r} has {sizes[largest]} of {sizes[largest] + rest} pictures; if these have no "
                f"label, name their folder {UNLABELLED_FOLDER!r}"
            )


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
        layout = f"at least 2, a folder for each, such as cat/ and dog/, beside {UNLABELLED_FOLDER}/ for the others"
        raise ValueError(f"{root}: has {len(class_names)} class folders; allowed: {layout}")
    if not any(folders.values()):
        raise ValueError(f"{root}: its folders hold no pictures; allowed: files ending in {', '.join(SUFFIXES)}")
    empty = [name for name in class_names if not folders[name]]
    if empty:
        raise ValueError(f"{root}: no picture in {', '.join(empty)}; allowed: at least one in each class folder")
    return class_names


def load(argument=None, image_size=None, preprocess=None, **_):
    """Returns the data set in the folder `argument`; it has no test set.

    All headers are read before the first pixel. One picture in colour gives all three channels; files that could hold
    colours, and hold grey alone, give none.

    Args:
      argument: a directory.
      image_size: "HxW", the height and width that all pictures get. None: their own; or, if there are several, the median
        height and width, both less by one factor if these are more than `MOST_PIXELS` pixels.
      preprocess: a `Preprocess` whose raw examples the pictures are to be, as those of training were, in place of all that.
    """
    root = pathlib.Path(files.expanded(argument) or "")
    if not argument or not root.is_dir():
        raise ValueError(f"dataset images: got {argument!r}; allowed: images:DIR, a directory with a folder per class")
    listing, remarks = _Listing(root), picture_files.Remarks()
    class_names = _check_folders(root, listing.folders)
    numbers = {name: number for number, name in enumerate(class_names)}
    y = [numbers.get(name, UNLABELLED) for name, paths in listing.folders.items() for _ in paths]
    paths = [path for paths in listing.folders.values() for path in paths]
    shapes = [read_shape(path) for path in paths]
    if preprocess is None:
        shape, any_size = _chosen(shapes, image_size)
    else:
        shape, any_size = preprocess.raw_shape, preprocess.any_size
    x, coloured = read_images(paths, shape, remarks, any_size, str(root)), []
    if preprocess is None and shape[-1] == 3 and (grey := _in_grey(x, str(root))) is not None:
        x, count = grey, sum(own[2] == 3 for own in shapes)
        remarks.pop(picture_files.MADE_COLOURED, None)
        coloured = [f"all pictures are grey, though {count} of {len(shapes)} files could hold colours: one channel is read"]
    if x.shape[-1] == 1:
        kind = dict(likelihood="bernoulli", scale=1 / 255)
    else:
        kind = dict(likelihood="gaussian", scale="standardise_channels")
    data = Dataset(str(root), x, np.asarray(y), None, None, class_names, levels=256, any_size=any_size, **kind)
    sizes = _told(shapes, shape, image_size is None and preprocess is None)
    data.notes = (labels.told(data.y_train, class_names), *sizes, *coloured)
    data.warnings = (*listing.warnings(), *(f"{root}: {line}" for line in remarks.lines()))
    return data
