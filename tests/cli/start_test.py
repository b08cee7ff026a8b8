"""What a command answers before TensorFlow is imported, which takes seconds: its help, and whatever it can refuse."""

import json
import pathlib
import subprocess
import sys

import pytest

TESTS = pathlib.Path(__file__).resolve().parents[1]
SLOW = ("tensorflow", "keras", "tensorflow_probability", "pandas", "sklearn", "matplotlib", "scipy", "pyarrow", "optuna")
VERBS = [path.name for path in sorted((TESTS.parent / "bin").iterdir())]
WRONG = {
    "train": ["--colour=red"],
    "train of no model": ["--model=gan", "--dataset=digits"],
    "train on no data set": ["--dataset=cifar"],
    "train with a word for a number": ["--dataset=digits", "--epochs=many"],
    "train with a number out of range": ["--dataset=digits", "--batch=0"],
    "train with two budgets": ["--dataset=digits", "--epochs=3", "--minutes=1"],
    "train with an option of another model": ["--dataset=digits", "--model=vae", "--skip"],
    "train without a file": ["--dataset=npz:absent.npz"],
    "train with an option of other data": ["--dataset=digits", "--genes=3"],
    "train into a file": ["--dataset=digits", f"--out={__file__}"],
    "train with no file of settings": ["--config=absent.yaml"],
    "train with no preset": ["--preset=table9"],
    "evaluate": ["--run=absent"],
    "classify": [],
    "export": ["--format=onnx", "--keep=2"],
    "impute": ["--out=x.txt"],
    "sample": ["--run=absent"],
    "compare": ["--out=x.txt"],
    "reproduce": ["no-such-cell"],
    "search": ["--dataset=digits", "--trials=0"],
    "search of errors of no classifier": ["--dataset=digits", "--model=vae", "--objective=error"],
    "potential": ["--energy=U9"],
    "potential with a number out of range": ["--steps=0"],
}
PROGRAM = """
import importlib, json, sys
sys.path.insert(0, sys.argv[1])
from calling import call, with_flags
from tfadgm.cli import common
verbs, wrong, slow = json.loads(sys.argv[2])
found = {}
def note(name, value):
    found[name] = [value, sorted(set(slow) & set(sys.modules))]
for verb in verbs:
    module = importlib.import_module(f"tfadgm.cli.{verb}")
    note(f"help of {verb}", with_flags(module, [], lambda argv: common.help_text(module)))
for name, arguments in wrong.items():
    note(name, call(name.split()[0], *arguments))
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    """{what was asked: [the help or the exit code, which slow modules were imported by then]}, of one process."""
    asked = json.dumps([VERBS, WRONG, SLOW])
    command = [sys.executable, "-c", PROGRAM, str(TESTS), asked]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path_factory.mktemp("empty"))
    assert not done.returncode, done.stderr
    assert done.stderr.count("error: ") == len(WRONG), done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("verb", VERBS)
def test_help_is_told_without_tensorflow(verb, answers):
    text, imported = answers[f"help of {verb}"]
    assert "Flags:" in text and not imported


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_refused_without_tensorflow(name, answers):
    assert answers[name] == [1, []]
