"""Arrays of the user's own: which are read, how, and how cheaply others are refused."""

import io
import os
import types
import zipfile

import numpy as np
import pytest

from tfadgm.data import npz, on_disk
from tfadgm.runs import build, recipes

X, Y = np.random.default_rng(0).normal(size=(12, 3)).astype("float32"), np.arange(12) % 2


def save(path, **arrays):
    np.savez(path, **arrays)
    return str(path)


@pytest.mark.parametrize("dtype", [">f4", ">f8", ">i2", "longdouble", "float16"])
def test_byte_order_and_precision_are_the_machines(tmp_path, dtype):
    x = np.rint(10 * X).astype(dtype)
    data = npz.load(save(tmp_path / "own.npz", x=x, y=Y.astype(">i4"), x_test=x[:4], y_test=Y[:4].astype(">i8")))
    assert data.x_train.dtype in (np.float32, np.int16) and data.x_train.dtype.isnative
    assert data.x_test.dtype == data.x_train.dtype
    np.testing.assert_array_equal(data.x_train, np.rint(10 * X))
    np.testing.assert_array_equal(data.y_train, Y)


def test_bytes_of_another_order_are_turned_for_a_data_set_of_arrays():
    data = npz.Dataset("t", X.astype(">f4"), Y, None, None, ["a", "b"], "gaussian")
    assert data.x_train.dtype.isnative and str(data.make_preprocess().raw_dtype) == "float32"


def test_nan_is_unlabelled(tmp_path):
    y = np.where(np.arange(12) < 3, np.nan, Y)
    assert npz.load(save(tmp_path / "own.npz", x=X, y=y)).y_train.tolist() == [-1] * 3 + Y[3:].tolist()


@pytest.mark.parametrize("arrays, why", [(dict(x=X), "has no array y|and no y"), (dict(x=X, y=Y * 0 - 1), "is unlabelled")])
def test_without_labels_a_density_and_clusters_can_be_trained(tmp_path, arrays, why):
    dataset = f"npz:{save(tmp_path / 'own.npz', **arrays, x_test=X[:2])}"
    for options in (dict(model="vae"), dict(model="avae"), dict(model="lvae"), dict(model="m2", labels=0, clusters=3)):
        settings = recipes.resolve(dataset=dataset, epochs=1, **options)
        data, split = build.load_data(settings)
        build.make_model(settings, data, split)
    settings = recipes.resolve("m2", dataset, epochs=1)
    with pytest.raises(ValueError, match=f"got m2 for 0 classes, as .*({why}).*allowed: --clusters=K"):
        build.make_model(settings, *build.load_data(settings))


WORDS = np.array(["no", "yes"])[Y]


@pytest.mark.parametrize("y", [WORDS, WORDS.astype("S"), np.where(np.arange(12) < 3, "nan", WORDS)], ids=["U", "S", "some"])
def test_labels_are_text_too(tmp_path, y):
    """Of bytes and characters; with a test set, whose classes are the same."""
    data = npz.load(save(tmp_path / "own.npz", x=X, y=y, x_test=X[:2], y_test=np.array(["yes", "no"])))
    known = np.char.decode(y) if y.dtype.kind == "S" else y
    assert data.class_names == ["no", "yes"] and data.y_test.tolist() == [1, 0]
    np.testing.assert_array_equal(data.y_train, np.where(known == "nan", -1, known == "yes"))
    assert ("'nan' 3" in data.notes[0]) == ("nan" in known)


@pytest.mark.parametrize(
    "arrays, message",
    [
        (dict(y=WORDS.astype(object)), r"y holds Python objects; allowed: numbers or text, as np.asarray\(y, str\) is"),
        (dict(y=WORDS, x_test=X[:2], y_test=Y[:2]), "y_test has dtype int64 beside labels that are text; allowed: text"),
        (dict(y=np.full(12, "a")), "the labels name 1 class, 'a'; allowed: at least 2, or none"),
        (dict(y=WORDS[:, None]), r"y has shape \(12, 1\); allowed: \(N,\)"),
        (dict(y=np.array([b"\xff", b"a"] * 6)), "y holds bytes that are no UTF-8; allowed: text"),
        (dict(y=Y + 0.5), "y holds fractions; allowed: whole numbers, -1 or NaN"),
        (dict(y=np.full(12, "2020-01-01", "datetime64[D]")), "y has dtype datetime64.*; allowed: whole numbers, .* or text"),
    ],
)
def test_labels_that_are_neither_numbers_nor_text_are_refused(tmp_path, arrays, message):
    with pytest.raises(ValueError, match=message):
        npz.load(save(tmp_path / "own.npz", x=X, **arrays))


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int8", "uint64", "float16", "float64"])
def test_labels_are_numbers_of_any_type(tmp_path, dtype):
    np.testing.assert_array_equal(npz.load(save(tmp_path / "own.npz", x=X, y=Y.astype(dtype))).y_train, Y)


SCALES = {f"{scale:g}": X.astype("float64") * scale for scale in (1e-30, 1e-6, 1e6, 1e30)}
SCALES |= {dtype: np.rint(20 * np.abs(X)).astype(dtype) for dtype in ("uint8", "int16", "uint32", "int64")}


@pytest.mark.parametrize("name", SCALES)
def test_numbers_of_any_scale_and_type_are_standardised(tmp_path, name):
    data = npz.load(save(tmp_path / "own.npz", x=SCALES[name], y=Y))
    x = data.make_preprocess()(data.x_train).numpy()
    centred = SCALES[name] - SCALES[name].mean(0, dtype="float64")
    np.testing.assert_allclose(x, centred / centred.std(0), atol=1e-4)


def test_classes_of_minus_1_and_1_are_told(tmp_path):
    with pytest.raises(ValueError, match="y has no label 0, and -1 is unlabelled; allowed: classes numbered 0"):
        npz.load(save(tmp_path / "own.npz", x=X, y=2 * Y - 1))


def test_identifiers_as_labels_are_refused(tmp_path):
    with pytest.raises(ValueError, match="y: names 500 classes in 500 rows .* looks like an identifier"):
        npz.load(save(tmp_path / "own.npz", x=np.ones((500, 2)), y=np.arange(500)))


@pytest.mark.parametrize("shape", [(3, 8, 6), (1, 28, 28), (4, 8, 8)])
def test_channels_that_come_first_are_refused(tmp_path, shape):
    with pytest.raises(ValueError, match=r"its channels seem to come first; allowed: .*x.transpose\(0, 2, 3, 1\)"):
        npz.load(save(tmp_path / "own.npz", x=np.zeros((12, *shape), "uint8"), y=Y))


@pytest.mark.parametrize("shape", [(8, 6, 3), (28, 28, 1), (3, 8, 1), (16, 16, 10)])
def test_channels_that_come_last_are_read(tmp_path, shape):
    assert npz.load(save(tmp_path / "own.npz", x=np.zeros((12, *shape), "uint8"), y=Y)).raw_shape == shape


LEVELS = np.random.default_rng(0).integers(0, 256, (12, 5, 5, 1)).astype("uint8")
OTHER_SCALES = {
    "intensities for levels": (LEVELS, LEVELS / 255, "x_test holds 0.* allowed: whole numbers from 0 to 255"),
    "levels for intensities": (LEVELS / 255, LEVELS, "x_test: holds numbers from .* to 255; allowed: 0 to 1"),
    "binary for levels": (LEVELS, LEVELS // 128, "x_test: holds numbers from 0 to 1; allowed: 0 to 255, as in training"),
    "too large to be a byte": (LEVELS, LEVELS.astype("int64") + 256, "x_test holds .* allowed: whole numbers from 0 to 255"),
    "not finite": (LEVELS / 255, np.where(LEVELS > 9, LEVELS, np.nan), "x_test has .* NaN or infinite"),
}


@pytest.mark.parametrize("name", OTHER_SCALES)
def test_a_test_set_of_another_scale_is_refused(tmp_path, name):
    x, x_test, message = OTHER_SCALES[name]
    with pytest.raises(ValueError, match=message):
        npz.load(save(tmp_path / "own.npz", x=x, y=Y, x_test=x_test, y_test=Y))


def test_a_test_set_of_another_type_and_the_same_numbers_is_read(tmp_path):
    data = npz.load(save(tmp_path / "own.npz", x=LEVELS, y=Y, x_test=LEVELS.astype("float64"), y_test=Y))
    assert data.x_test.dtype == np.uint8 and np.array_equal(data.x_test, LEVELS) and not data.warnings


def test_a_test_table_in_other_units_is_told(tmp_path):
    x = X.copy()
    data = npz.load(save(tmp_path / "own.npz", x=x, y=Y, x_test=x * [1, 1000, 1], y_test=Y))
    (line,) = data.warnings
    assert "x_test: column 1 (from 0) is" in line and "the same units" in line
    assert not npz.load(save(tmp_path / "own.npz", x=x, y=Y, x_test=1.1 * x, y_test=Y)).warnings


# ---------------------------------------------------------------------------------------------------- members and files


def member(array, **options):
    file = io.BytesIO()
    np.save(file, array, **options)
    return file.getvalue()


MEMBERS = {
    "text": (b"hello\n" * 10, "x is no array"),
    "a directory": (None, "has arrays y; allowed: x are required"),
    "cut": (member(X)[:-20], "x has 124 bytes; allowed: 144, as its shape"),
    "more than it says": (member(X) + b"more", "x has 148 bytes; allowed: 144"),
    "objects": (member(np.array([{}], object), allow_pickle=True), "x holds Python objects"),
    "a single value": (member(np.float32(1)), r"x has shape \(\); allowed: \[N, ...\]"),
    "text array": (member(np.full((12, 3), "a")), "x has dtype <U1; allowed: numbers"),
    "complex": (member(X.astype("complex64")), "x has dtype complex64; allowed: numbers"),
    "dates": (member(np.zeros((12, 3), "datetime64[s]")), "x has dtype datetime64"),
    "records": (member(np.zeros(12, "f4,i4")), "x has dtype"),
}


@pytest.mark.parametrize("kind", MEMBERS)
def test_members_that_are_no_examples_are_named(tmp_path, kind):
    content, message = MEMBERS[kind]
    with zipfile.ZipFile(tmp_path / "own.npz", "w") as archive:
        archive.writestr("x.npy/" if content is None else "x.npy", content or b"")
        archive.writestr("y.npy", member(Y))
    with pytest.raises(ValueError, match=message) as caught:
        npz.load(str(tmp_path / "own.npz"))
    assert "own.npz: " in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["bomb", "disk"])
def test_what_expands_to_too_much_is_refused_before_it_is_read(tmp_path, monkeypatch, kind):
    if kind == "bomb":
        monkeypatch.setattr(npz, "BOMB_BYTES", 1 << 20)
        told = "x expands from [0-9]+ to 2000000 bytes; allowed: at most 100 times its compressed size beyond 1048576 bytes"
    else:
        monkeypatch.setattr(on_disk, "LARGE_BYTES", 1000)
        monkeypatch.setattr(os, "statvfs", lambda place: types.SimpleNamespace(f_bavail=1, f_frsize=4096))
        told = "x takes 2000000 bytes in .*, which has 4096; allowed: a TMPDIR on a larger disk"
    monkeypatch.setattr(npz, "_read_member", lambda *_: pytest.fail("it was read"))
    path = tmp_path / "own.npz"
    np.savez_compressed(path, x=np.zeros((1000, 500), "float32"), y=np.arange(1000) % 2)
    with pytest.raises(ValueError, match=told):
        npz.load(str(path))


def test_a_pipe_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe.npz")
    with pytest.raises(ValueError, match="is a pipe or a device; allowed: an npz file"):
        npz.load(str(tmp_path / "pipe.npz"))
