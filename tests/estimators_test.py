"""The scikit-learn estimators: scikit-learn's own checks, its tools, and that they are another door to the same runs."""

import doctest
import os
import pickle
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_wine, make_blobs
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from tfadgm import DensityEstimator, Run, SemiSupervisedClassifier, estimators, evaluation
from tfadgm.runs import build, recipes, select

# So small that a fit of the checks takes half a second: three passes, most of one batch, which no graph is built for.
SMALL = dict(hidden=(8,), epochs=3, batch=40, learning_rate=0.05)
SETTINGS = dict(batch_norm=False, average=None, head_deviation=1e-2, stop="none", density_samples=5)
CLASSES = dict(SETTINGS, test_samples=10, labelled_batch=20)


def classifier(model="m2", **given):
    more = dict(m2=dict(classifier_samples=None), sdgm=dict(dim_a=2), cagem=dict(beta=1.0, classifier="q"))[model]
    dim_z = (2, 2) if model == "cagem" else 2
    return SemiSupervisedClassifier(model, dim_z=dim_z, **{**SMALL, "select": False, "settings": CLASSES | more, **given})


def density(model="vae", **given):
    return DensityEstimator(model, **{**SMALL, "dim_z": 2, "settings": SETTINGS, **given})


@parametrize_with_checks([classifier("m2"), classifier("sdgm"), classifier("cagem"), density()])
def test_scikit_learn_checks(estimator, check):
    check(estimator)


def test_checks_of_array_types_which_need_an_environment_variable():
    """It must be set before SciPy is imported."""
    lines = [
        "from sklearn.utils.estimator_checks import estimator_checks_generator",
        "from estimators_test import classifier, density",
        "found = [(e, c) for each in (classifier(), density()) for e, c in estimator_checks_generator(each)]",
        "found = [(e, c) for e, c in found if 'array_api' in str(c)]",
        "[check(estimator) for estimator, check in found]",
        "print('checks', len(found))",
    ]
    paths = os.pathsep.join(filter(None, (os.path.dirname(__file__), os.environ.get("PYTHONPATH"))))
    environment = dict(os.environ, SCIPY_ARRAY_API="1", PYTHONPATH=paths)
    done = subprocess.run([sys.executable, "-c", "; ".join(lines)], env=environment, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1:] == ["checks 2"], done.stderr[-2000:]


@pytest.fixture(scope="module")
def blobs():
    """Two classes of 60 rows each, with the labels of five rows of each class, and all of them."""
    X, y = make_blobs(120, centers=[[-2, -2, 0], [2, 2, 1]], random_state=0)
    few = np.full(120, -1)
    few[[*np.flatnonzero(y == 0)[:5], *np.flatnonzero(y == 1)[:5]]] = [0] * 5 + [1] * 5
    return X, few, y


@pytest.fixture(scope="module")
def fitted(blobs):
    X, few, _ = blobs
    return classifier("sdgm", epochs=20).fit(X, few)


def test_few_labels_are_enough_and_the_rest_is_transduced(fitted, blobs):
    X, few, y = blobs
    assert fitted.score(X, y) > 0.95 and fitted.score(X, few) == 1.0  # the rows without a label are left out
    known = few >= 0
    np.testing.assert_array_equal(fitted.transduction_[known], few[known])
    np.testing.assert_array_equal(fitted.transduction_[~known], fitted.predict(X[~known]))
    with pytest.raises(ValueError, match="y: has no label"):
        fitted.score(X, np.full(120, -1))


def test_draws_of_a_class_lie_where_its_rows_do(fitted, blobs):
    X, _, y = blobs
    drawn = fitted.sample(400, y=1)
    assert drawn.shape == (400, 3) and np.abs(drawn.mean(0) - X[y == 1].mean(0)).max() < 0.7
    both = fitted.sample(2, y=[0, 1], random_state=3)
    np.testing.assert_array_equal(both, fitted.sample(2, y=[0, 1], random_state=3))
    assert fitted.sample(5).shape == (5, 3)
    with pytest.raises(ValueError, match="y: got 2; allowed: 0, 1"):
        fitted.sample(1, y=2)


def test_names_of_latents(fitted, blobs):
    assert fitted.get_feature_names_out().tolist() == ["a0", "a1", "z0", "z1"]
    assert fitted.transform(blobs[0]).shape == (120, 4)


def test_a_saved_estimator_is_a_run_and_a_run_an_estimator(fitted, blobs, tmp_path):
    X, _, _ = blobs
    expected = fitted.predict_proba(X)
    fitted.save(tmp_path / "run")
    loaded = SemiSupervisedClassifier.load(tmp_path / "run")
    assert loaded.get_params()["epochs"] == 20 and loaded.classes_.dtype == fitted.classes_.dtype
    np.testing.assert_array_equal(loaded.predict_proba(X), expected)
    np.testing.assert_array_equal(loaded.transduction_, fitted.transduction_)
    opened = Run.open(tmp_path / "run")
    np.testing.assert_allclose(evaluation.class_probabilities(opened.model, X.astype("float32"), 10), expected, atol=1e-6)
    with pytest.raises(ValueError, match="arrays in memory"):
        opened.data()
    with pytest.raises(ValueError, match="allowed: a DensityEstimator"):
        DensityEstimator.load(tmp_path / "run")
    with pytest.raises(ValueError, match="no empty directory"):
        fitted.save(tmp_path / "run")
    (tmp_path / "run" / "estimator.json").unlink()  # as bin/train leaves it: classes have names alone
    other = SemiSupervisedClassifier.load(tmp_path / "run")
    assert other.model == "sdgm" and other.predict(X[:1]).tolist() == [str(fitted.predict(X[:1])[0])]


def test_a_pickle_holds_weights_and_no_live_object(fitted, blobs):
    X, _, _ = blobs
    content = pickle.dumps(fitted)
    assert b"keras.src" not in content and b"tensorflow.python" not in content and len(content) < 40_000
    np.testing.assert_array_equal(pickle.loads(content).predict_proba(X), fitted.predict_proba(X))


def test_a_pool_with_what_the_labels_alone_give_answers_and_is_kept(blobs, tmp_path, monkeypatch):
    X, few, _ = blobs
    monkeypatch.setattr(select, "NETWORK_STEPS", 20)
    alone, pooled = classifier().fit(X, few), classifier(select=True).fit(X, few)
    assert alone.selection_ is None and set(pooled.selection_["members"]) == {"model", "network", "logistic"}
    expected = pooled.predict_proba(X)
    assert np.abs(alone.predict_proba(X) - expected).max() > 1e-3
    pooled.save(tmp_path / "run")
    for other in (SemiSupervisedClassifier.load(tmp_path / "run"), pickle.loads(pickle.dumps(pooled))):
        np.testing.assert_array_equal(other.predict_proba(X), expected)
        assert other.selection_ == pooled.selection_


def test_it_is_the_training_of_a_run_on_the_same_rows(blobs, tmp_path):
    X, few, _ = blobs
    np.savez(tmp_path / "rows.npz", x=X.astype("float32"), y=few)
    given = dict(SMALL, **CLASSES, classifier_samples=None, dim_z=2, seed=5, select=False)
    settings = recipes.resolve("m2", f"npz:{tmp_path / 'rows.npz'}", **given)
    model, _, _ = build.train(settings, *build.load_data(settings), tmp_path, quiet=True)
    found = classifier(random_state=5).fit(X, few)
    expected = evaluation.class_probabilities(model, X.astype("float32"), 10)
    np.testing.assert_allclose(found.predict_proba(X), expected, atol=1e-6)


def test_minus_one_beside_one_other_class_is_told_or_refused(blobs):
    X, few, y = blobs
    with pytest.warns(UserWarning, match="-1 and 1 are taken for two classes"):
        found = classifier().fit(X, np.where(y == 1, 1, -1))
    assert found.classes_.tolist() == [-1, 1] and found.score(X[:4], np.where(y == 1, 1, -1)[:4]) in (0, 0.25, 0.5, 0.75, 1)
    with pytest.raises(ValueError, match="1 class 1, and 60 rows without a label"):
        classifier(unlabelled=-1).fit(X, np.where(y == 1, 1, -1))
    with pytest.raises(ValueError, match="1 class 0, and 60 rows without a label"):
        classifier().fit(X, np.where(y == 1, 0, -1))


def test_settings_are_told_apart_from_parameters(blobs):
    X, few, _ = blobs
    with pytest.raises(ValueError, match="settings: got seed, widths; allowed: .*likelihood"):
        classifier(settings=dict(seed=1, widths=3)).fit(X, few)
    with pytest.raises(ValueError, match="allowed: a DensityEstimator"):
        SemiSupervisedClassifier("vae").fit(X, few)
    given = classifier(epochs=np.int64(1), hidden=[np.int64(4)]).fit(X, few)  # as a grid of numpy's numbers has them
    assert given._run.settings.hidden == (4,)


def test_pipelines_searches_and_calibration():
    X, y = load_wine(return_X_y=True)
    pipeline = make_pipeline(StandardScaler(), classifier())
    assert cross_val_score(pipeline, X, y, cv=2).min() > 0.6
    search = GridSearchCV(pipeline, {"semisupervisedclassifier__epochs": [1, 2]}, cv=2).fit(X, y)
    assert search.best_score_ > 0.3 and search.predict(X[:3]).shape == (3,)
    calibrated = CalibratedClassifierCV(classifier(), cv=2, method="sigmoid").fit(X, y)
    np.testing.assert_allclose(calibrated.predict_proba(X).sum(1), 1.0, rtol=1e-6)


def test_processes_that_are_started_anew_fit_the_same(blobs):
    X, _, y = blobs
    scores = [cross_val_score(classifier(epochs=1), X, y, cv=2, n_jobs=jobs) for jobs in (1, 2)]
    np.testing.assert_array_equal(*scores)


def test_the_density_of_one_column_integrates_to_one_in_its_units():
    """exp of a lower bound integrates to at most 1, and, with many samples, to nearly 1."""
    X = 1000 + 50 * np.random.default_rng(0).normal(size=(200, 1))
    found = density(epochs=30, settings=SETTINGS | dict(density_samples=100)).fit(X)
    grid = np.linspace(500, 1500, 801)
    total = np.trapezoid(np.exp(found.score_samples(grid[:, None]).astype("float64")), grid)
    assert 0.95 < total < 1.005
    assert found.score(X) == pytest.approx(found.score_samples(X).sum(dtype="float64"))
    drawn = found.sample(300)
    assert drawn.shape == (300, 1) and abs(drawn.mean() - X.mean()) < 25


def test_clusters_without_labels(blobs):
    X, _, _ = blobs
    found = density("cagem", dim_z=(2, 2), clusters=3, epochs=1).fit(X)
    assert found._run.class_names == ["cluster 0", "cluster 1", "cluster 2"] and np.isfinite(found.score(X))


@pytest.fixture(scope="module")
def mixed():
    """A data frame with numbers, text and missing cells, of two classes."""
    generator, y = np.random.default_rng(0), np.repeat(["day", "night"], 60)
    frame = pd.DataFrame(
        {
            "age": np.where(y == "day", generator.normal(30, 5, 120), generator.normal(60, 5, 120)),
            "job": np.where(y == "day", "nurse", "clerk"),
        },
        index=range(7, 127),
    )
    frame.loc[frame.index[::5], "age"], frame.loc[frame.index[2::5], "job"] = np.nan, None
    return frame, y


def test_a_data_frame_of_text_with_missing_cells(mixed):
    frame, y = mixed
    few = np.where(np.arange(120) % 6 == 0, y, "")
    found = classifier(epochs=30).fit(frame, few)
    assert found.score(frame, y) > 0.9 and found.feature_names_in_.tolist() == ["age", "job"]
    whole = found.impute(frame)
    assert whole.index.equals(frame.index) and not whole.isna().any(axis=None)
    observed = frame.notna()
    assert (whole == frame)[observed].where(observed, True).all(axis=None)
    assert (whole["job"][frame["job"].isna()] == np.where(y == "day", "nurse", "clerk")[2::5]).mean() > 0.9
    assert set(found.sample(4, y="day")["job"]) <= {"nurse", "clerk", "other"}
    restored = pickle.loads(pickle.dumps(found))
    np.testing.assert_array_equal(restored.score_samples(frame), found.score_samples(frame))


def test_missing_cells_of_an_array(blobs):
    X, few, y = blobs
    holed = X.copy()
    holed[::4, 0] = np.nan
    found = classifier(epochs=20).fit(holed, few)
    whole = found.impute(holed)
    observed = ~np.isnan(holed)
    assert whole.shape == X.shape and found.score(holed, y) > 0.9
    np.testing.assert_array_equal(whole[observed], holed[observed].astype("float32"))
    assert np.abs(whole[::4, 0] - X[::4, 0]).mean() < np.abs(np.nanmean(holed[:, 0]) - X[::4, 0]).mean()


def test_missing_cells_at_use_alone_are_refused(fitted, blobs, mixed):
    frame, whole = mixed[0], mixed[0].dropna()
    of_text = classifier(epochs=1).fit(
        whole, np.where(np.arange(len(whole)) % 4 == 0, mixed[1][mixed[0].notna().all(1)], "")
    )
    with pytest.raises(ValueError, match=r"X: has missing cells in 48 of 120 rows, the first is row 0 .*hidden_cells"):
        of_text.predict(frame)
    holed = blobs[0].copy()
    holed[3, 1] = np.nan
    for ask in (fitted.predict, fitted.impute, fitted.score_samples):
        with pytest.raises(ValueError, match="X: holds missing cells.*hidden_cells"):
            ask(holed)


def test_examples_of_the_docstrings():
    assert doctest.testmod(estimators) == (0, 16)
