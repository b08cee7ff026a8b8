"""Labels of any type: which say that there is none, and what the classes are."""

import numpy as np
import pandas as pd
import pytest

from tfadgm.data import arrays
from tfadgm.data.columns import Column


@pytest.mark.parametrize(
    "y, numbers, classes",
    [
        (np.array([0, 2, -1, 2]), [0, 1, -1, 1], [0, 2]),
        (np.array([1.0, np.nan, 3.0, -1.0]), [0, -1, 1, -1], [1.0, 3.0]),
        (np.array(["b", "", "a", "unlabelled", "?"]), [1, -1, 0, -1, -1], ["a", "b"]),
        (np.array([0, None, 1, np.nan], object), [0, -1, 1, -1], [0, 1]),
        (np.array([0, "", 1], object), [0, -1, 1], [0, 1]),
        (np.array([True, None, False], object), [1, -1, 0], [False, True]),
        (np.array([5, pd.NA, 7], object), [0, -1, 1], [5, 7]),
    ],
)
def test_what_says_that_there_is_no_label(y, numbers, classes):
    found, of = arrays.class_numbers(y)
    assert found.tolist() == numbers and of.tolist() == classes and type(of.tolist()[0]) is type(classes[0])


def test_what_the_caller_says_is_no_label():
    y = np.array([-1, 0, 1, 9])
    assert arrays.class_numbers(y, None)[1].tolist() == [-1, 0, 1, 9]
    found, classes = arrays.class_numbers(y, 9)
    assert found.tolist() == [0, 1, 2, -1] and classes.tolist() == [-1, 0, 1]
    found, classes = arrays.class_numbers(np.array(["?", "a", "none", "b"]), "none")
    assert found.tolist() == [0, 1, -1, 2] and classes.tolist() == ["?", "a", "b"]


def test_a_label_that_is_a_class_is_one():
    y = np.array([-1, 1, -1])
    assert arrays.without_label(y).tolist() == [True, False, True]
    assert not arrays.without_label(y, classes=np.array([-1, 1])).any()


@pytest.mark.parametrize(
    "y, unlabelled, told",
    [
        (np.array([1, 1, -1]), -1, "1 class 1, and 1 rows without a label"),
        (np.array([0, 0, -1]), "auto", "1 class 0, and 1 rows without a label"),
        (np.array([-1, -1]), "auto", "0 classes, and 2 rows"),
        (np.array([0, np.nan, 1]), None, "no label in 1 rows, first in row 1"),
        (np.array(["a", 1], object), "auto", "text and numbers, such as 'a' and 1"),
        (np.array([0.1, 0.2, 0.3]), "auto", "continuous"),
        (np.array([1.0, np.inf]), "auto", "infinity"),
    ],
)
def test_what_are_no_classes_is_refused(y, unlabelled, told):
    with pytest.raises(ValueError, match=told):
        arrays.class_numbers(y, unlabelled)


def test_minus_one_and_one_alone_are_classes_and_told():
    with pytest.warns(UserWarning, match="taken for two classes"):
        found, classes = arrays.class_numbers(np.array([-1, 1, 1]))
    assert found.tolist() == [0, 1, 1] and classes.tolist() == [-1, 1]


def test_a_frame_without_missing_cells_is_an_array_and_with_them_a_table():
    x = np.arange(12, dtype="float32").reshape(6, 2) / 7
    data = arrays.dataset(x, np.array([0, 1, -1, 0, 1, -1]), [10, 20], ["u", "v"])
    assert (data.columns, data.likelihood, data.class_names, data.feature_names) == (
        None,
        "gaussian",
        ["10", "20"],
        ["u", "v"],
    )
    x[1, 1] = np.nan
    data = arrays.dataset(x)
    assert [column.name for column in data.columns] == ["x0", "x1"] and data.likelihood == "table" and data.num_classes == 0


def test_filling_keeps_what_is_there_and_its_types():
    frame = pd.DataFrame({"n": [1, 2, 3], "t": ["a", None, "b"], "x": [0.5, np.nan, 1.5]}, index=[4, 5, 6])
    columns = [Column("x"), Column("t", "category", ("a", "b")), Column("n", "count")]  # in an order of its own
    rows = np.array([[0, 0, 0], [7.25, 1, 0], [0, 0, 0]], "float32")
    found = arrays.filled(frame, rows, columns)
    assert (
        found.loc[5].tolist() == [2, "b", 7.25]
        and found["n"].tolist() == [1, 2, 3]
        and found["t"].tolist() == ["a", "b", "b"]
    )
    assert found["x"].dtype == float
