"""Many small fits on record: what was measured is kept, and processes are replaced from time to time; no program."""

import concurrent.futures
import json
import multiprocessing
import os
import sys

from common import ROOT

FITS = 6  # of a process, whose graphs stay in memory


def save(path, content):
    """Writes a record as a whole or not at all, a line for each of its many rows."""
    path.parent.mkdir(exist_ok=True)
    temporary, about = path.with_suffix(".writing"), {name: value for name, value in content.items() if name != "rows"}
    rows = ",\n".join(map(json.dumps, content["rows"]))
    temporary.write_text(f'{json.dumps(about, indent=1)[:-2]},\n "rows": [\n{rows}\n]}}\n')
    os.replace(temporary, path)


def missing(path, key, jobs):
    """Returns (rows on record, the jobs that are not): a job is a tuple of what the names `key` are in its rows."""
    rows = json.loads(path.read_text())["rows"] if path.exists() else []
    done = {tuple(row[name] for name in key) for row in rows}
    return rows, [job for job in jobs if job not in done]


def each(measure, jobs):
    """Yields what `measure` returns of each job, measured by a process that is replaced from time to time."""
    sys.path.insert(0, str(ROOT))
    options = dict(max_workers=1, max_tasks_per_child=FITS, mp_context=multiprocessing.get_context("spawn"))
    with concurrent.futures.ProcessPoolExecutor(**options) as pool:
        for job in jobs:
            print(*job, flush=True)
            yield pool.submit(measure, *job).result()
