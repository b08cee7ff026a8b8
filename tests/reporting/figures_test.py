"""The figures: what is drawn is right where it can be computed, every file is a picture, and odd data do not break them."""

import functools
import sys

import matplotlib
import numpy as np
import pytest
import tensorflow as tf
from matplotlib.figure import Figure
from PIL import Image
from sklearn.decomposition import PCA
from sklearn.metrics import confusion_matrix

from tfadgm import evaluation
from tfadgm.data.dataset import Dataset
from tfadgm.data.pipeline import Split
from tfadgm.models.objective import Objective
from tfadgm.networks.mlp import Network
from tfadgm.registry import model_class
from tfadgm.reporting import figures, plotting

ROWS = [  # a number where the run goes on, strings where it was read from the file, gaps where nothing was measured
    {"epoch": "1", "objective": "-300.5", "unlabelled_bound": "-150", "labelled_accuracy": "0.5", "validation_error": ""},
    {"epoch": 2, "objective": -200.0, "unlabelled_bound": -100.0, "labelled_accuracy": 1.0, "validation_error": 0.25},
    {"epoch": 3, "objective": -190.0, "unlabelled_bound": -95.0, "labelled_accuracy": 1.0, "seconds": 3.0},
]


def make_data(shape, classes=3, dtype="float32", likelihood="gaussian", test=False, **options):
    """Returns 90 examples, 30 of them also for testing; those of higher classes have higher values."""
    generator = np.random.default_rng(0)
    y = np.arange(90) % classes
    x = generator.uniform(0, 0.5, (90, *shape)) + 0.5 * y.reshape(-1, *[1 for _ in shape]) / classes
    x = (x * (255 if dtype == "uint8" else 1)).astype(dtype)
    names = [f"class {k}" for k in range(classes)]
    return Dataset("made", x, y, x[:30] if test else None, y[:30] if test else None, names, likelihood, **options)


SPLIT = Split(labelled=np.arange(10), unlabelled=np.arange(60), validation=np.arange(70, 90))
IMAGE = dict(dtype="uint8", likelihood="bernoulli", levels=256)
COLOURED = dict(dtype="uint8", scale="standardise_channels", levels=256)


@functools.cache
def make_model(name, shape, classes=3, sizes=None, **options):
    """Returns (model, data): untrained, with networks of one small layer."""
    data = make_data(shape, classes, **options)
    sizes = dict(sizes or (dict(dim_z=2, dim_a=3) if name in ("adgm", "sdgm") else dict(dim_z=2)))
    how = dict(likelihood=data.likelihood, levels=data.levels, network=Network(hidden=(4,)), objective=Objective())
    built = model_class(name)(data.make_preprocess(), classes, **how, **sizes)
    return built, data


def picture(path):
    """Returns a PNG file as an array, after checks that hold for every figure."""
    assert path.stat().st_size < 320_000
    with Image.open(path) as image:
        image.verify()
    with Image.open(path) as image:
        assert image.format == "PNG"
        pixels = np.asarray(image.convert("RGB"))
    assert min(pixels.shape[:2]) > 150 and pixels.std() > 10 and (pixels[[0, -1]] == 255).all()  # drawn, not cut off
    return pixels


@pytest.fixture
def drawn(monkeypatch):
    """The figures that are saved within the test, a list."""
    saved, save = [], Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda self, *args, **options: (saved.append(self), save(self, *args, **options)))
    return saved


# ------------------------------------------------------------------------------------------------------- what is drawn


def test_confusion_counts_are_sklearns_and_leave_out_the_unlabelled():
    generator = np.random.default_rng(0)
    y, predicted = generator.integers(0, 5, 200), generator.integers(0, 4, 200)
    np.testing.assert_array_equal(figures.confusion_counts(y, predicted, 5), confusion_matrix(y, predicted, labels=range(5)))
    with_unlabelled = figures.confusion_counts([*y, -1, -1], [*predicted, 0, 4], 5)
    np.testing.assert_array_equal(with_unlabelled, confusion_matrix(y, predicted, labels=range(5)))


@pytest.mark.parametrize("shape", [(50, 7), (6, 20), (30, 2)])
def test_pca_is_sklearns_up_to_sign(shape):
    points = np.random.default_rng(0).normal(size=shape) * np.arange(1, shape[1] + 1)
    coordinates, share = figures.pca(points.astype("float32"))
    expected = PCA(2).fit(points.astype("float32"))
    np.testing.assert_allclose(np.abs(coordinates), np.abs(expected.transform(points)), rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(share, expected.explained_variance_ratio_, rtol=1e-4)


def test_pca_of_one_column_or_of_equal_points_has_zeros_in_place_of_a_component():
    points = np.arange(6.0)[:, np.newaxis]
    coordinates, share = figures.pca(points)
    np.testing.assert_allclose(np.abs(coordinates), np.abs(np.hstack([points - 2.5, 0 * points])), atol=1e-9)
    np.testing.assert_allclose(share, [1, 0], atol=1e-9)
    np.testing.assert_array_equal(figures.pca(np.ones((5, 3)))[1], [0, 0])


def test_reliability_bins_add_up_to_the_expected_calibration_error():
    generator = np.random.default_rng(0)
    probabilities, y = generator.dirichlet([0.3, 0.3, 0.3], 500), generator.integers(0, 3, 500)
    probabilities[0] = [1, 0, 0]
    confidence, accuracy, count = figures.reliability(y, probabilities)
    assert count.sum() == 500 and np.isnan(accuracy[:5]).all()
    gap = np.nansum(count * np.abs(accuracy - confidence)) / 500
    assert gap == pytest.approx(evaluation.expected_calibration_error(probabilities, y, bins=15))


def test_columns_are_numbers_or_nan():
    np.testing.assert_array_equal(plotting.column(ROWS, "validation_error"), [np.nan, 0.25, np.nan])
    np.testing.assert_array_equal(plotting.column(ROWS, "objective"), [-300.5, -200, -190])
    assert np.isnan(plotting.column(ROWS, "absent")).all()


@pytest.mark.parametrize("colours", [(), (3,)])
def test_a_mosaic_has_every_tile_in_its_place_and_white_between(colours):
    tiles = np.random.default_rng(0).uniform(0, 0.9, (2, 3, 5, 4, *colours))
    whole = plotting.mosaic(tiles)
    assert whole.shape == (2 * 6 - 1, 3 * 5 - 1, *colours)
    for i in range(2):
        for j in range(3):
            np.testing.assert_array_equal(whole[6 * i : 6 * i + 5, 5 * j : 5 * j + 4], tiles[i, j])
    assert (whole[5] == 1).all() and (whole[:, 4] == 1).all()


def test_pixels_are_the_raw_examples_between_black_and_white():
    model, data = make_model("m2", (4, 4, 1), **IMAGE)
    np.testing.assert_allclose(plotting.pixels(model, data.x_train.astype("float32")), data.x_train[..., 0] / 255, rtol=1e-6)
    x = model.preprocess(data.x_train).numpy()
    np.testing.assert_allclose(plotting.pixels(model, model.preprocess.picture(x)), data.x_train[..., 0] / 255, rtol=1e-5)
    coloured, data = make_model("m2", (4, 4, 3), **COLOURED)
    raw = data.x_train.astype("float32")
    np.testing.assert_allclose(plotting.pixels(coloured, raw), raw / 255, rtol=1e-6)
    assert (plotting.pixels(coloured, raw - 500) == 0).all() and (plotting.pixels(coloured, raw + 500) == 1).all()
    table, data = make_model("m2", (4, 5))
    shown = plotting.pixels(table, data.x_train)
    assert shown.shape == data.x_train.shape and shown.min() == 0 and shown.max() == 1


def test_a_fourth_channel_is_not_shown_and_changes_nothing():
    for options in (COLOURED, dict(likelihood="gaussian", scale="standardise")):
        model, data = make_model("m2", (4, 4, 4), **options)
        raw = data.x_train.astype("float32")
        raw[..., 3] = 1000
        plain, _ = make_model("m2", (4, 4, 3), **options)
        np.testing.assert_array_equal(plotting.pixels(model, raw), plotting.pixels(plain, raw[..., :3]))


def test_examples_at_the_same_place_differ_in_y_alone():
    model, _ = make_model("sdgm", (8, 8, 1), **IMAGE)
    x, one_hot, seed = figures.generate_classes(model, 0, 5), np.eye(3, dtype="float32"), tf.constant([0, 3])
    _, values = model.generate(seed, 5, tf.constant(one_hot[[0] * 5]))
    for k in range(3):
        expected, _ = model.generate(seed, 5, tf.constant(one_hot[[k] * 5]), {"z": values["z"]})
        np.testing.assert_allclose(x[k], expected, rtol=1e-5)
    assert x.shape == (3, 5, 64) and not np.allclose(x[0], x[1]) and not np.allclose(x[0, 0], x[0, 1])


def test_curves_have_the_values_of_the_rows_and_percents(drawn, tmp_path):
    figures.training_curves(ROWS, tmp_path / "curves.png")
    picture(tmp_path / "curves.png")
    lines = {line.get_label().split(",")[0]: line.get_xydata() for ax in drawn[0].axes for line in ax.get_lines()}
    np.testing.assert_array_equal(lines["validation error"], [[2, 25]])
    np.testing.assert_array_equal(lines["labelled error"], [[1, 50], [2, 0], [3, 0]])
    np.testing.assert_array_equal(lines["unlabelled bound"], [[1, -150], [2, -100], [3, -95]])
    assert {ax.get_ylabel() for ax in drawn[0].axes} == {"nats per example", "%"} and len(lines) == 4


def test_an_early_fall_does_not_flatten_the_curve(drawn, tmp_path):
    rows = [{"epoch": i, "objective": -1e6 if i == 0 else -100 + i} for i in range(50)]
    figures.training_curves(rows, tmp_path / "curves.png")
    low, high = drawn[0].axes[0].get_ylim()
    assert -120 < low < -95 and -51 < high < -40


def test_nats_of_warm_up_are_dotted_and_do_not_scale_the_axis(drawn, tmp_path):
    bounds = [-20.0, -60.0, -101.0, -100.0, -99.0]
    rows = [{"epoch": i + 1, "unlabelled_bound": b, "validation_error": 0.1 * i} for i, b in enumerate(bounds)]
    figures.training_curves(rows, tmp_path / "curves.png", warmup=2.0)
    nats, percents = drawn[0].axes
    solid, dotted = nats.get_lines()
    assert solid.get_xdata().tolist() == [3, 4, 5] and dotted.get_xdata().tolist() == [1, 2, 3]
    assert (solid.get_linestyle(), dotted.get_linestyle()) == ("-", ":") and solid.get_color() == dotted.get_color()
    assert nats.get_ylim()[1] < -98 and len(percents.get_lines()) == 1


def test_both_classification_terms_share_a_panel_of_their_scale(drawn, tmp_path):
    rows = [dict(epoch=e, cascade_bound=-0.1, classification_bound=-0.2, unlabelled_bound=-90.0) for e in (1, 2)]
    figures.training_curves(rows, tmp_path / "curves.png")
    assert [ax.get_title(loc="left") for ax in drawn[0].axes] == ["Unlabelled bound, last -90", "Classification"]


def test_an_objective_that_is_a_bound_is_drawn_once(drawn, tmp_path):
    rows = [dict(epoch=str(e), objective=-90.0 + e, unlabelled_bound=-90.0 + e) for e in (1, 2)]
    figures.training_curves(rows, tmp_path / "curves.png")
    assert [ax.get_title(loc="left") for ax in drawn[0].axes] == ["Unlabelled bound, last -88"]


def test_a_run_that_ends_in_warm_up_has_a_curve(drawn, tmp_path):
    figures.training_curves([{"epoch": i, "objective": -i} for i in (1, 2)], tmp_path / "curves.png", warmup=10.0)
    (ax,) = drawn[0].axes
    (line,) = ax.get_lines()
    assert line.get_xdata().tolist() == [1, 2] and line.get_linestyle() == "-"
    assert ax.get_title(loc="left") == "Objective in warm-up, last -2"


def test_one_epoch_has_ticks_of_whole_epochs(drawn, tmp_path):
    figures.training_curves([{"epoch": 7, "objective": -3.0}], tmp_path / "curves.png")
    (ax,) = drawn[0].axes
    assert ax.get_xlim() == (6, 8) and set(ax.get_xticks()) <= {5, 6, 7, 8, 9}


@pytest.mark.parametrize(
    "rows", [[{"epoch": 1}], [{"objective": -3.0}, {"objective": ""}], [{"epoch": "1", "objective": "nan"}]]
)
def test_curves_of_rows_without_columns_or_values(rows, tmp_path):
    figures.training_curves(rows, tmp_path / "curves.png")
    assert (tmp_path / "curves.png").exists()


@pytest.mark.parametrize(("classes", "numbers"), [(2, 4), (20, 20), (30, 0)])
def test_confusion_matrix_has_numbers_for_up_to_20_classes(classes, numbers, drawn, tmp_path):
    y = np.repeat(np.arange(classes), 2)
    predicted = np.tile([0, 1], 2) if classes == 2 else y
    figures.confusion_matrix(y, predicted, [f"a long name {k}" for k in range(classes)], tmp_path / "confusion.png")
    picture(tmp_path / "confusion.png")
    assert len(drawn[0].axes[0].texts) == numbers
    share = drawn[0].axes[0].images[0].get_array()
    np.testing.assert_allclose(share.sum(1), 100)


def test_reliability_diagram_names_its_error(drawn, tmp_path):
    probabilities, y = np.array([[0.9, 0.1], [0.2, 0.8], [0.4, 0.6]]), np.array([0, 1, 0])
    figures.reliability_diagram(y, probabilities, tmp_path / "reliability.png")
    picture(tmp_path / "reliability.png")
    assert "30.00%" in drawn[0].axes[0].get_title(loc="left")  # (0.1 + 0.2 + 0.6) / 3
    assert sum(bar.get_height() for bar in drawn[0].axes[1].patches) == 3


def test_analogies_show_the_examples_in_the_left_column(drawn, tmp_path):
    model, data = make_model("adgm", (8, 8, 1), **IMAGE)
    figures.analogies(model, data.x_train[:4], tmp_path / "analogies.png", data.class_names)
    picture(tmp_path / "analogies.png")
    whole = drawn[0].axes[0].images[0].get_array()
    assert whole.shape == (4 * 9 - 1, 4 * 9 - 1)
    np.testing.assert_allclose(whole[9:17, :8], data.x_train[1, ..., 0] / 255, rtol=1e-5)
    assert [label.get_text() for label in drawn[0].axes[0].get_xticklabels()] == ["x", *data.class_names]


def test_long_names_of_many_classes_leave_the_pictures_their_room(drawn, tmp_path):
    names = [f"Blackfoot, with syllabics of number {i}" for i in range(20)]
    plotting.picture_grid(tmp_path / "grid.png", np.zeros([10, 20, 28, 28]), "Title", names[:10], names)
    (figure,) = drawn
    (ax,) = figure.axes
    width, height = ax.get_position().size * figure.get_size_inches()
    assert width > 4.5 and height > 2.2
    shown = [label.get_text() for label in ax.get_xticklabels()]
    assert len(shown) == 20 and set(map(len, shown)) == {16} and shown[0].endswith("…")


def test_each_latent_has_a_panel_of_its_principal_components_or_of_its_two_units(drawn, tmp_path):
    for name, sizes in (("adgm", {"a": 5, "z": 2}), ("m2", {"z": 5}), ("avae", {"a1": 3, "z1": 2, "a2": 3, "z2": 3})):
        given = [(f"dim_{k}", tuple(size for latent, size in sizes.items() if latent[0] == k)) for k in "az"]
        model, data = make_model(name, (5,), sizes=tuple(pair for pair in given if pair[1]))
        y = np.where(np.arange(90) < 6, -1, data.y_train)
        figures.latent_pca(model, data.x_train, y, data.class_names, tmp_path / f"{name}.png")
        picture(tmp_path / f"{name}.png")
        encoded = model.encode(data.x_train)
        assert list(encoded) == list(sizes) and len(drawn[-1].axes) == len(sizes)
        for ax, (latent, size) in zip(drawn[-1].axes, sizes.items(), strict=True):
            points = np.concatenate([drawn.get_offsets() for drawn in ax.collections])
            expected = encoded[latent].numpy() if size == 2 else figures.pca(encoded[latent].numpy())[0]
            np.testing.assert_allclose(np.sort(points, 0), np.sort(expected, 0), atol=1e-5)
            assert f"q({latent}|x)" in ax.get_title(loc="left") and len(ax.collections[0].get_offsets()) == 6


def test_a_latent_that_reads_nothing_has_no_panel(drawn, tmp_path):
    model, data = make_model("avae", (5,), sizes=(("dim_z", 3), ("auxiliary", "linear")))
    figures.latent_pca(model, data.x_train, data.y_train, data.class_names, tmp_path / "pca.png")
    assert [ax.get_title(loc="left") for ax in drawn[0].axes] == ["Mean of q(z|x), 90 examples"]


def test_the_title_tells_of_a_latent_that_is_not_used(drawn, tmp_path):
    model, data = make_model("adgm", (5,), sizes=(("dim_z", 3), ("dim_a", 7)))
    model.q["a"].head.kernel.assign(tf.zeros_like(model.q["a"].head.kernel))
    figures.latent_pca(model, data.x_train, data.y_train, data.class_names, tmp_path / "pca.png")
    titles = [ax.get_title(loc="left") for ax in drawn[0].axes]
    assert titles == ["q(a|x) is the same for every x", "Mean of q(z|x), 90 examples"]


def test_reconstructions_lie_under_their_examples_and_over_samples(drawn, tmp_path):
    model, data = make_model("adgm", (8, 8, 1), **IMAGE)
    figures.reconstructions(model, data.x_train[:4], tmp_path / "reconstructions.png")
    whole = drawn[0].axes[0].images[0].get_array()
    assert whole.shape == (3 * 9 - 1, 4 * 9 - 1)
    np.testing.assert_allclose(whole[:8, 9:17], data.x_train[1, ..., 0] / 255, rtol=1e-5)
    y = tf.one_hot(tf.argmax(model.log_answer(data.x_train[:4]), 1), 3)
    z = model.encode(data.x_train[:4], y)["z"]
    expected = model.preprocess.picture(model.generate(tf.constant([0, 0]), 4, y, {"z": z})[0].numpy())
    np.testing.assert_allclose(whole[9:17, 9:17], expected[1, ..., 0] / 255, atol=1e-3)


# ------------------------------------------------------------------------------------------------------- what applies

BASE, PICTURES = {"class_samples", "latent_pca"}, {"reconstructions"}
ON_PREDICTIONS = {"confusion_matrix", "reliability_diagram"}
CASES = {
    "coloured pictures, many classes": ("m2", (8, 6, 3), 30, COLOURED, BASE | PICTURES | {"analogies"}),
    "pictures without some pixels": ("adgm", (8, 8), 2, dict(min_column_std=0.19), BASE | PICTURES | {"analogies"}),
    "points": ("adgm", (2,), 2, {}, BASE | {"prediction_map"}),
    "points of many classes": ("m2", (2,), 30, {}, BASE | {"prediction_map"}),
    "points of 0 and 1": ("m2", (2,), 3, dict(likelihood="bernoulli"), BASE | {"prediction_map"}),
    "a table": ("m2", (6,), 3, dict(scale="standardise"), BASE),
    "a table of many classes": ("adgm", (40,), 30, dict(scale="standardise"), BASE),
    "no classes, pictures": ("vae", (8, 8, 1), 3, IMAGE, BASE | PICTURES),
    "no classes, points": ("vae", (2,), 3, {}, BASE),
    "no classes, a table": ("vae", (6,), 3, {}, BASE),
}


def draw_all(directory, model, data, *more):
    """Draws and checks all figures; returns their names."""
    written = figures.all_figures(directory, model, data, SPLIT, *more)
    assert sorted(written) == sorted(path.name for path in directory.iterdir())
    for file in written:
        picture(directory / file)
    return {file.removesuffix(".png") for file in written}


@pytest.mark.parametrize("case", CASES)
def test_every_figure_that_applies_is_a_picture(case, tmp_path):
    name, shape, classes, options, expected = CASES[case]
    assert draw_all(tmp_path, *make_model(name, shape, classes, **options), []) == expected


def test_a_whole_run_leaves_matplotlib_as_it_was(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)  # to import it would be an error
    model, data = make_model("adgm", (8, 8, 1), test=True, **IMAGE)
    probabilities, before = np.random.default_rng(0).dirichlet([0.3, 0.3, 0.3], 30), dict(matplotlib.rcParams)
    names = draw_all(tmp_path / "new" / "figures", model, data, ROWS, data.y_test, probabilities)
    assert names == BASE | ON_PREDICTIONS | PICTURES | {"training_curves", "analogies"}
    assert dict(matplotlib.rcParams) == before


@pytest.mark.parametrize(("test", "validation", "count"), [(True, 20, 30), (False, 20, 20), (False, 0, 90)])
def test_the_examples_are_the_tests_else_held_out_else_of_training(test, validation, count):
    data, parts = make_data((2,), test=test), Split(SPLIT.labelled, SPLIT.unlabelled, SPLIT.validation[:validation])
    x, y = figures.shown_examples(data, parts)
    assert len(x) == len(y) == count
    if not test and validation:
        np.testing.assert_array_equal(x, data.x_train[parts.validation])


@pytest.mark.parametrize(
    "name", ["\x1b[31mred", "a$b$c", "$\\frac", "_hidden", "\u732b", "new\nline", "\x00", "back\\slash"]
)
def test_odd_names_of_classes_are_drawn_without_a_word(name, tmp_path, recwarn):
    names = [name, "other"]
    with plotting.canvas(tmp_path / "names.png", 4, 3) as ax:
        plotting.scatter(ax, np.eye(2), np.arange(2), names)
        plotting.ticks(ax.xaxis, names)
        shown = [text.get_text() for text in ax.get_legend().get_texts()]
    figures.confusion_matrix(np.array([0, 1]), np.array([0, 1]), names, tmp_path / "confusion.png")
    assert len(shown) == 2 and not any(character in shown[0] for character in "\x1b\n\x00")
    assert [str(warning.message) for warning in recwarn] == []


def test_components_of_one_point_are_zeros():
    points, share = figures.pca(np.array([[3.0, 4.0, 5.0]]))
    assert points.tolist() == [[0.0, 0.0]] and share.tolist() == [0.0, 0.0]


def test_a_figure_that_fails_is_told_and_the_others_are_drawn(tmp_path, capsys):
    model, data = make_model("vae", (5,), sizes=(("dim_z", 3),))
    x_test = np.array(data.x_train[:3])
    x_test[1] = 3e38  # whose latents are not finite
    data = Dataset("made", data.x_train, data.y_train, x_test, data.y_train[:3], data.class_names, "gaussian")
    written = figures.all_figures(tmp_path, model, data, SPLIT, ROWS)
    told = capsys.readouterr().err
    assert "training_curves.png" in written and "latent_pca.png" not in written
    assert told.startswith(f"warning: {tmp_path / 'latent_pca.png'}: not drawn: ") and told.count("\n") == 1


def test_answers_that_are_not_finite_are_left_out_of_figures(tmp_path, capsys):
    model, data = make_model("m2", (5,))
    probabilities = np.full((20, 3), 1 / 3)
    probabilities[4] = np.nan
    written = figures.all_figures(tmp_path, model, data, SPLIT, [], np.arange(20) % 3, probabilities)
    assert {"confusion_matrix.png", "reliability_diagram.png"} <= set(written) and not capsys.readouterr().err
