"""All cells, one or several at a time, each in a process of its own: what is on record is passed over, what fails is noted.

Killed at any moment, the same command goes on: a run from its checkpoint, with epochs as its budget to the same bits.
"""

import contextlib
import ctypes
import fcntl
import json
import math
import os
import pathlib
import signal
import subprocess
import sys
import time

from tfadgm.experiments import listing, runner
from tfadgm.runs import run_directory
from tfadgm.training import callbacks

# Beginnings of names, in the order in which they are run, which is about that of their time, so that much is soon on record;
# what none of them begins comes last, then further seeds. What reads a run follows it.
ORDER = (
    *("kingma2014-table1-nn", "kingma2014-table1-svm", "kingma2014vae", "maaloe2016-figure2", "kingma2014-m1"),
    *("kingma2014-table1-m1tsvm", "maaloe2016-table2-mnist-m1tsvm", "kingma2014-table1-m2", "kingma2014-table1-m1m2"),
    *("maaloe2016-table2-mnist-m1m2", "own-mnist", "maaloe2016-table1-vae", "maaloe2016-table1-avae", "maaloe2016-table1"),
    *("untapped2017", "maaloe2016-ablation", "cagem2017-table1-adgm", "cagem2017-table1-20", "cagem2017-table3-20"),
    *(
        "cagem2017-table1-50",
        "cagem2017-table3-50",
        "cagem2017-table1-0-20",
        "cagem2017-table1-0-5",
        "cagem2017-figure3",
        "kingma2014",
    ),
    *("maaloe2016-table2-svhn-sdgm", "maaloe2016-svhn", "maaloe2016-table2-svhn", "own-svhn", "cagem2017-table2"),
    *("cagem2017-table1-0-10", "cagem2017-table1-100", "cagem2017-table3-100", "maaloe2016-table2-mnist-sdgm"),
    *("maaloe2016-figure5-sdgm", "maaloe2016-figure3", "maaloe2016-figure4", "maaloe2016-discussion-bayes-sdgm"),
    *("maaloe2016-table2-mnist-adgm", "maaloe2016-figure5-adgm", "maaloe2016-discussion", "maaloe2016-figure5"),
)
PRIORITY = 19  # of the processes that train: they take what others leave


def ordered(cells):
    """Returns (cell, seed) of every run that `cells` ask for, in the order of the queue."""

    def place(cell):
        return next((i for i, name in enumerate(ORDER) if cell.name.startswith(name)), len(ORDER))

    found = sorted(cells.values(), key=place)  # stable: within a beginning as they are listed
    most = max((cell.seeds for cell in found), default=0)
    return [(cell, seed) for seed in range(most) for cell in found if seed < cell.seeds]


def is_done(cell, seed, records):
    """Whether the cell's whole work with this seed is on record."""
    return any(row["seed"] == seed for row in cell.on_record(runner.rows_of(cell.name, records)))


def run_all(cells, out, records, cores=None, priority=PRIORITY, jobs=1, **data):
    """Runs what is not on record, in order; returns the names of what failed.

    Args:
      cells: a dict of name to `Cell`.
      out: the directory of the runs. One queue at a time is at work there.
      records: the directory of the records.
      cores: how many cores it may use; None: all.
      priority: niceness of the processes that train, 0 to 19.
      jobs: how many cells are run at a time, each on its share of the cores. What reads a run waits for it.
      **data: data_dir and tfds_name.

    Raises:
      ValueError: if another queue is at work in `out`, there are fewer cores, or the system is not Linux.
    """
    if not hasattr(os, "sched_setaffinity"):
        raise ValueError("all: the system cannot bind a process to cores; allowed: Linux, or cells by name")
    has = os.sched_getaffinity(0)
    if cores is not None and not 1 <= cores <= len(has):
        raise ValueError(f"cores: got {cores}; allowed: 1 to {len(has)}")
    chosen, out = sorted(has)[-(cores or len(has)) :], pathlib.Path(out)
    if not 1 <= jobs <= len(chosen):
        raise ValueError(f"jobs: got {jobs} on {len(chosen)} cores; allowed: 1 to {len(chosen)}")
    out.mkdir(parents=True, exist_ok=True)
    failed = []
    with _alone(out) as lock:
        free, running = [chosen[i::jobs] for i in range(jobs)], []
        waiting = [
            (cell, seed)
            for cell, seed in ordered(cells)
            if not is_done(cell, seed, records) and listing.status(cell, [], data.get("data_dir")) == "not run"
        ]
        while waiting or running:
            while free and (following := _next(waiting, running, out)) is not None:
                cell, seed = waiting.pop(following)
                own = free.pop()
                _note(cell, seed, out, None)
                running.append((cell, seed, _begin(cell, seed, out, records, own, priority, lock, data), own))
            ended = [job for job in running if job[2].poll() is not None]
            running = [job for job in running if job not in ended]
            for cell, seed, process, own in ended:
                free.append(own)
                _note(cell, seed, out, process.returncode)
                if process.returncode:
                    failed.append(f"{cell.name}, seed {seed}")
            if not ended:
                time.sleep(0.2)
    return failed


def _next(waiting, running, out):
    """Returns the place of the first that needs nothing that is under way or comes before it, or None."""
    taken = set().union(*(_needs(cell, seed, out) for cell, seed, *_ in running))
    for i, (cell, seed) in enumerate(waiting):
        needs = _needs(cell, seed, out)
        if not needs & taken:
            return i
        taken |= needs
    return None


def _needs(cell, seed, out):
    """What no two processes may write at a time: a cell's record, its run, and that of its first stage."""
    first = [out / cell.first / f"seed-{seed}"] if cell.first is not None else []
    return {cell.name, runner.directory_of(cell, seed, None, out), *first}


@contextlib.contextmanager
def _alone(out):
    """Holds the lock of the queue in `out`; the process that trains inherits it, and so holds it as long as it lives."""
    with open(out / "queue.lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise ValueError(f"out: another queue is at work in {out}; allowed: one at a time") from None
        yield lock


def _begin(cell, seed, out, records, cores, priority, lock, data):
    """Begins to run a cell in a process of its own, its lines into OUT/logs; returns the process."""
    logs = out / "logs"
    logs.mkdir(exist_ok=True)
    command = [sys.executable, sys.argv[0], cell.name, f"--seeds={seed}", f"--out={out}"]  # bin/reproduce, as it was called
    command += [f"--records={records}", *(f"--{name}={value}" for name, value in data.items() if value is not None)]
    print(f"{cell.name}, seed {seed}: begun", flush=True)

    def begin():
        os.nice(priority)
        os.sched_setaffinity(0, cores)
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: it ends with the queue

    with open(logs / f"{cell.name}-{seed}.log", "w") as log:
        return subprocess.Popen(command, stdout=log, stderr=log, preexec_fn=begin, pass_fds=[lock.fileno()])


def _note(cell, seed, out, code):
    """Keeps why a cell failed in OUT/failed.json; forgets it when it begins again (code None) and has ended well."""
    path, key = out / "failed.json", f"{cell.name}, seed {seed}"
    failures = json.loads(path.read_text()) if path.exists() else {}
    failures.pop(key, None)
    if code:
        lines = (out / "logs" / f"{cell.name}-{seed}.log").read_text().strip().splitlines()
        reason = next((line for line in reversed(lines) if line.startswith("error:")), lines[-1] if lines else "")
        failures[key] = f"ended by signal {-code}" if code < 0 else reason or f"exit code {code}"
        print(f"{key}: failed: {failures[key]}", flush=True)
    elif code is not None:
        print(f"{key}: done", flush=True)
    run_directory.write_json(path, failures)


def status(cells, out, records, data_dir=None):
    """Returns a line per cell and seed: its value, or how far it is, what is left and its last figure, or why it failed."""
    path = pathlib.Path(out) / "failed.json"
    failures = json.loads(path.read_text()) if path.exists() else {}
    return [
        f"{cell.name}, seed {seed}: {_state(cell, seed, out, records, failures, data_dir)}" for cell, seed in ordered(cells)
    ]


def _state(cell, seed, out, records, failures, data_dir):
    for row in cell.on_record(runner.rows_of(cell.name, records)):
        if row["seed"] == seed:
            epochs = f", {row['epochs']} epochs" if "epochs" in row else ""
            return f"on record: {row['value']:.2f}{epochs}"
    if reason := failures.get(f"{cell.name}, seed {seed}"):
        return f"failed: {reason}"
    if (found := listing.status(cell, [], data_dir)) != "not run":
        return found
    rows = callbacks.read_rows(runner.directory_of(cell, seed, None, out) / "metrics.csv")
    if not rows:
        return f"waits, {cell.work} epochs" if cell.work else "waits"
    done, left = int(rows[-1]["epoch"]), math.nan
    left = float(rows[-1]["seconds"]) / done * (cell.work - done) / 60 if cell.work else math.nan
    figure = next((name for name in ("validation_error", "unlabelled_bound", "objective") if rows[-1].get(name)), None)
    last = f", {figure.replace('_', ' ')} {float(rows[-1][figure]):.4g}" if figure else ""
    return f"epoch {done} of {cell.work}, {left:.0f} minutes left{last}"
