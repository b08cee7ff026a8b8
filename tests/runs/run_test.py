"""The whole path on digits: the run directory, resuming after kill -9, and what is refused before anything is written."""

import csv
import dataclasses
import json
import os
import pathlib
import random
import re
import shutil
import signal
import subprocess
import sys
import time

import keras
import light
import numpy as np
import pytest
import tensorflow as tf

from tfadgm import evaluation, machine
from tfadgm.data.csv import load as load_csv
from tfadgm.evaluation import answers
from tfadgm.models.m1 import M1
from tfadgm.reporting import figures, report
from tfadgm.runs import build, lock, recipes, reference, report_page, run, run_directory
from tfadgm.runs.report_page import write as write_page
from tfadgm.serving import classification, export, records
from tfadgm.training import callbacks

ROOT = pathlib.Path(__file__).resolve().parents[2]
TINY = dict(
    hidden=(16,), dim_z=3, epochs=3, density_samples=4, density_examples=20, test_samples=5, select=False, stop="none"
)


def tiny(model="adgm", dataset="digits", **changes):
    own = {} if model in ("vae", "m2") else {"dim_a": 3}
    return recipes.resolve(model, dataset, **{**TINY, **own, **changes})


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished run of `tiny()`: (directory, results)."""
    directory = tmp_path_factory.mktemp("runs") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(report_page, "write", write_page)
        patch.setattr(run, "figures", figures)
        return directory, run.train(tiny(), directory, quiet=True)


@pytest.fixture
def light_runs():
    """See `light.runs`."""
    with light.runs():
        yield


@pytest.fixture
def with_figures(monkeypatch):
    """Runs draw their figures, which conftest.py leaves out."""
    monkeypatch.setattr(run, "figures", figures)


@pytest.fixture
def few_anchors(monkeypatch):
    """The classifier of M1, a first stage too, is a small one."""
    monkeypatch.setitem(M1.__init__.__kwdefaults__, "anchors", 50)


def test_a_run_that_was_begun_with_another_preprocessing_does_not_go_on(tmp_path):
    x = np.random.default_rng(0).integers(0, 256, (30, 4, 4, 3)).astype("uint8")
    np.savez(tmp_path / "x.npz", x=x, y=np.arange(30) % 2)
    settings = tiny(dataset=f"npz:{tmp_path / 'x.npz'}", labels=None)
    data, split = build.load_data(settings)
    model, directory = build.make_model(settings, data, split), tmp_path / "run"
    for _ in range(2):
        run_directory.begin(settings, directory, data, split, model, ["0", "1"])
    config = run_directory.read_json(directory / "config.json")
    config["model_config"]["preprocess"]["shift"] = 0.0  # as if only divided by the spread
    run_directory.write_json(directory / "config.json", config)
    with pytest.raises(ValueError, match="another preprocessing of x than now.*; allowed: another directory"):
        run_directory.begin(settings, directory, data, split, model, ["0", "1"])


RESULTS = {
    *("model", "dataset", "labels", "seed", "test_error", "test_error_stderr", "test_examples", "ece", "nll", "elbo"),
    *("log_density", "log_density_samples", "supervised_baseline_error", "train_seconds", "epochs", "steps_per_second"),
    "peak_memory_mb",
}


def test_the_run_directory_is_complete(finished):
    directory, results = finished
    assert RESULTS <= set(json.loads((directory / "results.json").read_text()))
    assert results["test_examples"] == 500 and 0 <= results["test_error"] <= 1 and results["epochs"] == 3
    config = json.loads((directory / "config.json").read_text())
    assert config["versions"]["tensorflow"] and config["settings"]["hidden"] == [16]
    with np.load(directory / config["split"], allow_pickle=False) as split:
        assert len(split["labelled"]) == 100
    with open(directory / "metrics.csv") as file:
        assert [row["epoch"] for row in csv.DictReader(file)] == ["1", "2", "3"]
    assert list((directory / "tensorboard").iterdir()) and list((directory / "figures").glob("*.png"))
    assert (directory / "export" / "1" / "saved_model.pb").exists()


def test_the_export_compares_new_examples_with_the_held_out_ones(finished, tmp_path):
    directory, _ = finished
    usual = reference.read(directory)
    assert usual.of == "test" and len(usual.log_density) == 500
    x = run_directory.Run.open(directory).held_out()[0]
    found = classification.Classifier(directory / "export", novelty=True).novelty(x)
    np.testing.assert_allclose(np.sort(found[:, 0]), usual.log_density, rtol=1e-4)
    np.testing.assert_allclose(np.sort(found[:, 1]), (2 + np.arange(500)) / 501, atol=3 / 501)  # each is one of them
    card = (directory / "export" / "1" / export.CARD_FILE).read_text()
    assert f"{100 * finished[1]['test_error']:.2f}%" in card and "among that of 500 test examples" in card
    (tmp_path / reference.NAME).write_text('{"of": "test", "samples": 2, "log_density": ["no"]}')
    with pytest.raises(ValueError, match=r"novelty.json: .*bin/evaluate --run="):
        reference.read(tmp_path)


def test_the_run_ends_with_a_page_of_its_results_its_warnings_and_its_command(finished):
    directory, results = finished
    page = (directory / "report.html").read_text()
    assert f"{100 * results['test_error']:.1f}%" in page and 'class="failed"' not in page
    assert "in which a model hardly learns" in page and f"--out={directory}" in page and "--hidden=16 " in page


def test_results_are_those_of_the_stored_model(finished):
    directory, results = finished
    opened = run_directory.Run.open(directory)
    again, _, _ = report.evaluate(opened.model, opened.settings, *opened.data())
    for name in ("test_error", "ece", "nll", "elbo", "log_density", "supervised_baseline_error"):
        assert again[name] == pytest.approx(results[name], rel=1e-5), name


@pytest.mark.usefixtures("with_figures")
def test_training_and_opening_a_run_leave_the_programs_own_random_numbers_alone(finished, tmp_path):
    directory, _ = finished
    found = []
    for act in (lambda: None, lambda: run_directory.Run.open(directory), lambda: run.train(tiny(epochs=1), tmp_path, True)):
        keras.utils.set_random_seed(5)  # Python, NumPy, Keras and TensorFlow
        act()
        numbers = [float(tf.random.normal(())), float(keras.random.normal(()))]
        found.append((random.random(), np.random.random(), *numbers))
    assert found[0] == found[1] == found[2]


def test_a_complete_run_is_not_trained_again(finished):
    directory, results = finished
    before = (directory / "model.weights.h5").stat().st_mtime_ns
    assert run.train(tiny(), directory, quiet=True) == json.loads(json.dumps(results))
    assert (directory / "model.weights.h5").stat().st_mtime_ns == before


def test_another_configuration_is_refused_and_nothing_is_overwritten(finished):
    directory, _ = finished
    before = {path: path.stat().st_mtime_ns for path in directory.rglob("*") if path.is_file()}
    with pytest.raises(ValueError, match="another configuration: beta was 1.0, now 3.0; allowed"):
        run.train(tiny(beta=3.0), directory, quiet=True)
    assert before == {path: path.stat().st_mtime_ns for path in directory.rglob("*") if path.is_file()}


def test_a_directory_with_other_files_is_refused(tmp_path):
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(ValueError, match="not empty and holds no run"):
        run.train(tiny(), tmp_path, quiet=True)
    with pytest.raises(ValueError, match="is a file"):
        run.train(tiny(), tmp_path / "thesis.tex", quiet=True)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_full_disk_is_refused_before_any_work(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**9, 10**9, 1 << 20))
    with pytest.raises(ValueError, match="1 MiB of free disk; allowed: at least"):
        run.train(tiny(), tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "changes, message",
    [
        (dict(labels=5), "labels: got 5; allowed: 0, or 10"),
        (dict(labels=5000), "labels: got 5000"),
        (dict(label_draw="paper"), "label_draw: got 'paper' for digits"),
        (dict(dataset="half_moons", label_draw="paper", labels=8), "allowed: labels=6"),
        (dict(validation=5000), "validation: got 5000"),
        (dict(exact_classes=9), "exact_classes: got 9 of 10 classes; allowed: none, or 1 to 8"),
        (dict(trunk="conv", filters=(8, 0)), r"filters: got \(8, 0\)"),
        (dict(samples=2, classifier_samples=1), "classifier_samples: got 1"),
        (dict(batch=1), "batch: got 1 of 1297 unlabelled examples for 1 replicas, with batch_norm; allowed: at least 2"),
        (dict(min_column_std=99.0), "drops every column"),
        (dict(a_sees_x=True, auxiliary="uninformed"), "a_sees_x needs"),
        (dict(strategy="mirrored", model="sdgm", auxiliary="deterministic"), "impossible factorisation"),
    ],
    ids=str,
)
def test_bad_settings_are_refused_before_anything_is_written(tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        run.train(tiny(**changes), tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()


def test_an_option_that_a_model_lacks_is_refused(tmp_path):
    with pytest.raises(ValueError, match="a_sees_x: model m2 has no such option; allowed: dim_z"):
        run.train(tiny("m2", a_sees_x=True), tmp_path / "run", quiet=True)
    with pytest.raises(ValueError, match="dim_a: model m2 has no such option; allowed: dim_z"):
        run.train(tiny("m2", dim_a=3), tmp_path / "run", quiet=True)
    with pytest.raises(ValueError, match="exact_classes: got 1 of 2 classes; allowed: none$"):
        run.train(tiny(dataset="half_moons", labels=6, exact_classes=1), tmp_path / "run", quiet=True)


@pytest.mark.usefixtures("light_runs")
def test_validation_chooses_the_weights_unless_the_last_are_kept(tmp_path):
    for keep in ("best", "last"):
        settings = tiny("m2", validation=50, keep=keep, epochs=2, density_examples=5)
        results = run.train(settings, tmp_path / keep, quiet=True)
        assert settings.chooses == ("weights_chosen_by_validation" in results) == (keep == "best")
        assert (tmp_path / keep / "checkpoints" / "best.weights.h5").exists() == (keep == "best")
        assert len(callbacks.read_rows(tmp_path / keep / "metrics.csv")[-1]["validation_error"]) > 0


@pytest.mark.usefixtures("light_runs")
def test_a_run_without_test_set_and_with_validation(tmp_path):
    data, _ = build.load_data(tiny())
    np.savez(tmp_path / "own.npz", x=data.x_train[:300], y=np.where(np.arange(300) < 200, data.y_train[:300], -1))
    settings = tiny("sdgm", f"npz:{tmp_path / 'own.npz'}", labels=40, validation=60, patience=2, epochs=4)
    results = run.train(settings, tmp_path / "run", quiet=True)
    assert results["evaluated_on"] == "validation" and results["validation_examples"] == 60
    rows = callbacks.read_rows(tmp_path / "run" / "metrics.csv")
    assert results["best_validation_error"] == pytest.approx(min(float(row["validation_error"]) for row in rows))


@pytest.mark.usefixtures("light_runs")
def test_own_data_are_measured_by_themselves_and_on_another_file(tmp_path, capsys):
    from calling import call

    data, _ = build.load_data(tiny())
    x, y = data.x_train.reshape(len(data.x_train), -1), data.y_train
    for name, rows in (("own", slice(0, 400)), ("new", slice(400, 450))):
        np.savez(tmp_path / f"{name}.npz", x=x[rows], y=y[rows])
    settings = tiny("m2", f"npz:{tmp_path / 'own.npz'}", labels=None, epochs=2, likelihood="gaussian")
    results = run.train(settings, tmp_path / "run", quiet=True)
    assert results["evaluated_on"] == "validation" and results["validation_examples"] == 80
    assert "weights_chosen_by_validation" not in results and not list(tmp_path.rglob("best.weights.h5"))
    assert "is lost" not in capsys.readouterr().err
    assert not call("evaluate", f"--run={tmp_path / 'run'}", f"--data={tmp_path / 'new.npz'}", "--density_samples=2")
    assert "data error" in capsys.readouterr().out
    found = json.loads((tmp_path / "run" / "evaluation.json").read_text())
    assert found["data_examples"] == 50 and found["data"].endswith("new.npz") and 0 <= found["data_error"] <= 1


@pytest.mark.usefixtures("light_runs")
def test_few_labels_are_kept_and_it_is_said_that_nothing_was_measured(tmp_path):
    data, _ = build.load_data(tiny())
    np.savez(tmp_path / "own.npz", x=data.x_train[:300], y=np.where(np.arange(300) < 60, data.y_train[:300], -1))
    results = run.train(tiny("m2", f"npz:{tmp_path / 'own.npz'}", labels=None, epochs=1), tmp_path / "run", quiet=True)
    assert results["evaluated_on"] == "train" and "--validation=N" in results["not_measured"]
    assert not any(name.endswith("_error") for name in results if name != "best_validation_error")


@pytest.mark.usefixtures("light_runs")
def test_a_run_that_was_begun_without_held_out_examples_goes_on_without(tmp_path):
    data, _ = build.load_data(tiny())
    np.savez(tmp_path / "own.npz", x=data.x_train[:200], y=data.y_train[:200])
    given = dict(labels=None, epochs=1, density_examples=5)
    before = run.train(tiny("m2", f"npz:{tmp_path / 'own.npz'}", validation=0, **given), tmp_path / "run", quiet=True)
    again = run.train(tiny("m2", f"npz:{tmp_path / 'own.npz'}", **given), tmp_path / "run", quiet=True)
    assert again == json.loads(json.dumps(before)) and again["evaluated_on"] == "train"


@pytest.mark.usefixtures("with_figures")
def test_one_held_out_example_and_one_that_is_far_out_do_not_end_a_run(tmp_path, capsys):
    x = np.random.default_rng(0).normal(size=(60, 3)).astype("float32")
    y, far = (x[:, 0] > 0).astype(int), x[:5].copy()
    far[2] = 3e38
    np.savez(tmp_path / "own.npz", x=x, y=y)
    np.savez(tmp_path / "far.npz", x=x, y=y, x_test=far, y_test=y[:5])
    one = run.train(tiny("vae", f"npz:{tmp_path / 'own.npz'}", validation=1, epochs=1), tmp_path / "one", quiet=True)
    assert one["elbo_stderr"] is None and one["not_finite"]["elbo_stderr"] == "of one example" and one["elbo"]
    results = run.train(tiny("m2", f"npz:{tmp_path / 'far.npz'}", labels=None, epochs=1), tmp_path / "run", quiet=True)
    assert results["test_examples"] == 5 and np.isfinite(results["elbo"])  # cut to what the scale has room for
    assert "not drawn" not in capsys.readouterr().err
    for name in ("one", "run"):
        text = (tmp_path / name / "results.json").read_text()
        json.loads(text, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))


@pytest.mark.usefixtures("light_runs")
def test_a_density_without_classes(tmp_path):
    results = run.train(tiny("vae"), tmp_path / "run", quiet=True)
    assert "test_error" not in results and np.isfinite(results["elbo"])
    assert results["log_density"] > results["elbo"] - 1.0


def write_wine(path, outlier=None):
    """Writes scikit-learn's wine as a csv file with some unlabelled rows; returns its data frame."""
    from sklearn.datasets import load_wine

    frame = load_wine(as_frame=True).frame.sample(frac=1, random_state=0, ignore_index=True)
    frame["label"] = frame.pop("target").map("class {}".format).where(frame.index % 3 > 0, "?")
    if outlier is not None:
        frame.loc[7, "ash"] = outlier
    frame.to_csv(path)
    return frame


def test_a_table_is_told_trained_and_classified_by_the_names_of_its_columns(tmp_path, capsys):
    frame = write_wine(tmp_path / "wine.csv", outlier=1e12)
    settings = tiny("m2", f"csv:{tmp_path / 'wine.csv'}", labels=None, validation=30, density_examples=5)
    results = run.train(settings, tmp_path / "run")
    told = capsys.readouterr()
    assert "x: 13 columns: 13 numbers ('alcohol', " in told.out and "'?' 60" in told.out
    assert "column '' identifies the rows" in told.out and "column 'ash': 1 value is far outside" in told.err
    assert all(np.isfinite(value) for value in results.values() if isinstance(value, float))
    kept = [name for name in frame if name != "label"]
    frame[kept].to_csv(tmp_path / "same.csv", index=False)
    frame[kept[::-1]].to_csv(tmp_path / "turned.csv")
    classifier = classification.Classifier(tmp_path / "run" / "export")
    assert classifier.feature_names == kept
    found = list(records.of_files(classifier, [tmp_path / "same.csv", tmp_path / "turned.csv"]))
    same, turned = (np.array([list(r["probabilities"].values()) for r in part]) for part in (found[:178], found[178:]))
    np.testing.assert_allclose(same, turned, atol=1e-5)
    frame.rename(columns={"ash": "ashes"}).to_csv(tmp_path / "other.csv")
    with pytest.raises(ValueError, match="other.csv: has no column 'ash'; allowed: the columns that the model"):
        next(records.of_files(classifier, [tmp_path / "other.csv"]))


def test_a_run_of_before_names_and_stratified_hold_out_still_opens(tmp_path):
    write_wine(tmp_path / "wine.csv")
    old = load_csv(str(tmp_path / "wine.csv"), kinds=False)  # as it was: an array
    np.savez(tmp_path / "wine.npz", x=old.x_train, y=old.y_train)
    settings = tiny("m2", f"npz:{tmp_path / 'wine.npz'}", labels=None, validation=30, epochs=1, density_examples=5)
    with light.runs():
        run.train(settings, tmp_path / "run", quiet=True)
    data, before = build.load_data(settings, stratified=False)
    now = run_directory.Run.open(tmp_path / "run").data()[1]
    assert not np.array_equal(before.validation, now.validation)
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    for name in ("hold_out", "feature_names", "columns", "ranges"):
        del config[name]
    for name in ("transform", "limit"):
        del config["model_config"]["preprocess"][name]
    config["data"], config["settings"]["dataset"] = None, f"csv:{tmp_path / 'wine.csv'}"
    for name in ("label", "columns", "ignore", "hidden_cells"):
        del config["settings"][name]
    (tmp_path / "run" / "config.json").write_text(json.dumps(config))
    np.savez(tmp_path / "run" / "split.npz", **dataclasses.asdict(before))
    opened = run_directory.Run.open(tmp_path / "run")
    assert np.array_equal(opened.data()[1].validation, before.validation)
    assert np.array_equal(opened.data()[0].x_train, old.x_train) and opened.data()[0].columns is None
    classifier = classification.Classifier(opened.export(tmp_path / "export", model_name="old"))
    assert classifier.feature_names is None and classifier.ranges is None


@pytest.mark.usefixtures("light_runs")
def test_a_budget_in_minutes_has_a_row_for_each_epoch_also_for_one_that_it_cut(tmp_path):
    results = run.train(tiny(epochs=None, minutes=0.001), tmp_path / "run", quiet=True)
    assert results["epochs"] >= 1
    assert len(callbacks.read_rows(tmp_path / "run" / "metrics.csv")) == results["epochs"]


def test_divergence_stops_with_the_last_good_weights(tmp_path, monkeypatch):
    monkeypatch.setattr(callbacks.Clock, "rate", lambda self: 1e-3 if self.state.epoch == 0 else 1e30)
    settings = tiny(max_norm=None, max_value=None, epochs=5)
    with pytest.raises(callbacks.TrainingDiverged, match="objective became"):
        run.train(settings, tmp_path / "run", quiet=True)
    assert not (tmp_path / "run" / "results.json").exists()
    kept = tf.train.load_checkpoint(tf.train.latest_checkpoint(str(tmp_path / "run" / "checkpoints")))
    weights = [kept.get_tensor(name) for name in kept.get_variable_to_shape_map() if name.startswith("weights/")]
    assert len(weights) > 10 and all(np.isfinite(weight).all() for weight in weights)
    assert len(callbacks.read_rows(tmp_path / "run" / "metrics.csv")) == 1


def test_a_run_of_older_settings_goes_on_and_one_of_unknown_settings_is_refused(finished, tmp_path):
    directory, results = finished
    shutil.copytree(directory, tmp_path / "old")
    path = tmp_path / "old" / "config.json"
    config = json.loads(path.read_text())
    del config["settings"]["adam_epsilon"]
    config["settings"]["retired"] = None  # an option of former times that was not set
    path.write_text(json.dumps(config))
    assert run.train(tiny(), tmp_path / "old", quiet=True)["elbo"] == pytest.approx(results["elbo"])
    assert run_directory.Run.open(tmp_path / "old").settings.adam_epsilon == 1e-7
    path.write_text(json.dumps({**config, "settings": {**config["settings"], "reverse": True}}))
    with pytest.raises(ValueError, match="config.json: got the settings reverse; allowed: those that"):
        run_directory.Run.open(tmp_path / "old")


@pytest.mark.parametrize("content", ["{}", "[]", '{"settings": 3}', '{"settings": {}}'])
def test_a_foreign_config_is_refused(tmp_path, content):
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(ValueError, match=r"config.json: has no .*; allowed: a config.json that bin/train wrote"):
        run_directory.Run.open(tmp_path)
    if content != '{"settings": {}}':
        with pytest.raises(ValueError, match="config.json: has no settings"):
            run.train(tiny(), tmp_path, quiet=True)


@pytest.mark.usefixtures("light_runs")
def test_a_run_that_was_killed_before_its_config_begins_again(tmp_path):
    (tmp_path / "split.npz").write_bytes(b"half")
    assert run.train(tiny(epochs=1), tmp_path, quiet=True)["epochs"] == 1
    with np.load(tmp_path / "split.npz") as split:
        assert len(split["labelled"]) == 100


@pytest.mark.usefixtures("light_runs")
def test_another_split_than_the_runs_is_refused_where_no_hash_of_the_data_is_known(tmp_path):
    def write(order):
        data, _ = build.load_data(tiny())
        np.savez(tmp_path / "own.npz", x=data.x_train[order], y=data.y_train[order])

    write(np.arange(300))
    settings = tiny("m2", f"npz:{tmp_path / 'own.npz'}", labels=40, epochs=1, density_examples=5)
    run.train(settings, tmp_path / "run", quiet=True)
    config = run_directory.read_json(tmp_path / "run" / "config.json")
    run_directory.write_json(tmp_path / "run" / "config.json", {**config, "data": None})  # a run of former times
    write(np.arange(300)[::-1])
    with pytest.raises(ValueError, match="split.npz: labelled examples are others than when the run began; allowed: "):
        run_directory.Run.open(tmp_path / "run").data()
    (tmp_path / "run" / "results.json").unlink()
    with pytest.raises(ValueError, match="split.npz: labelled examples are others"):
        run.train(settings, tmp_path / "run", quiet=True)


# ----------------------------------------------------------------------------------------------------------- kill -9

KILL_FLAGS = [
    "--model=adgm",
    "--dataset=digits",
    "--epochs=40",
    "--hidden=16",
    "--dim_z=3",
    "--dim_a=3",
    "--batch_norm=true",
]
KILL_FLAGS += [
    "--checkpoint_seconds=0",
    "--density_samples=2",
    "--density_examples=10",
    "--validation=50",
    "--warmup_epochs=5",
]


def train_command(out):
    return [sys.executable, str(ROOT / "tests" / "light_bin.py"), "train", *KILL_FLAGS, f"--out={out}"]


def ended_after(rows, number, out):
    """Sends the signal when metrics.csv has so many rows; returns (exit code, lines of stderr that are no progress)."""
    process = subprocess.Popen(
        [*train_command(out), "--quiet"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    metrics, deadline = out / "metrics.csv", time.monotonic() + 120
    while len(callbacks.read_rows(metrics)) < rows and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(process.pid, number)
    told = process.communicate(timeout=120)[1].splitlines()
    return process.returncode, [line for line in told if not line.startswith("warning: ")]


def test_sigterm_kill_9_and_the_same_command_again_give_the_same_weights_bit_for_bit(tmp_path):
    quiet = subprocess.run([*train_command(tmp_path / "whole"), "--quiet"], check=True, capture_output=True, text=True)
    assert all(line.startswith("warning: ") for line in quiet.stderr.splitlines()), quiet.stderr
    code, told = ended_after(4, signal.SIGTERM, tmp_path / "killed")
    assert code == 143 and len(told) == 1
    assert re.fullmatch(
        r"terminated after step \d+ of 12 of epoch \d+; the same command goes on from the last checkpoint", told[0]
    )
    assert ended_after(8, signal.SIGKILL, tmp_path / "killed") == (-9, [])
    rows = callbacks.read_rows(tmp_path / "killed" / "metrics.csv")
    assert 8 <= len(rows) < 40, "the run must be killed in its middle"
    assert (tmp_path / "killed" / lock.NAME).exists()  # and yet it is not locked
    done = subprocess.run(train_command(tmp_path / "killed"), check=True, capture_output=True, text=True)
    assert "test error" in done.stdout
    whole, killed = (run_directory.Run.open(tmp_path / name) for name in ("whole", "killed"))
    assert whole.config["resolved"]["threads"] == (1 if machine.cores() == 2 else "all cores")
    for a, b in zip(whole.model.weights, killed.model.weights, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy(), err_msg=a.path)
    rows = [callbacks.read_rows(tmp_path / name / "metrics.csv") for name in ("whole", "killed")]
    for a, b in zip(*rows, strict=True):
        assert {k: v for k, v in a.items() if k != "seconds"} == {k: v for k, v in b.items() if k != "seconds"}


# -------------------------------------------------------------------------------------------------------- evaluation


def test_calibration_error_by_hand():
    probabilities = np.array([[0.9, 0.1], [0.9, 0.1], [0.6, 0.4], [0.2, 0.8]])
    y = np.array([0, 1, 0, 1])
    # bins of 0.9: accuracy 0.5, confidence 0.9; 0.6: 1, 0.6; 0.8: 1, 0.8
    expected = (2 * 0.4 + 1 * 0.4 + 1 * 0.2) / 4
    assert evaluation.expected_calibration_error(probabilities, y) == pytest.approx(expected)


def test_density_in_chunks_equals_density_at_once(finished, monkeypatch):
    opened = run_directory.Run.open(finished[0])
    data, _ = opened.data()
    whole = evaluation.log_density(opened.model, data.x_test[:40], samples=400)
    monkeypatch.setattr(answers, "MEMORY_VALUES", 64 * 10 * 20 * 7)
    parts = evaluation.log_density(opened.model, data.x_test[:40], samples=400)
    np.testing.assert_allclose(whole.mean(), parts.mean(), atol=0.2)
    few = evaluation.log_density(opened.model, data.x_test[:40], samples=5)
    assert few.mean() < whole.mean()


# --------------------------------------------------------------------------------------------- every model, to its export

SIZES = {
    "vae": dict(dim_a=None),
    "m2": dict(dim_a=None),
    "sdgm": {},
    "lvae": dict(dim_z=(3, 2), dim_a=None),
    "avae": dict(dim_z=(3, 2), dim_a=(3, 2)),
    "m1": dict(dim_a=None),
    "m1m2": dict(dim_z=(3, 3), dim_a=None, epochs=4),
    "cagem": dict(dim_z=(3, 2), dim_a=None),
    "untapped": dict(dim_z=(2,), dim_a=None, likelihood="bernoulli"),
}


@pytest.mark.parametrize("model", SIZES)
@pytest.mark.usefixtures("with_figures", "few_anchors")
def test_each_model_goes_the_whole_way_and_its_export_answers_as_the_model(model, tmp_path):
    results = run.train(tiny(model, **SIZES[model]), tmp_path, quiet=True)
    opened = run_directory.Run.open(tmp_path)
    data, _ = opened.data()
    bound = evaluation.elbo(opened.model, data.x_test) - evaluation.log_scale(opened.model, data.x_test)
    assert bound.mean() == pytest.approx(results["elbo"], rel=1e-5)
    exported = tf.saved_model.load(str(tmp_path / "export" / "1")).signatures
    drawn = {path.stem for path in (tmp_path / "figures").glob("*.png")}
    assert {"class_samples", "latent_pca", "training_curves"} <= drawn
    x = tf.constant(data.x_test[:20])
    assert exported["log_density"](x=x, samples=tf.constant(3))["log_density"].shape == (20,)
    if not opened.model.classifies:
        assert "test_error" not in results and "classify" not in exported
        assert exported["generate"](count=tf.constant(4), seed=tf.constant(0))["x"].shape == (4, 8, 8, 1)
        return
    probabilities = evaluation.class_probabilities(opened.model, data.x_test, opened.settings.test_samples)
    assert results["test_error"] == pytest.approx(np.mean(probabilities.argmax(1) != data.y_test))
    assert "confusion_matrix" in drawn
    served = exported["serving_default"](x=x)["probabilities"]
    np.testing.assert_allclose(served, probabilities[:20], rtol=1e-3, atol=1e-5)


@pytest.mark.usefixtures("few_anchors")
def test_m1m2_trains_an_m1_first_in_half_of_the_budget_or_takes_another_runs(tmp_path):
    settings = tiny("m1m2", **SIZES["m1m2"])
    with light.nothing_but_training():
        results = run.train(settings, tmp_path / "both", quiet=True)
    inner = json.loads((tmp_path / "both" / "m1" / "results.json").read_text())
    assert (inner["epochs"], results["epochs"]) == (2, 4)
    assert run_directory.read_json(tmp_path / "both" / "m1" / "config.json")["settings"]["model"] == "m1"
    rows = callbacks.read_rows(tmp_path / "both" / "metrics.csv")
    assert results["train_seconds"] == pytest.approx(inner["train_seconds"] + float(rows[-1]["seconds"]), abs=0.01)
    first, whole = (run_directory.Run.open(tmp_path / "both" / part).model for part in ("m1", ""))
    for theirs, ours in zip(first.q["z"].weights, whole.q["z1"].weights, strict=True):
        np.testing.assert_array_equal(theirs, ours)
    given = dataclasses.replace(settings, first_run=str(tmp_path / "both" / "m1"))
    with light.nothing_but_training():
        assert run.train(given, tmp_path / "second", quiet=True)["epochs"] == 4
    assert not (tmp_path / "second" / "m1").exists()
    other = dataclasses.replace(settings, first_run=str(tmp_path / "both"))
    with pytest.raises(ValueError, match="first_run: got a model of y, z2, z1, x; allowed: one of z and x"):
        run.train(other, tmp_path / "third", quiet=True)
    assert not (tmp_path / "third").exists()


def test_an_m1_of_labels_of_some_classes_alone_is_refused_before_training(tmp_path, monkeypatch):
    data, split = build.load_data(tiny("m1", dim_a=None))
    monkeypatch.setattr(build, "load_data", lambda *_, **__: (dataclasses.replace(data, labelled_classes=(0, 1)), split))
    with pytest.raises(ValueError, match="model: got m1 for digits, which has labels of some classes alone; allowed"):
        run.train(tiny("m1", dim_a=None), tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()


@pytest.mark.usefixtures("with_figures")
def test_clusters_that_no_training_label_can_name_are_reported_without_an_error(tmp_path):
    data, _ = build.load_data(tiny())
    arrays = dict(x=data.x_train[:200], y=np.full(200, -1), x_test=data.x_test[:50], y_test=data.y_test[:50])
    np.savez(tmp_path / "own.npz", **arrays)
    settings = tiny("m2", f"npz:{tmp_path / 'own.npz'}", labels=0, epochs=1, clusters=4, density_examples=5)
    results = run.train(settings, tmp_path / "run", quiet=True)
    assert "test_error" not in results and np.isfinite(results["elbo"])


@pytest.mark.parametrize("clusters", [None, 12])
@pytest.mark.usefixtures("with_figures")
def test_clusters_are_matched_to_classes_and_reported_without_a_baseline(clusters, tmp_path):
    results = run.train(tiny("cagem", labels=0, clusters=clusters, **SIZES["cagem"]), tmp_path, quiet=True)
    assert 0 < results["test_error"] < 1 and results["labels"] == 0 and "supervised_baseline_error" not in results
    assert run_directory.Run.open(tmp_path).class_names[0] == "cluster 0"
    assert len(run_directory.Run.open(tmp_path).class_names) == (clusters or 10)


def test_clusters_are_matched_with_the_fewest_errors():
    clusters, y = np.array([0, 0, 0, 1, 1, 2, 2, 2]), np.array([1, 1, 0, 0, 0, 2, 2, 1])
    assert evaluation.match_clusters(clusters, y, 3, 3).argmax(1).tolist() == [1, 0, 2]
    many = evaluation.match_clusters(np.array([0, 1, 2, 3]), np.array([1, 1, 0, 0]), 5, 2)
    assert many.argmax(1)[:4].tolist() == [1, 1, 0, 0] and many.shape == (5, 2)
