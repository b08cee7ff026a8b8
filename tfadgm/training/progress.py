"""How far a training is, and how it does."""

import keras

from tfadgm import telling


class Progress(keras.callbacks.Callback):
    """Tells a task of `telling` how far the training is, by its epochs or minutes, with its objective."""

    def __init__(self, clock, steps, task):
        super().__init__()
        self.clock, self.steps, self.task = clock, steps, task

    def on_train_begin(self, logs=None):
        self.task(self._done(self.clock.state.epoch, self.clock.state.step), 1.0)

    def on_train_batch_end(self, batch, logs=None):
        if self.task.due:
            self._tell(self.clock.state.epoch, batch + 1, logs)

    def on_epoch_end(self, epoch, logs=None):
        self._tell(self.clock.state.epoch, 0, logs)

    def _tell(self, epoch, step, logs):
        bound = f"  objective {float(logs['objective']):.2f}" if logs else ""
        error = f"  validation {100 * logs['validation_error']:.2f}%" if logs and "validation_error" in logs else ""
        self.task(self._done(epoch, step), 1.0, f"epoch {epoch + bool(step)}{bound}{error}")

    def _done(self, epoch, step):
        plan = self.clock.plan
        if plan.epochs is not None:
            return min(1.0, (epoch + step / self.steps) / plan.epochs)
        return min(1.0, self.clock.progress())


class OfSeveral(keras.callbacks.Callback):
    """Tells the task around it how far `count` trainings of as many steps are, in that of index `k`."""

    def __init__(self, k, count):
        super().__init__()
        self.k, self.count = k, count

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        epochs, steps = self.params["epochs"], self.params["steps"]
        done = (self.k * epochs + self.epoch) * steps + batch + 1
        telling.advance(f"model {self.k + 1} of {self.count}", done, self.count * epochs * steps)
