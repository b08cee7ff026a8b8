"""OMNIGLOT (Lake et al. 2015): 1623 characters of 50 alphabets, each drawn by 20 people; 105x105 here made 28x28.

`omniglot` has the alphabets as classes (as Maaloe et al. 2017, section 5.2), `omniglot:characters` the characters.

What is done here, "OMNIGLOT 105 to 28":
- Ink is 1 and paper 0; a pixel of 28x28 is the mean over the 3.75 x 3.75 pixels that it covers, rounded to 256 levels.
- The background and evaluation sets, 19,280 and 13,180 drawings of different alphabets, are pooled; of the 20 drawings
  of every character, 15 are for training and 5 for testing: 24,345 and 8,115. Which ones is drawn once for all seeds.
- Intensities are binarised afresh for every batch. No column is dropped.

The papers (Burda et al. 2015, Soenderby et al. 2016, Maaloe et al. 2017) take a file of 28x28 pictures, chardata.mat, that
is no TFDS set, with 24,345 pictures for training and 8,070 for testing. The first number is 15 x 1623, as here; the second
is 45 less than the rest. Which drawings are in which part, which 45 are missing and how it was made smaller is not known.
Strokes are about as wide as a new pixel, so that many pixels are grey: their binarisation alone has an entropy of 46 nats
per test drawing. Bounds in nats cannot be compared with those papers'.
"""

import numpy as np

from tfadgm.data import tfds_pictures
from tfadgm.data.dataset import Dataset
from tfadgm.data.resize import area_average

CLASSES = ("alphabets", "characters")
SIDE, TRAIN_DRAWINGS, SPLIT_SEED = 28, 15, 2015


def load(argument=None, *, data_dir=None, tfds_name=None, **_):
    """Returns 24,345 training and 8,115 test drawings, uint8 [N, 28, 28, 1]; see the module for their making.

    Args:
      argument: "alphabets" (50 classes, the default) or "characters" (1623 classes).
      data_dir, tfds_name: the TFDS directory and name, if they are not TFDS' own.

    Raises:
      ValueError: if the argument is unknown, or the data cannot be read.
    """
    if (argument or CLASSES[0]) not in CLASSES:
        raise ValueError(f"dataset omniglot: got {argument!r}; allowed: {', '.join(CLASSES)}")
    parts = [
        tfds_pictures.read(tfds_name or "omniglot", part, data_dir, ["image"], ["alphabet", "label"], _ink)
        for part in ("train", "test")
    ]
    x, y = np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts], axis=1)
    train, test = split_drawings(y[1])
    kind = CLASSES.index(argument or CLASSES[0])
    options = dict(levels=256, scale=1 / 255)
    return Dataset("omniglot 105 to 28", x[train], y[kind][train], x[test], y[kind][test], parts[0][2][kind], **options)


def _ink(image):
    return area_average(255 - image[..., 0], SIDE, SIDE)[..., np.newaxis]


def split_drawings(character):
    """Returns the indices of the training drawings, 15 of each character [N], and of the others, both shuffled."""
    order = np.random.default_rng(SPLIT_SEED).permutation(len(character))
    grouped = np.argsort(character[order], kind="stable")
    counts = np.bincount(character)
    rank = np.empty(len(order), "int64")
    rank[grouped] = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
    return order[rank < TRAIN_DRAWINGS], order[rank >= TRAIN_DRAWINGS]
