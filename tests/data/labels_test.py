"""Labels: which of them mean that there is none."""

import pytest

from tfadgm.data import labels


@pytest.mark.parametrize("text", ["", " ", "-1", "-1.0", "NaN", "nan", "None", "null", "NA", "?", "Unknown", "unlabeled"])
def test_spellings_of_no_label(text):
    assert labels.is_unlabelled(text)


@pytest.mark.parametrize("text", ["0", "1", "-2", "cat", "anonymous", "nana", "unknown species", "-"])
def test_names_of_classes(text):
    assert not labels.is_unlabelled(text)
