"""Small pictures for the tests: files of every kind, and folders of them."""

import io
import pathlib

import numpy as np
from PIL import Image

ORIENTATION = 0x0112


def levels(height=8, width=6, channels=3, seed=0):
    """Random levels, uint8 [height, width, channels], or [height, width] of one channel."""
    shape = (height, width, channels) if channels > 1 else (height, width)
    return np.random.default_rng(seed).integers(0, 256, shape).astype("uint8")


def smooth(side=64):
    """A smooth picture, uint8 [side, side, 3]: what a lossy decoder's rounding shows on."""
    ramp = np.linspace(0, 255, side)
    parts = (np.add.outer(ramp, ramp), np.add.outer(ramp, ramp[::-1]), np.add.outer(ramp[::-1], ramp))
    return (np.stack(parts, -1) / 2).astype("uint8")


def turned(orientation):
    """EXIF that says how a picture is to be turned."""
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return exif


def encoded(picture, kind, **options):
    """Returns the bytes of a file; `picture` is an array or a Pillow image."""
    buffer = io.BytesIO()
    picture = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def write_folders(root, **folders):
    """Writes {folder: {file name: an array, an image or the file's bytes}} under `root`, which it returns."""
    for folder, files in folders.items():
        (pathlib.Path(root) / folder).mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            path = pathlib.Path(root) / folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, bytes):
                path.write_bytes(content)
            else:
                (content if isinstance(content, Image.Image) else Image.fromarray(content)).save(path)
    return root
