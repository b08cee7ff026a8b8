"""Two replicas train as one does. In a process of their own: logical devices must exist before TensorFlow starts."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

TESTS = pathlib.Path(__file__).resolve().parent

SCRIPT = """
import contextlib, json, sys
import keras
import numpy as np
import tensorflow as tf

tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)
sys.path.insert(0, sys.argv[1])
import conftest
from tfadgm import noise, registry
from tfadgm.networks import mlp
from tfadgm.networks import optimizers
from tfadgm.data.preprocess import Preprocess
from tfadgm.training import loop

rng = np.random.default_rng(0)
raw = (rng.random((3, 16, 12)) < 0.4).astype("float32")
batches = {"labelled": (raw, rng.integers(0, 4, (3, 16))), "unlabelled": raw[:, ::-1] * 1.0}
results = {}


def train(strategy, name, xla, **clipping):
    with strategy.scope() if strategy else contextlib.nullcontext():
        cls = registry.model_class(name)
        model = cls(Preprocess([12]), 4, network=mlp.Network(hidden=(16,)), dim_z=3, xla=xla)
        model.compile(optimizer=optimizers.Adam(1e-2, epsilon=1e-3, **clipping), jit_compile=False)
        model.optimizer.build(model.trainable_variables)
    def shares(context):
        replicas = context.num_replicas_in_sync
        parts = tf.nest.map_structure(lambda a: a.reshape(3 * replicas, 16 // replicas, *a.shape[2:]), batches)
        return tf.data.Dataset.from_tensor_slices(parts).repeat()

    logs = {}
    told = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, found: logs.update(found))
    loop.run(model, shares, 1, 3, [told])
    return model, logs


def largest(ours, theirs):
    ours, theirs = ([keras.ops.convert_to_numpy(v) for v in variables] for variables in (ours, theirs))
    return max(float(np.abs(a - b).max()) for a, b in zip(ours, theirs, strict=True))


strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
results["replicas"] = strategy.num_replicas_in_sync
seeds = strategy.run(lambda: noise.step_seed(3, 7))
results["seeds"] = [s.numpy().tolist() for s in strategy.experimental_local_results(seeds)]

cases = {
    "averaged": ("sdgm", False, dict(average=0.5)),
    "clipped_norm": ("m2", False, dict(max_norm=0.05)),
    "clipped_value_and_xla": ("m2", True, dict(max_value=0.001)),
}
drawn = noise.Draws.__call__, noise.Draws.scored
noise.Draws.__call__, noise.Draws.scored = conftest._mean, conftest._scored_mean
for case, (name, xla, clipping) in cases.items():
    one, terms = train(None, name, False, **clipping)
    two, twos = train(strategy, name, xla, **clipping)
    initial = type(one).from_config(one.get_config())
    results[case] = dict(
        weights=largest(one.get_weights(), two.get_weights()),
        optimizer=largest(one.optimizer.variables, two.optimizer.variables),
        terms=max(abs(terms[n] - twos[n]) for n in terms),
        moved=largest(one.get_weights(), initial.get_weights()),
        steps=int(keras.ops.convert_to_numpy(two.optimizer.iterations)),
    )

# With noise: batch norm trains and both replicas keep the same weights.
noise.Draws.__call__, noise.Draws.scored = drawn
with strategy.scope():
    network = mlp.Network(hidden=(16,), batch_norm=True)
    model = registry.model_class("adgm")(Preprocess([12]), 4, network=network, dim_z=3, dim_a=3)
    model.compile(optimizer=optimizers.Adam(1e-2, max_norm=5.0, max_value=1.0), jit_compile=False)
model.fit(tf.data.Dataset.from_tensor_slices(batches), epochs=2, verbose=0)
copies = [strategy.experimental_local_results(v.value) for v in model.variables]
results["noisy"] = dict(
    apart=max(float(np.abs(a.numpy() - b.numpy()).max()) for a, b in copies),
    finite=bool(all(np.isfinite(w).all() for w in model.get_weights())),
    moved=largest(*zip(*[(v, np.ones(v.shape)) for v in model.variables if v.name == "moving_variance"])),
)
print("RESULTS" + json.dumps(results))
"""


@pytest.fixture(scope="module")
def results():
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(TESTS.parent), os.environ.get("PYTHONPATH", "")]),
        "CUDA_VISIBLE_DEVICES": "",
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    process = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(TESTS)], env=environment, capture_output=True, text=True, timeout=300
    )
    assert process.returncode == 0, process.stderr[-4000:]
    return json.loads(process.stdout.split("RESULTS")[1])


def test_each_replica_has_noise_of_its_own(results):
    assert results["replicas"] == 2
    assert results["seeds"] == [[3, 14], [3, 15]]


@pytest.mark.parametrize("case", ["averaged", "clipped_norm", "clipped_value_and_xla"])
def test_two_replicas_equal_one(results, case):
    found = results[case]
    assert found["steps"] == 3 and found["moved"] > 1e-3
    for what in ("weights", "optimizer", "terms"):
        assert found[what] < 1e-5, (what, found)


def test_two_replicas_with_noise_and_batch_norm_stay_together(results):
    found = results["noisy"]
    assert found["apart"] < 1e-6 and found["finite"] and found["moved"] > 1e-3
