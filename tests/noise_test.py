"""The noise is a pure function of (base seed, step, replica, name), and of nothing else."""

import types

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tfadgm import noise
from tfadgm.distributions import conditionals


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


def _examples(count, size=9):
    return np.arange(count * size, dtype="float32").reshape(count, size) / 7


def test_an_examples_seed_depends_on_its_values_and_on_nothing_else():
    raw = _examples(50)
    seeds = noise.of_examples(raw, (0, 1)).numpy()
    assert seeds.shape == (50, 2) and len({tuple(seed) for seed in seeds}) == 50
    np.testing.assert_array_equal(noise.of_examples(raw[::-1], (0, 1))[::-1], seeds)
    np.testing.assert_array_equal(tf.function(noise.of_examples)(raw.reshape(50, 3, 3), (0, 1)), seeds)
    assert np.all(noise.of_examples(raw, (0, 2)).numpy() != seeds)
    changed = raw.copy()
    changed[:, 4] = np.nextafter(changed[:, 4], 1e9)  # by the last bit
    assert not np.any(np.all(noise.of_examples(changed, (0, 1)) == seeds, -1))
    zeros = np.array([[0.0, -0.0]], "float32")
    np.testing.assert_array_equal(noise.of_examples(zeros, (0, 1)), noise.of_examples(-zeros, (0, 1)))


def test_the_noise_of_examples_is_independent_of_that_of_others_and_of_other_names():
    seeds = noise.of_examples(_examples(3000), (0, 1))
    z, a = (noise.normal([2, 3000, 3], noise.fold(seeds, name)).numpy().astype("float64") for name in "za")
    assert z.shape == (2, 3000, 3)
    columns = np.concatenate([z[0], z[1], a[0], np.roll(z[0], 1, 0)], 1)
    np.testing.assert_allclose(columns.mean(0), 0, atol=0.08)
    np.testing.assert_allclose(np.cov(columns.T), np.eye(12), atol=0.1)  # 5 standard errors
    uniform = noise.uniform([1, 3000, 3], noise.fold(seeds, "x")).numpy()
    assert uniform.min() >= 0 and uniform.max() < 1 and abs(uniform.mean() - 0.5) < 0.02


def test_a_sample_of_an_example_is_the_same_however_many_there_are():
    seeds = noise.of_examples(_examples(4), (0, 1))
    many = noise.normal([tf.constant(7), 4, 3], seeds)
    np.testing.assert_array_equal(noise.normal([2, 4, 3], seeds), many[:2])
    np.testing.assert_array_equal(noise.normal([7, 1, 3], seeds[2:3])[:, 0], many[:, 2])
