#!/usr/bin/env python3
"""Peak memory of training, evaluation and classification as the data grow, for every source of the user's own, and TFDS.

    benchmarks/larger_than_memory.py --sources=npz,csv,parquet,images,tfrecord,tfds --sizes=1,10

Data are made in a temporary directory. A phase is a child process of its own, as a user starts it; its peak is what the
kernel says of it (the largest resident set), and beside it what of that belongs to no file, by samples.
"""

import concurrent.futures
import contextlib
import json
import multiprocessing
import os
import pathlib
import subprocess
import sys
import tempfile
import threading

import numpy as np
from absl import app, flags
from common import RESULTS, ROOT, hardware, write_table
from fits import missing, save

FLAGS = flags.FLAGS
flags.DEFINE_list("sources", ["npz", "csv", "parquet", "images", "tfrecord", "tfds"], "Sources.")
flags.DEFINE_list("sizes", ["1", "10"], "How many times the smallest data.")
PATH = RESULTS / "own" / "larger_than_memory.json"
PHASES = ("training", "evaluation", "classification")
SIDE, CHANNELS, NUMBERS = 64, 3, 4096  # of pictures, and of a row of numbers
ROWS = dict(npz=1500, csv=3000, parquet=3000, images=2000, tfrecord=1500, tfds=2000)  # of the smallest data
LABELLED = 0.5
FEW = "--test_samples=10 --density_samples=10 --density_examples=100".split()  # for speed alone
# As many examples are held out of the larger data as of the smaller: of more, chunks that fill the room they may have.
MODEL = "--model=m2 --hidden=64 --dim_z=8 --steps=100 --batch=100 --validation=300 --seed=0 --select=false".split() + FEW


def _rows(rows, numbers=NUMBERS, seed=0):
    """Yields (x float32 [n, numbers], y), a few rows at a time: two classes, half of the labels known."""
    generator = np.random.default_rng(seed)
    for start in range(0, rows, 500):
        y = generator.integers(0, 2, min(500, rows - start))
        x = generator.normal(size=(len(y), numbers)).astype("float32") + y[:, np.newaxis] * 0.1
        yield x.astype("float32"), np.where(generator.random(len(y)) < LABELLED, y, -1)


def _pictures(rows):
    generator = np.random.default_rng(0)
    for _ in range(rows):
        y = int(generator.integers(0, 2))
        coarse = generator.integers(64 * y, 128 + 64 * y, (8, 8, CHANNELS)).astype("uint8")
        yield coarse.repeat(SIDE // 8, 0).repeat(SIDE // 8, 1) ^ generator.integers(0, 8, 1).astype("uint8"), y


def _npz(folder, rows):
    """Written a few rows at a time too: whoever has so much data does not hold them."""
    import zipfile

    with zipfile.ZipFile(folder / "made.npz", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, dtype, shape in (("x", "float32", (rows, NUMBERS)), ("y", "int64", (rows,))):
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array_header_1_0(file, dict(descr=np.dtype(dtype).str, fortran_order=False, shape=shape))
                for x, y in _rows(rows):
                    file.write((x if name == "x" else y).astype(dtype).tobytes())
    return [f"--dataset=npz:{folder}/made.npz"], folder / "made.npz"


def _frames(rows):
    import pandas as pd

    for x, y in _rows(rows, NUMBERS // 4):
        frame = pd.DataFrame(x.round(2)).add_prefix("number ")
        yield frame.assign(label=np.array(["a", "b", ""])[y])


def _csv(folder, rows):
    for number, frame in enumerate(_frames(rows)):
        frame.to_csv(folder / "made.csv", mode="a", header=number == 0, index=False)
    return [f"--dataset=csv:{folder}/made.csv"], folder / "made.csv"


def _parquet(folder, rows):
    import pyarrow
    from pyarrow import parquet

    tables = (pyarrow.Table.from_pandas(frame, preserve_index=False) for frame in _frames(rows))
    first = next(tables)
    with parquet.ParquetWriter(folder / "made.parquet", first.schema) as writer:
        for table in (first, *tables):
            writer.write_table(table)
    return [f"--dataset=parquet:{folder}/made.parquet"], folder / "made.parquet"


def _images(folder, rows):
    from PIL import Image

    generator = np.random.default_rng(1)
    for name in ("one", "two", "unlabelled"):
        (folder / "made" / name).mkdir(parents=True)
    for i, (x, y) in enumerate(_pictures(rows)):
        name = ("one", "two")[y] if generator.random() < LABELLED else "unlabelled"
        Image.fromarray(x).save(folder / "made" / name / f"{i}.png", compress_level=1)
    return [f"--dataset=images:{folder}/made"], folder / "made"


def _tfrecord(folder, rows):
    import tensorflow as tf

    (folder / "made").mkdir()
    about = dict(x=dict(dtype="float32", shape=[NUMBERS], role="x"), y=dict(dtype="int64", shape=[], role="label"))
    (folder / "made" / "features.json").write_text(json.dumps(dict(features=about)))
    path = folder / "made" / "made.tfrecord"
    with tf.io.TFRecordWriter(str(path), "GZIP") as writer:
        for xs, ys in _rows(rows):
            for x, y in zip(xs, ys, strict=True):
                features = dict(
                    x=tf.train.Feature(float_list=tf.train.FloatList(value=x)),
                    y=tf.train.Feature(int64_list=tf.train.Int64List(value=[y])),
                )
                writer.write(tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString())
    return [f"--dataset=tfrecord:{path}"], path


def _tfds(folder, rows):
    import tensorflow as tf
    import tensorflow_datasets as tfds

    def part(count):
        return tf.data.Dataset.from_generator(
            lambda: (dict(image=x, label=y) for x, y in _pictures(count)),
            output_signature=dict(image=tf.TensorSpec((SIDE, SIDE, CHANNELS), tf.uint8), label=tf.TensorSpec((), tf.int64)),
        )

    tfds.disable_progress_bar()
    features = dict(image=tfds.features.Image(shape=(SIDE, SIDE, CHANNELS)), label=tfds.features.ClassLabel(num_classes=2))
    tfds.dataset_builders.store_as_tfds_dataset(
        name="made",
        version="1.0.0",
        features=tfds.features.FeaturesDict(features),
        split_datasets=dict(train=part(rows), test=part(rows // 3)),
        data_dir=str(folder),
        disable_shuffling=True,
    )
    shards = sorted((folder / "made").rglob("made-train.tfrecord*"))
    return ["--dataset=svhn", "--tfds_name=made", f"--data_dir={folder}", "--exact_classes=auto"], shards


MAKE = dict(npz=_npz, csv=_csv, parquet=_parquet, images=_images, tfrecord=_tfrecord, tfds=_tfds)
WIDTH = dict(npz=4 * NUMBERS, csv=NUMBERS, parquet=NUMBERS, tfrecord=4 * NUMBERS)  # bytes of a row in training


def _commands(source, folder, rows):
    """Yields (phase, command) on data that are made first."""
    given, files = _apart(MAKE[source], folder, rows)
    run, program = folder / "run", [sys.executable, str(ROOT / "bin" / "train")]
    yield "training", [*program, *given, *MODEL, f"--out={run}"]
    program[1] = str(ROOT / "bin" / "evaluate")
    other = [f"--data={files}"] * (source not in ("csv", "tfds"))  # which is slow to read, and has a test set that grows
    yield "evaluation", [*program, f"--run={run}", *FEW, *other]
    program[1] = str(ROOT / "bin" / "classify")
    files = [str(file) for file in files] if isinstance(files, list) else [str(files)]
    yield "classification", [*program, f"--run={run}", "--log_density_samples=0", *files]


def _apart(function, *arguments):
    """Returns function(*arguments) of another process: the largest resident set of a child begins with its parent's."""
    with concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def _peak(command):
    """Returns (MiB of the largest resident set of a child, MiB of the most that belonged to no file)."""
    child, most, ended = subprocess.Popen(command, stdout=subprocess.DEVNULL), [0], threading.Event()

    def sample():
        while not ended.wait(0.05):
            with contextlib.suppress(OSError):
                lines = pathlib.Path(f"/proc/{child.pid}/status").read_text().splitlines()
                most[0] = max([most[0], *(int(line.split()[1]) for line in lines if line.startswith("RssAnon"))])

    watcher = threading.Thread(target=sample)
    watcher.start()
    _, status, used = os.wait4(child.pid, 0)
    ended.set()
    watcher.join()
    if status:
        raise RuntimeError(f"{' '.join(command)}: ended with status {status}")
    return used.ru_maxrss / 1024, most[0] / 1024


def measure(source, size):
    """Returns the row of a source and a size: {phase: peak}."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        rows, found = ROWS[source] * size, {}
        for phase, command in _commands(source, pathlib.Path(folder), rows):
            found[phase] = dict(zip(("peak_mb", "anonymous_mb"), _peak(command), strict=True))
        data_mb = rows * WIDTH.get(source, SIDE * SIDE * CHANNELS) / 2**20
        return dict(source=source, size=size, rows=rows, data_mb=data_mb, **found)


def main(_):
    rows, jobs = missing(PATH, ("source", "size"), [(source, int(size)) for source in FLAGS.sources for size in FLAGS.sizes])
    for source, size in jobs:
        rows.append(measure(source, size))
        print(json.dumps(rows[-1]), flush=True)
        save(PATH, dict(command="benchmarks/larger_than_memory.py", hardware=_apart(hardware), rows=rows))
    _apart(write_table)


if __name__ == "__main__":
    app.run(main)
