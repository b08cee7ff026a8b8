"""Other examples of which a run is measured: their classes and shapes are the run's."""

import types

import numpy as np
import pytest

from tfadgm.data.preprocess import Preprocess
from tfadgm.evaluation import measured

NAMES = ["bad", "good", "ugly"]


def _opened(shape=(2,), dtype="float32", any_size=False, **config):
    preprocess = Preprocess(shape, dtype, any_size=any_size)
    return types.SimpleNamespace(model=types.SimpleNamespace(preprocess=preprocess), config=config)


def _read(path, opened=None, names=NAMES):
    return measured.read(path, opened or _opened(), types.SimpleNamespace(class_names=names))


def test_the_classes_of_a_csv_are_the_runs_by_name(tmp_path):
    (tmp_path / "new.csv").write_text("u,v,label\n1,2,ugly\n3,4,good\n5,6,\n")
    part, x, y = _read(tmp_path / "new.csv")
    assert part == "data" and y.tolist() == [2, 1, -1]
    np.testing.assert_array_equal(x, np.array([[1, 2], [3, 4], [5, 6]], "float32"))


def test_the_classes_of_an_npz_are_the_runs_by_name(tmp_path):
    np.savez(tmp_path / "new.npz", x=np.zeros((3, 2)), y=np.array([1, 0, -1]))
    assert _read(tmp_path / "new.npz", names=["1", "0"])[2].tolist() == [0, 1, -1]


def test_pictures_are_read_from_folders_of_classes(tmp_path):
    from PIL import Image

    for name in ("good", "bad"):
        (tmp_path / name).mkdir()
        Image.fromarray(np.full((4, 4), 7, "uint8")).save(tmp_path / name / "a.png")
    _, x, y = _read(tmp_path, _opened((4, 4, 1), "uint8"))
    assert x.shape == (2, 4, 4, 1) and sorted(y.tolist()) == [0, 1]
    _, x, _ = _read(tmp_path, _opened((3, 5, 3), "uint8", any_size=True))
    assert x.shape == (2, 3, 5, 3) and (x == 7).all()
    with pytest.raises(ValueError, match="a.png: is a picture of 4 x 4 pixels .*; allowed: 5 x 3 pixels"):
        _read(tmp_path, _opened((3, 5, 1), "uint8"))
    with pytest.raises(ValueError, match=r"x has shape \(2, 4, 4, 1\); allowed: \(N, 2\)"):
        _read(tmp_path)


@pytest.mark.parametrize(
    "name, content, message",
    [
        ("new.csv", "u,v,label\n1,2,fair\n3,4,good\n", "new.csv: has the classes fair; allowed: bad, good, ugly"),
        ("new.csv", "u,label\n1,bad\n3,good\n", r"new.csv: x has shape \(2, 1\)"),
        ("new.txt", "", "allowed: an .npz with x and y"),
    ],
)
def test_what_does_not_fit_is_told(tmp_path, name, content, message):
    (tmp_path / name).write_text(content)
    with pytest.raises(ValueError, match=message):
        _read(tmp_path / name)


def test_other_units_and_labels_that_are_none_are_told(tmp_path, capsys):
    (tmp_path / "new.csv").write_text("u,v,label\n1,2000,ugly\n3,4000,good\n5,6000,unknown\n")
    limits = dict(low=[0.0, 0.0], high=[9.0, 9.0], bounds=None)
    _read(tmp_path / "new.csv", _opened(ranges=limits, feature_names=["u", "v"]))
    told = capsys.readouterr().err
    assert "column 'v' is 4000 on average, in training 0 to 9" in told and "unknown" in told
    np.savez(tmp_path / "new.npz", x=np.full((2, 4, 4, 1), 200.0), y=np.array([0, 1]))
    with pytest.raises(ValueError, match="holds numbers from 200 to 200; allowed: 0 to 1"):
        _read(tmp_path / "new.npz", _opened((4, 4, 1), ranges=dict(low=0.0, high=1.0, bounds=[0, 1])), names=["0", "1"])
