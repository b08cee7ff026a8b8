"""A training that diverges says which factor, of which step, was the first not to be finite, and goes back if it may."""

import dataclasses
import re

import numpy as np
import pytest
import tensorflow as tf

from tfadgm.data import pipeline
from tfadgm.data.dataset import Dataset
from tfadgm.data.preprocess import Preprocess
from tfadgm.models.adgm import ADGM
from tfadgm.models.objective import Objective
from tfadgm.models.vae import VAE
from tfadgm.networks import mlp
from tfadgm.training import callbacks, divergence, fit

ROWS, BATCH = 60, 10
PLAN = fit.Plan(epochs=4, batch=BATCH, labelled_batch=BATCH, learning_rate=1e-3, checkpoint_seconds=0.0)


def data_of(poisoned=None):
    generator = np.random.default_rng(0)
    y = np.arange(ROWS) % 2
    x = generator.normal(y[:, None], 0.5, (ROWS, 3)).astype("float32")
    if poisoned is not None:
        x[poisoned, 1] = 1e25  # whose square overflows
    data = Dataset("own", x, y, None, None, ["no", "yes"], likelihood="gaussian")
    return data, pipeline.split(y, 2, labels=20)


def make(kind=VAE, **options):
    network = mlp.Network(hidden=(4,), batch_norm=kind is ADGM)
    own = dict(dim_a=2) if kind is ADGM else {}
    objective = Objective(num_labelled=20, num_unlabelled=ROWS)
    return kind(Preprocess((3,)), 2, likelihood="gaussian", network=network, objective=objective, dim_z=2, **own, **options)


def train(directory, plan=PLAN, poisoned=None, make=make, strategy=None):
    data, split = data_of(poisoned)
    return fit.train(make, data, split, plan, directory, strategy, quiet=True)


@pytest.fixture
def explosive(monkeypatch):
    """The rate is 1e30 in the second epoch, until training has gone back twice."""
    usual = callbacks.Clock.rate

    def rate(clock):
        return 1e30 if clock.state.epoch == 1 and clock.state.restored < 2 else usual(clock)

    monkeypatch.setattr(callbacks.Clock, "rate", rate)


def seen(monkeypatch):
    """A list to which every step adds whether its own objective is finite."""
    made, ended = [], callbacks.Clock.on_train_batch_end

    def on_train_batch_end(clock, batch, logs=None):
        made.append(bool(np.isfinite(float(logs["objective"]))))
        ended(clock, batch, logs)

    monkeypatch.setattr(callbacks.Clock, "on_train_batch_end", on_train_batch_end)
    return made


def warnings_of(capsys):
    return [line for line in capsys.readouterr().err.splitlines() if line.startswith("warning: ")]


def where(message):
    step, epoch = re.search(r"in step (\d+) of 6 of epoch (\d+)", message).groups()
    return int(epoch) - 1, int(step)


def test_a_poisoned_row_is_named_with_its_factor_and_step(tmp_path, monkeypatch):
    made, row = seen(monkeypatch), 17
    with pytest.raises(callbacks.TrainingDiverged) as told:
        train(tmp_path, poisoned=row)
    message = str(told.value)
    assert "log p(z) is -inf for 1 of the 10 examples" in message  # z = mu(x) + ..., of 1e25
    epoch, step = where(message)
    assert made.index(False) == 6 * epoch + step - 1
    found = pipeline.epoch_indices(data_of()[1], BATCH, 20, PLAN.seed, epoch)[0][step - 1]
    assert f"row {found.tolist().index(row)} of the batch, whose largest value is 1e+25 (of the others " in message
    assert f"{divergence.DATA}, or on_nan=restore" in message and "\n" not in message
    assert not callbacks.read_rows(tmp_path / "metrics.csv")


@pytest.mark.parametrize("replicas", [1, 2])
def test_the_steps_of_all_replicas_are_made_again_by_one_process(replicas):
    data, split = data_of(poisoned=17)
    model = fit._compiled(make(ADGM), PLAN, eagerly=False)
    stream = fit._streams(PLAN, data, split, BATCH, True)
    shares = tf.distribute.InputContext(num_replicas_in_sync=replicas)
    told = divergence.explain(model, lambda clock: None, lambda state: stream(shares), PLAN, 6, replicas, 24)
    found = pipeline.epoch_indices(split, BATCH, BATCH, PLAN.seed, 0)
    hit = [[(part == 17).any() for part in steps] for steps in found]
    step = min(row.index(True) for row in hit if True in row)
    assert told.startswith(f"in step {step + 1} of 6 of epoch 1 ") and f"of the {BATCH // replicas} examples" in told
    assert "log p(" in told or "log q(" in told or "a parameter of " in told


def test_a_rate_that_is_too_high_is_found_where_the_first_weight_or_term_overflows(explosive, tmp_path, monkeypatch):
    at_epochs_alone(monkeypatch)
    made = seen(monkeypatch)
    with pytest.raises(callbacks.TrainingDiverged) as told:
        train(tmp_path, dataclasses.replace(PLAN, epochs=2))
    epoch, step = where(str(told.value))
    assert (epoch, step) == (1, 2) and made.index(False) == 7  # the first step of the epoch makes the weights 1e30
    assert re.search(r"epoch 2 (a parameter of q|log [pq])\(.*; try a lower learning_rate", str(told.value))


def test_weights_that_the_last_step_of_an_epoch_spoils_become_no_checkpoint(tmp_path, monkeypatch):
    usual = callbacks.Clock.on_train_batch_end

    def spoil(clock, batch, logs=None):
        usual(clock, batch, logs)
        if batch == 5:
            clock.model.trainable_variables[0].assign(clock.model.trainable_variables[0] * np.inf)

    monkeypatch.setattr(callbacks.Clock, "on_train_batch_end", spoil)
    with pytest.raises(callbacks.TrainingDiverged, match="the weight .* became .*made once more, were finite; try a lower"):
        train(tmp_path)
    assert not list((tmp_path / "checkpoints").glob("ckpt-*"))


class Killed(BaseException):
    """Stands for the end of a process."""


def at_epochs_alone(monkeypatch):
    monkeypatch.setattr(callbacks.Checkpoint, "on_train_batch_end", lambda *arguments: None)


def test_a_training_that_may_goes_back_at_half_the_rate_and_if_killed_on_to_the_same_bits(
    explosive, tmp_path, monkeypatch, capsys
):
    at_epochs_alone(monkeypatch)
    plan = dataclasses.replace(PLAN, epochs=2, on_nan="restore", schedule="linear", average=0.9)
    model, state, rows = train(tmp_path / "whole", plan)
    told = warnings_of(capsys)
    assert len(told) == 2 and all(line.startswith("warning: the objective became") for line in told)
    assert "; goes on after 1 epochs and 0 steps at 0.5 times the learning rate (time 1 of 5)" in told[0]
    # The checkpoint that did not help is given up.
    assert "; goes on after 0 epochs and 0 steps at 0.25 times the learning rate (time 2 of 5)" in told[1]
    assert (state.restored, state.epoch, state.steps) == (2, 2, 12)
    assert [float(row["learning_rate"]) for row in rows] == pytest.approx([2.5e-4, 2.5e-4])
    assert [int(row["epoch"]) for row in callbacks.read_rows(tmp_path / "whole" / "metrics.csv")] == [1, 2]
    usual, made = callbacks.Clock.on_train_batch_end, []

    def killing(clock, batch, logs=None):
        made.append(batch)
        if len(made) in kills:
            raise Killed
        usual(clock, batch, logs)

    monkeypatch.setattr(callbacks.Clock, "on_train_batch_end", killing)
    kills = (8, 17, 26)  # before it is found out, and after the first and the second return
    for _ in kills:
        with pytest.raises(Killed):
            train(tmp_path / "parts", plan)
    again, state, _ = train(tmp_path / "parts", plan)
    assert (state.restored, state.steps, len(made)) == (2, 12, 38)
    for ours, whole in zip(again.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, whole)


def test_a_checkpoint_that_was_spoiled_before_it_was_found_out_is_given_up(explosive, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(callbacks.Checkpoint, "on_train_batch_end", lambda self, batch, logs=None: self.save_within(logs))
    model, state, _ = train(tmp_path, dataclasses.replace(PLAN, epochs=2, on_nan="restore"))
    told = [re.search(r"goes on after (\d) epochs and (\d) steps", line) for line in warnings_of(capsys)]
    assert [each.groups() for each in told] == [("1", "1"), ("1", "0")]  # the weights are 1e30, then those of before
    assert (
        state.restored == 2
        and state.steps == 12
        and np.isfinite(np.concatenate([w.ravel() for w in model.get_weights()])).all()
    )


def test_a_training_that_always_diverges_ends_after_five_returns_also_to_its_very_beginning(tmp_path, monkeypatch, capsys):
    at_epochs_alone(monkeypatch)
    plan = dataclasses.replace(PLAN, on_nan="restore")
    with pytest.raises(callbacks.TrainingDiverged, match="log p.*, after 5 returns to a checkpoint$"):
        train(tmp_path, plan, poisoned=17)
    told = warnings_of(capsys)
    assert len(told) == 5 and "goes on after 0 epochs and 0 steps" in told[0] and "0.03125 times" in told[4]
