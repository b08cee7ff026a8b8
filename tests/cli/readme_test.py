"""README's commands as they are printed: all flags are known and fit their data, and those that need no download run."""

import pathlib
import re
import shlex

import numpy as np
import pandas
import pytest
from calling import call, with_flags
from h5ad_files import save
from PIL import Image
from tfrecord_files import describe, example, write

from tfadgm.cli import asked, classify, compare, evaluate, export, impute, potential, reproduce, sample, search, train
from tfadgm.experiments import CELLS
from tfadgm.runs import build, recipes, run, run_directory

README = (pathlib.Path(__file__).resolve().parents[2] / "README.md").read_text()
VERBS = dict(
    classify=classify,
    compare=compare,
    evaluate=evaluate,
    export=export,
    impute=impute,
    potential=potential,
    reproduce=reproduce,
    sample=sample,
    search=search,
    train=train,
)
PRINTED = re.findall(r"^    (bin/.*)", README, re.MULTILINE)
COMMANDS = [re.split(r"\s{3,}(?![-\s])", line)[0].strip() for line in PRINTED]  # without what is said beside them
HERE = ("digits", "half_moons", "npz", "csv", "h5ad", "images", "tfrecord")  # data sets that nothing is downloaded for
RUN = "runs/adgm-digits-100-0"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A directory with a small run of digits, where README has its runs, and files for its placeholders."""
    tmp = tmp_path_factory.mktemp("readme")
    tiny = dict(hidden=(8,), dim_z=2, dim_a=2, epochs=1, test_samples=2, density_samples=2, density_examples=10)
    run.train(recipes.resolve("adgm", "digits", labels=100, **tiny), tmp / RUN, quiet=True)
    data, _ = build.load_data(recipes.resolve("adgm", "digits"))
    np.savez(tmp / "own.npz", x=data.x_train[:40], y=data.y_train[:40])
    frame = pandas.DataFrame(dict(zip=[f"{i % 7:05}" for i in range(40)], visits=np.arange(40) // 3, name="n", ward="w"))
    frame.assign(label=list("ab") * 20, diagnosis=list("ab") * 20).to_csv(tmp / "own.csv", index=False)
    save(tmp / "own.h5ad", 1 + np.arange(80).reshape(40, 2), obs=dict(cell_type=list("ab") * 20))
    _make_people(tmp)
    (tmp / "records").mkdir()
    describe(tmp / "records", x=dict(dtype="float32", shape=[2]), label=dict(dtype="int64"))
    for name in ("train", "test"):
        write(tmp / "records" / name, [example(x=[0.5 * i, 2.0], label=i % 2) for i in range(8)])
    for name in ("cats/1.png", "dogs/1.png", "unlabelled/1.png"):
        (tmp / "own" / name).parent.mkdir(parents=True)
        Image.fromarray(np.eye(8, dtype="uint8") * 255).save(tmp / "own" / name)
    return tmp


def _make_people(tmp):
    """people.csv, and a run of it that is not trained."""
    frame = pandas.DataFrame(dict(age=[41, None, 39.5, 20] * 10, job=["nurse", "clerk", "", "clerk"] * 10))
    frame.assign(label=list("ab") * 20).to_csv(tmp / "people.csv", index=False)
    settings = recipes.resolve("m2", f"csv:{tmp / 'people.csv'}", labels=6, hidden=(8,), dim_z=2, epochs=1)
    data, split = build.load_data(settings)
    model = build.make_model(settings, data, split)
    run_directory.begin(settings, tmp / "runs/people", data, split, model, data.class_names)
    model.save_weights(tmp / "runs/people/model.weights.h5")


def filled(command):
    """Returns a command with something in place of README's placeholders: (verb, arguments)."""
    kinds = {
        "npz:FILE": "npz:own.npz",
        "csv:FILE": "csv:own.csv",
        "h5ad:FILE": "h5ad:own.h5ad",
        "images:DIR": "images:own",
        "tfrecord:DIR/": "tfrecord:records/",
        "'DIR/test*'": "'records/test*'",
        "FILE...": "own.npz",
        "--data=FILE": "--data=own.npz",
    }
    for name, value in {**kinds, "DIR": RUN, "BASE": "served"}.items():
        command = command.replace(name, value)
    program, *arguments = shlex.split(command, comments=False)
    return pathlib.Path(program).name, arguments


def test_commands_are_found_in_readme():
    assert len(COMMANDS) >= 15 and {filled(command)[0] for command in COMMANDS} == set(VERBS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_printed_command_has_known_flags_that_fit(command, place, monkeypatch):
    monkeypatch.chdir(place)
    verb, arguments = filled(command)
    if verb == "train":
        settings = with_flags(train, arguments, lambda argv: asked.settings())
        if settings.dataset.partition(":")[0] in HERE:
            build.make_model(settings, *build.load_data(settings))
    elif verb == "reproduce":
        whole = {"--list", "--all"} & set(arguments)
        assert with_flags(reproduce, arguments, lambda argv: reproduce._names(argv[1:], CELLS, whole))
    else:
        rest = with_flags(VERBS[verb], arguments, lambda argv: argv[1:])
        assert rest == [argument for argument in arguments if not argument.startswith("-")]


USES = [command for command in COMMANDS if "--run=" in command or command.endswith("--list")]


@pytest.mark.parametrize("command", USES)
def test_every_printed_use_of_a_run_works_on_one(command, place, monkeypatch, capsys):
    monkeypatch.chdir(place)
    verb, arguments = filled(command)
    fewer = ["--density_examples=20", "--bayes_examples=20"] if verb == "evaluate" else []  # than printed, for speed alone
    assert not call(verb, *arguments, *fewer)
    captured = capsys.readouterr()
    assert captured.out and "error" not in captured.err


def test_the_printed_python_runs(place, monkeypatch, capsys):
    monkeypatch.chdir(place)
    (code,) = re.findall(r"In Python:\n\n((?:    .*\n)+)", README)
    names = {}
    exec("\n".join(line[4:] for line in code.splitlines()), names)
    assert names["probabilities"].shape == (500, 10) and names["log_p_x"].shape == (500,)
    assert "p(x,y,z,a)" in capsys.readouterr().out
