"""Weights and checkpoints on disk: written so that a full disk is an error in one line, read so that damage is told."""

import glob
import io
import math
import os
import re
import shutil

import h5py
import numpy as np
import tensorflow as tf

from tfadgm.data import files
from tfadgm.serving import trust
from tfadgm.telling import warn


class _Memory(io.BytesIO):
    """A file in memory that has the name which Keras asks of a file of weights."""

    def __str__(self):
        return "memory.weights.h5"


def save_weights(model, path):
    """Writes the weights under a temporary name and renames it, so that a half-written file never has the name.

    HDF5 writes into memory: on a full disk its own file would end the process by a signal when it is closed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    memory, temporary = _Memory(), path.with_name("writing_" + path.name)
    model.save_weights(memory)
    try:
        temporary.write_bytes(memory.getbuffer())
        os.replace(temporary, path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def load_weights(model, path):
    """Reads the weights; raises a ValueError that names the file if it is damaged, or holds a number that is not finite."""
    files.check_regular(path, "weights of a model")
    try:
        _check_hdf5(path, model)
        model.load_weights(path)
    except Exception as error:  # of a damaged file HDF5 and Keras raise many kinds
        raise ValueError(f"{path}: not readable as weights of this model: {_line(error)}") from error
    check_finite(model, path)


def _check_hdf5(path, model):
    """Raises a ValueError for a file with links, with data in other files, or with more numbers than weights can have."""
    left, pending, seen = 8 * sum(math.prod(weight.shape) for weight in model.weights) + 100_000, [], set()
    with h5py.File(path) as file:
        pending.append(file)
        while pending:
            group = pending.pop()
            for name in group:
                if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                    raise ValueError(f"{name} is a link; allowed: arrays")
                item = group[name]
                address = h5py.h5o.get_info(item.id).addr
                if address in seen:
                    continue
                seen.add(address)
                if isinstance(item, h5py.Group):
                    pending.append(item)
                    continue
                left -= item.size or 0
                if item.is_virtual or item.external or item.dtype.kind not in "fiub" or left < 0 or len(seen) > 100_000:
                    raise ValueError(f"{name} is {item.shape} of {item.dtype}; allowed: numbers, as many as weights")


def check_finite(model, path):
    """Raises a ValueError that names the file of a model's weights if one of them holds a number that is not finite."""
    bad = [weight.path for weight in model.weights if not np.isfinite(np.asarray(weight, "float32")).all()]
    if bad:
        raise ValueError(f"{path}: {bad[0]} holds NaN or infinite numbers; allowed: finite weights")


def names(directory):
    """Returns the prefixes of the checkpoints in `directory` (a `pathlib.Path`), whole or not, the oldest first."""
    found = (re.match(r"ckpt-(\d+)\.(index|data)", path.name) for path in directory.glob("ckpt-*"))
    return [str(directory / f"ckpt-{number}") for number in sorted({int(match[1]) for match in found if match})]


def manager(checkpoint, directory, keep):
    """Returns a `CheckpointManager` that knows the checkpoints in `directory`, even if its list of them is lost."""
    for path in (directory, directory / "checkpoint", *directory.glob("ckpt-*.*")):
        if path.exists() and path.is_dir() != (path == directory):
            raise ValueError(
                f"{path}: is a {'file' if path == directory else 'directory'}; allowed: what bin/train made there"
            )
    indexed = [name for name in names(directory) if os.path.exists(f"{name}.index")]
    if _listed(directory) != [os.path.basename(name) for name in indexed]:
        (directory / "checkpoint").unlink(missing_ok=True)
        if indexed:
            times = dict(all_model_checkpoint_timestamps=[1.0 for _ in indexed], last_preserved_timestamp=0.0)
            tf.compat.v1.train.update_checkpoint_state(str(directory), indexed[-1], indexed, **times)
    return tf.train.CheckpointManager(checkpoint, str(directory), max_to_keep=keep)


def _listed(directory):
    try:
        state = tf.train.get_checkpoint_state(str(directory))
    except ValueError:  # bytes that are no text
        return None
    return [os.path.basename(name) for name in state.all_model_checkpoint_paths] if state else None


def restore(checkpoint, directory):
    """Restores the newest whole checkpoint in `directory`, and tells of damaged ones; returns whether there was one.

    Raises:
      ValueError: if there are checkpoints, and none is whole.
    """
    found, reasons = names(directory), []
    for name in reversed(found):
        try:
            trust.check_checkpoint(name)
            reader = tf.train.load_checkpoint(name)
            for key in reader.get_variable_to_shape_map():
                reader.get_tensor(key)  # compares its checksum
            checkpoint.restore(name)
        except Exception as error:  # TensorFlow's readers raise many kinds
            reasons.append(f"{name}: a damaged checkpoint: {_line(error)}")
            continue
        for reason in reasons:
            warn(f"{reason}; goes on from {os.path.basename(name)}, the one before")
        for older in found[: max(0, found.index(name) - 1)]:  # a process was killed before it removed it
            remove(older)
        sweep(directory)
        return True
    if reasons:
        raise ValueError(
            f"{reasons[0]}; allowed: one that is whole, and of {len(found)} none is. Without {directory} the run begins anew"
        )
    return False


def remove(name):
    """Removes the files of the checkpoint of the prefix `name`."""
    for path in glob.glob(f"{glob.escape(name)}.*"):
        os.unlink(path)


def sweep(directory):
    """Removes what a process left that was killed while it wrote: temporary files, and data without their index.

    Also pipes and devices in the place of a checkpoint's files, which TensorFlow would wait for when it writes there.
    """
    whole = {os.path.basename(name) for name in names(directory) if os.path.exists(f"{name}.index")}
    for path in directory.glob("*"):
        part = re.fullmatch(r"(ckpt-\d+)\.data-\d+-of-\d+", path.name)
        foreign = path.name.startswith("ckpt-") and not path.is_file() and not path.is_dir()
        if foreign or path.name.startswith(("checkpoint.tmp", "writing_")) or (part and part[1] not in whole):
            path.unlink(missing_ok=True)
        elif re.fullmatch(r"ckpt-\d+_temp", path.name):
            shutil.rmtree(path, ignore_errors=True)


def _line(error):
    return (str(error).strip() or type(error).__name__).splitlines()[0]
