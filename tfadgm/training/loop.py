"""The one training loop, of every strategy: steps under `strategy.run`, Keras' callbacks around them.

Keras' own `fit` cannot run under `MultiWorkerMirroredStrategy` (Keras 3.15), nor begin within an epoch.
"""

import numpy as np
import tensorflow as tf

from tfadgm import machine
from tfadgm.training import stopping, workers


@machine.sums_as_written()
def run(model, streams, epochs, steps, callbacks, begun=(0, 0, {}), clock=None, save=None):
    """Makes `steps` steps in each epoch, until the number of epochs is reached or `model.stop_training` is set.

    Several workers stop at the same step, and when the chief stops: its callbacks alone may know why.

    Args:
      model: a compiled `DeepGenerativeModel`; its variables belong to the strategy that the steps run under.
      streams: a function of a `tf.distribute.InputContext` that returns the endless `tf.data.Dataset` of a worker's batches,
        one for each of its replicas in turn, from where the training begins.
      epochs: their number, those before included.
      steps: of an epoch.
      callbacks: a list of Keras' callbacks. The logs of a step are tensors, those of an epoch numbers.
      begun: (finished epochs, steps made of the next, their `sums`).
      clock: the `callbacks.Clock` that several workers have the same time by.
      save: a function of the logs of a step, called where training is asked to stop.

    Raises:
      stopping.Stopped: after a step in which this process, or another worker, got SIGTERM or SIGINT.
    """
    first, step, before = begun
    iterator = iter(model.distribute_strategy.distribute_datasets_from_function(streams))
    model.stop_training = False
    for each in callbacks:
        each.set_model(model)
        each.set_params(dict(epochs=epochs, steps=steps, verbose=0))
    with stopping.watched() as request:
        group = workers.of(model.distribute_strategy)
        wishes = _Wishes(request) if group is None else _SharedWishes(request, group, clock)
        make_step = _step_of(model, group)
        _call(callbacks, "on_train_begin")
        for epoch in range(first, epochs):
            model.reset_metrics()
            _add(model, before)
            _call(callbacks, "on_epoch_begin", epoch)
            logs = {name: np.float32(total) / np.float32(count) for name, (total, count) in before.items()}
            for number in range(step, steps):
                _call(callbacks, "on_train_batch_begin", number)
                logs = wishes.step(make_step, iterator)
                _call(callbacks, "on_train_batch_end", number, logs)
                if model.stop_training:
                    break
                if (
                    wishes.signal is not None
                ):  # at the last step too: what follows an epoch may take longer than there is time
                    if save is not None:
                        save(logs)
                    raise stopping.stopped(wishes.signal, f"after step {number + 1} of {steps} of epoch {epoch + 1}")
            logs = {name: float(value) for name, value in sorted(logs.items())}
            _call(callbacks, "on_epoch_end", epoch, logs)
            step, before = 0, {}
            if wishes.ends(model.stop_training):
                break
        _call(callbacks, "on_train_end")
        if wishes.signal is not None:
            raise stopping.stopped(wishes.signal, f"after epoch {epoch + 1}")


def _call(callbacks, name, *arguments):
    for each in callbacks:
        getattr(each, name)(*arguments)


class _Wishes:
    """What is asked of the training beside its plan: `signal`, that of a request to stop, or None."""

    def __init__(self, request):
        self.request = request

    @property
    def signal(self):
        return self.request.signal

    def step(self, make_step, iterator):
        return make_step(iterator)[0]

    def ends(self, stop):
        return stop


class _SharedWishes(_Wishes):
    """The same of several workers: they sum up theirs in each step, and all heed the sums of the step before.

    So no process waits for the step that it has just begun. The chief's seconds go the same way.
    """

    def __init__(self, request, group, clock):
        super().__init__(request)
        self.group, self.clock, self.before, self.agreed = group, clock, None, None

    signal = None

    def step(self, make_step, iterator):
        own = [float(self.request.signal == number) for number in stopping.SIGNALS]
        seconds = self.clock.measured() if self.group.is_chief and self.clock is not None else 0.0
        logs, found = make_step(iterator, tf.constant([*own, seconds], tf.float32))
        if self.before is not None:
            *asked, seconds = np.asarray(self.before) / self.group.replicas
            self._heed(asked)
            if self.clock is not None:
                self.clock.agreed = float(seconds)
        self.before = found
        return logs

    def _heed(self, asked):
        self.signal = next((n for n, count in zip(stopping.SIGNALS, asked, strict=True) if count > 0), None)

    def ends(self, stop):
        own = [float(self.request.signal == number) for number in stopping.SIGNALS]
        stops, *asked = self.group.agree([float(stop and self.group.is_chief), *own])
        self._heed(asked)
        return stops > 0


def _step_of(model, group):
    """Returns the function of an iterator that makes a step of all replicas: (running means of the terms, sums of `wishes`).

    The model keeps it, so that a graph is built once for all trainings of the model.
    """
    found = getattr(model, "_step_of_replicas", None)
    if found is not None:
        return found
    strategy = model.distribute_strategy

    def of_replica(batch, wishes):
        terms, wishes = _over_replicas(model.step(batch), wishes)
        return model.track(terms), wishes

    def make_step(iterator, wishes=None):
        found = strategy.run(of_replica, (next(iterator), wishes))
        return tf.nest.map_structure(lambda value: strategy.experimental_local_results(value)[0], found)

    model._step_of_replicas = make_step if model.run_eagerly else tf.function(make_step, autograph=False)
    return model._step_of_replicas


def _over_replicas(terms, wishes):
    """Returns (the terms' means, the sums of `wishes`) over all replicas, the same in each, by one reduction."""
    replicas = tf.distribute.get_strategy().num_replicas_in_sync
    if replicas == 1:
        return terms, wishes
    own = tf.stack(list(terms.values()))
    values = own if wishes is None else tf.concat([own, wishes], 0)
    total = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, values)
    means = tf.unstack(total[: len(terms)] / replicas)
    return dict(zip(terms, means, strict=True)), None if wishes is None else total[len(terms) :]


def sums(model):
    """Returns {term: (sum, count)} of the steps of the running epoch, the same in each replica, numbers of float32."""
    strategy = model.distribute_strategy

    def local(variable):
        return float(strategy.experimental_local_results(variable.value)[0])

    return {mean.name: (local(mean.total), local(mean.count)) for mean in model.metrics}


def _add(model, before):
    """Gives every replica the `sums` of the steps of an epoch that were made before."""

    def of_replica():
        for mean in model.metrics:
            if mean.name in before:
                total, count = before[mean.name]
                mean.total.assign(total)
                mean.count.assign(count)

    if before:
        model.distribute_strategy.run(of_replica)
