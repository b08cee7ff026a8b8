"""bin/compare: groups of runs that differ by the seed alone, their mean and spread, and what is refused."""

import csv
import dataclasses
import json
import re

import numpy as np
import pytest
import scipy.stats
from calling import call

from tfadgm.reporting.page import compare_page
from tfadgm.runs import comparison, recipes

ERRORS = dict(m2=[0.10, 0.12, 0.09], adgm=[0.05, 0.06, 0.04, 0.05, 0.055])


def make_run(directory, model, seed, error, **changes):
    """A directory with what is compared of a finished run."""
    directory.mkdir()
    settings = dataclasses.asdict(recipes.resolve(model, "digits", seed=seed, **changes))
    (directory / "config.json").write_text(json.dumps(dict(settings=settings, data=None)))
    results = dict(model=model, dataset="digits", labels=100, seed=seed, evaluated_on="test", epochs=3, elbo=-5.0 - seed)
    results |= dict(elbo_own_units=-50.0 - seed, log_density_own_units=-40.0, log_density_examples=100, train_seconds=7.0)
    if error is not None:
        results |= dict(test_error=error, test_error_interval=[error / 2, 2 * error], test_examples=500, ece=0.01, nll=0.3)
    (directory / "results.json").write_text(json.dumps(results))
    with open(directory / "metrics.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, ["epoch", "unlabelled_bound"])
        writer.writeheader()
        writer.writerows(dict(epoch=e, unlabelled_bound=-60.0 + 3 * e + seed) for e in (1, 2, 3))
    return directory


@pytest.fixture
def runs(tmp_path):
    return [make_run(tmp_path / f"{model}-{k}", model, k, e) for model, found in ERRORS.items() for k, e in enumerate(found)]


def test_runs_that_differ_by_the_seed_alone_are_one_row_with_mean_and_spread(runs):
    groups = compare_page.named(comparison.groups([comparison.finished(run) for run in reversed(runs)]))
    assert [(group.letter, group.label, len(group.runs)) for group in groups] == [("A", "adgm", 5), ("B", "m2", 3)]
    assert [run.settings["seed"] for run in groups[0].runs] == [0, 1, 2, 3, 4]
    measures, rows = compare_page.table(groups)
    titles = [each[0] for each in measures]
    assert "error" in titles and "labels alone" not in titles
    for (_, values), errors in zip(rows, (ERRORS["adgm"], ERRORS["m2"]), strict=True):
        value = values[titles.index("error")]
        assert value["mean"] == pytest.approx(np.mean(errors)) and value["deviation"] == pytest.approx(
            np.std(errors, ddof=1)
        )


def test_the_difference_of_the_best_two_has_the_interval_of_welch(runs):
    groups = compare_page.named(comparison.groups([comparison.finished(run) for run in runs]))
    found = compare_page.verdict(groups)
    assert found["best"].label == "adgm"
    a, b = np.array(ERRORS["m2"]), np.array(ERRORS["adgm"])
    va, vb = a.var(ddof=1) / len(a), b.var(ddof=1) / len(b)
    freedom = (va + vb) ** 2 / (va**2 / (len(a) - 1) + vb**2 / (len(b) - 1))
    half = scipy.stats.t.ppf(0.975, freedom) * np.sqrt(va + vb)
    np.testing.assert_allclose(found["interval"], [found["difference"] - half, found["difference"] + half])
    assert found["difference"] == pytest.approx(a.mean() - b.mean())


def test_the_page_has_every_run_what_differs_and_a_figure(runs, tmp_path, capsys):
    more = make_run(tmp_path / "wide", "m2", 0, 0.2, hidden=(64,))
    density = make_run(tmp_path / "vae", "vae", 0, None, labels=0)
    out = tmp_path / "page.html"
    assert not call("compare", *map(str, [*runs, more, density]), f"--out={out}")
    printed, text = capsys.readouterr().out, out.read_text()
    assert "m2, hidden 200,200" in printed and "3 seeds: error 10.33% +- 1.53" in printed and f"page: {out}" in printed
    assert all(str(run) in text for run in [*runs, more, density]) and "Not shown" not in text
    assert "<code>hidden</code>" in text and "<td>64</td>" in text and "<svg" in text and "± 1.53%" in text
    assert not re.search(r'(?:src|href)="(?!#|data:)', text) and "_nolegend_" not in text
    assert call("compare", str(runs[0]), f"--out={out}") == 1 and "--overwrite" in capsys.readouterr().err
    assert not call("compare", str(runs[0]), f"--out={out}", "--overwrite")


def test_runs_of_other_data_are_said_not_to_compare(runs, tmp_path):
    other = comparison.finished(runs[0])
    other = dataclasses.replace(other, path=str(tmp_path), settings=other.settings | dict(dataset="mnist"))
    groups = compare_page.named(comparison.groups([comparison.finished(runs[0]), other]))
    assert compare_page.notes(groups) == ["The runs are of different data: their errors and densities do not compare."]


def test_what_is_no_finished_run_is_refused_in_one_line(runs, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    unfinished = tmp_path / "unfinished"
    unfinished.mkdir()
    (unfinished / "config.json").write_text((runs[0] / "config.json").read_text())
    for given, told in (
        ([tmp_path / "none"], "is no directory"),
        ([tmp_path / "empty"], "config.json: no such file"),
        ([unfinished], "has not finished, or has lost its results.json"),
        ([runs[0], runs[0]], "is given twice"),
        ([], "got no run"),
    ):
        assert call("compare", *map(str, given), f"--out={tmp_path / 'page.html'}") == 1
        error = capsys.readouterr().err
        assert error.startswith("error: ") and error.count("\n") == 1 and told in error and "allowed: " in error
    assert not (tmp_path / "page.html").exists()
