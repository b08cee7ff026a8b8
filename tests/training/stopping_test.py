"""SIGTERM and SIGINT: training ends between two steps, wherever in an epoch, and goes on to the same bits."""

import os
import pathlib
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from tfadgm.runs import build, recipes
from tfadgm.training import callbacks, stopping

ROOT = pathlib.Path(__file__).resolve().parents[2]
STEPS = 4  # of an epoch


@pytest.fixture(autouse=True)
def usual_handlers():
    """What a shell starts in the background ignores SIGINT, and so would its tests."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """(function that trains in a directory, weights, rows of an uninterrupted training)."""
    sizes = dict(hidden=(8,), dim_z=2, batch=300, epochs=4, validation=20, average=0.9, batch_norm=True)
    settings = recipes.resolve("m2", "digits", **sizes)
    data, split = build.load_data(settings)

    def train(directory):
        model, state, rows = build.train(settings, data, split, directory, quiet=True)
        assert (state.epoch, state.step, state.sums, state.steps) == (4, 0, {}, 16)
        return model.get_weights(), callbacks.read_rows(directory / "metrics.csv")

    return train, *train(tmp_path_factory.mktemp("whole"))


def numbers(rows):
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]


@pytest.mark.parametrize("number, at", [("SIGTERM", 6), ("SIGINT", 8), ("SIGTERM", 16)])
def test_a_training_that_was_asked_to_stop_goes_on_to_the_same_bits(number, at, trained, tmp_path, monkeypatch):
    train, weights, rows = trained
    number, made, ended = getattr(signal, number), [], callbacks.Clock.on_train_batch_end

    def asked(clock, batch, logs=None):
        made.append(batch)
        if len(made) == at:
            os.kill(os.getpid(), number)
            time.sleep(0.1)
        ended(clock, batch, logs)

    monkeypatch.setattr(callbacks.Clock, "on_train_batch_end", asked)
    before = [signal.getsignal(each) for each in stopping.SIGNALS]
    with pytest.raises(stopping.Stopped) as stop:
        train(tmp_path)
    assert stop.value.code == 128 + number and isinstance(stop.value, (SystemExit, KeyboardInterrupt))
    assert [signal.getsignal(each) for each in stopping.SIGNALS] == before
    epoch, step = divmod(at - 1, STEPS)
    assert str(stop.value).endswith(f"after step {step + 1} of {STEPS} of epoch {epoch + 1}") and len(made) == at
    assert len(callbacks.read_rows(tmp_path / "metrics.csv")) == epoch
    again, logged = train(tmp_path)
    assert len(made) == 4 * STEPS  # no step twice
    for ours, whole in zip(again, weights, strict=True):
        np.testing.assert_array_equal(ours, whole)
    assert numbers(logged) == numbers(rows)


def test_a_programs_own_handler_stays_and_another_thread_watches_nothing():
    heard = []
    own = signal.signal(signal.SIGTERM, lambda number, frame: heard.append(number))
    try:
        with stopping.watched() as request:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.05)
            assert heard == [signal.SIGTERM] and request.signal is None
    finally:
        signal.signal(signal.SIGTERM, own)
    found = []

    def elsewhere():
        with stopping.watched() as request:
            found.append(request.signal)

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert found == [None]


@pytest.mark.parametrize("at", [1, 3])
def test_a_scope_around_several_trainings_tells_where_they_were_stopped(at):
    before, made = [signal.getsignal(each) for each in stopping.SIGNALS], []
    stopping.heed()
    with pytest.raises(stopping.Terminated) as stop:
        with stopping.within(lambda: f"in the selection, after {len(made)}", "with what is left"):
            for k in range(4):
                with stopping.watched() as request:
                    made.append(k)
                    if k == at:
                        os.kill(os.getpid(), signal.SIGTERM)
                        time.sleep(0.1)
                    assert request.signal == (signal.SIGTERM if k == at else None)
                if at < 3:  # else it comes after the last look
                    stopping.heed()
    assert (str(stop.value), stop.value.left) == (f"terminated in the selection, after {at + 1}", "with what is left")
    assert stop.value.code == 143 and [signal.getsignal(each) for each in stopping.SIGNALS] == before
    stopping.heed()


STUCK = """
import os, signal, sys, threading, time
from tfadgm.training import stopping
signal.signal(signal.SIGINT, signal.default_int_handler)  # what a shell starts in the background ignores it
with stopping.watched():
    threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGTERM)).start()
    threading.Timer(0.6, os.kill, (os.getpid(), getattr(signal, sys.argv[1]))).start()
    time.sleep(20)  # a step that does not end
    print("not ended")
"""


@pytest.mark.parametrize("number", ["SIGTERM", "SIGINT"])
def test_a_second_signal_ends_a_process_at_once(number):
    done = subprocess.run([sys.executable, "-c", STUCK, number], capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert (done.returncode, done.stdout) == (128 + getattr(signal, number), ""), done.stderr
