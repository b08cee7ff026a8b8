"""The values of y: which there are, how probable each is, and a class without labels that becomes a value of its own."""

import dataclasses
import json

import numpy as np
import pytest

from tfadgm.reporting import figures, report
from tfadgm.runs import build, cross_fit, recipes, resuming, run, run_directory
from tfadgm.serving import classification, records

MEANS = np.array([[-4.0, 0.0], [4.0, 0.0], [0.0, 6.0]])


def _own(tmp_path, counts=(40, 20), unlabelled=12):
    """npz:FILE of so many labelled examples of each class, "a", "b", ..., and some without a label."""
    y = np.concatenate([np.repeat(list("abc")[: len(counts)], counts), [""] * unlabelled])
    x = np.random.default_rng(0).normal(size=(len(y), 3)) + (y == "b")[:, None]
    np.savez(tmp_path / "own.npz", x=x.astype("float32"), y=y)
    return f"npz:{tmp_path / 'own.npz'}"


def _model(dataset, model="m2", **given):
    settings = recipes.resolve(model, dataset, **{"epochs": 1, "hidden": (4,), "validation": 0, **given})
    data, split = build.load_data(settings)
    return build.make_model(settings, data, split), build.value_names(settings, data)


def test_own_labels_tell_how_often_each_class_is_unless_they_are_drawn_evenly(tmp_path):
    dataset = _own(tmp_path)
    assert _model(dataset)[0].class_prior == pytest.approx((41 / 62, 21 / 62))
    assert _model(dataset, labels=20)[0].class_prior is None  # ten of each
    assert _model(dataset, class_prior="uniform")[0].class_prior is None
    assert _model(dataset, labels=20, class_prior=(0.9, 0.1))[0].class_prior == (0.9, 0.1)
    assert _model(dataset, labels=0)[0].class_prior is None
    for model in ("vae", "cagem"):  # no class, and a p(y|z2) that is learned
        assert _model(dataset, model)[0].class_prior is None
    assert _model("half_moons", model="sdgm")[0].class_prior is None  # the papers' data


@pytest.mark.parametrize(
    "model, given, message",
    [
        ("vae", dict(class_prior="labels"), "class_prior: got .* for VAE, which has no class y"),
        ("cagem", dict(class_prior="labels"), "class_prior: got .* for CaGeM, whose y has parents"),
        ("m2", dict(class_prior=(0.5, 0.5), clusters=2), "class_prior: got 2 numbers .*; allowed: 4 positive numbers"),
        ("m2", dict(class_prior=(0.5, 0.6)), "class_prior: got 2 numbers of sum 1.1"),
        ("vae", dict(clusters=2), "clusters: got 2 for vae, which has no class y; allowed: none"),
        ("m1", dict(clusters=2), "clusters: got 2 for m1, which has no class y; allowed: none"),
    ],
)
def test_what_a_model_cannot_have_is_refused(tmp_path, model, given, message):
    with pytest.raises(ValueError, match=message):
        _model(_own(tmp_path), model, **given)


def test_labels_that_are_not_there_say_nothing(tmp_path):
    np.savez(tmp_path / "own.npz", x=np.random.default_rng(0).normal(size=(20, 3)))
    model, names = _model(f"npz:{tmp_path / 'own.npz'}", clusters=3)  # as with labels=0
    assert model.class_prior is None and names == ["cluster 0", "cluster 1", "cluster 2"]
    with pytest.raises(ValueError, match="class_prior: got labels for npz:.*, which has none; allowed: uniform, auto"):
        _model(f"npz:{tmp_path / 'own.npz'}", clusters=3, class_prior="labels")


def test_further_values_have_names_of_their_own_and_their_uniform_share(tmp_path):
    model, names = _model(_own(tmp_path), clusters=2)
    assert names == ["a", "b", "cluster 1", "cluster 2"] and model.num_classes == 4 and model.learns_from_labels
    assert model.class_prior == pytest.approx((41 / 124, 21 / 124, 1 / 4, 1 / 4))
    data, _ = build.load_data(recipes.resolve("m2", _own(tmp_path)))
    data.class_names, settings = ["cluster 1", "b"], recipes.resolve("m2", "npz:x", clusters=2)
    assert build.value_names(settings, data) == [
        "cluster 1",
        "b",
        "cluster 2",
        "cluster 3",
    ]
    assert _model("digits", clusters=15, labels=50)[0].objective.exact_classes is None
    assert _model(_own(tmp_path), clusters=20)[0].objective.exact_classes == 2  # of more than 20 values


def test_a_run_that_was_begun_with_a_uniform_prior_goes_on_with_it(tmp_path):
    settings = recipes.resolve("m2", "npz:own.npz")
    assert settings.class_prior == "auto" and resuming.as_begun(settings, tmp_path).class_prior == "auto"
    before = dataclasses.asdict(settings)
    del before["class_prior"]
    (tmp_path / "config.json").write_text(json.dumps(dict(settings=before)))
    assert resuming.as_begun(settings, tmp_path).class_prior == "uniform"
    given = dataclasses.replace(settings, class_prior=(0.9, 0.1))
    assert resuming.as_begun(given, tmp_path).class_prior == (0.9, 0.1)  # refused later, as another configuration
    again = run_directory.Settings(**json.loads(json.dumps(dataclasses.asdict(given))))
    assert again == given


@pytest.fixture(scope="module")
def blobs(tmp_path_factory):
    """A run on three blobs, of which two have labels, with one further value of y: (directory, results, x, blob)."""
    directory = tmp_path_factory.mktemp("blobs")
    generator, blob = np.random.default_rng(0), np.arange(600) % 3
    x = (MEANS[blob] + generator.normal(size=(600, 2))).astype("float32")
    y = np.where((blob < 2) & (np.arange(600) < 60), np.array(["left", "right", "top"])[blob], "")
    test = blob[:200] < 2
    y_test = np.array(["left", "right", "top"])[blob[:200]][test]
    np.savez(directory / "own.npz", x=x, y=y, x_test=x[:200][test], y_test=y_test)
    sizes = dict(hidden=(20,), dim_z=2, density_samples=2, density_examples=10, test_samples=1)
    settings = recipes.resolve("m2", f"npz:{directory / 'own.npz'}", clusters=1, epochs=60, **sizes)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "figures", figures)
        return directory / "run", run.train(settings, directory / "run", quiet=True), x, blob


def test_the_blob_without_labels_becomes_a_value_of_its_own(blobs, tmp_path):
    """Through the whole way: its name is in the export's answers, and the named classes are recognised."""
    directory, results, x, blob = blobs
    np.savez(tmp_path / "x.npz", x=x)
    export = classification.Classifier(directory / "export")
    answers = [record["class"] for record in records.of_files(export, [tmp_path / "x.npz"], 600, 0)]
    assert np.mean(np.array(["left", "right", "cluster 1"])[blob] == answers) > 0.95
    assert results["test_error"] < 0.05 and set(results["recall"]) == {"left", "right"}
    assert (directory / "figures" / "confusion_matrix.png").exists()


def test_a_free_value_is_wrong_where_the_class_has_a_name_and_right_where_it_has_no_label(blobs):
    directory, _, x, blob = blobs
    opened = run_directory.Run.open(directory)
    data, split = opened.data()
    top = ("test", x[blob == 2][:50], np.zeros(50, "int64"))  # called "left"
    results, _, probabilities = report.evaluate(opened.model, opened.settings, data, split, measured=top)
    assert results["test_error"] > 0.9 and probabilities.shape == (50, 3) and "classes_without_labels" not in results
    names = ["left", "right", "top"]
    data = dataclasses.replace(data, class_names=names, labelled_classes=(0, 1), x_test=x[:90], y_test=blob[:90])
    results, y, probabilities = report.evaluate(opened.model, opened.settings, data, split)
    assert results["test_error"] < 0.1 and results["classes_without_labels"] == ["top"]
    assert results["recall"]["top"] == np.mean(probabilities[y == 2].argmax(1) == 2) > 0.9


def test_a_fold_is_answered_among_all_values_and_has_the_prior_of_its_own_labels(tmp_path, monkeypatch):
    settings = recipes.resolve("m2", _own(tmp_path, (40, 3)), clusters=2, hidden=(4,), validation=0, cross_fit=3)
    data, split = build.load_data(settings)
    made = []

    def untrained(settings, data, split, *_):
        made.append((build.make_model(settings, data, split), split))
        return made[-1][0], None, None

    monkeypatch.setattr(build, "train", untrained)
    found = cross_fit.measure(settings, data, split, tmp_path / "run", quiet=True)
    assert found["crossfit_examples"] == 43 and 0 <= found["crossfit_balanced_accuracy"] <= 1
    for model, part in made:
        rare = np.sum(data.y_train[part.labelled] == 1)
        assert model.class_prior[1] == pytest.approx(0.5 * (rare + 1) / (len(part.labelled) + 2))
