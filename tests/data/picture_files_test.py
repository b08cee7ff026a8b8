"""One picture file: what is read of each kind, what is converted with a remark, and what is refused by its header."""

import os
import tracemalloc

import numpy as np
import picture_examples as examples
import pytest
from PIL import Image

from tfadgm.data import picture_files, resize
from tfadgm.data.picture_files import read_example, read_image, read_shape

# Pillow's formula of Y = 0.299 R + 0.587 G + 0.114 B, in whole numbers.
WEIGHTS = np.array([0.299, 0.587, 0.114])


def write(path, picture, **options):
    picture = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    picture.save(path, **options)
    return path


@pytest.mark.parametrize(
    "mode, value, expected",
    [
        ("L", 200, [200]),
        ("LA", (200, 3), [200]),
        ("I;16", 257 * 200, [200]),
        ("I;16", 256 * 200, [200]),
        ("RGBA", (1, 2, 3, 4), [1, 2, 3]),
        ("1", 1, [255]),
    ],
)
def test_every_kind_of_png_becomes_8_bit_grey_or_rgb(tmp_path, mode, value, expected):
    picture = read_image(write(tmp_path / "a.png", Image.new(mode, (4, 3), value)))
    assert picture.dtype == np.uint8 and picture.shape == (3, 4, len(expected))
    assert picture[1, 2].tolist() == expected


@pytest.mark.parametrize("suffix", ["png", "bmp", "webp", "tif", "tiff"])
def test_formats_without_loss(tmp_path, suffix):
    x = examples.levels()
    path = write(tmp_path / f"a.{suffix}", x, **(dict(lossless=True) if suffix == "webp" else {}))
    np.testing.assert_array_equal(read_image(path), x)
    assert read_shape(path) == x.shape


# What EXIF's orientations do: value 6 is shown turned by 90 degrees clockwise, ...
UPRIGHT = {
    1: lambda x: x,
    2: lambda x: x[:, ::-1],
    3: lambda x: x[::-1, ::-1],
    4: lambda x: x[::-1],
    5: lambda x: x.swapaxes(0, 1),
    6: lambda x: np.rot90(x, -1),
    7: lambda x: x.swapaxes(0, 1)[::-1, ::-1],
    8: lambda x: np.rot90(x),
}


@pytest.mark.parametrize("orientation", UPRIGHT)
def test_pictures_are_turned_as_their_exif_says(tmp_path, orientation):
    x = examples.levels(5, 7)
    path = write(tmp_path / "a.png", x, exif=examples.turned(orientation))
    expected = UPRIGHT[orientation](x)
    assert read_shape(path) == expected.shape
    np.testing.assert_array_equal(read_image(path), expected)


def test_16_bits_are_turned_too(tmp_path):
    x = examples.levels(5, 7, 1).astype("uint16") * 257
    path = write(tmp_path / "a.png", x, exif=examples.turned(6))
    np.testing.assert_array_equal(read_image(path)[..., 0], np.rot90(x >> 8, -1))


def test_a_photograph_on_its_side_is_turned(tmp_path):
    x = np.zeros((16, 32, 3), "uint8")
    x[:, :16] = 200  # the left half is light: shown with orientation 6, the upper half
    path = write(tmp_path / "a.jpg", x, exif=examples.turned(6), quality=95)
    picture = read_image(path)
    assert picture.shape == (32, 16, 3) and picture[:14].mean() > 195 and picture[-14:].mean() < 5


def test_exif_that_cannot_be_read_turns_nothing(tmp_path):
    x = examples.levels()
    exif = b"Exif\x00\x00MM\x00*\x00\x00\x00\x08\xff\xff" + b"\x01\x12\x00\x03" * 3
    np.testing.assert_array_equal(read_image(write(tmp_path / "a.png", x, exif=exif)), x)


def test_colour_becomes_grey_and_grey_colour_with_a_remark(tmp_path):
    x = examples.levels()
    coloured, grey = write(tmp_path / "c.png", x), write(tmp_path / "g.png", x[..., 0])
    remarks = picture_files.Remarks()
    found = read_image(coloured, (8, 6, 1), remarks)
    np.testing.assert_allclose(found[..., 0], x @ WEIGHTS, atol=0.51)
    np.testing.assert_array_equal(read_image(grey, (8, 6, 3), remarks), np.repeat(x[..., :1], 3, -1))
    assert remarks == {picture_files.MADE_GREY: [coloured], picture_files.MADE_COLOURED: [grey]}
    assert remarks.lines()[0] == f"pictures that are in colour and are read in grey: 1 (first: {coloured})"


def test_what_is_left_out_of_a_picture_is_remarked(tmp_path):
    x, remarks = examples.levels(channels=4), picture_files.Remarks()
    opaque = np.concatenate([x[..., :3], np.full((8, 6, 1), 255, "uint8")], -1)
    frames = [Image.fromarray(np.full((8, 6), value, "uint8")) for value in (0, 200)]
    palette = Image.fromarray(x[..., :3]).quantize(16)
    moving = [write(tmp_path / f"f.{kind}", frames[0], save_all=True, append_images=frames[1:]) for kind in ("gif", "tif")]
    paths = {
        picture_files.TRANSPARENT: [write(tmp_path / "t.png", x), write(tmp_path / "p.png", palette, transparency=3)],
        picture_files.SIXTEEN_BITS: [write(tmp_path / "s.png", Image.new("I;16", (6, 8), 4095))],
        picture_files.FRAMES: [
            write(tmp_path / name, frames[0], save_all=True, append_images=frames[1:]) for name in moving
        ],
        None: [write(tmp_path / "o.png", opaque), write(tmp_path / "c.jpg", x[..., :3])],
    }
    for path in sum(paths.values(), []):
        read_image(path, remarks=remarks)
    assert remarks == {remark: own for remark, own in paths.items() if remark}
    assert read_image(paths[picture_files.FRAMES][0]).max() == 0  # the first frame


def test_a_telephones_second_picture_is_no_further_frame(tmp_path):
    remarks, x = picture_files.Remarks(), examples.levels(64, 64)
    second = dict(format="MPO", save_all=True, append_images=[Image.fromarray(255 - x)])
    path = write(tmp_path / "a.jpg", x, quality=95, **second)
    own = read_image(write(tmp_path / "b.jpg", x, quality=95))
    np.testing.assert_array_equal(read_image(path, remarks=remarks), own)
    assert not remarks


def test_another_size_is_refused_before_it_is_decoded(tmp_path):
    path = write(tmp_path / "a.png", Image.new("L", (13_000, 13_000)))
    tracemalloc.start()
    with pytest.raises(ValueError, match=r"a.png: is a picture of 13000 x 13000 pixels .*; allowed: 6 x 8 pixels"):
        read_image(path, (8, 6, 1))
    assert read_shape(path) == (13_000, 13_000, 1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 20


def test_a_picture_of_another_size_is_fitted_upright_before_it_becomes_grey(tmp_path):
    x = examples.levels(9, 16)
    path = write(tmp_path / "a.png", np.rot90(x), exif=examples.turned(6))
    colours = resize.fit(x, 5, 7).numpy()
    np.testing.assert_array_equal(read_image(path, (5, 7, 3), any_size=True), colours)
    np.testing.assert_array_equal(read_image(path, (9, 16, 3), any_size=True), x)
    grey = np.asarray(Image.fromarray(colours).convert("L"))
    np.testing.assert_array_equal(read_example(path, (5, 7), "uint8", any_size=True), grey)
    one = write(tmp_path / "b.png", x[..., 0])
    np.testing.assert_array_equal(read_image(one, (5, 7, 3), any_size=True)[..., 2], resize.fit(x[..., :1], 5, 7)[..., 0])


def test_a_picture_that_loses_more_than_half_of_its_area_is_remarked(tmp_path):
    paths = [write(tmp_path / f"{width}.png", Image.new("L", (width, 10))) for width in (4, 6, 10, 20, 21)]
    remarks = picture_files.Remarks()
    for path in paths:
        read_image(path, (5, 5, 1), remarks, any_size=True)
    assert remarks == {picture_files.CUT: [paths[0], paths[-1]]}


def test_a_huge_picture_is_not_decoded_where_any_size_is_read(tmp_path):
    path = write(tmp_path / "a.png", Image.new("1", (8193, 8192)))
    with pytest.raises(ValueError, match=r"a.png: is a picture of 8193 x 8192 pixels .*; allowed: at most 67108864 pixels"):
        read_image(path, (8, 6, 1), any_size=True)


def refused(tmp_path):
    """Files that cannot be read, and what is said of them."""
    (tmp_path / "cut.png").write_bytes(examples.encoded(examples.levels(64, 64), "PNG")[:2000])
    (tmp_path / "cut.jpg").write_bytes(examples.encoded(examples.levels(64, 64), "JPEG")[:2000])
    (tmp_path / "foreign.png").write_text("hello")
    (tmp_path / "empty.png").write_bytes(b"")
    Image.fromarray(examples.levels()).save(tmp_path / "program.png", format="EPS")  # which Pillow gives to Ghostscript
    write(tmp_path / "real.tif", np.random.default_rng(0).random((8, 6)).astype("float32"))
    write(tmp_path / "bomb.png", Image.new("1", (20_000, 20_000)))
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "device.png").symlink_to("/dev/zero")
    return {
        "cut.png": "not a readable picture: image file is truncated",
        "cut.jpg": "not a readable picture: image file is truncated",
        "foreign.png": "not a readable picture: cannot identify image file",
        "empty.png": "not a readable picture: cannot identify image file",
        "program.png": "not a readable picture: cannot identify image file",
        "real.tif": r"has more than 16 bits a channel \(Pillow's mode F\); allowed: 8 or 16",
        "bomb.png": "not a readable picture: Image size .* exceeds limit",
        "pipe.png": "is a pipe or a device; allowed: a picture",
        "folder.png": "is a directory; allowed: a picture",
        "device.png": "is a pipe or a device; allowed: a picture",
        "none.png": "no such file; allowed: a picture",
    }


def test_what_cannot_be_read_is_named_and_never_waited_for(tmp_path):
    for name, message in refused(tmp_path).items():
        with pytest.raises(ValueError, match=f"{name}: {message}") as caught:
            read_image(tmp_path / name)
        assert "\n" not in str(caught.value)


def test_a_picture_for_a_model_of_other_examples(tmp_path):
    x = examples.levels(channels=1)
    path = write(tmp_path / "a.png", x)
    np.testing.assert_array_equal(read_example(path, (8, 6), "uint8"), x)
    for shape, dtype in (((8, 6, 1), "float32"), ((8, 6, 4), "uint8"), ((48,), "uint8"), ((8, 6, 1), "int64")):
        with pytest.raises(
            ValueError, match=r"a.png: is a picture; allowed: .npz or .csv files, as the model's examples are"
        ):
            read_example(path, shape, dtype)
