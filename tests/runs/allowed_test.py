"""What is refused before TensorFlow is imported is what models and loaders have and have not."""

import dataclasses
import inspect

import pytest

from tfadgm import registry
from tfadgm.data.preprocess import Preprocess
from tfadgm.experiments import energy_settings
from tfadgm.models import potential
from tfadgm.networks import mlp
from tfadgm.networks.layers import ACTIVATIONS
from tfadgm.runs import allowed, recipes
from tfadgm.runs.settings import Settings

OPTIONS = [field.name for field in dataclasses.fields(Settings) if field.metadata["group"] == "model"]
OPTIONS = [name for name in OPTIONS if name not in ("class_prior", "clusters")]


def accepted(model):
    """The names of the arguments and options of a model."""
    model_class = registry.model_class(model)
    own = [base for base in model_class.__mro__ if "__init__" in vars(base) and base.__module__.startswith("tfadgm.models")]
    found = {name for base in own for name in inspect.signature(base.__init__).parameters}
    return found | {field.name for field in dataclasses.fields(model_class.options_class or Empty)}


@dataclasses.dataclass
class Empty:
    pass


@pytest.mark.parametrize("model", registry.MODELS)
def test_a_model_has_the_options_that_its_settings_name(model):
    fields = {field.name: field.metadata["of"] for field in dataclasses.fields(Settings)}
    assert {name for name in OPTIONS if fields[name] is None or model in fields[name]} == accepted(model) & set(OPTIONS)
    assert registry.model_class(model).has_class is (model not in registry.WITHOUT_CLASS)
    assert ("first_stage" in vars(registry.model_class(model))) is (model in registry.STAGED)


@pytest.mark.parametrize("name", registry.DATASETS)
def test_a_data_set_has_the_options_that_are_said_of_it(name):
    takes = inspect.signature(registry.lookup(registry.DATASETS, "dataset", name)).parameters
    assert {option for option, (sets, _) in allowed.OPTIONS_OF_DATA.items() if name in sets} == set(takes) & set(
        allowed.OPTIONS_OF_DATA
    )


def test_names_are_those_of_what_they_stand_for():
    assert tuple(ACTIVATIONS) == registry.ACTIVATIONS and tuple(potential.ENERGIES) == energy_settings.ENERGIES
    assert all(registry.lookup(registry.LIKELIHOODS, "likelihood", name) for name in registry.LIKELIHOODS)


@pytest.mark.parametrize("model", registry.MODELS)
def test_what_cannot_share_an_encoder_is_refused_as_the_model_refuses_it(model):
    def refused(check):
        try:
            check()
        except ValueError as error:
            return str(error).lower()

    network = mlp.Network(hidden=(4, 4), shared_encoder="on")
    sizes = dict(dim_z=(3, 2) if model in ("cagem", "m1m2", "lvae") else 3)
    told = refused(lambda: allowed.check_model(recipes.resolve(model, "digits", shared_encoder="on")))
    assert told == refused(lambda: registry.model_class(model)(Preprocess([5]), 2, network=network, **sizes))
    assert (told is not None) is (model in allowed.READ_ONCE)


@pytest.mark.parametrize(
    "model, given, message",
    [
        ("vae", dict(skip=True), "skip: model vae has no such option; allowed: dim_z, flows"),
        ("cagem", dict(dim_z=4), "dim_z: got 4; allowed: 2 sizes"),
        ("sdgm", dict(auxiliary="linear"), "auxiliary: got 'linear'; allowed: informed, uninformed, deterministic"),
        ("avae", dict(auxiliary="uninformed"), "auxiliary: got 'uninformed'; allowed: informed, linear"),
        ("m2", dict(labels=0, patience=3, validation=10), "patience: got 3 for m2, which learns from no labels"),
        ("vae", dict(virtual_adversarial=1.0), "virtual_adversarial: got 1.0 for vae"),
        (
            "m1m2",
            dict(shared_encoder="on"),
            "shared_encoder: got 'on' for m1m2, in whose q one network reads x; allowed: off",
        ),
        ("avae", dict(shared_encoder="stopped"), "shared_encoder: got 'stopped' for avae, which learns from no labels"),
        ("m2", dict(shared_encoder="on", hidden=9), r"hidden: got \(9,\) with shared_encoder 'on'; allowed: two or more"),
        ("sdgm", dict(shared_encoder="on", aux_gradient="frozen"), "aux_gradient: got 'frozen' with a shared_encoder"),
        ("m2", dict(depth=2), "depth: got 2 with trunk 'mlp', which has no maps; allowed: with trunk conv"),
        ("m2", dict(pooled=True), "pooled: got true with trunk 'mlp', which has no maps"),
        ("vae", dict(pooled=True, trunk="conv"), r"pooled: got true for vae, which has no q\(y\|.\) of x; allowed: false"),
        ("m2", dict(closed_kl=True, importance_weighted=True), "closed_kl: got true with importance_weighted"),
        ("m2", dict(first_run="x"), "first_run: got .*/x; allowed: none, as m2 starts from no other model"),
    ],
)
def test_what_contradicts_the_model_is_refused(model, given, message):
    with pytest.raises(ValueError, match=message):
        allowed.check_model(recipes.resolve(model, "digits", **given))
    allowed.check_model(recipes.resolve(model, "digits"))


@pytest.mark.parametrize(
    "name, value", [("adversarial_radius", 0.5), ("adversarial_shift", 2), ("adversarial_temperature", 0.5)]
)
def test_what_shapes_a_term_without_a_weight_is_refused(name, value):
    with pytest.raises(ValueError, match=f"{name}: got {value} with virtual_adversarial 0; allowed: .*, or a weight"):
        allowed.check_terms(recipes.resolve("m2", "digits", **{name: value}))
    allowed.check_terms(recipes.resolve("m2", "digits", virtual_adversarial=1.0, **{name: value}))


def test_channels_without_convolutions_are_refused():
    with pytest.raises(ValueError, match=r"filters: got \(8, 16\) with trunk 'mlp', which has no convolutions"):
        allowed.check_terms(recipes.resolve("m2", "digits", filters=(8, 16)))
    allowed.check_terms(recipes.resolve("m2", "digits", filters=(8, 16), trunk="conv"))
