"""MNIST as in Maaloe et al. 2016, section 3: intensities in [0, 1], binarised afresh for every batch, and the columns of
standard deviation below 0.1 over the training set removed, which leaves 444 of 784.

`mnist:low` is the task of Gemp et al. 2017, section 3: all training images of the digits 0 to 4 have their labels, 30,596,
and those of 5 to 9, 29,404, have none; the 10,000 test images have all. All 784 columns stay, as pictures are to be read.
Their code differs: it pools training and test images, tests on all 5 to 9 among the 70,000, draws 20,000 unlabelled
images with replacement, and rounds the intensities once.
"""

import dataclasses

import numpy as np

from tfadgm.data import tfds_source
from tfadgm.data.dataset import UNLABELLED, Dataset

LOW = range(5)


def load(argument=None, *, data_dir=None, tfds_name=None, name="mnist", **_):
    """Returns the 60,000 training images (training and validation set of the paper) and the 10,000 test images.

    Raises:
      ValueError: if the argument is not "low" or none, or the data cannot be read.
    """
    if argument not in (None, "low"):
        raise ValueError(f"dataset {name}: got {argument!r}; allowed: {name}, {name}:low")
    x_train, y_train, class_names = tfds_source.read(tfds_name or name, ["train"], data_dir)
    x_test, y_test, _ = tfds_source.read(tfds_name or name, ["test"], data_dir)
    options = dict(levels=256, scale=1 / 255, min_column_std=0.1)
    data = Dataset(name, x_train, y_train, x_test, y_test, class_names, **options)
    if argument is None:
        return data
    y_train = np.where(np.isin(y_train, LOW), y_train, UNLABELLED)
    changes = dict(name=f"{name}:low", y_train=y_train, min_column_std=0.0, labelled_classes=tuple(LOW))
    return dataclasses.replace(data, **changes)
