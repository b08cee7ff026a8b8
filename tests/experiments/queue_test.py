"""The queue: its order, what it passes over, failures, and that a killed one goes on to the same records."""

import dataclasses
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import time

import pytest

from tfadgm.experiments import CELLS, queue, runner
from tfadgm.experiments.cell import Cell

TINY = Cell("tiny", "nobody", "error", 50.0, 1.0, dict(model="m2", dataset="digits", hidden=(8,)), epochs=6)
KILLS, EPOCHS = (10, 400) if os.environ.get("TFADGM_ALL_KILLS") else (1, 8)  # `make kills`
TESTS = pathlib.Path(__file__).resolve().parents[1]
PROGRAM = f"""
import sys
sys.path.insert(0, {str(TESTS)!r})
import light_bin
from tfadgm.experiments import CELLS, pictures, runner
from tfadgm.experiments.cell import Cell
runner.draw = pictures.together = lambda *arguments: None
CELLS.clear()
for name, model, more in [("a", "m2", {{}}), ("broken", "m2", {{"dim_z": (0,)}}), ("c", "vae", {{}})]:
    settings = dict(model=model, dataset="digits", hidden=(8,), checkpoint_seconds=0.0, density_examples=20, **more)
    measure = "log_density" if model == "vae" else "error"
    CELLS[name] = Cell(name, "nobody", measure, 50.0, settings=settings, epochs={EPOCHS})
light_bin.enter("reproduce")
"""


def test_what_takes_minutes_comes_first_what_reads_a_run_after_it_and_further_seeds_last():
    names = [(cell.name, seed) for cell, seed in queue.ordered(CELLS)]
    assert names[0] == ("kingma2014-table1-nn-100", 0) and len(names) == len(set(names))
    for cell in CELLS.values():
        for before in (cell.run, cell.first):
            assert before is None or names.index((before, 0)) < names.index((cell.name, 0)), cell.name
    assert {name for name, seed in names} == set(CELLS)
    seeds = [seed for _, seed in names]
    assert seeds == sorted(seeds) and names.count(("maaloe2016-table2-mnist-adgm", 2)) == 1


def test_what_is_on_record_at_full_work_is_passed_over(tmp_path):
    row = dict(seed=0, value=50.0, minutes=None, epochs=5)
    runner.record(TINY, row, tmp_path)
    runner.record(TINY, dict(row, minutes=25.0, epochs=9), tmp_path)
    assert not queue.is_done(TINY, 0, tmp_path)  # five epochs of six, and a look
    runner.record(TINY, dict(row, epochs=6), tmp_path)
    assert queue.is_done(TINY, 0, tmp_path) and not queue.is_done(TINY, 1, tmp_path)
    assert queue.status({"tiny": TINY}, tmp_path, tmp_path) == ["tiny, seed 0: on record: 50.00, 6 epochs"]


def test_the_state_of_a_run_under_way_is_told(tmp_path):
    directory = runner.directory_of(TINY, 0, None, tmp_path)
    directory.mkdir(parents=True)
    (directory / "metrics.csv").write_text("epoch,seconds,validation_error\n1,60,0.5\n2,120,0.25\n")
    (line, waits) = queue.status({"tiny": dataclasses.replace(TINY, seeds=2)}, tmp_path, tmp_path / "records")
    assert line == "tiny, seed 0: epoch 2 of 6, 4 minutes left, validation error 0.25"
    assert waits == "tiny, seed 1: waits, 6 epochs"


def test_one_queue_at_a_time_and_no_more_cores_than_there_are(tmp_path):
    with queue._alone(tmp_path), pytest.raises(ValueError, match="another queue is at work"):
        queue.run_all({}, tmp_path, tmp_path / "records")
    with pytest.raises(ValueError, match="cores: got 9999; allowed: 1 to"):
        queue.run_all({}, tmp_path, tmp_path / "records", cores=9999)


def test_several_at_a_time_share_the_cores_and_what_reads_a_run_waits_for_it(tmp_path, monkeypatch):
    settings = dict(model="m2", dataset="digits")
    cells = [Cell(name, "nobody", "error", settings=settings, epochs=1, seeds=seeds) for name, seeds in (("a", 2), ("b", 1))]
    cells.insert(1, dataclasses.replace(cells[0], name="figure-of-a", run="a", seeds=1))
    cells += [dataclasses.replace(cells[0], name=name, first="m", seeds=1) for name in ("after-m", "also-after-m")]
    begun, log = [], []

    class Process:
        def __init__(self, name, cores):
            self.name, self.cores, self.left, self.returncode = name, cores, 2, None

        def poll(self):
            self.left -= 1
            if not self.left:
                log.append(f"{self.name} ended")
                self.returncode = int(self.name == "b 0")
            return self.returncode

    def begin(cell, seed, out, records, cores, *rest):
        begun.append(Process(f"{cell.name} {seed}", cores))
        log.append(f"{cell.name} {seed} begun")
        return begun[-1]

    monkeypatch.setattr(queue, "_begin", begin)
    monkeypatch.setattr(queue, "ORDER", ())
    monkeypatch.setattr(queue.os, "sched_getaffinity", lambda pid: {0, 1, 2, 3})
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "b-0.log").write_text("error: it is broken")
    failed = queue.run_all({cell.name: cell for cell in cells}, tmp_path, tmp_path / "records", jobs=2)
    assert failed == ["b, seed 0"] and "it is broken" in (tmp_path / "failed.json").read_text()
    assert log.index("a 0 ended") < log.index("figure-of-a 0 begun")
    assert log.index("a 0 ended") < log.index("a 1 begun")  # they write one record
    assert log.index("after-m 0 ended") < log.index("also-after-m 0 begun")  # they share a first stage
    assert log.index("b 0 begun") < log.index("a 0 ended") and len(begun) == 6
    assert {tuple(process.cores) for process in begun} == {(0, 2), (1, 3)}
    with pytest.raises(ValueError, match="jobs: got 5 on 4 cores; allowed: 1 to 4"):
        queue.run_all({}, tmp_path, tmp_path / "records", jobs=5)


def test_a_system_without_affinities_is_told(tmp_path, monkeypatch):
    monkeypatch.delattr(queue.os, "sched_setaffinity")
    with pytest.raises(ValueError, match="all: the system cannot bind a process to cores; allowed: Linux"):
        queue.run_all({}, tmp_path, tmp_path / "records")


def _values(records):
    names = {path.stem for path in records.glob("*.json")}
    return {name: [row["value"] for row in runner.rows_of(name, records)] for name in names}


def test_a_queue_that_is_killed_goes_on_to_the_same_records_and_a_failure_stops_no_other(tmp_path):
    (tmp_path / "program.py").write_text(PROGRAM)

    def begin(*asked):
        command = [sys.executable, str(tmp_path / "program.py"), *asked]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    def of(out):
        return f"--out={tmp_path / out}", f"--records={tmp_path / out / 'records'}"

    began = time.monotonic()
    whole = begin("a", "c", *of("whole"))  # one after the other, without a queue
    whole.communicate()
    assert whole.returncode == 0
    printed, _ = begin("a", *of("whole")).communicate()  # once more: nothing is left to do
    (value,) = _values(tmp_path / "whole" / "records")["a"]
    assert f"a, seed 0: {tmp_path / 'whole' / 'a' / 'seed-0'} is complete; {value:.2f}" in printed
    length = time.monotonic() - began
    every = ("--all", "--cores=1", "--priority=0", *of("parts"))
    metrics = tmp_path / "parts" / "a" / "seed-0" / "metrics.csv"
    for kill in range(KILLS):
        parts = begin(*every)
        if kill:
            time.sleep(random.uniform(0, max(30.0, 2 * length / KILLS)))
        while not metrics.exists() and parts.poll() is None:
            time.sleep(0.05)
        parts.send_signal(signal.SIGKILL)
        parts.wait()
        done = [path.parent.parent.name for path in (tmp_path / "parts").glob("*/seed-0/results.json")]
        print(f"kill {kill}: cells that were complete: {done}", flush=True)
        assert kill or not done, "it must be killed in its midst"
    while True:  # what it had begun ends with it, and gives the lock back
        again = begin(*every)
        printed, _ = again.communicate()
        if "another queue" not in printed and (tmp_path / "parts" / "failed.json").exists():
            break
    assert again.returncode == 1 and "failed:\nbroken, seed 0" in printed
    failures = json.loads((tmp_path / "parts" / "failed.json").read_text())
    assert list(failures) == ["broken, seed 0"] and "dim_z: got (0,)" in failures["broken, seed 0"]
    assert _values(tmp_path / "parts" / "records") == _values(tmp_path / "whole" / "records")
    assert set(_values(tmp_path / "parts" / "records")) == {"a", "c"}
