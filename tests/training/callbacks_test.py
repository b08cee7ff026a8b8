"""Between the steps: a budget in minutes ends within one, and what is left of a damaged log is kept and told."""

import contextlib
import types

import numpy as np
import pytest

from tfadgm.runs import recipes
from tfadgm.training import callbacks, fit


class Rate:
    """A learning rate that remembers what it was set to."""

    def __init__(self):
        self.values = []

    def assign(self, value):
        self.values.append(value)

    def __array__(self, *arguments, **options):
        return np.array(self.values[-1])


def clock_of(monkeypatch, **settings):
    """Returns a `Clock` on a stand-in of a model, and the list whose one entry is the time in seconds."""
    now = [100.0]
    monkeypatch.setattr(callbacks.time, "perf_counter", lambda: now[0])
    clock = callbacks.Clock(recipes.resolve("m2", "npz:own.npz", **settings), callbacks.State())
    clock.set_model(types.SimpleNamespace(optimizer=types.SimpleNamespace(learning_rate=Rate()), stop_training=False))
    return clock, now


def steps(clock, now, count, seconds):
    """Makes steps until the clock stops; returns how many."""
    for step in range(count):
        now[0] += seconds
        clock.on_train_batch_end(step)
        if clock.model.stop_training:
            return step + 1
    return count


def test_a_budget_in_minutes_ends_within_an_epoch_and_its_rate_falls_inside_it(monkeypatch):
    clock, now = clock_of(monkeypatch, minutes=1.0, schedule="linear", learning_rate=0.1, decay_from=0.5)
    clock.on_epoch_begin(0)
    assert steps(clock, now, 1000, 0.5) == 120
    logs = {}
    clock.on_epoch_end(0, logs)
    assert clock.state.finished and (clock.state.epoch, clock.state.seconds, logs["seconds"]) == (1, 60.0, 60.0)
    rates = clock.model.optimizer.learning_rate.values
    assert rates[:30] == [0.1] * 30 and len(rates) > 55 and rates[-1] < 0.01
    assert rates == sorted(rates, reverse=True)


def test_an_epoch_of_a_budget_in_epochs_has_one_rate_and_all_its_steps(monkeypatch):
    clock, now = clock_of(monkeypatch, epochs=2, schedule="linear", learning_rate=0.1)
    clock.on_epoch_begin(0)
    assert steps(clock, now, 1000, 10.0) == 1000
    assert clock.model.optimizer.learning_rate.values == [0.1]


def test_time_before_an_interruption_counts_once(monkeypatch):
    clock, now = clock_of(monkeypatch, minutes=1.0)
    clock.on_epoch_begin(0)
    assert steps(clock, now, 40, 0.5) == 40
    clock.count()  # as a checkpoint within the epoch does
    assert clock.state.seconds == 20.0
    assert steps(clock, now, 1000, 0.5) == 80


def test_a_finished_run_is_open_again_for_a_larger_budget_unless_it_was_stopped_early():
    def finished(**settings):
        state = callbacks.State(epoch=10, seconds=60.0, best=0.1, best_epoch=7, finished=True)
        clock = callbacks.Clock(recipes.resolve("m2", "npz:own.npz", **settings), state)
        clock.reopen()
        assert clock.ended_by() == ("the validation error is lowest at epoch 7" if settings.get("patience") == 3 else None)
        return state.finished

    assert finished(epochs=10) and finished(minutes=1.0)
    assert not finished(epochs=11) and not finished(minutes=1.5)
    assert finished(epochs=20, patience=3, validation=5) and not finished(epochs=20, patience=4, validation=5)


HEADER = "epoch,objective,seconds\n"
LOGS = {
    "whole": (HEADER + "1,-3.5,1\n2,-3,2\n3,,3\n", [1, 2, 3]),
    "cut in a row": (HEADER + "1,-3.5,1\n2,-3", [1]),
    "an extra cell": (HEADER + "1,-3.5,1\n2,-3,2,9\n3,-2,3\n", [1, 3]),
    "other columns": ("step,loss\n1,2\n", []),
    "no numbers": (HEADER + "1,-3.5,1\ntwo,-3,2\n3,many,3\n", [1]),
    "no text": (b"\xff\xfe\x00\x01", []),
    "a zero byte": (HEADER + "1,-3.5,1\n\0\n", [1]),
    "empty": ("", []),
}


@pytest.mark.parametrize("kind", LOGS)
def test_whole_rows_of_a_damaged_log_are_kept_and_lost_ones_are_told(kind, tmp_path, capsys):
    content, epochs = LOGS[kind]
    path = tmp_path / "metrics.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert [int(row["epoch"]) for row in callbacks.read_rows(path)] == epochs
    log = callbacks.Log(tmp_path, callbacks.State(epoch=3))
    told = capsys.readouterr().err
    assert told == (
        ""
        if len(epochs) == 3
        else f"warning: {path}: has no row of {3 - len(epochs)} of the 3 epochs so far; the curves lack them\n"
    )
    log.on_epoch_end(3, {"objective": -1.0, "seconds": 4.0})
    assert [int(row["epoch"]) for row in callbacks.read_rows(path)] == [*epochs, 4]


def test_training_ends_where_the_bound_of_watched_rows_stays_worse_and_the_best_weights_are_kept(monkeypatch, tmp_path):
    bounds = iter([-9.0, -7.0, -8.0, -7.5, -7.0, -1.0])
    monkeypatch.setattr(callbacks.evaluation, "trained_elbo", lambda model, x: next(bounds) + np.r_[np.zeros(98), 1e6, -1e6])
    monkeypatch.setattr(callbacks, "averaged_weights", lambda model: contextlib.nullcontext())
    monkeypatch.setattr(callbacks.checkpoints, "save_weights", lambda model, path: path.write_text(str(state.epoch)))
    state = callbacks.State()
    watch = callbacks.Watch(None, state, tmp_path / "best", patience=3)
    watch.set_model(types.SimpleNamespace(stop_training=False))
    for epoch in range(6):
        logs, state.epoch = {}, epoch + 1
        watch.on_epoch_end(epoch, logs)
        if watch.model.stop_training:
            break
    assert state.epoch == 5 and state.finished and (state.bound, state.bound_epoch) == (-7.0, 2)
    assert (tmp_path / "best").read_text() == "2" and logs["watched_bound"] == -7.0  # whatever two rows far out say


def test_a_run_that_its_bound_has_stopped_stays_so_until_it_may_wait_longer():
    def finished(steps):
        plan = fit.Plan(epochs=steps, epoch_steps=1, stop="bound")
        state = callbacks.State(epoch=10, bound=-1.0, bound_epoch=6, finished=True)
        clock = callbacks.Clock(plan, state)
        clock.reopen()
        assert clock.ended_by() in (None, "the bound of the kept rows is best at epoch 6")
        return state.finished

    assert finished(10) and finished(20) and not finished(30)
