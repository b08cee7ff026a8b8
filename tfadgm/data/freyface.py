"""Brendan Frey's face: `freyface:FILE`, 1965 frames of a film, 28x20, 256 levels (Kingma and Welling 2014, section 5).

FILE is the usual frey_rawface.mat (its variable `ff`, [560, 1965], a frame's rows one after another in a column), an .npy
of the frames, or an .npz with an array `images`. There are no classes.

x = (raw + U(0, 1)) / 256, Gaussian. The last tenth of the film, 196 frames, is the test set; neighbouring frames resemble
each other, so that frames drawn at random would be tested on what was learned by heart. The paper does not say what its
test set was, so that the bounds in its figure 2 cannot be compared. Nats per frame: log p(raw) = log p(x) - 560 log 256.
"""

import pathlib

import numpy as np

from tfadgm.data.dataset import UNLABELLED, Dataset
from tfadgm.data.npz import read_arrays

HEIGHT, WIDTH = 28, 20
TEST_FRACTION = 10
SUFFIXES = (".mat", ".npy", ".npz")


def read_frames(path):
    """Returns the frames in a file, uint8 [N, 28, 20], or raises a ValueError that names the file and what is wrong."""
    suffix = pathlib.Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        raise ValueError(f"dataset freyface: got {path!r}; allowed: freyface:FILE, ending in {', '.join(SUFFIXES)}")
    if not pathlib.Path(path).is_file():
        raise ValueError(f"{path}: no such file; allowed: a file ending in {', '.join(SUFFIXES)}")
    frames = read_arrays(path, ["images"])["images"] if suffix == ".npz" else _read_matrix(path, suffix)
    size = HEIGHT * WIDTH
    if frames.dtype != np.uint8:
        raise ValueError(f"{path}: frames have dtype {frames.dtype}; allowed: uint8")
    if frames.ndim == 2 and frames.shape[0] == size:
        frames = frames.T
    if frames.shape[1:] not in [(size,), (HEIGHT, WIDTH)] or len(frames) < TEST_FRACTION:
        raise ValueError(
            f"{path}: frames have shape {frames.shape}; allowed: ({size}, N), (N, {size}) or (N, {HEIGHT}, {WIDTH}), "
            f"N at least {TEST_FRACTION}"
        )
    return np.ascontiguousarray(frames).reshape(-1, HEIGHT, WIDTH)


def _read_matrix(path, suffix):
    from scipy.io import loadmat

    try:
        return np.load(path, allow_pickle=False) if suffix == ".npy" else loadmat(path, variable_names=["ff"])["ff"]
    except KeyError:
        raise ValueError(f"{path}: has no variable 'ff'; allowed: one, [{HEIGHT * WIDTH}, N]") from None
    except Exception as error:  # both readers raise many kinds on a truncated or foreign file
        reason = str(error).splitlines()
        raise ValueError(
            f"{path}: not a readable {suffix[1:]} file: {reason[0] if reason else type(error).__name__}"
        ) from error


def load(argument=None, **_):
    """Returns the frames in the file `argument`, uint8 [N, 28, 20, 1]: the last tenth for testing, the others for training.

    Raises:
      ValueError: if there is no such file, or it does not hold the frames.
    """
    if not argument:
        raise ValueError(f"dataset freyface: got no file; allowed: freyface:FILE, ending in {', '.join(SUFFIXES)}")
    frames = read_frames(argument)[..., np.newaxis]
    train = len(frames) - len(frames) // TEST_FRACTION
    y = np.full(train, UNLABELLED)
    kind = dict(likelihood="gaussian", levels=256, scale=1 / 256)
    return Dataset(str(argument), frames[:train], y, frames[train:], None, [], **kind)
