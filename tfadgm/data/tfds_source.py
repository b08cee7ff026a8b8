"""Image classification sets from TensorFlow Datasets, as arrays."""

import contextlib
import os

import numpy as np

from tfadgm.data import on_disk


@contextlib.contextmanager
def prepared(name, data_dir):
    """Gives the builder of the TFDS data set `name`, prepared; all errors, of its readers too, become a ValueError."""
    import tensorflow_datasets as tfds

    if data_dir is not None and not os.path.isdir(os.path.expanduser(data_dir)):
        raise ValueError(f"data_dir: got {data_dir!r}, which is no directory; allowed: a TFDS data directory")
    try:
        builder = tfds.builder(name, data_dir=data_dir)
        builder.download_and_prepare()
        yield builder
    except Exception as error:  # TFDS raises many kinds: unknown names, network and checksum errors, corrupt records
        reason = str(error).strip().splitlines()
        raise ValueError(
            f"TFDS data set {name!r} in {data_dir or 'the default data directory'} cannot be read: "
            f"{type(error).__name__}: {reason[0] if reason else ''}"
        ) from error


def read(name, splits, data_dir=None):
    """Returns (x, y, class_names) of the concatenated `splits` of the TFDS data set `name`.

    Args:
      name: the TFDS name.
      splits: the names of the splits to concatenate; those that the data set lacks are skipped, but one must exist.
      data_dir: the TFDS data directory; None is TFDS' default. What is not there is downloaded.

    Raises:
      ValueError: if the data set cannot be found, downloaded or read.
    """
    with prepared(name, data_dir) as builder:
        return read_builder(builder, splits)


def read_builder(builder, splits):
    """Returns (x uint8 [N, height, width, channels], y, class_names) of a prepared TFDS builder; see `read`."""
    import tensorflow_datasets as tfds

    splits = [split for split in splits if split in builder.info.splits]
    if not splits:
        raise ValueError(f"none of the splits is there; it has {', '.join(builder.info.splits)}")
    feature = builder.info.features["image"]
    count = sum(builder.info.splits[split].num_examples for split in splits)
    x, y, at = on_disk.Growing(feature.shape, np.uint8, f"TFDS data set {builder.name}", count), np.empty(count, "int64"), 0
    size = on_disk.batch_size(feature.shape)
    # TFDS would keep all decoded pictures of a small set in memory, for a second pass that does not come.
    once = tfds.ReadConfig(try_autocache=False)
    for split in splits:
        for batch in tfds.as_numpy(builder.as_dataset(split=split, shuffle_files=False, read_config=once).batch(size)):
            x.add(batch["image"])
            y[at : at + len(batch["label"])] = batch["label"]
            at += len(batch["label"])
    if at != count:
        raise ValueError(f"{at} examples were read where its description promises {count}")
    return x.array(), y, list(builder.info.features["label"].names)
