"""Weights and checkpoints: a full disk is an error in one line, damage is told and the checkpoint before is taken."""

import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfadgm.training import checkpoints

ROOT = pathlib.Path(__file__).resolve().parents[2]


def small_model(value=0.5):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2), keras.layers.Dense(2, kernel_initializer="zeros")])
    model.set_weights([np.full(weight.shape, value, "float32") for weight in model.weights])
    return model


def test_weights_that_keras_wrote_are_read_and_the_other_way_round(tmp_path):
    small_model(0.25).save_weights(tmp_path / "old.weights.h5")
    checkpoints.save_weights(small_model(0.75), tmp_path / "sub" / "new.weights.h5")
    model = small_model()
    checkpoints.load_weights(model, tmp_path / "old.weights.h5")
    assert all((weight == 0.25).all() for weight in model.get_weights())
    model.load_weights(tmp_path / "sub" / "new.weights.h5")
    assert all((weight == 0.75).all() for weight in model.get_weights())
    assert [path.name for path in (tmp_path / "sub").iterdir()] == ["new.weights.h5"]


FULL = """
import pathlib, resource, signal, sys
import keras
from tfadgm.training import checkpoints
model = keras.Sequential([keras.Input((300,)), keras.layers.Dense(300)])
path = pathlib.Path(sys.argv[1], "model.weights.h5")
checkpoints.save_weights(model, path)
before = path.read_bytes()
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
try:
    checkpoints.save_weights(model, path)
except OSError as error:
    print("told:", error.strerror)
print(path.read_bytes() == before, [each.name for each in path.parent.iterdir()])
"""


def test_no_room_for_the_weights_is_an_error_and_leaves_the_earlier_file(tmp_path):
    done = subprocess.run([sys.executable, "-c", FULL, tmp_path], capture_output=True, text=True, cwd=ROOT)
    assert (done.returncode, done.stdout) == (0, "told: File too large\nTrue ['model.weights.h5']\n"), done.stderr


def test_weights_that_are_damaged_or_not_finite_are_refused_by_name(tmp_path):
    path = tmp_path / "model.weights.h5"
    checkpoints.save_weights(small_model(float("nan")), path)
    with pytest.raises(ValueError, match="model.weights.h5: .*kernel holds NaN or infinite numbers; allowed: finite"):
        checkpoints.load_weights(small_model(), path)
    checkpoints.save_weights(small_model(), path)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ValueError, match="model.weights.h5: not readable as weights of this model: "):
        checkpoints.load_weights(small_model(), path)


def write(directory, values=(1.0, 2.0, 3.0), keep=2):
    """Writes checkpoints of a variable, numbered from 5; returns (checkpoint, variable)."""
    variable = tf.Variable(tf.zeros(1000))
    checkpoint = tf.train.Checkpoint(weights=[variable])
    manager = checkpoints.manager(checkpoint, directory, keep)
    for number, value in enumerate(values, 5):
        variable.assign(tf.fill([1000], value))
        manager.save(checkpoint_number=number)
    variable.assign(tf.zeros(1000))
    return checkpoint, variable


def flip(path, place):
    content = bytearray(path.read_bytes())
    content[int(place * len(content))] ^= 1
    path.write_bytes(content)


NEWEST = dict(data="ckpt-7.data-00000-of-00001", index="ckpt-7.index")
DAMAGE = {
    "cut": lambda d: (d / NEWEST["data"]).write_bytes((d / NEWEST["data"]).read_bytes()[:700]),
    "empty": lambda d: (d / NEWEST["data"]).write_bytes(b""),
    "one bit": lambda d: flip(d / NEWEST["data"], 0.5),
    "data gone": lambda d: (d / NEWEST["data"]).unlink(),
    "index gone": lambda d: (d / NEWEST["index"]).unlink(),
    "index empty": lambda d: (d / NEWEST["index"]).write_bytes(b""),
    "index cut": lambda d: (d / NEWEST["index"]).write_bytes((d / NEWEST["index"]).read_bytes()[:30]),
    "one bit of the index": lambda d: flip(d / NEWEST["index"], 0.2),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_checkpoint_is_told_and_the_one_before_is_restored(kind, tmp_path, capsys):
    checkpoint, variable = write(tmp_path)
    DAMAGE[kind](tmp_path)
    assert checkpoints.restore(checkpoint, tmp_path)
    assert (variable.numpy() == 2.0).all()
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"warning: {tmp_path}/ckpt-7: a damaged checkpoint: ") and "goes on from ckpt-6" in line


@pytest.mark.parametrize("content", [b"", b"\x00\xff garbage {", b'model_checkpoint_path: "ckpt-99"\n'])
def test_a_lost_list_of_checkpoints_costs_nothing(content, tmp_path, capsys):
    write(tmp_path)
    (tmp_path / "checkpoint").write_bytes(content)
    checkpoint, variable = write(tmp_path, values=())
    assert checkpoints.restore(checkpoint, tmp_path) and (variable.numpy() == 3.0).all()
    assert capsys.readouterr().err == ""
    checkpoints.manager(checkpoint, tmp_path, 2).save(checkpoint_number=8)
    assert [path.name for path in sorted(tmp_path.glob("*.index"))] == ["ckpt-7.index", "ckpt-8.index"]


def test_without_a_whole_checkpoint_one_line_says_so(tmp_path):
    checkpoint, _ = write(tmp_path)
    assert not checkpoints.restore(checkpoint, tmp_path / "absent")
    for path in tmp_path.glob("*.data*"):
        path.write_bytes(b"")
    with pytest.raises(
        ValueError, match=r"ckpt-7: a damaged checkpoint: .*, and of 2 none is. Without .* begins anew"
    ) as told:
        checkpoints.restore(checkpoint, tmp_path)
    assert "\n" not in str(told.value)
