"""SVHN cropped digits as in Maaloe et al. 2016, section 3: raw + U(0, 1), each channel divided by its standard deviation.

The paper trains on the splits train and extra, 604,388 images; `svhn:train`, and a copy without the split extra, on train
alone (the paper's error is then 29.82%). The standard deviation is the training set's, also for the test set: the authors'
loader takes each set's own.
"""

from tfadgm.data import tfds_source
from tfadgm.data.dataset import Dataset


def load(argument=None, *, data_dir=None, tfds_name=None, **_):
    """Returns train (with extra, if it is there and `argument` is not "train") and test images, uint8 [N, 32, 32, 3]."""
    if argument not in (None, "train"):
        raise ValueError(f"dataset svhn: got {argument!r}; allowed: svhn, svhn:train")
    name = tfds_name or "svhn_cropped"
    x_train, y_train, class_names = tfds_source.read(name, ["train", "extra"][: 1 if argument else 2], data_dir)
    x_test, y_test, _ = tfds_source.read(name, ["test", "test_first10000"], data_dir)
    options = dict(likelihood="gaussian", levels=256, scale="channel")
    return Dataset(name, x_train, y_train, x_test, y_test, class_names, **options)
