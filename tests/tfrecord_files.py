"""Files of tf.Example records for the tests."""

import json

import numpy as np
import tensorflow as tf

PICTURES = {
    "picture": dict(dtype="uint8", shape=[8, 6, 3], encoding="picture", role="x"),
    "kind": dict(dtype="int64", shape=[], role="label", classes=["cat", "dog"]),
}


def example(**values):
    """Returns a serialised tf.Example of bytes, texts, whole numbers and floats; None is no feature."""
    features = {}
    for name, value in values.items():
        if value is None:
            continue
        value = value.encode() if isinstance(value, str) else value
        if isinstance(value, bytes):
            features[name] = tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
            continue
        flat = np.ravel(value)
        whole = dict(int64_list=tf.train.Int64List(value=flat)) if flat.dtype.kind in "iub" else None
        features[name] = tf.train.Feature(**whole or dict(float_list=tf.train.FloatList(value=flat)))
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


def write(path, records, compression=""):
    """Writes serialised examples; returns the path."""
    with tf.io.TFRecordWriter(str(path), compression) as writer:
        for record in records:
            writer.write(record)
    return path


def describe(folder, **features):
    """Writes the features file of a folder."""
    (folder / "features.json").write_text(json.dumps({"features": features}))
