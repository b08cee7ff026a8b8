"""Trains a model on a stream of batches: compilation, callbacks, checkpoints, resume. Knows no settings of a run."""

import contextlib
import dataclasses
import functools
import math

import keras
import numpy as np
import tensorflow as tf

from tfadgm import telling
from tfadgm.data import on_disk, pipeline
from tfadgm.networks import optimizers
from tfadgm.telling import tell, warn
from tfadgm.training import callbacks, checkpoints, divergence, loop, progress, workers

FEW_STEPS = 12  # which take as long without a graph as the building of one (docs/notebook.md)
MOST_RESTORED = 5  # how often a training that diverges goes on from its last checkpoint


@dataclasses.dataclass(frozen=True)
class Plan:
    """How a model is trained; the settings of a run of the same names say what each means.

    Exactly one of `epochs` and `minutes` is given. `epoch_steps`: of an epoch; None: as many as a pass over the pool has.
    `choose`: whether the weights of the best epoch on the validation examples are taken, rather than the last.
    """

    epochs: int | None = None
    minutes: float | None = None
    seed: int = 0
    batch: int = 100
    labelled_batch: int = 100
    learning_rate: float = 3e-4
    adam_epsilon: float = 1e-7
    schedule: str = "constant"
    decay_from: float = 0.5
    decay: float = 0.75
    decay_epochs: int = 200
    average: float | None = None
    max_norm: float | None = None
    max_value: float | None = None
    patience: int | None = None
    checkpoint_seconds: float = 60.0
    choose: bool = True
    epoch_steps: int | None = None
    stop: str = "none"
    on_nan: str = "stop"

    @property
    def bound_patience(self):
        """How many epochs `stop="bound"` waits for a better bound of the rows that it watches."""
        return max(3, math.ceil(self.epochs / 5))

    def optimizer(self):
        """Returns the `Adam` of the plan."""
        return optimizers.Adam(
            learning_rate=self.learning_rate,
            epsilon=self.adam_epsilon,
            max_norm=self.max_norm,
            max_value=self.max_value,
            average=self.average,
        )


def train(make_model, data, split, plan, directory, strategy=None, quiet=False, further=()):
    """Trains, or goes on training, the model of a run directory; returns (model with its best weights, state, rows).

    Args:
      make_model: a function that returns the model with its initial weights; it is called within the strategy's scope.
      data, split: a `Dataset` and its `Split`.
      plan: a `Plan`.
      directory: a `pathlib.Path`: metrics.csv, tensorboard/ and checkpoints/ are written below it, of several workers by
        the chief alone; it trains on with what it has there, the others with what it tells them.
      strategy: a `tf.distribute.Strategy`; None: the one in force.
      quiet: whether to print no progress.
      further: callbacks that look at each epoch before it is logged.

    Of several workers the chief returns a model of its own, under no strategy, and the others none.

    Raises:
      stopping.Stopped: by SIGTERM or SIGINT, between two steps; the state is in a checkpoint.
      TrainingDiverged: if the objective becomes NaN, with `on_nan` "restore" after `MOST_RESTORED` returns; the message says
        where (see `divergence.explain`), and the last good checkpoint stays.
      ValueError: if a batch cannot be shared evenly by the replicas.
    """
    strategy = strategy or tf.distribute.get_strategy()
    watched = np.zeros(0, "int64")
    if plan.stop == "bound" and plan.epochs is not None:
        split, watched = pipeline.keep_from_training(split, plan.seed)
    labelled_batch = min(plan.labelled_batch, len(split.labelled))
    _check_shares(plan.batch, labelled_batch, strategy.num_replicas_in_sync)
    group = workers.of(strategy)
    with strategy.scope():
        model = _compiled(make_model(), plan, group is None and _is_short(plan, split))
    clock = callbacks.Clock(plan, callbacks.State())
    state = clock.state
    streams = functools.partial(_streams, plan, data, split, labelled_batch, model.learns_from_labels, state)
    if group is not None and not group.is_chief:
        _follow(model, streams, plan, split, clock, group)
        return None, state, []
    checkpoint = callbacks.Checkpoint(model, directory / "checkpoints", clock, plan.checkpoint_seconds)
    if not checkpoint.restore() and callbacks.read_rows(directory / "metrics.csv"):
        warn(f"{directory / 'checkpoints'}: holds no checkpoint of a run that had begun; it begins anew")
    if plan.on_nan == "restore" and not checkpoint.manager.latest_checkpoint:
        checkpoint.save()  # to go back to, if training diverges before the first of its own
    clock.reopen()
    best = directory / "checkpoints" / "best.weights.h5"
    log = callbacks.Log(directory, state)
    if group is not None:
        group.tell(state.serialize())
        _begin_together(model, clock, group)

    def why():
        anew = _compiled(make_model(), plan, model.run_eagerly)
        shares = tf.distribute.InputContext(num_replicas_in_sync=strategy.num_replicas_in_sync)

        def restore(clock):
            callbacks.Checkpoint(anew, directory / "checkpoints", clock, plan.checkpoint_seconds).restore()

        def stream(state):
            return _streams(plan, data, split, labelled_batch, model.learns_from_labels, state)(shares)

        last = int(keras.ops.convert_to_numpy(model.optimizer.iterations))
        return divergence.explain(anew, restore, stream, plan, _steps(plan, split), shares.num_replicas_in_sync, last)

    if not state.finished:
        parts = clock, checkpoint, log, best
        _fit(model, streams(), plan, data, split, watched, parts, quiet, further, why, group)
        if not quiet and clock.progress() < 1.0 and clock.ended_by() is not None:
            planned = "" if plan.epochs is None else f" of {plan.epochs}"
            tell(f"training ended after epoch {state.epoch}{planned}: {clock.ended_by()}")
    state.steps = int(keras.ops.convert_to_numpy(model.optimizer.iterations))
    with contextlib.ExitStack() as stack:
        by = "lowest validation error" if plan.choose and math.isfinite(state.best) else None
        by = by or ("best bound" if state.bound_epoch else None)
        if not (by and _has_best(model, best, by)):
            stack.enter_context(callbacks.averaged_weights(model))
        if group is not None:
            weights, model = model.get_weights(), _compiled(make_model(), plan, eagerly=False)
            model.set_weights(weights)
        model.finish(data, split, plan.seed)
        checkpoints.save_weights(model, directory / "model.weights.h5")
        final = model.get_weights()
    model.set_weights(final)
    checkpoints.check_finite(model, directory / "model.weights.h5")
    return model, state, log.rows


def _has_best(model, path, by):
    """Gives the model its best weights; returns whether they are there, and tells if not."""
    if not path.exists():
        warn(f"{path}: is lost, and with it the weights of the {by}; the last ones are taken")
        return False
    last = model.get_weights()
    try:
        checkpoints.load_weights(model, path)
    except ValueError as error:
        model.set_weights(last)
        warn(f"{error}; with it the weights of the {by} are lost, and the last ones are taken")
        return False
    return True


def _compiled(model, plan, eagerly):
    model.compile(optimizer=plan.optimizer(), jit_compile=False, run_eagerly=eagerly)
    model.optimizer.build(model.trainable_variables)
    return model


def _begin_together(model, clock, group):
    """Gives all workers the chief's weights, optimizer and time."""
    clock.agreed = clock.state.seconds
    group.take_over([v.value for v in (*model.weights, *model.optimizer.variables)])


def _follow(model, streams, plan, split, clock, group):
    """Makes the steps of a worker that is not the chief, which alone measures, writes and decides when to end."""
    clock.state.deserialize(group.hear())
    _begin_together(model, clock, group)
    while not clock.state.finished:
        try:
            return _loop(model, streams(), plan, split, clock, [clock, callbacks.StopOnNaN()])
        except callbacks.TrainingDiverged:
            order = group.hear()
            if "state" not in order:
                raise callbacks.TrainingDiverged(order["told"]) from None
            clock.state.deserialize(order["state"])
            _begin_together(model, clock, group)


def _is_short(plan, split):
    """Whether a training has so few steps that building a graph would take longer than all of them without one."""
    return plan.epochs is not None and plan.epochs * _steps(plan, split) <= FEW_STEPS


def train_again(model, weights, data, split, plan, epochs, further=()):
    """Trains a compiled model anew from initial `weights`, by the step that it was compiled with, and leaves it averaged.

    Nothing is written, and nothing but the epochs ends it. For trainings that differ in their examples alone.

    Args:
      model: one that `train` returned; its optimizer begins anew too.
      weights: arrays, as of `get_weights`.
      data, split: a `Dataset` and another `Split` of it, of as many labelled examples as fill a batch of before.
      plan: that of `train`, by which the learning rate goes.
      epochs: after which training ends.
      further: callbacks.

    Raises:
      stopping.Stopped: by SIGTERM or SIGINT, between two steps.
      TrainingDiverged: if the objective becomes NaN.
    """
    model.set_weights(weights)
    optimizers.reset(model.optimizer)
    around = [callbacks.Clock(plan, callbacks.State()), callbacks.StopOnNaN(), *further]
    streams = _streams(plan, data, split, plan.labelled_batch, model.learns_from_labels)
    try:
        loop.run(model, streams, epochs, _steps(plan, split), around)
    except callbacks.TrainingDiverged as error:
        raise callbacks.TrainingDiverged(f"{error}, in a training on a part of the labels; {divergence.LOWER}") from None
    with callbacks.averaged_weights(model):
        averaged = model.get_weights()
    model.set_weights(averaged)
    model.finish(data, split, plan.seed)


def _fit(model, streams, plan, data, split, watched, parts, quiet, further, why, group):
    clock, checkpoint, log, best = parts
    state, steps = clock.state, _steps(plan, split)
    around = [clock, callbacks.StopOnNaN()]
    if split.validation.size and model.learns_from_labels:
        held_out = (on_disk.take(data.x_train, split.validation), data.y_train[split.validation])
        around.append(callbacks.Validate(*held_out, state, best if plan.choose else None, patience=plan.patience))
    if watched.size:
        chooses = not (plan.choose and split.validation.size and model.learns_from_labels)
        rows = on_disk.take(data.x_train, watched)
        around.append(callbacks.Watch(rows, state, best if chooses else None, plan.bound_patience))
    with telling.showing("off" if quiet else "auto"), telling.task("training") as task:
        around += [*further, log, checkpoint, progress.Progress(clock, steps, task)]
        while not _looped(model, streams, plan, split, clock, around, (checkpoint, log), why, group):
            pass


def _looped(model, streams, plan, split, clock, around, kept, why, group):
    """Makes the steps that are left; returns False where they diverged, and training has gone back to go on."""
    (checkpoint, log), state = kept, clock.state
    try:
        _loop(model, streams, plan, split, clock, around, checkpoint.save_within)
        return True
    except callbacks.TrainingDiverged as error:
        told = divergence.told(error, why)
    may_go_on = plan.on_nan == "restore" and state.restored < MOST_RESTORED
    if may_go_on:
        _go_back(clock, checkpoint, log)
        slower = f"at {0.5**state.restored:g} times the learning rate (time {state.restored} of {MOST_RESTORED})"
        warn(f"{told}; goes on after {state.epoch} epochs and {state.step} steps {slower}")
    if group is not None:
        group.tell(dict(told=told) | (dict(state=state.serialize()) if may_go_on else {}))
    if not may_go_on:
        way = ", or on_nan=restore" if plan.on_nan == "stop" else f", after {state.restored} returns to a checkpoint"
        raise callbacks.TrainingDiverged(told + way)
    if group is not None:
        _begin_together(model, clock, group)
    return False


def _go_back(clock, checkpoint, log):
    """Gives a training that has diverged what its last checkpoint has, and half the learning rate."""
    state = clock.state
    restored, seconds = state.restored + 1, clock.measured()
    checkpoint.go_back()
    state.restored, state.seconds, clock.started = restored, seconds, None
    log.go_back()
    checkpoint.save()  # so that a run which is interrupted goes on from here at the same rate


def _loop(model, streams, plan, split, clock, around, save=None):
    state, most = clock.state, plan.epochs or 1_000_000_000  # with minutes, the clock stops the run
    loop.run(model, streams, most, _steps(plan, split), around, (state.epoch, state.step, state.sums), clock, save)


def _steps(plan, split):
    """The number of steps of an epoch."""
    return plan.epoch_steps or pipeline.steps_per_epoch(split, plan.batch)


def _streams(plan, data, split, labelled_batch, with_labels, state=None):
    """Returns a function of a `tf.distribute.InputContext`: the batches of a worker's replicas, from `state` on."""
    begun = state or callbacks.State()

    def stream(context):
        each = context.num_replicas_in_sync // context.num_input_pipelines
        first = each * context.input_pipeline_id
        shares = dict(replicas=context.num_replicas_in_sync, own=range(first, first + each))
        order = dict(seed=plan.seed, first_epoch=begun.epoch, first_step=begun.step, steps=plan.epoch_steps)
        return pipeline.training_stream(data, split, plan.batch, labelled_batch, with_labels=with_labels, **order, **shares)

    return stream


def _check_shares(batch, labelled_batch, replicas):
    for name, size in (("batch", batch), ("labelled_batch", labelled_batch)):
        if size % replicas:
            raise ValueError(f"{name}: got {size} for {replicas} replicas; allowed: a multiple of {replicas}")
