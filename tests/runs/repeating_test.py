"""The command of a run gives its settings again; what differs from the defaults is told with where it is from."""

import shlex

import pytest
from calling import with_flags

from tfadgm.cli import asked, train
from tfadgm.runs import recipes, repeating

GIVEN = [
    ("adgm", "digits", dict()),
    ("sdgm", "mnist", dict(labels=None, minutes=5.0, hidden=(64, 32), data_dir="/a place/data")),
    ("m2", "digits", dict(epochs=7, batch_norm=False, exact_classes=None, dim_z=(4,), seed=3, class_prior="labels")),
    ("vae", "npz:/tmp/it's.npz", dict(labels=0, steps=100, average=None, columns=None)),
    ("m2", "digits", dict(class_prior=tuple([0.1] * 10), adam_epsilon=1e-8, validation=0)),
]


@pytest.mark.parametrize("model, dataset, given", GIVEN)
def test_the_command_gives_the_settings_again(model, dataset, given):
    settings = recipes.resolve(model, dataset, **given)
    line = repeating.command(settings, "runs/my run")
    program, *words = shlex.split(line)
    assert program == "bin/train" and words[-1] == "--out=runs/my run"
    assert with_flags(train, words, lambda argv: asked.settings()) == settings


def test_the_command_of_a_recipe_is_short():
    line = repeating.command(recipes.resolve("adgm", "digits"), "runs/demo")
    assert line == "bin/train --model=adgm --dataset=digits --labels=100 --seed=0 --out=runs/demo"


def test_what_differs_from_the_defaults_is_told_with_where_it_is_from():
    found = {each["name"]: each for each in repeating.changed(recipes.resolve("adgm", "digits", beta=3.0))}
    assert found["hidden"]["by"] == "recipe" and (found["hidden"]["value"], found["hidden"]["default"]) == (
        "200,200",
        "500,500",
    )
    assert found["beta"]["by"] == "given" and found["beta"]["value"] == "3.0"
    assert "alpha = beta" in found["beta"]["text"] and "samples" not in found and "dataset" not in found
