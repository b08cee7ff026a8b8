"""Settings and recipes: what is resolved, and what is refused with the value that was received and what is allowed."""

import ast
import dataclasses
import inspect
import pathlib

import numpy as np
import pytest

import tfadgm
from tfadgm import registry, telling
from tfadgm.data import pipeline
from tfadgm.data.dataset import Dataset
from tfadgm.runs import allowed, build, recipes, run
from tfadgm.runs.settings import Settings, parse

FLOATS = [field.name for field in dataclasses.fields(Settings) if field.metadata["kind"] is float]
SOURCE = pathlib.Path(tfadgm.__file__).parent
# Where settings are defined and given; the fit of an energy has settings of its own.
NO_USE = (
    "settings.py",
    "recipes.py",
    "experiments/energy_settings.py",
    "experiments/energy_training.py",
    "experiments/energies.py",
    "cli/potential.py",
)


@pytest.mark.parametrize("model", registry.MODELS)
@pytest.mark.parametrize("dataset", [*registry.DATASETS, "npz:own.npz"])
def test_every_model_has_settings_on_every_data_set(model, dataset):
    settings = recipes.resolve(model, dataset)
    assert settings.model == model and [settings.epochs, settings.minutes, settings.steps].count(None) == 2


def test_a_given_setting_wins_over_the_recipe():
    assert recipes.resolve("adgm", "mnist").minutes == 30
    settings = recipes.resolve("adgm", "mnist", epochs=3, beta=7.0)
    assert (settings.epochs, settings.minutes, settings.beta) == (3, None, 7.0)


def test_models_of_several_layers_warm_up_unless_the_data_set_has_its_own_or_it_is_given():
    assert [recipes.resolve(name, "mnist").warmup_epochs for name in ("avae", "cagem", "lvae", "sdgm")] == [10, 10, 10, 0]
    assert recipes.resolve("cagem", "half_moons").warmup_epochs == 3
    assert recipes.resolve("avae", "mnist", warmup_epochs=0.0).warmup_epochs == 0


def test_photographs_have_a_ceiling_and_the_linear_a_a_size_of_its_own():
    assert {name: recipes.resolve("sdgm", name).log_variance_ceiling for name in ("svhn", "norb", "mnist")} == {
        "svhn": 2.0,
        "norb": 2.0,
        "mnist": None,
    }
    dim_a = [recipes.resolve("avae", "digits", **given).dim_a for given in ({}, {"auxiliary": "linear"})]
    assert dim_a == [(16,), None]
    assert recipes.resolve("avae", "digits", auxiliary="linear", dim_a=4).dim_a == (4,)


def test_cagem_has_no_labelled_bound_and_few_clusters_are_all_visited():
    for dataset in ("digits", "half_moons", "mnist"):
        assert recipes.resolve("cagem", dataset).labelled_weight == 0
    visited = {count: recipes.resolve("cagem", "mnist", labels=0, clusters=count).exact_classes for count in (2, 3, 4, 20)}
    assert visited == {2: None, 3: None, 4: 2, 20: 2}


def test_many_classes_of_the_users_own_data_are_visited_in_part_and_few_all():
    def visited(model, classes, **given):
        settings = recipes.resolve(model, "npz:own.npz", hidden=(4,), **given)
        y = np.arange(2 * classes) % classes
        data = Dataset(
            "own", np.eye(2 * classes, dtype="float32"), y, None, None, [str(k) for k in range(classes)], "gaussian"
        )
        split = pipeline.split(data.y_train, classes)
        return build.make_model(settings, data, split).objective.exact_classes

    assert [visited("m2", classes) for classes in (2, 20, 21, 300)] == [None, None, 2, 2]
    assert visited("vae", 300) is None and visited("m2", 300, exact_classes=None) is None
    assert visited("m2", 2, labels=0, clusters=30) == 2 and visited("m2", 300, exact_classes=5) == 5


def test_what_is_not_given_follows_the_size_of_the_users_own_data():
    def resolved(rows, columns, **given):
        x = np.random.default_rng(0).normal(size=(rows, columns)).astype("float32")
        data = Dataset("own", x, np.arange(rows) % 2, None, None, ["a", "b"], "gaussian")
        split = pipeline.split(data.y_train, 2, labels=4)
        settings = build.sized(recipes.resolve("sdgm", "npz:own.npz", **given), data, split)
        assert not build.sizes(settings)
        return settings, build.plan(settings, split), build.make_model(settings, data, split)

    small, plan, model = resolved(124, 9)
    assert model.network.hidden == small.hidden == (64, 64) and model.dim_z == model.dim_a == 6
    assert plan.epochs * plan.epoch_steps == small.steps == 1000 and plan.epoch_steps == 100  # in passes of one step
    given, plan, model = resolved(450, 30, hidden=(8,), dim_z=3, steps=150)
    assert (model.network.hidden, model.dim_z, model.dim_a, given.batch) == ((8,), 3, 11, 100)
    assert plan.epoch_steps == 100 and plan.epochs == 2  # rounded up
    assert resolved(124, 9, epochs=3)[1].epoch_steps == 1


def test_sizes_grow_with_the_data_and_have_limits():
    cases = [(20, 1, 2), (500, 10, 2), (5_000, 60, 12), (100_000, 800, 12), (10**7, 10**5, 1000)]
    found = [recipes.of_size(*case) for case in cases]
    for name in ("hidden", "dim_z", "dim_a", "steps", "batch"):
        assert [each[name] for each in found] == sorted(each[name] for each in found), name
    assert found[0] == dict(hidden=(64, 64), dim_z=(1,), dim_a=(1,), steps=1000, batch=20)
    assert found[-1] == dict(hidden=(496, 496), dim_z=(64,), dim_a=(64,), steps=20_000, batch=200)


def test_a_run_that_goes_on_keeps_the_sizes_that_it_began_with():
    settings = recipes.resolve("sdgm", "npz:own.npz", dim_a=2)
    found = recipes.sized(settings, 100, 10, 2, before=dict(hidden=[5, 5], dim_z=[3], steps=700, batch=50))
    assert (found.hidden, found.dim_z, found.dim_a, found.steps, found.batch) == ((5, 5), (3,), (2,), 700, 50)


def test_warm_up_of_the_users_own_data_is_a_share_of_the_training():
    x = np.random.default_rng(0).normal(size=(50, 4)).astype("float32")
    data = Dataset("own", x, np.arange(50) % 2, None, None, ["a", "b"], "gaussian")
    split = pipeline.split(data.y_train, 2)
    made = {
        name: build.make_model(recipes.resolve(name, "npz:own.npz", hidden=(4,)), data, split) for name in ("avae", "vae")
    }
    assert {name: model.objective.warmup_steps for name, model in made.items()} == {"avae": 200, "vae": 0}


def test_classifier_samples_of_a_recipe_are_at_least_the_samples():
    assert recipes.resolve("adgm", "mnist", samples=25).classifier_samples == 25


@pytest.mark.parametrize(
    "name, text, value",
    [
        ("epochs", "3", 3),
        ("labels", "none", None),
        ("minutes", "0.5", 0.5),
        ("hidden", "20, 30", (20, 30)),
        ("batch_norm", "yes", True),
        ("a_sees_x", "false", False),
        ("likelihood", "gaussian", "gaussian"),
        ("exact_classes", "auto", "auto"),
        ("exact_classes", "2", 2),
        ("hidden", "auto", "auto"),
        ("steps", "auto", "auto"),
        ("warmup_epochs", "auto", "auto"),
        ("dim_z", "7", (7,)),
        ("class_prior", "labels", "labels"),
        ("stop", "none", "none"),
        ("class_prior", "0.95, 0.05", (0.95, 0.05)),
    ],
)
def test_parse(name, text, value):
    assert parse(name, text) == value


@pytest.mark.parametrize(
    "name, text, allowed",
    [
        ("epochs", "three", "a whole number"),
        ("epochs", "1.5", "a whole number"),
        ("beta", "none", "a number"),
        ("hidden", "20;30", "whole numbers separated by commas"),
        ("batch_norm", "maybe", "true or false"),
        ("class_prior", "rare", "uniform, labels, auto, or numbers separated by commas"),
    ],
)
def test_parse_refuses(name, text, allowed):
    with pytest.raises(ValueError, match=f"{name}: got .*allowed: {allowed}"):
        parse(name, text)


@pytest.mark.parametrize(
    "bad",
    [
        dict(model="gan"),
        dict(epochs=None),
        dict(minutes=1.0),
        dict(steps=100),
        dict(epochs=None, steps=0),
        dict(learning_rate="auto"),
        dict(hidden="small"),
        dict(epochs=0),
        dict(threads=0),
        dict(labels=-1),
        dict(batch=0),
        dict(learning_rate=0.0),
        dict(learning_rate=float("nan")),
        dict(beta=-0.1),
        dict(average=1.0),
        dict(decay_from=1.0),
        dict(activation="sine"),
        dict(trunk="transformer"),
        dict(likelihood="cauchy"),
        dict(schedule="cosine"),
        dict(strategy="tpu"),
        dict(xla="maybe"),
        dict(precision="float8"),
        dict(auxiliary="none"),
        dict(aux_gradient="some"),
        dict(patience=3),
        dict(trunk="conv", min_column_std=0.1),
        dict(image_size="28"),
        dict(image_size="0x28"),
        dict(image_size=28),
        dict(adam_epsilon=0.0),
        dict(decay=0.0),
        dict(decay_epochs=0),
        dict(clusters=0),
        dict(class_prior="even"),
        dict(class_prior=None),
        dict(class_prior=(0.5, "b")),
        dict(class_prior="labels", labels=0),
        dict(class_prior=(0.5, float("nan"))),
        dict(seed=-1),
        dict(epochs="3"),
        dict(epochs=True),
        dict(epochs=2.5),
        dict(hidden="10"),
        dict(hidden=(1.5,)),
        dict(batch_norm=1),
        dict(dataset=None),
        dict(learning_rate="fast"),
        dict(exact_classes="some"),
        dict(data_dir=3),
        *(dict([(name, number)]) for name in FLOATS for number in (float("inf"), float("nan")) if name != "minutes"),
        dict(epochs=None, minutes=float("inf")),
        dict(z_range=(0.0, float("inf"))),
        dict(z_range=(float("nan"), 1.0)),
    ],
    ids=str,
)
def test_settings_refuse(bad):
    with pytest.raises(ValueError, match="got .*allowed: "):
        Settings(**{"epochs": 1, **bad})


def test_what_is_parsed_but_not_finite_is_told_in_full():
    with pytest.raises(ValueError, match="warmup_epochs: got inf; allowed: finite numbers"):
        Settings(epochs=1, warmup_epochs=parse("warmup_epochs", "inf"))
    with pytest.raises(ValueError, match=r"z_range: got \(0.0, nan\); allowed: finite numbers"):
        Settings(epochs=1, z_range=parse("z_range", "0,nan"))


def read_from_settings():
    """Returns the names NAME of every `settings.NAME` and `plan.NAME`, which are those of the settings, in the package."""
    properties = [part.fget.__code__ for part in vars(Settings).values() if isinstance(part, property)]
    found = {name for code in properties for name in code.co_names}
    for path in SOURCE.rglob("*.py"):
        if path.relative_to(SOURCE).as_posix() not in NO_USE:
            for node in ast.walk(ast.parse(path.read_text())):
                of = getattr(node, "value", None)
                names = {getattr(of, "id", None), getattr(of, "attr", None)}
                if isinstance(node, ast.Attribute) and names & {"settings", "plan"}:
                    found.add(node.attr)
                if isinstance(node, ast.Attribute) and path.name == "fit.py" and "self" in names:
                    found.add(node.attr)  # of the plan itself
    return found


def taken_by_models():
    """Returns the names of all arguments and options of models; `training` gives them the settings of the group model."""
    found = set()
    for model in map(registry.model_class, registry.MODELS):
        options = dataclasses.fields(model.options_class) if model.options_class else ()
        found |= {option.name for option in options}
        found |= {name for base in model.__mro__ for name in inspect.signature(base.__init__).parameters}
    return found


def test_every_setting_is_documented_and_used():
    read, taken = read_from_settings(), taken_by_models()
    for field in dataclasses.fields(Settings):
        assert field.metadata["text"].endswith("."), field.name
        assert field.name in (read | taken if field.metadata["group"] == "model" else read), field.name


@pytest.mark.parametrize(
    ("model", "dataset", "given", "expected"),
    [
        ("sdgm", "mnist", {}, ("conv", "on", 100.0, 2, 0.5)),
        ("adgm", "mnist", dict(virtual_adversarial=0.0), ("conv", "on", 0.0, 0, 1.0)),
        ("adgm", "mnist", dict(virtual_adversarial=10.0), ("conv", "on", 10.0, 2, 0.5)),
        ("sdgm", "svhn:train", {}, ("mlp", "off", 0.0, 0, 1.0)),
        ("adgm", "mnist", dict(auxiliary="deterministic"), ("conv", "on", 100.0, 2, 0.5)),
        ("adgm", "mnist", dict(aux_gradient="frozen"), ("conv", "off", 100.0, 2, 0.5)),
        ("m2", "mnist", dict(hidden=(500,)), ("conv", "off", 100.0, 2, 0.5)),
        ("m2", "mnist", dict(trunk="mlp"), ("mlp", "off", 0.0, 0, 1.0)),
        ("m2", "mnist", dict(min_column_std=0.1), ("mlp", "off", 0.0, 0, 1.0)),
        ("m2", "mnist", dict(labels=0), ("mlp", "off", 0.0, 0, 1.0)),
        ("vae", "mnist", {}, ("mlp", "off", 0.0, 0, 1.0)),
        ("sdgm", "digits", {}, ("mlp", "off", 0.0, 0, 1.0)),
    ],
)
def test_pictures_are_read_by_convolutions_where_these_were_measured(model, dataset, given, expected):
    found = recipes.resolve(model, dataset, **given)
    moved = (found.virtual_adversarial, found.adversarial_shift, found.adversarial_temperature)
    assert (found.trunk, found.shared_encoder, *moved) == expected
    allowed.check_model(found)
    allowed.check_terms(found)


@pytest.mark.parametrize("given, told", [({}, False), (dict(shift=2), True), (dict(shift=2, pooled=True), False)])
def test_moves_that_mislead_networks_which_see_where_things_are_are_told(given, told):
    with telling.recorded() as lines:
        run._tell_moves(recipes.resolve("m2", "mnist", **given))
    assert bool(lines) is told and all("beside adversarial_shift 2 without pooled" in line for line in lines)


@pytest.mark.parametrize("model", ["vae", "lvae", "avae", "m1", "m1m2"])
def test_divergences_of_densities_are_in_closed_form_unless_bounds_are_importance_weighted(model):
    assert recipes.resolve(model, "mnist").closed_kl and recipes.resolve(model, "csv:own.csv", label="y").closed_kl
    assert not recipes.resolve(model, "half_moons").closed_kl  # importance-weighted by its recipe
    assert not recipes.resolve(model, "mnist", importance_weighted=True).closed_kl
    assert recipes.resolve(model, "half_moons", importance_weighted=False).closed_kl
    assert not recipes.resolve(model, "mnist", closed_kl=False).closed_kl and not recipes.resolve("m2", "mnist").closed_kl


def test_fully_connected_classifiers_of_mnist_answer_at_a_temperature_unless_the_virtual_adversarial_term_calibrates_them():
    for model in ("m2", "adgm", "sdgm"):
        assert recipes.resolve(model, "mnist", trunk="mlp").answer_temperature == 6.5
        assert recipes.resolve(model, "mnist").answer_temperature == 1.0
        assert recipes.resolve(model, "mnist", trunk="mlp", labels=0).answer_temperature == 1.0
    assert recipes.resolve("m1m2", "mnist").answer_temperature == recipes.resolve("cagem", "mnist").answer_temperature == 1.0
    assert recipes.resolve("sdgm", "mnist", trunk="mlp", answer_temperature=1.0).answer_temperature == 1.0
    assert recipes.resolve("sdgm", "mnist", trunk="mlp", virtual_adversarial=1.0).answer_temperature == 1.0
