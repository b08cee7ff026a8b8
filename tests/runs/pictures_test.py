"""From folders of pictures of several sizes to a model of one, whose trunk takes it and whose config.json knows it."""

import json

import numpy as np
import picture_examples as examples
import pytest
import tensorflow as tf

from tfadgm.models.m2 import M2
from tfadgm.networks import optimizers
from tfadgm.runs import build, recipes

SIZES = ((7, 5), (9, 9), (7, 5), (4, 12), (7, 5))


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folders = {
        name: {f"{i}.png": examples.levels(*size, channels, seed=i) for i, size in enumerate(SIZES)}
        for name, channels in (("cat", 1), ("dog", 3), ("unlabelled", 1))
    }
    return examples.write_folders(tmp_path_factory.mktemp("pictures"), **folders)


def made(root, **settings):
    options = dict(hidden=(4,), dim_z=2, epochs=1, filters=(2, 3), batch_norm=True, validation=0)
    settings = recipes.resolve("m2", f"images:{root}", **(options | settings))
    data, split = build.load_data(settings)
    return data, build.make_model(settings, data, split)


@pytest.mark.parametrize(("image_size", "size"), [(None, (7, 5)), ("6x9", (6, 9)), ("1x3", (1, 3))])
def test_a_convolutional_model_of_pictures_of_any_size_trains_and_draws_them(root, image_size, size):
    data, model = made(root, trunk="conv", image_size=image_size)
    assert data.raw_shape == model.preprocess.raw_shape == (*size, 3) and model.preprocess.any_size
    model.compile(optimizer=optimizers.Adam(1e-2), jit_compile=False)
    before = [w.numpy() for w in model.trainable_variables]
    raw = tf.constant(data.x_train[:10])
    logs = model.train_step({"labelled": (raw, tf.constant(data.y_train[:10])), "unlabelled": raw})
    assert np.isfinite([float(value) for value in logs.values()]).all()
    assert all(np.any(old != w.numpy()) for old, w in zip(before, model.trainable_variables, strict=True))
    x, _ = model.generate(tf.constant([0, 1]), 2, tf.one_hot([0, 1], 2))
    assert model.preprocess.picture(x).shape == (2, *size, 3)


def test_a_model_knows_whether_it_takes_other_sizes_and_an_older_one_does_not(root):
    config = json.loads(json.dumps(made(root)[1].get_config()))
    assert M2.from_config(config).preprocess.any_size
    del config["preprocess"]["any_size"]
    assert not M2.from_config(config).preprocess.any_size


def test_other_data_sets_have_no_size_of_pictures(root):
    settings = recipes.resolve("m2", "digits", epochs=1, image_size="9x9")
    with pytest.raises(ValueError, match="image_size: got '9x9' for digits; allowed: none, as it is for images:DIR alone"):
        build.load_data(settings)
