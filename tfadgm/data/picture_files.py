"""One picture file as an array: upright, grey or in colour, in 8 bits; the exported model decodes to the same levels.

What a file holds beside that is left out, and said in its remarks. `serving.inputs` decodes PNG and JPEG files in the graph.
"""

import contextlib
import io
import warnings

import numpy as np

from tfadgm.data import files, resize

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff")
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF")  # of Pillow's, some of which run other programs
COLOUR = ("P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "LAB")
GREY = ("1", "L", "LA", "La")
DEEP = "I;16"  # and "I;16B", ...: 16 bits of grey
ORIENTATION, QUARTER_TURNS = 0x0112, (5, 6, 7, 8)  # the tag of EXIF, and its values that exchange height and width

TRANSPARENT = "have transparent pixels, whose colours are read as the file has them"
SIXTEEN_BITS = "have 16 bits, of which the upper 8 are read"
FRAMES = "have several frames, of which the first is read"
MADE_GREY = "are in colour and are read in grey"
MADE_COLOURED = "are grey and are read as colour"
CUT = "lose more than half of their area by the cut to another aspect ratio"


class Remarks(dict):
    """What was left out of files: {remark: their paths, in order}."""

    def add(self, remark, path):
        """Notes `remark` of the file at `path`."""
        self.setdefault(remark, []).append(path)

    def lines(self):
        """Returns a line for each remark, with the number of files and the first of them."""
        return [f"pictures that {remark}: {len(paths)} (first: {paths[0]})" for remark, paths in self.items()]


def read_shape(path):
    """Returns (height, width, channels) by the header of a picture file, upright; no pixel is decoded."""
    with _opened(path) as image:
        return _shape(image)


def read_image(path, shape=None, remarks=None, any_size=False, content=None):
    """Returns a picture, uint8 [height, width, channels].

    A colour picture becomes grey by Y = 0.299 R + 0.587 G + 0.114 B if one channel is asked for; a grey one is repeated if
    three are. Alpha is dropped. A picture that EXIF turns is turned. Of several frames the first is read.

    Args:
      path: of the file.
      shape: (height, width, 1 or 3), what is asked for; None: the file's.
      remarks: a `Remarks` that is told what was left out or converted.
      any_size: whether a picture of another size is fitted to the one that is asked for (`resize.fit`, of the upright
        picture, before it becomes grey); if not, it is refused before it is decoded.
      content: the bytes of the file, which `path` then only names; None: it is read.

    Raises:
      ValueError: if the file is missing, no regular file, no picture, of another size, or has more than 16 bits.
    """
    with _opened(path, content) as image:
        own = _shape(image)
        shape = own if shape is None else tuple(shape)
        _check_size(own, shape, any_size)
        if remarks is not None:
            for remark in _remarks(image, own, shape):
                remarks.add(remark, path)
        image = _upright(image)
        if any_size:
            image = _fitted(image, shape)
        pixels = np.atleast_3d(np.asarray(image.convert("L" if shape[-1] == 1 else "RGB")))
        _check_size(pixels.shape, shape)  # of a PNG, EXIF may come after the pixels
        return pixels


def read_example(path, shape, dtype, remarks=None, any_size=False):
    """Returns a picture as one raw example of a model, uint8 of `shape`: [height, width] or [height, width, 1 or 3].

    The other arguments are those of `read_image`.

    Raises:
      ValueError: as `read_image`; and if the model's raw examples, of `shape` and `dtype`, are not what pictures hold.
    """
    if np.dtype(dtype) != np.uint8 or len(shape) not in (2, 3) or (*shape, 1)[2] not in (1, 3):
        kind = f"{np.dtype(dtype)} of shape {tuple(shape)}"
        raise ValueError(f"{path}: is a picture; allowed: .npz or .csv files, as the model's examples are {kind}")
    return read_image(path, (*shape, 1)[:3], remarks, any_size).reshape(shape)


@contextlib.contextmanager
def _opened(path, content=None):
    from PIL import Image

    if content is None:
        files.check_regular(path, "a picture")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of Pillow, about its metadata and size
            with Image.open(path if content is None else io.BytesIO(content), formats=FORMATS) as image:
                yield image
    except _Refused as error:
        raise ValueError(f"{path}: {error}") from None
    except Exception as error:  # Pillow raises many kinds on a truncated or foreign file
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ValueError(f"{path}: not a readable picture: {reason}") from error


class _Refused(Exception):
    """Why a whole picture is not read."""


def _shape(image):
    if image.mode not in GREY + COLOUR and not image.mode.startswith(DEEP):
        raise _Refused(f"has more than 16 bits a channel (Pillow's mode {image.mode}); allowed: 8 or 16")
    width, height = image.size
    # Of a PNG, to ask for the EXIF that comes after the pixels would decode these.
    known = image.format != "PNG" or "exif" in image.info
    if known and _orientation(image) in QUARTER_TURNS:
        width, height = height, width
    return height, width, 3 if image.mode in COLOUR else 1


def _orientation(image):
    try:
        return image.getexif().get(ORIENTATION, 1)
    except Exception:  # EXIF that cannot be read turns nothing
        return 1


def _check_size(own, shape, any_size=False):
    if not any_size and own[:2] != shape[:2]:
        raise _Refused(f"is a picture of {size(own)}; allowed: {size(shape)}")
    if own[0] * own[1] > resize.LARGEST:
        raise _Refused(f"is a picture of {size(own)}; allowed: at most {resize.LARGEST} pixels")


def size(shape):
    """Returns the size of a picture [height, width, ...] as text."""
    return f"{shape[1]} x {shape[0]} pixels (width x height)"


def _remarks(image, own, shape):
    if image.mode.startswith(DEEP):
        yield SIXTEEN_BITS
    if own[2] != shape[2]:
        yield MADE_GREY if shape[2] == 1 else MADE_COLOURED
    less, more = sorted((own[0] * shape[1], own[1] * shape[0]))
    if 2 * less < more:  # the share of a picture that has the aspect ratio of another is less / more
        yield CUT
    if image.format != "MPO" and getattr(image, "is_animated", False):  # MPO: a photograph and what a telephone adds
        yield FRAMES
    if image.has_transparency_data and image.convert("RGBA").getchannel("A").getextrema()[0] < 255:
        yield TRANSPARENT


def _upright(image):
    """Returns the picture as it is shown, of 8 bits, in colour ("RGB") or grey."""
    from PIL import Image, ImageOps

    image.load()
    if _orientation(image) != 1:
        image = ImageOps.exif_transpose(image)
    if image.mode.startswith(DEEP):
        image = Image.fromarray((np.asarray(image) >> 8).astype("uint8"))  # as libpng does, and with it the exported model
    if image.mode in ("P", "PA"):
        image = image.convert("RGBA")
    return image.convert("RGB" if image.mode in COLOUR else "L")


def _fitted(image, shape):
    from PIL import Image

    if (image.height, image.width) == shape[:2]:
        return image
    fitted = resize.fit(np.atleast_3d(np.asarray(image)), *shape[:2]).numpy()
    return Image.fromarray(fitted if image.mode == "RGB" else fitted[..., 0])
