"""Bad flags, files, run directories and exports: one line on stderr each, an exit code that is not 0, nothing written.

Beside the tables of cli_test.py (what each message says) this one is for breadth: every setting, every flag of every verb,
and every file that a verb reads.
"""

import dataclasses
import os
import resource
import shutil

import numpy as np
import pytest
import trainings
from calling import call

from tfadgm.runs import build
from tfadgm.runs.settings import Settings

FIELDS = {field.name: field for field in dataclasses.fields(Settings)}
# A text that no value of the kind is written as; of a text any will do, and those that name something are below.
NOT_OF_KIND = {int: "many", float: "fast", bool: "perhaps", "count": "some", "amount": "much", "numbers": "0,one"}
NOT_OF_KIND |= {tuple: "10x10", "sizes": "10,ten", "prior": "even,odd"}
# Numbers that no such setting takes; the others are checked by the model that they are for.
NOT_NEGATIVE = (
    *("labels", "validation", "seed", "epochs", "minutes", "steps", "genes", "clusters", "hidden", "dim_z", "batch"),
    *("labelled_batch", "learning_rate", "adam_epsilon", "decay_from", "decay", "decay_epochs", "average", "max_norm"),
    *("max_value", "patience", "checkpoint_seconds", "threads", "cross_fit", "test_samples", "density_samples", "samples"),
    *("density_examples", "beta", "labelled_weight", "unlabelled_weight", "virtual_adversarial", "warmup_epochs"),
    *("head_deviation", "log_variance_ceiling", "hidden_cells", "exact_classes", "classifier_samples", "adversarial_radius"),
    "shift",
    "adversarial_shift",
    "adversarial_temperature",
    "depth",
    *("class_entropy", "class_balance", "answer_temperature"),
)
NOT_INFINITE = [name for name, field in FIELDS.items() if field.metadata["kind"] in (float, "amount")]
DIGITS = ["--dataset=digits", "--epochs=1"]


def setting_cases():
    for name, field in FIELDS.items():
        kind, choices = field.metadata["kind"], field.metadata["choices"]
        if choices:
            yield f"{name} of no choice", ["train", *DIGITS, f"--{name}=sine"]
        elif kind in NOT_OF_KIND:
            yield f"{name} of no kind", ["train", *DIGITS, f"--{name}={NOT_OF_KIND[kind]}"]
        if "None" not in str(field.type) and "none" not in (choices or ()):
            yield f"{name} none", ["train", *DIGITS, f"--{name}=none"]
    for name in NOT_NEGATIVE:
        given = DIGITS[:1] if name in ("epochs", "minutes", "steps") else DIGITS
        yield f"{name} negative", ["train", *given, f"--{name}=-3"]
    for name in NOT_INFINITE:
        given = DIGITS[:1] if name == "minutes" else DIGITS
        yield f"{name} infinite", ["train", *given, f"--{name}=inf"]
        yield f"{name} NaN", ["train", *given, f"--{name}=nan"]


VERBS = {
    "evaluate": ("test_samples", "density_samples", "density_examples", "bayes_samples", "bayes_examples"),
    "export": ("samples", "keep", "format", "quantise"),
    "classify": ("version", "deadline", "batch", "log_density_samples"),
    "impute": ("draws", "samples"),
    "sample": ("n", "seed"),
    "reproduce": ("cores", "priority", "budget_minutes"),
    "potential": ("seed",),
}


def flag_cases():
    for verb, names in VERBS.items():
        for name in names:
            for value in ("many", "-7"):
                yield f"{verb} --{name}={value}", [verb, f"--{name}={value}"]
    for verb in (*VERBS, "train", "compare"):
        yield f"{verb} --colour", [verb, "--colour=red"]
        yield f"{verb} an empty flag", [verb, "--=3"]
    for verb in ("evaluate", "export", "sample", "train", "potential"):
        yield f"{verb} an argument", [verb, "something"]
    yield "potential seeds", ["potential", "--seeds=1,two"]
    yield "compare nothing", ["compare"]
    yield "compare no runs", ["compare", "{tmp}/absent", "{tmp}/empty"]
    yield "impute nothing", ["impute"]
    yield "impute to no table", ["impute", "--run={tmp}/run", "--out={tmp}/x.doc", "{tmp}/good.csv"]


FILES = {
    "empty.npz": b"",
    "text.npz": b"hello",
    "cut.npz": b"PK\x03\x04",
    "empty.csv": b"",
    "header.csv": b"a,b,label\n",
    "ragged.csv": b"a,b,label\n1,2,x\n1,2,3,4,5\n",
    "open.csv": b'a,b,label\n1,"2,x\n',
    "zeros.csv": bytes(64),
    "again.csv": b"a,b,label\n1,2,x\na,b,label\n3,4,y\n",
    "oneclass.csv": b"a,b,label\n" + b"1,2,x\n" * 20,
    "twice.csv": b"a,a,label\n" + b"1,2,x\n3,4,y\n" * 20,
    "text.parquet": b"PAR1",
    "text.h5ad": b"\x89HDF",
    "deep.json": b"[" * 1000,
}


def arrays():
    """{name: arrays of an npz that is none of a data set}."""
    x, y = np.zeros((6, 2), "float32"), np.arange(6) % 2
    yield "nox", dict(z=x, y=y)
    yield "flat", dict(x=x[:, 0], y=y)
    yield "nothing", dict(x=x[:0], y=y[:0])
    yield "scalar", dict(x=np.float32(3), y=y)
    yield "complex", dict(x=x + 1j, y=y)
    yield "words", dict(x=np.full((6, 2), "a"), y=y)
    yield "times", dict(x=np.zeros((6, 2), "M8[s]"), y=y)
    yield "nan", dict(x=x * np.nan, y=y)
    yield "large", dict(x=np.full((6, 2), 1e300), y=y)
    yield "short", dict(x=x, y=y[:3])
    yield "square", dict(x=x, y=np.stack([y, y]))
    yield "fractions", dict(x=x, y=y + 0.5)
    yield "infinite", dict(x=x, y=np.full(6, np.inf))
    yield "below", dict(x=x, y=y - 5)
    yield "many", dict(x=x, y=y * 10**9)
    yield "one", dict(x=x, y=y * 0)
    yield "bytes", dict(x=x, y=np.full(6, b"\xff\xfe"))
    yield "half", dict(x=x, y=y, x_test=x)
    yield "other", dict(x=x, y=y, x_test=x[:, :1], y_test=y)
    yield "channels", dict(x=np.zeros((6, 3, 8, 8), "uint8"), y=y)


def file_cases():
    for name in ("empty.npz", "text.npz", "cut.npz"):
        yield f"train {name}", ["train", f"--dataset=npz:{{tmp}}/{name}", "--epochs=1"]
    for name in [name for name in FILES if name.endswith("csv")]:
        yield f"train {name}", ["train", f"--dataset=csv:{{tmp}}/{name}", "--epochs=1"]
    for name, _ in arrays():
        yield f"train {name} arrays", ["train", f"--dataset=npz:{{tmp}}/{name}.arrays.npz", "--epochs=1"]
    for kind in ("npz", "csv", "parquet", "h5ad"):
        for place in ("absent", "pipe", "empty", "loop", "text.parquet", "deep.json"):
            yield f"train {kind}:{place}", ["train", f"--dataset={kind}:{{tmp}}/{place}", "--epochs=1"]
    for place in ("absent", "pipe", "empty", "empty.csv", "loop"):
        yield f"train images:{place}", ["train", f"--dataset=images:{{tmp}}/{place}", "--epochs=1"]
    for name in ("columns=a:colour", "columns=z:number", "ignore=z", "label=z", "columns=a", "image_size=3", "genes=0"):
        yield f"train --{name}", ["train", "--dataset=csv:{tmp}/good.csv", "--epochs=1", f"--{name}"]
    for kind in ("npz", "csv", "images", "parquet", "h5ad", "freyface"):
        yield f"train {kind} of nothing", ["train", f"--dataset={kind}", "--epochs=1"]


RUNS = {
    "no json": "{",
    "a list": "[]",
    "null": "null",
    "a number": "3",
    "empty": "",
    "nested": "[" * 50_000,
    "settings alone": '{"settings": {}}',
    "settings of text": '{"settings": "x", "model_config": {}, "class_names": [], "git_revision": null}',
    "a model of nothing": '{"settings": {"epochs": 1}, "model_config": {}, "class_names": [], "git_revision": null}',
}


def run_cases():
    for verb in ("evaluate", "export", "sample"):
        for number, name in enumerate(RUNS):
            out = ["--out={tmp}/new"] if verb == "sample" else []
            yield f"{verb} a run of {name}", [verb, f"--run={{tmp}}/runs/{number}", *out]
    for number, name in enumerate(RUNS):
        yield f"train in a run of {name}", ["train", *DIGITS, f"--out={{tmp}}/runs/{number}"]
        yield (
            f"impute by a run of {name}",
            ["impute", f"--run={{tmp}}/runs/{number}", "--out={tmp}/new.csv", "{tmp}/good.csv"],
        )
    for place in ("absent", "empty", "good.csv", "pipe", "loop", "noexport"):
        yield f"classify by {place}", ["classify", f"--run={{tmp}}/{place}", "{tmp}/good.csv"]
        yield f"classify by an export {place}", ["classify", f"--saved_model={{tmp}}/{place}", "{tmp}/good.csv"]
        yield (
            f"train in {place}",
            ["train", *DIGITS, f"--out={{tmp}}/{place}/run"]
            if place == "good.csv"
            else [
                "compare",
                f"{{tmp}}/{place}",
            ],
        )
    for server in ("x", "x:y", ":1", "x:99999999", "http://x"):
        yield f"classify at {server}", ["classify", f"--server={server}", "--deadline=0.5", "{tmp}/good.csv"]
    for file in ("absent", "pipe", "empty", "loop", "deep.json", "empty.csv"):
        yield f"classify {file}", ["classify", "--run={tmp}/noexport", f"{{tmp}}/{file}"]
    yield "sample classes", ["sample", "--run={tmp}/run", "--classes=none,other", "--out={tmp}/new"]
    yield "sample numbers", ["sample", "--run={tmp}/run", "--classes=#7", "--out={tmp}/new"]
    yield "sample over files", ["sample", "--run={tmp}/run", "--out={tmp}/there"]
    yield "evaluate other data", ["evaluate", "--run={tmp}/run", "--data={tmp}/good.csv"]
    yield "evaluate no data", ["evaluate", "--run={tmp}/run", "--data={tmp}/absent.npz"]
    yield "evaluate data of a pipe", ["evaluate", "--run={tmp}/run", "--data={tmp}/pipe"]
    yield "export to a file", ["export", "--run={tmp}/run", "--to={tmp}/good.csv"]
    yield "export of a bad name", ["export", "--run={tmp}/run", "--to={tmp}/new", "--model_name=a/b"]


CASES = dict([*setting_cases(), *flag_cases(), *file_cases(), *run_cases()])


@pytest.fixture(scope="module")
def bad(tmp_path_factory):
    """A directory of files of which each has a defect, and of a run that has none."""
    tmp = tmp_path_factory.mktemp("bad")
    for name, content in FILES.items():
        (tmp / name).write_bytes(content)
    for name, content in arrays():
        np.savez(tmp / f"{name}.arrays.npz", **content)
    (tmp / "good.csv").write_text("a,b,label\n" + "1,2,x\n3,5,y\n2,2.5,x\n" * 10)
    (tmp / "there.png").write_bytes(b"precious")
    for number, content in enumerate(RUNS.values()):
        (tmp / "runs" / str(number)).mkdir(parents=True)
        (tmp / "runs" / str(number) / "config.json").write_text(content)
        (tmp / "runs" / str(number) / "model.weights.h5").write_text("none")
    (tmp / "empty").mkdir()
    os.mkfifo(tmp / "pipe")
    (tmp / "loop").symlink_to(tmp / "loop")
    trainings.write_run(tmp / "run", f"npz:{trainings.write_data(tmp / 'own.npz')}")
    shutil.copytree(tmp / "run", tmp / "noexport")
    return tmp


def test_there_are_at_least_150_cases():
    assert len(CASES) >= 150, len(CASES)


@pytest.fixture(scope="module", autouse=True)
def memory():
    """All of them together take less than a gigabyte."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1 << 20  # KiB


def contents(directory):
    """Every path below a directory with the time of its last change; of directories, where a lock comes and goes, none."""
    return {path: path.is_dir() or path.lstat().st_mtime_ns for path in directory.rglob("*")}


@pytest.mark.parametrize("case", CASES)
def test_bad_input_is_one_line_and_nothing_is_written(case, bad, tmp_path, monkeypatch, capsys):
    def accepted(*arguments, **options):
        raise AssertionError(f"{case}: was accepted")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(build, "train", accepted)
    before = contents(bad)
    verb, *arguments = CASES[case]
    code = call(verb, *(argument.format(tmp=bad) for argument in arguments))
    told = capsys.readouterr().err.strip().splitlines()
    errors = [line for line in told if not line.startswith("warning: ")]
    assert code, told
    assert len(errors) == 1 and errors[0].startswith("error: ") and len(errors[0]) > 15, told
    assert contents(bad) == before and not list(tmp_path.iterdir())
