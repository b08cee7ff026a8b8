"""The lighter formats answer as the model does, alone and in batches, or are not written."""

import numpy as np
import pytest
import tensorflow as tf

from tfadgm.data.preprocess import Preprocess
from tfadgm.models.adgm import ADGM
from tfadgm.models.cagem import CaGeM
from tfadgm.models.vae import VAE
from tfadgm.networks import mlp
from tfadgm.serving import formats, signatures

SAMPLES = 7


def _make(model_class, classes, **sizes):
    network = mlp.Network(hidden=(8, 8), batch_norm=True)
    preprocess = Preprocess((4, 4, 1), "uint8", 1 / 255, columns=[0, 3, 5, 6, 7, 9, 11])
    made = model_class(preprocess, classes, network=network, **sizes)
    generator = np.random.default_rng(1)
    for weight in made.weights:
        noise = generator.standard_normal(weight.shape)
        weight.assign(0.4 * noise if weight.name == "kernel" else np.abs(weight + 0.2 * noise))
    return made


@pytest.fixture(scope="module")
def model():
    return _make(ADGM, 3, dim_z=3, dim_a=2)


@pytest.fixture(scope="module")
def examples():
    return np.random.default_rng(0).integers(0, 256, (230, 4, 4, 1)).astype("uint8")


@pytest.mark.parametrize("kind", ["litert", "onnx"])
def test_a_classifier_that_draws_a_class_answers_as_the_model(examples, tmp_path, kind):
    cagem = _make(CaGeM, 5, dim_z=(3, 2))
    path, found = formats.save(cagem, tmp_path, kind, examples, SAMPLES)
    own = np.exp(signatures.log_class_probs(cagem, tf.constant(examples), SAMPLES))
    np.testing.assert_allclose(formats.open_file(path)(examples[:3]), own[:3], atol=1e-5)
    assert found["agreement"] >= 0.999 and np.ptp(own, 0).max() > 0.03


@pytest.mark.parametrize("kind, quantise", [("litert", "none"), ("litert", "float16"), ("onnx", "none")])
def test_the_file_answers_as_the_model(model, examples, tmp_path, kind, quantise):
    path, found = formats.save(model, tmp_path, kind, examples, SAMPLES, quantise)
    assert path == tmp_path / formats.FILES[kind] and [p.name for p in tmp_path.iterdir()] == [path.name]
    assert found["examples"] == 230 and found["agreement"] >= 0.999 and found["bytes"] == path.stat().st_size
    own = np.exp(signatures.log_class_probs(model, tf.constant(examples), SAMPLES))
    atol = 1e-5 if quantise == "none" else 2e-2
    answer = formats.open_file(path)
    for batch in (1, 3, 2):
        np.testing.assert_allclose(answer(examples[:batch]), own[:batch], atol=atol)
    assert np.ptp(own, 0).max() > 0.05  # else equality shows nothing


def test_eight_bits_are_smaller(model, examples, tmp_path):
    wide = mlp.Network(hidden=(200, 200))
    made = ADGM(Preprocess((4, 4, 1), "uint8", 1 / 255), 3, dim_z=3, dim_a=2, network=wide)
    one = examples[:1]  # of which any file agrees
    whole, eighth = (formats.save(made, tmp_path / q, "litert", one, SAMPLES, q)[1]["bytes"] for q in ("none", "dynamic"))
    assert eighth < 0.4 * whole


def test_a_file_that_does_not_agree_is_not_kept(model, examples, tmp_path, monkeypatch):
    real = formats.open_file
    monkeypatch.setattr(formats, "open_file", lambda path: lambda x: real(path)(x)[:, ::-1])
    with pytest.raises(
        ValueError, match=r"onnx \(quantise: none\) agrees with the model on .* of 230 examples; allowed: at least"
    ):
        formats.save(model, tmp_path, "onnx", examples, SAMPLES)
    assert not list(tmp_path.iterdir())


def test_a_converter_that_fails_is_told_and_leaves_nothing(model, examples, tmp_path, monkeypatch):
    def fail(self, path, **options):
        path.write_bytes(b"half")
        raise RuntimeError("no such op\nand more")

    monkeypatch.setattr(formats.Probabilities, "export", fail)
    with pytest.raises(ValueError, match="format: onnx cannot hold this model: no such op; allowed: tf_saved_model"):
        formats.save(model, tmp_path / "exports" / "onnx", "onnx", examples, SAMPLES)
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_written_is_refused(model, tmp_path, monkeypatch):
    x = np.zeros((1, 2), "float32")
    with pytest.raises(ValueError, match="format: got onnx for a model without classes; allowed: tf_saved_model"):
        formats.save(VAE(Preprocess((2,)), 2, network=mlp.Network(hidden=(4,))), tmp_path, "onnx", x)
    with pytest.raises(ValueError, match="quantise: got dynamic for onnx; allowed: none"):
        formats.save(model, tmp_path, "onnx", x, quantise="dynamic")
    monkeypatch.setitem(formats.PACKAGES, "litert", ("no_such_package",))
    with pytest.raises(ValueError, match=r"litert needs no_such_package; allowed: after pip install 'tfadgm\[litert\]'"):
        formats.save(model, tmp_path, "litert", x)
