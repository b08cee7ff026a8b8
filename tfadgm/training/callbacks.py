"""What happens around the steps: learning rate, validation, logs, checkpoints, stopping. All state is in `State`."""

import csv
import math
import os
import time

import keras
import numpy as np
import scipy.stats
import tensorflow as tf

from tfadgm import evaluation
from tfadgm.data import files
from tfadgm.networks import optimizers
from tfadgm.telling import warn
from tfadgm.training import checkpoints, loop
from tfadgm.training.state import PythonState, State  # noqa: F401 (a part of what this module is to others)


class TrainingDiverged(ValueError):
    """The objective became NaN or infinite."""


def averaged_weights(model):
    """A scope within which the model has the moving average of its weights, if its optimizer keeps one."""
    return optimizers.averaged(model.optimizer, model.trainable_variables)


class Clock(keras.callbacks.Callback):
    """Counts training seconds, sets the learning rate and ends the run when its budget is used up.

    With a budget in epochs the rate changes between them. With one in minutes it changes every second, and the run ends
    within a step: its last epoch has fewer of them.

    Progress is the share of the epochs, or of the minutes, that is used up. Schedules: "constant"; "linear": constant,
    then from `decay_from` falling linearly to 0; "steps": times `decay` every `decay_epochs` epochs, at least a tenth (0.75
    and 200 in Maaloe et al.'s code).
    """

    def __init__(self, plan, state):
        super().__init__()
        self.plan, self.state = plan, state
        self.started = None  # when the running epoch began, or the state's seconds were last counted
        self.agreed = None  # the chief's seconds, by which several workers have the same rate and end at the same step

    def measured(self):
        """Returns the training time so far, that of the running epoch included."""
        return self.state.seconds + (0.0 if self.started is None else time.perf_counter() - self.started)

    def seconds(self):
        """Returns the training time that all workers go by; of one process what it has measured."""
        return self.measured() if self.agreed is None else self.agreed

    def progress(self):
        if self.plan.epochs is not None:
            return self.state.epoch / self.plan.epochs
        return self.seconds() / 60 / self.plan.minutes

    def reopen(self):
        """A run that was finished is no longer, if its budget has grown since; one that was stopped early stays so."""
        self.state.finished = self.state.finished and (self.ended_by() is not None or self.progress() >= 1.0)

    def ended_by(self):
        """Returns what ends training before its budget is used up, as text, or None."""
        plan, state = self.plan, self.state
        watches = state.bound_epoch and plan.stop == "bound" and plan.epochs is not None
        if watches and state.epoch - state.bound_epoch >= plan.bound_patience:
            return f"the bound of the kept rows is best at epoch {state.bound_epoch}"
        if plan.patience is not None and state.epoch - state.best_epoch >= plan.patience:
            return f"the validation error is lowest at epoch {state.best_epoch}"
        return None

    def rate(self):
        plan, highest = self.plan, self.plan.learning_rate * 0.5**self.state.restored
        if plan.schedule == "linear":
            return highest * min(1.0, (1.0 - self.progress()) / (1.0 - plan.decay_from))
        if plan.schedule == "steps":
            return highest * max(0.1, plan.decay ** (self.state.epoch // plan.decay_epochs))
        return highest

    def on_epoch_begin(self, epoch, logs=None):
        self._set_rate()
        self.started = time.perf_counter()

    def on_train_batch_end(self, batch, logs=None):
        self.state.step = batch + 1
        if self.plan.epochs is not None:
            return
        if self.seconds() - self.rated >= 1.0:
            self._set_rate()
        if self.progress() >= 1.0:
            self.model.stop_training = True  # ends the epoch

    def _set_rate(self):
        least = 1e-3 * self.plan.learning_rate * 0.5**self.state.restored
        self.model.optimizer.learning_rate.assign(max(self.rate(), least))
        self.rated = self.seconds()

    def count(self):
        """Adds the time of the running epoch to the state's."""
        self.state.seconds, self.started = self.measured(), time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        self.count()
        self.started = None
        self.state.epoch, self.state.step, self.state.sums = epoch + 1, 0, {}
        logs["seconds"] = self.state.seconds
        logs["learning_rate"] = float(np.asarray(self.model.optimizer.learning_rate))
        if self.progress() >= 1.0:
            self.state.finished = self.model.stop_training = True


def weight_not_finite(model):
    """Returns (path, number) of the first trained weight with a number that is not finite, and that number, or None."""
    for variable in model.trainable_variables:
        if not bool(tf.reduce_all(tf.math.is_finite(variable.value))):
            value = np.asarray(variable, "float32")
            return variable.path, float(value[~np.isfinite(value)][0])
    return None


class StopOnNaN(keras.callbacks.Callback):
    """Raises `TrainingDiverged` when the objective is NaN or infinite; looks every `every` steps.

    At the end of an epoch at the weights too: those that the last step has spoiled must not become a checkpoint.
    """

    def __init__(self, every=50):
        super().__init__()
        self.every = every

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch + 1

    def on_train_batch_end(self, batch, logs=None):
        if batch % self.every == 0:
            self._check(logs)

    def on_epoch_end(self, epoch, logs=None):
        self._check(logs)
        found = weight_not_finite(self.model)
        if found is not None:
            raise TrainingDiverged(f"the weight {found[0]} became {found[1]:g} in epoch {self.epoch}")

    def _check(self, logs):
        if not math.isfinite(float(logs["objective"])):
            raise TrainingDiverged(f"the objective became {float(logs['objective']):g} in epoch {self.epoch}")


class Validate(keras.callbacks.Callback):
    """Measures the validation error with the averaged weights, keeps the best weights, stops when it stays worse.

    Without a `best_path` it only measures: then the error of the last weights is that of examples that chose nothing.
    """

    def __init__(self, x, y, state, best_path=None, samples=20, patience=None):
        super().__init__()
        self.x, self.y, self.state, self.best_path = x, y, state, best_path
        self.samples, self.patience = samples, patience

    def on_epoch_end(self, epoch, logs=None):
        with averaged_weights(self.model):
            predicted = evaluation.class_probabilities(self.model, self.x, self.samples).argmax(1)
            error = logs["validation_error"] = float((predicted != self.y).mean())
            if error < self.state.best:
                self.state.best, self.state.best_epoch = error, epoch + 1
                if self.best_path is not None:
                    checkpoints.save_weights(self.model, self.best_path)
        if self.patience is not None and epoch + 1 - self.state.best_epoch >= self.patience:
            self.state.finished = self.model.stop_training = True


class Watch(keras.callbacks.Callback):
    """Measures the bound of rows that are not trained on, with the averaged weights, and ends training when it stays worse.

    The bound is the one that training maximises, at temperature 1, with the same noise every time; no label is asked for.
    It is the mean over the middle nine tenths of the rows: one row far out has thousands of nats. With a `best_path` the
    weights of the best bound are kept.
    """

    def __init__(self, x, state, best_path, patience):
        super().__init__()
        self.x, self.state, self.best_path, self.patience = x, state, best_path, patience

    def on_epoch_end(self, epoch, logs=None):
        with averaged_weights(self.model):
            bound = logs["watched_bound"] = float(scipy.stats.trim_mean(evaluation.trained_elbo(self.model, self.x), 0.05))
            if bound > self.state.bound:
                self.state.bound, self.state.bound_epoch = bound, epoch + 1
                if self.best_path is not None:
                    checkpoints.save_weights(self.model, self.best_path)
        if epoch + 1 - self.state.bound_epoch >= self.patience:
            self.state.finished = self.model.stop_training = True


class Log(keras.callbacks.Callback):
    """Appends one row per epoch to metrics.csv and TensorBoard; a resumed run first drops the rows after its epoch."""

    def __init__(self, directory, state):
        super().__init__()
        self.path, self.state = directory / "metrics.csv", state
        self.rows = read_rows(self.path)
        self.go_back()
        lost = state.epoch - len({row["epoch"] for row in self.rows})
        if lost:
            warn(f"{self.path}: has no row of {lost} of the {state.epoch} epochs so far; the curves lack them")
        self.writer = tf.summary.create_file_writer(str(directory / "tensorboard"))

    def go_back(self):
        """Drops the rows after the state's epoch, which is an earlier one than before."""
        self.rows = [row for row in self.rows if int(row["epoch"]) <= self.state.epoch]

    def on_epoch_end(self, epoch, logs=None):
        self.rows.append({"epoch": epoch + 1, **{name: float(value) for name, value in logs.items()}})
        temporary = self.path.with_suffix(".writing")
        with open(temporary, "w", newline="") as file:
            writer = csv.DictWriter(file, list(dict.fromkeys(name for row in self.rows for name in row)))
            writer.writeheader()
            writer.writerows(self.rows)
        os.replace(temporary, self.path)
        with self.writer.as_default(step=epoch + 1):
            for name, value in logs.items():
                tf.summary.scalar(name, value)


def read_rows(path):
    """Returns the rows of a metrics.csv, a list of dicts of strings; an absent file has none, a damaged row is left out."""
    if not path.exists():
        return []
    files.check_regular(path, "the log of a run")
    try:
        with open(path, newline="") as file:
            return [row for row in csv.DictReader(file) if _is_whole(row)]
    except (ValueError, csv.Error):  # bytes that are no text
        return []


def _is_whole(row):
    """Whether a row has as many cells as the header, a number or nothing in each, and the number of an epoch."""
    try:
        for cell in row.values():  # a missing one is None, further ones are a list
            float("nan" if cell == "" else cell)
        return int(row["epoch"]) > 0
    except (KeyError, TypeError, ValueError):
        return False


class Checkpoint(keras.callbacks.Callback):
    """Saves model, optimizer (with its moving average) and `State` after the first epoch, then at most every `seconds`.

    Within an epoch too: a resumed run goes on from the step.
    """

    def __init__(self, model, directory, clock, seconds):
        super().__init__()
        # Lists of variables: `tf.train.Checkpoint` does not find a Keras 3 model's non-trainable weights by itself.
        state = clock.state
        weights, slots = ([v.value for v in part] for part in (model.weights, model.optimizer.variables))
        checkpoint = tf.train.Checkpoint(weights=weights, optimizer=slots, state=PythonState(state))
        self.checkpoint, self.directory = checkpoint, directory
        self.manager = checkpoints.manager(checkpoint, directory, keep=2)
        self.state, self.seconds, self.saved, self.clock = state, seconds, -math.inf, clock
        self.steps = model.optimizer.iterations

    def restore(self):
        """Restores the latest checkpoint that is whole; returns whether there was one (see `checkpoints.restore`)."""
        return checkpoints.restore(self.checkpoint, self.directory)

    def go_back(self):
        """Restores the latest checkpoint; if that was restored before, to no avail, the one before it, if there is one."""
        newest = checkpoints.names(self.directory)[-2:]
        if len(newest) == 2 and newest[-1].endswith(f"-{self.state.restored_to}"):
            checkpoints.remove(newest[-1])
        self.restore()
        self.state.restored_to = int(keras.ops.convert_to_numpy(self.steps))

    def on_train_begin(self, logs=None):
        self.begun = time.perf_counter()

    def on_train_batch_end(self, batch, logs=None):
        if self.model.stop_training or batch + 1 >= self.params["steps"]:
            return
        if time.perf_counter() - max(self.saved, self.begun) >= max(self.seconds, 1.0):
            self.save_within(logs)

    def save_within(self, logs):
        """Saves the state within an epoch, `logs` being those of its last step; not one that has diverged."""
        if math.isfinite(float(logs["objective"])) and weight_not_finite(self.model) is None:
            self.clock.count()
            self.state.sums = loop.sums(self.model)
            self.save()

    def on_epoch_end(self, epoch, logs=None):
        best = self.state.epoch in (self.state.best_epoch, self.state.bound_epoch)  # kept: a resume must not undo the epoch
        if self.state.finished or best or time.perf_counter() - self.saved >= self.seconds:
            self.save()

    def save(self):
        self.manager.save(checkpoint_number=int(keras.ops.convert_to_numpy(self.steps)))
        self.saved = time.perf_counter()
