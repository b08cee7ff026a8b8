"""Layers with any number of broadcasting leading axes, against dense layers on what was tiled, and NumPy."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfadgm.networks import batch_norm, convolutions, layers, mlp

SIZES = {"x": 5, "y": 3, "z": 2}


def _normal(*shape, seed=0):
    return tf.constant(np.random.default_rng([seed, *shape]).normal(size=shape), tf.float32)


# ------------------------------------------------------------------------------------------------------------- layers


def _parent_sum(given="x y z", units=4):
    layer = layers.ParentSum(given.split(), units, keras.initializers.GlorotNormal(seed=keras.random.SeedGenerator(0)))
    layer.build_from(SIZES)
    for i, weight in enumerate(layer.weights):
        weight.assign(_normal(*weight.shape, seed=i))
    return layer


def test_parent_sum_equals_a_dense_layer_on_the_concatenation():
    layer = _parent_sum()
    values = {name: _normal(7, size) for name, size in SIZES.items()}
    kernel = np.concatenate([layer.project[name].kernel for name in SIZES])
    expected = np.concatenate([values[name] for name in SIZES], -1) @ kernel + layer.project["x"].bias
    np.testing.assert_allclose(layer(values), expected, rtol=1e-5, atol=1e-5)
    assert np.abs(layer.project["x"].bias).max() > 0
    assert sum(dense.use_bias for dense in layer.project.values()) == 1


@pytest.mark.parametrize("given", ["x y z", "z y x", "y x", "y"])
def test_an_enumerated_class_broadcasts_as_if_everything_were_tiled(given):
    layer = _parent_sum(given)
    classes, samples, batch = 3, 4, 6
    values = {
        "x": _normal(1, batch, 5),
        "y": tf.eye(3)[:, tf.newaxis, tf.newaxis, :],
        "z": _normal(samples, batch, 2),
    }
    tiled = {name: tf.broadcast_to(v, [classes, samples, batch, SIZES[name]]) for name, v in values.items()}
    np.testing.assert_allclose(
        tf.broadcast_to(layer(values), [classes, samples, batch, 4]), layer(tiled), rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize("trunk", ["mlp", "conv"])
def test_a_trunk_with_an_enumerated_class_equals_the_tiled_one(trunk):
    options = dict(trunk=trunk, image_shape=(4, 4, 1), filters=(2, 3))
    trunk = mlp.MLP(["x", "y", "z"], mlp.Network(hidden=(6, 7), **options))
    sizes = {"x": 16, "y": 3, "z": 2}
    trunk.build_from(sizes)
    values = {"x": _normal(1, 5, 16), "y": tf.eye(3)[:, tf.newaxis, tf.newaxis, :], "z": _normal(2, 5, 2)}
    tiled = {name: tf.broadcast_to(v, [3, 2, 5, sizes[name]]) for name, v in values.items()}
    out = trunk(values)
    assert out.shape == (3, 2, 5, 7)
    np.testing.assert_allclose(out, trunk(tiled), rtol=1e-5, atol=1e-5)


def test_a_trunk_is_dense_and_activation_by_turns():
    trunk = mlp.MLP(["z"], mlp.Network(hidden=(6, 7), activation="softplus"))
    trunk.build_from({"z": 2})
    (first, b1), (second, b2) = (trunk.dense[0].project["z"].weights, trunk.dense[1].weights)
    z = _normal(4, 2)
    h = np.log1p(np.exp(z.numpy() @ first + b1))
    np.testing.assert_allclose(trunk({"z": z}), np.log1p(np.exp(h @ second + b2)), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shape", [(7,), (2, 7), (3, 2, 7)])
@pytest.mark.parametrize("use_bias", [True, False])
def test_dense_equals_keras_dense(shape, use_bias):
    ours = layers.Dense(4, use_bias=use_bias, bias_initializer="ones")
    theirs = keras.layers.Dense(4, use_bias=use_bias)
    ours.build((None, 5))
    theirs.build((None, 5))
    theirs.set_weights(ours.get_weights())
    h = _normal(*shape, 5)
    assert ours(h).shape == (*shape, 4)
    np.testing.assert_allclose(ours(h), theirs(h), rtol=1e-5, atol=1e-5)


def test_dense_keeps_the_known_axes_of_a_batch_of_unknown_size():
    dense = layers.Dense(4)
    dense.build((None, 5))

    @tf.function(input_signature=[tf.TensorSpec([3, None, 5])])
    def f(h):
        out = dense(h)
        assert out.shape.as_list() == [3, None, 4]
        return out

    h = _normal(3, 6, 5)
    np.testing.assert_allclose(f(h), dense(h), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("activation", "variance"), [("relu", 2.0), ("leaky_relu", 2.0), ("tanh", 1.0), ("softplus", 1.0)])
def test_the_hidden_initializer_is_glorot_normal_with_the_gain_of_the_activation(activation, variance):
    kernel = keras.initializers.get(layers.hidden_initializer(activation))((300, 100))
    np.testing.assert_allclose(np.var(kernel), variance * 2 / (300 + 100), rtol=0.05)


def test_no_two_kernels_start_with_the_same_numbers():
    trunk = mlp.MLP(["a", "z"], mlp.Network(hidden=(6, 6, 6)))
    trunk.build_from({"a": 6, "z": 6})
    kernels = [w.numpy() for w in trunk.weights if w.name == "kernel"]
    assert len(kernels) == 4
    for i, first in enumerate(kernels):
        for second in kernels[:i]:
            assert np.abs(first - second).max() > 1e-3


# ------------------------------------------------------------------------------------------------ batch normalisation


def _norm(units=4):
    norm = batch_norm.BatchNorm()
    norm.build((None, units))
    norm.gamma.assign(_normal(units, seed=1))
    norm.beta.assign(_normal(units, seed=2))
    return norm


def _normalised(norm, h, mean, variance):
    return np.asarray(norm.gamma) * (h - mean) / np.sqrt(variance + norm.epsilon) + np.asarray(norm.beta)


def _moments_of(h, weights=None):
    norm, updates = _norm(h.shape[-1]), []
    with batch_norm.batch_moments(updates):
        if weights is None:
            out = norm(h)
        else:
            with batch_norm.weighted_moments(weights):
                out = norm(h)
    ((layer, mean, variance),) = updates
    assert layer is norm
    np.testing.assert_allclose(out, _normalised(norm, h, mean, variance), rtol=1e-3, atol=1e-4)
    return mean.numpy(), variance.numpy()


@pytest.mark.parametrize("shape", [(9,), (2, 9), (3, 2, 9)])
def test_batch_moments_are_those_over_all_leading_axes(shape):
    h = 3 * _normal(*shape, 4) + 1
    mean, variance = _moments_of(h)
    rows = h.numpy().reshape(-1, 4)
    np.testing.assert_allclose(mean, rows.mean(0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(variance, rows.var(0), rtol=1e-4)


def _weights(*shape):
    return tf.nn.softmax(2 * _normal(*shape, seed=3), 0)


@pytest.mark.parametrize("weights_shape", [(3, 2, 9), (3, 1, 9)])
def test_weighted_moments_are_those_of_numpy(weights_shape):
    h, weights = 3 * _normal(3, 2, 9, 4) + 1, _weights(*weights_shape)
    mean, variance = _moments_of(h, weights)
    full = np.broadcast_to(weights.numpy(), h.shape[:-1]).reshape(-1)
    rows = h.numpy().reshape(-1, 4)
    expected = np.average(rows, axis=0, weights=full)
    np.testing.assert_allclose(mean, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(variance, np.average((rows - expected) ** 2, axis=0, weights=full), rtol=1e-4)


def test_one_hot_weights_give_the_moments_of_the_chosen_classes_alone():
    h = _normal(3, 2, 9, 4)
    classes = np.random.default_rng(0).integers(0, 3, (2, 9))
    chosen = np.take_along_axis(h.numpy(), classes[None, ..., None], 0).reshape(-1, 4)
    mean, variance = _moments_of(h, tf.one_hot(classes, 3, axis=0))
    np.testing.assert_allclose(mean, chosen.mean(0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(variance, chosen.var(0), rtol=1e-4)


@pytest.mark.parametrize("shape", [(9, 4), (1, 9, 4), (2, 9, 4)])
def test_without_a_class_axis_all_rows_weigh_the_same(shape):
    h = _normal(*shape)
    for weighted, plain in zip(_moments_of(h, _weights(3, 2, 9)), _moments_of(h), strict=True):
        np.testing.assert_allclose(weighted, plain, rtol=1e-5)


@pytest.mark.parametrize("shape", [(3, 1, 9, 4), (3, 1, 1, 4)])
def test_weighted_moments_are_the_same_before_and_after_broadcasting(shape):
    h, weights = _normal(*shape), _weights(3, 2, 9)
    tiled = tf.broadcast_to(h, [3, 2, 9, 4])
    for broadcast, full in zip(_moments_of(h, weights), _moments_of(tiled, weights), strict=True):
        np.testing.assert_allclose(broadcast, full, rtol=1e-4, atol=1e-5)


def test_no_gradient_flows_through_the_weights_but_one_through_the_moments():
    h, logits = _normal(3, 2, 9, 4), _normal(3, 2, 9)
    with tf.GradientTape() as tape:
        tape.watch([h, logits])
        with batch_norm.batch_moments(), batch_norm.weighted_moments(tf.nn.softmax(logits, 0)):
            out = tf.reduce_sum(_norm()(h) ** 3)
    of_h, of_weights = tape.gradient(out, [h, logits])
    assert of_weights is None
    # A shift of all rows changes nothing, since the mean moves along.
    np.testing.assert_allclose(np.sum(of_h, (0, 1, 2)), np.zeros(4), atol=1e-2 * np.abs(of_h).max())


def _loss(h, gamma, beta, weights, above):
    """sum above * (gamma (h - mean) / sqrt(variance + 1e-4) + beta) in float64."""
    mean = weights @ h
    return (above * (gamma * (h - mean) / np.sqrt(weights @ (h - mean) ** 2 + 1e-4) + beta)).sum()


@pytest.mark.parametrize("weighted", [False, True])
def test_the_gradient_of_batch_norm_is_that_of_finite_differences(weighted):
    generator = np.random.default_rng(0)
    point = [generator.normal(size=shape) for shape in ((7, 3), (3,), (3,))]
    point[0][:, 1] = 2.0 + 0.01 * point[0][:, 1]  # a unit whose variance is not far above epsilon
    weights, above = generator.dirichlet(np.ones(7)) if weighted else np.full(7, 1 / 7), generator.normal(size=(7, 3))
    tensors = [tf.constant(value, tf.float32) for value in point]
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        out, *_ = batch_norm.normalise(*tensors, tf.constant(weights, tf.float32) if weighted else None)
        loss = tf.reduce_sum(out * above.astype("float32"))
    for which, gradient in enumerate(tape.gradient(loss, tensors)):
        numeric = np.zeros_like(point[which])
        for at in np.ndindex(numeric.shape):
            values = []
            for step in (1e-6, -1e-6):
                moved = [value.copy() for value in point]
                moved[which][at] += step
                values.append(_loss(*moved, weights, above))
            numeric[at] = (values[0] - values[1]) / 2e-6
        np.testing.assert_allclose(gradient, numeric, rtol=2e-3, atol=2e-4 * np.abs(numeric).max())


def test_batch_norm_of_bfloat16_computes_in_float32():
    h, above = tf.cast(3 * _normal(500, 4) + 10, tf.bfloat16), tf.cast(_normal(500, 4, seed=1), tf.bfloat16)
    found = []
    for rows, factor in ((h, above), (tf.cast(h, tf.float32), tf.cast(above, tf.float32))):
        gamma, beta = _normal(4, seed=2), _normal(4, seed=3)
        with tf.GradientTape() as tape:
            tape.watch([rows, gamma, beta])
            out, mean, variance = batch_norm.normalise(rows, gamma, beta)
            loss = tf.reduce_sum(tf.cast(out * factor, tf.float32))
        found.append([out, *tape.gradient(loss, [rows, gamma, beta]), mean, variance])
    assert found[0][0].dtype == found[0][1].dtype == tf.bfloat16
    for narrow, wide in zip(found[0][:2], found[1][:2], strict=True):  # rounded once
        np.testing.assert_allclose(tf.cast(narrow, tf.float32), wide, rtol=4e-3, atol=1e-6)
    for narrow, wide in zip(found[0][2:], found[1][2:], strict=True):
        np.testing.assert_allclose(narrow, wide, rtol=1e-5, atol=1e-5)


def test_moving_averages_are_used_outside_the_scope_only():
    norm, h = _norm(), 3 * _normal(9, 4) + 1
    norm.moving_mean.assign(_normal(4, seed=5))
    norm.moving_variance.assign(tf.exp(_normal(4, seed=6)))
    expected = _normalised(norm, h, np.asarray(norm.moving_mean), np.asarray(norm.moving_variance))
    np.testing.assert_allclose(norm(h), expected, rtol=1e-4, atol=1e-5)
    with batch_norm.weighted_moments(_weights(3, 2, 9)):  # by itself it turns nothing on
        np.testing.assert_allclose(norm(h), expected, rtol=1e-4, atol=1e-5)
    with batch_norm.batch_moments():
        inside = norm(h).numpy()
    assert np.abs(inside - expected).max() > 0.1
    np.testing.assert_allclose(norm(h), expected, rtol=1e-4, atol=1e-5)


def test_updates_are_collected_not_applied_and_move_the_averages_by_the_momentum():
    norm, h, updates = _norm(), 3 * _normal(9, 4) + 1, []
    with batch_norm.batch_moments(updates):
        norm(h)
    norm(h)
    assert len(updates) == 1
    np.testing.assert_array_equal(norm.moving_mean, np.zeros(4))
    np.testing.assert_array_equal(norm.moving_variance, np.ones(4))
    layer, mean, variance = updates[0]
    layer.update(mean, variance)
    np.testing.assert_allclose(norm.moving_mean, 0.01 * mean.numpy(), rtol=1e-4)
    np.testing.assert_allclose(norm.moving_variance, 0.99 + 0.01 * variance.numpy(), rtol=1e-4)


def test_batch_norm_trains_its_scale_and_offset_but_not_its_averages():
    norm = _norm()
    assert [w.name for w in norm.trainable_weights] == ["gamma", "beta"]
    assert [w.name for w in norm.non_trainable_weights] == ["moving_mean", "moving_variance"]


def test_a_norm_that_is_not_trained_takes_its_moving_averages_and_moves_none():
    norm, h, updates = _norm(), 3 * _normal(9, 4) + 1, []
    expected = norm(h).numpy()
    norm.trainable = False
    with batch_norm.batch_moments(updates):
        np.testing.assert_array_equal(norm(h), expected)
    assert norm.fixed and not updates


def test_one_example_alone_takes_the_moving_averages_and_moves_none():
    """By its own moments it would be beta, whatever it is; and so would samples of what follows from it, nearly."""
    norm, h, updates = _norm(), 3 * _normal(5, 1, 4) + 1, []  # five samples of one example
    expected = norm(h).numpy()
    with batch_norm.batch_moments(updates):
        with batch_norm.of_examples(1):
            np.testing.assert_array_equal(norm(h), expected)
        assert not updates
        for count in (2, None):
            with batch_norm.of_examples(count):
                assert np.abs(norm(h) - expected).max() > 0.1
    assert len(updates) == 2


def test_a_scope_ends_when_it_raises():
    with pytest.raises(RuntimeError), batch_norm.batch_moments([]):
        raise RuntimeError
    norm, h = _norm(), 3 * _normal(9, 4) + 1
    np.testing.assert_allclose(norm(h), _normalised(norm, h, np.zeros(4), np.ones(4)), rtol=1e-4, atol=1e-5)


# -------------------------------------------------------------------------------------------------------- convolutions

CONV = [((8, 8, 1), (3, 5)), ((8, 4, 3), (4,)), ((8, 8, 2), (2, 3, 4)), ((7, 5, 2), (3, 4)), ((9, 1, 1), (2, 3, 4))]


def _conv(shape, filters, parameters=1, **options):
    network = mlp.Network(hidden=(6,), trunk="conv", filters=filters, image_shape=shape, **options)
    encoder, head = convolutions.ConvEncoder(network), convolutions.ConvHead(network, parameters)
    encoder.build((None, int(np.prod(shape))))
    head.build((None, encoder.units))
    return encoder, head


@pytest.mark.parametrize(("shape", "filters"), CONV)
@pytest.mark.parametrize("depth", [1, 3])
def test_further_convolutions_keep_the_sides(shape, filters, depth):
    encoder, _ = _conv(shape, filters, depth=depth, batch_norm=True)
    assert encoder.units == _conv(shape, filters)[0].units
    assert [c.filters for c in encoder.convolutions] == [n for n in filters for _ in range(depth)]
    assert encoder(_normal(2, int(np.prod(shape)))).shape == (2, encoder.units)


@pytest.mark.parametrize(("shape", "filters"), CONV)
@pytest.mark.parametrize("parameters", [1, 2])
def test_convolutions_there_and_back_keep_all_leading_axes(shape, filters, parameters):
    encoder, head = _conv(shape, filters, parameters)
    size = int(np.prod(shape))
    for leading in [(2,), (1, 2), (3, 1, 2)]:
        h = encoder(_normal(*leading, size))
        assert h.shape == (*leading, encoder.units)
        assert head(h).shape == (*leading, size * parameters)


@pytest.mark.parametrize("shape", [(7, 8, 2), (8, 5, 2), (7, 5, 2)])
@pytest.mark.parametrize("filters", [(3,), (3, 4)])
def test_an_odd_side_is_an_even_one_whose_last_line_is_empty_when_read_and_cut_off_when_written(shape, filters):
    (encoder, head), (height, width, channels) = _conv(shape, filters, 2), shape
    even = (height + height % 2, width + width % 2, channels)
    even_encoder, even_head = _conv(even, filters, 2)
    assert encoder.units == even_encoder.units
    for own, other in ((encoder, even_encoder), (head, even_head)):
        for i, (target, weight) in enumerate(zip(other.weights, own.weights, strict=True)):
            weight.assign(_normal(*weight.shape, seed=i))
            target.assign(weight)
    x = _normal(3, *shape)
    padded = tf.pad(x, [[0, 0], [0, height % 2], [0, width % 2], [0, 0]])
    h = encoder(tf.reshape(x, [3, -1]))
    np.testing.assert_allclose(h, even_encoder(tf.reshape(padded, [3, -1])), rtol=1e-4, atol=1e-5)
    written = tf.reshape(even_head(h), [3, 2, *even])[:, :, :height, :width]
    # Their inner maps have the same sizes, so that only the last line differs.
    np.testing.assert_allclose(head(h), tf.reshape(written, [3, -1]), rtol=1e-4, atol=1e-5)


def test_convolutions_of_a_batch_of_unknown_size():
    encoder, head = _conv((4, 4, 1), (2, 3), 2)

    @tf.function(input_signature=[tf.TensorSpec([1, None, 16])])
    def f(x):
        out = head(encoder(x))
        assert out.shape.as_list() == [1, None, 32]
        return out

    x = _normal(1, 5, 16)
    np.testing.assert_allclose(f(x), head(encoder(x)), rtol=1e-4, atol=1e-5)


def test_convolutions_treat_each_row_alone():
    encoder, head = _conv((4, 4, 1), (2, 3), 2)
    x = _normal(2, 3, 16)
    np.testing.assert_allclose(head(encoder(x))[1, 2], head(encoder(x[1:, 2:]))[0, 0], rtol=1e-4, atol=1e-5)


def test_batch_norm_of_maps_has_the_moments_of_each_channel_over_examples_and_positions():
    encoder, _ = _conv((8, 8, 2), (3, 5), batch_norm=True)
    updates, x = [], _normal(1, 7, 128)
    with batch_norm.batch_moments(updates):
        encoder(x)
    maps = encoder.convolutions[0](tf.reshape(x, [7, 8, 8, 2])).numpy()
    assert [layer for layer, _, _ in updates] == encoder.norms
    np.testing.assert_allclose(updates[0][1], maps.mean((0, 1, 2)), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(updates[0][2], maps.var((0, 1, 2)), rtol=1e-4, atol=1e-5)
    assert updates[1][1].shape == (5,)


def test_batch_norm_of_maps_under_one_hot_weights_is_that_of_the_labelled_pass():
    _, head = _conv((8, 8, 1), (3, 5), batch_norm=True)
    y, hidden = np.array([2, 0, 1, 1, 0, 2]), _normal(3, 1, 6, 2 * 2 * 5)
    with batch_norm.batch_moments():
        with batch_norm.weighted_moments(tf.one_hot(y, 3, axis=0)[:, tf.newaxis]):
            enumerated = head(hidden).numpy()
        labelled = head(tf.constant(hidden.numpy()[y, 0, np.arange(6)])[tf.newaxis])
    np.testing.assert_allclose(enumerated[y, 0, np.arange(6)], labelled[0], rtol=1e-4, atol=1e-5)


def test_a_convolutional_head_writes_all_first_parameters_then_all_second_ones():
    _, head = _conv((4, 4, 3), (2, 5), 2)
    last = head.convolutions[-1]
    last.kernel.assign(tf.zeros_like(last.kernel))
    channels, parameters = np.meshgrid(np.arange(3), np.arange(2), indexing="ij")
    last.bias.assign((10 * parameters + channels).reshape(-1).astype("float32"))  # channel c, parameter j: 10 j + c
    pixel = np.tile(np.arange(3.0), 16)
    np.testing.assert_allclose(head(_normal(1, 5 * 1 * 1))[0], np.concatenate([pixel, 10 + pixel]))


# ---------------------------------------------------------------------------------------------------------- validation


@pytest.mark.parametrize(
    ("options", "messages"),
    [
        (dict(activation="gelu"), ["activation", "'gelu'", "relu, softplus, tanh, leaky_relu"]),
        (dict(trunk="resnet"), ["trunk", "'resnet'", "mlp, conv"]),
        (dict(hidden=()), ["hidden", "()", "one or more"]),
        (dict(hidden=(5, 0)), ["hidden", "(5, 0)", "at least 1"]),
        (dict(trunk="conv"), ["image_shape None", "[height, width, channels]"]),
        (dict(trunk="conv", image_shape=(8, 8)), ["image_shape (8, 8)", "[height, width, channels]"]),
        (dict(trunk="conv", image_shape=(8, 6, 1), filters=(4, 0)), ["filters", "(4, 0)", "at least 1"]),
    ],
)
def test_an_impossible_network_names_what_was_got_and_what_is_allowed(options, messages):
    with pytest.raises(ValueError) as error:
        mlp.Network(**options)
    for message in messages:
        assert message in str(error.value)


def test_a_network_accepts_lists_as_they_come_from_json():
    network = mlp.Network(hidden=[5, 6], filters=[7], image_shape=[4, 4, 1])
    assert (network.hidden, network.filters, network.image_shape) == ((5, 6), (7,), (4, 4, 1))


def test_the_moving_averages_of_a_short_run_have_nothing_of_their_start():
    norm = batch_norm.BatchNorm()
    norm.build((None, 1))
    mean, variance = np.random.default_rng(0).normal(5, 1, (2, 2000, 1)) ** 2
    expected = np.zeros(1)
    for t in range(1, 2001):
        norm.update(tf.constant(mean[t - 1], tf.float32), tf.constant(variance[t - 1], tf.float32), tf.constant(t))
        decay = min(0.99, (t - 1) / (t + 8))
        expected = decay * expected + (1 - decay) * mean[t - 1]
        if t == 1:
            np.testing.assert_allclose(norm.moving_mean, mean[0], rtol=1e-6)
            np.testing.assert_allclose(norm.moving_variance, variance[0], rtol=1e-6)
    np.testing.assert_allclose(norm.moving_mean, expected, rtol=1e-5)
