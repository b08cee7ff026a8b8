"""bin/train: how flags become settings, and what is told before anything is done."""

import os

import pytest
from calling import call, with_flags

from tfadgm.cli import asked, common, train
from tfadgm.runs import recipes, run

DIGITS = "--dataset=digits"


def settings_of(*arguments):
    """Returns the settings that bin/train makes of `arguments`."""
    return with_flags(train, arguments, lambda argv: asked.settings())


@pytest.mark.parametrize(
    "written, value",
    [
        ("--importance_weighted", True),
        ("--noimportance_weighted", False),
        ("--importance_weighted=true", True),
        ("--importance_weighted=no", False),
        ("--nobatch_norm", False),
        ("--batch_norm=yes", True),
        ("--batch_norm", True),
        ("--end_to_end", True),
        ("--noend_to_end", False),
        ("--end_to_end=none", None),
        ("--a_sees_x", True),
        ("--weight_prior=1", True),
    ],
)
def test_truths_are_flags_with_and_without_a_value(written, value):
    name = written.lstrip("-").partition("=")[0]
    settings = settings_of(DIGITS, written)
    assert getattr(settings, name if hasattr(settings, name) else name.removeprefix("no")) is value


def test_a_truth_that_is_not_given_is_the_recipes_or_open():
    settings = settings_of(DIGITS)
    assert settings.batch_norm is recipes.resolve("sdgm", "digits").batch_norm is True
    assert settings.end_to_end is None and settings.importance_weighted is False


def test_a_truth_that_is_none_of_them_is_refused_in_one_line(capsys):
    with pytest.raises(ValueError, match="batch_norm: got 'maybe'; allowed: true or false"):
        settings_of(DIGITS, "--batch_norm=maybe")


def test_without_a_data_set_nothing_is_downloaded(monkeypatch):
    monkeypatch.setattr(run, "train", lambda *arguments, **_: pytest.fail("training begins"))
    with pytest.raises(ValueError, match=r"dataset: got none; allowed: --dataset=digits \(downloads nothing\), npz:FILE"):
        settings_of("--epochs=3")


def test_paths_are_expanded_and_absolute(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", "/home/somebody")
    monkeypatch.chdir(tmp_path)
    settings = settings_of(
        "--dataset=csv:~/x.csv", "--data_dir=~/data", "--first_run=runs/m1", "--model=m1m2", "--out=~/run"
    )
    assert settings.dataset == "csv:/home/somebody/x.csv" and settings.data_dir == "/home/somebody/data"
    assert settings.first_run == os.path.join(tmp_path, "runs/m1")
    assert settings_of("--dataset=npz:x.npz").dataset == f"npz:{tmp_path / 'x.npz'}"
    assert settings_of("--dataset=mnist:low", "--data_dir=gs://bucket/data").data_dir == "gs://bucket/data"
    assert settings_of("--dataset=mnist:low").dataset == "mnist:low"


def test_help_tells_defaults_and_both_forms_of_a_truth():
    text = with_flags(train, [], lambda argv: common.help_text(train))
    assert "--[no]batch_norm" in text and "Default: sdgm." in text and "Default: 500,500, or that of the data set." in text
    assert "stops within a step" in text and "  --out " in text


def test_the_page_of_the_run_is_named_and_last_how_to_repeat_it(monkeypatch, tmp_path, capsys):
    results = dict(model="vae", dataset="digits", labels=0, seed=0, evaluated_on="test", elbo=-5.0, log_density=-4.0)
    results |= dict(effective_samples=3.0, log_density_samples=10, log_density_examples=50)

    def trained(settings, directory, quiet):
        (directory / "report.html").write_text("")
        return results

    monkeypatch.setattr(run, "train", trained)
    assert not call("train", DIGITS, f"--out={tmp_path}")
    *_, report, last = capsys.readouterr().out.splitlines()
    assert report == f"  report: {tmp_path / 'report.html'}"
    assert last == f"to repeat it: bin/train --config={tmp_path / 'config.json'} --out={tmp_path}-again"
