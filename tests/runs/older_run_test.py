"""A run directory and an export made by an older version (revision c0ddc9a) open, answer as they did, and go on."""

import json
import pathlib
import tarfile

import calling
import numpy as np
import pytest
import tensorflow as tf

from tfadgm import Run, evaluation
from tfadgm.cli import evaluate, sample
from tfadgm.runs import recipes, reference, report_page, run
from tfadgm.serving import classification, records
from tfadgm.training import callbacks

WRITE = report_page.write  # as it is outside of tests
FIXTURE = pathlib.Path(__file__).parents[1] / "fixtures" / "run_c0ddc9a.tar.xz"


@pytest.fixture(scope="module")
def older(tmp_path_factory):
    """The directory of `finished`, a run of three epochs, `interrupted`, the same after two, and the first one's answers."""
    directory = tmp_path_factory.mktemp("older")
    with tarfile.open(FIXTURE) as archive:
        archive.extractall(directory, filter="data")
    return directory, dict(np.load(directory / "answers.npz"))


def test_a_run_of_an_older_version_answers_as_it_did(older):
    directory, answers = older
    opened = Run.open(directory / "finished")
    probabilities = evaluation.class_probabilities(opened.model, answers["x"], samples=10)
    np.testing.assert_allclose(probabilities, answers["probabilities"], atol=1e-5)
    np.testing.assert_array_equal(opened.held_out()[0][:20], answers["x"])


def test_an_export_of_an_older_version_answers_as_it_did(older, tmp_path):
    directory, answers = older
    export = classification.Classifier(directory / "finished" / "export")
    np.savez(tmp_path / "x.npz", x=answers["x"])
    told = list(records.of_files(export, [tmp_path / "x.npz"], 100, 0))
    found = [list(record["probabilities"].values()) for record in told]
    np.testing.assert_allclose(found, answers["exported"], atol=1e-5)
    log_density = tf.saved_model.load(str(directory / "finished" / "export" / "1")).signatures["log_density"]
    found = log_density(x=tf.constant(answers["x"]), samples=tf.constant(10))["log_density"]
    np.testing.assert_allclose(found, answers["log_density"], atol=1e-3)


def test_a_run_of_an_older_version_is_sampled_and_exported(older, tmp_path):
    opened = Run.open(older[0] / "finished")
    x, y = sample.draw(opened.model, [1, 2], 3, seed=0)
    assert x.shape == (6, 8, 8, 1) and y.tolist() == [1, 1, 1, 2, 2, 2]
    assert (opened.export(tmp_path / "export") / "saved_model.pb").exists()


def test_a_run_of_an_older_version_gets_what_new_examples_are_compared_with(older, tmp_path):
    opened = Run.open(older[0] / "finished")
    assert reference.read(opened.path) is None
    evaluate._reference(opened, *opened.data())
    found = reference.read(opened.path)
    assert found.of == "test" and len(found.log_density) == 500
    (opened.path / reference.NAME).write_text("{")
    evaluate._reference(opened, *opened.data())  # a damaged one is written again
    np.testing.assert_array_equal(reference.read(opened.path).log_density, found.log_density)
    path = opened.export(tmp_path / "export", reference=found)
    assert classification.Classifier(path, novelty=True).novelty(opened.held_out()[0][:5]).shape == (5, 3)


def test_a_run_without_a_page_gets_one_by_its_evaluation(older, capsys, monkeypatch):
    monkeypatch.setattr(report_page, "write", WRITE)
    path = older[0] / "finished"
    page = path / "report.html"
    assert not page.exists()
    options = ("--density_examples=20", "--density_samples=3", "--test_samples=3")
    assert calling.call("evaluate", f"--run={path}", *options) == 0
    told = capsys.readouterr().err
    assert "report.html" in told and "not shown" not in told
    text, error = page.read_text(), json.loads((path / "evaluation.json").read_text())["test_error"]
    assert f"{100 * error:.1f}" in text and "Learning curve against" in text and text.count("<svg") > 3
    assert not (path / "figures").exists()
    page.write_text("as it was")
    assert calling.call("evaluate", f"--run={path}", *options) == 0
    assert page.read_text() == "as it was"


def test_a_run_of_an_older_version_goes_on_where_it_was_interrupted(older):
    options = dict(labels=50, hidden=(12, 12), dim_z=(3,), dim_a=(3,), epochs=3, checkpoint_seconds=0.0)
    options |= dict(density_samples=10, density_examples=50, test_samples=10)
    settings = recipes.resolve("adgm", "digits", **options)
    assert run.train(settings, older[0] / "finished", quiet=True)["epochs"] == 3  # complete: its results
    results = run.train(settings, older[0] / "interrupted", quiet=True)
    rows, before = (callbacks.read_rows(older[0] / name / "metrics.csv") for name in ("interrupted", "finished"))
    assert results["epochs"] == 3 and [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert [row["objective"] for row in rows[:2]] == [row["objective"] for row in before[:2]]
