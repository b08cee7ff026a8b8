"""A search: its first trial is the settings as they are, it goes on where it stopped, and never sees the test set."""

import dataclasses
import json
import signal

import numpy as np
import pytest
from calling import call, with_flags

from tfadgm.cli import asked, train
from tfadgm.runs import allowed, build, recipes, run_directory, search_space
from tfadgm.training import stopping

optuna = pytest.importorskip("optuna")
search = pytest.importorskip("tfadgm.runs.search")

TINY = dict(hidden=(8,), dim_z=(2,), labels=30, validation=60, epochs=3, batch=700, checkpoint_seconds=0.0)


@pytest.fixture
def no_test_set(monkeypatch):
    """The data of a search have no test set."""
    load = build.load_data

    def without(settings, **manner):
        data, split = load(settings, **manner)
        return dataclasses.replace(data, x_test=None, y_test=None), split

    monkeypatch.setattr(build, "load_data", without)


@pytest.mark.parametrize("model, dataset", [("adgm", "digits"), ("cagem", "mnist"), ("vae", "mnist"), ("lvae", "digits")])
def test_with_the_defaults_of_the_space_the_settings_stay_what_they_are(model, dataset):
    settings = recipes.resolve(model, dataset, beta=50.0, average=0.98, classifier_samples=30, hidden=(9, 7, 5, 4, 3))
    settings = dataclasses.replace(settings, dim_z=settings.dim_z or (50,))
    space = search_space.space(settings, model not in ("vae", "lvae"))
    values = {name: parameter.default for name, parameter in space.items()}
    assert search_space.applied(settings, values) == settings
    fixed = optuna.trial.FixedTrial(values)
    assert {name: parameter.suggest(fixed, name) for name, parameter in space.items()} == values
    assert ("beta" in space) is (model in ("adgm", "cagem"))
    other = search_space.applied(settings, values | dict(width=2.0, layers=2, latents=0.01))
    assert other.hidden == (18, 14) and set(other.dim_z) == {1}
    assert space["layers"].low == 1
    assert search_space.space(dataclasses.replace(settings, shared_encoder="on"), True)["layers"].low == 2


def test_a_search_goes_on_where_it_stopped_as_if_it_had_not(tmp_path, monkeypatch, no_test_set):
    settings = recipes.resolve("m2", "digits", **TINY)
    whole = search.search(settings, tmp_path / "whole", "error", 2, quiet=True)
    assert whole["trials"] == 2 and whole["best"] <= whole["default"] and whole["examples"] == 60
    report = search.Report.on_epoch_end

    def stops(self, epoch, logs=None):
        if self.trial.number == 1 and epoch == 1:
            raise stopping.stopped(signal.SIGTERM, "after a step")
        report(self, epoch, logs)

    with monkeypatch.context() as patch:
        patch.setattr(search.Report, "on_epoch_end", stops)
        with pytest.raises(stopping.Terminated):
            search.search(settings, tmp_path / "parts", "error", 3, quiet=True)
    assert search.search(settings, tmp_path / "parts", "error", 2, quiet=True) == whole
    places = [f"sqlite:///{tmp_path / part / allowed.SEARCH}" for part in ("whole", "parts")]
    studies = [optuna.load_study(study_name="search", storage=place) for place in places]
    one, other = ([(t.params, t.value, t.intermediate_values) for t in study.trials] for study in studies)
    assert one == other and len(one) == 2 and one[0][1] == pytest.approx(whole["default"])
    assert search.search(settings, tmp_path / "parts", "error", 9, minutes=1e-6, quiet=True)["trials"] == 2
    assert {path.name for path in (tmp_path / "parts").glob("*.png")} >= {"history.png", "slices.png"}
    with pytest.raises(ValueError, match="holds a search of another configuration: beta was 1.0, now 2.0"):
        search.search(dataclasses.replace(settings, beta=2.0), tmp_path / "parts", "error", 3, quiet=True)
    best = with_flags(train, [f"--config={tmp_path / 'whole' / 'best.yaml'}"], lambda argv: asked.settings())
    begun = run_directory.read_json(tmp_path / "whole" / "trials" / str(whole["best_trial"]) / "config.json")["settings"]
    assert json.loads(json.dumps(dataclasses.asdict(best))) == begun
    model = run_directory.Run.open(tmp_path / "whole" / "trials" / str(whole["best_trial"])).model
    data, split = build.load_data(best)
    assert search.measure(model, "error", data, split) == pytest.approx(whole["best"])


def test_a_trial_that_is_worse_is_given_up_and_one_that_fails_is_told(tmp_path, monkeypatch, no_test_set, capsys):
    class All(optuna.pruners.BasePruner):
        def prune(self, study, trial):
            return trial.number == 1

    monkeypatch.setattr(optuna.pruners, "MedianPruner", lambda **_: All())
    made = build.train

    def train_but_one(settings, data, split, path, *arguments):
        if path.name == "2":
            raise ValueError("the objective became nan")
        return made(settings, data, split, path, *arguments)

    monkeypatch.setattr(build, "train", train_but_one)
    found = search.search(recipes.resolve("m2", "digits", **TINY), tmp_path / "s", "nll", 3, quiet=True)
    assert (found["trials"], found["pruned"], found["failed"], found["best_trial"], found["changed"]) == (3, 1, 1, 0, {})
    assert "warning: trial 2 failed: the objective became nan" in capsys.readouterr().err


def test_the_first_trial_must_do(tmp_path, monkeypatch):
    def fails(*arguments):
        raise ValueError("the objective became nan")

    monkeypatch.setattr(build, "train", fails)
    with pytest.raises(ValueError, match="became nan"):
        search.search(recipes.resolve("m2", "digits", **TINY), tmp_path / "s", "nll", 3, quiet=True)


def test_what_is_measured_is_of_the_validation_examples(monkeypatch):
    data = type("Data", (), dict(x_train=np.arange(5), y_train=np.array([0, 1, 1, 0, 1])))
    split = type("Split", (), dict(validation=np.array([1, 3])))
    answers = np.array([[0.5, 0.5], [0.2, 0.8], [0.5, 0.5], [0.1, 0.9], [0.5, 0.5]])
    monkeypatch.setattr(search.evaluation, "class_probabilities", lambda model, x, samples: answers[x])
    monkeypatch.setattr(search.evaluation, "elbo", lambda model, x: -x.astype("float32"))
    assert search.measure(None, "error", data, split) == 0.5 and search.measure(None, "bound", data, split) == 2.0
    assert search.measure(None, "nll", data, split) == pytest.approx(-(np.log(0.8) + np.log(0.1)) / 2)


@pytest.mark.parametrize(
    "given, message",
    [
        (["--model=vae", "--objective=error"], "objective: got error for vae without labels; allowed: bound"),
        (["--model=m1m2"], "model: got m1m2, whose first model is another run; allowed: with --first_run=DIR"),
        (["--validation=50", "--patience=3"], "patience: got 3; allowed: none"),
        ([f"--out={__file__}"], "is a file; allowed: a directory"),
    ],
)
def test_what_cannot_be_searched_is_refused(given, message, capsys):
    assert call("search", "--dataset=digits", *given) == 1
    assert message in capsys.readouterr().err


def test_a_directory_of_something_else_is_refused(tmp_path):
    (tmp_path / "x").write_text("")
    with pytest.raises(ValueError, match="is not empty and holds no search"):
        allowed.check_search(tmp_path)
