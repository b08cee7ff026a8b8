"""p-values of log p(x) among a reference: against counting, and their law."""

import json
import math

import numpy as np
import pytest

from tfadgm.models import novelty


def counted(reference, value):
    """low and typical by the definition, in Python's numbers."""
    median, n = float(np.median(reference)), len(reference)
    low = (1 + sum(r <= value for r in reference)) / (n + 1)
    return low, (1 + sum(abs(r - median) >= abs(value - median) for r in reference)) / (n + 1)


@pytest.mark.parametrize("count", [1, 2, 7, 100])
def test_p_values_are_counted(count):
    reference = np.round(np.random.default_rng(count).normal(-90, 3, count) * 4) / 4  # with ties
    values = np.array([*reference, *(reference + 0.125), -math.inf, math.inf, -90.0], "float32")
    found = novelty.Reference(reference, "test").p_values(values)
    expected = np.array([counted(reference.tolist(), value) for value in values.tolist()])
    np.testing.assert_allclose(found["low"], expected[:, 0], rtol=1e-6)
    np.testing.assert_allclose(found["typical"], expected[:, 1], rtol=1e-6)


def test_low_of_a_new_example_of_the_same_law_is_uniform():
    values = np.random.default_rng(0).normal(size=20)
    found = [
        float(novelty.Reference(np.delete(values, i), "test").p_values(values[i : i + 1].astype("float32"))["low"][0])
        for i in range(20)
    ]
    np.testing.assert_allclose(np.sort(found), np.arange(1, 21) / 20, rtol=1e-6)  # as any of 20 is as likely the new one


def test_what_is_no_number_has_no_p_value():
    found = novelty.Reference(np.arange(5.0), "test").p_values(np.float32([math.nan, 2.0]))
    assert np.isnan(found["low"][0]) and np.isnan(found["typical"][0]) and found["typical"][1] == 1


def test_a_reference_is_kept_as_json():
    reference = novelty.Reference(np.random.default_rng(0).normal(size=9), "validation", 3)
    again = novelty.Reference.from_dict(json.loads(json.dumps(reference.to_dict())))
    assert (again.of, again.samples) == ("validation", 3)
    np.testing.assert_array_equal(again.log_density, reference.log_density)
    assert (np.diff(again.log_density) >= 0).all()


@pytest.mark.parametrize(
    "found", [{}, [], 7, dict(of="test", samples=1), dict(of="test", samples=0, log_density=[1.0])]
    + [dict(of="test", samples=1, log_density=values) for values in ([], [math.nan], "x", [[1.0]], {}, [0.0] * 1001)]
)  # fmt: skip
def test_what_is_no_reference_is_refused(found):
    with pytest.raises(ValueError, match="reference: got|could not convert"):
        novelty.Reference.from_dict(found)
