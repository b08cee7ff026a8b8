"""What follows from the machine: cores that may be used, the threads of one operation, chunks side by side."""

import json
import os
import subprocess
import sys
import threading

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfadgm import DensityEstimator, evaluation, machine, registry
from tfadgm.data.preprocess import Preprocess
from tfadgm.evaluation import answers
from tfadgm.networks import mlp
from tfadgm.runs import in_memory
from tfadgm.training import fit

# Each case has a process of its own, since TensorFlow takes its threads once:
# (cores, asked for, XLA), (threads, side by side).
CASES = {
    "two cores": ((2, None, "auto"), (1, 2)),
    "one core": ((1, None, "auto"), (None, 1)),
    "many cores": ((16, None, "auto"), (None, 1)),
    "asked for": ((16, 4, "auto"), (4, 4)),
    "asked for on two cores": ((2, 2, "auto"), (2, 1)),
    "more than there are": ((2, 3, "auto"), (3, 1)),
    "XLA": ((2, None, "on"), (None, 1)),
    "asked for with XLA": ((2, 1, "on"), (1, 2)),
}
GIVEN = {  # {what TF_NUM_INTRAOP_THREADS is and the cores: as above}
    ("2", 4): "2 2",
    ("2", 2): "2 1",
    ("some", 1): "None 1",
}
PROGRAM = """
import json, os, sys
import tensorflow as tf
from tfadgm import machine

def answers(given, cores, asked, xla):
    if given is not None:
        os.environ["TF_NUM_INTRAOP_THREADS"] = given
    machine.cores = lambda: cores
    machine.set_threads(asked, xla)
    tf.constant(1.0)  # TensorFlow starts
    machine.set_threads(None, xla)  # keeps what is
    machine.set_threads(asked, xla)  # the same again
    try:
        machine.set_threads(7)
    except ValueError as error:
        yield str(error)
    yield f"{machine.threads()} {machine.side_by_side()}"

for case in json.loads(sys.argv[1]):
    if not (child := os.fork()):  # it is imported, and has not started
        print(json.dumps(list(answers(*case))), flush=True)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0, case
"""


@pytest.fixture(scope="module")
def told():
    """[(what is refused, threads and chunks side by side)] of `CASES`, then of `GIVEN`."""
    asked = [(None, *given) for given, _ in CASES.values()] + [(given, cores, None, "auto") for given, cores in GIVEN]
    environment = {name: value for name, value in os.environ.items() if name != "TF_NUM_INTRAOP_THREADS"}
    command = [sys.executable, "-c", PROGRAM, json.dumps(asked)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(found) == len(asked)
    return found


@pytest.mark.parametrize("number, case", enumerate(CASES))
def test_threads_of_an_operation_are_set_before_tensorflow_starts_and_not_changed_after(number, case, told):
    refused, found = told[number]
    assert refused == "threads: got 7; allowed: none, since TensorFlow has started to compute with another number"
    assert found == "{} {}".format(*CASES[case][1])


def test_threads_that_the_environment_gives_stay(told):
    assert [found[-1] for found in told[len(CASES) :]] == list(GIVEN.values())


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="the system cannot bind a process to cores")
def test_cores_are_those_that_the_process_may_use():
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(before)})
        assert machine.cores() == machine.hardware()["cores"] == 1
    finally:
        os.sched_setaffinity(0, before)
    assert machine.cores() == len(before)


def test_a_machine_in_words():
    assert machine.describe(dict(cores=1, processor="Z80")) == "1 core of Z80"
    assert machine.describe(dict(cores=2, processor="Z80")) == "2 cores of Z80"


@pytest.mark.parametrize("workers", [2, 5])
def test_chunks_side_by_side_give_what_one_after_the_other_gives(workers, monkeypatch):
    model = registry.model_class("adgm")(Preprocess([6], noise="binarise"), 3, network=mlp.Network(hidden=(8,)))
    x = np.random.default_rng(0).random((1100, 6)).astype("float32")
    monkeypatch.setattr(answers, "MEMORY_VALUES", 100 * 3 * 20 * 8)  # at most a hundred examples at a time

    def ask():
        told = []
        density = evaluation.log_density(model, x, 20, lambda done, total: told.append((done, total)))
        return density, evaluation.elbo(model, x), evaluation.class_probabilities(model, x, 3), told

    monkeypatch.setattr(machine, "side_by_side", lambda: 1)
    one = ask()
    monkeypatch.setattr(machine, "side_by_side", lambda: workers)
    many = ask()
    for a, b in zip(one[:3], many[:3], strict=True):
        np.testing.assert_array_equal(a, b)
    assert one[3] == many[3] and len(one[3]) >= 11 and one[3][-1] == (1100, 1100)


def test_as_many_chunks_are_under_way_as_the_cores_have_room_for(monkeypatch):
    monkeypatch.setattr(machine, "side_by_side", lambda: 3)
    together = threading.Barrier(3)

    def function(number):
        together.wait(timeout=60)  # fails unless three are here at a time
        return tf.constant(number)

    got = list(answers._side_by_side(function, ((-number, (number,)) for number in range(6))))
    assert [(name, int(value)) for name, value in got] == [(-number, number) for number in range(6)]


def test_a_chunk_that_fails_is_told(monkeypatch):
    monkeypatch.setattr(machine, "side_by_side", lambda: 3)

    def function(number):
        if number == 4:
            raise tf.errors.InvalidArgumentError(None, None, "no good")
        return tf.constant([number])

    got = answers._side_by_side(function, ((number, (number,)) for number in range(9)))
    assert [next(got)[1].tolist() for _ in range(4)] == [[0], [1], [2], [3]]
    with pytest.raises(tf.errors.InvalidArgumentError, match="no good"):
        next(got)


REORDERS = machine.REORDERS


def test_the_optimizer_of_graphs_leaves_sums_as_they_are_written_within_a_scope_alone():
    options = tf.config.optimizer
    before = options.get_experimental_options()
    with machine.sums_as_written():
        with machine.sums_as_written():
            assert options.get_experimental_options()[REORDERS] is False
        assert options.get_experimental_options()[REORDERS] is False
    after = options.get_experimental_options()
    assert after.pop(REORDERS) == before.pop(REORDERS, True) and after == before


def test_the_last_of_several_threads_gives_back_the_order_of_sums():
    began, ends = threading.Event(), threading.Event()

    @machine.sums_as_written()
    def wait():
        began.set()
        assert ends.wait(60)

    other = threading.Thread(target=wait)
    with machine.sums_as_written():
        other.start()
        assert began.wait(60)
    assert tf.config.optimizer.get_experimental_options()[REORDERS] is False
    ends.set()
    other.join()
    assert tf.config.optimizer.get_experimental_options()[REORDERS] is True


def test_a_training_is_within_the_scope(monkeypatch):
    """Callbacks see what the steps are optimised by."""
    seen = []

    class See(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            seen.append(tf.config.optimizer.get_experimental_options()[REORDERS])

    x = np.random.default_rng(0).random((30, 4)).astype("float32")
    monkeypatch.setattr(fit.callbacks, "StopOnNaN", See)
    monkeypatch.setattr(in_memory, "_train", in_memory._train.__wrapped__)  # the loop's own scope, not that around all
    DensityEstimator("vae", hidden=(4,), dim_z=2, epochs=1, batch=10).fit(x)
    assert seen == [False] * 3
