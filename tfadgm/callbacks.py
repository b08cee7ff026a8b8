"""What happens around the steps: learning rate, validation, logs, checkpoints, stopping. All state is in `State`."""

import csv
import dataclasses
import json
import math
import os
import time

import keras
import numpy as np
import tensorflow as tf

from tfadgm import evaluation, optimizers


class TrainingDiverged(ValueError):
    """The objective became NaN or infinite."""


@dataclasses.dataclass
class State:
    """What a resumed run must know beside weights, optimizer and step.

    Attributes:
      epoch: number of finished epochs.
      seconds: training time so far (steps only).
      best, best_epoch: lowest validation error and its epoch.
      finished: whether the budget is used up or the run was stopped early.
    """

    epoch: int = 0
    seconds: float = 0.0
    best: float = math.inf
    best_epoch: int = 0
    finished: bool = False

    def serialize(self):
        return json.dumps(dataclasses.asdict(self))

    def deserialize(self, text):
        vars(self).update(json.loads(text))


class _PythonState(tf.train.experimental.PythonState):
    def __init__(self, state):
        self.state = state

    def serialize(self):
        return self.state.serialize()

    def deserialize(self, string_value):
        self.state.deserialize(string_value)


def averaged_weights(model):
    """A scope within which the model has the moving average of its weights, if its optimizer keeps one."""
    return optimizers.averaged(model.optimizer, model.trainable_variables)


class Clock(keras.callbacks.Callback):
    """Counts training seconds, sets the learning rate for each epoch and ends the run when its budget is used up.

    Progress is the share of the epochs, or of the minutes, that is used up. Schedules: "constant"; "linear": constant,
    then from `decay_from` falling linearly to 0; "steps": times `decay` every `decay_epochs` epochs, at least a tenth (0.75
    and 200 in Maaloe et al.'s code).
    """

    def __init__(self, settings, state):
        super().__init__()
        self.settings, self.state = settings, state

    def progress(self):
        if self.settings.epochs is not None:
            return self.state.epoch / self.settings.epochs
        return self.state.seconds / 60 / self.settings.minutes

    def rate(self):
        settings = self.settings
        if settings.schedule == "linear":
            return settings.learning_rate * min(1.0, (1.0 - self.progress()) / (1.0 - settings.decay_from))
        if settings.schedule == "steps":
            return settings.learning_rate * max(0.1, settings.decay ** (self.state.epoch // settings.decay_epochs))
        return settings.learning_rate

    def on_epoch_begin(self, epoch, logs=None):
        self.model.optimizer.learning_rate.assign(max(self.rate(), 1e-3 * self.settings.learning_rate))
        self.started = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        self.state.seconds += time.perf_counter() - self.started
        self.state.epoch = epoch + 1
        logs["seconds"] = self.state.seconds
        logs["learning_rate"] = float(np.asarray(self.model.optimizer.learning_rate))
        if self.progress() >= 1.0:
            self.state.finished = self.model.stop_training = True


class StopOnNaN(keras.callbacks.Callback):
    """Raises `TrainingDiverged` when the objective is NaN or infinite; looks every `every` steps."""

    def __init__(self, every=50):
        super().__init__()
        self.every = every

    def on_train_batch_end(self, batch, logs=None):
        if batch % self.every == 0:
            self._check(batch, logs)

    def on_epoch_end(self, epoch, logs=None):
        self._check("the last", logs)

    def _check(self, batch, logs):
        if not math.isfinite(float(logs["objective"])):
            raise TrainingDiverged(
                f"the objective became {float(logs['objective'])} at step {batch} of this epoch; "
                "try a lower learning_rate, max_norm, or batch_norm"
            )


class Validate(keras.callbacks.Callback):
    """Measures the validation error with the averaged weights, keeps the best weights, stops when it stays worse.

    Without a `best_path` it only measures: then the error of the last weights is that of examples that chose nothing.
    """

    def __init__(self, x, y, state, best_path, samples=20, patience=None):
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
                    save_weights(self.model, self.best_path)
        if self.patience is not None and epoch + 1 - self.state.best_epoch >= self.patience:
            self.state.finished = self.model.stop_training = True


def save_weights(model, path):
    """Writes the weights under a temporary name and renames it, so that a half-written file never has the name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name("writing_" + path.name)
    model.save_weights(temporary)
    os.replace(temporary, path)


class Log(keras.callbacks.Callback):
    """Appends one row per epoch to metrics.csv and TensorBoard; a resumed run first drops the rows after its epoch."""

    def __init__(self, directory, state):
        super().__init__()
        self.path, self.rows = directory / "metrics.csv", []
        self.rows = [row for row in read_rows(self.path) if int(row["epoch"]) <= state.epoch]
        self.writer = tf.summary.create_file_writer(str(directory / "tensorboard"))

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
    """Returns the rows of a metrics.csv, a list of dicts of strings; an absent file has none."""
    if not path.exists():
        return []
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


class Checkpoint(keras.callbacks.Callback):
    """Saves model, optimizer (with its moving average) and `State` after the first epoch, then at most every `seconds`."""

    def __init__(self, model, directory, state, seconds):
        super().__init__()
        # Lists of variables: `tf.train.Checkpoint` does not find a Keras 3 model's non-trainable weights by itself.
        weights, slots = ([v.value for v in part] for part in (model.weights, model.optimizer.variables))
        checkpoint = tf.train.Checkpoint(weights=weights, optimizer=slots, state=_PythonState(state))
        self.manager = tf.train.CheckpointManager(checkpoint, str(directory), max_to_keep=2)
        self.state, self.seconds, self.saved = state, seconds, -math.inf

    def restore(self):
        """Restores the latest checkpoint; returns whether there was one."""
        return self.manager.restore_or_initialize() is not None

    def on_epoch_end(self, epoch, logs=None):
        if self.state.finished or time.perf_counter() - self.saved >= self.seconds:
            self.save()

    def save(self):
        self.manager.save(checkpoint_number=self.state.epoch)
        self.saved = time.perf_counter()
