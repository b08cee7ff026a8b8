"""Damaged, lost and misplaced files of a run: it goes on from what is whole and says so, or stops in one line.

`pytest -s` prints what happened in each case.
"""

import os
import re
import shutil

import light
import pytest
import trainings

TABLE = []


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """(directory, settings, weights, listing) of a finished run with best weights and two checkpoints."""
    folder = tmp_path_factory.mktemp("trained")
    own = trainings.settings(trainings.write_data(folder / "own.npz"), validation=6, epochs=3)
    with light.nothing_but_training():
        trainings.train(own, folder / "run")
    yield folder / "run", own, trainings.weights(folder / "run"), trainings.listing(folder / "run")
    print("\n" + "\n".join(f"{case:<38} {outcome}" for case, outcome in TABLE))


def newest(directory, ending):
    found = directory.glob(f"checkpoints/ckpt-*.{ending}*")
    return max(found, key=lambda path: int(re.findall(r"ckpt-(\d+)", path.name)[0]))


def cut(path, size=0.5):
    path.write_bytes(path.read_bytes()[: int(size * path.stat().st_size)])


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def to_directory(path):
    path.unlink(missing_ok=True)
    path.mkdir()
    (path / "inside").write_text("precious")


def to_pipe(path):
    path.unlink(missing_ok=True)
    os.mkfifo(path)


def each_checkpoint(directory, act):
    for path in directory.glob("checkpoints/ckpt-*.data*"):
        act(path)


def leave_behind(directory):
    """What processes leave that are killed in the midst of a write."""
    (directory / "checkpoints" / "ckpt-99_temp").mkdir()
    (directory / "checkpoints" / "ckpt-99_temp" / "part-00000-of-00001.data").write_text("half")
    for name in ("checkpoint.tmp123", "writing_best.weights.h5", "ckpt-99.data-00000-of-00001"):
        (directory / "checkpoints" / name).write_text("half")
    for name in ("metrics.writing", "results.writing", ".report.html.writing", "writing_model.weights.h5"):
        (directory / name).write_text("half")
    for name in (".exporting-1", ".removing-2"):
        (directory / "export" / name).mkdir(parents=True)
        (directory / "export" / name / "saved_model.pb").write_text("half")
    (directory / "export" / ".index-3").write_text("half")


DAMAGED = r"warning: .*ckpt-\d+: a damaged checkpoint: .*; goes on from ckpt-\d+, the one before"
ANEW = "warning: .*checkpoints: holds no checkpoint of a run that had begun; it begins anew"
RESULTS = "warning: .*results.json: lost or damaged; it is made again"
LOST = "warning: .*best.weights.h5.* the last ones are taken"
# {case: (what is done to the directory, whether results are there, what is told; "same", "other" weights, or "refused")}
CASES = {
    "newest checkpoint cut short": (lambda d: cut(newest(d, "data")), False, DAMAGED, "same"),
    "newest checkpoint empty": (lambda d: cut(newest(d, "data"), 0), False, DAMAGED, "same"),
    "newest checkpoint with a flipped bit": (lambda d: flip(newest(d, "data")), False, DAMAGED, "same"),
    "newest checkpoint without data": (lambda d: newest(d, "data").unlink(), False, DAMAGED, "same"),
    "newest checkpoint without index": (lambda d: newest(d, "index").unlink(), False, DAMAGED, "same"),
    "newest index empty": (lambda d: cut(newest(d, "index"), 0), False, DAMAGED, "same"),
    "newest index with a flipped bit": (lambda d: flip(newest(d, "index")), False, DAMAGED, "same"),
    "newest index a directory": (lambda d: to_directory(newest(d, "index")), False, "ckpt-.*directory", "refused"),
    "newest index a pipe": (lambda d: to_pipe(newest(d, "index")), False, DAMAGED, "same"),
    "newest data a pipe": (lambda d: to_pipe(newest(d, "data")), False, DAMAGED, "same"),
    "newest checkpoint gone": (lambda d: [newest(d, e).unlink() for e in ("data", "index")], False, "", "same"),
    "list of checkpoints empty": (lambda d: (d / "checkpoints/checkpoint").write_text(""), False, "", "same"),
    "list of checkpoints garbage": (lambda d: (d / "checkpoints/checkpoint").write_bytes(b"\xff\0"), False, "", "same"),
    "list of checkpoints a directory": (
        lambda d: to_directory(d / "checkpoints/checkpoint"),
        False,
        "checkpoint",
        "refused",
    ),
    "all checkpoints cut short": (
        lambda d: each_checkpoint(d, cut),
        False,
        "ckpt-.*: a damaged checkpoint: .*, and of 2 none is. Without .*checkpoints the run begins anew",
        "refused",
    ),
    "checkpoints gone": (lambda d: shutil.rmtree(d / "checkpoints"), False, ANEW, "same"),
    "checkpoints a file": (lambda d: (shutil.rmtree(d / "checkpoints"), cut_in(d / "checkpoints")), False, "", "refused"),
    "best weights cut short": (lambda d: cut(d / "checkpoints/best.weights.h5"), False, LOST, "any"),
    "best weights gone": (lambda d: (d / "checkpoints/best.weights.h5").unlink(), False, LOST, "any"),
    "metrics.csv gone": (lambda d: (d / "metrics.csv").unlink(), False, "has no row of 3 of the 3 epochs", "same"),
    "metrics.csv cut short": (lambda d: cut(d / "metrics.csv", 0.9), False, "has no row of 1 of the 3 epochs", "same"),
    "metrics.csv no text": (lambda d: (d / "metrics.csv").write_bytes(b"\xff\xfe\0"), False, "no row of 3 of the 3", "same"),
    "metrics.csv a directory": (lambda d: to_directory(d / "metrics.csv"), False, "metrics.csv", "refused"),
    "metrics.csv a pipe": (lambda d: to_pipe(d / "metrics.csv"), False, "metrics.csv", "refused"),
    "results.json a list": (lambda d: (d / "results.json").write_text("[1]"), True, RESULTS, "same"),
    "results.json cut short": (lambda d: cut(d / "results.json"), True, RESULTS, "same"),
    "results.json a directory": (lambda d: to_directory(d / "results.json"), True, "results.json.*directory", "refused"),
    "results.json a pipe": (lambda d: to_pipe(d / "results.json"), True, "results.json.*pipe", "refused"),
    "model.weights.h5 gone": (
        lambda d: (d / "model.weights.h5").unlink(),
        True,
        "model.weights.h5: lost or damaged; it is made",
        "same",
    ),
    "model.weights.h5 cut short": (
        lambda d: cut(d / "model.weights.h5"),
        True,
        "model.weights.h5: lost or damaged; it is made",
        "same",
    ),
    "split.npz cut short": (lambda d: cut(d / "split.npz"), False, "split.npz: not a readable npz", "refused"),
    "split.npz gone": (lambda d: (d / "split.npz").unlink(), False, "", "same"),
    "config.json cut short": (lambda d: cut(d / "config.json"), False, "config.json: not a readable JSON", "refused"),
    "config.json a directory": (lambda d: to_directory(d / "config.json"), True, "config.json: is a directory", "refused"),
    "config.json a pipe": (lambda d: to_pipe(d / "config.json"), True, "config.json: is a pipe", "refused"),
    "leftovers of killed writes": (leave_behind, False, "ckpt-99: a damaged checkpoint", "same"),
    "leftovers in a finished run": (leave_behind, True, "", "same"),
}


def cut_in(path):
    path.write_text("half")


@pytest.mark.parametrize("case", CASES)
def test_damage_is_mended_or_told(case, trained, tmp_path, capsys):
    directory, own, before, files = trained
    damage, finished, message, outcome = CASES[case]
    copy = shutil.copytree(directory, tmp_path / "run")
    if not finished:
        (copy / "results.json").unlink()
    damage(copy)
    damaged = trainings.listing(copy)
    try:
        with light.nothing_but_training():
            trainings.train(own, copy)
        error = None
    except (ValueError, OSError) as refused:
        error = str(refused)
    except Exception as other:  # of TensorFlow, which the binaries tell in one line too
        error = str(other)
        assert type(other).__module__.startswith("tensorflow"), other
    told = [line for line in capsys.readouterr().err.splitlines() if "epochs: 3 of" not in line]
    TABLE.append((case, f"refused: {error}" if error is not None else "; ".join(told) or "went on in silence"))
    assert (error is not None) == (outcome == "refused"), error or told
    if error is not None:
        assert re.search(message, error) and "\n" not in error.strip(), error
        assert trainings.listing(copy) == damaged  # nothing is removed or overwritten
        return
    assert re.search(message, "\n".join(told)) if message else not told, told
    assert outcome == "any" or trainings.same(trainings.weights(copy), before)
    assert [name for name in trainings.listing(copy) if name not in files and "export" != name] == []
    if finished and "leftovers" not in case:
        assert trainings.listing(copy) == files
