"""The summary says what was measured, on what, in which units, and what was not."""

import pytest

from tfadgm.reporting import summary

DENSITIES = dict(elbo=-5.0, elbo_stderr=0.1, log_density=-4.0, log_density_stderr=0.2, effective_samples=3.0)
DENSITIES |= dict(log_density_samples=10, log_density_examples=50)
OLD = dict(model="m2", dataset="digits", labels=10, seed=0, evaluated_on="test", **DENSITIES)
OLD |= dict(test_error=0.1, test_error_stderr=0.01, test_examples=500, ece=0.02, nll=0.5, supervised_baseline_error=0.2)
NEW = OLD | dict(
    test_error_interval=[0.07, 0.13], elbo_own_units=-55.0, log_density_own_units=-54.0, log_scale=-50.0, components=64
)
NEW |= dict(components_dropped=0, supervised_svm_error=0.08, labels_alone_p_value=0.02)


def _text(results):
    return dict(summary.rows(results))


def test_results_of_an_older_version_are_shown_and_said_to_be_of_scaled_x():
    found = _text(OLD)
    assert found["test error"] == "10.00% +- 1.00, 500 examples" and found["ELBO"] == "-5.00 +- 0.10 nats"
    assert "not in the data's own units" in found["densities are"] and found["the labels alone"] == "20.00% (network)"


def test_densities_are_shown_in_the_units_of_the_data_with_their_components():
    found = _text(NEW | dict(components_dropped=3, bits_per_dimension=2.5))
    assert found["ELBO"].startswith("-55.00 +- 0.10") and found["log p(x) >="].startswith("-54.00 +- 0.20")
    assert found["densities are"] == (
        "of 64 numbers per example, 3 others left out, in the data's own units; 2.500 bits per number"
    )


def test_what_densities_are_given_is_shown():
    assert _text(NEW | dict(densities_given="their sum"))["densities are"].startswith(
        "of 64 numbers per example, given their sum,"
    )


def test_labels_alone_that_are_better_are_said_to_be():
    alone = "20.00% (network), 8.00% (SVM); "
    assert _text(NEW)["the labels alone"] == f"{alone}better than the model, p = 0.02"
    assert _text(NEW | dict(test_error=0.05))["the labels alone"] == f"{alone}worse than the model, p = 0.02"
    chance = f"{alone}no difference to the model that 500 examples can show, p = 0.3"
    assert _text(NEW | dict(labels_alone_p_value=0.3))["the labels alone"] == chance
    assert _text(NEW)["test error"] == "10.00% (7.00 to 13.00%, 95% interval), 500 examples"


def test_a_model_that_is_no_better_than_one_answer_is_said_to_be_right_after_its_error():
    found = summary.rows(NEW | dict(most_frequent_error=0.1, never_answered=["rare"]))
    at = [name for name, _ in found].index("test error")
    told = ("most frequent class", "as every answer has 10.00%: the model is no better"), ("never answered", "rare")
    assert tuple(found[at + 1 : at + 3]) == told
    better = _text(NEW | dict(most_frequent_error=0.11, never_answered=[]))
    assert not {"most frequent class", "never answered"} & set(better)
    many = _text(NEW | dict(never_answered=list("abcdefg")))["never answered"]
    assert many == "a, b, c, d, e and 2 more"


def test_recall_is_shown_for_few_classes_and_the_lowest_of_many():
    recall = {f"c{k}": 0.1 * k for k in range(8)}
    found = _text(NEW | dict(recall=recall, balanced_accuracy=0.35))["balanced accuracy"]
    assert found == "35.00%; lowest recall of 8: c0 0.0%, c1 10.0%, c2 20.0%, c3 30.0%, c4 40.0%"
    found = _text(NEW | dict(recall=dict(often=1.0, rare=0.5), balanced_accuracy=0.75, classes_without_labels=["rare"]))
    assert found["balanced accuracy"] == "75.00%; recall rare 50.0%, often 100.0%"
    assert found["without labels"].startswith("rare: values of y were matched")
    assert not {"balanced accuracy", "without labels"} & set(_text(NEW))


def test_what_chose_the_weights_is_said():
    own = {name.replace("test_", "validation_"): value for name, value in NEW.items()} | dict(evaluated_on="validation")
    assert "which chose the weights" in _text(own | dict(weights_chosen_by_validation=True))["validation error"]
    assert "chose" not in _text(own)["validation error"]


def test_what_was_not_measured_is_said():
    found = _text(NEW | dict(evaluated_on="train", not_measured="no labelled example was held out"))
    assert found["error"] == "not measured: no labelled example was held out" and "test error" not in found
    assert "of training examples" in found["ELBO"]


@pytest.mark.parametrize("name, row", [("nll", "calibration"), ("elbo_own_units", "ELBO")])
def test_a_number_that_is_none_is_said(name, row):
    found = _text(NEW | {name: None, "not_finite": {name: "nan"}, "examples_without_density": 1})
    assert "not finite (nan)" in found[row] and "1 examples" in found["not finite"]
    assert "+-" not in _text(NEW | dict(elbo_stderr=None))["ELBO"]
