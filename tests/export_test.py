"""The exported signatures answer as the model does, row by row."""

import numpy as np
import pytest
import tensorflow as tf

from tfadgm import bounds, export, networks, noise
from tfadgm.data.preprocess import Preprocess
from tfadgm.models.adgm import ADGM
from tfadgm.models.vae import VAE

NAMES, SAMPLES = ["cat", "dog", "owl"], 7
# Float32 rounding depends on the size of the batch.
ATOL, RTOL = 1e-5, 1e-5


def disturb(model):
    """Moves all weights, so that no output is trivial; moving variances stay positive."""
    generator = np.random.default_rng(1)
    for weight in model.weights:
        noise = generator.standard_normal(weight.shape)
        weight.assign(0.4 * noise if weight.name == "kernel" else np.abs(weight + 0.2 * noise))


def make_adgm(**options):
    preprocess = Preprocess((4, 4, 1), "uint8", 1 / 255, noise="binarise", columns=[0, 3, 5, 6, 7, 9, 11])
    network = networks.Network(hidden=(8, 8), batch_norm=True)
    return ADGM(preprocess, 3, dim_z=3, dim_a=2, network=network, **options)


def make_vae():
    preprocess = Preprocess((2,), "float32", [0.5, 2.0], [1.0, -1.0])
    return VAE(preprocess, 2, likelihood="gaussian", dim_z=3, network=networks.Network(hidden=(8,)))


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return tmp_path_factory.mktemp("export")


@pytest.fixture(scope="module")
def adgm(base):
    """An ADGM, its export and the export as it is loaded."""
    model = make_adgm()
    disturb(model)
    path = export.save(model, NAMES, base / "adgm", SAMPLES, description={"dataset": "none"})
    return model, path, tf.saved_model.load(str(path))


@pytest.fixture(scope="module")
def vae(base):
    """A VAE, its export and the export as it is loaded."""
    model = make_vae()
    disturb(model)
    path = export.save(model, None, base / "vae")
    return model, path, tf.saved_model.load(str(path))


def images(n):
    return tf.constant(np.random.default_rng(n).integers(0, 256, (n, 4, 4, 1)), tf.uint8)


def points(n):
    return tf.constant(np.random.default_rng(n).standard_normal((n, 2)), tf.float32)


def example(**features):
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


def integers(values):
    return tf.train.Feature(int64_list=tf.train.Int64List(value=np.ravel(values).astype(int)))


def floats(values):
    return tf.train.Feature(float_list=tf.train.FloatList(value=np.ravel(values)))


def memory(values):
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=[np.asarray(values).tobytes()]))


def close(a, b):
    np.testing.assert_allclose(a, b, RTOL, ATOL)


def own_log_density(model, raw, samples):
    """The model's own weights of one row at a time, from the noise that the export gives to all rows."""
    seeds = [noise.fold(tf.constant([export.DENSITY_SEED, 0]), s) for s in range(samples)]
    rows = [tf.concat([model.log_weights(raw[i : i + 1], seed, 1) for seed in seeds], 0) for i in range(len(raw))]
    return tf.concat([bounds.importance_bound(log_w) for log_w in rows], 0)


# ------------------------------------------------------------------------------------------- the model's own answers


def test_classes_are_the_models_own(adgm):
    model, _, loaded = adgm
    raw, seed = images(5), tf.constant([export.CLASS_SEED, 0])
    own = tf.exp(tf.concat([model.log_class_probs(raw[i : i + 1], seed, SAMPLES) for i in range(5)], 0))
    answer = loaded.signatures["serving_default"](x=raw)
    close(answer["probabilities"], own)
    assert [name.decode() for name in answer["classes"].numpy()] == [NAMES[k] for k in np.argmax(own, 1)]
    assert np.ptp(own, 0).max() > 0.01  # else equality shows nothing
    serialised = [example(x=integers(raw[0])), example(x_bytes=memory(raw[1])), *[example(x=integers(r)) for r in raw[2:]]]
    answer = loaded.signatures["classify"](inputs=tf.constant(serialised))
    close(answer["scores"], own)
    assert answer["classes"].numpy().tolist() == [[name.encode() for name in NAMES]] * 5


def test_encode_is_the_models_own(adgm, vae):
    for (model, _, loaded), raw in ((adgm, images(5)), (vae, points(5))):
        answer, own = loaded.signatures["encode"](x=raw), model.encode(raw)
        assert set(answer) == set(own) == set(model.q) - {"y"}
        for name in own:
            close(answer[name], own[name])


def test_log_density_is_the_models_own(adgm, vae):
    for (model, _, loaded), raw in ((adgm, images(3)), (vae, points(3))):
        for samples in (1, 4):
            answer = loaded.signatures["log_density"](x=raw, samples=tf.constant(samples))["log_density"]
            close(answer, own_log_density(model, raw, samples))


def test_generate_is_the_models_own_in_raw_units(adgm, vae):
    model, _, loaded = adgm
    y, seed = tf.constant([2, 0, 2], tf.int64), tf.constant([export.GENERATE_SEED, 5])
    answer = loaded.signatures["generate"](y=y, seed=tf.constant(5))["x"]
    close(answer, model.preprocess.picture(model.generate(seed, 3, tf.one_hot(y, 3))[0]))
    assert answer.shape == (3, 4, 4, 1)
    model, _, loaded = vae
    answer = loaded.signatures["generate"](n=tf.constant(4), seed=tf.constant(5))["x"]
    close(answer, model.preprocess.picture(model.generate(seed, 4)[0]))


def test_generate_is_a_function_of_the_seed(adgm):
    draw, y = adgm[2].signatures["generate"], tf.constant([0, 1], tf.int64)
    first, again, other = (draw(y=y, seed=tf.constant(seed))["x"].numpy() for seed in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()


@pytest.mark.parametrize("columns", [None, [1, 2, 5]])
@pytest.mark.parametrize("scale, shift", [(0.25, 3.0), ([0.5, 2.0, 4.0], [1.0, 0.0, -1.0])])
def test_picture_is_that_of_preprocess(columns, scale, shift):
    preprocess = Preprocess((2, 1, 3), "float32", scale, shift, columns)
    x = np.random.default_rng(0).standard_normal((4, preprocess.size)).astype("float32")
    np.testing.assert_allclose(export.picture(preprocess, tf.constant(x)), preprocess.picture(x), 1e-6)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "int64", "uint32", "float16", "float32", "float64", "bool"])
def test_tf_examples_in_every_dtype(dtype):
    preprocess = Preprocess((2, 2), dtype)
    raw = np.array([[[0, 1], [200, 3]], [[1, 4], [5, 0]]]).astype(dtype)
    listed = floats if np.dtype(dtype).kind == "f" else integers
    read = export.parse_examples(tf.constant([example(x=listed(raw[0])), example(x_bytes=memory(raw[1]))]), preprocess)
    assert (read.numpy() == raw.astype("float32")).all()


# ------------------------------------------------------------------------------------------------------- row by row


def test_a_row_alone_in_a_batch_and_padded_has_one_answer(adgm, vae):
    density = dict(samples=tf.constant(3))
    jobs = [("serving_default", adgm, images(6), {}), ("encode", adgm, images(6), {}), ("encode", vae, points(6), {})]
    jobs += [("log_density", adgm, images(6), density), ("log_density", vae, points(6), density)]
    for name, (_, _, loaded), raw, more in jobs:
        function = loaded.signatures[name]
        together = function(x=raw, **more)
        alone = [function(x=raw[i : i + 1], **more) for i in range(6)]
        padded = function(x=tf.concat([raw[:2]] + [raw[1:2]] * 6, 0), **more)  # as a server that batches
        again = function(x=raw, **more)
        for key in set(together) - {"classes"}:
            close(together[key], tf.concat([answer[key] for answer in alone], 0))
            close(padded[key][:2], together[key][:2])
            assert (again[key].numpy() == together[key].numpy()).all()


def test_draws_of_batch_1_are_shared_by_all_rows():
    model = make_adgm()
    x = model.observe(images(5))
    values, _ = bounds.follow({"a": model.q["a"]}, {"x": x}, noise.Draws(tf.constant([0, 1]), 1, samples=4))
    normal = model.q["a"].distribution({"x": x}).distribution
    shared = (values["a"] - normal.loc) / normal.scale
    assert values["a"].shape == (4, 5, 2)
    close(shared, tf.repeat(shared[:, :1], 5, 1))
    assert np.unique(np.round(shared[:, 0], 3)).size == 8


def test_empty_batches_are_answered(adgm):
    answer = adgm[2].signatures["serving_default"](x=images(1)[:0])
    assert answer["probabilities"].shape == (0, 3)


def test_bfloat16_models_export(tmp_path):
    model = make_adgm(precision="bfloat16")
    loaded = tf.saved_model.load(str(export.save(model, NAMES, tmp_path, samples=2)))
    assert loaded.signatures["serving_default"](x=images(2))["probabilities"].dtype == tf.float32


# -------------------------------------------------------------------------------------------------------- wrong input


@pytest.mark.parametrize(
    "features, kind",
    [
        ({}, "7"),
        ({"x": integers(range(15))}, "15"),
        ({"x_bytes": memory(b"123")}, "short"),
        ({"x": floats([0.5] * 16)}, "float"),
    ],
)
def test_wrong_tf_examples_are_refused(adgm, features, kind):
    with pytest.raises(tf.errors.InvalidArgumentError, match="x_bytes with one string of 16 bytes|Expected type: int64"):
        adgm[2].signatures["classify"](inputs=tf.constant([example(**features)]))


def test_wrong_scalars_are_refused(adgm, vae):
    signatures = adgm[2].signatures
    with pytest.raises(tf.errors.InvalidArgumentError, match="samples: allowed: at least 1"):
        signatures["log_density"](x=images(1), samples=tf.constant(0))
    with pytest.raises(tf.errors.InvalidArgumentError, match="y: allowed: 0 to 2"):
        signatures["generate"](y=tf.constant([1, 3], tf.int64), seed=tf.constant(0))
    with pytest.raises(tf.errors.InvalidArgumentError, match="n: allowed: at least 1"):
        vae[2].signatures["generate"](n=tf.constant(0), seed=tf.constant(0))
