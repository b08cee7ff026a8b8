"""Two processes on loopback train as one does; one that dies ends the group, and the same command goes on."""

import json
import os
import pathlib
import socket
import subprocess
import sys

import numpy as np
import pytest

from tfadgm.data import pipeline
from tfadgm.data.dataset import Dataset
from tfadgm.runs import in_memory, recipes, run
from tfadgm.runs.run_directory import Run
from tfadgm.training import workers

TESTS = pathlib.Path(__file__).resolve().parent.parent
SETTINGS = dict(hidden=(8,), dim_z=2, batch=300, epochs=6, average=0.9, max_norm=5.0, checkpoint_seconds=0.0)
SETTINGS |= dict(density_samples=2, density_examples=5, test_samples=2, select=False)

SCRIPT = """
import json, os, pathlib, signal, sys, time
import numpy as np
import tensorflow as tf
role, out, settings = sys.argv[1], pathlib.Path(sys.argv[2]), json.loads(sys.argv[3])
if role == "one":  # two logical devices
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
import conftest
from tfadgm import noise
from tfadgm.runs import build, group, recipes, run
from tfadgm.training import callbacks, loop, stopping, workers

# Of categorical pixels no noise is drawn beside the latents; rounding where a gradient is nearly 0 is no step of Adam's.
exact = dict(batch_norm=False, likelihood="categorical", adam_epsilon=1e-3)
made, ended, looped, found = [], callbacks.Clock.on_train_batch_end, loop.run, {}


def last_weights(model, *arguments, **options):
    try:
        looped(model, *arguments, **options)
    finally:
        found["last"] = model.get_weights()


def signalled(at, number):
    def on_train_batch_end(clock, batch, logs=None):
        made.append(batch)
        if len(made) == at and role == "1":
            os.kill(os.getpid(), number)
            time.sleep(0.1)
        ended(clock, batch, logs)

    made.clear()
    callbacks.Clock.on_train_batch_end = on_train_batch_end


def whole_way(settings, directory, quiet):
    data, split = build.load_data(settings)
    directory.mkdir(exist_ok=True)
    model, state, rows = group.build_train(settings, data, split, directory, True, None)
    found["final"] = model.get_weights()
    return dict(steps=state.steps, epochs=state.epoch)


def train(case, strategy="multi_worker", name=None, **changes):
    own = recipes.resolve("m2", "digits", strategy=strategy, **settings | changes)
    directory = out / (name or f"{case}-{role}")
    if strategy == "multi_worker":
        results = group.train(own, directory, True, whole_way)
    else:
        results = whole_way(own, directory, True)
    for kind, weights in found.items():
        np.savez(out / f"{case}-{role}-{kind}.npz", *weights)
    found.clear()
    return results


def pinned(*arguments, **options):
    drawn = noise.Draws.__call__, noise.Draws.scored
    noise.Draws.__call__, noise.Draws.scored = conftest._mean, conftest._scored_mean
    try:
        return train(*arguments, **options)
    finally:
        noise.Draws.__call__, noise.Draws.scored = drawn


loop.run = last_weights
told = {}
if role == "one":
    pinned("pinned", "one", **exact)
    train("free", "mirrored", batch_norm=True)
else:
    pinned("pinned", **exact)
    told["results"] = train("free", batch_norm=True)
    signalled(10, signal.SIGTERM)
    try:
        train("stopped", batch_norm=True)
    except stopping.Stopped as stop:
        told["stopped"] = str(stop), stop.code, len(made)
    told["again"] = train("stopped", batch_norm=True)
    told["steps"] = len(made)
    told["timed"] = train("timed", epochs=None, minutes=0.02)
    if role == "1":
        print("TOLD" + json.dumps(told), flush=True)
    signalled(10, signal.SIGKILL)
    begun = time.monotonic()
    own = recipes.resolve("m2", "digits", strategy="multi_worker", batch_norm=True, **settings)
    try:
        run.train(own, out / f"run-{role}", quiet=True)
    except workers.WorkerLost as lost:
        told["lost"] = str(lost), time.monotonic() - begun
print("TOLD" + json.dumps(told))
"""


def ports():
    found = [socket.socket() for _ in range(2)]
    for each in found:
        each.bind(("localhost", 0))
    numbers = [each.getsockname()[1] for each in found]
    for each in found:
        each.close()
    return numbers


def begin(commands):
    """Starts a process of each command, the workers of one group; returns them."""
    cluster = dict(worker=[f"localhost:{port}" for port in ports()])
    started = []
    for number, command in enumerate(commands):
        config = json.dumps(dict(cluster=cluster, task=dict(type="worker", index=number)))
        paths = os.pathsep.join([str(TESTS.parent), str(TESTS), os.environ.get("PYTHONPATH", "")])
        own = dict(PYTHONPATH=paths, CUDA_VISIBLE_DEVICES="", TF_CPP_MIN_LOG_LEVEL="3", TFADGM_HEARTBEAT_SECONDS="5")
        environment = os.environ | own | (dict(TF_CONFIG=config) if len(commands) > 1 else {})
        pipes = dict(stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        started.append(subprocess.Popen(command, env=environment, **pipes))
    return started


def end(processes):
    """Returns (exit code, output, errors) of each."""
    try:
        return [(*each.communicate(timeout=300), each.returncode) for each in processes]
    finally:
        for each in processes:
            each.kill()


def script(role, out):
    return [sys.executable, "-c", SCRIPT, role, str(out), json.dumps(SETTINGS)]


def told(output):
    return json.loads(output.split("TOLD")[1])


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    return tmp_path_factory.mktemp("workers")


@pytest.fixture(scope="module")
def pair(out):
    """What two workers tell of their trainings, after one process has made the same; in the last the second is killed."""
    for commands, codes in ([script("one", out)], [0]), ([script("0", out), script("1", out)], [0, -9]):
        done = end(begin(commands))
        assert [code for *_, code in done] == codes, [errors[-3000:] for _, errors, _ in done]
    return [told(output) for output, _, _ in done]


def weights(out, name):
    with np.load(out / f"{name}.npz") as arrays:
        return [arrays[key] for key in arrays.files]


def apart(first, second):
    return max(float(np.abs(a - b).max()) for a, b in zip(first, second, strict=True))


def test_two_workers_equal_one_process_on_the_same_batches(pair, out):
    for kind in ("last", "final"):  # of which the second is averaged
        assert apart(weights(out, f"pinned-one-{kind}"), weights(out, f"pinned-0-{kind}")) < 1e-6
    assert apart(weights(out, "pinned-0-last"), weights(out, "pinned-0-final")) > 1e-3


def test_two_workers_draw_the_noise_of_two_replicas(pair, out):
    assert apart(weights(out, "free-one-last"), weights(out, "free-0-last")) < 1e-5


def test_both_workers_have_the_same_weights(pair, out):
    for case in ("pinned", "free", "stopped", "timed"):
        assert apart(weights(out, f"{case}-0-last"), weights(out, f"{case}-1-last")) == 0, case
    assert pair[0]["timed"] == pair[1]["timed"] and pair[0]["timed"]["steps"] > 0


def test_the_chief_alone_writes(pair, out):
    assert sorted(path.name for path in out.iterdir() if path.is_dir() and path.name.endswith("-1")) == []
    assert (out / "free-0" / "metrics.csv").exists() and (out / "free-0" / "checkpoints" / "checkpoint").exists()
    assert not (out / "free-0" / "process").exists()


def test_a_signal_to_one_worker_stops_both_at_the_same_step_and_they_go_on_to_the_same_bits(pair, out):
    for each in pair:
        assert each["stopped"] == ["terminated after step 4 of 4 of epoch 3", 143, 12], each
    assert pair[0]["stopped"] == pair[1]["stopped"] and pair[0]["steps"] == pair[1]["steps"] == 24
    assert pair[0]["again"] == pair[0]["results"] == pair[1]["results"] == dict(steps=24, epochs=6)
    assert apart(weights(out, "stopped-0-final"), weights(out, "free-0-final")) == 0


def test_a_worker_that_dies_ends_the_group_and_the_same_command_goes_on_to_the_same_bits(pair, out):
    line, seconds = pair[0]["lost"]
    assert line == "worker 1 is gone, and the group ends; the same command on all workers goes on from the last checkpoint"
    assert seconds < 120
    flags = {"model": "m2", "dataset": "digits", "batch_norm": "true", "strategy": "multi_worker", **SETTINGS}
    command = [sys.executable, str(TESTS / "light_bin.py"), "train"]
    command += [f"--{name}={','.join(map(str, v)) if isinstance(v, tuple) else v}" for name, v in flags.items()]
    done = end(begin([[*command, f"--out={out / f'run-{number}'}"] for number in range(2)]))
    assert [code for *_, code in done] == [0, 0], [errors[-3000:] for _, errors, _ in done]
    assert "test error" in done[0][0] and done[1][0] == ""
    assert not (out / "run-1").exists()
    found = Run.open(out / "run-0")
    assert found.config["resolved"]["replicas"] == 2
    assert apart(found.model.get_weights(), weights(out, "free-0-final")) == 0


# ------------------------------------------------------------------------------------------------------- who is in a group


def config(job="worker", index=0, **cluster):
    return json.dumps(dict(cluster=cluster or dict(worker=["a:1", "b:1"]), task=dict(type=job, index=index)))


def test_a_group_is_that_of_tf_config_or_of_slurm(monkeypatch):
    for name in ("TF_CONFIG", "SLURM_PROCID"):
        monkeypatch.delenv(name, raising=False)
    assert workers.named() is None
    with pytest.raises(
        ValueError, match="strategy: got multi_worker without TF_CONFIG; allowed: with it in the environment"
    ):
        workers.join.__wrapped__()
    slurm = dict(PROCID="3", STEP_NUM_TASKS="4", STEP_NODELIST="n[1-2]", STEP_TASKS_PER_NODE="2(x2)")
    for name, value in slurm.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    assert workers.named() == ({"worker": ["n1:8888", "n1:8889", "n2:8888", "n2:8889"]}, "worker", 3)
    monkeypatch.delenv("SLURM_STEP_NODELIST")
    with pytest.raises(ValueError, match="SLURM_PROCID: set, and .*; allowed: within srun, or TF_CONFIG"):
        workers.named()
    monkeypatch.setenv("TF_CONFIG", config("worker", 1, chief=["c:1"], worker=["a:1", "b:1"]))
    assert workers.named() == ({"chief": ["c:1"], "worker": ["a:1", "b:1"]}, "worker", 1)


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        "[" * 10_000,
        '{"cluster": 3}',
        config("worker", 2),
        config("ps"),
        config("worker", 0, worker=["a:1"], ps=["b:1"]),
    ],
)
def test_a_tf_config_of_no_group_is_refused_in_one_line(text, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(ValueError, match="TF_CONFIG: got .*; allowed: .*, jobs chief and worker$") as error:
        workers.named()
    assert "\n" not in str(error.value) and len(str(error.value)) < 400


def test_several_workers_that_would_each_train_alone_are_refused_unless_that_was_asked_for(monkeypatch, tmp_path):
    monkeypatch.setenv("TF_CONFIG", config())
    message = "strategy: got auto, and TF_CONFIG names 2 workers; allowed: multi_worker, or one or mirrored, with which each"
    with pytest.raises(ValueError, match=message):
        run.train(recipes.resolve("m2", "digits", **SETTINGS), tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()
    workers.check("one")
    workers.check("mirrored")
    monkeypatch.setenv("TF_CONFIG", config(worker=["a:1"]))
    workers.check("auto")


def test_arrays_in_memory_are_trained_by_one_process():
    settings = recipes.resolve("m2", "arrays", strategy="multi_worker")
    data = Dataset("own", np.zeros((4, 2), "float32"), np.zeros(4, "int64"), None, None, ["a"], likelihood="gaussian")
    with pytest.raises(ValueError, match="strategy: got multi_worker for arrays in memory; allowed: auto, one, mirrored"):
        in_memory.train(settings, data)


@pytest.mark.parametrize("replicas", [1, 2, 3])
def test_the_shares_of_all_replicas_are_the_batches_of_one(replicas):
    x = np.arange(60, dtype="float32")[:, np.newaxis]
    data = Dataset("own", x, np.arange(60) % 2, None, None, ["a", "b"], likelihood="gaussian")
    split = pipeline.split(data.y_train, 2, labels=12)

    def batches(count, **shares):
        stream = pipeline.training_stream(data, split, 18, 6, seed=3, **shares)  # of 3 steps
        return [batch for batch, _ in zip(stream.as_numpy_iterator(), range(count), strict=False)]

    whole = batches(6)
    own = [batches(6, replicas=replicas, own=range(r, r + 1)) for r in range(replicas)]
    for step, batch in enumerate(whole):
        parts = [each[step]["unlabelled"] for each in own]
        np.testing.assert_array_equal(np.concatenate(parts), batch["unlabelled"])
        assert len(np.unique(np.concatenate(parts))) == 18  # no example twice
        labelled = np.concatenate([each[step]["labelled"][1] for each in own])
        np.testing.assert_array_equal(labelled, batch["labelled"][1])
    together = batches(2 * replicas, replicas=replicas, own=range(replicas), first_epoch=1, first_step=1)
    np.testing.assert_array_equal(np.concatenate([b["unlabelled"] for b in together[:replicas]]), whole[4]["unlabelled"])
