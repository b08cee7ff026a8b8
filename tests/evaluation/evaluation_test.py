"""Errors and their intervals, and what is reported of numbers that are none."""

import json
import math

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, brier_score_loss, recall_score

from tfadgm import evaluation
from tfadgm.reporting import report


def _answers(wrong, n):
    y = np.zeros(n, "int64")
    return np.where(np.arange(n)[:, None] < wrong, [0.1, 0.9], [0.9, 0.1]), y


def test_no_errors_have_an_interval_and_a_standard_error():
    found = evaluation.classification(*_answers(0, 50))
    assert found["error"] == 0 and found["error_stderr"] > 0
    # Clopper and Pearson at 0 of n: 0 to 1 - (alpha / 2)^(1 / n)
    assert found["error_interval"] == pytest.approx([0.0, 1 - 0.025 ** (1 / 50)])
    # Wilson at 0 of n and one deviation: from 0 to 1 / (n + 1)
    assert found["error_stderr"] == pytest.approx(0.5 / 51)


def test_the_standard_error_of_many_errors_is_the_usual_one():
    found = evaluation.classification(*_answers(500, 5000))
    assert found["error_stderr"] == pytest.approx(math.sqrt(0.1 * 0.9 / 5000), rel=1e-3)
    low, high = found["error_interval"]
    assert low == pytest.approx(0.1 - 1.96 * found["error_stderr"], abs=5e-4)
    assert high == pytest.approx(0.1 + 1.96 * found["error_stderr"], abs=5e-4)


def test_probabilities_that_are_not_finite_are_errors():
    probabilities, y = _answers(0, 10)
    probabilities[3] = np.nan
    found = evaluation.classification(probabilities, y)
    assert found["error"] == 0.1 and np.isfinite(found["ece"]) and not np.isfinite(found["nll"])


def test_calibration_in_bins_of_equal_mass_and_brier_score_by_hand():
    probabilities = np.array([[0.9, 0.1], [0.95, 0.05], [0.6, 0.4], [0.2, 0.8]])
    y = np.array([0, 1, 0, 1])
    # two bins, of 0.6 and 0.8, right both, and of 0.9 and 0.95, of which one is right
    expected = (abs(2 - 1.4) + abs(1 - 1.85)) / 4
    assert evaluation.expected_calibration_error(probabilities, y, 2, equal_mass=True) == pytest.approx(expected)
    brier = np.mean([2 * 0.1**2, 2 * 0.95**2, 2 * 0.4**2, 2 * 0.2**2])
    assert evaluation.brier_score(probabilities, y) == pytest.approx(brier)
    found = evaluation.classification(probabilities, y)
    assert found["brier"] == pytest.approx(brier)
    assert found["ece_equal_mass"] == pytest.approx(evaluation.expected_calibration_error(probabilities, y, 15, True))


def test_brier_score_of_two_classes_is_twice_sklearns():
    generator = np.random.default_rng(0)
    p, y = generator.random(50), generator.integers(0, 2, 50)
    found = evaluation.brier_score(np.stack([1 - p, p], 1), y)
    assert found == pytest.approx(2 * brier_score_loss(y, p))


def test_recall_and_balanced_accuracy_are_sklearns_and_skip_a_class_without_examples():
    generator = np.random.default_rng(0)
    probabilities, y = generator.dirichlet(np.ones(4), 200), generator.choice(3, 200, p=[0.9, 0.07, 0.03])
    found = evaluation.recall(probabilities, y)
    each = recall_score(y, probabilities.argmax(1), labels=range(3), average=None)
    np.testing.assert_allclose(found[:3], each)
    assert np.isnan(found[3])
    balanced = evaluation.classification(probabilities, y)["balanced_accuracy"]
    assert balanced == pytest.approx(balanced_accuracy_score(y, np.minimum(probabilities.argmax(1), 3)))
    probabilities[y == 2] = np.nan  # an answer that is none is wrong
    assert evaluation.recall(probabilities, y)[2] == 0


def test_values_of_y_without_a_label_are_matched_to_the_classes_without_one():
    """0 and 1 had labels; 2 and 3 had none, and y has one further value, 4."""
    y = np.array([0, 0, 1, 1, 2, 2, 2, 3, 3, 3])
    answers = np.array([0, 4, 1, 2, 3, 3, 0, 4, 4, 2])
    matching = evaluation.match_unlabelled(np.eye(5)[answers], y, (0, 1))
    # 3 is class 2, 4 is class 3, and so is 2; 0 stays 0, and an answer 4 or 2 for class 0 or 1 stays wrong.
    assert matching.argmax(1).tolist() == [0, 1, 3, 2, 3] and (matching.sum(1) == 1).all()
    assert np.mean((np.eye(5)[answers] @ matching).argmax(1) == y) == 0.7
    one_to_one = evaluation.match_unlabelled(np.eye(4)[np.array([0, 1, 3, 3, 2, 3])], np.array([0, 1, 2, 2, 3, 3]), (0, 1))
    assert one_to_one.argmax(1).tolist() == [0, 1, 3, 2]
    named = evaluation.match_unlabelled(np.eye(5)[[0, 4]], np.array([0, 1]), (0, 1))
    np.testing.assert_array_equal(named, np.eye(5))  # no class without labels is there to be found


def test_a_class_that_no_cluster_stands_for_has_no_finite_likelihood_and_json_says_why():
    y = np.array([0, 1, 2, 2])
    matching = evaluation.match_clusters(np.array([0, 1, 1, 1]), y, 2, 3)
    found = report.finite(evaluation.classification(np.eye(2)[[0, 1, 1, 1]] @ matching, y))
    assert found["nll"] is None and "cluster" in found["not_finite"]["nll"]
    json.dumps(found, allow_nan=False)


def test_results_that_are_not_finite_are_none_with_a_word():
    found = report.finite(dict(elbo=math.nan, elbo_stderr=math.nan, log_density=-1.0, log_density_stderr=math.nan))
    assert found == dict(
        elbo=None,
        elbo_stderr=None,
        log_density=-1.0,
        log_density_stderr=None,
        not_finite=dict(elbo="nan", elbo_stderr="nan", log_density_stderr="of one example"),
    )
    more = report.finite({**found, "bayes_nll": math.inf})
    assert set(more["not_finite"]) == {"elbo", "elbo_stderr", "log_density_stderr", "bayes_nll"}
    finite = dict(elbo=1.0)
    assert report.finite(finite) is finite


def test_numbers_within_results_are_cleaned_too():
    found = report.finite(dict(elbo=1.0, terms={"a": float("nan"), "b": [2.0, float("inf")]}))
    assert found["terms"] == {"a": None, "b": [2.0, None]}
    assert found["not_finite"] == {"terms.a": "nan", "terms.b.1": "inf"}
