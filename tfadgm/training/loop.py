"""The one training loop, of every strategy: steps under `strategy.run`, Keras' callbacks around them.

Keras' own `fit` cannot run under `MultiWorkerMirroredStrategy` (Keras 3.15), nor begin within an epoch.
"""

import numpy as np
import tensorflow as tf


def run(model, streams, epochs, steps, callbacks, begun=(0, 0, {})):
    """Makes `steps` steps in each epoch, until the number of epochs is reached or `model.stop_training` is set.

    Args:
      model: a compiled `DeepGenerativeModel`; its variables belong to the strategy that the steps run under.
      streams: a function of a `tf.distribute.InputContext` that returns the endless `tf.data.Dataset` of a worker's batches,
        one for each of its replicas in turn, from where the training begins.
      epochs: their number, those before included.
      steps: of an epoch.
      callbacks: a list of Keras' callbacks. The logs of a step are tensors, those of an epoch numbers.
      begun: (finished epochs, steps made of the next, their `sums`).
    """
    strategy, (first, step, before) = model.distribute_strategy, begun
    iterator = iter(strategy.distribute_datasets_from_function(streams))
    make_step = _step_of(model, strategy)
    model.stop_training = False
    for each in callbacks:
        each.set_model(model)
        each.set_params(dict(epochs=epochs, steps=steps, verbose=0))
    _call(callbacks, "on_train_begin")
    logs = {}
    for epoch in range(first, epochs):
        model.reset_metrics()
        _add(model, strategy, before)
        _call(callbacks, "on_epoch_begin", epoch)
        for number in range(step, steps):
            _call(callbacks, "on_train_batch_begin", number)
            logs = make_step(iterator)
            _call(callbacks, "on_train_batch_end", number, logs)
            if model.stop_training:
                break
        else:
            logs = logs or {name: np.float32(total) / np.float32(count) for name, (total, count) in before.items()}
        logs = {name: float(value) for name, value in sorted(logs.items())}
        _call(callbacks, "on_epoch_end", epoch, logs)
        step, before, logs = 0, {}, {}
        if model.stop_training:
            break
    _call(callbacks, "on_train_end")


def _call(callbacks, name, *arguments):
    for each in callbacks:
        getattr(each, name)(*arguments)


def _step_of(model, strategy):
    """Returns the function of an iterator that makes a step of all replicas and gives the running means of the terms.

    The model keeps it, so that a graph is built once for all trainings of the model.
    """
    found = getattr(model, "_step_of_replicas", None)
    if found is not None:
        return found

    def of_replica(batch):
        return model.track(_mean_of_replicas(model.step(batch)))

    def make_step(iterator):
        logs = strategy.run(of_replica, (next(iterator),))
        return {name: strategy.experimental_local_results(value)[0] for name, value in logs.items()}

    model._step_of_replicas = make_step if model.run_eagerly else tf.function(make_step, autograph=False)
    return model._step_of_replicas


def _mean_of_replicas(terms):
    """The terms' means over all replicas, the same in each, by one reduction."""
    replicas = tf.distribute.get_strategy().num_replicas_in_sync
    if replicas == 1:
        return terms
    total = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, tf.stack(list(terms.values())))
    return dict(zip(terms, tf.unstack(total / replicas), strict=True))


def sums(model):
    """Returns {term: (sum, count)} of the steps of the running epoch: numbers that float32 holds, the same in each replica."""

    def local(variable):
        return float(model.distribute_strategy.experimental_local_results(variable.value)[0])

    return {mean.name: (local(mean.total), local(mean.count)) for mean in model.metrics}


def _add(model, strategy, before):
    """Gives every replica the `sums` of the steps of an epoch that were made before."""

    def of_replica():
        for mean in model.metrics:
            if mean.name in before:
                total, count = before[mean.name]
                mean.total.assign(total)
                mean.count.assign(count)

    if before:
        strategy.run(of_replica)
