#!/usr/bin/env python3
"""Memory of a training on a large table, made for it: numbers, counts, categories, missing cells, few labels.

    benchmarks/large_table.py --rows=100000,1000000

Peak resident memory of the whole process of `bin/train` at its defaults but for the number of steps.
"""

import os
import pathlib
import subprocess
import sys
import tempfile
import time

import numpy as np
import pandas as pd
from absl import app, flags
from common import RESULTS, ROOT, hardware, write_table
from fits import missing, save

FLAGS = flags.FLAGS
flags.DEFINE_list("rows", ["100000", "1000000"], "Numbers of rows.")
flags.DEFINE_list("kinds", ["csv", "parquet"], "Kinds of file.")
flags.DEFINE_integer("steps", 200, "Steps of each training.")
PATH = RESULTS / "own" / "large_table.json"
COLUMNS, CHUNK = 50, 100_000


def chunks(rows, seed=0):
    """Yields data frames: 30 numbers, 10 counts, 10 categories, of two classes; a twentieth of the cells is missing."""
    generator = np.random.default_rng(seed)
    for begin in range(0, rows, CHUNK):
        n = min(CHUNK, rows - begin)
        y = generator.integers(0, 2, n)
        found = {f"number {c}": generator.normal(y * (c % 3), 1 + c, n).round(4) for c in range(30)}
        found |= {f"count {c}": generator.poisson(2.0 + y + c, n).astype(float) for c in range(10)}
        words = np.array(["red", "green", "blue", "white", "black"], object)
        found |= {f"word {c}": words[(generator.integers(0, 5, n) + y * (c % 2)) % 5] for c in range(10)}
        frame = pd.DataFrame(found)
        frame = frame.mask(generator.random(frame.shape) < 0.05)
        frame["label"] = np.where((np.arange(begin, begin + n) % 10_000) < 20, np.array(["a", "b"])[y], "")
        yield frame


def write(path, rows):
    """Writes the table; a parquet in row groups of a chunk."""
    if path.suffix == ".csv":
        for number, frame in enumerate(chunks(rows)):
            frame.to_csv(path, mode="a", header=number == 0, index=False)
        return
    import pyarrow
    from pyarrow import parquet

    writer = None
    for frame in chunks(rows):
        table = pyarrow.Table.from_pandas(frame, preserve_index=False)
        writer = writer or parquet.ParquetWriter(path, table.schema)
        writer.write_table(table)
    writer.close()


def measure(kind, rows):
    """Returns the row of a training."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / f"large.{kind}"
        write(path, rows)
        command = [sys.executable, str(ROOT / "bin" / "train"), f"--dataset={kind}:{path}", f"--steps={FLAGS.steps}"]
        begun = time.perf_counter()
        child = subprocess.Popen([*command, f"--out={folder}/run"])
        _, status, used = os.wait4(child.pid, 0)
        if status:
            raise RuntimeError(f"{' '.join(command)}: ended with status {status}")
        return dict(
            kind=kind, rows=rows, columns=COLUMNS, steps=FLAGS.steps, file_mb=path.stat().st_size / 2**20,
            peak_mb=used.ru_maxrss / 1024, seconds=time.perf_counter() - begun,
        )  # fmt: skip


def main(_):
    rows, jobs = missing(PATH, ("rows", "kind"), [(int(n), kind) for n in FLAGS.rows for kind in FLAGS.kinds])
    for number, kind in jobs:
        rows.append(measure(kind, number))
        save(PATH, dict(command="benchmarks/large_table.py", hardware=hardware(), rows=rows))
    write_table()


if __name__ == "__main__":
    app.run(main)
