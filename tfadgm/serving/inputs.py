"""What a served model reads, as functions of TensorFlow: raw arrays, pictures, tf.Example; what does not fit is refused.

A mistake in a request becomes an InvalidArgumentError (INVALID_ARGUMENT over gRPC, 400 over REST) that names the feature.
"""

import math

import tensorflow as tf

PICTURE_FEATURE = "image/encoded"


def reads_pictures(preprocess):
    """Whether raw examples are what a PNG or JPEG file holds: uint8 [height, width, 1 or 3]."""
    shape = preprocess.raw_shape
    return preprocess.raw_dtype == "uint8" and len(shape) == 3 and shape[-1] in (1, 3)


def read(x, preprocess, name="x"):
    """Returns raw examples x [N, *raw_shape] as they are, if shape and values are those of the raw dtype; see `checked`.

    The server does not check shapes: without this, [2, 8, 4, 1] would be answered as four rows of [4, 4, 1].
    """
    return checked(tf.ensure_shape(x, [None, *preprocess.raw_shape], name), preprocess, name)


def checked(x, preprocess, name, rows=None):
    """Returns raw examples x [N, ...] as they are, if their values are ones that the raw dtype can hold.

    Args:
      x: of the raw dtype, or float32 in its place (whole numbers in range, then, if the raw dtype is one of those).
      preprocess: the model's `Preprocess`.
      name: of the feature, for the message.
      rows: int64 [N, 1], their numbers in the request; None for 0 to N - 1.
    """
    dtype = tf.as_dtype(preprocess.raw_dtype)
    if dtype.is_floating:
        right, allowed = tf.math.is_finite(tf.cast(x, tf.float32)), "finite numbers"
    elif x.dtype == dtype:
        return x
    else:
        low, high = (0, 1) if dtype == tf.bool else (dtype.min, dtype.max)
        wide = tf.cast(x, tf.float64)
        right = (wide >= low) & (wide <= high) & (wide == tf.round(wide))
        allowed = f"whole numbers from {low} to {high}"
    message = f"{name}: allowed: {allowed}; got other values in the rows (from 0)"
    wrong = tf.where(tf.reduce_any(~right, list(range(1, right.shape.rank))))
    wrong = wrong if rows is None else tf.gather_nd(rows, wrong)
    with tf.control_dependencies([tf.debugging.Assert(tf.reduce_all(right), [message, wrong[:, 0]])]):
        return tf.identity(x)


def decode_pictures(encoded, preprocess, name):
    """Returns uint8 [N, *raw_shape] from PNG, JPEG, BMP or GIF files, string [N]; another size is refused, not scaled."""
    shape = list(preprocess.raw_shape)

    def decode(file):
        picture = tf.io.decode_image(file, shape[-1], expand_animations=False, name=name.replace("/", "_"))
        message = f"{name}: allowed: a picture of height and width {shape[:2]}; got"
        same = tf.reduce_all(tf.equal(tf.shape(picture), shape))
        with tf.control_dependencies([tf.debugging.Assert(same, [message, tf.shape(picture)[:2]])]):
            return tf.ensure_shape(tf.reshape(picture, shape), shape)

    return tf.map_fn(decode, encoded, fn_output_signature=tf.TensorSpec(shape, tf.uint8))


def parse_examples(serialised, preprocess):
    """Returns raw examples, float32 [N, *raw_shape], from serialised tf.Example protos, string [N].

    Each has exactly one of these features:

        x              the flat raw example: Int64List if the raw dtype holds whole numbers, FloatList otherwise
        x_int64        the same as Int64List, x_float as FloatList, whatever the raw dtype: over REST, JSON's 1 is an
                       integer, and a list that mixes 0 with 0.5 is refused by the server
        x_bytes        its memory in the raw dtype, little-endian
        image/encoded  a PNG or JPEG file, for models that read pictures
    """
    size, dtype = math.prod(preprocess.raw_shape), tf.as_dtype(preprocess.raw_dtype)
    kinds = {"x": tf.float32 if dtype.is_floating else tf.int64, "x_int64": tf.int64, "x_float": tf.float32}
    kinds["x_bytes"] = tf.string
    if reads_pictures(preprocess):
        kinds[PICTURE_FEATURE] = tf.string
    found = tf.io.parse_example(serialised, {name: tf.io.RaggedFeature(kind) for name, kind in kinds.items()})
    with tf.control_dependencies(_check_features(found, size)):
        raw = tf.zeros([tf.shape(serialised)[0], size])
        for name, values in found.items():
            rows = tf.where(values.row_lengths() > 0)
            values = tf.identity(values.flat_values)
            if name == "x_bytes":
                values = _decode_memory(values, size, dtype)
            elif name == PICTURE_FEATURE:
                values = decode_pictures(values, preprocess, name)
            values = tf.cast(checked(tf.reshape(values, [-1, size]), preprocess, name, rows), tf.float32)
            raw = tf.tensor_scatter_nd_update(raw, rows, values)
    return tf.reshape(raw, [-1, *preprocess.raw_shape])


def _check_features(found, size):
    lengths = {name: values.row_lengths() for name, values in found.items()}
    number = tf.add_n([tf.cast(length > 0, tf.int32) for length in lengths.values()])
    message = f"tf.Example: allowed: exactly one of the features {', '.join(found)}; their number in each example:"
    checks = [tf.debugging.Assert(tf.reduce_all(number == 1), [message, number])]
    for name, length in lengths.items():
        right = 1 if found[name].dtype == tf.string else size
        message = f"{name}: allowed: {right} value{'s' * (right > 1)}; their number in each example:"
        checks.append(tf.debugging.Assert(tf.reduce_all((length == 0) | (length == right)), [message, length]))
    return checks


def _decode_memory(memory, size, dtype):
    """Returns [N, size] of the raw dtype from its bytes, string [N]."""
    right = tf.strings.length(memory) == size * dtype.size
    message = f"x_bytes: allowed: {size * dtype.size} bytes ({size} values of {dtype.name}, little-endian); got"
    with tf.control_dependencies([tf.debugging.Assert(tf.reduce_all(right), [message, tf.strings.length(memory)])]):
        octets = tf.io.decode_raw(memory, tf.uint8, fixed_length=size * dtype.size)
    octets = octets if dtype.size == 1 else tf.reshape(octets, [-1, size, dtype.size])
    return tf.bitcast(octets, tf.uint8 if dtype == tf.bool else dtype)
