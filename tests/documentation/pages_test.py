"""README.md and docs/: each page's blocks of code run, from top to bottom, in one directory, as a reader would run them.

What is not run as it is printed, and why:

- `bin/train` and `bin/search` are parsed, and where nothing has to be downloaded data are read and the model is built,
  but not trained, which takes minutes to hours. The runs that other commands use are small ones, which the fixture makes.
- `bin/reproduce` of cells and `bin/potential` are parsed: hours, downloads.
- `make`, and `serve.sh`, which needs a container engine: it is seen that the target and the file are there.
- `curl` asks the conformance server, in place of TensorFlow Serving, and `deploy/render.py` prints for nobody.
- Trainings of estimators have one epoch, evaluations fewer examples than printed.
- Blocks marked `text` are mathematics and files. The notebook and the results have no blocks to be run.
"""

import glob
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys
import urllib.request

import numpy as np
import pandas
import pytest
from calling import call, with_flags
from h5ad_files import save
from PIL import Image
from tfrecord_files import describe, example, write

from tfadgm import registry
from tfadgm.cli import asked, classify, compare, evaluate, export, impute, potential, reproduce, sample, search, train
from tfadgm.experiments import CELLS
from tfadgm.runs import build, recipes, run, run_directory

ROOT = pathlib.Path(__file__).resolve().parents[2]
WITHOUT_BLOCKS = ("notebook.md", "results.md")
PAGES = {
    path.relative_to(ROOT).as_posix(): path.read_text()
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
    if path.name not in WITHOUT_BLOCKS
}
BLOCK = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
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
HERE = (
    "digits",
    "half_moons",
    "npz",
    "csv",
    "parquet",
    "h5ad",
    "images",
    "tfrecord",
)  # data sets that nothing is downloaded for
RUN = "runs/adgm-digits-100-0"
PLACEHOLDERS = {  # what stands for the user's own, longer ones first
    "npz:FILE": "npz:own.npz",
    "csv:FILE": "csv:own.csv",
    "h5ad:FILE": "h5ad:own.h5ad",
    "images:DIR": "images:own",
    "--data=FILE": "--data=own.npz",
    "FILE...": "own.npz",
    "FILE.html": "two-runs.html",
    "RUN...": RUN,
    "runs/demo": RUN,
    "DIR": RUN,
    "BASE": "served",
}


def blocks(page):
    """Returns [(language, title or None, code)] of the fenced blocks of a page."""
    found = []
    for info, code in BLOCK.findall(PAGES[page]):
        language, _, rest = info.partition(" ")
        found.append((language, rest.removeprefix('title="').removesuffix('"') or None, code))
    return found


def commands(code):
    """Returns the commands of a block of shell, each a list of words with something in place of the placeholders."""
    found = []
    for line in code.replace("\\\n", " ").splitlines():
        for name, value in PLACEHOLDERS.items():
            line = line.replace(name, value)
        words = shlex.split(line, comments=True)
        found += [words[: words.index("|")] if "|" in words else words] if words else []
    return found


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A directory with small runs, where the pages have theirs, and files for their placeholders."""
    tmp = tmp_path_factory.mktemp("pages")
    tiny = dict(hidden=(8,), dim_z=2, dim_a=2, epochs=1, test_samples=2, density_samples=2, density_examples=10)
    run.train(recipes.resolve("adgm", "digits", labels=100, **tiny), tmp / RUN, quiet=True)
    data, _ = build.load_data(recipes.resolve("adgm", "digits"))
    np.savez(tmp / "own.npz", x=data.x_train[:40], y=data.y_train[:40])
    np.savez(tmp / "counts.npz", x=np.arange(80, dtype="float32").reshape(40, 2), y=np.arange(40) % 2)
    frame = pandas.DataFrame(dict(zip=[f"{i % 7:05}" for i in range(40)], visits=np.arange(40) // 3, name="n", ward="w"))
    frame.assign(label=list("ab") * 20, diagnosis=list("ab") * 20).to_csv(tmp / "own.csv", index=False)
    save(tmp / "own.h5ad", 1 + np.arange(80).reshape(40, 2), obs=dict(cell_type=list("ab") * 20))
    (tmp / "records").mkdir()
    describe(tmp / "records", x=dict(dtype="float32", shape=[2]), label=dict(dtype="int64"))
    for name in ("train", "test"):
        write(tmp / "records" / name, [example(x=[0.5 * i, 2.0], label=i % 2) for i in range(8)])
    _make_people(tmp)
    for name in ("cats/1.png", "dogs/1.png", "unlabelled/1.png"):
        (tmp / "own" / name).parent.mkdir(parents=True)
        Image.fromarray(np.eye(8, dtype="uint8") * 255).save(tmp / "own" / name)
    return tmp


def _make_people(tmp):
    """people.csv, and a run of it that is not trained, with its export."""
    frame = pandas.DataFrame(dict(age=[41, None, 39.5, 20] * 10, job=["nurse", "clerk", "", "clerk"] * 10))
    frame = frame.assign(label=list("ab") * 20)
    frame.to_csv(tmp / "people.csv", index=False)
    frame.to_parquet(tmp / "people.parquet")
    settings = recipes.resolve("m2", f"csv:{tmp / 'people.csv'}", labels=6, hidden=(8,), dim_z=2, epochs=1)
    data, split = build.load_data(settings)
    model = build.make_model(settings, data, split)
    run_directory.begin(settings, tmp / "runs/people", data, split, model, data.class_names)
    model.save_weights(tmp / "runs/people/model.weights.h5")
    run_directory.Run.open(tmp / "runs/people").export(samples=2)


@pytest.fixture(scope="module")
def served(place):
    """The conformance server, as `tfadgm` of the run of digits, and as `people` of that of the table."""
    sys.path.append(str(ROOT / "tests/serving"))
    import conformance_server

    bases = {"tfadgm": place / RUN / "export", "people": place / "runs/people/export"}
    with conformance_server.Server(bases, poll_seconds=60) as server:
        yield server


def _train(arguments, **_):
    settings = with_flags(train, arguments, lambda argv: None if asked.lists_presets() else asked.settings())
    if settings is None:
        assert arguments == ["--preset=list"]
    elif settings.dataset.partition(":")[0] in HERE and settings.strategy != "multi_worker":
        build.make_model(settings, *build.load_data(settings))


def _search(arguments, **_):
    assert with_flags(search, arguments, search.before) is None  # of what needs no TensorFlow nothing is refused


def _reproduce(arguments, **_):
    if {"--list", "--status"} & set(arguments):
        assert not call("reproduce", *arguments)
    else:
        whole = {"--all"} & set(arguments)
        assert with_flags(reproduce, arguments, lambda argv: reproduce._names(argv[1:], CELLS, whole))


def _potential(arguments, **_):
    assert with_flags(potential, arguments, lambda argv: argv[1:]) == []


def _use(verb, arguments, served):
    arguments = [each for word in arguments for each in (sorted(glob.glob(word)) if "*" in word else [word])]
    if any(word.startswith("--server=") for word in arguments):
        arguments = [re.sub("^--server=localhost:8500$", f"--server={served().grpc_address}", word) for word in arguments]
    fewer = ["--density_examples=20", "--bayes_examples=20"] if verb == "evaluate" else []
    assert not call(verb, *arguments, *fewer)


def _curl(arguments, served, **_):
    url, data = arguments[-1], arguments[arguments.index("-d") + 1] if "-d" in arguments else None
    if data and data.startswith("@"):
        data = pathlib.Path(data[1:]).read_text()
    if data and '"age"' in data:  # of the table, which has the same name where it is served alone
        url = url.replace("models/tfadgm", "models/people")
    url = f"http://{url.replace('localhost:8501', served().rest_address)}"
    with urllib.request.urlopen(url, data.encode() if data else None, timeout=60) as answer:
        assert answer.status == 200 and json.load(answer)


def _render(arguments, **_):
    found = subprocess.run(
        [sys.executable, ROOT / "deploy/render.py", *arguments], capture_output=True, text=True, check=True
    )
    assert "multi_worker" in found.stdout
    _train([*arguments[arguments.index("--") + 1 :], "--strategy=multi_worker"])


def _make(arguments, **_):
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert {word for word in arguments if "=" not in word} <= set(targets)


def perform(words, served):
    """Does what a command of a page does, or of it what the module's docstring says."""
    program, arguments = words[0], words[1:]
    if program.startswith("bin/"):
        verb = program.removeprefix("bin/")
        assert (ROOT / program).exists()
        known = dict(train=_train, search=_search, reproduce=_reproduce, potential=_potential)
        known.get(verb, lambda arguments, served: _use(verb, arguments, served))(arguments=arguments, served=served)
    elif program == "python":
        text = (ROOT / arguments[0]).read_text()
        assert all(f'"{word.partition("=")[0]}"' in text for word in arguments[1:])
    elif program.endswith("serve.sh"):
        assert os.access(program, os.X_OK)
    else:
        {"curl": _curl, "make": _make, "deploy/render.py": _render}[program](arguments, served=served)


@pytest.fixture
def as_they_were():
    """Takes what a page adds to the names of models away again."""
    tables = registry.MODELS, recipes.MODELS
    before = [dict(table) for table in tables]
    yield
    for table, content in zip(tables, before, strict=True):
        table.clear()
        table.update(content)


# One test, so that two processes do not both make the runs; what a page before had too is done once.
def test_every_block_of_every_page_runs(place, as_they_were, monkeypatch, request, subtests):
    monkeypatch.chdir(place)
    monkeypatch.syspath_prepend(place)
    done = set()
    for page in PAGES:
        with subtests.test(page):
            names = {"__name__": "page"}
            for language, title, code in blocks(page):
                assert language in ("sh", "python", "text"), f"a block of {language!r}"
                if title:
                    pathlib.Path(title).write_text(code)
                elif language == "python":
                    exec(compile(re.sub(r"\b(epochs|steps)=\d+", "epochs=1", code), page, "exec"), names)
                for words in commands(code) if language == "sh" else ():
                    if shlex.join(words) not in done:
                        done.add(shlex.join(words))
                        perform(words, lambda: request.getfixturevalue("served"))


def test_all_verbs_are_printed():
    shell = [code for page in PAGES for language, _, code in blocks(page) if language == "sh"]
    printed = {words[0] for code in shell for words in commands(code)}
    assert {word for word in printed if word.startswith("bin/")} == {f"bin/{verb}" for verb in VERBS}
    assert {path.name for path in (ROOT / "bin").iterdir()} == set(VERBS)


def test_readme_is_one_screen_with_a_picture():
    assert len(PAGES["README.md"].splitlines()) <= 60 and "![" in PAGES["README.md"]
