"""Settings and recipes: what is resolved, and what is refused with the value that was received and what is allowed."""

import dataclasses

import pytest

from tfadgm import recipes, registry
from tfadgm.settings import Settings, parse


@pytest.mark.parametrize("model", registry.MODELS)
@pytest.mark.parametrize("dataset", [*registry.DATASETS, "npz:own.npz"])
def test_every_model_has_settings_on_every_data_set(model, dataset):
    settings = recipes.resolve(model, dataset)
    assert settings.model == model and (settings.epochs is None) != (settings.minutes is None)


def test_a_given_setting_wins_over_the_recipe():
    assert recipes.resolve("adgm", "mnist").minutes == 30
    settings = recipes.resolve("adgm", "mnist", epochs=3, beta=7.0)
    assert (settings.epochs, settings.minutes, settings.beta) == (3, None, 7.0)


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
        dict(epochs=0),
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
        dict(seed=-1),
    ],
    ids=str,
)
def test_settings_refuse(bad):
    with pytest.raises(ValueError, match="got .*allowed: "):
        Settings(**{"epochs": 1, **bad})


def test_every_setting_is_documented_and_used():
    for field in dataclasses.fields(Settings):
        assert field.metadata["text"].endswith("."), field.name
