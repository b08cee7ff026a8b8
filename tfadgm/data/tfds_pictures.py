"""Sets from TensorFlow Datasets whose examples are made of several features, or whose pictures are made smaller.

They are converted batch by batch, so that the pictures of the original size are never in memory together.
"""

import numpy as np

from tfadgm.data import on_disk
from tfadgm.data.tfds_source import prepared

BATCH = 256


def read(name, split, data_dir, pictures, labels, convert):
    """Returns (x, y, class names) of a split of the TFDS data set `name`.

    Args:
      name: the TFDS name.
      split: the split's name.
      data_dir: the TFDS data directory; None is TFDS' default. What is not there is downloaded.
      pictures: names of the features that x is made of.
      labels: names of the features that hold class numbers.
      convert: a function of the arrays of `pictures` in a batch, uint8 [n, height, width, channels], to x [n, ...].

    Returns:
      x: array [N, ...], what `convert` returned.
      y: int64 [len(labels), N].
      class names: a list of names for each of `labels`.

    Raises:
      ValueError: if the data set cannot be found, downloaded or read, or lacks a split or a feature.
    """
    with prepared(name, data_dir) as builder:
        return _read_builder(builder, split, pictures, labels, convert)


def _read_builder(builder, split, pictures, labels, convert):
    import tensorflow_datasets as tfds

    features = builder.info.features
    missing = [feature for feature in (*pictures, *labels) if feature not in features]
    if missing:
        raise ValueError(f"its features are {', '.join(sorted(features))}; allowed: {', '.join(missing)} are required too")
    x, y = None, []
    # TFDS would keep all decoded pictures of a small set in memory, for a second pass that does not come.
    once = tfds.ReadConfig(try_autocache=False)
    examples = builder.as_dataset(split=split, shuffle_files=False, read_config=once)
    for batch in tfds.as_numpy(examples.batch(BATCH)):
        part = convert(*(batch[feature] for feature in pictures))
        x = on_disk.Growing(part.shape[1:], part.dtype, f"TFDS data set {builder.name}") if x is None else x
        x.add(part)
        y.append(np.stack([batch[feature] for feature in labels]).astype("int64"))
    if x is None:
        raise ValueError(f"split {split!r} is empty")
    return x.array(), np.concatenate(y, axis=1), [list(features[feature].names) for feature in labels]
