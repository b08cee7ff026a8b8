"""Loaders and preprocessing: real sets where they are embedded or beside the project, mock data elsewhere, bad files."""

import pathlib
import tracemalloc

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tfadgm import registry
from tfadgm.data import csv, notes, npz
from tfadgm.data.dataset import Dataset
from tfadgm.data.preprocess import Preprocess
from tfadgm.runs import build, recipes

SHARED = pathlib.Path(__file__).resolve().parents[3] / "shared" / "data" / "tfds"
needs_mnist = pytest.mark.skipif(not (SHARED / "mnist").is_dir(), reason="MNIST is not beside the project")


def load(name, argument=None, **options):
    return registry.lookup(registry.DATASETS, "dataset", name)(argument, **options)


def test_digits_are_real_and_their_test_set_depends_on_the_seed():
    data, other = load("digits", seed=0), load("digits", seed=1)
    assert data.x_train.shape == (1297, 8, 8, 1) and data.x_test.shape == (500, 8, 8, 1)
    assert data.x_train.max() == 16 and data.num_classes == 10
    assert not np.array_equal(data.x_test, other.x_test)


def test_half_moons_lie_on_the_papers_curves_and_test_differs_from_train():
    data = load("half_moons", seed=3)
    assert data.x_train.shape == data.x_test.shape == (10_000, 2)
    top = data.x_train[data.y_train == 0]
    bottom = data.x_train[data.y_train == 1]
    assert np.std(np.linalg.norm(top, axis=1)) == pytest.approx(0.1, rel=0.1)
    assert np.linalg.norm(bottom - [1.0, 0.5], axis=1).mean() == pytest.approx(1.0, abs=0.02)
    assert not np.array_equal(data.x_train, data.x_test)


def test_half_moons_papers_labels_are_the_ends_and_the_middle_of_each_moon():
    data = load("half_moons", seed=3)
    assert data.y_train[data.paper_labels].tolist() == [0, 0, 0, 1, 1, 1]
    expected = [[-1, 0], [0, 1], [1, 0], [0, 0.5], [1, -0.5], [2, 0.5]]
    np.testing.assert_allclose(data.x_train[data.paper_labels], expected, atol=0.06)


@needs_mnist
def test_mnist_has_the_papers_444_columns():
    data = load("mnist", data_dir=str(SHARED))
    assert len(data.x_train) == 60_000 and len(data.x_test) == 10_000
    preprocess = data.make_preprocess()
    assert preprocess.size == 444
    assert data.make_preprocess(min_column_std=0.0).size == 784


def test_svhn_joins_extra_and_scales_channels_by_training_statistics(monkeypatch):
    from tfadgm.data import tfds_source

    asked = []

    def read(name, splits, data_dir):
        asked.append((name, tuple(splits)))
        generator = np.random.default_rng(len(asked))
        return generator.integers(0, 256, (50, 32, 32, 3)).astype("uint8"), np.arange(50) % 10, [str(k) for k in range(10)]

    monkeypatch.setattr(tfds_source, "read", read)
    data = load("svhn")
    assert asked == [("svhn_cropped", ("train", "extra")), ("svhn_cropped", ("test", "test_first10000"))]
    preprocess = data.make_preprocess()
    expected = 1 / data.x_train.astype("float64").std((0, 1, 2))
    np.testing.assert_allclose(preprocess.scale, expected, rtol=1e-6)
    noisy = preprocess(data.x_train[:5], tf.constant([0, 1])).numpy()
    grey = noisy.reshape(5, 32, 32, 3) / preprocess.scale
    assert ((grey >= data.x_train[:5] - 1e-3) & (grey < data.x_train[:5] + 1.001)).all()


def store(tmp_path, name, shape, **counts):
    """Prepares a small TFDS data set of random pictures; returns its arrays by split."""
    tfds = pytest.importorskip("tensorflow_datasets")
    generator = np.random.default_rng(0)
    arrays = {
        split: (generator.integers(0, 256, (count, *shape)).astype("uint8"), np.arange(count) % 10)
        for split, count in counts.items()
    }
    features = tfds.features.FeaturesDict(
        {"image": tfds.features.Image(shape=shape), "label": tfds.features.ClassLabel(num_classes=10)}
    )
    tfds.dataset_builders.store_as_tfds_dataset(
        name=name,
        version="1.0.0",
        features=features,
        split_datasets={
            split: tf.data.Dataset.from_tensor_slices({"image": x, "label": y.astype("int64")})
            for split, (x, y) in arrays.items()
        },
        data_dir=str(tmp_path),
        disable_shuffling=True,
    )
    return arrays


def test_a_prepared_tfds_copy_under_another_name(tmp_path):
    arrays = store(tmp_path, "my_copy", (28, 28, 1), train=12, test=5)
    data = load("fashion_mnist", data_dir=str(tmp_path), tfds_name="my_copy")
    np.testing.assert_array_equal(data.x_train, arrays["train"][0])
    np.testing.assert_array_equal(data.y_test, arrays["test"][1])


def test_svhn_splits_that_are_there_are_joined(tmp_path):
    arrays = store(tmp_path, "street", (32, 32, 3), train=12, extra=4, test=5)
    data = load("svhn", data_dir=str(tmp_path), tfds_name="street")
    np.testing.assert_array_equal(data.x_train, np.concatenate([arrays["train"][0], arrays["extra"][0]]))
    assert len(data.x_test) == 5


def test_binarisation_is_fresh_unbiased_and_absent_at_test():
    preprocess = Preprocess([3], scale=1.0, noise="binarise")
    raw = np.tile(np.array([[0.0, 0.3, 1.0]], "float32"), (4000, 1))
    noisy = preprocess(raw, tf.constant([0, 1])).numpy()
    assert set(np.unique(noisy)) == {0.0, 1.0}
    np.testing.assert_allclose(noisy.mean(0), [0, 0.3, 1], atol=0.03)
    assert not np.array_equal(noisy, preprocess(raw, tf.constant([0, 2])).numpy())
    np.testing.assert_array_equal(preprocess(raw).numpy(), raw)
    np.testing.assert_array_equal(preprocess.observation(raw).numpy()[0, 0], [0, 0, 1])


def test_preprocess_round_trips():
    data = load("digits")
    preprocess = data.make_preprocess(min_column_std=0.1)
    assert preprocess.size < 64
    again = Preprocess.from_config(preprocess.get_config())
    x = preprocess(data.x_test)
    np.testing.assert_array_equal(x, again(data.x_test))
    picture = preprocess.picture(x.numpy())
    kept = preprocess.columns
    np.testing.assert_allclose(picture.reshape(500, 64)[:, kept], data.x_test.reshape(500, 64)[:, kept], atol=1e-5)


def test_standardised_features_have_mean_0_and_deviation_1():
    x = np.random.default_rng(0).normal([3, -5], [2, 0.1], (500, 2)).astype("float32")
    data = Dataset("t", x, np.arange(500) % 2, None, None, ["a", "b"], likelihood="gaussian", scale="standardise")
    z = data.make_preprocess()(x).numpy()
    np.testing.assert_allclose(z.mean(0), 0, atol=1e-3)
    np.testing.assert_allclose(z.std(0), 1, atol=1e-3)


def coloured(x, scale):
    return Dataset("t", x, np.arange(len(x)) % 2, None, None, ["a", "b"], "gaussian", levels=256, scale=scale)


@pytest.mark.parametrize("scale", ["channel", "standardise_channels"])
def test_a_constant_channel_is_no_component_of_x(scale):
    x = np.random.default_rng(0).integers(0, 256, (50, 4, 3, 4)).astype("uint8")
    x[..., 3] = 255
    opaque, plain = (coloured(raw, scale).make_preprocess() for raw in (x, x[..., :3]))
    np.testing.assert_array_equal(opaque(x), plain(x[..., :3]))
    assert "channel 3 (from 0) has one value in all examples" in notes.taken(coloured(x, scale), "gaussian")[0]
    assert opaque.raw_shape == (4, 3, 4) and opaque.image_shape == plain.image_shape == (4, 3, 3)
    if scale == "standardise_channels":  # otherwise x has no place for what is subtracted
        np.testing.assert_allclose(opaque.picture(opaque(x)), x, atol=1e-3)


def test_own_colour_pictures_have_channels_of_mean_0_and_deviation_1():
    x = np.random.default_rng(0).integers([0, 200, 90], [256, 256, 100], (200, 4, 3, 3)).astype("uint8")
    z = coloured(x, "standardise_channels").make_preprocess()(x).numpy().reshape(-1, 3)
    np.testing.assert_allclose(z.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(z.std(0), 1, rtol=1e-5)


def test_pictures_of_one_colour_alone_are_read_all_the_same():
    x = np.full((10, 2, 2, 3), 7, "uint8")
    assert np.abs(coloured(x, "standardise_channels").make_preprocess()(x)).max() == 0


def test_moments_need_no_more_memory_than_the_data():
    x = np.random.default_rng(0).integers(0, 256, (512, 128, 128, 3)).astype("uint8")
    tracemalloc.start()
    coloured(x, "standardise_channels").make_preprocess(min_column_std=0.01)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3 * x.nbytes, peak / x.nbytes


def test_columns_that_are_constant_but_for_rounding_are_not_blown_up():
    x = np.empty((5000, 4), "float32")
    x[:, 0], x[:, 1] = 0.1, 1e6
    x[::2, 1] = np.nextafter(x[0, 1], np.float32(np.inf))  # the next number that a float32 holds
    x[:, 2], x[:, 3] = 1e-40, np.random.default_rng(0).normal(1e6, 1, 5000)
    data = Dataset("t", x, np.arange(5000) % 2, None, None, ["a", "b"], likelihood="gaussian", scale="standardise")
    preprocess = data.make_preprocess()
    assert preprocess.scale[:3].tolist() == [1, 1, 1]
    assert preprocess.scale[3] == pytest.approx(1 / x[:, 3].astype("float64").std(), rel=1e-6)
    assert np.abs(preprocess(x).numpy()[:, :3]).max() < 1


# ------------------------------------------------------------------------------------------------- the user's own data


def test_npz(tmp_path):
    path = tmp_path / "own.npz"
    x, y = np.random.default_rng(0).normal(size=(30, 4)), np.arange(30) % 3 - (np.arange(30) > 20) * 9
    np.savez(path, x=x, y=np.maximum(y, -1), x_test=x[:5], y_test=np.array([0, 1, 2, 0, 1]))
    data = load("npz", str(path))
    assert (
        data.num_classes == 3 and data.likelihood == "gaussian" and data.levels is None and data.x_train.dtype == np.float32
    )
    assert (data.y_train == -1).sum() == 9


def test_npz_of_pictures_is_binarised(tmp_path):
    path = tmp_path / "own.npz"
    np.savez(path, x=np.zeros((30, 8, 8, 1), "uint8"), y=np.arange(30) % 3)
    assert load("npz", str(path)).make_preprocess().noise == "binarise"


@pytest.mark.parametrize("dtype", ["int8", "int64", "uint8", "uint16", "uint64"])
def test_npz_labels_may_be_of_any_whole_number(tmp_path, dtype):
    y = (np.arange(30) % 3).astype(dtype)
    data = load("npz", save_npz(tmp_path / "own.npz", x=np.eye(30), y=y, x_test=np.eye(30)[:4], y_test=y[:4]))
    assert data.num_classes == 3 and data.y_train.dtype == data.y_test.dtype == np.int64
    assert data.y_train.tolist() == y.tolist()


LEVELS = np.random.default_rng(0).integers(0, 256, (30, 8, 8, 3)).astype("uint8")
INTENSITIES = dict(likelihood="bernoulli", levels=256, scale=1 / 255)
NUMBERS = dict(likelihood="gaussian", levels=None, scale="standardise")
KINDS = {
    "grey": (LEVELS[..., :1], INTENSITIES),
    "grey without channels": (LEVELS[..., 0], INTENSITIES),
    "flat": (LEVELS.reshape(30, -1), INTENSITIES),
    "colour": (LEVELS, dict(likelihood="gaussian", levels=256, scale="standardise_channels")),
    "whole 0 and 1": (LEVELS[:, 0, :, 0].astype("int64") % 2, dict(likelihood="bernoulli", levels=2, scale="standardise")),
    "bytes 0 and 1": (LEVELS % 2, dict(likelihood="bernoulli", levels=2, scale=1.0)),
    "true and false": (LEVELS[:, 0, :, 0] > 99, dict(likelihood="bernoulli", levels=2, scale="standardise")),
    "pictures within [0, 1]": (LEVELS[..., 0] / 255, dict(likelihood="bernoulli", levels=None, scale=1.0)),
    "a table within [0, 1]": (LEVELS[:, 0, :, 0] / 255, NUMBERS),
    "bytes of a table": (LEVELS[:, 0, :, 0], NUMBERS),
    "whole numbers": (LEVELS.reshape(30, -1).astype("int64"), NUMBERS),
    "real numbers": (LEVELS[:, 0, :, 0] / 100, NUMBERS),
}


@pytest.mark.parametrize("kind", KINDS)
def test_npz_gets_the_likelihood_that_suits_it(tmp_path, kind):
    x, expected = KINDS[kind]
    data = load("npz", save_npz(tmp_path / "own.npz", x=x, y=np.arange(30) % 3))
    assert {name: getattr(data, name) for name in expected} == expected
    if expected["likelihood"] == "bernoulli":
        z = data.make_preprocess()(data.x_train).numpy()
        assert z.min() >= 0 and 0.9 < z.max() <= 1


def test_colour_pictures_are_seen_alike_in_npz_and_in_folders(tmp_path):
    for k, folder in enumerate(("cat", "dog")):
        (tmp_path / folder).mkdir()
        for i in range(3):
            Image.fromarray(LEVELS[3 * k + i]).save(tmp_path / folder / f"{i}.png")
    one = load("images", str(tmp_path))
    other = load("npz", save_npz(tmp_path / "own.npz", x=LEVELS[:6], y=np.arange(6) // 3))
    np.testing.assert_array_equal(one.x_train, other.x_train)
    assert one.make_preprocess().get_config() | {"name": ""} == other.make_preprocess().get_config() | {"name": ""}


def test_csv(tmp_path):
    path = tmp_path / "own.csv"
    path.write_text("u,label,v\n1,cat,2\n3,,4\n5,dog,6\n")
    data = load("csv", str(path))
    assert data.class_names == ["cat", "dog"]
    assert data.y_train.tolist() == [0, -1, 1]
    assert data.x_train.tolist() == [[1, 2], [3, 4], [5, 6]]
    assert data.likelihood == "table" and [column.kind for column in data.columns] == ["number", "number"]


def test_csv_may_begin_with_a_byte_order_mark(tmp_path):
    path = tmp_path / "own.csv"
    path.write_text("label,u\ncat,1\ndog,6\n", encoding="utf-8-sig")
    assert path.read_bytes().startswith(b"\xef\xbb\xbf")
    assert load("csv", str(path)).class_names == ["cat", "dog"]


def save_npz(path, **arrays):
    np.savez(path, **arrays)
    return str(path)


GOOD_X, GOOD_Y = np.zeros((6, 3), "float32"), np.array([0, 1, 0, 1, -1, -1])
BAD_NPZ = {
    "no x": (dict(y=GOOD_Y), "has arrays y"),
    "NaN": (dict(x=np.full((6, 3), np.nan), y=GOOD_Y), "NaN or infinite"),
    "infinite": (dict(x=np.full((6, 3), np.inf), y=GOOD_Y), "NaN or infinite"),
    "too few y": (dict(x=GOOD_X, y=GOOD_Y[:4]), r"y has shape \(4,\)"),
    "label below -1": (dict(x=GOOD_X, y=GOOD_Y - 1 + 2 * (GOOD_Y > 0)), "labels lie in -2"),
    "label of 64 bits": (dict(x=GOOD_X, y=GOOD_Y.astype("uint64")), r"y has the label 18446744073709551615; allowed: -1 "),
    "label too large": (dict(x=GOOD_X, y=GOOD_Y * 2**40), "y has the label 1099511627776; allowed: -1 .* to 65535"),
    "test label too large": (dict(x=GOOD_X, y=GOOD_Y, x_test=GOOD_X[:1], y_test=[2**40]), "y_test has the label 1099"),
    "labels not whole": (dict(x=GOOD_X, y=GOOD_Y * 0.5), "y holds fractions; allowed: whole numbers"),
    "one class": (dict(x=GOOD_X, y=GOOD_Y * 0), "1 classes"),
    "text": (dict(x=np.full((6, 3), "a"), y=GOOD_Y), "dtype"),
    "test shape": (dict(x=GOOD_X, y=GOOD_Y, x_test=np.zeros((2, 4)), y_test=[0, 1]), "test examples have shape"),
    "test without y": (dict(x=GOOD_X, y=GOOD_Y, x_test=np.zeros((2, 3))), "both or none"),
    "test label": (dict(x=GOOD_X, y=GOOD_Y, x_test=np.zeros((2, 3)), y_test=[0, -1]), "labels lie in"),
    "empty": (dict(x=GOOD_X[:0], y=GOOD_Y[:0]), r"x has shape \(0, 3\)"),
    "pickle": (dict(x=np.array([{}], dtype=object), y=np.array([0])), "not a readable npz"),
    "scalar": (dict(x=np.zeros(6), y=GOOD_Y), "shape"),
}


@pytest.mark.parametrize("kind", BAD_NPZ)
def test_bad_npz_is_refused(tmp_path, kind):
    arrays, message = BAD_NPZ[kind]
    with pytest.raises(ValueError, match=message):
        npz.load(save_npz(tmp_path / "bad.npz", **arrays))


BAD_CSV = {
    "text": ("u,label\nhello,a\n2,b\n", "row 2, column 'u': got 'hello'"),
    "ragged": ("u,label\n1,a,3\n2,b\n", "row 2 has 3 columns"),
    "ragged by two": ("u,label\n1,a,3,4\n2,b\n", "row 2 has 4 columns"),
    "ragged later": ("u,label\n1,a\n2,b,3,4\n", "row 3 has 4 columns; allowed: 2"),
    "ragged later by one": ("u,label\n1,a\n2,b,3\n", "row 3 has 3 columns; allowed: 2"),
    "header only": ("u,label\n", "has a header and no example; allowed: at least one"),
    "empty": ("", "has 0 rows"),
    "one class": ("u,label\n1,a\n2,a\n", "name 1 class, 'a'"),
    "infinite": ("u,label\ninf,a\n2,b\n", "row 2, column 'u': got 'inf'; allowed: a number"),
    "too large": ("u,label\n1,a\n1e39,b\n", "row 3, column 'u': got '1e39'; allowed: a number"),
    "a column twice": ("u,u,label\n1,2,a\n3,4,b\n", "has the column 'u' twice"),
    "open quotation": ('u,label\n1,a\n2,"b\n', "not a readable csv file: row 3: a quotation is not closed"),
    "no features": ("id,label\n1,a\n2,b\n", "has no column but 'id', 'label'"),
    "no header": ("1,2\n3,4\n", "its first row is numbers; allowed: a header"),
}


@pytest.mark.parametrize("kind", BAD_CSV)
def test_bad_csv_is_refused(tmp_path, kind):
    text, message = BAD_CSV[kind]
    path = tmp_path / "bad.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        csv.load(str(path))


def test_missing_and_corrupt_files_are_refused(tmp_path):
    (tmp_path / "a.npz").write_bytes(b"PK\x03\x04 not a zip")
    for name, argument, message in (
        ("npz", str(tmp_path / "a.npz"), "not a readable npz"),
        ("npz", str(tmp_path / "b.npz"), "no such file"),
        ("npz", None, "npz:FILE"),
        ("csv", str(tmp_path / "b.csv"), "no such file"),
    ):
        with pytest.raises(ValueError, match=message):
            load(name, argument)


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist", "svhn", "norb", "omniglot"])
def test_a_copy_under_another_name_can_be_read_of_every_tfds_set(name, tmp_path):
    settings = recipes.resolve("vae", name, data_dir=str(tmp_path), tfds_name="a_copy")
    with pytest.raises(ValueError, match="TFDS data set 'a_copy' in .* cannot be read"):
        build.load_data(settings)


def test_an_unknown_tfds_name_is_refused_in_one_line(tmp_path):
    with pytest.raises(ValueError, match="no_such_set.*cannot be read") as error:
        load("mnist", data_dir=str(tmp_path), tfds_name="no_such_set")
    assert "\n" not in str(error.value)
    with pytest.raises(ValueError, match="no directory"):
        load("mnist", data_dir=str(tmp_path / "absent"))


@pytest.mark.parametrize(
    "likelihood, noise, highest",
    [
        ("bernoulli", "binarise", 1.0),
        ("categorical", "none", 1.0),
        ("logistic_mixture", "none", 1.0),
        ("gaussian", "dequantise", 17 / 16),
    ],
)
def test_preprocessing_follows_the_likelihood(likelihood, noise, highest):
    preprocess = load("digits").make_preprocess(likelihood)
    assert preprocess.noise == noise
    x = preprocess(load("digits").x_train, tf.constant([0, 1])).numpy()
    assert 0 <= x.min() and highest - 0.07 < x.max() <= highest


@pytest.mark.parametrize("likelihood", ["bernoulli", "categorical", "logistic_mixture"])
def test_a_likelihood_that_does_not_suit_the_data_is_refused(likelihood):
    with pytest.raises(ValueError, match=f"likelihood: got '{likelihood}'.*allowed: gaussian"):
        load("half_moons").make_preprocess(likelihood)
