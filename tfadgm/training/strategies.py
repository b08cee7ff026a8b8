"""Which devices a training runs on."""

import functools

import tensorflow as tf

from tfadgm.training import workers


def make_strategy(name: str) -> tf.distribute.Strategy:
    """Returns the `tf.distribute` strategy called `name`.

    "one", "mirrored", "multi_worker" (with the other processes of `workers.join`), or "auto" (mirrored if there are GPUs).
    """
    if name == "multi_worker":
        return workers.join().strategy
    gpus = tf.config.list_logical_devices("GPU")
    if name == "mirrored" or (name == "auto" and len(gpus) > 1):
        devices = gpus or tf.config.list_logical_devices("CPU")
        return _mirrored(*(device.name for device in devices))
    return tf.distribute.get_strategy()


@functools.cache
def _mirrored(*devices):
    """One for all trainings of a process: two of the same devices number their reductions alike, and mix them up."""
    return tf.distribute.MirroredStrategy(devices)
