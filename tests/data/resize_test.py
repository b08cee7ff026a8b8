"""Fitting a picture to a size: the stated weights in NumPy, Pillow's own filter, and which window stays."""

import numpy as np
import picture_examples as examples
import pytest
from PIL import Image

from tfadgm.data import image_sizes, resize


def window(picture, height, width):
    """The largest centred part with the aspect ratio height : width, to whole pixels."""
    rows, columns = picture.shape[:2]
    keep = (min(rows, int(columns * height / width + 0.5)), min(columns, int(rows * width / height + 0.5)))
    (keep_rows, keep_columns) = (max(1, side) for side in keep)
    top, left = (rows - keep_rows) // 2, (columns - keep_columns) // 2
    return picture[top : top + keep_rows, left : left + keep_columns]


def weights(old, new):
    """[new, old]: max(0, 1 - distance / max(1, s)) of the centres, each row with the sum 1."""
    s = old / new
    distance = np.abs((np.arange(new)[:, None] + 0.5) * s - (np.arange(old) + 0.5))
    found = np.maximum(0, 1 - distance / max(1, s))
    return found / found.sum(1, keepdims=True)


SIZES = [
    (8, 6, 4, 3),
    (9, 7, 8, 6),
    (5, 5, 12, 20),
    (30, 7, 6, 6),
    (3, 200, 8, 8),
    (1, 1, 5, 4),
    (64, 48, 28, 28),
    (2, 9, 9, 1),
]


@pytest.mark.parametrize(("rows", "columns", "height", "width"), SIZES)
@pytest.mark.parametrize("channels", [1, 3])
def test_a_fitted_picture_is_its_window_under_the_stated_weights(rows, columns, height, width, channels):
    x = np.atleast_3d(examples.levels(rows, columns, channels))
    found = resize.fit(x, height, width).numpy()
    part = window(x, height, width).astype("float64")
    expected = np.einsum("hi,wj,ijc->hwc", weights(part.shape[0], height), weights(part.shape[1], width), part)
    assert found.dtype == np.uint8
    np.testing.assert_allclose(found, expected, atol=0.5 + 1e-3)  # the nearest level


@pytest.mark.parametrize(("rows", "columns", "height", "width"), SIZES)
def test_a_fitted_picture_is_pillows_to_within_a_level(rows, columns, height, width):
    x = examples.levels(rows, columns)
    own = Image.fromarray(window(x, height, width)).resize((width, height), Image.Resampling.BILINEAR)
    assert np.abs(np.asarray(own, int) - resize.fit(x, height, width).numpy()).max() <= 1


def test_what_has_the_size_stays_and_what_is_larger_by_a_few_pixels_is_cut():
    x = examples.levels(9, 6)
    np.testing.assert_array_equal(resize.fit(x, 9, 6), x)
    np.testing.assert_array_equal(resize.fit(x, 6, 6), x[1:7])  # of three rows, the odd one is cut off below
    np.testing.assert_array_equal(resize.fit(x, 9, 3), x[:, 1:4])


def test_a_circle_stays_one():
    row, column = np.mgrid[:60, :100]
    disc = np.where((row - 29.5) ** 2 + (column - 49.5) ** 2 < 20**2, 255, 0).astype("uint8")[..., None]
    found = resize.fit(disc, 30, 40).numpy()[..., 0] > 127
    assert abs(int(found.any(0).sum()) - int(found.any(1).sum())) <= 1 and found.any(0).sum() == pytest.approx(20, abs=1)


@pytest.mark.parametrize(
    "text", ["", "28", "28x", "x28", "0x28", "28x0", "-1x28", "28x28x1", "28 x 28", "28X28", "2.5x3", "10000x1"]
)
def test_what_is_no_size_is_refused(text):
    with pytest.raises(
        ValueError, match="image_size: got .*; allowed: HEIGHTxWIDTH in pixels, each from 1 to 9999, such as"
    ):
        image_sizes.parse(text)
    assert image_sizes.parse("28x20") == (28, 20)
