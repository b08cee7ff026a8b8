"""What a served model reads, as functions of TensorFlow: raw arrays, pictures, tf.Example; what does not fit is refused.

A mistake in a request becomes an InvalidArgumentError (INVALID_ARGUMENT over gRPC, 400 over REST) that names the feature.
"""

import math

import numpy as np
import tensorflow as tf

from tfadgm.data import resize
from tfadgm.data.count_preprocess import CountPreprocess
from tfadgm.data.preprocess import Preprocess
from tfadgm.data.table_preprocess import UNLEARNED, TablePreprocess

PICTURE_FEATURE = "image/encoded"
PNG = b"\x89PNG"
# An entry of EXIF (of either byte order) or XMP that turns a picture. A graph cannot turn it by what it does not parse.
TURNED = r"""(?s)\C*(\x01\x12\x00\x03\x00\x00\x00\x01\x00[\x02-\x08]|\x12\x01\x03\x00\x01\x00\x00\x00[\x02-\x08]\x00"""
TURNED += r"""|tiff:Orientation(="|>)[2-8])\C*"""


def reads_pictures(preprocess: Preprocess) -> bool:
    """Whether raw examples are what a PNG or JPEG file holds: uint8 [height, width, 1 or 3]."""
    shape = preprocess.raw_shape
    return preprocess.raw_dtype == "uint8" and len(shape) == 3 and shape[-1] in (1, 3)


def read(x: tf.Tensor, preprocess: Preprocess, levels: int | None = None, name: str = "x") -> tf.Tensor:
    """Returns raw examples x [N, *raw_shape] as they are, if shape and values are those that the model knows; see `checked`.

    The server does not check shapes: without this, [2, 8, 4, 1] would be answered as four rows of [4, 4, 1].
    """
    return checked(tf.ensure_shape(x, [None, *preprocess.raw_shape], name), preprocess, name, levels)


def _bounds(preprocess, levels):
    """Returns (low, high, whole): the values that raw examples may have, infinite ends for all finite numbers.

    Of a table, in which a cell may be missing, arrays [C].
    """
    if isinstance(preprocess, TablePreprocess | CountPreprocess):
        return preprocess.bounds()
    dtype = tf.as_dtype(preprocess.raw_dtype)
    low, high = (0, 1) if dtype == tf.bool else (dtype.min, dtype.max) if dtype.is_integer else (-math.inf, math.inf)
    if levels:
        low, high = max(low, 0), min(high, levels - 1)
    elif preprocess.noise == "binarise" and preprocess.scale.size == preprocess.shift.size == 1:
        lowest, highest = float(preprocess.shift), float(preprocess.shift + 1 / preprocess.scale)  # intensities 0 and 1
        low, high = max(low, round(lowest, 3)), min(high, round(highest, 3))
    return low, high, not dtype.is_floating


def checked(
    x: tf.Tensor, preprocess: Preprocess, name: str, levels: int | None = None, rows: tf.Tensor | None = None
) -> tf.Tensor:
    """Returns raw examples x [N, ...] as they are, if their values are ones that the model knows.

    These are what the raw dtype can hold: finite numbers, or whole ones in its range; of levels, 0 to levels - 1; of
    intensities without levels, which are drawn as 0 or 1, 0 to 1; of a table, those of each column, and NaN if the
    model has learned of missing cells; of counts, whole numbers, not 0 alone in a row.

    Args:
      x: of the raw dtype, or float32 in its place.
      preprocess: the model's `Preprocess`.
      name: of the feature, for the message.
      levels: number of levels of the model's examples, or None.
      rows: int64 [N, 1], their numbers in the request; None for 0 to N - 1.
    """
    low, high, whole = _bounds(preprocess, levels)
    if x.dtype == tf.bool:
        return x
    wide = tf.cast(x, tf.float64)
    right = tf.math.is_finite(wide) & (wide >= low) & (wide <= high)
    right = right & (~np.asarray(whole) | (wide == tf.round(wide)))
    if isinstance(preprocess, TablePreprocess):
        right |= tf.math.is_nan(wide) & preprocess.reads_missing
        missing = "NaN where a cell is missing" if preprocess.reads_missing else UNLEARNED
        allowed = f"finite numbers, {missing}, 0 or 1 and codes as in training"
    else:
        allowed = "finite numbers" if high == math.inf else f"{'whole ' * whole}numbers from {low} to {high}"
    right = tf.reduce_all(right, list(range(1, right.shape.rank)))
    if isinstance(preprocess, CountPreprocess):
        right &= tf.reduce_sum(wide, -1) > 0
        allowed += ", in a row not 0 alone"
    message = f"{name}: allowed: {allowed}; got other values in the rows (from 0)"
    wrong = tf.where(~right)
    wrong = wrong if rows is None else tf.gather_nd(rows, wrong)
    with tf.control_dependencies([tf.debugging.Assert(tf.reduce_all(right), [message, wrong[:, 0]])]):
        return tf.identity(x)


def decode_pictures(encoded: tf.Tensor, preprocess: Preprocess, name: str, levels: int | None = None) -> tf.Tensor:
    """Returns uint8 [N, *raw_shape] from PNG or JPEG files, string [N]: the levels that `data.picture_files` reads.

    JPEG by the accurate integer transform, as Pillow does; alpha dropped, the upper 8 of 16 bits, grey repeated for a model
    of colours and Y = 0.299 R + 0.587 G + 0.114 B for one of grey. What would be another picture is refused: other formats,
    an orientation that is not upright. So is another size, before a pixel is decoded, unless the preprocessing has
    `any_size`: then it is fitted (`resize.fit`), one picture after the other, so that only one of them, of at most
    `resize.LARGEST` pixels, is in memory. `levels`, if given, is the number of levels of the model's examples: a picture
    with higher ones is refused.
    """
    shape, any_size, highest = list(preprocess.raw_shape), preprocess.any_size, (levels or 256) - 1

    def decode(file):
        with tf.control_dependencies(_check_picture(file, shape, any_size, name)):
            # The operation reads PNG too.
            colours = tf.io.decode_jpeg(file, 3, dct_method="INTEGER_ACCURATE", name=_operation(name))
        if any_size:
            colours = tf.ensure_shape(resize.fit(colours, *shape[:2]), [*shape[:2], 3])
        picture = tf.ensure_shape(colours if shape[-1] == 3 else _grey(colours), shape)
        found = tf.cast(tf.reduce_max(picture), tf.int32)
        message = f"{name}: allowed: a picture of levels 0 to {highest}, as in training; got up to"
        with tf.control_dependencies([tf.debugging.Assert(found <= highest, [message, found])]):
            return tf.identity(picture)

    at_once = 1 if any_size else None
    return tf.map_fn(decode, encoded, parallel_iterations=at_once, fn_output_signature=tf.TensorSpec(shape, tf.uint8))


def _operation(name):
    return name.replace("/", "_")


def _check_picture(file, shape, any_size, name):
    """Returns operations that fail if the file is none that `decode_pictures` reads."""
    is_jpeg = tf.io.is_jpeg(file)
    known = is_jpeg | (tf.strings.substr(file, 0, len(PNG)) == PNG)
    with tf.control_dependencies([tf.debugging.Assert(known, [f"{name}: allowed: PNG and JPEG files; got another kind"])]):
        size = tf.cond(
            is_jpeg, lambda: tf.image.extract_jpeg_shape(file, name=_operation(name))[:2], lambda: _png_size(file)
        )
    upright = ~tf.strings.regex_full_match(file, TURNED)
    turned = f"{name}: allowed: upright pictures; got one that its EXIF turns, which bin/classify can read, or you can turn"
    if any_size:
        fits = tf.reduce_all(size > 0) & (tf.reduce_prod(tf.cast(size, tf.int64)) <= resize.LARGEST)
        allowed = f"{name}: allowed: a picture of at most {resize.LARGEST} pixels; got height and width"
    else:
        fits = tf.reduce_all(tf.equal(size, shape[:2]))
        allowed = f"{name}: allowed: a picture of height and width {shape[:2]}; got"
    return [tf.debugging.Assert(fits, [allowed, size]), tf.debugging.Assert(upright, [turned])]


def _png_size(file):
    """Returns [height, width], int32, by the header of a PNG file."""
    octets = tf.cast(tf.io.decode_raw(file, tf.uint8, fixed_length=24)[16:], tf.int32)
    return tf.reduce_sum(tf.reshape(octets, [2, 4]) * [1 << 24, 1 << 16, 1 << 8, 1], 1)[::-1]


def _grey(colours):
    """Returns uint8 [height, width, 1] of uint8 [height, width, 3], rounded as by Pillow; of equal colours, these."""
    weighted = tf.reduce_sum(tf.cast(colours, tf.int32) * [19595, 38470, 7471], -1, keepdims=True)
    return tf.cast((weighted + (1 << 15)) // (1 << 16), tf.uint8)


def parse_examples(serialised: tf.Tensor, preprocess: Preprocess, levels: int | None = None) -> tf.Tensor:
    """Returns raw examples, float32 [N, *raw_shape], from serialised tf.Example protos, string [N].

    Each has exactly one of these features:

        x              the flat raw example: Int64List if the raw dtype holds whole numbers, FloatList otherwise
        x_int64        the same as Int64List, x_float as FloatList, whatever the raw dtype: over REST, JSON's 1 is an
                       integer, and a list that mixes 0 with 0.5 is refused by the server
        x_bytes        its memory in the raw dtype, little-endian
        image/encoded  a PNG or JPEG file, for models that read pictures, of any size for some (see `decode_pictures`)
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
                values = decode_pictures(values, preprocess, name, levels)
            values = tf.cast(checked(tf.reshape(values, [-1, size]), preprocess, name, levels, rows), tf.float32)
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
