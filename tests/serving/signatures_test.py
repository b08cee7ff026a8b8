"""The exported signatures answer as the model does, row by row."""

import numpy as np
import pytest
import tensorflow as tf

from tfadgm import bounds, noise
from tfadgm.data.preprocess import Preprocess
from tfadgm.models import density, questions
from tfadgm.models.adgm import ADGM
from tfadgm.models.vae import VAE
from tfadgm.networks import mlp
from tfadgm.serving import export, inputs, signatures

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
    network = mlp.Network(hidden=(8, 8), batch_norm=True)
    return ADGM(preprocess, 3, dim_z=3, dim_a=2, network=network, **options)


def make_vae():
    preprocess = Preprocess((2,), "float32", [0.5, 2.0], [1.0, -1.0])
    return VAE(preprocess, 2, likelihood="gaussian", dim_z=3, network=mlp.Network(hidden=(8,)))


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


@pytest.fixture(scope="module")
def table(base):
    """An ADGM of tables with two columns of floats, its export and the export as it is loaded."""
    model = ADGM(Preprocess((2,)), 3, likelihood="gaussian", dim_z=3, dim_a=2, network=mlp.Network(hidden=(8,)))
    disturb(model)
    path = export.save(model, NAMES, base / "table", SAMPLES)
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


def png(seed, shape=(4, 4, 1)):
    return tf.io.encode_png(np.random.default_rng(seed).integers(0, 256, shape).astype("uint8")).numpy()


def close(a, b):
    np.testing.assert_allclose(a, b, RTOL, ATOL)


def own_log_density(model, raw, samples):
    """The model's own weights of one row at a time, from noise of the row's own."""
    rows = []
    for row in (raw[i : i + 1] for i in range(len(raw))):
        seeds = noise.of_examples(row, density.SEED)
        x = density.observed(model.preprocess, row, seeds)
        log_w = model.log_weights(row, noise.fold(seeds, tf.constant(0)), samples, x)
        rows.append(bounds.importance_bound(log_w) + model.log_scale(row))
    return tf.concat(rows, 0)


# ------------------------------------------------------------------------------------------- the model's own answers


def test_classes_are_the_models_own(adgm):
    model, _, loaded = adgm
    raw, seed = images(5), tf.constant([questions.CLASS_SEED, 0])
    own = tf.exp(tf.concat([model.log_class_probs(raw[i : i + 1], seed, SAMPLES) for i in range(5)], 0))
    answer = loaded.signatures["serving_default"](x=raw)
    close(answer["probabilities"], own)
    assert [name.decode() for name in answer["classes"].numpy()] == [NAMES[k] for k in np.argmax(own, 1)]
    assert np.ptp(own, 0).max() > 0.01  # else equality shows nothing
    serialised = [example(x=integers(raw[0])), example(x_bytes=memory(raw[1])), *[example(x=integers(r)) for r in raw[2:]]]
    answer = loaded.signatures["classify"](inputs=tf.constant(serialised))
    close(answer["scores"], own)
    assert answer["classes"].numpy().tolist() == [[name.encode() for name in NAMES]] * 5


def test_every_way_to_ask_has_one_answer(adgm):
    loaded, raw = adgm[2].signatures, images(4)
    own = loaded["predict"](x=raw)
    files = [tf.io.encode_png(picture).numpy() for picture in raw]
    for answer in (
        loaded["serving_default"](x=raw),
        loaded["predict_float"](x=tf.cast(raw, tf.float32)),
        loaded["predict_bytes"](inputs=tf.constant(files)),
    ):
        assert (answer["classes"].numpy() == own["classes"].numpy()).all()
        assert (answer["probabilities"].numpy() == own["probabilities"].numpy()).all()
    ways = [dict(x_int64=integers(raw[0])), dict(x_float=floats(raw[1])), dict(x=integers(raw[2]))]
    ways.append({"image/encoded": tf.train.Feature(bytes_list=tf.train.BytesList(value=[files[3]]))})
    scores = loaded["classify"](inputs=tf.constant([example(**way) for way in ways]))["scores"]
    assert (scores.numpy() == own["probabilities"].numpy()).all()


def test_uncertainty_is_that_of_the_samples(adgm):
    model, _, loaded = adgm
    raw, seed = images(5), tf.constant([questions.CLASS_SEED, 0])
    q = np.exp(model.classify_by_sample(model.observe(raw), noise.Draws(seed, 1, SAMPLES)).numpy())  # [S, N, K]
    total, expected = (-(p * np.log(p)).sum(-1) for p in (q.mean(0), q))
    answer = loaded.signatures["uncertainty"](x=raw)
    close(answer["entropy"], total)
    close(answer["expected_entropy"], expected.mean(0))
    np.testing.assert_allclose(answer["mutual_information"], total - expected.mean(0), atol=1e-5)
    assert np.min(answer["mutual_information"]) > 1e-4  # else equality shows nothing


def test_regress_is_the_log_density(adgm, vae):
    for (_, _, loaded), raw, listed in ((adgm, images(3), integers), (vae, points(3), floats)):
        serialised = tf.constant([example(x=listed(row)) for row in raw])
        answer = loaded.signatures["regress"](inputs=serialised)["outputs"]
        samples = tf.constant(signatures.REGRESS_SAMPLES)
        assert (answer.numpy() == loaded.signatures["log_density"](x=raw, samples=samples)["log_density"].numpy()).all()


def operations(function):
    """The types of all operations that a concrete function runs, those of the functions it calls too."""
    graph = function.graph.as_graph_def()
    return {node.op for part in (graph.node, *(body.node_def for body in graph.library.function)) for node in part}


def test_the_noise_of_the_classifier_is_stored(adgm):
    for name, drawn in (("predict", False), ("classify", False), ("uncertainty", False), ("generate", True)):
        ops = operations(adgm[2].signatures[name])
        assert "MatMul" in ops or "BatchMatMulV2" in ops
        assert any("Random" in op for op in ops) == drawn


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
    y, seed = tf.constant([2, 0, 2], tf.int64), tf.constant([signatures.GENERATE_SEED, 5])
    answer = loaded.signatures["generate"](y=y, count=tf.constant(1), seed=tf.constant(5))["x"]
    close(answer, model.preprocess.picture(model.generate(seed, 3, tf.one_hot(y, 3), means=False)[0]))
    assert answer.shape == (3, 4, 4, 1)
    for name, means in (("generate", False), ("generate_mean", True)):
        answer = adgm[2].signatures[name](y=y[:2], count=tf.constant(3), seed=tf.constant(5))["x"]
        own = adgm[0].generate(seed, 6, tf.one_hot([2, 2, 2, 0, 0, 0], 3), means=means)[0]
        close(answer, adgm[0].preprocess.picture(own))
        answer = vae[2].signatures[name](count=tf.constant(4), seed=tf.constant(5))["x"]
        close(answer, vae[0].preprocess.picture(vae[0].generate(seed, 4, means=means)[0]))


def test_generate_is_a_function_of_the_seed(adgm):
    draw, y = adgm[2].signatures["generate"], tf.constant([0, 1], tf.int64)
    one = tf.constant(1)
    first, again, other = (draw(y=y, count=one, seed=tf.constant(seed))["x"].numpy() for seed in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()


@pytest.mark.parametrize("columns", [None, [1, 2, 5]])
@pytest.mark.parametrize("scale, shift", [(0.25, 3.0), ([0.5, 2.0, 4.0], [1.0, 0.0, -1.0])])
def test_picture_is_that_of_preprocess(columns, scale, shift):
    preprocess = Preprocess((2, 1, 3), "float32", scale, shift, columns)
    x = np.random.default_rng(0).standard_normal((4, preprocess.size)).astype("float32")
    np.testing.assert_allclose(preprocess.raw(tf.constant(x)), preprocess.picture(x), 1e-6)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "int64", "uint32", "float16", "float32", "float64", "bool"])
def test_tf_examples_in_every_dtype(dtype):
    preprocess = Preprocess((2, 2), dtype)
    raw = np.array([[[0, 1], [200, 3]], [[1, 4], [5, 0]]]).astype(dtype)
    listed = floats if np.dtype(dtype).kind == "f" else integers
    read = inputs.parse_examples(tf.constant([example(x=listed(raw[0])), example(x_bytes=memory(raw[1]))]), preprocess)
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


BAD = {
    "no feature": ({}, r"tf.Example: allowed: exactly one of the features .*\[1 0\]"),
    "two features": (dict(x=integers(range(16)), x_bytes=memory(range(2))), r"allowed: exactly one of .*\[1 2\]"),
    "too short": (dict(x=integers(range(15))), r"x: allowed: 16 values; .*\[16 15\]"),
    "too long": (dict(x_float=floats(range(17))), r"x_float: allowed: 16 values; .*\[0 17\]"),
    "another kind": (dict(x=floats([0.5] * 16)), "Key: x, .*Expected type: int64, Actual type: float"),
    "bytes too short": (
        dict(x_bytes=memory(np.zeros(3, "uint8"))),
        r"x_bytes: allowed: 16 bytes \(16 values of uint8.*\[3\]",
    ),
    "out of range": (dict(x=integers([256] + [0] * 15)), r"x: allowed: whole numbers from 0 to 255; .*\[1\]"),
    "negative": (dict(x_int64=integers([-1] + [0] * 15)), r"x_int64: allowed: whole numbers from 0 to 255; .*\[1\]"),
    "not whole": (dict(x_float=floats([0.5] * 16)), r"x_float: allowed: whole numbers from 0 to 255; .*\[1\]"),
    "NaN": (dict(x_float=floats([np.nan] * 16)), r"x_float: allowed: whole numbers from 0 to 255; .*\[1\]"),
    "no picture": (
        {"image/encoded": memory(np.arange(9, dtype="uint8"))},
        "image/encoded: allowed: PNG and JPEG files",
    ),
    "half a picture": ({"image/encoded": memory(np.frombuffer(png(5)[:40], "uint8"))}, "image_encoded(.|\n)*Invalid PNG"),
    "another size": (
        {"image/encoded": memory(np.frombuffer(png(5, (5, 4, 1)), "uint8"))},
        r"image/encoded: allowed: a picture of height and width \[4, 4\]; got\] \[5 4\]",
    ),
}


@pytest.mark.parametrize("kind", BAD)
def test_wrong_tf_examples_are_refused(adgm, kind):
    features, message = BAD[kind]
    right = example(x=integers(images(1)[0]))
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        adgm[2].signatures["classify"](inputs=tf.constant([right, example(**features)]))


def test_what_is_no_tf_example_is_refused(adgm):
    for name in ("classify", "regress"):
        with pytest.raises(tf.errors.InvalidArgumentError, match="Could not parse example input"):
            adgm[2].signatures[name](inputs=tf.constant([b"nothing of the kind"]))


@pytest.mark.parametrize("name", ["serving_default", "encode", "uncertainty"])
def test_numbers_that_are_not_finite_are_refused(table, name):
    x = np.zeros((3, 2), "float32")
    x[1] = np.nan
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"x: allowed: finite numbers; .*\[1\]"):
        table[2].signatures[name](x=tf.constant(x))


def test_floats_for_whole_numbers_are_checked(adgm):
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"x: allowed: whole numbers from 0 to 255; .*\[0 1\]"):
        adgm[2].signatures["predict_float"](x=tf.fill([2, 4, 4, 1], 0.5))


def test_wrong_scalars_are_refused(adgm, vae):
    loaded, one = adgm[2].signatures, tf.constant(1)
    with pytest.raises(tf.errors.InvalidArgumentError, match="samples: allowed: at least 1"):
        loaded["log_density"](x=images(1), samples=tf.constant(0))
    with pytest.raises(tf.errors.InvalidArgumentError, match="y: allowed: 0 to 2"):
        loaded["generate"](y=tf.constant([1, 3], tf.int64), count=one, seed=one)
    for signatures_, more in ((loaded, dict(y=tf.constant([1], tf.int64))), (vae[2].signatures, {})):
        with pytest.raises(tf.errors.InvalidArgumentError, match="count: allowed: at least 1"):
            signatures_["generate"](count=tf.constant(0), seed=one, **more)
