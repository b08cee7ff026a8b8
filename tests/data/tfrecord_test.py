"""Files of tf.Example records: what is read, by which features file, and what is refused in which words."""

import json

import numpy as np
import pytest
import tensorflow as tf
import tfrecord_files
from picture_examples import encoded, levels
from tfrecord_files import describe, example, write

from tfadgm.data import examples, fingerprint, tfrecord
from tfadgm.runs import build, recipes

X = np.random.default_rng(0).normal(size=(12, 3)).astype("float32")
Y = np.arange(12) % 2
NUMBERS = dict(x=dict(dtype="float32", shape=[3], role="x"), y=dict(dtype="int64", shape=[], role="label"))


@pytest.fixture
def folder(tmp_path):
    """Two files of numbers, one GZIP, and a test file; the third record has no label."""
    describe(tmp_path, **NUMBERS)
    records = [example(x=x, y=None if i == 2 else y) for i, (x, y) in enumerate(zip(X, Y, strict=True))]
    write(tmp_path / "train-0.tfrecord", records[:5])
    write(tmp_path / "train-1.tfrecord", records[5:10], "GZIP")
    write(tmp_path / "test.tfrecord", records[10:])
    return tmp_path


def refused(folder, match, pattern="*.tfrecord", **options):
    with pytest.raises(ValueError, match=match) as caught:
        tfrecord.load(str(folder / pattern), **options)
    assert "\n" not in str(caught.value)


def test_numbers_of_plain_and_zipped_files_in_the_order_of_their_names(folder):
    data = tfrecord.load(str(folder / "train*"), test_files=str(folder / "test*"))
    np.testing.assert_array_equal(data.x_train, X[:10])
    np.testing.assert_array_equal(data.x_test, X[10:])
    assert data.y_train.tolist() == [0, 1, -1, 1, 0, 1, 0, 1, 0, 1] and data.y_test.tolist() == [0, 1]
    assert data.class_names == ["0", "1"] and data.likelihood == "gaussian" and data.x_train.dtype == np.float32


def test_pictures_are_those_of_their_files_and_classes_have_names(tmp_path):
    pictures = [levels(seed=i) for i in range(4)]
    describe(tmp_path, **tfrecord_files.PICTURES)
    write(tmp_path / "a.tfrecord", [example(picture=encoded(x, "PNG"), kind=i % 2) for i, x in enumerate(pictures)])
    data = tfrecord.load(str(tmp_path / "*.tfrecord"))
    np.testing.assert_array_equal(data.x_train, pictures)
    assert data.class_names == ["cat", "dog"] and data.scale == "standardise_channels" and not data.any_size
    found = examples.read(tmp_path / "a.tfrecord", (8, 6, 3), "uint8")
    np.testing.assert_array_equal(found.x, pictures)
    assert found.decoded


def test_pictures_of_another_size_are_fitted_where_the_features_file_says_so(tmp_path):
    describe(tmp_path, **tfrecord_files.PICTURES)
    record = example(picture=encoded(levels(16, 12), "PNG"), kind=0)
    write(tmp_path / "a.tfrecord", [record, example(picture=encoded(levels(), "PNG"), kind=1)])
    refused(tmp_path, r"a.tfrecord: record 0 \(from 0\): feature 'picture': is a picture of 12 x 16 .* allowed: 6 x 8")
    fitted = {**tfrecord_files.PICTURES, "picture": dict(tfrecord_files.PICTURES["picture"], resize=True)}
    describe(tmp_path, **fitted)
    data = tfrecord.load(str(tmp_path / "*.tfrecord"))
    assert data.any_size and data.x_train.shape == (2, 8, 6, 3)
    np.testing.assert_array_equal(data.x_train[1], levels())


def test_several_features_are_columns_and_a_label_may_be_text(tmp_path):
    about = {name: dict(dtype="float32", shape=shape) for name, shape in dict(age=[], sizes=[2]).items()}
    describe(tmp_path, **about, kind=dict(dtype="string"))
    rows = [example(age=float(i), sizes=[i, i + 0.5], kind=("b", "a", "")[i % 3]) for i in range(9)]
    write(tmp_path / "a.tfrecord", rows)
    data = tfrecord.load(str(tmp_path / "a.tfrecord"), label="kind")
    assert data.feature_names == ["age", "sizes[0]", "sizes[1]"] and data.class_names == ["a", "b"]
    np.testing.assert_array_equal(data.x_train[4], [4, 4, 4.5])
    assert data.y_train.tolist() == [1, 0, -1] * 3
    found = examples.read(tmp_path / "a.tfrecord", (3,), "float32", data.feature_names)
    np.testing.assert_array_equal(found.x, data.x_train)
    refused(
        tmp_path, "label: got 'sort', which .*features.json has not; allowed: its features, age, sizes, kind", label="sort"
    )
    without = tfrecord.load(str(tmp_path / "a.tfrecord"), label=None)
    assert not without.class_names and "has no label" in without.without_classes


def test_the_bytes_of_an_array(tmp_path):
    describe(tmp_path, x=dict(dtype="uint16", shape=[2, 2], encoding="bytes", role="x"))
    x = np.array([[1, 2], [3, 60000]], "<u2")
    write(tmp_path / "a.tfrecord", [example(x=x.tobytes()), example(x=x.T.tobytes())])
    data = tfrecord.load(str(tmp_path / "a.tfrecord"))
    np.testing.assert_array_equal(data.x_train, [x, x.T])
    assert data.x_train.dtype == np.uint16
    write(tmp_path / "b.tfrecord", [example(x=b"123")])
    refused(tmp_path, "feature 'x': got 3 bytes; allowed: 8 bytes of uint16", "b.tfrecord")


def test_what_tensorflow_datasets_has_prepared_is_read_by_its_own_features_file(tmp_path):
    tfds = pytest.importorskip("tensorflow_datasets")
    x, y = np.stack([levels(channels=1, seed=i)[..., np.newaxis] for i in range(6)]), np.arange(6) % 3
    labels = tfds.features.ClassLabel(names=["red", "green", "blue"])
    tfds.dataset_builders.store_as_tfds_dataset(
        name="own",
        version="1.0.0",
        features=tfds.features.FeaturesDict({"image": tfds.features.Image(shape=(8, 6, 1)), "label": labels}),
        split_datasets=dict(train=tf.data.Dataset.from_tensor_slices({"image": x, "label": y.astype("int64")})),
        data_dir=str(tmp_path),
        disable_shuffling=True,
    )
    data = tfrecord.load(str(tmp_path / "own" / "**" / "*.tfrecord*"))
    np.testing.assert_array_equal(data.x_train, x)
    assert data.y_train.tolist() == y.tolist() and data.class_names == ["red", "green", "blue"]
    assert data.likelihood == "bernoulli" and data.levels == 256


BAD = {
    "nothing": (dict(y=1), "feature 'x': got nothing; allowed: int64_list or float_list"),
    "text": (dict(x="abc", y=1), "feature 'x': got bytes_list; allowed: int64_list or float_list"),
    "too many": (dict(x=[1.0] * 4, y=1), "feature 'x': got 4 numbers; allowed: 3, of shape"),
    "infinite": (dict(x=[1.0, np.inf, 0], y=1), "feature 'x': got inf; allowed: finite numbers"),
    "label": (dict(x=[1.0] * 3, y=[1, 2]), "feature 'y': got 2 values of int64_list; allowed: one whole number"),
    "fraction": (dict(x=[1.0] * 3, y=0.5), "feature 'y': got 1 values of float_list; allowed: one whole number"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_record_is_named(folder, kind):
    values, message = BAD[kind]
    write(folder / "train-2.tfrecord", [example(x=X[0], y=0), example(**values)])
    refused(folder, rf"train-2.tfrecord: record 1 \(from 0\): {message}", "train*")


def test_what_is_no_file_of_records_is_named(folder):
    refused(folder, "dataset tfrecord: got '.*none\\*', which no file matches", "none*")
    refused(folder, "train-0.tfrecord is of the training files too", "train*", test_files=str(folder / "*0.tfrecord"))
    whole = (folder / "train-0.tfrecord").read_bytes()
    (folder / "cut.tfrecord").write_bytes(whole[:-7])
    refused(folder, r"cut.tfrecord: record 4 \(from 0\): is cut off or damaged", "cut*")
    (folder / "text.tfrecord").write_text("a,b\n1,2\n" * 10)
    refused(folder, r"text.tfrecord: record 0 \(from 0\): is cut off or damaged", "text*")
    write(folder / "other.tfrecord", [b"\xff\xff\xff"])
    refused(folder, r"other.tfrecord: record 0 \(from 0\): is no tf.Example", "other*")
    write(folder / "empty.tfrecord", [])
    refused(folder, "empty.tfrecord: holds no record", "empty*")


FILES = {
    "no file": (None, "features: got no .*features.json; allowed: --features=FILE"),
    "no JSON": ("{", "features.json: is no features file; allowed: JSON"),
    "a list": ("[1]", "features.json: is no features file; allowed: JSON"),
    "unknown key": ({"x": dict(dtype="float32", size=3)}, "feature 'x': got .*; allowed: an object with dtype, shape"),
    "dtype": ({"x": dict(dtype="float", shape=[3])}, "feature 'x': dtype: got 'float'; allowed: uint8"),
    "shape": ({"x": dict(dtype="float32", shape=[-1])}, r"feature 'x': shape: got \[-1\]; allowed: a list"),
    "picture": (
        {"x": dict(dtype="uint8", shape=[3], encoding="picture")},
        "allowed: .height, width, 1 or 3. of dtype uint8",
    ),
    "no x": ({"y": dict(dtype="string")}, "features.json: has no feature for x"),
}


@pytest.mark.parametrize("kind", FILES)
def test_a_bad_features_file_is_named(folder, kind):
    content, message = FILES[kind]
    (folder / "features.json").unlink()
    if content is not None:
        text = content if isinstance(content, str) else json.dumps({"features": content})
        (folder / "features.json").write_text(text)
    refused(folder, message, "train*")


def test_settings_name_features_and_test_files_and_the_run_knows_them_all(folder):
    (folder / "features.json").rename(folder / "about.json")
    files = dict(features=str(folder / "about.json"), test_files=str(folder / "test*"))
    settings = recipes.resolve("m2", f"tfrecord:{folder}/train*", labels=None, **files)
    data, split = build.load_data(settings)
    assert len(split.labelled) == 9 and len(data.x_test) == 2
    before = fingerprint.of(f"{folder}/train*", *files.values())
    assert before["files"] == 4
    write(folder / "test.tfrecord", [example(x=X[0], y=0)])
    with pytest.raises(ValueError, match="is not, or no longer, what the run began on"):
        fingerprint.check(f"{folder}/train*", before, "run: x", *files.values())
    with pytest.raises(
        ValueError, match="test_files: got 'x' for digits; allowed: none, as it is for tfrecord:PATTERN alone"
    ):
        build.load_data(recipes.resolve("m2", "digits", test_files="x"))
