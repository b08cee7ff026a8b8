"""Files of settings: what they give, which of several places wins, and what is refused of files from anybody."""

import dataclasses
import json
import shlex

import numpy as np
import pytest
from calling import call, with_flags

from tfadgm.cli import asked, train
from tfadgm.experiments import CELLS, presets, runner
from tfadgm.reporting import figures
from tfadgm.runs import configuration, recipes, run_directory

PARTS = dict(model="adgm", dataset="digits", labels=50, epochs=3, hidden=[8, 4], learning_rate=1e-3, batch_norm=False)
TEXT = """
model: adgm
dataset: digits
labels: "50"          # a text is read as that of a flag
epochs: 3
hidden: [8, 4]
learning_rate: 1e-3   # which YAML takes for a text
batch_norm: no
average: none
"""


def of_flags(*arguments):
    """The settings that bin/train makes of `arguments`."""
    return with_flags(train, arguments, lambda argv: asked.settings())


@pytest.mark.parametrize("name, text", [("own.yaml", TEXT), ("own.json", json.dumps({**PARTS, "average": None}))])
def test_a_file_gives_what_the_flags_of_its_names_give(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    given = {**PARTS, "hidden": (8, 4), "average": None}
    expected = recipes.resolve(given.pop("model"), given.pop("dataset"), **given)
    assert of_flags(f"--config={tmp_path / name}") == expected


def test_what_is_written_is_read_again(tmp_path):
    for model, dataset, given in [("adgm", "digits", {}), ("vae", "npz:/x.npz", dict(labels=0, columns=None))]:
        settings = recipes.resolve(model, dataset, class_prior=(0.5, 0.5) if model == "adgm" else "auto", **given)
        configuration.write(tmp_path / "all.yaml", settings)
        assert of_flags(f"--config={tmp_path / 'all.yaml'}") == settings


def test_a_flag_wins_over_a_file_that_over_a_preset_and_that_over_the_recipe(tmp_path):
    (tmp_path / "own.yaml").write_text("beta: 7.0\nminutes: 2\nhidden: 30")
    file, preset = f"--config={tmp_path / 'own.yaml'}", "--preset=maaloe2016-ablation-one-sample"
    found = of_flags(preset, file, "--hidden=20")
    assert (found.model, found.dataset, found.classifier_samples) == ("adgm", "mnist", 1)  # the preset's
    assert (found.beta, found.minutes, found.epochs, found.hidden) == (7.0, 2, None, (20,))
    assert found.max_norm == recipes.COMMON["max_norm"] and of_flags(preset).epochs == 40
    assert of_flags(file, preset, "--epochs=5").minutes is None


def test_the_settings_of_a_run_are_complete_whatever_the_recipe_says(tmp_path):
    before = recipes.resolve("m2", "digits", beta=0.3)
    of_run = {name: value for name, value in dataclasses.asdict(before).items() if name != "average"}  # an older version's
    run_directory.write_json(tmp_path / "config.json", dict(settings=of_run, sizes={}, started="once"))
    for place in (tmp_path, tmp_path / "config.json"):
        assert of_flags(f"--config={place}") == dataclasses.replace(before, average=None)
    assert of_flags(f"--config={tmp_path}", "--seed=4") == dataclasses.replace(before, average=None, seed=4)


@pytest.mark.parametrize(
    "text, message",
    [
        ("learning_rat: 1", "own.yaml: got the setting 'learning_rat'; allowed: learning_rate"),
        ("1: 2", "got the setting 1; allowed: "),
        ("[1, 2]", "holds list; allowed: names of settings with their values"),
        ("", "holds NoneType; allowed"),
        ("batch: [1]", r"batch: got \[1\]; allowed: a whole number"),
        ("batch: yes", "batch: got True; allowed: a whole number"),
        ("batch: .nan", "batch: got nan; allowed: a whole number"),
        ("beta: .inf", "beta: got inf; allowed: finite numbers"),
        ("beta: many", "beta: got 'many'; allowed: a number"),
        ("beta: 2001-01-01", "beta: got datetime.date.*; allowed: a number"),
        ("batch: 100\nbatch: 200", "not readable YAML: the key 'batch' is there twice"),
        ("a: &a [1]\nb: *a", "not readable YAML: holds an alias"),
        ("seed: !!python/object/apply:os.system ['true']", "not readable YAML: could not determine a constructor"),
        ("seed: !!python/name:os.system", "not readable YAML: could not determine a constructor"),
        ("[" * 5000, "not readable YAML"),
        ("beta: [", "not readable YAML"),
        ("? [1]\n: 2", "not readable YAML"),
        ("seed: " + "9" * 5000, "not readable YAML"),
        ("#" * 70_000, "own.yaml: has 70000 bytes; allowed: at most 65536"),
        ("model: gan", "model: got 'gan'; allowed: vae"),
    ],
)
def test_what_is_no_file_of_settings_is_refused(tmp_path, text, message):
    (tmp_path / "own.yaml").write_text(text)
    with pytest.raises(ValueError, match=message):
        of_flags(f"--config={tmp_path / 'own.yaml'}", "--dataset=digits")


@pytest.mark.parametrize(
    "content, message",
    [
        (b'{"beta": 1, "beta": 2}', "own.json: not readable JSON: the key 'beta' is there twice"),
        (b'{"beta": NaN}', "not readable JSON: got NaN"),
        (b"[" * 100_000, "not readable JSON"),
        (b'{"settings": {"beto": 1}}', "got the setting 'beto'; allowed: beta"),
        (b"\xff\xfe\x00", "is no text"),
        (None, "no such file; allowed: settings as YAML or JSON, or a run's directory"),
    ],
)
def test_what_is_no_json_of_settings_is_refused(tmp_path, content, message):
    if content is not None:
        (tmp_path / "own.json").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        configuration.read(tmp_path / "own.json")


def test_presets_are_the_recipes_and_the_cells_that_are_trainings():
    found = presets.names()
    assert found["maaloe2016-table2-mnist-sdgm"] == CELLS["maaloe2016-table2-mnist-sdgm"].source
    assert "digits" in found and "kingma2014-table1-nn-100" not in found and "maaloe2016-figure3" not in found
    for name in (name for name in found if name in CELLS):
        settings = of_flags(f"--preset={name}")
        assert settings == runner.settings_of(CELLS[name], 0, None) if settings.dataset != "freyface" else settings.epochs
    with pytest.raises(ValueError, match="preset: got 'maaloe2016-table2-sdgm'; allowed: maaloe2016-table2"):
        presets.settings("maaloe2016-table2-sdgm")


def test_presets_are_listed_with_their_papers(capsys):
    assert call("train", "--preset=list") == 0
    lines = capsys.readouterr().out.splitlines()
    (line,) = [line for line in lines if line.split()[0] == "cagem2017-table1-100"]
    assert "Maaloe et al. 2017, table 1, CaGeM-100 (cagem on mnist, 200 epochs)" in line


def test_the_last_line_of_a_run_repeats_it_to_the_same_bits(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(figures, "all_figures", lambda *arguments: None)
    monkeypatch.setattr(run_directory.Run, "export", lambda *arguments, **options: None)
    (tmp_path / "own.yaml").write_text(
        "dataset: digits\nmodel: m2\nhidden: 8\ndim_z: 2\nlabels: 30\nvalidation: 40\nepochs: 2\nseed: 5\n"
        "test_samples: 2\ndensity_samples: 2\ndensity_examples: 10\n"
    )
    place = tmp_path / "a run"
    assert not call("train", f"--config={tmp_path / 'own.yaml'}", f"--out={place}", "--quiet")
    last = capsys.readouterr().out.splitlines()[-1]

    program, *words = shlex.split(last.partition(": ")[2])
    assert program == "bin/train" and not call("train", *words, "--quiet")
    again = tmp_path / "a run-again"
    results = [run_directory.read_json(where / "results.json") for where in (place, again)]
    timed = ("train_seconds", "steps_per_second", "peak_memory_mb")
    first, second = ({name: value for name, value in each.items() if name not in timed} for each in results)
    assert first == second and first["elbo"] != 0
    weights = [run_directory.Run.open(where).model.get_weights() for where in (place, again)]
    for one, other in zip(*weights, strict=True):
        np.testing.assert_array_equal(one, other)
