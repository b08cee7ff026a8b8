"""What all tests share: quick XLA compilation, and latents that are pinned to their means."""

import os

import pytest
import tensorflow as tf

from tfadgm import noise

# XLA reads this once, at its first compilation. The programs of the tests run for microseconds and compile for seconds.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")


def _mean(draws, name, conditional, distribution):
    if name in draws.pinned:
        return draws.pinned[name]
    mean = conditional.point(distribution)
    return mean if conditional.is_deterministic else mean + tf.zeros([draws.samples, draws.batch, 1])


@pytest.fixture
def mean_latents(monkeypatch):
    """Every draw is its distribution's mean, of a draw's shape: the same eagerly, compiled and in every replica."""
    monkeypatch.setattr(noise.Draws, "__call__", _mean)
