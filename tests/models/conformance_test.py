"""The laws that every model of the registry obeys, at tiny sizes."""

import copy
import dataclasses
import inspect
import json
import os
import pathlib
import pickle
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfadgm
from tfadgm import bounds, evaluation, registry
from tfadgm.data.preprocess import Preprocess
from tfadgm.models.objective import Objective
from tfadgm.models.sdgm import SDGM
from tfadgm.models.untapped import UntappedOptions
from tfadgm.networks import batch_norm, mlp, optimizers

D, K, B = 12, 4, 8
SEED = tf.constant([5, 6])
# Every model of the registry, with sizes of its own where it has several layers; and variants that are models of their own.
SIZES = {name: dict(dim_z=(3, 3)) for name in ("cagem", "lvae", "m1m2")}
VARIANTS = {
    "vae, two layers": dict(dim_z=(3, 3)),
    "vae, planar flows": dict(flows=2),
    "avae, two layers": dict(dim_z=(3, 3), dim_a=(3, 3)),
    "avae, a sees x": dict(a_sees_x=True),
    "avae, linear": dict(auxiliary="linear"),
    "avae, linear, two layers": dict(dim_z=(3, 3), dim_a=(3, 3), auxiliary="linear"),
    "m1, logistic": dict(feature_classifier="logistic"),
    "m1m2, end to end": dict(dim_z=(3, 3), end_to_end=True),
    "untapped, enumerated": dict(options=UntappedOptions(class_draw="enumerate", reverse_weight=0.0)),
    "cagem, no skip": dict(dim_z=(3, 3), skip=False, classifier="q"),
}
NAMES = [*registry.MODELS, *VARIANTS]
OBJECTIVES = {
    "default": {},
    "samples": dict(samples=3),
    "classifier_samples": dict(samples=2, classifier_samples=5),
    "importance": dict(samples=3, classifier_samples=4, importance_weighted=True),
    "importance alone": dict(samples=3, importance_weighted=True),
    "no labelled bound": dict(labelled_weight=0.0),
    "exact_classes": dict(samples=2, exact_classes=1),
    "exact_and_classifier": dict(samples=2, classifier_samples=3, exact_classes=2),
    "weights": dict(beta=0.3, labelled_weight=0.5, num_labelled=100, num_unlabelled=900, weight_prior=True),
}
# What of them a model without classes does not read: it would be the same case again (see `Terms._density_terms`).
OF_CLASSES = ("classifier_samples", "importance alone", "no labelled bound", "exact_classes", "exact_and_classifier")


def _cases():
    for name in NAMES:
        has_class = registry.model_class(name.partition(",")[0]).has_class
        yield from ((name, objective) for objective in OBJECTIVES if has_class or objective not in OF_CLASSES)


def _make(name, batch_norm=False, objective=(), noise="none", **options):
    cls = registry.model_class(name.partition(",")[0])
    arguments = {n for base in cls.__mro__ for n in inspect.signature(base.__init__).parameters}
    options.update({n: 3 for n in arguments if n.startswith("dim_")} | SIZES.get(name, {}) | VARIANTS.get(name, {}))
    network = mlp.Network(hidden=(16,), batch_norm=batch_norm)
    return cls(Preprocess([D], noise=noise), K, network=network, objective=Objective(**dict(objective)), **options)


def _raw(batch=B, key=0):
    return tf.constant(np.random.default_rng([key, batch]).random((batch, D)) < 0.4, tf.float32)


def _batch():
    y = np.random.default_rng(1).integers(0, K, B)
    return {"labelled": (_raw(key=1), tf.constant(y, tf.int64)), "unlabelled": _raw(key=2)}


def _compiled(model, **options):
    model.compile(optimizer=optimizers.Adam(1e-2, epsilon=1e-3, **options), jit_compile=False)
    return model


def _training_terms(model, seed=SEED, **options):
    with batch_norm.batch_moments():
        return {name: float(value) for name, value in model.terms(_batch(), seed, **options).items()}


def _same(ours, theirs, tolerance):
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


# ------------------------------------------------------------------------------------------------- construction, terms


@pytest.mark.parametrize("name", NAMES)
def test_constructs_and_prints_its_formula(name):
    model = _make(name)
    assert str(model) == model.formula
    p, q = model.formula.split("\n")
    assert p.startswith("p(x,") and q.startswith("q(") and "|x) = " in q
    for symbol, factors in (("p", model.p), ("q", model.q)):
        for variable in factors:
            assert f"{symbol}({variable}" in model.formula
    assert model.built and model.count_params() > 0


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_gives_the_same_weights_and_another_gives_others(name):
    first, second, other = (_make(name, seed=seed).get_weights() for seed in (1, 1, 2))
    _same(first, second, 0)
    changed = [np.abs(a - b).max() > 0 for a, b in zip(first, other, strict=True) if np.ptp(a) > 0]
    assert changed and all(changed)


def _nodes(model):
    graph = (
        tf.function(model._terms_and_gradients, autograph=False)
        .get_concrete_function(_batch(), SEED, 1.0)
        .graph.as_graph_def()
    )
    return [node.name for node in graph.node], [[node.name for node in inner.node_def] for inner in graph.library.function]


@pytest.mark.parametrize("name", NAMES)
def test_a_graph_has_the_same_names_whatever_was_built_before(name):
    """Numbers that Keras counts would order nodes otherwise in the eleventh model of a process than in the first."""
    assert _nodes(_make(name, batch_norm=True)) == _nodes(_make(name, batch_norm=True))


@pytest.mark.parametrize("shared_encoder", ["off", "on"])
@pytest.mark.parametrize("trunk", ["mlp", "conv"])
@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian", "categorical", "logistic_mixture"])
def test_layers_have_the_same_names_whatever_was_built_before(likelihood, trunk, shared_encoder):
    network = mlp.Network(hidden=(8, 8), trunk=trunk, filters=(2, 3), image_shape=(4, 4, 1), shared_encoder=shared_encoder)
    levels = {"categorical": 4, "logistic_mixture": 256}.get(likelihood)
    options = dict(likelihood=likelihood, levels=levels, network=network, answer=True)
    first, second = (SDGM(Preprocess([4, 4, 1]), K, **options) for _ in range(2))
    assert [layer.name for layer in first._flatten_layers()][1:] == [layer.name for layer in second._flatten_layers()][1:]


@pytest.mark.parametrize("name", NAMES)
def test_no_two_kernels_start_with_the_same_numbers(name):
    kernels = [w for w in _make(name).get_weights() if w.ndim > 1]
    for i, first in enumerate(kernels):
        for second in kernels[:i]:
            assert first.shape != second.shape or np.abs(first - second).max() > 0


@pytest.mark.parametrize("name, objective", _cases())
@pytest.mark.parametrize("normalised", [False, True])
def test_terms_are_finite_and_gradients_reach_every_variable(name, objective, normalised):
    model = _make(name, normalised, OBJECTIVES[objective])
    with tf.GradientTape() as tape, batch_norm.batch_moments():
        terms = model.terms(_batch(), SEED)
        value = terms["objective"]
    assert all(np.isfinite(float(term)) and term.shape == () for term in terms.values())
    variables = model.trainable_variables
    for variable, gradient in zip(variables, tape.gradient(value, [v.value for v in variables]), strict=True):
        assert gradient is not None, variable.path
        assert np.isfinite(gradient).all() and np.any(gradient), variable.path


@pytest.mark.parametrize("name", NAMES)
def test_the_objective_is_the_weighted_sum_of_its_terms(name):
    options = OBJECTIVES["weights"]
    model = _make(name, objective=options)
    terms = _training_terms(model)
    kernels = [w.numpy() for w in model.trainable_variables if w.name == "kernel"]
    expected = terms["unlabelled_bound"] - sum((w**2).sum() for w in kernels) / 2 / 1000
    weights = dict.fromkeys(["classification_bound", "cascade_bound"], 0.3 * 1000 / 100)
    if model.options_class is not None:
        weights = {"classification_bound": 10.0, "x_bound": 0.1, "reverse_bound": 1.0}
    weights["labelled_bound"] = 0.5
    expected += sum(weight * terms.get(term, 0.0) for term, weight in weights.items())
    np.testing.assert_allclose(terms["objective"], expected, rtol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_terms_depend_on_the_seed(name):
    model = _make(name, objective=OBJECTIVES["samples"])
    seeds = [tf.constant([0, 1]), tf.constant([0, 2])]
    first, again, other = (_training_terms(model, seed) for seed in (seeds[0], seeds[0], seeds[1]))
    assert first == again
    for term in {"labelled_bound", "unlabelled_bound"} & set(first):
        assert first[term] != other[term]


@pytest.mark.parametrize("name", NAMES)
def test_terms_do_not_depend_on_the_seed_when_the_latents_are_pinned(name, mean_latents):
    model = _make(name, objective=OBJECTIVES["samples"])
    assert _training_terms(model, tf.constant([0, 1])) == _training_terms(model, tf.constant([0, 2]))


@pytest.mark.parametrize("name", NAMES)
def test_temperature_weighs_the_latents_and_rises_over_the_warm_up(name, mean_latents):
    model = _compiled(_make(name, objective=dict(warmup_steps=10)))
    cold, half, warm = (_training_terms(model, temperature=t)["unlabelled_bound"] for t in (0.0, 0.5, 1.0))
    np.testing.assert_allclose(half, (cold + warm) / 2, rtol=1e-4)
    assert cold != warm
    for step, temperature in [(0, 0.0), (5, 0.5), (10, 1.0), (25, 1.0)]:
        model.optimizer.iterations.assign(step)
        assert float(model.temperature()) == pytest.approx(temperature)
    assert _compiled(_make(name)).temperature() == 1.0


@pytest.mark.parametrize("name", NAMES)
def test_binary_noise_is_drawn_afresh_with_the_seed(name, mean_latents):
    model = _make(name, noise="binarise")
    batch = {"labelled": (0.5 * _raw(), _batch()["labelled"][1]), "unlabelled": 0.5 * _raw()}
    first, again, other = (model.terms(batch, tf.constant([0, s])) for s in (1, 1, 2))
    for term in {"labelled_bound", "unlabelled_bound"} & set(first):
        assert float(first[term]) == float(again[term]) != float(other[term])


@pytest.mark.parametrize("name", NAMES)
def test_bfloat16_keeps_weights_and_terms_in_float32_and_is_close(name, mean_latents):
    model = _make(name, batch_norm=True, precision="bfloat16")
    assert {w.dtype for w in model.variables} == {"float32"}
    assert keras.config.dtype_policy().name == "float32"
    exact = _make(name, batch_norm=True)
    exact.set_weights(model.get_weights())
    ours, theirs = _training_terms(model), _training_terms(exact)
    for term in set(theirs) - {"labelled_accuracy"}:
        np.testing.assert_allclose(ours[term], theirs[term], rtol=0.03)
    assert ours["unlabelled_bound"] != theirs["unlabelled_bound"]  # the products were in bfloat16
    assert model.elbo(_raw(), SEED).dtype == tf.float32


# ---------------------------------------------------------------------------------------------- compiled equals eager


@pytest.mark.parametrize("name", NAMES)
def test_training_compiled_by_xla_equals_training_without_and_the_eager_terms(name, mean_latents):
    models = [_compiled(_make(name, batch_norm=True, objective=dict(samples=2), xla=xla)) for xla in (True, False)]
    eager = _training_terms(models[0])
    _same(models[0].get_weights(), models[1].get_weights(), 0)
    for model in models:
        logs = model.train_step(_batch())
        assert set(logs) == set(eager)
        for term, value in eager.items():
            np.testing.assert_allclose(logs[term], value, rtol=1e-5, atol=1e-5)
        for _ in range(2):
            model.train_step(_batch())
    _same(models[0].get_weights(), models[1].get_weights(), 1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_each_example_is_scored_alone(name, mean_latents):
    model = _make(name)
    whole = model.elbo(_raw(), SEED)
    np.testing.assert_allclose(model.elbo(_raw()[2:5], SEED), whole[2:5], rtol=1e-5)
    order = np.random.default_rng(0).permutation(B)
    np.testing.assert_allclose(model.elbo(tf.gather(_raw(), order), SEED), tf.gather(whole, order), rtol=1e-5)
    assert np.ptp(whole) > 1e-3


@pytest.mark.parametrize("name", NAMES)
def test_batches_of_unknown_size_give_the_same_answers(name):
    model = _make(name)

    @tf.function(input_signature=[tf.TensorSpec([None, D])])
    def questions(raw):
        return model(raw), model.elbo(raw, SEED), model.log_weights(raw, SEED, samples=3), model.encode(raw)

    for batch in (B, 3):
        raw = _raw(batch)
        graph, eager = (keras.tree.flatten(f(raw)) for f in (questions, questions.python_function))
        _same(graph, eager, 1e-4)
        assert all(batch in value.shape for value in graph)


# ------------------------------------------------------------------------------------------------------------- questions


@pytest.mark.parametrize("name", NAMES)
def test_answers_have_their_shapes_and_are_finite(name):
    model = _make(name)
    assert model.elbo(_raw(), SEED).shape == (B,)
    assert model.log_weights(_raw(), SEED, samples=5).shape == (5, B)
    latents = model.encode(_raw())
    assert {n: v.shape.as_list() for n, v in latents.items()} == {n: [B, 3] for n in model.q if n != "y"}
    values = [model.elbo(_raw(), SEED), model.log_weights(_raw(), SEED, samples=5), *latents.values(), model(_raw())]
    assert all(np.isfinite(value).all() for value in values)
    if model.classifies:
        assert model(_raw()).shape == (B, K)
        np.testing.assert_allclose(np.sum(model(_raw()), -1), np.ones(B), rtol=1e-5)
        probs = np.exp(model.log_class_probs(_raw(), SEED, samples=7))
        np.testing.assert_allclose(probs.sum(-1), np.ones(B), rtol=1e-5)
    if model.has_class:
        known = model.encode(_raw(), tf.one_hot(np.arange(B) % K, K))
        last = list(model.q)[-1]
        assert np.abs(known[last] - latents[last]).max() > 0


@pytest.mark.parametrize("name", NAMES)
def test_the_elbo_lies_below_the_importance_bound(name):
    model, raw = _make(name), _raw(200)
    elbo = np.mean([model.elbo(raw, tf.constant([0, s])) for s in range(3)])
    log_w = model.log_weights(raw, SEED, samples=100)
    few, many = (np.mean(bounds.importance_bound(log_w[:s])) for s in (5, 100))
    assert elbo < few < many < 0


@pytest.mark.parametrize("name", NAMES)
def test_generates_pictures_from_the_prior_from_a_class_and_from_given_latents(name):
    model = _make(name)
    x, values = model.generate(SEED, 6)
    assert x.shape == (6, D) and np.min(x) >= 0 and np.max(x) <= 1
    name = model.style[0]
    assert values[name].shape == (6, 3) and "x" not in values
    np.testing.assert_array_equal(model.generate(SEED, 6)[0], x)
    assert np.abs(model.generate(SEED + 1, 6)[0] - x).max() > 0
    z = tf.ones([6, 3])
    assert np.all(model.generate(SEED, 6, latents={name: z})[1][name] == z)
    if model.has_class:
        np.testing.assert_allclose(tf.sort(values["y"])[:, -2:], [[0, 1]] * 6)
        y = tf.one_hot([0, 1, 2, 3, 0, 1], K)
        ours, kept = model.generate(SEED, 6, y=y)
        np.testing.assert_array_equal(kept["y"], y)
        assert np.abs(ours - model.generate(SEED, 6, y=y[::-1])[0]).max() > 0


# ------------------------------------------------------------------------------------------ training, saving, configuration


@pytest.fixture(scope="module", params=NAMES)
def fitted(request):
    """A model after an epoch on a fixed batch: (model, terms before, history)."""
    model = _compiled(_make(request.param, batch_norm=True), max_norm=5.0)
    before = _training_terms(model)
    history = model.fit(tf.data.Dataset.from_tensors(_batch()).repeat(40), epochs=2, steps_per_epoch=20, verbose=0)
    return model, before, history.history


def test_training_raises_the_objective_and_reports_all_terms(fitted):
    model, before, history = fitted
    assert _training_terms(model)["objective"] > before["objective"] + 1
    assert set(history) == set(before)
    assert history["objective"][1] > history["objective"][0]
    assert int(model.optimizer.iterations) == 40


def test_batch_norm_answers_from_its_moving_averages(fitted):
    model, _, _ = fitted
    layers = [layer for layer in model._flatten_layers() if isinstance(layer, batch_norm.BatchNorm) and not layer.fixed]
    moving = [w for layer in layers for w in (layer.moving_mean, layer.moving_variance)]
    assert len(layers) == len([w for w in model.trainable_variables if w.name == "gamma"]) > 0
    assert all(np.abs(np.asarray(w) - (w.name == "moving_variance")).max() > 1e-3 for w in moving)
    whole = model.log_weights(_raw(), SEED, samples=1)[:, :1]
    np.testing.assert_allclose(model.log_weights(_raw()[:1], SEED, samples=1), whole, rtol=1e-4)


def _answers(model):
    return keras.tree.flatten([model(_raw()), model.elbo(_raw(), SEED), model.encode(_raw()), model.generate(SEED, 4)])


def test_saving_and_loading_restores_everything_and_training_continues(fitted, tmp_path):
    model, _, _ = fitted
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert type(loaded) is type(model) and loaded.formula == model.formula
    assert loaded.get_config() == model.get_config()
    _same(loaded.get_weights(), model.get_weights(), 0)
    _same(_answers(loaded), _answers(model), 1e-6)
    _same(loaded.optimizer.variables, model.optimizer.variables, 0)
    copies = []
    for each in (model, loaded):  # same step, so the same noise: a resumed run is the continued one
        weights, state = each.get_weights(), [v.numpy() for v in each.optimizer.variables]
        each.train_step(_batch())
        each.train_step(_batch())
        copies.append(each.get_weights())
        each.set_weights(weights)
        for variable, value in zip(each.optimizer.variables, state, strict=True):
            variable.assign(value)
    _same(*copies, 1e-6)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_a_copy_has_the_same_weights_and_answers(fitted, copied):
    model, _, _ = fitted
    other = copied(model)
    assert other is not model and type(other) is type(model) and other.get_config() == model.get_config()
    _same(other.get_weights(), model.get_weights(), 0)
    _same(_answers(other), _answers(model), 1e-6)
    _same(other.optimizer.variables, model.optimizer.variables, 0)


def test_a_clone_is_a_new_model_of_the_same_seed(fitted):
    model, _, _ = fitted
    clone = keras.models.clone_model(model)
    assert type(clone) is type(model) and clone.get_config() == model.get_config()
    _same(clone.get_weights(), type(model).from_config(model.get_config()).get_weights(), 0)


def test_the_configuration_is_json_and_rebuilds_the_model(fitted):
    model, _, _ = fitted
    config = json.loads(json.dumps(model.get_config()))
    rebuilt = type(model).from_config(config)
    assert json.loads(json.dumps(rebuilt.get_config())) == config
    assert rebuilt.formula == model.formula
    rebuilt.set_weights(model.get_weights())
    _same(_answers(rebuilt), _answers(model), 1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_options_survive_the_configuration(name):
    likelihood = "bernoulli" if name.startswith("untapped") else "gaussian"  # the one that it has
    model = _make(name, True, OBJECTIVES["importance"], likelihood=likelihood, seed=7, precision="bfloat16")
    rebuilt = type(model).from_config(json.loads(json.dumps(model.get_config())))
    assert dataclasses.asdict(rebuilt.objective) == dataclasses.asdict(model.objective)
    assert rebuilt.network == model.network
    assert (rebuilt.likelihood, rebuilt.seed, rebuilt.precision) == (likelihood, 7, "bfloat16")
    other = model.with_precision("float32")
    assert other.with_precision("float32") is other and other.precision == "float32" and other.formula == model.formula
    for ours, theirs in zip(other.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    _same(rebuilt.get_weights(), model.get_weights(), 0)  # by the seed


def test_another_process_reads_a_pickle_without_and_a_saved_model_after_an_import(tmp_path):
    model = _compiled(_make("m2"))
    model.train_step(_batch())
    (tmp_path / "model.pickle").write_bytes(pickle.dumps(model))
    model.save(tmp_path / "model.keras")
    np.save(tmp_path / "raw.npy", _raw())
    program = """
import keras, numpy, pickle, sys
first = pickle.load(open("model.pickle", "rb"))
from tfadgm import M2
second = keras.models.load_model("model.keras")
raw = numpy.load("raw.npy")
numpy.savez("answers.npz", first(raw), second(raw))
"""
    path = [str(pathlib.Path(tfadgm.__file__).parents[1]), *sys.path]
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    with np.load(tmp_path / "answers.npz") as answers:
        for name in answers:
            np.testing.assert_allclose(answers[name], model(_raw()), rtol=1e-6)


def test_training_continues_the_same_noise_after_a_pause():
    whole, paused = (_compiled(_make("adgm")) for _ in range(2))
    for _ in range(4):
        whole.train_step(_batch())
    paused.train_step(_batch())
    paused.train_step(_batch())
    resumed = _compiled(_make("adgm"))
    resumed.optimizer.build(resumed.trainable_variables)
    resumed.set_weights(paused.get_weights())
    for ours, theirs in zip(resumed.optimizer.variables, paused.optimizer.variables, strict=True):
        ours.assign(theirs)
    resumed.train_step(_batch())
    resumed.train_step(_batch())
    _same(resumed.get_weights(), whole.get_weights(), 1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_calling_and_predict_give_the_classifier_that_is_reported(name):
    model = _make(name)
    if not model.classifies:
        return
    raw = _raw(40).numpy()
    reported = evaluation.class_probabilities(model, raw)
    _same([model(raw), model.predict(raw, verbose=0), model.predict(raw, batch_size=7, verbose=0)], [reported] * 3, 1e-4)
