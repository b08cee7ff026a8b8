"""One encoder for all networks of q: the same bound as with copies of it, the sum of their gradients, one computation."""

import json

import numpy as np
import pytest
import tensorflow as tf

from tfadgm import bounds, noise, registry
from tfadgm.data.preprocess import Preprocess
from tfadgm.distributions.encoder import Encoder
from tfadgm.models.objective import Objective
from tfadgm.networks import batch_norm, convolutions, initial, mlp

D, K, B, SEED = 16, 3, 8, tf.constant([5, 6])
MODELS = ["m2", "sdgm", "cagem", "untapped", "avae", "lvae"]
GENERATOR = np.random.default_rng(0)
RAW = tf.constant(GENERATOR.random((B, D)) < 0.5, tf.float32)


def _make(name, shared="on", trunk="mlp", hidden=(7, 6), normalised=True, objective=(), **options):
    sizes = dict(dim_z=(3, 2) if name in ("cagem", "lvae") else 3) | (dict(dim_a=2) if name in ("adgm", "sdgm") else {})
    pooled = trunk == "pooled"
    trunk, shape = ("conv", dict(filters=(2, 3), image_shape=(4, 4, 1))) if trunk != "mlp" else (trunk, {})
    shape |= dict(pooled=True, depth=2) if pooled else {}
    network = mlp.Network(hidden=hidden, trunk=trunk, batch_norm=normalised, shared_encoder=shared, **shape)
    objective = Objective(num_unlabelled=B, **dict(objective))
    return registry.model_class(name)(Preprocess([D]), K, network=network, objective=objective, **sizes, **options)


def _batch(model):
    labelled = (RAW[:6], tf.constant([0, 1, 2, 0, 1, 2]))
    return {"unlabelled": RAW, **({"labelled": labelled} if model.has_class else {})}


def _terms(model, variables, of="objective"):
    """(terms, the gradients of one of them with respect to each variable, zeros where there is none)."""
    with tf.GradientTape() as tape, batch_norm.batch_moments():
        terms = model.terms(_batch(model), SEED)
    none = tf.UnconnectedGradients.ZERO
    return terms, tape.gradient(terms[of], [v.value for v in variables], unconnected_gradients=none)


def _unshared(model):
    """(a copy of the model in which each network of q reads x by a copy of the encoder of its own, these copies)."""
    other, copies = type(model).from_config(model.get_config()), {}
    other.set_weights(model.get_weights())
    encoder = other.q.pop("h")
    for name, factor in other.q.items():
        if "x" in factor.given:
            copies[name] = Encoder(encoder.network)
            copies[name].build_from({"x": D})
            copies[name].set_weights(encoder.get_weights())
            factor.trunk.call = _reading(factor.trunk.call, copies[name])
    return other, copies


def _reading(call, encoder):
    return lambda values: call({**values, "h": encoder(values)})


@pytest.mark.parametrize(
    "name, trunk", [*((name, "mlp") for name in MODELS), ("sdgm", "conv"), ("m2", "pooled"), ("sdgm", "pooled")]
)
def test_bounds_are_those_of_equal_encoders_and_gradients_the_sum_of_theirs(name, trunk):
    model, of = _make(name, trunk=trunk), "objective"
    if name == "cagem":  # whose label terms stop at h, and not at the networks of q(y|z1,x)
        of = "unlabelled_bound"
    other, copies = _unshared(model)
    assert len(copies) == 2 + (name in ("sdgm", "cagem"))
    own = model.q["h"].trainable_variables
    terms, gradients = _terms(model, own, of)
    theirs, parts = _terms(other, [v for copied in copies.values() for v in copied.trainable_variables], of)
    for term, value in terms.items():
        np.testing.assert_allclose(value, theirs[term], rtol=1e-5, err_msg=term)
    for i, (variable, gradient) in enumerate(zip(own, gradients, strict=True)):
        assert np.any(gradient), variable.path
        np.testing.assert_allclose(gradient, sum(parts[i :: len(own)]), rtol=1e-3, atol=1e-4, err_msg=variable.path)
    assert model.formula == _make(name, "off", trunk).formula and "h" not in model.encode(RAW)
    np.testing.assert_allclose(model.elbo(RAW, SEED), other.elbo(RAW, SEED), rtol=1e-5)


def test_a_labelled_bound_in_numpy_with_the_first_layer_shared():
    model = _make("m2", normalised=False)
    z, y = GENERATOR.normal(size=(1, B, 3)), np.eye(K)[np.arange(B) % K]
    draws = noise.Draws(SEED, B, pinned={"z": tf.constant(z, tf.float32)})
    found = bounds.labelled_bound(model.p, model.q, RAW[np.newaxis], tf.constant(y, tf.float32), draws)
    kernel, bias = (w.numpy().astype("float64") for w in model.q["h"].weights)
    h = np.maximum(RAW.numpy() @ kernel + bias, 0)
    project, head = model.q["z"].trunk.dense[0].project, model.q["z"].head
    assert len(model.q["z"].trunk.dense) == 1
    last = np.maximum(h @ project["x"].kernel.numpy() + project["x"].bias.numpy() + y @ project["y"].kernel.numpy(), 0)
    loc, log_variance = np.split(last @ head.kernel.numpy() + head.bias.numpy(), 2, -1)
    log_q = -0.5 * ((z[0] - loc) ** 2 * np.exp(-log_variance) + log_variance + np.log(2 * np.pi)).sum(-1)
    values = {"y": tf.constant(y[np.newaxis], tf.float32), "z": draws.pinned["z"]}
    log_p = model.p["x"].log_prob(values, RAW)[0] - np.log(K) - 0.5 * (z[0] ** 2 + np.log(2 * np.pi)).sum(-1)
    np.testing.assert_allclose(found, log_p - log_q, rtol=1e-5)


@pytest.mark.parametrize("name, shared", [(n, s) for n in ("sdgm", "cagem", "untapped") for s in ("on", "stopped")])
def test_the_classification_term_trains_the_encoder_unless_it_is_stopped(name, shared):
    model = _make(name, shared)
    parts = {n: factor.trainable_variables for n, factor in model.q.items()}
    with tf.GradientTape(persistent=True) as tape, batch_norm.batch_moments():
        terms = model.terms(_batch(model), SEED)

    def reaches(term, part):
        found = tape.gradient(terms[term], [v.value for v in parts[part]])
        return any(g is not None and np.any(g) for g in found)

    stops = shared == "stopped" or name == "cagem"  # whose label terms train q(y|z1,x) and p(y|z2) alone
    assert reaches("classification_bound", "h") is not stops
    assert reaches("classification_bound", "y")
    assert reaches("unlabelled_bound", "h") and reaches("labelled_bound" if name != "cagem" else "objective", "h")
    if name == "sdgm":  # what q(a|x) has of its own is trained by it as ever
        assert reaches("classification_bound", "a")
        with batch_norm.batch_moments():  # and its values are the same
            other = _make(name, "on").terms(_batch(model), SEED)
        for term, value in terms.items():
            np.testing.assert_allclose(value, other[term], rtol=1e-6)


@pytest.mark.parametrize("name, shared", [*((n, "on") for n in MODELS), ("sdgm", "stopped")])
def test_x_is_read_once_in_a_pass(name, shared, monkeypatch):
    options = dict(samples=2, importance_weighted=True) if name in ("avae", "lvae") else dict(samples=2)
    options |= dict(virtual_adversarial=1.0) if name == "sdgm" else {}
    model = _make(name, shared, objective=options)
    trunk, calls = model.q["h"].trunk.call, []
    monkeypatch.setattr(model.q["h"].trunk, "call", lambda values: calls.append(1) or trunk(values))
    model.terms(_batch(model), SEED)
    # Labelled and unlabelled examples are a pass each; and the inverse of Untapped reads its own x, twice x + r is read.
    assert len(calls) == {"avae": 1, "lvae": 1, "untapped": 3, "sdgm": 4}.get(name, 2)
    calls.clear()
    model.log_weights(RAW, SEED, samples=4)
    assert len(calls) == 1


def test_xla_bfloat16_and_the_configuration(mean_latents):
    model = _make("m2", "stopped")
    rebuilt = type(model).from_config(json.loads(json.dumps(model.get_config())))
    assert rebuilt.network == model.network
    terms, gradients = _terms(rebuilt, rebuilt.trainable_variables)
    compiled = tf.function(model._terms_and_gradients, jit_compile=True, autograph=False)
    found, negative, moments = compiled(_batch(model), SEED, 1.0)
    for term, value in found.items():
        np.testing.assert_allclose(value, terms[term], rtol=1e-4, err_msg=term)
    for ours, theirs in zip(negative, gradients, strict=True):
        np.testing.assert_allclose(-ours, theirs, rtol=1e-3, atol=1e-4)
    assert len(moments) == len([w for w in model.trainable_variables if w.name == "gamma"])
    low = model.with_precision("bfloat16")
    assert low.q["h"]({"x": RAW[np.newaxis]}).dtype == tf.bfloat16 and {w.dtype for w in low.variables} == {"float32"}
    np.testing.assert_allclose(_terms(low, [])[0]["objective"], terms["objective"], rtol=0.03)


def test_an_older_configuration_has_no_shared_encoder_and_the_same_weights():
    model = _make("sdgm", "off")
    config = json.loads(json.dumps(model.get_config()))
    del config["network"]["shared_encoder"]
    older = type(model).from_config(config)
    assert list(older.q) == ["a", "y", "z"] and older.network.shared_encoder == "off"
    for ours, theirs in zip(older.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_network_of_p_that_reads_x_has_an_encoder_of_its_own():
    for name in ("adgm", "avae"):
        model = _make(name, trunk="conv", a_sees_x=True)
        assert model.p["a"].trunk.encoder is not None and model.q["a"].trunk.encoder is None
        assert model.q["h"].trunk.encoder is not None and model.q["h"].units == 7
    with initial.weights_of("q(h)", 0):  # by the seed and its name alone
        again = Encoder(model.network)
        again.build_from({"x": D})
    np.testing.assert_array_equal(again.get_weights()[0], model.q["h"].get_weights()[0])


@pytest.mark.parametrize(
    "name, options, message",
    [
        ("vae", {}, "shared_encoder: got 'on' for VAE, in whose q one network reads x; allowed: off"),
        ("avae", dict(auxiliary="linear"), "shared_encoder: got 'on' for AVAE, in whose q one network"),
        ("adgm", dict(aux_gradient="frozen"), "aux_gradient: got 'frozen' with a shared_encoder"),
        ("m2", dict(hidden=(7,)), r"hidden: got \(7,\) with shared_encoder 'on'; allowed: two or more widths"),
        ("m2", dict(shared="both"), "shared_encoder: got 'both'; allowed: off, on, stopped"),
    ],
)
def test_what_cannot_be_shared_is_refused(name, options, message):
    with pytest.raises(ValueError, match=message):
        _make(name, **options)


def test_layers_of_several_widths_are_not_shared():
    from tfadgm.models.untapped import UntappedOptions

    with pytest.raises(ValueError, match=r"first layers of 5 of q\(y\|.\), 7 of q\(z\|.\); allowed: one width"):
        _make("untapped", options=UntappedOptions(hidden_y=(5, 4)))
    model = _make("untapped", options=UntappedOptions(hidden_y=(5, 4), hidden_z=(5, 3)))
    assert model.sizes["h"] == 5


@pytest.mark.parametrize("shared", ["on", "off"])
@pytest.mark.parametrize("name", ["m2", "adgm"])
def test_the_class_reads_the_means_of_the_maps_and_the_latents_the_maps(name, shared):
    model = _make(name, shared, "pooled")
    own = model.q["h" if shared == "on" else "y"].trunk.encoder
    maps = own(RAW[None]).numpy().reshape(1, B, -1, 3)
    np.testing.assert_allclose(
        convolutions.position_means(own(RAW[None]), model.network), maps.mean(2), rtol=1e-5, atol=1e-6
    )
    first = model.q["y"].trunk.dense[0].project["x"]
    assert first.kernel.shape[0] == 3 and model.classifier_network.pooled
    values = {"x": RAW[None], "a": tf.zeros([1, B, 2]), "y": tf.zeros([1, B, K])}
    if shared == "on":
        values["h"] = model.q["h"](values)
        assert values["h"].shape[-1] == 7 + 3
        np.testing.assert_allclose(values["h"][..., 7:], maps.mean(2), rtol=1e-5, atol=1e-6)
    read = model.q["y"].trunk.read(values)
    np.testing.assert_allclose(read["x"], maps.mean(2), rtol=1e-5, atol=1e-6)
    assert model.q["z"].trunk.read(values)["x"].shape[-1] == (7 if shared == "on" else maps[0, 0].size)


def test_what_has_no_maps_has_no_means_of_them():
    with pytest.raises(ValueError, match="pooled: got True with trunk 'mlp', which has no maps; allowed: with trunk 'conv'"):
        mlp.Network(pooled=True)
    with pytest.raises(ValueError, match="depth: got 2 with trunk 'mlp'"):
        mlp.Network(depth=2)
    with pytest.raises(ValueError, match="depth: got 0; allowed: at least 1"):
        mlp.Network(depth=0)
