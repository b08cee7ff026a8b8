"""The noise is a pure function of (base seed, step, replica, name), and of nothing else."""

import types

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tfadgm import conditionals, noise


def _seed(values):
    return tuple(np.asarray(values).tolist())


def _as_replica(monkeypatch, replica, replicas):
    monkeypatch.setattr(tf.distribute, "get_strategy", lambda: types.SimpleNamespace(num_replicas_in_sync=replicas))
    context = types.SimpleNamespace(replica_id_in_sync_group=replica)
    monkeypatch.setattr(tf.distribute, "get_replica_context", lambda: context)


def test_step_seed_of_one_replica_is_base_seed_and_step():
    assert _seed(noise.step_seed(3, 7)) == (3, 7)
    assert _seed(noise.step_seed(3, tf.Variable(7, dtype=tf.int64))) == (3, 7)
    assert noise.step_seed(3, 7).dtype == tf.int32


def test_step_seeds_differ_per_step_replica_and_base_seed(monkeypatch):
    seeds = []
    for replica in range(2):
        _as_replica(monkeypatch, replica, 2)
        seeds += [_seed(noise.step_seed(base, step)) for base in range(3) for step in range(5)]
    assert len(set(seeds)) == 2 * 3 * 5


def test_step_seed_outside_a_replica_is_that_of_the_first(monkeypatch):
    monkeypatch.setattr(tf.distribute, "get_replica_context", lambda: None)
    assert _seed(noise.step_seed(3, 7)) == (3, 7)


def test_fold_differs_per_name_and_number_and_seed_and_repeats_itself():
    seeds = [tf.constant([0, 1]), tf.constant([0, 2]), tf.constant([1, 1])]
    names = ["x", "y", "z", "a", "z1", "z2", 1, 2, 2**32 - 1]
    folded = [_seed(noise.fold(seed, name)) for seed in seeds for name in names]
    assert len(set(folded)) == len(seeds) * len(names)
    assert folded == [_seed(noise.fold(seed, name)) for seed in seeds for name in names]


def test_fold_is_the_same_in_a_graph():
    seed = tf.constant([5, 6])
    for name in ("a", 3):
        assert _seed(tf.function(lambda s, name=name: noise.fold(s, name))(seed)) == _seed(noise.fold(seed, name))


def _normal(units, batch):
    conditional = conditionals.StandardNormal(units=units)
    return conditional, tfp.distributions.Independent(conditionals.DiagonalNormal(tf.zeros([1, batch, units]), 0.0), 1)


def test_draws_differ_per_step_and_name_and_repeat_for_the_same_inputs():
    conditional, distribution = _normal(4, 6)

    def draw(step, name):
        return noise.Draws(noise.step_seed(0, step), 6, samples=2)(name, conditional, distribution).numpy()

    assert draw(0, "z").shape == (2, 6, 4)
    np.testing.assert_array_equal(draw(0, "z"), draw(0, "z"))
    for other in (draw(1, "z"), draw(0, "a")):
        assert np.abs(draw(0, "z") - other).min() > 0
    assert np.unique(draw(0, "z")).size == 2 * 6 * 4  # no noise is shared by samples, examples or units


def test_a_resumed_run_continues_the_same_noise():
    conditional, distribution = _normal(3, 5)

    def run(first, last):
        step = tf.Variable(first)  # all that a checkpoint has to hold
        drawn = []
        while step < last:
            drawn.append(noise.Draws(noise.step_seed(1, step), 5)("z", conditional, distribution).numpy())
            step.assign_add(1)
        return drawn

    np.testing.assert_array_equal(run(0, 6)[3:], run(3, 6))


def test_pinned_values_are_taken_as_they_are():
    conditional, distribution = _normal(3, 5)
    value = tf.ones([1, 5, 3])
    draws = noise.Draws(tf.constant([0, 0]), 5, pinned={"z": value})
    assert draws("z", conditional, distribution) is value
    assert np.abs(draws("a", conditional, distribution) - value).min() > 0


def test_replace_changes_only_what_it_is_told():
    draws = noise.Draws(tf.constant([4, 5]), 7, samples=2, pinned={"z": 1.0})
    changed = draws.replace(samples=9)
    assert (changed.samples, changed.batch, changed.pinned) == (9, 7, {"z": 1.0})
    assert changed.seed is draws.seed and draws.samples == 2


@pytest.mark.parametrize("jit_compile", [False, True])
def test_draws_in_a_compiled_function_have_static_shapes(jit_compile):
    conditional, distribution = _normal(3, 5)

    @tf.function(jit_compile=jit_compile)
    def draw(seed):
        value = noise.Draws(seed, 5, samples=2)("z", conditional, distribution)
        assert value.shape == (2, 5, 3)
        return value

    assert np.isfinite(draw(tf.constant([0, 1]))).all()
