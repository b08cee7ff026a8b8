"""A p(y) that is not uniform: every bound against a sum over the classes in numpy, and rare classes in a toy problem."""

import json

import numpy as np
import pytest
import scipy.special
import scipy.stats
import tensorflow as tf

from tfadgm import bounds, evaluation, noise, registry
from tfadgm.data import labels, pipeline
from tfadgm.data.dataset import Dataset
from tfadgm.data.preprocess import Preprocess
from tfadgm.distributions.conditionals import FixedCategorical
from tfadgm.models.objective import Objective
from tfadgm.models.untapped import UntappedOptions
from tfadgm.networks import mlp, optimizers

D, K, B, SEED = 6, 3, 8, tf.constant([1, 2])
PI = (0.7, 0.2, 0.1)
GAIN = np.log(K * np.array(PI))  # what log p(x, y) has more than with a uniform p(y)
NAMES = [name for name in registry.MODELS if registry.model_class(name).has_class_prior]


def _make(name, prior, objective=(), **options):
    sizes = {"dim_z": (3, 2) if name == "m1m2" else 3} | ({"dim_a": 2} if name in ("adgm", "sdgm") else {})
    network = mlp.Network(hidden=(8,), head_deviation=0.1)
    how = dict(network=network, objective=Objective(**dict(objective)), class_prior=prior)
    return registry.model_class(name)(Preprocess([D]), K, **how, **sizes, **options)


def _both(name, objective=(), **options):
    """The model with a uniform p(y) and, with the same weights, that with PI."""
    models = [_make(name, prior, objective, **options) for prior in (None, PI)]
    models[1].set_weights(models[0].get_weights())
    return models


def _raw(batch=B):
    return (np.random.default_rng(batch).random((batch, D)) < 0.5).astype("float32")


def test_the_models_with_a_p_y_take_it():
    assert NAMES == ["m2", "m1m2", "adgm", "sdgm", "untapped"]


OBJECTIVES = {
    "one sample": {},
    "samples": dict(samples=3),
    "one q(y|x) for all samples": dict(samples=2, classifier_samples=4),
    "importance": dict(samples=3, importance_weighted=True),
}


CASES = [("m2", objective) for objective in OBJECTIVES] + [(name, "samples") for name in NAMES if name != "m2"]


@pytest.mark.parametrize("name, objective", [*CASES, ("sdgm", "importance")])
def test_the_terms_gain_what_the_classes_gain(name, objective):
    """-L(x, y) gains log K pi_y, and -U(x) the mean of that under q(y|.), times the temperature."""
    options = dict(options=UntappedOptions(class_draw="enumerate")) if name == "untapped" else {}
    models, t = _both(name, OBJECTIVES[objective], **options), 0.6
    y = np.random.default_rng(0).integers(0, K, B)
    batch = {"labelled": (tf.constant(_raw()), tf.constant(y)), "unlabelled": tf.constant(_raw(B + 1))}
    uniform, fixed = ({n: float(v) for n, v in model.terms(batch, SEED, t).items()} for model in models)
    _, log_q_y, _ = models[0]._infer_class(batch["unlabelled"], noise.fold(SEED, 2))
    gain = np.exp(log_q_y) @ GAIN
    assert fixed["classification_bound"] == uniform["classification_bound"]
    assert fixed["labelled_bound"] - uniform["labelled_bound"] == pytest.approx(t * GAIN[y].mean(), abs=1e-5)
    assert fixed["unlabelled_bound"] - uniform["unlabelled_bound"] == pytest.approx(t * gain.mean(), abs=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_weights_density_and_bayes_rule_are_those_of_the_prior(name):
    uniform, fixed = _both(name)
    by_class = [np.asarray(model.class_log_weights(_raw(), SEED, 4), "float64") for model in (uniform, fixed)]
    np.testing.assert_allclose(by_class[1] - by_class[0], np.broadcast_to(GAIN[:, None, None], (K, 4, B)), atol=1e-4)
    expected = scipy.special.logsumexp(by_class[0] + GAIN[:, None, None], 0)
    np.testing.assert_allclose(fixed.log_weights(_raw(), SEED, 4), expected, rtol=1e-5)
    if name not in ("m2", "sdgm"):
        return
    bayes = evaluation.bayes_class_probabilities(uniform, _raw(), samples=3) * PI
    found = evaluation.bayes_class_probabilities(fixed, _raw(), samples=3)
    np.testing.assert_allclose(found, bayes / bayes.sum(1, keepdims=True), rtol=1e-4)


@pytest.mark.parametrize("name", ["m2", "m1m2"])
def test_classes_are_drawn_as_often_as_the_prior_says(name):
    _, values = _make(name, PI).generate(SEED, 4000)
    counts = np.sum(values["y"], 0)
    assert scipy.stats.chisquare(counts, 4000 * np.array(PI)).pvalue > 1e-3
    assert set(np.unique(values["y"])) == {0.0, 1.0}


def test_the_sampled_class_leaves_the_bound_as_it_is_in_the_mean():
    model, many = _make("m2", PI), 4000
    raw = tf.constant(np.repeat(_raw(1), many, 0))
    draws = noise.Draws(SEED, many, pinned={"z": tf.ones([1, 1, 3])})
    values, log_q, log_q_y = bounds.infer_class(model.q, raw[tf.newaxis], draws)
    whole, sampled = (
        np.asarray(bounds.unlabelled_bound(model.p, model.q, (values, log_q), log_q_y, draws, exact_classes=exact))
        for exact in (None, 1)
    )
    assert sampled.std() > 1e-3 and np.ptp(whole) < 1e-3
    assert abs(sampled.mean() - whole[0]) < 5 * sampled.std() / np.sqrt(many)


def test_on_the_simplex_the_prior_is_a_density_that_is_uniform_where_the_prior_is():
    """With log K!, as the relaxed class of Untapped has it; over the triangle by midpoints."""
    ticks = (np.arange(400) + 0.5) / 400
    y = np.stack(np.meshgrid(ticks, ticks), -1).reshape(-1, 2)
    y = np.concatenate([y, 1 - y.sum(1, keepdims=True)], 1)[y.sum(1) < 1].astype("float32")
    density = 6 * np.exp(FixedCategorical(PI).log_prob({}, y))
    assert density.sum() / 400**2 == pytest.approx(1.0, abs=5e-3)
    assert (density[:, None] * y).sum(0) / 400**2 == pytest.approx((1 + np.array(PI)) / (K + 1), abs=5e-3)
    np.testing.assert_allclose(6 * np.exp(FixedCategorical([1 / 3] * 3).log_prob({}, y)), 2.0, rtol=1e-5)
    relaxed = [model.trained_elbo(_raw(), SEED) for model in _both("untapped")]
    assert np.ptp(np.subtract(*relaxed)) > 0.01


@pytest.mark.parametrize(
    "name, prior, message",
    [
        ("m2", (0.5, 0.5), "got 2 numbers of sum 1, the least 0.5; allowed: 3 positive numbers of sum 1"),
        ("m2", (0.5, 0.5, 0.1), "got 3 numbers of sum 1.1.*; allowed: 3 positive"),
        ("m2", (1.0, 0.0, 0.0), "got .* the least 0; allowed: 3 positive"),
        ("m2", (0.5, float("nan"), 0.5), "got 3 numbers of sum nan.*; allowed: 3 positive"),
        ("cagem", PI, "got .* for CaGeM, whose y has parents in p; allowed: none"),
        ("vae", PI, "got .* for VAE, which has no class y; allowed: none"),
    ],
)
def test_what_is_no_prior_of_the_model_is_refused(name, prior, message):
    with pytest.raises(ValueError, match=f"class_prior: {message}"):
        registry.model_class(name)(Preprocess([D]), K, class_prior=prior)


def test_a_prior_goes_through_json_and_a_config_without_one_is_uniform():
    model = _make("m2", (0.7, 0.2, 0.1004))
    config = json.loads(json.dumps(model.get_config()))
    again = type(model).from_config(config)
    assert again.class_prior == model.class_prior == (0.7, 0.2, 0.1004)  # the sum is within the tolerance, and made 1
    np.testing.assert_allclose(np.exp(again.p["y"].log_prob({}, np.eye(K, dtype="float32"))).sum(), 1.0, rtol=1e-6)
    del config["class_prior"]
    np.testing.assert_allclose(type(model).from_config(config).p["y"].log_prob({}, np.eye(K)), -np.log(K))


def test_shares_are_smoothed_and_a_class_without_labels_keeps_its_uniform_share():
    np.testing.assert_allclose(labels.shares(np.array([0] * 7 + [1]), 2), [8 / 10, 2 / 10])
    shares = labels.shares(np.array([2] * 97 + [0]), 5)  # two of five classes have labels
    np.testing.assert_allclose(shares, [0.4 * 2 / 100, 0.2, 0.4 * 98 / 100, 0.2, 0.2])
    assert shares.sum() == pytest.approx(1.0)


def _rare(count, seed):
    """(x [count, 4], y): the second class has 5% of the examples, 3 deviations beside the first; both have two modes."""
    generator = np.random.default_rng([seed, count])
    y = (np.arange(count) % 20 == 0).astype("int64")
    x = generator.normal(size=(count, 4)) + np.outer(3 * y, [1, 0, 0, 0])
    return (x + np.outer(generator.choice([-3, 3], count), [0, 1, 0, 0])).astype("float32"), y


def test_the_right_prior_lowers_the_error_where_a_class_is_rare():
    """Under a uniform p(y) half of the examples would be rare. (2.1% is the least error, 5% that of "never")"""
    (x, y), (x_test, y_test) = _rare(1000, 0), _rare(4000, 10)
    known = np.where(np.arange(1000) < 100, y, -1)  # 5 labels of the rare class, at the rate of the data
    data = Dataset("rare", x, known, None, None, ["often", "rare"], likelihood="gaussian", scale="standardise")
    split, errors = pipeline.split(data.y_train, 2), {}
    for prior in (None, tuple(labels.shares(y[split.labelled], 2))):
        objective = Objective(beta=0.1, labelled_weight=0.0, num_labelled=100, num_unlabelled=1000)
        how = dict(network=mlp.Network(hidden=(16,)), objective=objective, likelihood="gaussian", class_prior=prior)
        model = registry.model_class("m2")(data.make_preprocess(), 2, dim_z=1, **how)
        model.compile(optimizer=optimizers.Adam(1e-2, average=0.99), jit_compile=False)
        step = tf.function(model.train_step, autograph=False)
        for batch in pipeline.training_stream(data, split, 200, 100).take(200):
            step(batch)
        errors[prior is not None] = np.mean(np.argmax(model(x_test), 1) != y_test)
    assert errors[True] < 0.04 and errors[False] > errors[True] + 0.04
