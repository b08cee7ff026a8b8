"""OMNIGLOT, NORB, Frey's face and the Untapped paper's MNIST: what is read, how it is made smaller, what is refused."""

import pathlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tfadgm import registry
from tfadgm.data import freyface, omniglot, resize, tfds_pictures, tfds_source

SHARED = pathlib.Path(__file__).resolve().parents[3] / "shared" / "data" / "tfds"
needs_omniglot = pytest.mark.skipif(not (SHARED / "omniglot").is_dir(), reason="OMNIGLOT is not beside the project")


def load(name, argument=None, **options):
    return registry.lookup(registry.DATASETS, "dataset", name)(argument, **options)


def random_pictures(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape).astype("uint8")


def store(directory, name, features, **splits):
    """Prepares a TFDS data set of the given features (name: feature) and splits (name: dict of arrays)."""
    tfds = pytest.importorskip("tensorflow_datasets")
    tfds.dataset_builders.store_as_tfds_dataset(
        name=name,
        version="1.0.0",
        features=tfds.features.FeaturesDict(features),
        split_datasets={split: tf.data.Dataset.from_tensor_slices(arrays) for split, arrays in splits.items()},
        data_dir=str(directory),
        disable_shuffling=True,
    )


def refined_average(x, height, width):
    """The mean over areas without fractions: x with every pixel cut into height x width, then whole blocks averaged."""
    old_height, old_width = x.shape
    fine = x.astype("int64").repeat(height, 0).repeat(width, 1)
    return fine.reshape(height, old_height, width, old_width).sum((1, 3)) / (old_height * old_width)


# ----------------------------------------------------------------------------------------------------------- resizing


@pytest.mark.parametrize("old, new", [((105, 105), (28, 28)), ((96, 96), (32, 32)), ((7, 11), (3, 4)), ((5, 5), (5, 5))])
def test_area_average_is_the_mean_over_the_area_that_a_pixel_covers(old, new):
    x = random_pictures(2, 3, *old)
    small = resize.area_average(x, *new)
    assert small.dtype == np.uint8 and small.shape == (2, 3, *new)
    for i, j in np.ndindex(2, 3):
        assert np.abs(small[i, j] - refined_average(x[i, j], *new)).max() <= 0.5 + 1e-3


def test_nearest_takes_the_pixels_at_the_new_centres():
    x = random_pictures(4, 96, 96)
    small = resize.nearest(x, 32, 32)
    np.testing.assert_array_equal(small, x[:, 1::3, 1::3])
    np.testing.assert_array_equal(small[0], Image.fromarray(x[0]).resize((32, 32), Image.Resampling.NEAREST))


def test_stretch_spreads_each_picture_alone():
    x = np.stack([np.full((4, 4), 9), 100 + np.arange(16).reshape(4, 4), 255 * np.eye(4)]).astype("uint8")
    assert (resize.stretch(x)[0] == 0).all()
    assert resize.stretch(x)[1].ravel().tolist() == [17 * i for i in range(16)]
    np.testing.assert_array_equal(resize.stretch(x)[2], x[2])


# ----------------------------------------------------------------------------------------------------------- OMNIGLOT


@pytest.fixture(scope="module")
def drawings():
    """The real data set with both kinds of classes; its files are read once."""
    read, known = tfds_pictures.read, {}

    def once(name, split, *rest):
        if split not in known:
            known[split] = read(name, split, *rest)
        return known[split]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tfds_pictures, "read", once)
        return {kind: load("omniglot", kind, data_dir=str(SHARED)) for kind in ("alphabets", "characters")}


@needs_omniglot
def test_omniglot_has_15_training_and_5_test_drawings_of_each_of_1623_characters(drawings):
    data = drawings["characters"]
    assert data.x_train.shape == (24_345, 28, 28, 1) and data.x_test.shape == (8_115, 28, 28, 1)
    assert data.x_train.dtype == np.uint8 and data.x_train.min() == 0 and data.x_train.max() == 255
    assert (np.bincount(data.y_train, minlength=1623) == 15).all()
    assert (np.bincount(data.y_test, minlength=1623) == 5).all()
    assert len(set(data.class_names)) == data.num_classes == 1623
    train, test = ({x.tobytes() for x in part} for part in (data.x_train, data.x_test))
    assert len(train & test) <= 1  # two of the originals are equal


@needs_omniglot
def test_omniglot_alphabets_are_those_of_the_characters(drawings):
    alphabets, characters = drawings["alphabets"], drawings["characters"]
    assert alphabets.num_classes == 50 and "Greek" in alphabets.class_names
    np.testing.assert_array_equal(alphabets.x_test, characters.x_test)
    for part in ("y_train", "y_test"):
        names = [alphabets.class_names[k] for k in getattr(alphabets, part)[:2000]]
        assert names == [characters.class_names[k].rpartition("_")[0] for k in getattr(characters, part)[:2000]]


@needs_omniglot
def test_omniglot_parts_are_shuffled_and_ink_is_1(drawings):
    data = drawings["alphabets"]
    assert len(np.unique(data.y_test[:500])) > 45  # what is measured on the first test examples is of all alphabets
    assert 0.07 < data.x_train.mean() / 255 < 0.09  # of the originals, 8.0% of the pixels are ink
    preprocess = data.make_preprocess()
    assert preprocess.size == 784 and preprocess.noise == "binarise"
    assert preprocess(data.x_test[:50]).numpy().max() == 1


@needs_omniglot
@pytest.mark.parametrize("split", ["train", "test"])
def test_omniglot_pictures_are_the_originals_made_smaller(drawings, split):
    import tensorflow_datasets as tfds

    data = drawings["characters"]
    x, y = np.concatenate([data.x_train, data.x_test]), np.concatenate([data.y_train, data.y_test])
    originals = tfds.load("omniglot", split=split, data_dir=str(SHARED), download=False).take(8)
    for original in tfds.as_numpy(originals):
        expected = refined_average((original["image"][..., 0] == 0) * 255, 28, 28)
        of_character = x[y == original["label"], ..., 0]
        assert len(of_character) == 20
        assert np.abs(of_character - expected).max((1, 2)).min() <= 0.5


def store_omniglot(tmp_path, drawings=20):
    """Stores "letters": 2 characters of one alphabet in train, 1 of another in test; returns each character's drawings."""
    tfds = pytest.importorskip("tensorflow_datasets")
    features = {"image": tfds.features.Image(shape=(105, 105, 3)), "label": tfds.features.ClassLabel(num_classes=3)}
    features["alphabet"] = tfds.features.ClassLabel(names=["runes", "signs"])
    images = np.where(random_pictures(3, drawings, 105, 105) < 40, 0, 255).astype("uint8")
    label = np.arange(3).repeat(drawings)
    everything = {
        "image": images.reshape(-1, 105, 105, 1).repeat(3, -1),
        "label": label.astype("int64"),
        "alphabet": (label == 2).astype("int64"),
    }
    parts = {"train": label < 2, "test": label == 2}
    splits = {part: {key: value[chosen] for key, value in everything.items()} for part, chosen in parts.items()}
    store(tmp_path, "letters", features, **splits)
    return images


def test_omniglot_pools_both_parts_and_gives_both_kinds_of_classes(tmp_path):
    images = store_omniglot(tmp_path)
    where = dict(data_dir=str(tmp_path), tfds_name="letters")
    alphabets, characters = load("omniglot", **where), load("omniglot", "characters", **where)
    assert alphabets.class_names == ["runes", "signs"] and characters.num_classes == 3
    assert np.bincount(characters.y_train).tolist() == [15] * 3 and np.bincount(characters.y_test).tolist() == [5] * 3
    np.testing.assert_array_equal(alphabets.y_train, characters.y_train == 2)
    for k in range(3):
        kept = np.concatenate([characters.x_train[characters.y_train == k], characters.x_test[characters.y_test == k]])
        expected = resize.area_average(255 - images[k], 28, 28)
        assert sorted(kept.reshape(20, -1).tolist()) == sorted(expected.reshape(20, -1).tolist())


def test_the_split_of_drawings_is_disjoint_complete_and_the_same_every_time():
    character = np.random.default_rng(1).permutation(np.arange(30).repeat(20))
    train, test = omniglot.split_drawings(character)
    assert sorted([*train, *test]) == list(range(600))
    assert np.bincount(character[train]).tolist() == [15] * 30
    assert (np.diff(train) < 0).any() and (np.diff(test) < 0).any()
    np.testing.assert_array_equal(train, omniglot.split_drawings(character)[0])


# --------------------------------------------------------------------------------------------------------------- NORB


def norb_features(tfds):
    pictures = {eye: tfds.features.Image(shape=(96, 96, 1)) for eye in ("image", "image2")}
    return {**pictures, "label_category": tfds.features.ClassLabel(names=["animal", "human", "plane", "truck", "car"])}


@pytest.fixture
def toys(tmp_path):
    """Stores 12 training and 7 test pairs as "toys"; returns the splits' arrays and the arguments that load them."""
    tfds = pytest.importorskip("tensorflow_datasets")
    splits = {}
    for seed, (split, count) in enumerate(dict(train=12, test=7).items()):
        pairs = random_pictures(2, count, 96, 96, 1, seed=seed) // 2 + 64
        splits[split] = {"image": pairs[0], "image2": pairs[1], "label_category": np.arange(count) % 5}
    store(tmp_path, "toys", norb_features(tfds), **splits)
    return splits, dict(data_dir=str(tmp_path), tfds_name="toys")


def block_means(pictures):
    return pictures[..., 0].reshape(len(pictures), 32, 3, 32, 3).mean((2, 4))


def test_norb_pairs_are_two_channels_of_3x3_means(toys):
    splits, where = toys
    data = load("norb", **where)
    assert data.x_train.shape == (12, 32, 32, 2) and data.x_test.shape == (7, 32, 32, 2) and data.x_train.dtype == np.uint8
    assert data.class_names == ["animal", "human", "plane", "truck", "car"] and data.likelihood == "gaussian"
    np.testing.assert_array_equal(data.y_test, np.arange(7) % 5)
    for x, split in ((data.x_train, splits["train"]), (data.x_test, splits["test"])):
        np.testing.assert_array_equal(x[..., 0], np.rint(block_means(split["image"])))
        np.testing.assert_array_equal(x[..., 1], np.rint(block_means(split["image2"])))


def test_norb_is_dequantised_and_divided_by_256(toys):
    data = load("norb", **toys[1])
    preprocess = data.make_preprocess()
    assert preprocess.size == 2048 and preprocess.image_shape == (32, 32, 2)
    noise = 256 * preprocess(data.x_train, tf.constant([0, 1])).numpy().reshape(data.x_train.shape) - data.x_train
    assert -1e-3 <= noise.min() < 0.01 and 0.99 < noise.max() <= 1.001 and noise.mean() == pytest.approx(0.5, abs=0.01)


def test_norb_options_are_the_authors_ways(toys):
    splits, where = toys
    left = splits["train"]["image"][..., 0]
    nearest = load("norb", "nearest", **where)
    np.testing.assert_array_equal(nearest.x_train[..., 0], left[:, 1::3, 1::3])
    low, high = left.min((1, 2), keepdims=True), left.max((1, 2), keepdims=True)
    assert low.min() > 0 and high.max() < 255
    stretched = load("norb", "nearest,stretched", **where).x_train[..., 0]
    expected = ((left.astype("float64") - low) / (high - low) * 255)[:, 1::3, 1::3]
    assert np.abs(stretched - expected).max() <= 0.5 + 1e-6
    single = load("norb", "single", **where)
    np.testing.assert_array_equal(single.x_test, load("norb", **where).x_test[..., :1])
    x = load("norb", "standardised", **where)
    np.testing.assert_allclose(x.make_preprocess()(x.x_train).numpy().std(0), 1, atol=1e-3)


def test_norb_on_the_mock_of_tfds(tmp_path):
    tfds = pytest.importorskip("tensorflow_datasets")
    with tfds.testing.mock_data(num_examples=9):
        data = load("norb", data_dir=str(tmp_path))
    assert data.x_train.shape == data.x_test.shape == (9, 32, 32, 2)
    assert data.class_names == ["four-legged animals", "human figures", "airplanes", "trucks", "cars"]


# -------------------------------------------------------------------------------------------------------- Frey's face


def save_frames(path, frames):
    from scipy.io import savemat

    if path.suffix == ".mat":
        savemat(path, {"ff": frames.reshape(len(frames), -1).T})
    elif path.suffix == ".npz":
        np.savez(path, images=frames)
    else:
        np.save(path, frames)
    return str(path)


@pytest.mark.parametrize("name", ["ff.mat", "ff.npy", "ff.npz"])
def test_freyface_is_read_from_each_kind_of_file(tmp_path, name):
    frames = random_pictures(45, 28, 20)
    data = load("freyface", save_frames(tmp_path / name, frames))
    np.testing.assert_array_equal(data.x_train[..., 0], frames[:41])
    np.testing.assert_array_equal(data.x_test[..., 0], frames[41:])
    assert data.raw_shape == (28, 20, 1) and data.x_train.dtype == np.uint8 and data.class_names == []
    preprocess = data.make_preprocess()
    x = preprocess(data.x_train, tf.constant([0, 1])).numpy()
    assert preprocess.noise == "dequantise" and 0 <= x.min() and 0.99 < x.max() <= 1


@pytest.mark.parametrize("shape", [(560, 45), (45, 560)])
def test_freyface_matrices_may_lie_either_way(tmp_path, shape):
    frames = random_pictures(45, 28, 20)
    flat = frames.reshape(45, 560)
    path = save_frames(tmp_path / "ff.npy", flat.T if shape[0] == 560 else flat)
    np.testing.assert_array_equal(freyface.read_frames(path), frames)


def test_freyface_has_1965_frames_of_which_196_are_for_testing(tmp_path):
    data = load("freyface", save_frames(tmp_path / "ff.mat", random_pictures(1965, 28, 20)))
    assert (len(data.x_train), len(data.x_test)) == (1769, 196)


BAD_FRAMES = {
    "turned": (".npy", np.zeros((45, 20, 28), "uint8"), r"shape \(45, 20, 28\); allowed: \(560, N\)"),
    "one frame": (".npy", np.zeros((28, 20), "uint8"), r"shape \(28, 20\); allowed"),
    "scalar": (".npy", np.zeros((), "uint8"), r"shape \(\); allowed"),
    "few": (".npy", np.zeros((9, 28, 20), "uint8"), "N at least 10"),
    "real": (".npy", np.zeros((45, 28, 20)), "dtype float64; allowed: uint8"),
    "objects": (".npy", np.array([{}], dtype=object), "not a readable npy file"),
}


@pytest.mark.parametrize("kind", BAD_FRAMES)
def test_frames_of_another_kind_are_refused(tmp_path, kind):
    suffix, frames, message = BAD_FRAMES[kind]
    with pytest.raises(ValueError, match=message):
        load("freyface", save_frames(tmp_path / f"ff{suffix}", frames))


@pytest.mark.parametrize("name", ["ff.mat", "ff.npy", "ff.npz"])
def test_files_that_are_no_frames_are_refused_in_one_line(tmp_path, name):
    path = tmp_path / name
    with pytest.raises(ValueError, match="no such file; allowed"):
        load("freyface", str(path))
    path.write_bytes(b"nothing of the kind\nat all")
    with pytest.raises(ValueError, match=f"{name}: not a readable {name[3:]} file") as error:
        load("freyface", str(path))
    assert "\n" not in str(error.value)


def test_a_mat_file_without_ff_is_refused(tmp_path):
    from scipy.io import savemat

    savemat(tmp_path / "ff.mat", {"other": np.zeros((560, 45), "uint8")})
    with pytest.raises(ValueError, match="has no variable 'ff'; allowed: one"):
        load("freyface", str(tmp_path / "ff.mat"))


# --------------------------------------------------------------------------------------------- MNIST, digits 0 to 4


@pytest.fixture
def fake_mnist(monkeypatch):
    def read(name, splits, data_dir):
        x = random_pictures(60, 28, 28, 1, seed=len(splits[0]))
        x[:, :4] = 0  # columns that plain MNIST drops
        return x, np.arange(60) % 10, [str(k) for k in range(10)]

    monkeypatch.setattr(tfds_source, "read", read)


def test_mnist_low_hides_the_training_labels_of_5_to_9_alone(fake_mnist):
    data, plain = load("mnist", "low"), load("mnist")
    assert plain.y_train.tolist() == [k % 10 for k in range(60)] and plain.make_preprocess().size == 24 * 28
    assert data.y_train.tolist() == [k % 10 if k % 10 < 5 else -1 for k in range(60)]
    assert data.num_classes == 10 and data.name == "mnist:low"
    np.testing.assert_array_equal(data.y_test, plain.y_test)
    np.testing.assert_array_equal(data.x_train, plain.x_train)
    assert data.make_preprocess().size == 784
    assert data.labelled_classes == (0, 1, 2, 3, 4)


# ------------------------------------------------------------------------------------------------------------ refusal


@pytest.mark.parametrize(
    "name, argument, message",
    [
        ("omniglot", "letters", "dataset omniglot: got 'letters'; allowed: alphabets, characters"),
        ("norb", "nearest,sharp", "dataset norb: got 'sharp'; allowed: nearest, stretched, standardised, single"),
        ("norb", "nearest,", "dataset norb: got ''; allowed"),
        ("freyface", None, "dataset freyface: got no file; allowed: freyface:FILE"),
        ("freyface", "frey.txt", r"dataset freyface: got 'frey.txt'; allowed: .*ending in .mat, .npy, .npz"),
        ("digits", "low", "dataset digits: got 'low'; allowed: digits"),
        ("half_moons", "0.2", "dataset half_moons: got '0.2'; allowed: half_moons"),
        ("mnist", "high", "dataset mnist: got 'high'; allowed: mnist, mnist:low"),
    ],
)
def test_unknown_arguments_are_refused(name, argument, message):
    with pytest.raises(ValueError, match=message):
        load(name, argument)


@pytest.mark.parametrize("name", ["omniglot", "norb"])
def test_a_tfds_copy_that_does_not_fit_is_refused_in_one_line(tmp_path, name):
    tfds = pytest.importorskip("tensorflow_datasets")
    arrays = {"image": random_pictures(4, 96, 96, 1), "label": np.arange(4)}
    features = {"image": tfds.features.Image(shape=(96, 96, 1)), "label": tfds.features.ClassLabel(num_classes=4)}
    store(tmp_path, "other", features, train=arrays)
    missing = {"omniglot": "alphabet", "norb": "image2, label_category"}[name]
    for tfds_name, message in (
        ("other", f"'other'.*its features are image, label; allowed: {missing} are required too"),
        ("no_such_set", "'no_such_set'.*cannot be read"),
    ):
        with pytest.raises(ValueError, match=message) as error:
            load(name, data_dir=str(tmp_path), tfds_name=tfds_name)
        assert "\n" not in str(error.value)
    with pytest.raises(ValueError, match="no directory; allowed: a TFDS data directory"):
        load(name, data_dir=str(tmp_path / "absent"))


def test_a_copy_without_a_test_split_is_refused(tmp_path):
    tfds = pytest.importorskip("tensorflow_datasets")
    pictures = random_pictures(5, 96, 96, 1)
    arrays = {"image": pictures, "image2": pictures, "label_category": np.arange(5)}
    store(tmp_path, "half", norb_features(tfds), train=arrays)
    with pytest.raises(ValueError, match="'half'.*cannot be read.*test"):
        load("norb", data_dir=str(tmp_path), tfds_name="half")
