"""bin/sample: which classes are meant, and which files are written."""

import numpy as np
import pytest
import tensorflow as tf

from tfadgm.cli import sample
from tfadgm.data.preprocess import Preprocess
from tfadgm.models.adgm import ADGM
from tfadgm.models.vae import VAE
from tfadgm.networks import mlp
from tfadgm.serving import signatures

NAMES, NETWORK = ["cat", "dog", "owl"], mlp.Network(hidden=(4,))


def test_samples_are_those_of_the_export_and_are_written(tmp_path):
    from PIL import Image

    model = ADGM(Preprocess((4, 4, 1), "uint8", 1 / 255), 3, network=NETWORK)
    x, y = sample.draw(model, [2, 0], n=3, seed=4)
    assert (x == signatures.generate(model, tf.constant(4), y=tf.constant([2, 2, 2, 0, 0, 0])).numpy()).all()
    paths = sample.write(model, x, y, tmp_path / "sub" / "drawn")
    assert [path.name for path in paths] == ["drawn.npz", "drawn.png"]
    with np.load(paths[0], allow_pickle=False) as arrays:
        assert arrays["y"].tolist() == [2, 2, 2, 0, 0, 0] and (arrays["x"] == x).all()
    with Image.open(paths[1]) as picture:
        assert picture.size == (3 * 5 - 1, 2 * 5 - 1)
    with pytest.raises(ValueError, match="drawn.npz exists; allowed: another prefix, or --overwrite"):
        sample.check_out(tmp_path / "sub" / "drawn")
    sample.check_out(tmp_path / "sub" / "drawn", overwrite=True)


def test_samples_of_a_model_without_classes(tmp_path):
    model = VAE(Preprocess((2,)), 2, likelihood="gaussian", network=NETWORK)
    x, y = sample.draw(model, None, n=5, seed=0)
    assert x.shape == (5, 2) and y is None
    assert [path.name for path in sample.write(model, x, y, tmp_path / "drawn")] == ["drawn.npz"]


def test_classes_that_are_named_by_numbers_are_meant_by_name_alone():
    names = ["1", "2", "3"]
    assert sample.class_numbers(["1", "2"], names) == [0, 1]
    assert sample.class_numbers(["#0", "#2", "3"], names) == [0, 2]
    with pytest.raises(ValueError, match=r"classes: got 0; allowed: 1, 2, 3 \(or #0 to #2\)"):
        sample.class_numbers(["0"], names)
    assert sample.class_numbers(["#1"], ["#1", "other"]) == [0]


def test_a_name_with_a_comma_is_quoted_as_in_a_csv():
    assert sample.split_names('"cats, small",dog, owl') == ["cats, small", "dog", "owl"]
    assert sample.split_names('"say ""so""",#0') == ['say "so"', "#0"] and sample.split_names(None) is None
    assert sample.class_numbers(sample.split_names('"a,b"'), ["c", "a,b"]) == [1]
    with pytest.raises(ValueError, match="classes: got none; allowed: cat"):
        sample.class_numbers(sample.split_names(""), NAMES)
    with pytest.raises(ValueError, match="classes: got 'a\\\\nb'; allowed: names as in a row of a csv file|got a"):
        sample.class_numbers(sample.split_names("a\nb"), NAMES)


def test_draws_that_are_not_finite_are_refused():
    model = VAE(Preprocess((2,)), 2, likelihood="gaussian", network=NETWORK)
    model.set_weights([weight * np.nan for weight in model.get_weights()])
    with pytest.raises(ValueError, match="run: the model draws numbers that are not finite; allowed: "):
        sample.draw(model, None, n=2, seed=0)


def test_classes_are_names_else_numbers():
    assert sample.class_numbers(None, NAMES) == [0, 1, 2]
    assert sample.class_numbers(["owl", "0", "cat"], NAMES) == [2, 0]
    assert sample.class_numbers(["1"], ["3", "1"]) == [1]
    assert sample.class_numbers(None, NAMES, has_classes=False) is None
    with pytest.raises(ValueError, match=r"classes: got cow, 7; allowed: cat, dog, owl \(or #0 to #2\)"):
        sample.class_numbers(["cow", "cat", "7"], NAMES)
    with pytest.raises(ValueError, match="the model has no classes"):
        sample.class_numbers(["0"], NAMES, has_classes=False)
    with pytest.raises(ValueError, match="out: got none"):
        sample.check_out(None)
