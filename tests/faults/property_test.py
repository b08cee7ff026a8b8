"""Every reader on generated files: what it returns is what was written, or it refuses in one line.

The same examples in every run, a few of each; TFADGM_EXAMPLES=1000 looks further. What was found once is an `example`.
"""

import csv as python_csv
import dataclasses
import io
import json
import os

import numpy as np
import PIL.Image
import pytest
import tensorflow as tf
import trainings
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as of_numpy

from tfadgm.data import csv, npz, picture_files
from tfadgm.data.preprocess import Preprocess
from tfadgm.runs import recipes
from tfadgm.runs.run_directory import Run
from tfadgm.runs.settings import Settings, parse
from tfadgm.serving import inputs

EXAMPLES = int(os.environ.get("TFADGM_EXAMPLES", 25))
bounded = settings(
    max_examples=EXAMPLES,
    derandomize="TFADGM_EXAMPLES" not in os.environ,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
NUMBERS = st.one_of(of_numpy.integer_dtypes(endianness="?"), of_numpy.floating_dtypes(endianness="?", sizes=(16, 32, 64)))
ARRAYS = of_numpy.arrays(NUMBERS, of_numpy.array_shapes(max_dims=4, max_side=4))
DAMAGE = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=4)
WORDS = st.text("abcXYZ 0123456789.\"'\nüß", max_size=8).map(str.strip)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=5),
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(st.text(max_size=5), inside, max_size=3),
    max_leaves=5,
)


def damaged(content, damage):
    """Returns bytes of which some, at shares of their length, are others; the last place cuts them."""
    found = bytearray(content)
    for place, value in damage:
        found[min(int(place * len(found)), len(found) - 1)] = value
    return bytes(found[: 1 + int(damage[-1][0] * len(found))]) if damage[-1][1] % 2 else bytes(found)


def read_or_refused(read, *arguments):
    """Returns read(...); None if it refuses in one line."""
    try:
        return read(*arguments)
    except ValueError as error:
        assert "\n" not in str(error) and len(str(error)) > 10
        return None


@bounded
@given(ARRAYS)
@example(np.zeros((0, 3), ">f4"))
@example(np.asfortranarray(np.arange(6, dtype="<i2").reshape(2, 3)))
def test_npz_gives_back_what_was_written(tmp_path, array):
    np.savez(tmp_path / "x.npz", x=array)
    found = npz.read_arrays(tmp_path / "x.npz", ["x"])["x"]
    assert found.dtype == array.dtype.newbyteorder("=") and np.array_equal(found, array, equal_nan=array.dtype.kind == "f")


@bounded
@given(ARRAYS, DAMAGE, st.booleans())
def test_a_damaged_npz_is_refused_or_read(tmp_path, array, damage, compressed):
    content = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(content, x=array)
    (tmp_path / "x.npz").write_bytes(damaged(content.getvalue(), damage))
    found = read_or_refused(npz.read_arrays, tmp_path / "x.npz", ["x"])
    assert found is None or found["x"].size <= array.size


@bounded
@given(st.lists(st.lists(WORDS, min_size=3, max_size=3).filter(any), min_size=1, max_size=6), st.sampled_from(",;\t|"))
@example([["a\nb", '"', "c"]], ",")
def test_csv_gives_back_the_cells_that_were_written(tmp_path, rows, delimiter):
    with open(tmp_path / "x.csv", "w", newline="", encoding="utf-8") as file:
        python_csv.writer(file, delimiter=delimiter, quoting=python_csv.QUOTE_ALL).writerows([["u", "v", "label"], *rows])
    source = csv.Csv(tmp_path / "x.csv")
    found = [row for part in source.chunks(["u", "v", "label"]) for row in zip(*(c.to_pylist() for c in part), strict=True)]
    assert [list(row) for row in found] == rows


def read_csv(path):
    return csv.load(str(path))


@bounded
@given(st.lists(st.tuples(st.floats(width=32), st.integers(-5, 5), WORDS), min_size=1, max_size=6), DAMAGE)
@example([(0.0, 0, "a")], [(0.5, 0)])
def test_a_damaged_csv_is_refused_or_read(tmp_path, rows, damage):
    content = io.StringIO()
    python_csv.writer(content).writerows([["u", "v", "label"], *rows])
    (tmp_path / "x.csv").write_bytes(damaged(content.getvalue().encode(), damage))
    data = read_or_refused(read_csv, tmp_path / "x.csv")
    assert data is None or len(data.x_train) == len(data.y_train) > 0


PICTURES = st.tuples(st.integers(1, 6), st.integers(1, 6), st.sampled_from((1, 3))).flatmap(
    lambda shape: of_numpy.arrays("uint8", shape)
)


@bounded
@given(PICTURES, st.sampled_from(("PNG", "BMP", "TIFF", "GIF")))
def test_pictures_give_back_the_levels_that_were_written(tmp_path, pixels, kind):
    if kind == "GIF":
        pixels = pixels[..., :1]  # of colours it keeps 256
    PIL.Image.fromarray(pixels.squeeze(-1) if pixels.shape[-1] == 1 else pixels).save(tmp_path / "a.img", kind)
    np.testing.assert_array_equal(picture_files.read_image(tmp_path / "a.img", pixels.shape), pixels)


@bounded
@given(PICTURES, st.sampled_from(("PNG", "BMP", "TIFF", "GIF", "JPEG", "WEBP")), DAMAGE)
def test_a_damaged_picture_is_refused_or_read(tmp_path, pixels, kind, damage):
    content = io.BytesIO()
    PIL.Image.fromarray(np.repeat(pixels[..., :1], 3, -1)).save(content, kind)
    (tmp_path / "a.img").write_bytes(damaged(content.getvalue(), damage))
    found = read_or_refused(picture_files.read_image, tmp_path / "a.img")
    assert found is None or (found.dtype == np.uint8 and found.ndim == 3)


@settings(bounded, max_examples=8 * EXAMPLES)
@given(st.sampled_from([field.name for field in dataclasses.fields(Settings)]), st.text(max_size=12) | JSON.map(str))
@example("seed", "9" * 5000)
@example("hidden", ",")
@example("learning_rate", "1e999")
@example("class_prior", "nan,nan")
def test_the_text_of_a_setting_is_refused_or_a_value_that_settings_take_or_refuse(name, text):
    try:
        value = parse(name, text)
    except ValueError as error:
        assert str(error).startswith(f"{name}: got ") and "; allowed: " in str(error)
        return
    base = dataclasses.asdict(recipes.resolve("m2", "digits"))
    made = read_or_refused(lambda: Settings(**{**base, name: value}))
    assert made is None or Settings(**json.loads(json.dumps(dataclasses.asdict(made)))) == made


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    return trainings.write_run(tmp_path_factory.mktemp("runs") / "run")


def places(inside, before=()):
    """Yields the places of a JSON value's parts, tuples of keys."""
    for key, value in inside.items() if isinstance(inside, dict) else enumerate(inside):
        yield (*before, key)
        if isinstance(value, dict | list):
            yield from places(value, (*before, key))


@bounded
@given(st.data())
def test_a_config_with_a_part_of_any_kind_is_refused_or_opens(opened, data):
    directory, config = opened
    place = data.draw(st.sampled_from(sorted(places(config), key=str)))
    changed = inside = json.loads(json.dumps(config))
    for key in place[:-1]:
        inside = inside[key]
    inside[place[-1]] = data.draw(JSON)
    (directory / "config.json").write_text(json.dumps(changed))
    read_or_refused(Run.open, directory)


@bounded
@given(st.binary(max_size=60) | st.builds(damaged, st.just(tf.train.Example().SerializeToString() + b"\n\x0f" * 9), DAMAGE))
@example(b"\n\x80\x80\x80\x80\x80\x80")
def test_a_request_of_any_bytes_is_refused_or_read(serialised):
    try:
        raw = inputs.parse_examples(tf.constant([serialised]), Preprocess((3,)))
    except (
        tf.errors.InvalidArgumentError,
        UnicodeDecodeError,
    ):  # the second is one of the first, whose message has the bytes
        return
    assert raw.shape == (1, 3)
