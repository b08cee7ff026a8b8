"""A run of several workers: the chief goes the whole way, as one process does, and tells the others what to train.

Only trainings of the run itself are shared. What follows (selection, cross-fitting, evaluation, export) the chief does
alone; the others wait for the results.
"""

import dataclasses
import pathlib
import zlib
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from tfadgm import machine
from tfadgm.data import on_disk, pipeline
from tfadgm.data.dataset import Dataset
from tfadgm.models.base import DeepGenerativeModel
from tfadgm.runs import build, lock, run_directory
from tfadgm.runs.settings import Settings
from tfadgm.training import callbacks, stopping, workers

LOST = (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError, tf.errors.DeadlineExceededError)


def train(
    settings: Settings, directory: pathlib.Path, quiet: bool, whole_way: Callable[[Settings, pathlib.Path, bool], dict]
) -> dict:
    """Joins the group, and trains: by `whole_way` as the chief, else as it tells; returns the chief's results.

    Raises:
      ValueError: of the chief in all processes; in another one if its data are others.
      workers.WorkerLost: if another process of the group is gone.
    """
    machine.set_threads(settings.threads, settings.xla)
    group = workers.join()
    try:
        if not group.is_chief:
            return _follow(group)
        with lock.held(directory):
            results = whole_way(settings, directory, quiet)
        group.tell(dict(results=results))
        return results
    except LOST as error:
        raise workers.lost(error) from error
    except (ValueError, OSError, KeyboardInterrupt) as error:
        if group.is_chief and not isinstance(error, stopping.Stopped):  # which all heed at the same step
            group.tell(dict(error=str(error) or "was interrupted"))
        raise


def build_train(
    settings: Settings,
    data: Dataset,
    split: pipeline.Split,
    directory: pathlib.Path,
    quiet: bool,
    start: DeepGenerativeModel | None,
) -> tuple[DeepGenerativeModel, callbacks.State, list[dict[str, str | float]]]:
    """As `build.train`, by all workers if the strategy is that: those that wait are told what to train."""
    if settings.strategy == "multi_worker":
        manner = run_directory.manner_of_data(directory)
        order = dict(settings=dataclasses.asdict(settings), manner=manner, data=_sum_of(data, split))
        workers.join().tell(order)
    return build.train(settings, data, split, directory, quiet, start)


def alone(settings: Settings) -> Settings:
    """Returns the settings of what the chief trains alone."""
    return dataclasses.replace(settings, strategy="one") if settings.strategy == "multi_worker" else settings


def _follow(group):
    """Trains what the chief tells, until it tells the results, and returns these."""
    loaded = None
    while True:
        order = group.hear()
        if "error" in order:
            raise ValueError(f"the chief: {order['error']}")
        if "results" in order:
            return order["results"]
        settings = Settings(**order["settings"])
        loaded = loaded or build.load_data(settings, **order["manner"])
        data, split = loaded
        if _sum_of(data, split) != order["data"]:
            told = f"has other data than the chief's in {settings.dataset}"
            raise ValueError(f"dataset: worker {group.number} {told}; allowed: the same files in every process")
        build.train(settings, data, split, pathlib.Path(), quiet=True)


def _sum_of(data, split):
    """A checksum of shapes, labels, split and some examples."""
    found = zlib.crc32(repr((data.x_train.shape, str(data.x_train.dtype))).encode())
    some = on_disk.every(data.x_train, max(1, len(data.x_train) // 100))
    for array in (some, data.y_train, *dataclasses.astuple(split)):
        found = zlib.crc32(np.ascontiguousarray(array).tobytes(), found)
    return found
