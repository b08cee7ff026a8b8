"""Files from somebody else: refused in one line, within ten seconds and a gigabyte, and nothing in them is executed."""

import gzip
import json
import os
import pathlib
import resource
import shutil
import struct
import time
import zipfile
import zlib

import h5py
import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
import tensorflow as tf
import trainings

from tfadgm.data import csv, h5ad, images, npz, parquet, picture_files
from tfadgm.runs.run_directory import Run
from tfadgm.serving import classification, trust
from tfadgm.training import checkpoints

MOST_SECONDS, MOST_BYTES = 10.0, 1 << 30
DEEP = "[" * 100_000 + "]" * 100_000


def _peak():
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


@pytest.fixture
def frugal(tmp_path):
    """What the test does takes no longer and no more than is allowed; nothing has made the file `canary`."""
    begun, before = time.monotonic(), _peak()
    yield
    assert time.monotonic() - begun < MOST_SECONDS and _peak() - before < MOST_BYTES
    assert not list(tmp_path.rglob("canary"))


class Canary:
    """Unpickled it makes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return pathlib.Path.touch, (self.path,)


# ------------------------------------------------------------------------------------------------------------- arrays


def zipped(path, **members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return path


def header(shape, descr="<f4"):
    text = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}".encode()
    text += b" " * (-(len(text) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


def pipe(path):
    os.mkfifo(path)
    return path


def device(path):
    path.symlink_to("/dev/zero")
    return path


def loop(path):
    path.symlink_to(path)
    return path


def pickled(path):
    np.savez(path, x=np.array([Canary(path.parent / "canary")], dtype=object))
    return path


ARRAYS = {
    "a declared size that is not there": lambda p: zipped(p, x=header((10**12, 10**6))),
    "a declared size that overflows": lambda p: zipped(p, x=header((2**62, 2**62))),
    "a negative size": lambda p: zipped(p, x=header((-1, 4))),
    "a header that is code": lambda p: zipped(p, x=header("__import__('os').system('touch canary')")),
    "a header that is nested": lambda p: zipped(p, x=header("(" * 5000)),
    "a pickle": pickled,
    "no numpy": lambda p: zipped(p, x=b"MZ\0\0"),
    "a pipe": pipe,
    "a device": device,
    "a link to itself": loop,
    "a directory": lambda p: p.mkdir() or p,
}


@pytest.mark.parametrize("case", ARRAYS)
def test_npz(case, tmp_path, frugal, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = ARRAYS[case](tmp_path / "x.npz")
    with pytest.raises(ValueError, match="x.npz: ") as told:
        npz.load(str(path))
    assert "\n" not in str(told.value)


# ------------------------------------------------------------------------------------------------------------- tables


def gzipped(path):
    path.write_bytes(gzip.compress(b"a,b\n" + b"1,2\n" * 1_000_000))
    return path


def written(content):
    def write(path):
        path.write_bytes(content)
        return path

    return write


TABLES = {
    "csv: a pipe": (csv.load, pipe),
    "csv: a device": (csv.load, device),
    "csv: a link to itself": (csv.load, loop),
    "csv: a bomb": (csv.load, gzipped),
    "csv: one long line": (csv.load, written(b"a,b\n" + b"1" * (40 << 20))),
    "csv: a quotation without end": (csv.load, written(b'a,b\n"' + b"1\n" * 1000)),
    "csv: zeros": (csv.load, written(bytes(1000))),
    "parquet: a pipe": (parquet.load, pipe),
    "parquet: a device": (parquet.load, device),
    "parquet: garbage": (parquet.load, written(b"PAR1" + bytes(range(256)) + b"\xff\xff\xff\x7fPAR1")),
    "parquet: cut": (parquet.load, written(b"PAR1")),
    "h5ad: a pipe": (h5ad.load, pipe),
    "h5ad: a device": (h5ad.load, device),
    "h5ad: garbage": (h5ad.load, written(b"\x89HDF\r\n\x1a\n" + bytes(100))),
    "npz as csv": (csv.load, written(b"PK\x03\x04")),
}


@pytest.mark.parametrize("case", TABLES)
def test_tables(case, tmp_path, frugal, monkeypatch):
    monkeypatch.setattr(csv, "BOMB_BYTES", 1 << 20)
    load, make = TABLES[case]
    with pytest.raises(ValueError, match="file: ") as told:
        load(str(make(tmp_path / "file")))
    assert "\n" not in str(told.value)


def test_what_pandas_says_in_a_parquet_file_is_taken_for_what_it_is(tmp_path, frugal):
    table = pyarrow.table({"x": [1.0, 2.0], "label": ["a", "b"]})
    for text in (DEEP, "3", "{}", '{"index_columns": 3}', '{"index_columns": [{}, null]}', "{"):
        pyarrow.parquet.write_table(table.replace_schema_metadata({"pandas": text}), tmp_path / "x.parquet")
        assert parquet.Parquet(tmp_path / "x.parquet").identifiers == ()


# ----------------------------------------------------------------------------------------------------------- pictures


def png(width, height, rows=b""):
    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


PICTURES = {
    "10^9 pixels": written(png(32_000, 32_000)),
    "170 million pixels": written(png(13_000, 13_000, bytes(100))),
    "no pixels": written(png(0, 0)),
    "cut": written(png(28, 28)[:60]),
    "text": written(b"GIF89a"),
    "an eps, which another program would read": written(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"),
    "a pipe": pipe,
    "a device": device,
    "a link to itself": loop,
}


@pytest.mark.parametrize("case", PICTURES)
def test_pictures(case, tmp_path, frugal):
    path = PICTURES[case](tmp_path / "a.png")
    with pytest.raises(ValueError, match="a.png: ") as told:
        picture_files.read_image(path)
    assert "\n" not in str(told.value)


def test_folders_that_lead_back_are_not_followed(tmp_path, frugal):
    for name in ("cats", "dogs"):
        (tmp_path / "pets" / name).mkdir(parents=True)
        (tmp_path / "pets" / name / "again").symlink_to(tmp_path / "pets")
        (tmp_path / "pets" / name / "a.png").write_bytes(tf.io.encode_png(np.zeros((2, 2, 1), "uint8")).numpy())
        os.mkfifo(tmp_path / "pets" / name / "b.png")
    data = images.load(str(tmp_path / "pets"))
    assert len(data.x_train) == 2


# --------------------------------------------------------------------------------------------------------------- runs


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    """A run directory that can be opened: (path, content of config.json)."""
    return trainings.write_run(tmp_path_factory.mktemp("runs") / "run")


def configured(*place, value):
    def change(directory, config):
        inside = config = json.loads(json.dumps(config))
        for name in place[:-1]:
            inside = inside[name]
        inside[place[-1]] = value
        (directory / "config.json").write_text(json.dumps(config))

    return change


def replaced(name, make):
    def change(directory, config):
        (directory / name).unlink()
        make(directory / name)

    return change


def weights(change):
    """A change of one array of the file of weights, by change(its group, its name)."""

    def act(directory, config):
        with h5py.File(directory / "model.weights.h5", "r+") as file:
            found = []
            file.visititems(lambda name, item: found.append(item) if isinstance(item, h5py.Dataset) else None)
            group, name = found[0].parent, found[0].name.rpartition("/")[2]
            del group[name]
            change(group, name)

    return act


def virtual(group, name):
    layout = h5py.VirtualLayout((3, 4), "f4")
    layout[:] = h5py.VirtualSource("/etc/passwd", "x", (3, 4))
    group.create_virtual_dataset(name, layout)


RUNS = {
    "config.json: a pipe": replaced("config.json", pipe),
    "config.json: a device": replaced("config.json", device),
    "config.json: a link to itself": replaced("config.json", loop),
    "config.json: 40 MB": replaced("config.json", written(b"[" + b"1," * (20 << 20) + b"1]")),
    "config.json: nested": replaced("config.json", written(DEEP.encode())),
    "config.json: a number of a million digits": replaced("config.json", written(b"9" * 1_000_000)),
    "config.json: a wide network": configured("model_config", "network", "hidden", value=[10**6, 10**6]),
    "config.json: a wider network": configured("model_config", "network", "hidden", value=[10**12]),
    "config.json: a deep network": configured("model_config", "network", "hidden", value=[1000] * 10_000),
    "config.json: many convolutions": configured("model_config", "network", "depth", value=10**9),
    "config.json: a large latent": configured("model_config", "dim_z", value=10**9),
    "config.json: large examples": configured("model_config", "preprocess", "raw_shape", value=[10**6, 10**6]),
    "config.json: larger examples": configured("model_config", "preprocess", "raw_shape", value=[10**30]),
    "config.json: many classes": configured("model_config", "num_classes", value=10**9),
    "config.json: another program's class": configured("settings", "model", value="os:system"),
    "weights: a pipe": replaced("model.weights.h5", pipe),
    "weights: a device": replaced("model.weights.h5", device),
    "weights: a link to itself": replaced("model.weights.h5", loop),
    "weights: of 10^12 numbers": weights(lambda g, n: g.create_dataset(n, (10**6, 10**6), "f4", chunks=(1000, 1000))),
    "weights: of another file": weights(lambda g, n: g.create_dataset(n, (3, 4), "f4", external=[("/etc/passwd", 0, 48)])),
    "weights: a link to another file": weights(lambda g, n: g.__setitem__(n, h5py.ExternalLink("/etc/passwd", "x"))),
    "weights: a link to nowhere": weights(lambda g, n: g.__setitem__(n, h5py.SoftLink("/nowhere"))),
    "weights: put together of another file": weights(virtual),
    "weights: a group of itself": weights(lambda g, n: g.__setitem__(n, g.file["/"])),
    "weights: text": weights(lambda g, n: g.create_dataset(n, (3, 4), h5py.string_dtype())),
}


@pytest.mark.parametrize("case", RUNS)
def test_run_directories(case, opened, tmp_path, frugal):
    directory = shutil.copytree(opened[0], tmp_path / "run")
    RUNS[case](directory, opened[1])
    with pytest.raises(ValueError, match=r"config\.json|model\.weights\.h5") as told:
        Run.open(directory)
    assert "\n" not in str(told.value)


def test_checkpoints_that_announce_more_than_they_hold(tmp_path, frugal):
    variable = tf.Variable(tf.zeros(100_000))
    checkpoint = tf.train.Checkpoint(weights=[variable])
    for damage in (lambda p: os.truncate(p, 1000), lambda p: (p.unlink(), pipe(p)), lambda p: (p.unlink(), device(p))):
        shutil.rmtree(tmp_path / "c", ignore_errors=True)
        checkpoints.manager(checkpoint, tmp_path / "c", 2).save(checkpoint_number=1)
        damage(tmp_path / "c" / "ckpt-1.data-00000-of-00001")
        with pytest.raises(ValueError, match="ckpt-1: a damaged checkpoint: .*(announces arrays of|is a pipe or a device)"):
            checkpoints.restore(checkpoint, tmp_path / "c")


# -------------------------------------------------------------------------------------------------------- SavedModels


def saved(path, function, *variables):
    module = tf.Module()
    module.kept = variables
    signature = tf.function(function, input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
    tf.saved_model.save(module, str(path), signatures={"serving_default": signature})
    return path


def writes(x):
    tf.io.write_file("canary", "x")
    return {"y": x}


def within(x):
    """Reads a file in a branch of a function of a function."""
    inner = tf.function(lambda v: tf.cond(v[0] > 0, lambda: tf.strings.length(tf.io.read_file("/etc/passwd")), lambda: 0))
    return {"y": tf.map_fn(lambda v: inner(v[tf.newaxis]), x, fn_output_signature=tf.int32)}


def prints(x):
    tf.print(x, output_stream="file://canary")
    return {"y": x}


SAVED = {
    "writes a file": (lambda p: saved(p, writes), "operations WriteFile"),
    "reads a file, deep inside": (lambda p: saved(p, within), "operations ReadFile"),
    "calls Python": (lambda p: saved(p, lambda x: {"y": tf.numpy_function(np.sin, [x], tf.float32)}), "PyFunc"),
    "prints into a file": (lambda p: saved(p, prints), "operations (PrintV2|StringFormat, PrintV2|PrintV2, StringFormat)"),
    "lists files": (lambda p: saved(p, lambda x: {"y": tf.io.matching_files("/*")}), "operations MatchingFiles"),
    "restores a file": (
        lambda p: saved(
            p,
            lambda x: {
                "y": tf.raw_ops.RestoreV2(prefix="x", tensor_names=["a"], shape_and_slices=[""], dtypes=[tf.float32])[0]
            },
        ),
        "operations RestoreV2",
    ),
    "a large constant": (lambda p: huge(saved(p, lambda x: {"y": x + tf.constant([1.0, 2.0])})), "constants of"),
    "variables that are not there": (
        lambda p: truncated(saved(p, lambda x: {"y": x + VARIABLE[0]}, VARIABLE[0]) / "variables"),
        "announces arrays of",
    ),
    "garbage": (lambda p: p.mkdir() or written(b"\xff" * 1000)(p / "saved_model.pb").parent, "not a readable SavedModel"),
    "nested": (lambda p: p.mkdir() or written(nested())(p / "saved_model.pb").parent, "not a readable SavedModel"),
    "empty": (lambda p: p.mkdir() or written(b"")(p / "saved_model.pb").parent, "has 0 graphs"),
    "a pipe": (lambda p: p.mkdir() or pipe(p / "saved_model.pb").parent, "holds no SavedModel"),
    "a device": (lambda p: p.mkdir() or device(p / "saved_model.pb").parent, "holds no SavedModel"),
}
VARIABLE = []


def nested():
    content = b""
    for _ in range(3000):
        size, length = len(content), b""
        while size >= 128:
            length, size = length + bytes([size % 128 + 128]), size // 128
        content = b"\x12" + length + bytes([size]) + content
    return content


def huge(path):
    """Makes a constant of two numbers one of 10^12, which the file holds as the repeated first."""
    message = trust.read(path)
    for function in message.meta_graphs[0].graph_def.library.function:
        for node in function.node_def:
            if node.op == "Const" and node.attr["value"].tensor.tensor_shape.dim:
                node.attr["value"].tensor.tensor_shape.dim[0].size = 10**12
                break
    (path / "saved_model.pb").write_bytes(message.SerializeToString())
    return path


def truncated(variables):
    os.truncate(variables / "variables.data-00000-of-00001", 100)
    return variables.parent


@pytest.mark.parametrize("case", SAVED)
def test_saved_models(case, tmp_path, frugal, monkeypatch):
    monkeypatch.chdir(tmp_path)
    VARIABLE[:] = [tf.Variable(tf.zeros([1000]))]
    make, message = SAVED[case]
    path = make(tmp_path / "model")
    with pytest.raises(ValueError, match=message) as told:
        classification.Classifier(path)
    assert "\n" not in str(told.value) and str(told.value).count(str(path)) == 1


def test_operations_are_allowed_by_name_and_no_others(tmp_path, frugal):
    path = saved(tmp_path / "model", lambda x: {"y": tf.strings.length(tf.io.read_file("/etc/hostname")) + tf.size(x)})
    with pytest.raises(ValueError, match="operations ReadFile; .*by --allow_ops"):
        trust.check_saved_model(path)
    trust.check_saved_model(path, ["ReadFile"])
    with pytest.raises(ValueError, match="operations ReadFile; "):
        trust.check_saved_model(path, ["WriteFile"])


def test_no_operation_of_the_list_reaches_beyond_the_graph():
    known = tf.raw_ops.__dict__
    assert not [name for name in trust.ALLOWED if name not in known]
    apart = (
        "File",
        "Reader",
        "Dataset",
        "PyFunc",
        "Print",
        "Save",
        "Restore",
        "Socket",
        "Rpc",
        "Send",
        "Recv",
        "Collective",
    )
    apart += ("Debug", "Iterator", "Summary", "Assign", "Queue", "Barrier", "Remote", "Xla", "Custom", "TextFile")
    assert not [name for name in trust.ALLOWED for part in apart if part in name]
