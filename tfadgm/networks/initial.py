"""Initial weights: each a pure function of a seed, the name of its conditional and its number among that one's weights.

No generator of NumPy, Python, Keras or TensorFlow is read or moved: models that are built side by side in threads start
as they would alone, and a program that builds or opens one keeps its own random numbers.
"""

import contextlib
import contextvars
import math
import zlib

import keras
import numpy as np

_seeds = contextvars.ContextVar("tfadgm_initial", default=None)
_room = contextvars.ContextVar("tfadgm_room", default=None)


@contextlib.contextmanager
def weights_of(name, seed):
    """Within this scope the weights that are made are those of `name`, a text, and of `seed`, an integer of at least 0."""
    token = _seeds.set(np.random.SeedSequence([seed, zlib.crc32(name.encode())]))
    try:
        yield
    finally:
        _seeds.reset(token)


@contextlib.contextmanager
def at_most(count):
    """Within this scope weights of at most `count` numbers in all are drawn; more is a ValueError before they are."""
    token = _room.set([count])
    try:
        yield
    finally:
        _room.reset(token)


class Drawn(keras.initializers.Initializer):
    """A random Keras initializer whose numbers are others for every weight: see `weights_of`.

    Outside that scope the seed is the operating system's.

    Args:
      kind: the class of a Keras initializer that has the argument `seed`.
      **options: its other arguments.
    """

    def __init__(self, kind, **options):
        self.kind, self.options = kind, options

    def __call__(self, shape, dtype=None):
        room = _room.get()
        if room is not None:
            room[0] -= math.prod(shape)
            if room[0] < 0:
                raise ValueError(f"weights: one has the shape {tuple(shape)}; allowed: sizes for which there are numbers")
        seeds = _seeds.get() or np.random.SeedSequence()
        seed = int(seeds.spawn(1)[0].generate_state(1)[0])  # spawning counts
        return self.kind(**self.options, seed=seed)(shape, dtype)


def glorot_normal():
    """Returns the initializer of Glorot and Bengio 2010, a truncated normal as Keras has it."""
    return Drawn(keras.initializers.GlorotNormal)


def normal(deviation):
    """Returns the initializer N(0, deviation^2)."""
    return Drawn(keras.initializers.RandomNormal, stddev=deviation)
