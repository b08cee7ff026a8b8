"""Why a training diverged: its steps since the last checkpoint are made once more, and the first number that is not finite
is named.

All that is random is a function of (seed, step, replica, name), so that no step of a training has to be watched for this.
"""

import contextlib
import dataclasses
import functools
import math

import numpy as np
import tensorflow as tf

from tfadgm import noise
from tfadgm.models import factorisation
from tfadgm.training import callbacks

DATA = "try without values far outside the others in the data"
LOWER = "try a lower learning_rate, max_norm, or batch_norm"


@dataclasses.dataclass(frozen=True)
class Finding:
    """The first number of a step that is not finite.

    Attributes:
      what: what is not finite, such as "log p(x|y,z)".
      value: the number.
      rows: of which examples of the batch, ascending; empty: of no particular ones.
      raw: the raw examples [B, ...] of the batch, or None.
    """

    what: str
    value: float
    rows: tuple[int, ...] = ()
    raw: np.ndarray | None = None

    def __str__(self):
        told = f"{self.what} is {self.value:g}"
        if not self.rows:
            return told
        told += f" for {len(self.rows)} of the {len(self.raw)} examples, first for that of row {self.rows[0]} of the batch"
        values = np.abs(np.asarray(self.raw[self.rows[0]], "float64"))
        largest = np.nanmax(values) if values.size and not np.isnan(values).all() else np.nan
        others = f" (of the others {self._usual():.3g})" if len(self.rows) < len(self.raw) else ""
        return f"{told}, whose largest value is {largest:.3g}{others}"

    def _usual(self):
        """The median of the other examples' largest values."""
        largest = np.nan_to_num(np.abs(np.asarray(self.raw, "float64"))).reshape(len(self.raw), -1).max(1, initial=0.0)
        largest = np.delete(largest, self.rows)
        return float(np.median(largest)) if largest.size else math.nan

    @property
    def is_of_data(self):
        """Whether an example that is far outside the others is to blame."""
        if not self.rows or len(self.rows) * 2 > len(self.raw):
            return False
        largest = np.nanmax(np.abs(np.asarray(self.raw[list(self.rows)], "float64")))
        return bool(not largest <= 100 * max(self._usual(), 1e-30))


def told(error, why):
    """Returns the message of the `callbacks.TrainingDiverged` with what why(), an `explain`, finds."""
    try:
        return f"{error}: {why()}"
    except (tf.errors.OpError, ValueError) as hindered:
        return f"{error}; {LOWER} (why was not found: {(str(hindered) or type(hindered).__name__).splitlines()[0]})"


def explain(model, restore, stream, plan, steps, replicas, last):
    """Makes the steps of a training once more, up to the number `last`, until a number is not finite; returns a sentence.

    Args:
      model: a compiled `DeepGenerativeModel` under no strategy, whatever strategy the training had.
      restore: a function of a `callbacks.Clock` that gives its state and the model what the last checkpoint has.
      stream: a function of a `callbacks.State` that returns the batches of all replicas in turn from there on.
      plan: the `fit.Plan` of the training.
      steps: of an epoch.
      replicas: their number.
      last: the number of optimizer steps that the training had made when it was found out.
    """
    clock = callbacks.Clock(plan, callbacks.State())
    clock.set_model(model)
    restore(clock)
    state, made = clock.state, int(np.asarray(model.optimizer.iterations))
    compute = tf.function(model._terms_and_gradients, jit_compile=model.xla, autograph=False)
    compute = model._terms_and_gradients if model.run_eagerly else compute
    batches = iter(stream(state))
    while made < last:
        if plan.epochs is not None:  # with a budget in minutes the rate of the checkpoint stays
            clock.on_epoch_begin(state.epoch)
        for step in range(state.step, steps):
            own = [next(batches) for _ in range(replicas)]
            found = _step(model, own, compute)
            if found is not None:
                where = f"in step {step + 1} of {steps} of epoch {state.epoch + 1}"
                return f"{where} {found}; {DATA if found.is_of_data else LOWER}"
            made += 1
            if made >= last:
                break
        state.epoch, state.step = state.epoch + 1, 0
    return f"the same steps since the last checkpoint, made once more, were finite; {LOWER}"


def _step(model, batches, compute):
    """Makes one step of all replicas; returns the `Finding` of the first number that is not finite, or None."""
    step, temperature, n = model.optimizer.iterations, model.temperature(), len(batches)
    seeds = [noise.step_seed(model.seed, step, (r, n)) for r in range(n)]
    parts = [compute(batch, seed, temperature) for batch, seed in zip(batches, seeds, strict=True)]
    for batch, seed, (terms, gradients, _) in zip(batches, seeds, parts, strict=True):
        if not _all_finite([*terms.values(), *gradients]):
            return _examine(model, batch, seed, temperature, terms, gradients)
    gradients = [tf.add_n([part[1][i] for part in parts]) / n for i in range(len(parts[0][1]))]
    model.optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
    for layer, moments in zip(model._normalised, zip(*(part[2] for part in parts), strict=True), strict=True):
        layer.update(*(tf.add_n(each) / n for each in zip(*moments, strict=True)), model.optimizer.iterations)
    found = callbacks.weight_not_finite(model)
    return None if found is None else Finding(f"the weight {found[0]} after its update", found[1])


def _examine(model, batch, seed, temperature, terms, gradients):
    """The `Finding` of a step in which a term or gradient is not finite: factors first, then terms, then gradients."""
    found = []
    with _watched(model, found), contextlib.suppress(tf.errors.InvalidArgumentError):
        model._terms_and_gradients(batch, seed, temperature)
    if found:
        return found[0]
    named = [(f"the term {name}", value) for name, value in terms.items() if name != "objective"]
    named += [("the objective", terms["objective"])]
    named += [(f"the gradient of {v.path}", g) for v, g in zip(model.trainable_variables, gradients, strict=True)]
    return next(Finding(name, _worst(value)[0]) for name, value in named if not _all_finite([value]))


@contextlib.contextmanager
def _watched(model, found):
    """Within this scope what the model observes, and what its factors compute, is searched for the first NaN or infinity."""
    current = [None]
    patched = []

    def patch(owner, name, make):
        vars(owner)[name] = make(getattr(owner, name))
        patched.append((owner, name))

    def look(what, value, axis):
        if isinstance(value, tf.__internal__.EagerTensor) and not _all_finite([value]):
            worst, where = _worst(value)
            rows = np.unique(where[axis % value.shape.rank]) if value.shape.rank >= -axis else []
            whole = current[0] is not None and value.shape.rank >= -axis and value.shape[axis] == len(current[0])
            found.append(Finding(what, worst, tuple(map(int, rows)) if whole else (), current[0] if whole else None))

    def observing(observe):
        def observed(raw, seed=None):
            current[0] = np.asarray(raw)
            x = observe(raw, seed)
            look("x", x, -2)
            return x

        return observed

    def computing(made, what, axis, which=None):
        @functools.wraps(made)
        def computed(*arguments, **options):
            value = made(*arguments, **options)
            look(what, value if which is None else value[which], axis)
            return value

        return computed

    patch(model, "observe", observing)
    for symbol, factors in (("p", model.p), ("q", model.q)):
        for name, factor in factors.items():
            notation = factorisation.notation(symbol, name, factor.given)
            kinds = [("call", f"a parameter of {notation}", -2, None), ("sample", f"a draw from {notation}", -2, None)]
            kinds += [("log_prob", f"log {notation}", -1, None), ("log_probs", f"log {notation}", -2, None)]
            kinds += [("sample_and_log_prob", f"log {notation} of a draw", -1, 1)]
            for method, what, axis, which in kinds:
                if hasattr(factor, method):
                    patch(factor, method, functools.partial(computing, what=what, axis=axis, which=which))
    try:
        yield
    finally:
        for owner, name in patched:
            del vars(owner)[name]


def _all_finite(values):
    return bool(tf.reduce_all([tf.reduce_all(tf.math.is_finite(value)) for value in values]))


def _worst(value):
    """Returns (the first number that is not finite, the indices of all such, as `np.nonzero`)."""
    value = np.asarray(tf.cast(value, tf.float32))
    where = np.nonzero(~np.isfinite(value))
    return float(value[~np.isfinite(value)][0]), where
