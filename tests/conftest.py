"""What tests share: quick XLA compilation, latents that are pinned to their means, and a sampled class that is chosen."""

import os

import numpy as np
import pytest
import tensorflow as tf

from tfadgm import noise
from tfadgm.runs import report_page

# XLA reads this once, at its first compilation. The programs of the tests run for microseconds and compile for seconds.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")


def _mean(draws, name, conditional, distribution):
    if name in draws.pinned:
        return draws.pinned[name]
    mean = conditional.point(distribution)
    return mean if conditional.is_deterministic else mean + tf.zeros([draws.samples, draws.batch, 1])


def _scored_mean(draws, name, conditional, distribution):
    value = _mean(draws, name, conditional, distribution)
    return value, distribution.log_prob(value)


@pytest.fixture
def mean_latents(monkeypatch):
    """Every draw is its distribution's mean, of a draw's shape: the same eagerly, compiled and in every replica."""
    monkeypatch.setattr(noise.Draws, "__call__", _mean)
    monkeypatch.setattr(noise.Draws, "scored", _scored_mean)


@pytest.fixture
def choose_class(monkeypatch):
    """Decides which class `class_weights.most_probable_classes` samples; returns it and its probability r(y)."""

    def choose(log_q_y, exact, rank):
        """Makes the sampled class the one of rank `rank` among those outside the exact ones, in every row."""
        order = np.argsort(-np.asarray(log_q_y), -1)
        chosen = order[..., exact + rank]
        uniform = np.where(np.arange(order.shape[-1]) == chosen[..., None], 1 - 1e-7, 0.1).astype("float32")
        monkeypatch.setattr(noise, "uniform", lambda shape, seed, low=0.0: tf.constant(uniform))
        rest = np.take_along_axis(np.exp(np.asarray(log_q_y, "float64")), order[..., exact:], -1)
        return chosen, (rest / rest.sum(-1, keepdims=True))[..., rank]

    return choose


@pytest.fixture(scope="session", autouse=True)
def no_report_pages():
    """Runs of tests end without their page, which takes seconds; a test that wants it sets `report_page.write` again."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(report_page, "write", lambda *arguments, **found: None)
        yield
