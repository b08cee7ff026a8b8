"""An h5ad from bin/train to its uses: models, runs that go on, exports, new cells by the names of their genes, draws."""

import anndata
import numpy as np
import pytest
import scipy.sparse
import tensorflow as tf
from h5ad_files import save

from tfadgm import DensityEstimator, evaluation
from tfadgm.cli import sample
from tfadgm.evaluation import measured
from tfadgm.reporting import figures
from tfadgm.runs import build, recipes, run
from tfadgm.runs.run_directory import Run
from tfadgm.serving import classification, records
from tfadgm.training import baseline

SMALL = dict(hidden=(4,), dim_z=2, batch=20, epochs=2, density_samples=2, density_examples=5, test_samples=2)
SMALL |= dict(select=False, stop="none", schedule="constant", checkpoint_seconds=0.0)
N, G = 90, 8


def counts(n=N, seed=0):
    generator = np.random.default_rng(seed)
    return generator.negative_binomial(1.0, 0.2, (n, G)) + np.arange(G) % 2 + (np.arange(n) % 3 == 0)[:, None] * np.arange(G)


@pytest.fixture(scope="module")
def light():
    """Runs draw no figures and have a baseline that guesses."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(figures, "all_figures", lambda *arguments: None)
        patch.setattr(baseline, "class_probabilities", lambda *arguments, **_: np.full((len(arguments[3]), 2), 0.5))
        yield


@pytest.fixture(scope="module")
def trained(tmp_path_factory, light):
    """(a run of two epochs, the settings of it)."""
    folder = tmp_path_factory.mktemp("counts")
    path = save(folder / "own.h5ad", scipy.sparse.csr_matrix(counts()), obs=dict(kind=["a", "b", "Unknown"] * (N // 3)))
    settings = recipes.resolve("m2", f"h5ad:{path}", label="kind", **SMALL)
    run.train(settings, folder / "run", quiet=True)
    return Run.open(folder / "run"), settings


def test_a_run_keeps_the_names_of_the_genes_and_is_told_complete(trained):
    opened, settings = trained
    assert opened.config["feature_names"] == [f"g{c}" for c in range(G)] and opened.class_names == ["a", "b"]
    assert opened.model.likelihood == "negative_binomial" and opened.model.preprocess.raw_dtype == "int32"
    assert run.train(settings, opened.path, quiet=True)["epochs"] == 2  # its results


def test_a_run_that_goes_on_has_the_bits_of_one_that_was_never_stopped(trained, tmp_path, monkeypatch):
    opened, settings = trained
    monkeypatch.setattr(Run, "export", lambda self, **options: None)
    run.train(recipes.resolve("m2", settings.dataset, label="kind", **{**SMALL, "epochs": 1}), tmp_path / "run", quiet=True)
    run.train(settings, tmp_path / "run", quiet=True)
    for one, other in zip(opened.model.get_weights(), Run.open(tmp_path / "run").model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.fixture(scope="module")
def new_cells(tmp_path_factory):
    """(a file of other cells whose genes have another order and company, their counts in the order of the model)."""
    x, order = counts(15, seed=1), np.random.default_rng(2).permutation(G)
    wide = np.concatenate([x[:, order], x[:, :3]], 1)
    genes = [*(f"g{c}" for c in order), "other1", "other2", "other3"]
    path = save(tmp_path_factory.mktemp("new") / "new.h5ad", wide, obs=dict(kind=["a", "b", ""] * 5), genes=genes)
    return path, x.astype("int32")


def test_an_export_answers_as_the_model_does_by_the_names_of_genes(trained, new_cells, capsys):
    opened, (path, x) = trained[0], new_cells
    told = list(records.of_files(classification.Classifier(opened.path / "export"), [path], 10, 20))
    assert [record["id"] for record in told] == [f"cell{i}" for i in range(15)]
    found = np.array([list(record["probabilities"].values()) for record in told])
    np.testing.assert_allclose(found, evaluation.class_probabilities(opened.model, x, 2), atol=1e-5)
    density = [record["log_density"] for record in told]
    np.testing.assert_allclose(density, evaluation.log_density(opened.model, x, 20), rtol=1e-4)
    assert "3 genes that the model does not read are ignored" in capsys.readouterr().err


def test_a_cell_without_counts_and_a_fraction_are_refused_by_the_export(trained):
    served = tf.saved_model.load(str(opened_export(trained[0]))).signatures
    with pytest.raises(tf.errors.InvalidArgumentError, match="whole numbers from 0 to 16777216, in a row not 0 alone"):
        served["predict"](x=tf.zeros([1, G], tf.int32))
    with pytest.raises(tf.errors.InvalidArgumentError, match="x: allowed: whole numbers"):
        served["predict_float"](x=tf.fill([1, G], 0.5))


def opened_export(opened):
    return classification.find(opened.path / "export")


def test_other_cells_are_measured_and_a_missing_gene_is_named(trained, new_cells, tmp_path):
    opened, (path, x) = trained[0], new_cells
    part, found, y = measured.read(path, opened, opened.data()[0])
    np.testing.assert_array_equal(found, x)
    assert part == "data" and y.tolist() == [0, 1, -1] * 5
    with pytest.raises(ValueError, match="has no gene 'g7'; allowed: the genes that the model was trained on"):
        measured.read(save(tmp_path / "less.h5ad", x[:, :7], obs=dict(kind=["a"] * 15)), opened, opened.data()[0])
    np.savez(tmp_path / "x.npz", x=x + 0.5, y=np.arange(15) % 2)
    with pytest.raises(ValueError, match="x holds .*; allowed: whole numbers"):
        measured.read(tmp_path / "x.npz", opened, opened.data()[0])


def test_draws_are_counts(trained):
    x, y = sample.draw(trained[0].model, [1, 0], 4, seed=0)
    assert x.shape == (8, G) and y.tolist() == [1] * 4 + [0] * 4 and (x == np.rint(x)).all() and (x >= 0).all()
    means, _ = sample.draw(trained[0].model, [1], 4, seed=0, means=True)
    np.testing.assert_allclose(means.sum(1), trained[0].model.preprocess.layout.median, rtol=1e-4)


def test_an_export_draws_the_same_counts(trained):
    generate = tf.saved_model.load(str(opened_export(trained[0]))).signatures["generate"]
    found = generate(y=tf.constant([1, 0], tf.int64), count=tf.constant(4), seed=tf.constant(0))["x"]
    np.testing.assert_array_equal(found, sample.draw(trained[0].model, [1, 0], 4, seed=0)[0])


def test_samples_of_counts_are_drawn_as_a_table(trained, tmp_path):
    figures.class_samples(trained[0].model, trained[0].class_names, tmp_path / "samples.png")
    assert (tmp_path / "samples.png").stat().st_size > 1000


@pytest.mark.parametrize("name", ["adgm", "sdgm", "vae", "avae", "lvae", "m1", "m1m2", "cagem"])
def test_every_model_has_an_objective_of_counts(trained, name):
    opened, settings = trained
    sizes = dict(dim_z=(2, 2)) if name in ("lvae", "m1m2", "cagem") else {}
    settings = recipes.resolve(name, settings.dataset, label="kind", hidden=(4,), epochs=1, batch=20, **sizes)
    data, split = build.load_data(settings)
    model = build.make_model(settings, data, split)
    batch = {"labelled": (data.x_train[:4], data.y_train[:4] * 0), "unlabelled": data.x_train[:6]}
    batch = batch if model.learns_from_labels else {"unlabelled": batch["unlabelled"]}
    assert np.isfinite(model.terms(batch, tf.constant([1, 2]))["objective"])
    frozen = not model.p["x"].trainable
    assert frozen == (name == "m1m2") == (not any(v is model.p["x"].log_shape for v in model.trainable_variables))


def test_counts_can_have_a_gaussian_likelihood_of_their_logarithms(trained):
    settings = recipes.resolve("vae", trained[1].dataset, label="kind", likelihood="gaussian", hidden=(4,), epochs=1)
    model = build.make_model(settings, *build.load_data(settings))
    assert model.preprocess.transform == "log1p" and model.preprocess.size == G


def test_genes_is_a_setting_of_h5ad_alone(trained):
    data, _ = build.load_data(recipes.resolve("m2", trained[1].dataset, label="kind", genes=3))
    assert len(data.feature_names) == 3
    with pytest.raises(ValueError, match="genes: got 3 for digits; allowed: none, as it is for h5ad:FILE alone"):
        build.load_data(recipes.resolve("m2", "digits", genes=3))
    with pytest.raises(ValueError, match="genes: got 0; allowed: greater than 0"):
        recipes.resolve("m2", trained[1].dataset, genes=0)
    path = trained[1].dataset.partition(":")[2]
    with pytest.raises(ValueError, match=f"unknown dataset: got '{path}'; allowed: h5ad:{path}"):
        build.load_data(recipes.resolve("m2", path))


def test_estimators_take_dense_counts_and_refuse_the_rest():
    x = counts(40)
    options = dict(
        hidden=(4,), dim_z=1, epochs=1, batch=20, settings=dict(likelihood="negative_binomial", density_samples=2)
    )
    density = DensityEstimator("vae", **options).fit(x)
    assert (density.score_samples(x[:3]) < 0).all()
    drawn = density.sample(3)
    assert drawn.shape == (3, G) and (drawn == np.rint(drawn)).all()
    with pytest.raises(ValueError, match="got negative_binomial, and X holds .* in row 0"):
        density.score_samples(x[:3] + 0.5)
    with pytest.raises(TypeError, match="X: got an AnnData; allowed: an array, such as X.X.toarray"):
        density.score_samples(anndata.AnnData(x.astype("float32")))
    with pytest.raises(TypeError, match="[Ss]parse"):
        density.fit(scipy.sparse.csr_matrix(x))
