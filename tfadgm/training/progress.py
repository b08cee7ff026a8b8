"""The lines that tell how far a run is, and how far an evaluation."""

import contextlib
import sys
import time

import keras
import tqdm


@contextlib.contextmanager
def progress_bar(unit, quiet=False):
    """Yields a function of (done, total) that draws a bar on stderr, if that is a terminal and `quiet` is not set."""
    with tqdm.tqdm(unit=unit, disable=quiet or None, leave=False) as bar:

        def progress(done, total):
            bar.total = total
            bar.update(done - bar.n)

        yield progress


class Progress(keras.callbacks.Callback):
    """One line that says how far the run is, how it does and how long it will take; a new line per epoch in a file."""

    def __init__(self, clock, steps, stream=None):
        super().__init__()
        self.clock, self.steps, self.stream = clock, steps, stream or sys.stderr
        self.live = self.stream.isatty()
        self.drawn = 0.0

    def on_train_begin(self, logs=None):
        self.begun = time.perf_counter()
        self.progress_at_begin = self.clock.progress()

    def on_train_batch_end(self, batch, logs=None):
        if self.live and time.perf_counter() - self.drawn > 0.2:
            self._draw(self.clock.state.epoch, batch + 1, logs)

    def on_epoch_end(self, epoch, logs=None):
        self._draw(self.clock.state.epoch, 0, logs)
        if not self.live or self.model.stop_training:
            self.stream.write("\n")

    def _draw(self, epoch, step, logs):
        done = self._done(epoch, step)
        filled = int(24 * done)
        bound = f"objective {float(logs['objective']):9.2f}" if logs else ""
        error = f"  validation {100 * logs['validation_error']:.2f}%" if logs and "validation_error" in logs else ""
        bar = "=" * filled + "." * (24 - filled)
        line = f"{100 * done:3.0f}% [{bar}] epoch {epoch + bool(step)}  {bound}{error}  {self._left(done)}"
        self.stream.write(("\r\x1b[K" if self.live else "") + line)
        self.stream.flush()
        self.drawn = time.perf_counter()

    def _done(self, epoch, step):
        plan = self.clock.plan
        if plan.epochs is not None:
            return min(1.0, (epoch + step / self.steps) / plan.epochs)
        return min(1.0, self.clock.progress())

    def _left(self, done):
        here = done - self.progress_at_begin
        if done >= 1.0 or here <= 0:
            return ""
        left = (time.perf_counter() - self.begun) * (1.0 - done) / here
        return f"{int(left) // 60}:{int(left) % 60:02d} left"
