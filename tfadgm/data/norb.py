"""Small NORB (LeCun et al. 2004) as in Maaloe et al. 2016, section 3: stereo pairs of 32x32, (raw + U(0, 1)) / 256.

24,300 training and 24,300 test pairs of five classes; no toy is in both. The paper has the pairs' size from Miyato et al.
(2015) and does not say how it is reached: here a pixel is the mean over 3x3 pixels, rounded to 256 levels.

`norb:OPTIONS`, joined by commas, goes the way of the authors' loader, or another:
  nearest: every third pixel in place of the mean, as the authors' loader.
  stretched: before that, each picture's levels are spread over 0, ..., 255. The authors' loader probably did this without
    a word in the paper: the routine that resized its pictures does so with pictures that are not uint8.
  standardised: (raw + U(0, 1) - mean) / deviation, per pixel, in place of / 256. The authors' loader subtracts the mean
    (the test set's own from the test set) from / 256; here the mean is the training set's, and the scale differs.
  single: the first picture of each pair alone (the paper's appendix, "single images").
"""

import numpy as np

from tfadgm.data import tfds_pictures
from tfadgm.data.dataset import Dataset
from tfadgm.data.resize import area_average, nearest, stretch

OPTIONS = ("nearest", "stretched", "standardised", "single")
SIDE = 32


def load(argument=None, *, data_dir=None, tfds_name=None, **_):
    """Returns training and test pairs, uint8 [N, 32, 32, 2] (1 instead of 2 with "single").

    Args:
      argument: some of `OPTIONS`, joined by commas, or None.
      data_dir, tfds_name: the TFDS directory and name, if they are not TFDS' own.

    Raises:
      ValueError: if an option is unknown, or the data cannot be read.
    """
    options = argument.split(",") if argument else []
    for option in options:
        if option not in OPTIONS:
            raise ValueError(f"dataset norb: got {option!r}; allowed: {', '.join(OPTIONS)}, joined by commas")
    eyes = ["image"] if "single" in options else ["image", "image2"]

    def read(split):
        return tfds_pictures.read(tfds_name or "smallnorb", split, data_dir, eyes, ["label_category"], convert)

    def convert(*pictures):
        return _small(np.concatenate(pictures, axis=-1), options)

    (x_train, (y_train,), (class_names,)), (x_test, (y_test,), _) = read("train"), read("test")
    scale = "standardise" if "standardised" in options else 1 / 256
    kind = dict(likelihood="gaussian", levels=256, scale=scale)
    return Dataset("norb", x_train, y_train, x_test, y_test, class_names, **kind)


def _small(pairs, options):
    """Returns uint8 [n, 32, 32, eyes] of uint8 [n, 96, 96, eyes]."""
    pictures = np.moveaxis(pairs, -1, 1)
    if "stretched" in options:
        pictures = stretch(pictures)
    resize = nearest if "nearest" in options else area_average
    return np.moveaxis(resize(pictures, SIDE, SIDE), 1, -1)
