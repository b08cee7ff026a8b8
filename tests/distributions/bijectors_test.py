"""The scaled sigmoid: inverse, Jacobian, both tails."""

import numpy as np
import pytest
import tensorflow as tf

from tfadgm.distributions import bijectors

RANGES = [(0.0, 1.0), (-3.0, 5.0), (2.0, 2.5), (0, 255)]


@pytest.mark.parametrize(("low", "high"), RANGES)
def test_is_the_scaled_sigmoid_and_inverts(low, high):
    u = np.linspace(-4, 4, 41, dtype="float32")
    bijector = bijectors.scaled_sigmoid(low, high)
    z = bijector.forward(tf.constant(u))
    np.testing.assert_allclose(z, low + (high - low) / (1 + np.exp(-u)), rtol=1e-5, atol=1e-5)
    # A fresh tensor: TFP would otherwise answer from its cache.
    np.testing.assert_allclose(bijector.inverse(tf.constant(z.numpy())), u, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(("low", "high"), RANGES)
def test_jacobian_equals_autodiff_finite_differences_and_the_formula(low, high):
    bijector = bijectors.scaled_sigmoid(low, high)
    u = tf.constant(np.linspace(-6, 6, 25))
    low, high = float(low), float(high)
    with tf.GradientTape() as tape:
        tape.watch(u)
        z = low + (high - low) * tf.sigmoid(u)
    log_det = bijector.forward_log_det_jacobian(tf.cast(u, tf.float32), 0)
    np.testing.assert_allclose(log_det, np.log(tape.gradient(z, u)), rtol=1e-4, atol=1e-4)
    formula = np.log(high - low) + tf.math.log_sigmoid(u) + tf.math.log_sigmoid(-u)
    np.testing.assert_allclose(log_det, formula, rtol=1e-4, atol=1e-4)
    middle, step = tf.constant([-1.0, 0.0, 2.0]), 1e-2
    rise = bijector.forward(middle + step) - bijector.forward(middle - step)
    finite = np.log(rise / (2 * step))
    np.testing.assert_allclose(bijector.forward_log_det_jacobian(middle, 0), finite, rtol=1e-3, atol=2e-3)


def test_inverse_jacobian_is_minus_the_forward_one():
    bijector = bijectors.scaled_sigmoid(-2.0, 3.0)
    u = tf.constant([-3.0, -0.5, 0.0, 4.0])
    z = tf.constant(bijector.forward(u).numpy())
    forward, inverse = bijector.forward_log_det_jacobian(u, 0), bijector.inverse_log_det_jacobian(z, 0)
    np.testing.assert_allclose(inverse, -forward.numpy(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("u", [-1e4, -200.0, -89.0, -80.0, 80.0, 88.8, 89.0, 200.0, 1e4])
def test_both_tails_are_finite_with_finite_gradients(u):
    far = abs(u)
    bijector = bijectors.scaled_sigmoid(-1.0, 3.0)
    u = tf.constant([u])
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(u)
        z, log_det = bijector.forward(u), bijector.forward_log_det_jacobian(u, 0)
    np.testing.assert_allclose(z, [-1.0 if u < 0 else 3.0])
    np.testing.assert_allclose(log_det, [np.log(4.0) - far], rtol=1e-5)
    np.testing.assert_allclose(tape.gradient(log_det, u), [1.0 if u < 0 else -1.0], rtol=1e-5)
    np.testing.assert_allclose(tape.gradient(z, u), [0.0], atol=1e-30)


def test_bounds_may_be_tensors_one_per_component():
    low, high = tf.constant([0.0, -1.0]), tf.constant([1.0, 3.0])
    bijector = bijectors.scaled_sigmoid(low, high)
    np.testing.assert_allclose(bijector.forward(tf.zeros([5, 2])), [[0.5, 1.0]] * 5)
    np.testing.assert_allclose(bijector.forward_log_det_jacobian(tf.zeros([5, 2]), 1), [np.log(0.25)] * 5, rtol=1e-5)


@pytest.mark.parametrize(("low", "high"), [(1.0, 1.0), (2, 1), (0.5, -0.5)])
def test_an_empty_range_is_refused(low, high):
    with pytest.raises(ValueError, match=f"low={low}, high={high}"):
        bijectors.scaled_sigmoid(low, high)


@pytest.fixture
def planar():
    rng = np.random.default_rng(0)
    u, w = (tf.constant(2 * rng.normal(size=(7, 1, 3)), tf.float32) for _ in range(2))
    return bijectors.Planar(u, w, tf.constant(rng.normal(size=(7, 1)), tf.float32))


def test_the_planar_flow_inverts_its_forward_map(planar):
    z = 2 * np.random.default_rng(1).normal(size=(7, 5, 3)).astype("float32")
    f = planar.forward(tf.constant(z))
    assert np.abs(f - z).max() > 0.5
    np.testing.assert_allclose(planar.inverse(tf.constant(f.numpy())), z, atol=1e-3)


def test_the_planar_flow_has_the_determinant_of_its_jacobian(planar):
    z = tf.constant(np.random.default_rng(2).normal(size=(7, 5, 3)), tf.float32)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(z)
        parts = tf.unstack(planar.forward(z), axis=-1)
    jacobian = np.stack([tape.gradient(part, z) for part in parts], -2)
    determinant = np.linalg.det(jacobian)
    assert determinant.min() > 0  # invertible
    np.testing.assert_allclose(planar.forward_log_det_jacobian(z, 1), np.log(determinant), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("height", [0.0, 1e-4, 0.3, -2.0, 9.0, -30.0])
@pytest.mark.parametrize("along", [-75.0, -40.0, -20.0, -17.0, -15.0, -1.0, 0.0, 3.0, 60.0])
def test_the_determinant_of_a_planar_flow_is_that_of_double_precision(along, height):
    """1 + (1 - tanh^2 t) w'u^ with w'u^ = softplus(w'u) - 1, both in double precision and without a difference."""
    w, u = tf.constant([1.0, 0.0]), tf.constant([along, 0.5])
    flow = bijectors.Planar(u, w, tf.constant(0.25))
    z = tf.constant([[height - 0.25, 1.0]])
    with tf.GradientTape() as tape:
        tape.watch([z])
        log_det = flow.forward_log_det_jacobian(z, 1)
    t, raised = np.float64(np.float32(height - 0.25)) + 0.25, np.logaddexp(0.0, along)
    exact = np.log(np.tanh(t) ** 2 + raised / np.cosh(t) ** 2)
    np.testing.assert_allclose(log_det, [exact], rtol=2e-6, atol=2e-6)
    slope = 2 * np.tanh(t) / np.cosh(t) ** 2 * (1 - raised) / (np.tanh(t) ** 2 + raised / np.cosh(t) ** 2)
    np.testing.assert_allclose(tape.gradient(log_det, z)[0, 0], slope, rtol=1e-4, atol=1e-6)


def test_a_planar_flow_that_nearly_folds_has_the_determinant_of_its_map_and_finite_gradients():
    """Far below the range of softplus in single precision, at w'z + b = 0."""
    u, w = tf.constant([-500.0, 0.5]), tf.constant([1.0, 0.0])
    with tf.GradientTape() as tape:
        tape.watch([u, w])
        flow = bijectors.Planar(u, w, tf.constant(0.0))
        log_det = flow.forward_log_det_jacobian(tf.zeros([1, 2]), 1)
    np.testing.assert_allclose(log_det, [bijectors.LEAST_ALONG], rtol=1e-6)
    assert all(np.isfinite(gradient).all() for gradient in tape.gradient(log_det, [u, w]))


def test_a_planar_flow_without_a_direction_is_the_identity():
    zero = tf.zeros([3])
    z = tf.constant([[1.0, 2.0, 3.0]])
    flow = bijectors.Planar(tf.ones([3]), zero, tf.constant(1.0))
    np.testing.assert_allclose(flow.forward_log_det_jacobian(z, 1), [0.0], atol=1e-6)
