"""Folders of pictures of the kinds that people have: each is read to the right shape and levels, or refused in one line."""

import dataclasses

import numpy as np
import picture_examples as examples
import pytest
from PIL import Image

from tfadgm.data import images

X = examples.levels(8, 6)  # a picture in colour, [8, 6, 3]
GREY = X[..., 0]
FLAT = {name: np.full((8, 6), level, "uint8") for name, level in (("a.png", 10), ("b.png", 20))}


@dataclasses.dataclass
class Kind:
    """Files of the class `cat`, beside `dog` with two grey pictures of 8 x 6, and what comes of them.

    Attributes:
      files: {name: an array, an image or a file's bytes}.
      expected: levels of the first picture, [height, width, channels]; how close by `atol`.
      shape: of all, [N, height, width, channels]; None: 3 pictures of the expected shape.
      told: parts of lines that are told.
      refused: the error, in place of all that.
    """

    files: dict
    expected: object = None
    atol: int = 0
    shape: tuple | None = None
    told: tuple = ()
    refused: str | None = None


def saved(picture, kind, **options):
    return examples.encoded(picture, kind, **options)


def flat(level, *size):
    """A grey picture with one level, [height, width]: whatever size it gets, it has this level."""
    return np.full(size, level, "uint8")


def frames(kind):
    others = [Image.fromarray(255 - GREY), Image.fromarray(GREY // 2)]
    return saved(
        Image.fromarray(GREY), kind, save_all=True, append_images=others, **({"lossless": True} if kind == "WEBP" else {})
    )


ALPHA = np.dstack([X, np.arange(48).reshape(8, 6)]).astype("uint8")
FEW = Image.fromarray(X).quantize(16)
INK = Image.fromarray(X).convert("CMYK")
HALVES = np.tile(np.repeat([9, 99], 8), (8, 1)).astype("uint8")  # left and right, [8, 16]
WIDE = np.hstack([flat(1, 8, 397), flat(200, 8, 6), flat(1, 8, 397)])
ONE_SIZE = "are resized and cut to 8 x 6 (their median"

KINDS = {
    "mixed sizes": Kind(
        {"a.png": flat(90, 40, 31), "b.jpg": saved(flat(7, 3, 5), "JPEG"), "c.png": GREY, "d.png": flat(1, 8, 6)},
        flat(90, 8, 6)[..., None],
        shape=(6, 8, 6, 1),
        told=(f"2 of 6 pictures, of 3 x 5 to 40 x 31 pixels (height x width), {ONE_SIZE}",),
    ),
    "grey beside colour": Kind({"a.png": X}, X, told=("are grey and are read as colour: 2",)),
    "palettes": Kind({"a.png": FEW}, np.asarray(FEW.convert("RGB"))),
    "a palette of grey, GIF": Kind(
        {"a.gif": saved(GREY, "GIF")},
        GREY[..., None],
        told=("all pictures are grey, though 1 of 3 files could hold colours",),
    ),
    "grey as colour, JPEG": Kind(
        {"a.jpg": saved(Image.fromarray(flat(77, 8, 6)).convert("RGB"), "JPEG"), "b.png": np.dstack([GREY] * 3)},
        flat(77, 8, 6)[..., None],
        shape=(4, 8, 6, 1),
        told=("all pictures are grey, though 2 of 4 files",),
    ),
    "alpha": Kind({"a.png": ALPHA}, X, told=("have transparent pixels, whose colours are read as the file has them: 1",)),
    "grey and alpha": Kind({"a.png": saved(Image.fromarray(ALPHA[..., [0, 3]]), "PNG")}, GREY[..., None]),
    "16 bit, PNG": Kind({"a.png": GREY.astype("uint16") * 256 + 99}, GREY[..., None], told=("have 16 bits, of which",)),
    "16 bit, TIFF": Kind({"a.tif": GREY.astype("uint16") * 256 + 99}, GREY[..., None], told=("have 16 bits, of which",)),
    "one bit": Kind({"a.png": Image.fromarray(GREY > 99)}, np.where(GREY > 99, 255, 0)[..., None]),
    "CMYK, TIFF": Kind({"a.tif": INK}, np.asarray(INK.convert("RGB"))),
    "CMYK, JPEG": Kind(
        {"a.jpg": saved(Image.new("CMYK", (6, 8), (0, 255, 255, 0)), "JPEG")}, np.full((8, 6, 3), (255, 0, 0)), atol=3
    ),
    "turned by EXIF": Kind(
        {"a.png": saved(np.rot90(GREY), "PNG", exif=examples.turned(6)), "b.png": GREY}, GREY[..., None], shape=(4, 8, 6, 1)
    ),
    "turned by EXIF, of another size": Kind(
        {"a.png": saved(np.rot90(HALVES), "PNG", exif=examples.turned(6))},
        HALVES[:, 5:11, np.newaxis],
        told=("1 of 3 pictures, of 8 x 16 pixels",),
    ),
    "nested": Kind({"2024/05/a.png": GREY}, GREY[..., None], told=("1 pictures lie in folders within the class folders",)),
    "foreign files": Kind(
        {"a.png": GREY, "notes.txt": b"", "b.csv": b"", "Thumbs.db": b"", ".DS_Store": b"", "b.heic": b"", "c.PSD": b""},
        GREY[..., None],
        told=("left out, as no pictures of a class: 1 hidden, 1 .db, 1 .csv, 1 .heic, 1 .psd, 1 .txt",),
    ),
    "suffixes in capitals": Kind(
        {"A.PNG": saved(GREY, "PNG"), "B.JPG": saved(GREY, "JPEG"), "C.TIFF": saved(GREY, "TIFF")},
        GREY[..., None],
        shape=(5, 8, 6, 1),
    ),
    "another suffix than the format's": Kind({"a.jpg": saved(GREY, "PNG")}, GREY[..., None]),
    "names of all kinds": Kind({"ein Bild: süß #1 (2).png": GREY}, GREY[..., None]),
    "one picture in a class": Kind({"a.png": GREY}, GREY[..., None]),
    "very wide": Kind(
        {"a.png": WIDE},
        flat(200, 8, 6)[..., None],
        told=("1 of 3 pictures, of 8 x 800", "lose more than half of their area by the cut to another aspect ratio: 1"),
    ),
    "an animation, GIF": Kind({"a.gif": frames("GIF")}, GREY[..., None], told=("have several frames, of which the",)),
    "an animation, WebP": Kind({"a.webp": frames("WEBP")}, GREY[..., None], told=("have several frames",)),
    "an animation, PNG": Kind({"a.png": frames("PNG")}, GREY[..., None], told=("have several frames",)),
    "an empty class": Kind({}, refused="no picture in cat; allowed: at least one in each class folder"),
    "a class of other files": Kind({"a.txt": b""}, refused="no picture in cat; allowed: at least one in each class folder"),
    "a damaged file": Kind({"a.png": saved(GREY, "PNG")[:60]}, refused="cat/a.png: not a readable picture: "),
    "a damaged file, of another size": Kind(
        {"a.jpg": saved(examples.levels(40, 40), "JPEG")[:900]},
        refused="cat/a.jpg: not a readable picture: image file is truncated",
    ),
    "an empty file": Kind({"a.png": b""}, refused="cat/a.png: not a readable picture: cannot identify image file"),
    "32 bits": Kind({"a.tif": GREY.astype("float32")}, refused=r"cat/a.tif: has more than 16 bits a channel"),
    "huge": Kind(
        {"a.png": Image.new("1", (9000, 9000))},
        refused="cat/a.png: is a picture of 9000 x 9000 .*; allowed: at most 67108864",
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_folder_of_a_kind_is_read_right_or_refused_in_one_line(tmp_path, kind):
    kind = KINDS[kind]
    root = examples.write_folders(tmp_path, cat=kind.files, dog=FLAT)
    if kind.refused:
        with pytest.raises(ValueError, match=kind.refused) as caught:
            images.load(str(root))
        assert "\n" not in str(caught.value) and str(root) in str(caught.value)
        return
    data = images.load(str(root))
    assert data.x_train.dtype == np.uint8 and data.x_train.shape == (kind.shape or (3, *kind.expected.shape))
    np.testing.assert_allclose(data.x_train[0].astype(int), kind.expected, rtol=0, atol=kind.atol)
    assert (data.x_train[-2:] == np.reshape([10, 20], (2, 1, 1, 1))).all()  # the others are what they were
    assert data.y_train.tolist() == [0] * (len(data.x_train) - 2) + [1, 1]
    lines = [*data.notes[1:], *data.warnings]
    for part in kind.told:
        assert any(part in line for line in lines), lines
    assert kind.told or not any("resized" in line or "left out" in line for line in lines)


def test_a_single_picture_is_no_data_set(tmp_path):
    root = examples.write_folders(tmp_path, cat={"a.png": GREY})
    with pytest.raises(ValueError, match="has 1 class folders; allowed: at least 2"):
        images.load(str(root))
