"""From rows of a table to x and back."""

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

from tfadgm.data import table_preprocess
from tfadgm.data.layout import Layout


def test_the_power_transform_is_scipys_and_its_inverse():
    v = np.concatenate([-np.geomspace(1e-3, 50, 40), np.geomspace(1e-3, 50, 40), [0.0]]).astype("float32")
    for power in (0.0, 0.3, 1.0, 1.6, 2.0):
        found = table_preprocess.yeo_johnson(v, np.float32(power)).numpy()
        np.testing.assert_allclose(found, scipy.stats.yeojohnson(v.astype("float64"), power), rtol=3e-5, atol=1e-6)
        np.testing.assert_allclose(table_preprocess.inverse_yeo_johnson(found, np.float32(power)), v, rtol=1e-4, atol=1e-6)


def fitted(values, kind="number"):
    x = np.asarray(values, "float32")[:, None]
    return table_preprocess.fit(x, [kind], [0]), x


def test_numbers_are_standardised_and_long_tails_made_gaussian():
    generator = np.random.default_rng(0)
    plain, x = fitted(generator.normal(1e4, 3, 2000))
    assert plain.power[0] == 1
    z = plain(x).numpy()[:, 0]
    assert abs(z.mean()) < 1e-3 and abs(z.std() - 1) < 1e-3
    tailed, x = fitted(np.exp(generator.normal(0, 2, 2000)))
    z = tailed(x).numpy()[:, 0]
    assert tailed.power[0] < 0.5 and abs(z.mean()) < 1e-2 and abs(z.std() - 1) < 1e-2
    assert abs(scipy.stats.skew(z)) < 0.8 and scipy.stats.skew(x[:, 0]) > 5


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_the_jacobian_is_the_slope_in_the_columns_own_units(scale):
    preprocess, x = fitted(scale * np.exp(np.random.default_rng(1).normal(0, 1.2, 500)))
    raw = tf.constant(x[:50])
    with tf.GradientTape() as tape:
        tape.watch(raw)
        z = tf.reduce_sum(preprocess(raw)[:, 2])  # read, mask, scored
    slope = tape.gradient(z, raw).numpy()[:, 0]
    np.testing.assert_allclose(preprocess.log_jacobian(raw), np.log(slope), rtol=1e-4, atol=1e-4)


def test_rows_come_back_from_x_with_their_holes_and_in_their_order():
    generator = np.random.default_rng(2)
    kinds, values = ["category", "count", "number", "category", "binary", "date"], [5, 0, 0, 3, 0, 0]
    x = np.stack([generator.integers(0, m, 100) for m in (5, 900, 50, 3, 2, 20_000)], 1).astype("float32")
    x[generator.random(x.shape) < 0.3] = np.nan
    preprocess = table_preprocess.fit(x, kinds, values, hidden=0.4)
    again = table_preprocess.preprocess_from_config(preprocess.get_config())
    for layer in (preprocess, again):
        np.testing.assert_allclose(layer.raw(layer(x)), x, rtol=1e-4, atol=2e-3)
    assert preprocess.layout.categories == (3, 5)  # by their number of values


def test_draws_of_a_column_of_whole_numbers_are_whole():
    generator = np.random.default_rng(3)
    x = np.stack([generator.integers(-3, 4, 200), generator.normal(size=200), generator.integers(0, 9, 200)], 1)
    x = x.astype("float32")
    x[generator.random(x.shape) < 0.2] = np.nan
    preprocess = table_preprocess.fit(x, ["number", "number", "date"], [0] * 3)
    again = table_preprocess.preprocess_from_config(preprocess.get_config())
    assert again.whole.tolist() == [True, False, False]
    config = preprocess.get_config()
    del config["whole"]  # an older one
    between = tf.constant(generator.normal(size=(50, preprocess.size)), tf.float32)
    for layer, whole in ((again, True), (table_preprocess.preprocess_from_config(config), False)):
        drawn, mean = layer.raw(between, drawn=True).numpy(), layer.raw(between).numpy()
        there = ~np.isnan(drawn)
        assert there.any() and np.array_equal(drawn[:, 1:][there[:, 1:]], mean[:, 1:][there[:, 1:]])
        np.testing.assert_array_equal(drawn[:, 0][there[:, 0]] == np.rint(mean[:, 0][there[:, 0]]), whole)


def test_a_column_without_a_value_or_with_one_alone_is_harmless():
    x = np.full((10, 2), np.nan, "float32")
    x[:, 1] = 7
    preprocess = table_preprocess.fit(x, ["number", "number"], [0, 0])
    assert np.isfinite(preprocess(x).numpy()).all() and np.isfinite(preprocess.log_jacobian(x).numpy()).all()
    np.testing.assert_array_equal(preprocess.raw(preprocess(x)), x)


def test_an_outlier_has_no_part_in_the_scale_and_is_cut():
    values = np.random.default_rng(3).normal(0, 1, 500)
    values[17] = 1e9
    preprocess, x = fitted(values)
    z = preprocess(x).numpy()[:, 0]
    assert abs(np.delete(z, 17).std() - 1) < 0.05 and 30 <= z[17] < 100


@pytest.mark.parametrize(
    "wrong",
    [dict(kinds=["text"]), dict(hidden=1.0), dict(scale=[np.nan]), dict(shift=[1.0, 2.0]), dict(kinds=[])],
)
def test_what_is_no_preprocessing_is_refused(wrong):
    right = fitted(np.arange(9.0))[0].get_config()
    with pytest.raises(ValueError, match="got .*allowed"):
        table_preprocess.TablePreprocess(**{**right, **wrong})


def test_a_layout_keeps_its_order():
    with pytest.raises(ValueError, match="ascending"):
        Layout(categories=(3, 2))
    with pytest.raises(ValueError, match="counts: got 1"):
        Layout(counts=1)
    assert Layout(1, 1, 1, (2, 2, 4), [0.0], [1.0]).groups == [(2, 2), (4, 1)]
