"""A picture that is sent to a server is the picture that training reads from the same file, or it is refused."""

import struct

import numpy as np
import picture_examples as examples
import pytest
import tensorflow as tf
from PIL import Image

from tfadgm.data.picture_files import read_image
from tfadgm.data.preprocess import Preprocess
from tfadgm.serving import inputs

SIDE, OTHER = 64, (28, 20)
PICTURES = {"smooth": examples.smooth(SIDE), "rough": examples.levels(SIDE, SIDE)}
ALPHA = examples.levels(SIDE, SIDE, 1, seed=1)


@pytest.fixture(scope="module")
def decode():
    """Returns a function of (channels, files): the pictures [N, SIDE, SIDE, channels] that a compiled graph reads."""
    return graphs((SIDE, SIDE))


@pytest.fixture(scope="module")
def decode_any_size():
    """The same for pictures of any size, that become [N, *OTHER, channels]."""
    return graphs(OTHER, any_size=True)


def graphs(size, **options):
    def graph(channels):
        preprocess = Preprocess((*size, channels), "uint8", **options)
        function = tf.function(lambda files: inputs.decode_pictures(files, preprocess, "image/encoded"), autograph=False)
        return function.get_concrete_function(tf.TensorSpec([None], tf.string))

    found = {channels: graph(channels) for channels in (1, 3)}
    return lambda channels, *files: found[channels](tf.constant(files)).numpy()


def files_of(x):
    """Every kind of JPEG and PNG file that holds the picture x, uint8 [SIDE, SIDE, 3]."""
    grey, image = x[..., 0], Image.fromarray(x)
    few = image.quantize(16)
    deep = [x.astype("uint16") * 257 // 2, grey[..., None].astype("uint16") * 257 // 2]
    jpegs = [
        examples.encoded(x, "JPEG", quality=quality, subsampling=subsampling, progressive=progressive)
        for quality in (50, 75, 95)
        for subsampling in (0, 1, 2)
        for progressive in (False, True)
    ]
    jpegs += [examples.encoded(grey, "JPEG"), examples.encoded(image.convert("CMYK"), "JPEG", quality=95)]
    pngs = [examples.encoded(one, "PNG") for one in (x, grey, image.convert("1"), image.quantize(), few)]
    pngs += [examples.encoded(np.concatenate([x, ALPHA[..., None]], -1), "PNG")]
    pngs += [examples.encoded(Image.merge("LA", [Image.fromarray(grey), Image.fromarray(ALPHA)]), "PNG")]
    pngs += [examples.encoded(few, "PNG", transparency=3), examples.encoded(few, "PNG", transparency=bytes(range(16)))]
    pngs += [examples.encoded(grey, "PNG", transparency=3), examples.encoded(x, "PNG", exif=examples.turned(1))]
    return jpegs + pngs + [tf.io.encode_png(one).numpy() for one in deep]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("kind", PICTURES)
def test_a_served_picture_is_the_one_that_training_reads(decode, tmp_path, kind, channels):
    files = files_of(PICTURES[kind])
    for number, (file, served) in enumerate(zip(files, decode(channels, *files), strict=True)):
        (tmp_path / "picture").write_bytes(file)
        own = read_image(tmp_path / "picture", (SIDE, SIDE, channels))
        assert np.abs(own.astype(int) - served).max() <= 1, number  # one level: another build of Pillow's libjpeg
        assert (own != served).mean() < 0.01, number


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("kind", PICTURES)
def test_a_served_picture_of_another_size_becomes_what_it_would_in_training(decode_any_size, tmp_path, kind, channels):
    whole = PICTURES[kind]
    pictures = [whole, whole[:9], whole[:, 5:12], whole[20:48, 7:27], whole[:1, :1], np.tile(whole, (3, 2, 1))]
    lossless = [examples.encoded(x, "PNG") for x in pictures] + [examples.encoded(x[..., 0], "PNG") for x in pictures]
    files = lossless + files_of(whole)
    for number, (file, served) in enumerate(zip(files, decode_any_size(channels, *files), strict=True)):
        (tmp_path / "picture").write_bytes(file)
        own = read_image(tmp_path / "picture", (*OTHER, channels), any_size=True)
        limit = 0 if number < len(lossless) else 1  # of a JPEG one level, as above
        assert np.abs(own.astype(int) - served).max() <= limit, number


def header(width, height):
    """The beginning of a PNG file that says a size, and has no pixels."""
    return examples.encoded(Image.new("1", (1, 1)), "PNG")[:16] + struct.pack(">II", width, height) + bytes(16)


@pytest.mark.parametrize(
    "size", [(8193, 8192), (1, (1 << 26) + 1), (1 << 31, 1 << 31), ((1 << 32) - 1, 1), (0, 5), (1 << 16,) * 2]
)
def test_a_picture_of_too_many_pixels_is_refused_by_its_header(decode_any_size, size):
    with pytest.raises(
        tf.errors.InvalidArgumentError, match="allowed: a picture of at most 67108864 pixels; got height and"
    ):
        decode_any_size(3, header(*size))


X = PICTURES["smooth"]
REFUSED = {
    "a picture on its side": (examples.encoded(X, "JPEG", exif=examples.turned(6)), "allowed: upright pictures"),
    "a mirrored PNG": (examples.encoded(X, "PNG", exif=examples.turned(2)), "allowed: upright pictures"),
    "XMP": (examples.encoded(X, "JPEG", xmp=b'<x tiff:Orientation="6"/>'), "allowed: upright pictures"),
    "BMP, whose palette would be lost": (examples.encoded(Image.fromarray(X).quantize(), "BMP"), "allowed: PNG and JPEG"),
    "GIF, whose transparency would be black": (examples.encoded(X, "GIF"), "allowed: PNG and JPEG"),
    "WebP": (examples.encoded(X, "WEBP"), "allowed: PNG and JPEG"),
    "no picture": (b"hello", "allowed: PNG and JPEG"),
    "nothing": (b"", "allowed: PNG and JPEG"),
    "half a JPEG": (examples.encoded(X, "JPEG")[:700], "image_encoded"),
    "a tenth of a JPEG": (examples.encoded(X, "JPEG")[:90], "image_encoded"),
    "half a PNG": (examples.encoded(X, "PNG")[:200], "image_encoded"),
    "eight bytes of a PNG": (examples.encoded(X, "PNG")[:8], r"height and width \[64, 64\]; got\] \[0 0\]"),
    "another size": (examples.encoded(X[:40], "JPEG"), r"height and width \[64, 64\]; got\] \[40 64\]"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_would_be_another_picture_is_refused(decode, kind):
    file, message = REFUSED[kind]
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        decode(3, file)


def test_another_size_is_refused_by_the_header_alone(decode):
    header = examples.encoded(Image.new("1", (13_000, 12_000)), "PNG")[:40]  # there is nothing to decode
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"height and width \[64, 64\]; got\] \[12000 13000\]"):
        decode(1, header)


@pytest.mark.parametrize("levels", [2, 17])
def test_levels_that_training_had_not_are_refused(levels):
    def decode(picture):
        file = tf.constant([examples.encoded(picture, "PNG")])
        return inputs.decode_pictures(file, Preprocess((8, 8, 1), "uint8"), "inputs", levels)[0, ..., 0]

    x = examples.levels(8, 8, 1) % levels
    np.testing.assert_array_equal(decode(x), x)
    with pytest.raises(tf.errors.InvalidArgumentError, match=f"a picture of levels 0 to {levels - 1}, as in training"):
        decode(x * (255 // (levels - 1)))


@pytest.mark.parametrize(
    ("dtype", "levels", "noise", "right", "wrong"),
    [
        ("float32", None, "binarise", [0.0, 1.0], [[-0.1, 0.0], [0.0, 255.0]]),
        ("float32", None, "none", [-5.0, 255.0], [[np.nan, 0.0], [np.inf, 0.0]]),
        ("uint8", 17, "dequantise", [0, 16], [[0, 17], [255, 0]]),
        ("int64", 2, "binarise", [0, 1], [[-1, 0], [2, 0]]),
    ],
)
def test_values_that_the_model_does_not_know_are_refused_in_arrays_too(dtype, levels, noise, right, wrong):
    preprocess = Preprocess((2,), dtype, noise=noise)
    np.testing.assert_array_equal(inputs.read(tf.constant([right], dtype), preprocess, levels), [right])
    for row in wrong:
        with pytest.raises(tf.errors.InvalidArgumentError, match="x: allowed: "):
            inputs.read(tf.constant([row], dtype), preprocess, levels)
