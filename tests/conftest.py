"""What tests share: quick XLA compilation, latents that are pinned to their means, and a sampled class that is chosen."""

import gc
import os
import types

# Two processes of tests have two cores: NumPy's and scikit-learn's threads would wait for each other, busily.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import light  # noqa: E402
import numpy as np  # noqa: E402
import pytest  # noqa: E402
import tensorflow as tf  # noqa: E402

from tfadgm import noise  # noqa: E402
from tfadgm.runs import report_page, run  # noqa: E402

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
def no_pages_and_figures():
    """Runs of tests end without page and figures, which take seconds.

    A test that wants them sets `report_page.write` or `run.figures` again.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(report_page, "write", lambda *arguments, **found: None)
        patch.setattr(run, "figures", types.SimpleNamespace(all_figures=light.no_figures))
        yield


LONG = ("queue_test", "workers_test", "pages_test", "run_test")


def pytest_collection_modifyitems(items):
    """What takes longest comes first, so that no process is alone with it at the end."""
    items.sort(key=lambda item: item.path.stem not in LONG)


def pytest_collection_finish():
    """What was imported is no garbage: to look through it again and again took a tenth of all time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 10, 10)
