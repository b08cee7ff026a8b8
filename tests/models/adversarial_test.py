"""The virtual adversarial term beside its closed form for a linear classifier of two classes, and in the objective."""

import numpy as np
import pytest
import tensorflow as tf

from tfadgm import registry
from tfadgm.data.preprocess import Preprocess
from tfadgm.models import adversarial
from tfadgm.models.objective import Objective
from tfadgm.networks import batch_norm, mlp

SEED, D, B = tf.constant([3, 4]), 7, 12
GENERATOR = np.random.default_rng(0)
W, X = GENERATOR.normal(size=(D, 2)).astype("float32"), GENERATOR.normal(size=(1, B, D)).astype("float32")


def _log_probs(x):
    return tf.nn.log_softmax(x[0] @ W)


def _divergence(x, r):
    """KL(softmax(x W) || softmax((x + r) W)) in float64, [B]."""

    def log_softmax(logits):
        return logits - np.logaddexp.reduce(logits, axis=-1, keepdims=True)

    p, q = (log_softmax(value.astype("float64") @ W) for value in (x, x + r))
    return np.sum(np.exp(p) * (p - q), -1)


def test_of_a_linear_classifier_the_worst_direction_is_its_normal():
    radius, normal = 0.7, W[:, 1] - W[:, 0]
    found = adversarial.smoothness(_log_probs, _log_probs(X), tf.constant(X), radius, D, SEED).numpy()
    both = [-_divergence(X[0], sign * radius * normal / np.linalg.norm(normal)) for sign in (1, -1)]
    nearest = np.abs(found - np.array(both)).min(0)
    np.testing.assert_allclose(nearest, 0, atol=1e-5)
    elsewhere = GENERATOR.normal(size=(50, B, D))
    elsewhere *= radius / np.linalg.norm(elsewhere, axis=-1, keepdims=True)
    assert found.mean() < np.mean([-_divergence(X[0], r) for r in elsewhere])


def test_the_target_and_the_direction_are_constants_of_the_gradient():
    scale = tf.Variable(1.0)
    with tf.GradientTape() as tape:
        found = adversarial.smoothness(lambda x: _log_probs(scale * x), _log_probs(scale * X), tf.constant(X), 0.7, D, SEED)
        total = tf.reduce_sum(found)
    step, radius, normal = 1e-4, 0.7, W[:, 1] - W[:, 0]
    r = radius * normal / np.linalg.norm(normal)
    signs = np.abs(found.numpy() + _divergence(X[0], r)) < np.abs(found.numpy() + _divergence(X[0], -r))
    r = np.where(signs[:, np.newaxis], r, -r)

    def value(s):  # only the second argument of the divergence moves
        p = tf.nn.log_softmax(tf.constant(X[0].astype("float64") @ W))
        q = tf.nn.log_softmax(tf.constant(s * ((X[0] + r).astype("float64") @ W)))
        return -float(tf.reduce_sum(tf.exp(p) * (p - q)))

    expected = (value(1 + step) - value(1 - step)) / (2 * step)
    assert float(tape.gradient(total, scale)) == pytest.approx(expected, rel=1e-3)


def test_bfloat16_finds_a_direction_as_bad_as_float32_does():
    size, hidden = 784, GENERATOR.normal(size=(784, 100)) / 28
    out, x = GENERATOR.normal(size=(100, 5)) / 5, (GENERATOR.random((1, 64, size)) < 0.2).astype("float32")

    def log_probs(x, precision):
        h = tf.tanh(tf.cast(x[0], precision) @ tf.cast(hidden, precision))
        return tf.nn.log_softmax(tf.cast(h @ tf.cast(out, precision), x.dtype))

    def divergence_of(precision):
        seen = []

        def watched(x):
            seen.append(x)
            return log_probs(x, precision)

        adversarial.smoothness(watched, watched(tf.constant(x)), tf.constant(x), 0.4, size, SEED)
        p, q = (log_probs(tf.cast(value, tf.float64), tf.float64) for value in (x, seen[-1]))
        return float(tf.reduce_mean(tf.reduce_sum(tf.exp(p) * (p - q), -1)))

    assert divergence_of(tf.bfloat16) > 0.95 * divergence_of(tf.float32)


def test_what_networks_do_not_read_stays_and_a_constant_classifier_is_smooth():
    seen = []

    def log_probs(x):
        seen.append(x.numpy())
        return _log_probs(x)

    adversarial.smoothness(log_probs, _log_probs(X), tf.constant(X), 0.5, 4, SEED)
    for x in seen:
        np.testing.assert_array_equal(x[..., 4:], X[..., 4:])
    np.testing.assert_allclose(np.linalg.norm((seen[-1] - X)[..., :4], axis=-1), 0.5, rtol=1e-5)
    flat = tf.zeros([B, 2]) - np.log(2.0).astype("float32")
    found = adversarial.smoothness(lambda x: flat + 0 * tf.reduce_sum(x), flat, tf.constant(X), 0.5, D, SEED)
    np.testing.assert_array_equal(found, np.zeros(B))


@pytest.mark.parametrize("name", ["m2", "sdgm", "cagem", "untapped"])
def test_terms_of_a_model(name):
    network = mlp.Network(hidden=(8,), batch_norm=True)
    sizes = {"dim_z": (3, 2)} if name == "cagem" else {"dim_z": 3}

    def make(**options):
        return registry.model_class(name)(Preprocess([D]), 3, network=network, objective=Objective(**options), **sizes)

    raw = tf.constant(GENERATOR.random((8, D)) < 0.5, tf.float32)
    batch = {"labelled": (raw[:4], tf.constant([0, 1, 2, 0])), "unlabelled": raw}

    def terms(model):
        updates = []
        with batch_norm.batch_moments(updates):
            return {term: float(value) for term, value in model.terms(batch, SEED).items()}, updates

    plain, before = terms(make(num_unlabelled=8))
    found, after = terms(make(num_unlabelled=8, virtual_adversarial=2.0))
    assert found["virtual_adversarial"] < 0 and len(before) == len(after)  # x + r is no example of the moving averages
    assert found["objective"] == pytest.approx(plain["objective"] + 2.0 * found["virtual_adversarial"], rel=1e-5)
    alone, _ = terms(make(num_unlabelled=8, virtual_adversarial=2.0, unlabelled_weight=0.0, labelled_weight=0.0))
    assert not {"unlabelled_bound", "labelled_bound"} & set(alone)
    wide, _ = terms(make(num_unlabelled=8, virtual_adversarial=2.0, adversarial_radius=1.0))
    assert wide["virtual_adversarial"] < found["virtual_adversarial"]


def test_binary_data_are_moved_from_their_intensities(monkeypatch):
    """What the classifier reads at test; a binary draw may lie between two classes."""
    seen, smoothness = [], adversarial.smoothness

    def watched(log_probs, log_q_y, x, *how):
        seen.append((x.numpy(), log_q_y.numpy(), log_probs(x).numpy()))
        return smoothness(log_probs, log_q_y, x, *how)

    monkeypatch.setattr(adversarial, "smoothness", watched)
    raw = tf.constant(GENERATOR.random((8, D)), tf.float32)
    objective = Objective(num_unlabelled=8, virtual_adversarial=1.0)
    for noise in ("binarise", "none"):
        model = registry.model_class("m2")(
            Preprocess([D], noise=noise), 3, network=mlp.Network(hidden=(8,)), objective=objective
        )
        batch = {"labelled": (raw[:4], tf.constant([0, 1, 2, 0])), "unlabelled": raw}
        assert float(model.terms(batch, SEED)["virtual_adversarial"]) < 0
        x, given, at_x = seen.pop()
        np.testing.assert_array_equal(x[0], raw)
        np.testing.assert_allclose(given, at_x, rtol=1e-6)


@pytest.mark.parametrize(("trunk", "radius"), [("mlp", 4 / 64), ("conv", 4 / 35)])
def test_the_default_radius_is_that_of_the_trunk(monkeypatch, trunk, radius):
    seen = []

    def watched(log_probs, log_q_y, x, *how):
        seen.append(how[0])
        return tf.zeros(x.shape[1])

    monkeypatch.setattr(adversarial, "smoothness", watched)
    network = mlp.Network(hidden=(8,), trunk=trunk, filters=(2,), image_shape=(4, 4, 1))
    model = registry.model_class("m2")(
        Preprocess([4, 4, 1]), 3, network=network, objective=Objective(num_unlabelled=8, virtual_adversarial=1.0)
    )
    raw = tf.constant(GENERATOR.random((8, 4, 4, 1)), tf.float32)
    model.terms({"labelled": (raw[:4], tf.constant([0, 1, 2, 0])), "unlabelled": raw}, SEED)
    assert seen == [pytest.approx(radius)]


@pytest.mark.parametrize("shift, adversarial_shift", [(0, 0), (1, 0), (0, 1)])
def test_labelled_pictures_are_moved_those_of_the_term_too_and_those_of_the_bound_never(
    monkeypatch, shift, adversarial_shift
):
    corner = np.zeros((8, 6, 6, 1), "float32")
    corner[:, 3, 3] = 1.0  # from where no move by a pixel takes it to the border
    objective = Objective(num_unlabelled=8, virtual_adversarial=1.0, shift=shift, adversarial_shift=adversarial_shift)
    model = registry.model_class("m2")(Preprocess([6, 6, 1]), 3, network=mlp.Network(hidden=(8,)), objective=objective)
    observed, compared = [], []
    monkeypatch.setattr(model, "observe", lambda raw, seed=None: observed.append(raw) or model.preprocess(raw)[None])
    monkeypatch.setattr(adversarial, "smoothness", lambda log_probs, given, x, *how: compared.append(x) or tf.zeros(8))
    model.terms({"labelled": (tf.constant(corner[:4]), tf.constant([0, 1, 2, 0])), "unlabelled": tf.constant(corner)}, SEED)
    (labelled, of_bound, *_), (of_term,) = (
        [pictures.numpy().reshape(-1, 36).argmax(1) for pictures in found] for found in (observed, compared)
    )
    for where, most in ((labelled, shift), (of_term, adversarial_shift), (of_bound, 0)):
        moves = {(at // 6 - 3, at % 6 - 3) for at in where}
        assert moves <= {(i, j) for i in range(-most, most + 1) for j in range(-most, most + 1)}
        assert (len(moves) > 1) is (most > 0)


@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_the_answer_that_others_are_compared_with_is_a_power_of_that_of_x(monkeypatch, temperature):
    seen = []
    monkeypatch.setattr(
        adversarial, "smoothness", lambda log_probs, given, x, *how: seen.append((given, log_probs(x))) or tf.zeros(8)
    )
    objective = Objective(num_unlabelled=8, virtual_adversarial=1.0, adversarial_temperature=temperature)
    model = registry.model_class("m2")(Preprocess([4]), 3, network=mlp.Network(hidden=(8,)), objective=objective)
    raw = tf.constant(GENERATOR.normal(size=(8, 4)), tf.float32)
    model.terms({"labelled": (raw[:4], tf.constant([0, 1, 2, 0])), "unlabelled": raw}, SEED)
    ((given, log_q),) = seen
    expected = np.exp(log_q) ** (1 / temperature)
    np.testing.assert_allclose(np.exp(given), expected / expected.sum(-1, keepdims=True), rtol=1e-5)
    with pytest.raises(ValueError, match="adversarial_temperature: got 0; allowed: greater than 0"):
        Objective(adversarial_temperature=0)


@pytest.mark.parametrize(
    ("preprocess", "shift", "message"),
    [
        (Preprocess([D]), 1, "shift: got 1 for examples that are no pictures; allowed: 0"),
        (Preprocess([4, 6, 1]), 4, r"shift: got 4 for pictures of \(4, 6\); allowed: 0 to 3"),
    ],
)
def test_what_cannot_be_moved_is_told(preprocess, shift, message):
    objective = Objective(virtual_adversarial=1.0, shift=shift)
    with pytest.raises(ValueError, match=message):
        registry.model_class("m2")(preprocess, 3, network=mlp.Network(hidden=(8,)), objective=objective)
    objective = Objective(virtual_adversarial=1.0, adversarial_shift=shift)
    with pytest.raises(ValueError, match=f"adversarial_{message}"):
        registry.model_class("m2")(preprocess, 3, network=mlp.Network(hidden=(8,)), objective=objective)
    with pytest.raises(ValueError, match="shift: got -1; allowed: at least 0"):
        Objective(shift=-1)
