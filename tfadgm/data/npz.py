"""The user's own arrays: `npz:FILE` with x, y (-1 is unlabelled) and optionally x_test, y_test. Never a pickle."""

import numpy as np

from tfadgm.data.dataset import Dataset

MOST_CLASSES = 1 << 16


def read_arrays(path, required, optional=()):
    """Returns a dict of the named arrays of an npz file, or raises a ValueError that names what is wrong."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            missing = [name for name in required if name not in archive]
            if missing:
                raise ValueError(
                    f"has arrays {', '.join(archive.files) or 'none'}; allowed: {', '.join(required)} are required"
                )
            return {name: archive[name] for name in (*required, *optional) if name in archive}
    except FileNotFoundError:
        raise ValueError(f"{path}: no such file; allowed: an npz file") from None
    except Exception as error:  # zip, format and pickle errors
        raise ValueError(f"{path}: not a readable npz file: {str(error).splitlines()[0]}") from error


def describe(x):
    """Returns the likelihood, levels and scale that suit raw examples x.

    Numbers within [0, 1], whole ones too, are Bernoulli. So are other uint8 examples, as intensities, but for pictures of
    several channels, which are Gaussian, standardised per channel. All else is standardised and Gaussian.
    """
    if x.dtype.kind in "uifb" and x.size and x.min() >= 0 and x.max() <= 1:
        return dict(likelihood="bernoulli", levels=None if x.dtype.kind == "f" else 2)
    if x.dtype != np.uint8:
        return dict(likelihood="gaussian", scale="standardise")
    if x.ndim == 4 and x.shape[-1] > 1:
        return dict(likelihood="gaussian", levels=256, scale="standardise_channels")
    return dict(likelihood="bernoulli", levels=256, scale=1 / 255)


def _labels(path, name, y):
    """Returns class numbers as int64, or raises a ValueError that names the file and the array."""
    if y.dtype.kind not in "ui":
        raise ValueError(f"{path}: {name} has dtype {y.dtype}; allowed: whole numbers, -1 is unlabelled")
    if y.size and y.max() >= MOST_CLASSES:
        raise ValueError(f"{path}: {name} has the label {y.max()}; allowed: -1 (unlabelled) to {MOST_CLASSES - 1}")
    return y.astype("int64")


def load(argument=None, **_):
    """Returns the data set in the npz file `argument`."""
    if not argument:
        raise ValueError("dataset npz: got no file; allowed: npz:FILE")
    arrays = read_arrays(argument, ["x", "y"], ["x_test", "y_test"])
    for name in ("y", "y_test"):
        if name in arrays:
            arrays[name] = _labels(argument, name, arrays[name])
    if ("x_test" in arrays) != ("y_test" in arrays):
        raise ValueError(f"{argument}: has one of x_test and y_test; allowed: both or none")
    x, y = arrays["x"], arrays["y"]
    if x.dtype == np.float64:
        x = x.astype("float32")
    x_test, y_test = arrays.get("x_test"), arrays.get("y_test")
    if x_test is not None and x_test.dtype == np.float64:
        x_test = x_test.astype("float32")
    classes = int(max(y.max(initial=-1), -1 if y_test is None else y_test.max(initial=-1))) + 1
    if classes < 2:
        raise ValueError(f"{argument}: the labels name {classes} classes; allowed: at least 2")
    return Dataset(str(argument), x, y, x_test, y_test, [str(k) for k in range(classes)], **describe(x))
