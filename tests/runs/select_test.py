"""Selection: weights and temperatures by cross-fitting, and one answer of run, evaluation and export."""

import dataclasses
import io
import os
import re
import shutil
import signal
import time

import light
import numpy as np
import pytest
import tensorflow as tf
from scipy import optimize, special, stats

from tfadgm import evaluation, registry, telling
from tfadgm.data import labels
from tfadgm.data.preprocess import Preprocess
from tfadgm.distributions import conditionals
from tfadgm.models import answer
from tfadgm.networks import mlp
from tfadgm.reporting import summary
from tfadgm.runs import build, fold_files, recipes, report_page, run, run_directory, select
from tfadgm.runs.report_page import write as write_page
from tfadgm.serving import classification
from tfadgm.training import fit, progress, stopping

TINY = dict(hidden=(8,), dim_z=2, steps=100, batch=20, density_examples=5, density_samples=2, test_samples=3)


def own(path, labelled=12):
    """Writes two clusters in 3 columns, 60 rows, and a test set; returns the data set's name."""
    generator = np.random.default_rng(0)
    y = np.arange(100) % 2
    x = (generator.normal(size=(100, 3)) + 1.5 * y[:, np.newaxis]).astype("float32")
    known = np.where(np.arange(60) < labelled, y[:60], -1)
    np.savez(path, x=x[:60], y=known, x_test=x[60:], y_test=y[60:])
    return f"npz:{path}"


@pytest.fixture(scope="module")
def selected(tmp_path_factory):
    """A run that selects: (its directory, results, splits of the fold models, weights before it answered by a pool)."""
    directory, splits, weights = tmp_path_factory.mktemp("select"), [], []
    again, give = fit.train_again, select.Selection.give

    def watched(model, initial, data, split, *how):
        splits.append(split)
        again(model, initial, data, split, *how)

    def giving(selection, model):
        weights.extend(model.get_weights())
        give(selection, model)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fit, "train_again", watched)
        patch.setattr(select.Selection, "give", giving)
        settings = recipes.resolve("adgm", own(directory / "own.npz"), **TINY, dim_a=2)
        assert settings.select and not recipes.resolve("adgm", "digits").select
        results = run.train(settings, directory / "run", quiet=True)
    return directory / "run", results, splits, weights


def test_the_pool_is_reported_stored_and_exported(selected):
    directory, results, _, _ = selected
    opened = run_directory.Run.open(directory)
    data, _ = opened.data()
    found = evaluation.class_probabilities(opened.model, data.x_test, 3)
    assert np.mean(found.argmax(1) != data.y_test) == pytest.approx(results["test_error"])
    exported = classification.Classifier(directory / "export").probabilities(data.x_test)
    np.testing.assert_allclose(exported, found, atol=1e-6)
    own_answer = np.exp(evaluation.own_log_probs(opened.model, data.x_test, 3)).mean(1)
    assert np.abs(own_answer - found).max() > 1e-3


def test_the_stored_answer_is_the_sum_that_is_told(selected):
    directory, results, _, _ = selected
    opened = run_directory.Run.open(directory)
    data, model = opened.data()[0], opened.model
    x, members = model.preprocess(data.x_test).numpy(), results["selection"]["members"]
    linear = x @ model.answer.coefficients_.numpy() + model.answer.bias_.numpy()
    f = dict(
        model=evaluation.own_log_probs(model, data.x_test, 3),
        network=model.answer.network.log_probs({"x": x[np.newaxis]}).numpy()[0][:, np.newaxis],
        logistic=linear[:, np.newaxis],
    )
    expected = sum(m["weight"] * special.softmax(m["temperature"] * f[name], -1).mean(1) for name, m in members.items())
    np.testing.assert_allclose(evaluation.class_probabilities(model, data.x_test, 3), expected, atol=1e-5)
    assert sum(member["weight"] for member in members.values()) == pytest.approx(1)
    by_sample = model.log_answer_by_sample(data.x_test, 3)
    np.testing.assert_allclose(np.exp(by_sample).mean(0), expected, atol=1e-5)


def test_no_fold_has_seen_what_it_answers_and_the_model_is_as_it_was(selected):
    directory, results, splits, weights = selected
    opened = run_directory.Run.open(directory)
    _, split = opened.data()
    left_out = [np.setdiff1d(split.labelled, part.labelled) for part in splits]
    assert len(splits) == results["selection"]["folds"] == select.FOLDS
    assert np.array_equal(np.sort(np.concatenate(left_out)), split.labelled)
    for part, rows in zip(splits, left_out, strict=True):
        assert np.array_equal(np.setdiff1d(split.unlabelled, part.unlabelled), rows)
    for one, other in zip(weights, opened.model.get_weights(), strict=False):
        np.testing.assert_array_equal(one, other)


def test_what_was_chosen_is_told(selected):
    told = dict(summary.rows(selected[1]))
    assert {f"  {name}" for name in answer.MEMBERS} <= set(told) and told["  network"].startswith("weight 0.")
    assert "cross-fitted: 12 labels, 4 folds" in told["  pool of them"]


def test_it_can_be_turned_off_afterwards(selected, tmp_path):
    before, results, _, _ = selected
    directory = shutil.copytree(before, tmp_path / "run")
    settings = run_directory.Run.open(directory).settings
    plain = run.train(dataclasses.replace(settings, select=False), directory, quiet=True)
    assert "selection" not in plain and plain["train_seconds"] == results["train_seconds"]
    opened = run_directory.Run.open(directory)
    assert opened.model.answer is None and (directory / "export" / "2").is_dir()


def test_the_temperature_that_held_out_labels_give_answers_wherever_the_model_does(tmp_path, monkeypatch):
    monkeypatch.setattr(report_page, "write", write_page)
    plain = recipes.resolve("adgm", own(tmp_path / "own.npz", 40), **TINY, dim_a=2, select=False, validation=20)
    directory = tmp_path / "run"
    results = run.train(dataclasses.replace(plain, answer_temperature="auto"), directory, quiet=True)
    opened = run_directory.Run.open(directory)
    (data, split), T = opened.data(), results["answer_temperature"]
    x, y = data.x_train[split.validation], data.y_train[split.validation]
    f = evaluation.own_log_probs(opened.model, x, 3)
    assert 1 / select.temperature(f, y) == pytest.approx(T, rel=1e-4) and opened.model.answer_temperature == T != 1
    answers = special.softmax(evaluation.own_log_probs(opened.model, data.x_test, 3) / T, -1).mean(1)
    np.testing.assert_allclose(evaluation.class_probabilities(opened.model, data.x_test, 3), answers, rtol=1e-4)
    np.testing.assert_allclose(
        classification.Classifier(directory / "export").probabilities(data.x_test), answers, rtol=1e-4
    )
    assert results["nll"] == pytest.approx(-np.log(answers[np.arange(len(answers)), data.y_test]).mean(), rel=1e-4)
    for told in ("report.html", "export/1/assets.extra/model_card.md"):
        assert "at a temperature of" in (directory / told).read_text()
    assert dict(summary.rows(results))["calibration"].endswith(f"at a temperature of {T:.2f}")
    measured = {**results, **{f"validation_{name[5:]}": results[name] for name in results if name.startswith("test_")}}
    told = dict(summary.rows({**measured, "evaluated_on": "validation"}))["calibration"]
    assert f"{T:.2f}, fitted to these examples" in told

    given = run.train(dataclasses.replace(plain, answer_temperature=3.0), directory, quiet=True)  # measured otherwise
    assert given["answer_temperature"] == 3 == run_directory.Run.open(directory).model.answer_temperature
    assert given["train_seconds"] == results["train_seconds"] and given["nll"] != results["nll"]
    assert (directory / "export" / "2").is_dir()
    assert "answer_temperature" not in run.train(plain, directory, quiet=True)


def test_a_temperature_of_nothing_held_out_is_told(tmp_path, capsys):
    settings = recipes.resolve(
        "m2", own(tmp_path / "own.npz"), **TINY, select=False, answer_temperature="auto", validation=0
    )
    results = run.train(settings, tmp_path / "run")
    assert "no labelled example is held out (--validation); it stays 1" in "".join(capsys.readouterr())
    assert "answer_temperature" not in results


def test_clusters_have_no_temperature(tmp_path, capsys):
    assert (
        recipes.resolve("m2", "digits").answer_temperature
        > 1
        == recipes.resolve("m2", "digits", labels=0).answer_temperature
    )
    name = own(tmp_path / "own.npz", 40)
    settings = recipes.resolve("m2", name, **TINY, labels=0, select=False, answer_temperature="auto", validation=20)
    assert "answer_temperature" not in run.train(settings, tmp_path / "run")
    assert "answer_temperature: y is a cluster; it stays 1" in "".join(capsys.readouterr())


def test_a_selection_that_was_terminated_goes_on_with_the_models_that_are_left(selected, tmp_path, monkeypatch):
    before, results, splits, _ = selected
    directory, again, trained = shutil.copytree(before, tmp_path / "run"), fit.train_again, []
    read, seconds = fold_files.Folds.read, []
    for name in ("results.json", "evaluation.json"):  # a run that is complete but for these is one after its training
        (directory / name).unlink(missing_ok=True)
    settings = run_directory.Run.open(directory).settings

    def terminated(model, initial, data, split, *how):
        trained.append(split)
        if len(trained) == 2:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.1)
        again(model, initial, data, split, *how)

    monkeypatch.setattr(fit, "train_again", terminated)
    with light.nothing_but_training():
        with pytest.raises(stopping.Terminated) as stop:
            run.train(settings, directory, quiet=True)
        assert stop.value.code == 143 and stop.value.left == "with what is left"
        assert str(stop.value) == "terminated in the selection, with 1 of 4 models trained"
        assert [path.name for path in (directory / "selection").iterdir()] == ["fold-0.npz"]
        monkeypatch.setattr(fold_files.Folds, "read", lambda *given: (read(*given), seconds.append(given[0].seconds)))
        found = run.train(settings, directory, quiet=True)
    assert 0 < seconds[0] < found["select_seconds"]
    assert [part.labelled.tolist() for part in trained] == [splits[k].labelled.tolist() for k in (0, 1, 1, 2, 3)]
    assert found["selection"] == results["selection"] and not (directory / "selection").exists()
    ours, whole = (run_directory.Run.open(path).model for path in (directory, before))
    assert any("answer" in weight.path for weight in ours.weights)
    for one, other in zip(ours.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_answers_of_folds_are_read_where_they_are_whole_and_of_the_same_training(tmp_path, capsys):
    identities = [fold_files.identity("10 epochs", np.arange(k)) for k in range(5)]
    answers = np.log(np.full((3, 1, 2), 0.5, "float32"))
    kept = fold_files.Folds(tmp_path)
    for k in range(4):
        kept.add(k, identities[k], answers, 10.0**k)
    of_others = [fold_files.identity("11 epochs", np.arange(k)) for k in range(4)]
    whole = (tmp_path / "selection" / "fold-0.npz").read_bytes()
    (tmp_path / "selection" / "fold-0.npz").write_bytes(whole[: len(whole) // 2])
    place = whole.index(answers.tobytes())
    (tmp_path / "selection" / "fold-3.npz").write_bytes(whole[:place] + b"\1" + whole[place + 1 :])
    found = fold_files.Folds(tmp_path)
    found.read([identities[0], of_others[1], *identities[2:]], [(3, 2)] * 5)
    assert list(found.answers) == [2] and found.seconds == 100.0
    np.testing.assert_array_equal(found.answers[2], answers)
    told = "fold-0.npz, fold-1.npz, fold-3.npz are damaged, or of another training; made again"
    assert capsys.readouterr().err == f"{tmp_path / 'selection'}: {told}\n"
    other = fold_files.Folds(tmp_path)
    other.read(identities[:3], [(4, 2)] * 3)  # of other rows
    assert not other.answers
    fold_files.remove(tmp_path)
    assert not list(tmp_path.iterdir())


def test_how_far_the_models_are_is_told_by_their_steps():
    stream = io.StringIO()
    with telling.showing("on"), telling.task("selection: 2 models on parts of the labels", stream=stream):
        for k in range(2):
            told = progress.OfSeveral(k, 2)
            told.set_params(dict(epochs=2, steps=5))
            for epoch in range(2):
                told.on_epoch_begin(epoch)
                for batch in range(5):
                    told.on_train_batch_end(batch)
    lines = [line for line in stream.getvalue().splitlines() if "%" in line]
    assert re.search(r" 30%  model 1 of 2  0:00 left$", lines[3]) and lines[-1].endswith("100%  model 2 of 2")
    assert sum("model 1 of 2" in line for line in lines) == len(lines) // 2 + 1 and len(lines) == 11


def test_a_run_without_a_directory_keeps_no_answers(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folds = fold_files.Folds()
    folds.add(0, fold_files.identity(""), np.zeros((1, 1, 2), "float32"), 1.0)
    folds.read([fold_files.identity("")], [(1, 2)])
    assert list(folds.answers) == [0] and not list(tmp_path.iterdir())


def test_a_class_with_one_label_leaves_the_model_alone(tmp_path, capsys):
    settings = recipes.resolve("m2", own(tmp_path / "own.npz", labelled=3), **TINY)
    data, split = build.load_data(settings)
    assert select.select(settings, data, split, build.make_model(settings, data, split), None) is None
    assert "a value of y has fewer than two labels" in capsys.readouterr().err


def test_stacking_maximises_its_objective():
    scores = np.log(np.random.default_rng(0).uniform(0.1, 1, (30, 3)))

    def objective(free, prior=(1.0, 2.0, 4.0)):
        log_w = special.log_softmax(np.r_[free, 0])
        return -special.logsumexp(scores + log_w, 1).sum() - (prior * log_w).sum()

    best = special.softmax(np.r_[optimize.minimize(objective, np.zeros(2)).x, 0])
    np.testing.assert_allclose(select.stacking(scores, prior=(1, 2, 4)), best, atol=1e-4)
    np.testing.assert_allclose(select.stacking(scores[:0], (1, 1, 2)), [0.25, 0.25, 0.5])
    certain = np.log(np.tile([0.9, 0.1, 0.1], (2000, 1)))
    assert select.stacking(certain)[0] > 0.99


def test_the_temperature_of_many_draws_is_that_of_their_mean_answer():
    generator = np.random.default_rng(0)
    logits = generator.normal(size=(4000, 1, 3))
    y = (special.softmax(logits[:, 0], 1).cumsum(1) > generator.uniform(size=(4000, 1))).argmax(1)
    assert select.temperature(np.repeat(4 * logits, 2, 1), y) == pytest.approx(0.25, rel=0.1)


def test_a_given_prior_moves_what_the_labels_alone_say_to_its_shares():
    # Two Gaussians of means -1 and 1, 3000 labels of each; that nine of ten are of the first class is given.
    generator, y = np.random.default_rng(0), np.arange(6000) % 2
    x = generator.normal(2.0 * y - 1)[:, np.newaxis]
    model = registry.model_class("m2")(Preprocess([1]), 2, network=mlp.Network(hidden=(4,)), class_prior=(0.9, 0.1))
    shift = select.log_shares(model, y)
    np.testing.assert_allclose(shift, np.log([1.8, 0.2]), atol=1e-12)
    network = conditionals.Categorical("x", 2, mlp.Network(hidden=(4,)))
    network.build_from({"x": 1})
    inputs = {"x": tf.constant(x, "float32")}
    before, (W, b) = network(inputs).numpy(), (np.array([[-1.0, 1.0]]), np.zeros(2))  # logistic: p(y|x) at even shares
    by_shares = np.log([0.9, 0.1]) + stats.norm.logpdf(x, [-1.0, 1.0])
    answers = dict(model=special.log_softmax(by_shares, 1), network=before, logistic=x @ W + b)
    found = select._weighed({name: f[:, np.newaxis] for name, f in answers.items()}, y, network, (W, b), {}, shift)
    t = found.temperatures
    assert t["logistic"] == pytest.approx(1, abs=0.1) and t["model"] == pytest.approx(1, abs=0.1)
    exact, W, b = special.softmax(by_shares, 1), *found.logistic
    np.testing.assert_allclose(special.softmax(t["logistic"] * (x @ W + b), 1), exact, atol=0.03)
    network.set_weights(found.network)
    moved = special.log_softmax(t["network"] * network(inputs).numpy(), 1)
    np.testing.assert_allclose(moved, special.log_softmax(t["network"] * before + shift, 1), atol=1e-5)
    told = found.told["members"]["logistic"]
    nll, x_0 = [-np.log(exact[y == k, k]).mean() for k in (0, 1)], np.log(9) / 2  # where the classes are as likely
    assert told["nll"] == pytest.approx(0.9 * nll[0] + 0.1 * nll[1], abs=2e-3)
    assert told["error"] == pytest.approx(0.9 * stats.norm.sf(x_0 + 1) + 0.1 * stats.norm.cdf(x_0 - 1), abs=0.01)


def test_shares_of_the_labels_themselves_move_nothing():
    y = np.repeat([0, 1], [30, 10])
    prior = labels.shares(y, 2)
    model = registry.model_class("m2")(Preprocess([1]), 2, network=mlp.Network(hidden=(4,)), class_prior=tuple(prior))
    np.testing.assert_allclose(select.log_shares(model, y), 0, atol=1e-12)
    model = registry.model_class("cagem")(Preprocess([1]), 2, network=mlp.Network(hidden=(4,)), dim_z=(2, 2))
    assert not select.log_shares(model, y).any()  # its p(y|z) is learned


def test_a_pool_by_hand():
    f = np.log([[[0.9, 0.1]], [[0.2, 0.8]]]).astype("float32")
    found = np.exp(answer.pool(tf.constant(f), tf.constant([1.0, 0.0]), tf.constant([0.25, 0.75])))
    np.testing.assert_allclose(found, [[0.25 * 0.9 + 0.75 * 0.5, 0.25 * 0.1 + 0.75 * 0.5]], rtol=1e-6)
