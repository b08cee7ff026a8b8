"""MNIST as in Maaloe et al. 2016, section 3: intensities in [0, 1], binarised afresh for every batch, and the columns of
standard deviation below 0.1 over the training set removed, which leaves 444 of 784."""

from tfadgm.data import tfds_source
from tfadgm.data.dataset import Dataset


def load(argument=None, *, data_dir=None, tfds_name=None, name="mnist", **_):
    """Returns the 60,000 training images (training and validation set of the paper) and the 10,000 test images."""
    x_train, y_train, class_names = tfds_source.read(tfds_name or name, ["train"], data_dir)
    x_test, y_test, _ = tfds_source.read(tfds_name or name, ["test"], data_dir)
    options = dict(levels=256, scale=1 / 255, min_column_std=0.1)
    return Dataset(name, x_train, y_train, x_test, y_test, class_names, **options)
