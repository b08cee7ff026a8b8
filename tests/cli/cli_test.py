"""The binaries: their help, and bad input of every kind: one line on stderr, exit code 1, nothing written, no traceback."""

import importlib
import pathlib
import re
import signal
import subprocess
import sys

import numpy as np
import pytest
from absl import flags
from calling import call, with_flags

from tfadgm.cli import common, evaluate, train
from tfadgm.runs import recipes, run_directory
from tfadgm.training import stopping

ROOT = pathlib.Path(__file__).resolve().parents[2]
VERBS = ("train", "evaluate", "export", "classify", "impute", "sample", "compare", "reproduce", "potential", "search")


BAD = {
    "unknown model": (["train", "--model=gan"], "model: got 'gan'; allowed: vae, m1, m2, m1m2, adgm"),
    "unknown data set": (["train", "--dataset=cifar", "--epochs=1"], "unknown dataset: got 'cifar'; allowed: digits"),
    "unknown flag": (["train", "--colour=red"], "Unknown command line flag 'colour'"),
    "an argument": (["train", "adgm"], "got the argument 'adgm'"),
    "not a number": (["train", "--epochs=many"], "epochs: got 'many'; allowed: a whole number"),
    "negative epochs": (["train", "--epochs=-3"], "epochs: got -3"),
    "epochs and minutes": (["train", "--epochs=3", "--minutes=1"], "exactly one of the three"),
    "bad list": (["train", "--hidden=10x10"], "hidden: got '10x10'"),
    "zero width": (["train", "--dataset=digits", "--hidden=0"], "hidden: got"),
    "bad choice": (["train", "--activation=sine"], "activation: got 'sine'; allowed: relu"),
    "fewer labels than classes": (["train", "--dataset=digits", "--labels=9"], "labels: got 9; allowed: 0, or 10"),
    "not finite": (["train", "--dataset=digits", "--warmup_epochs=inf"], "warmup_epochs: got inf; allowed: finite numbers"),
    "no label of the paper": (
        ["train", "--dataset=half_moons", "--labels=20"],
        "label_draw: got 'paper' for half_moons with labels 20; allowed: labels=6, or label_draw=random",
    ),
    "no data set": (["train"], "dataset: got none; allowed: --dataset=digits"),
    "negative labels": (["train", "--dataset=digits", "--labels=-1"], "labels: got -1"),
    "clusters of no class": (["train", "--dataset=digits", "--model=vae", "--clusters=5"], "clusters: got 5 for vae"),
    "a short prior": (["train", "--dataset=digits", "--class_prior=0.5,0.5"], "class_prior: got 2 numbers of sum 1"),
    "one cluster": (["train", "--dataset=digits", "--model=cagem", "--labels=0", "--clusters=1"], "for 1 classes"),
    "m1 without labels": (["train", "--dataset=digits", "--model=m1", "--labels=0"], "labels: got 0"),
    "two sizes for one latent": (["train", "--dataset=digits", "--dim_z=4,4"], "dim_z: got 4,4; allowed: one size"),
    "one size for two latents": (["train", "--dataset=digits", "--model=cagem", "--dim_z=4"], "dim_z: got 4; allowed: 2"),
    "first run of a model without": (["train", "--dataset=digits", "--first_run=x"], "first_run: got /.*/x; allowed: none"),
    "no such first run": (["train", "--dataset=digits", "--model=m1m2", "--first_run={tmp}/absent"], "is no directory"),
    "flows for two layers": (["train", "--dataset=digits", "--model=vae", "--dim_z=4,4", "--flows=2"], "flows: got 2"),
    "likelihood of the inverted": (
        ["train", "--dataset=digits", "--model=untapped", "--likelihood=gaussian"],
        "likelihood: got 'gaussian'",
    ),
    "data set with a wrong argument": (["train", "--dataset=mnist:high"], "dataset mnist: got 'high'"),
    "more labels than examples": (["train", "--dataset=digits", "--labels=9999"], "labels: got 9999"),
    "conv on columns": (["train", "--dataset=half_moons", "--trunk=conv"], "trunk 'conv' needs images"),
    "copy of no TFDS data": (
        ["train", "--dataset=digits", "--tfds_name=other"],
        "tfds_name: got 'other' for digits; allowed",
    ),
    "patience without labels": (
        ["train", "--dataset=digits", "--model=vae", "--validation=100", "--patience=3"],
        "patience: got 3 for vae, which learns from no labels; allowed: none",
    ),
    "no data directory": (["train", "--dataset=mnist", "--data_dir={tmp}/absent"], "which is no directory"),
    "no such npz": (["train", "--dataset=npz:{tmp}/absent.npz"], "no such file"),
    "corrupt npz": (["train", "--dataset=npz:{tmp}/corrupt.npz"], "not a readable npz"),
    "pickled npz": (["train", "--dataset=npz:{tmp}/pickle.npz"], "not a readable npz"),
    "NaN": (["train", "--dataset=npz:{tmp}/nan.npz"], "NaN or infinite"),
    "wrong shapes": (["train", "--dataset=npz:{tmp}/shapes.npz"], r"y has shape \(3,\)"),
    "labels out of range": (["train", "--dataset=npz:{tmp}/labels.npz"], "labels lie in -7"),
    "csv without labels": (["train", "--dataset=csv:{tmp}/table.csv"], "no column 'label'"),
    "no such folder": (["train", "--dataset=images:{tmp}/absent"], "images:DIR"),
    "foreign directory": (["train", "--dataset=digits", "--out={tmp}"], "not empty and holds no run"),
    "out is a file": (["train", "--dataset=digits", "--out={tmp}/table.csv"], "is a file"),
    "evaluate nothing": (["evaluate"], "run: got none"),
    "evaluate no run": (["evaluate", "--run={tmp}"], "config.json: no such file"),
    "evaluate no directory": (["evaluate", "--run={tmp}/absent"], "is no directory"),
    "evaluate bad samples": (["evaluate", "--run={tmp}", "--density_samples=0"], "density_samples"),
    "evaluate corrupt config": (["evaluate", "--run={tmp}/corrupt"], "not a readable JSON"),
    "evaluate unfinished": (["evaluate", "--run={tmp}/unfinished"], "has not finished training"),
    "export no run": (["export", "--run={tmp}/absent"], "is no directory"),
    "classify nothing": (["classify"], "run|saved_model"),
    "classify twice": (["classify", "--server=localhost:1", "--run={tmp}", "{tmp}/nan.npz"], "--server beside"),
    "classify no server": (["classify", "--server=localhost:1", "--deadline=1", "{tmp}/nan.npz"], ":1: (UNAV|DEAD)"),
    "classify no port": (["classify", "--server=localhost", "{tmp}/nan.npz"], "allowed: HOST:PORT"),
    "classify novelty of samples": (
        ["classify", "--saved_model={tmp}", "--novelty", "--log_density_samples=5", "{tmp}/nan.npz"],
        "log_density_samples: got it beside --novelty",
    ),
    "export two formats": (["export", "--run={tmp}", "--quantise=dynamic"], "quantise: got dynamic; allowed: none"),
    "export kept onnx": (["export", "--run={tmp}", "--format=onnx", "--keep=2"], "keep: got 2; allowed: not given for --f"),
    "export named litert": (["export", "--run={tmp}", "--format=litert", "--model_name=a"], "model_name: got a; allowed"),
    "classify no model": (
        ["classify", "--saved_model={tmp}", "{tmp}/nan.npz"],
        "bad[0-9]+: holds no SavedModel; allowed: a ",
    ),
    "reproduce nothing": (["reproduce"], "got no cell"),
    "reproduce the unknown": (["reproduce", "table9"], "unknown cell: got 'table9'"),
    "reproduce with bad seeds": (["reproduce", "maaloe2016-figure2-half-moons", "--seeds=a"], "seeds: got 'a'"),
    "reproduce one with jobs": (["reproduce", "kingma2014-m1", "--jobs=2"], "jobs: got 2 without --all; allowed: none"),
    "reproduce all with seeds": (["reproduce", "--all", "--seeds=1"], r"seeds: got \['1'\] with --all; allowed: none"),
    "channels of nothing": (["train", "--dataset=digits", "--filters=8,16"], r"filters: got \(8, 16\) with trunk 'mlp'"),
    "unknown energy": (["potential", "--energy=U9"], "energy: got|U9"),
    "sample no run": (["sample", "--run={tmp}/absent", "--out={tmp}/s"], "is no directory"),
}


@pytest.fixture(scope="module")
def bad_files(tmp_path_factory):
    """A directory of files that each have one defect."""
    import dataclasses
    import json

    tmp = tmp_path_factory.mktemp("bad")
    (tmp / "corrupt.npz").write_bytes(b"PK\x03\x04 cut off")
    np.savez(tmp / "pickle.npz", x=np.array([{}, {}], dtype=object), y=np.array([0, 1]))
    np.savez(tmp / "nan.npz", x=np.full((4, 2), np.nan), y=np.array([0, 1, 0, 1]))
    np.savez(tmp / "shapes.npz", x=np.zeros((4, 2)), y=np.array([0, 1, 0]))
    np.savez(tmp / "labels.npz", x=np.zeros((4, 2)), y=np.array([0, 1, -7, 1]))
    (tmp / "table.csv").write_text("u,v\n1,2\n3,4\n")
    (tmp / "corrupt").mkdir()
    (tmp / "corrupt" / "config.json").write_text("{")
    (tmp / "unfinished").mkdir()
    config = dict(settings=dataclasses.asdict(recipes.resolve("adgm", "digits")), model_config={}, class_names=[])
    (tmp / "unfinished" / "config.json").write_text(json.dumps(config | {"git_revision": None}))
    return tmp


@pytest.mark.parametrize("kind", BAD)
def test_bad_input_ends_in_one_line(kind, bad_files, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (verb, *arguments), message = BAD[kind]
    before = sorted(bad_files.rglob("*"))
    code = call(verb, *(argument.format(tmp=bad_files) for argument in arguments))
    told = capsys.readouterr().err.strip().splitlines()
    assert code == 1
    assert [line for line in told if line.startswith("error: ")] == told[-1:], told
    assert re.search(message, told[-1]), told
    assert "Traceback" not in "".join(told)
    assert sorted(bad_files.rglob("*")) == before and not list(tmp_path.iterdir())


def test_a_directory_that_cannot_be_made_is_told_before_the_fit(tmp_path, capsys, monkeypatch):
    from tfadgm.experiments import energies

    monkeypatch.setattr(energies, "experiment", lambda *arguments: pytest.fail("the fit has begun"))
    (tmp_path / "file").write_text("")
    assert call("potential", f"--out={tmp_path}/file") == 1
    assert "File exists" in capsys.readouterr().err


@pytest.mark.parametrize("verb", VERBS)
def test_what_goes_on_where_it_was_interrupted_says_so(verb, capsys):
    def interrupted(argv):
        raise KeyboardInterrupt

    vars(interrupted).update(vars(importlib.import_module(f"tfadgm.cli.{verb}").main) | {"before": interrupted})
    assert common.guard(interrupted, [verb]) == 130
    further = "; the same command goes on from the last checkpoint" if verb in ("train", "reproduce", "search") else ""
    assert capsys.readouterr().err == f"interrupted{further}\n"


@pytest.mark.parametrize("left", ["from the last checkpoint", "with what is left"])
@pytest.mark.parametrize("number, code, word", [("SIGTERM", 143, "terminated"), ("SIGINT", 130, "interrupted")])
def test_a_training_that_was_stopped_is_told_with_its_place(number, code, word, left, capsys):
    def stopped(argv):
        raise stopping.stopped(getattr(signal, number), "after step 3 of 9 of epoch 2", left)

    stopped.goes_on = True
    assert common.guard(stopped, ["train"]) == code
    told = f"{word} after step 3 of 9 of epoch 2; the same command goes on {left}\n"
    assert capsys.readouterr().err == told


def test_an_interrupt_before_the_command_begins_is_told_too(capsys):
    def interrupted():
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as stop:
        common.run(train.main, interrupted)
    assert stop.value.code == 130
    assert capsys.readouterr().err == "interrupted; the same command goes on from the last checkpoint\n"


def test_numbers_that_are_not_finite_end_in_exit_code_1_and_are_named(capsys):
    assert common.check_finite(dict(model="vae", elbo=-3.0, best_validation_error=None)) == 0
    assert capsys.readouterr().err == ""
    assert common.check_finite(dict(elbo=None, not_finite=dict(elbo="nan"))) == 1
    assert common.check_finite(dict(elbo_stderr=None, not_finite=dict(elbo_stderr="of one example"))) == 0
    assert "elbo is nan" in capsys.readouterr().err
    assert common.check_finite(dict(elbo=float("nan"), log_density=float("-inf"), nll=1.0)) == 1
    assert capsys.readouterr().err.startswith("error: elbo is nan, log_density is -inf; allowed: finite numbers")


def test_what_an_error_quotes_does_not_steer_the_terminal(capsys):
    def fails(argv):
        raise ValueError("classes: got \x1b[2Jred\x07; allowed: blue")

    assert common.guard(fails, ["sample"]) == 1
    assert capsys.readouterr().err == "error: classes: got \\x1b[2Jred\\x07; allowed: blue\n"


def test_a_run_that_may_not_be_written_is_evaluated_and_what_was_not_written_is_told(monkeypatch, capsys, tmp_path):
    def refused(path, content):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(run_directory, "write_json", refused)
    evaluate._write(tmp_path / "evaluation.json", {})
    assert capsys.readouterr().err == f"warning: {tmp_path / 'evaluation.json'} was not written: Permission denied\n"


@pytest.mark.parametrize("verb, name", [("classify", "run"), ("evaluate", "run"), ("export", "to"), ("sample", "out")])
def test_a_home_directory_in_a_path_is_expanded(verb, name, monkeypatch):
    monkeypatch.setenv("HOME", "/home/somebody")
    module = importlib.import_module(f"tfadgm.cli.{verb}")
    assert with_flags(module, [f"--{name}=~/x"], lambda argv: flags.FLAGS[name].value) == "/home/somebody/x"


@pytest.mark.parametrize("labels, name", [(None, "m2-npz_own-all-3"), (0, "m2-npz_own-0-3"), (20, "m2-npz_own-20-3")])
def test_runs_of_other_settings_have_other_default_directories(labels, name):
    settings = recipes.resolve("m2", "npz:data/own.npz", labels=labels, seed=3)
    assert train.default_directory(settings) == pathlib.Path("runs") / name


def test_a_run_that_ended_in_warm_up_says_so():
    names = "elbo elbo_stderr log_density log_density_stderr effective_samples train_seconds steps_per_second peak_memory_mb"
    results = dict(
        model="avae", dataset="mnist", labels=0, seed=0, evaluated_on="test", epochs=2, **dict.fromkeys(names.split(), 1.0)
    )
    results |= dict(log_density_samples=1, log_density_examples=1)
    told = "ended after 2 of 10 epochs; train longer, or with fewer --warmup_epochs"
    assert told in common.results_table(results, 10.0)
    assert "warm-up" not in common.results_table(results, 2.0) + common.results_table(results)


def test_the_table_tells_the_bound_that_was_trained_from_the_one_that_is_reported():
    results = dict(model="untapped", dataset="digits", labels=0, seed=0, evaluated_on="train", elbo=-20.0, elbo_stderr=0.5)
    results |= dict(log_density=-19.0, log_density_stderr=0.5, log_density_samples=9, log_density_examples=9)
    results |= dict(effective_samples=2.0)
    assert "as trained" not in common.results_table(results)
    table = common.results_table({**results, "trained_elbo": -25.0, "trained_elbo_of": "y on the simplex"})
    assert re.search("as trained +-25.00 nats, of another model: y on the simplex", table)


@pytest.mark.parametrize("verb", VERBS)
def test_the_binary_runs_and_its_help_is_told(verb):
    done = subprocess.run([sys.executable, ROOT / "bin" / verb, "--help"], capture_output=True, text=True)
    assert f"bin/{verb}" in done.stdout and "Traceback" not in done.stderr


def test_a_real_process_ends_with_exit_code_1():
    done = subprocess.run([sys.executable, ROOT / "bin" / "train", "--model=gan"], capture_output=True, text=True)
    assert done.returncode == 1 and "error: model: got 'gan'" in done.stderr and "Traceback" not in done.stderr
