"""Own data hold out a share of their labels by themselves, where there are enough."""

import numpy as np
import pytest

from tfadgm.data import holdout
from tfadgm.data.dataset import Dataset
from tfadgm.runs import build, recipes


def _data(y, x_test=None, classes=2):
    x = np.random.default_rng(0).normal(size=(len(y), 3)).astype("float32")
    y_test = None if x_test is None else np.zeros(len(x_test), "int64")
    return Dataset("own", x, np.asarray(y), x_test, y_test, [str(k) for k in range(classes)], likelihood="gaussian")


@pytest.mark.parametrize(
    "counts, labels, held_out",
    [
        ((100, 100), None, 40),
        ((100, 100), 20, 40),
        ((100, 100), 180, 0),  # more than 80 of a class are asked for
        ((193, 7), None, 40),  # the small class keeps 5
        ((194, 6), None, 0),
        ((40, 40), None, 0),  # 16 would say nothing
        ((9000, 9000), None, 1000),
        ((100, 0), None, 20),
    ],
)
def test_how_many_labels_are_held_out(counts, labels, held_out):
    y = np.repeat([0, 1, -1], [*counts, 50])
    assert holdout.automatic(_data(y), labels) == held_out


def test_a_test_set_needs_none_and_data_without_classes_give_any_example():
    assert holdout.automatic(_data(np.repeat([0, 1], 100), np.zeros((5, 3), "float32"))) == 0
    assert holdout.automatic(_data(np.full(300, -1), classes=0)) == 60


def test_own_data_hold_out_by_themselves_and_others_do_not(tmp_path):
    data = _data(np.repeat([0, 1], 100))
    np.savez(tmp_path / "own.npz", x=data.x_train, y=data.y_train)
    settings = recipes.resolve("m2", f"npz:{tmp_path / 'own.npz'}")
    assert settings.validation is None and len(build.load_data(settings)[1].validation) == 40
    none = recipes.resolve("m2", f"npz:{tmp_path / 'own.npz'}", validation=0)
    assert not len(build.load_data(none)[1].validation)
    assert not len(build.load_data(recipes.resolve("m2", "digits"))[1].validation)
