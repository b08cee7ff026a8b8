"""The user's own pictures: `images:DIR`, a folder per class, one named `unlabelled`, all pictures of one size.

Folders whose names begin with a dot are passed over.
"""

import pathlib

import numpy as np

from tfadgm.data.dataset import UNLABELLED, Dataset, allocate

UNLABELLED_FOLDER = "unlabelled"
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif")


def read_image(path):
    """Returns a picture as uint8 [height, width, 1 or 3]: grey stays grey, 16-bit grey is scaled to 8, alpha is dropped."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            if image.mode.startswith("I;16"):
                return (np.asarray(image)[..., np.newaxis] // 257).astype("uint8")
            return np.atleast_3d(np.asarray(image.convert("L" if image.mode in ("1", "L", "LA", "La") else "RGB")))
    except FileNotFoundError:
        raise ValueError(f"{path}: no such file; allowed: a picture") from None
    except Exception as error:  # Pillow raises many kinds on a truncated or foreign file
        raise ValueError(f"{path}: not a readable picture: {str(error).splitlines()[0]}") from error


def read_images(paths):
    """Returns the pictures as one uint8 array [N, height, width, channels]; all must have the first one's shape."""
    first = read_image(paths[0])
    x = allocate((len(paths), *first.shape), np.uint8)
    for i, path in enumerate(paths):
        image = read_image(path)
        if image.shape != first.shape:
            raise ValueError(f"{path}: is a picture of shape {image.shape}; allowed: {first.shape}, as {paths[0]}")
        x[i] = image
    return x


def load(argument=None, **_):
    """Returns the data set in the folder `argument`; it has no test set."""
    if not argument or not pathlib.Path(argument).is_dir():
        raise ValueError(f"dataset images: got {argument!r}; allowed: images:DIR, a directory with a folder per class")
    inside = pathlib.Path(argument).iterdir()
    folders = sorted(folder for folder in inside if folder.is_dir() and not folder.name.startswith("."))
    class_names = [folder.name for folder in folders if folder.name != UNLABELLED_FOLDER]
    if len(class_names) < 2:
        raise ValueError(f"{argument}: has {len(class_names)} class folders; allowed: at least 2")
    paths, y = [], []
    for folder in folders:
        found = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
        label = UNLABELLED if folder.name == UNLABELLED_FOLDER else class_names.index(folder.name)
        paths += found
        y += [label] * len(found)
    if not paths:
        raise ValueError(f"{argument}: its folders hold no pictures; allowed: files ending in {', '.join(SUFFIXES)}")
    x = read_images(paths)
    kind = "bernoulli" if x.shape[-1] == 1 else "gaussian"
    scale = 1 / 255 if kind == "bernoulli" else "channel"
    return Dataset(str(argument), x, np.asarray(y), None, None, class_names, likelihood=kind, levels=256, scale=scale)
