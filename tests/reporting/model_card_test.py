"""The model card: the numbers of the run, and names of the data as text."""

import numpy as np
import pandas
import pytest

from tfadgm.models.novelty import Reference
from tfadgm.reporting import model_card
from tfadgm.runs import build, recipes, run_directory

RESULTS = dict(
    **dict(model="m2", dataset="digits", labels=100, seed=0, evaluated_on="test", recall=dict(a=0.5)),
    **dict(test_error=0.25, test_error_stderr=0.1, test_error_interval=[0.1, 0.4], test_examples=20, balanced_accuracy=0.75),
    **dict(ece=0.1, nll=0.5, elbo=-9.0, elbo_stderr=1.0, elbo_own_units=-9.0, log_density=-8.0, log_density_stderr=1.0),
    **dict(log_density_own_units=-8.0, log_density_samples=2, log_density_examples=20, effective_samples=1.5),
    **dict(components=64, components_dropped=0),
)


@pytest.fixture(scope="module")
def made():
    """{name: (model, class names, config)} of runs that are not trained."""
    found = {}
    for name in ("m2", "vae"):
        settings = recipes.resolve(name, "digits", hidden=(8,), dim_z=2, labels=100 if name == "m2" else 0)
        data, split = build.load_data(settings)
        model = build.make_model(settings, data, split)
        names = build.value_names(settings, data)
        found[name] = model, names, run_directory.configuration(settings, data, model, names)
    return found


def test_a_card_has_the_results_the_factorisation_and_what_is_to_be_filled_in(made):
    model, names, config = made["m2"]
    card = model_card.text(model, names, config, RESULTS, Reference(np.arange(30.0), "test"))
    for told in (
        "# Model card: M2 of digits\n",
        "`p(x,y,z) = p(y) p(z) p(x|y,z)`",
        "25.00% (10.00 to 40.00%, 95% interval), 20 examples",
        "Arrays of 8 x 8 x 1, uint8",
        "The probabilities of 10 classes: 0, 1, 2,",
        "among that of 30 test examples",
        "digits, 100 labels, seed 0",
        "measured on 20 examples alone",
        model_card.OPEN,
        f"{sum(int(np.prod(w.shape)) for w in model.trainable_weights):,} weights",
    ):
        assert told in card, told
    assert "measure it on data of its use" not in card


def test_what_was_not_measured_is_said(made):
    model, names, config = made["vae"]
    card = model_card.text(model, names, config, None)
    assert "Nothing was measured" in card and "It was measured nowhere: measure it on data of its use" in card
    assert "The probabilities of" not in card and "It answers one of its" not in card and "(`novelty`)" not in card


def test_names_of_the_data_are_text(tmp_path):
    names = ["[click](http://x)", "<script>", "`a`", "b\x1b[2J"]
    frame = pandas.DataFrame({"*age*|": np.arange(80.0) / 7, "job": ["nurse", "clerk"] * 40, "label": names * 20})
    frame.to_csv(tmp_path / "t.csv", index=False)
    settings = recipes.resolve("m2", f"csv:{tmp_path / 't.csv'}", hidden=(8,), dim_z=2)
    data, split = build.load_data(settings)
    settings = build.sized(settings, data, split)
    model = build.make_model(settings, data, split)
    config = run_directory.configuration(settings, data, model, data.class_names)
    card = model_card.text(model, data.class_names, config, None)
    for told in (
        r"\[click\](http://x)",
        r"\<script\>",
        r"\`a\`",
        r"b\\x1b\[2J",
        r"\*age\*\| (number), job (category, 2 texts)",
    ):
        assert told in card, told
    assert "\x1b" not in card and "Cells must not be missing" in card
