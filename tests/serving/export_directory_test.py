"""What an export writes: signatures with the documented keys, versions, nothing that needs XLA or tfadgm."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from tfadgm.cli import export as export_cli
from tfadgm.data.preprocess import Preprocess
from tfadgm.models.adgm import ADGM
from tfadgm.models.vae import VAE
from tfadgm.networks import mlp, optimizers
from tfadgm.serving import export

NAMES, NETWORK = ["cat", "dog", "owl"], mlp.Network(hidden=(4,))


def make_adgm():
    return ADGM(Preprocess((4, 4, 1), "uint8", 1 / 255), 3, dim_z=3, dim_a=2, network=NETWORK, xla=True)


def make_vae():
    return VAE(Preprocess((2,)), 2, likelihood="gaussian", dim_z=3, network=NETWORK, xla=True)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return tmp_path_factory.mktemp("export")


@pytest.fixture(scope="module")
def adgm(base):
    """The export of an ADGM."""
    return export.save(make_adgm(), NAMES, base / "adgm", samples=2, description={"dataset": "none"})


@pytest.fixture(scope="module")
def vae(base):
    """A VAE that has taken a step compiled by XLA, and its export."""
    model = make_vae()
    model.compile(optimizer=optimizers.Adam(1e-3), jit_compile=False)
    model.train_step({"unlabelled": tf.ones([4, 2])})
    return model, export.save(model, None, base / "vae")


def test_signatures_have_the_documented_keys_and_unknown_batches(adgm, vae):
    x = ("uint8", (None, 4, 4, 1))
    found = export.signatures(adgm)
    y, scalar, strings = ("int64", (None,)), ("int32", ()), {"inputs": ("string", (None,))}
    assert {name: s["inputs"] for name, s in found.items()} == {
        "serving_default": {"x": x},
        "predict": {"x": x},
        "predict_float": {"x": ("float32", (None, 4, 4, 1))},
        "predict_bytes": strings,
        "classify": strings,
        "regress": strings,
        "encode": {"x": x},
        "generate": {"y": y, "count": scalar, "seed": scalar},
        "generate_mean": {"y": y, "count": scalar, "seed": scalar},
        "log_density": {"x": x, "samples": scalar},
        "uncertainty": {"x": x},
    }
    row = ("float32", (None,))
    predicted = {"classes": ("string", (None,)), "probabilities": ("float32", (None, 3))}
    assert {name: s["outputs"] for name, s in found.items()} == {
        **dict.fromkeys(("serving_default", "predict", "predict_float", "predict_bytes"), predicted),
        "classify": {"classes": ("string", (None, 3)), "scores": ("float32", (None, 3))},
        "regress": {"outputs": row},
        "encode": {"a": ("float32", (None, 2)), "z": ("float32", (None, 3))},
        "generate": {"x": ("float32", (None, 4, 4, 1))},
        "generate_mean": {"x": ("float32", (None, 4, 4, 1))},
        "log_density": {"log_density": row},
        "uncertainty": dict.fromkeys(("entropy", "expected_entropy", "mutual_information"), row),
    }
    methods = {name: s["method"].removeprefix("tensorflow/serving/") for name, s in found.items()}
    assert methods == dict.fromkeys(found, "predict") | {"classify": "classify", "regress": "regress"}
    found = export.signatures(vae[1])
    assert set(found) == {"serving_default", "encode", "generate", "generate_mean", "log_density", "regress"}
    assert found["serving_default"]["outputs"] == found["encode"]["outputs"] == {"z": ("float32", (None, 3))}
    assert set(found["generate"]["inputs"]) == {"count", "seed"}
    assert "log_density      samples int32 [], x float32 [N, 2] -> log_density" in export_cli.signature_table(found)


def test_versions_increase_and_nothing_else_is_left(vae, base):
    (base / "vae" / "notes").mkdir()
    assert export.save(vae[0], None, base / "vae") == base / "vae" / "2"
    assert sorted(path.name for path in (base / "vae").iterdir()) == ["1", "2", "index.json", "notes"]


def test_keep_removes_the_oldest_and_the_index_says_what_is_there(tmp_path):
    for number in range(4):
        export.save(make_vae(), None, tmp_path / "m", description={"number": number}, keep=2)
    assert sorted(path.name for path in (tmp_path / "m").iterdir()) == ["3", "4", "index.json"]
    index = json.loads((tmp_path / "m" / "index.json").read_text())
    assert {version: about["description"]["number"] for version, about in index.items()} == {"3": 2, "4": 3}
    assert index["4"]["model"] == "VAE" and index["4"]["model_name"] == "m"


def test_a_version_taken_meanwhile_is_passed_over(tmp_path, monkeypatch):
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "saved_model.pb").touch()
    (tmp_path / "new").mkdir()
    monkeypatch.setattr(export, "versions", lambda base: [])
    assert export._publish(tmp_path / "new", tmp_path) == tmp_path / "2"


def test_a_function_that_must_be_compiled_is_refused(tmp_path, monkeypatch):
    compiled = tf.function(lambda x: {"y": 2 * x}, jit_compile=True)
    outer = tf.function(lambda x: compiled(x)).get_concrete_function(tf.TensorSpec([None], name="x"))
    monkeypatch.setattr(export, "endpoints", lambda *_: {"serving_default": outer})
    with pytest.raises(ValueError, match="must be compiled by XLA"):
        export.save(make_vae(), None, tmp_path)
    assert not list(tmp_path.iterdir())


def test_no_function_must_be_compiled_even_if_the_train_step_is(adgm, vae):
    assert vae[0].xla and vae[0]._compiled is not None
    export.check_portable(adgm)
    export.check_portable(vae[1])


def test_wrong_arguments_are_refused_before_anything_is_written(tmp_path):
    model = make_adgm()
    for names in (None, ["cat", "dog"], ["cat", "dog", "dog"]):
        with pytest.raises(ValueError, match="class_names: got .*; allowed: 3 different names"):
            export.save(model, names, tmp_path / "new")
    with pytest.raises(ValueError, match="samples: got 0; allowed: at least 1"):
        export.save(model, NAMES, tmp_path / "new", samples=0)
    with pytest.raises(ValueError, match="keep: got 0; allowed: at least 1"):
        export.save(model, NAMES, tmp_path / "new", keep=0)
    with pytest.raises(ValueError, match="model_name: got 'a/b'; allowed: letters"):
        export.save(model, NAMES, tmp_path / "new", model_name="a/b")
    assert not (tmp_path / "new").exists()


def test_the_description_is_kept(adgm):
    about = json.loads((adgm / export.DESCRIPTION_FILE).read_text())
    assert about["description"] == {"dataset": "none"} and about["class_names"] == NAMES and about["model"] == "ADGM"


# ------------------------------------------------------------------------------------------------- TensorFlow alone

FRESH = """
import importlib.machinery
import sys

class Forbidden:
    # TensorFlow looks where Keras lies, so it can be found; importing it fails.
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("tfadgm", "tensorflow_probability", "keras", "tf_keras"):
            spec = importlib.machinery.PathFinder.find_spec(name, path)
            if spec:
                spec.loader = self
            return spec

    def create_module(self, spec):
        raise ImportError(f"{spec.name} must not be needed")

    def exec_module(self, module):
        pass

sys.meta_path.insert(0, Forbidden())
import numpy as np
import tensorflow as tf
path, given, out = sys.argv[1:]
given = dict(np.load(given))
files = given.pop("files")
signatures = tf.saved_model.load(path).signatures
answers = {}
for name, function in signatures.items():
    keys = function.structured_input_signature[1]
    own = {**given, "inputs": files} if name == "predict_bytes" else given
    for key, value in function(**{key: tf.constant(own[key], spec.dtype) for key, spec in keys.items()}).items():
        value = value.numpy()
        answers[f"{name}.{key}"] = value.astype("S") if value.dtype == object else value
loaded = {name.split(".")[0] for name in sys.modules}
assert not loaded & {"tfadgm", "tensorflow_probability", "keras", "tf_keras"}
np.savez(out, **answers)
"""


def example(raw):
    memory = tf.train.Feature(bytes_list=tf.train.BytesList(value=[raw.tobytes()]))
    return tf.train.Example(features=tf.train.Features(feature={"x_bytes": memory})).SerializeToString()


def test_a_process_with_tensorflow_alone_gives_the_same_answers(adgm, tmp_path):
    loaded, raw = tf.saved_model.load(str(adgm)), np.random.default_rng(0).integers(0, 256, (3, 4, 4, 1)).astype("uint8")
    given = dict(x=raw, samples=2, y=[0, 2], count=2, seed=3, inputs=np.array([example(row) for row in raw]))
    given["files"] = np.array([tf.io.encode_png(row).numpy() for row in raw])
    np.savez(tmp_path / "given.npz", **given)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, "-c", FRESH, str(adgm), str(tmp_path / "given.npz"), str(tmp_path / "out.npz")]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    answers = dict(np.load(tmp_path / "out.npz"))
    for name, function in loaded.signatures.items():
        keys = function.structured_input_signature[1]
        own = {**given, "inputs": given["files"]} if name == "predict_bytes" else given
        for key, value in function(**{k: tf.constant(own[k], spec.dtype) for k, spec in keys.items()}).items():
            got = answers.pop(f"{name}.{key}")
            if value.dtype == tf.string:
                assert (got == value.numpy().astype("S")).all()
            else:
                np.testing.assert_allclose(got, value, 1e-5, 1e-6)
    assert not answers
