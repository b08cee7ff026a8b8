"""The fused Adam is Keras' Adam with two clippings in the order of the authors' code."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfadgm.networks import optimizers

SHAPES = [(4, 3), (3,), (1,)]


def _variables():
    rng = np.random.default_rng(0)
    return [keras.Variable(rng.normal(size=shape).astype("float32")) for shape in SHAPES]


def _gradients(step, scale=3.0):
    rng = np.random.default_rng([1, step])
    return [scale * rng.normal(size=shape).astype("float32") for shape in SHAPES]


def _clip(gradients, max_norm=None, max_value=None):
    if max_norm is not None:
        norm = np.sqrt(sum((g**2).sum() for g in gradients))
        gradients = [g * min(1.0, max_norm / norm) for g in gradients]
    if max_value is not None:
        gradients = [np.clip(g, -max_value, max_value) for g in gradients]
    return gradients


def _run(optimizer, steps, clip=_clip, variables=None, compiled=False):
    variables = variables or _variables()
    optimizer.build(variables)

    def apply(*gradients):
        optimizer.apply_gradients(zip(gradients, variables, strict=True))

    apply = tf.function(apply) if compiled else apply
    for step in steps:
        apply(*[tf.constant(g) for g in clip(_gradients(step))])
    return variables


def _same(ours, theirs, tolerance=1e-6):
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


CLIPPINGS = [{}, dict(max_norm=2.0), dict(max_value=0.5), dict(max_norm=5.0, max_value=1.0)]


@pytest.mark.parametrize("clipping", CLIPPINGS)
@pytest.mark.parametrize("compiled", [False, True])
def test_ten_steps_equal_keras_adam_on_clipped_gradients(clipping, compiled):
    options = dict(beta_1=0.85, beta_2=0.99, epsilon=1e-4)
    ours = _run(optimizers.Adam(0.05, **clipping, **options), range(10), compiled=compiled, clip=list)
    theirs = _run(keras.optimizers.Adam(0.05, **options), range(10), clip=lambda g: _clip(g, **clipping))
    _same(ours, theirs)
    assert all(np.abs(np.asarray(a) - b).max() > 1e-3 for a, b in zip(ours, _variables(), strict=True))


def test_the_norm_is_clipped_before_the_values():
    gradients = [np.array([30.0, 4.0, 0.0], "float32")]
    clipped = optimizers.Adam(max_norm=5.0, max_value=1.0)._clip_gradients([tf.constant(g) for g in gradients])
    np.testing.assert_allclose(clipped[0], _clip(gradients, 5.0, 1.0)[0], rtol=1e-5)
    assert np.abs(clipped[0] - _clip(_clip(gradients, max_value=1.0), max_norm=5.0)[0]).max() > 0.1


def test_small_gradients_are_not_scaled_up():
    gradients = [tf.constant([0.3, -0.4])]
    np.testing.assert_allclose(optimizers.Adam(max_norm=5.0, max_value=1.0)._clip_gradients(gradients)[0], gradients[0])


def test_the_moving_average_of_the_weights_equals_keras_once_it_is_warm():
    ours, theirs = optimizers.Adam(0.05, average=0.5), keras.optimizers.Adam(0.05, use_ema=True, ema_momentum=0.5)
    averaged = []
    for optimizer in (ours, theirs):
        variables = _run(optimizer, range(40), clip=list)
        plain = [np.asarray(v).copy() for v in variables]
        optimizer.finalize_variable_values(variables)
        averaged.append(variables)
        assert np.abs(plain[0] - variables[0]).max() > 1e-3
    _same(*averaged, 1e-5)


def test_the_moving_average_of_constant_weights_is_those_weights_from_the_first_step_on():
    optimizer, variable = optimizers.Adam(0.0, average=0.999), keras.Variable([1.0, -2.0])
    optimizer.build([variable])
    for _ in range(3):
        optimizer.apply_gradients([(tf.ones([2]), variable)])
        average = keras.Variable(variable)
        optimizer.finalize_variable_values([average])
        np.testing.assert_allclose(average, [1.0, -2.0], rtol=1e-6)


def test_the_moving_average_of_a_short_run_is_not_its_start():
    optimizer, variable = optimizers.Adam(0.1, average=0.999), keras.Variable([0.0])
    optimizer.build([variable])
    for _ in range(30):
        optimizer.apply_gradients([(tf.constant([-1.0]), variable)])
    last = float(variable[0])
    optimizer.finalize_variable_values([variable])
    assert last / 2 < float(variable[0]) < last


def test_without_an_average_the_final_weights_are_the_last_ones():
    optimizer = optimizers.Adam(0.05)
    variables = _run(optimizer, range(3), clip=list)
    plain = [np.asarray(v).copy() for v in variables]
    optimizer.finalize_variable_values(variables)
    _same(variables, plain, 0)


def test_a_schedule_of_learning_rates_is_followed():
    def schedule():
        return keras.optimizers.schedules.PiecewiseConstantDecay([3], [0.1, 0.01])

    ours, theirs = (cls(schedule(), beta_2=0.99) for cls in (optimizers.Adam, keras.optimizers.Adam))
    _same(*(_run(optimizer, range(6), clip=list) for optimizer in (ours, theirs)))


@pytest.mark.parametrize(
    "options",
    [
        {},
        dict(learning_rate=0.02, max_norm=5.0, max_value=1.0, average=0.95, beta_1=0.8, epsilon=1e-4),
        dict(learning_rate=keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.5), average=0.9),
    ],
)
def test_serialisation_round_trip(options):
    optimizer = optimizers.Adam(**options)
    stored = json.loads(json.dumps(keras.optimizers.serialize(optimizer)))
    restored = keras.optimizers.deserialize(stored)
    assert type(restored) is optimizers.Adam
    assert restored.get_config() == optimizer.get_config()
    for name in ("max_norm", "max_value", "average", "use_ema", "ema_momentum"):
        assert getattr(restored, name) == getattr(optimizer, name)
    _same(_run(restored, range(4), clip=list), _run(optimizer, range(4), clip=list), 0)


def test_a_restored_optimizer_continues_where_it_was():
    whole = _run(optimizers.Adam(0.05, max_norm=2.0), range(6), clip=list)
    first = optimizers.Adam(0.05, max_norm=2.0)
    variables = _run(first, range(3), clip=list)
    second = optimizers.Adam.from_config(first.get_config())
    second.build(variables)
    state = {}
    first.save_own_variables(state)
    second.load_own_variables(state)
    _same(_run(second, range(3, 6), clip=list, variables=variables), whole, 0)
