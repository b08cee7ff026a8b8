"""Folders of pictures: which are read as what, what is told, and what is refused."""

import os
import tracemalloc

import numpy as np
import picture_examples as examples
import pytest

from tfadgm.data import images, resize
from tfadgm.data.picture_files import read_image
from tfadgm.data.preprocess import Preprocess

GREY = {f"{i}.png": np.full((8, 6), i, "uint8") for i in range(3)}


def test_a_folder_per_class_and_one_of_unlabelled_pictures(tmp_path):
    folders = {
        name: {f"{i}.png": np.full((8, 6), value + i, "uint8") for i in range(3)}
        for name, value in (("cat", 10), ("dog", 200), ("unlabelled", 90))
    }
    data = images.load(str(examples.write_folders(tmp_path, **folders)))
    assert data.class_names == ["cat", "dog"] and data.x_train.shape == (9, 8, 6, 1)
    assert data.y_train.tolist() == [0] * 3 + [1] * 3 + [-1] * 3
    assert data.x_train[0, 0, 0, 0] == 10 and data.x_train[5, 0, 0, 0] == 202
    assert list(data.warnings) == []


@pytest.mark.parametrize("name", ["unlabeled", "Unknown", "NaN", "-1"])
def test_a_folder_whose_name_says_unlabelled_is_no_class(tmp_path, name):
    data = images.load(str(examples.write_folders(tmp_path, cat=GREY, dog=GREY, **{name: GREY, "unlabelled": GREY})))
    assert data.class_names == ["cat", "dog"] and (data.y_train == -1).sum() == 6
    assert list(data.warnings) == [f"{tmp_path}: pictures in {name} are taken to have no label; other names are classes"]


def test_pictures_in_folders_within_a_class_folder_are_read_and_told(tmp_path):
    inner = {"2024/b/x.png": np.full((8, 6), 50, "uint8"), "a.webp": np.full((8, 6, 3), 60, "uint8")}
    data = images.load(str(examples.write_folders(tmp_path, cat=GREY | inner, dog=GREY)))
    assert data.y_train.tolist() == [0] * 5 + [1] * 3 and data.x_train[4, 0, 0, 0] == 50
    assert any(
        line == f"{tmp_path}: 1 pictures lie in folders within the class folders, and are read as of the class "
        f"(first: {tmp_path / 'cat' / '2024' / 'b' / 'x.png'})"
        for line in list(data.warnings)
    )


def test_whatever_is_left_out_is_counted_in_one_line(tmp_path):
    hidden = {"._0.png": b"\0\5\x16\7", ".thumbnails/0.png": GREY["0.png"]}
    foreign = {"notes.txt": b"", "a.csv": b"", "b.csv": b"", "name": b""}
    outside = {"__MACOSX": GREY, ".git": GREY, ".": {"top.png": b""}}
    root = examples.write_folders(tmp_path, cat=GREY | hidden | foreign, dog=GREY, **outside)
    os.mkfifo(root / "dog" / "pipe.png")
    (root / "dog" / "zero.png").symlink_to("/dev/zero")
    (root / "dog" / "link").symlink_to(root)
    data = images.load(str(root))
    assert data.class_names == ["cat", "dog"] and len(data.x_train) == 6
    (line,) = list(data.warnings)
    assert line.startswith(f"{root}: left out, as no pictures of a class: 4 hidden, 2 .csv, 2 no regular files, ")
    for part in ("1 .txt", "1 without a suffix", "1 links to folders", "1 beside the class folders"):
        assert part in line


def test_one_picture_in_colour_makes_all_coloured(tmp_path):
    colour = examples.levels(8, 6)
    data = images.load(str(examples.write_folders(tmp_path, cat=GREY, dog={"c.png": colour})))
    np.testing.assert_array_equal(data.x_train[3], colour)
    np.testing.assert_array_equal(data.x_train[2], np.full((8, 6, 3), 2))
    assert list(data.warnings) == [
        f"{tmp_path}: pictures that are grey and are read as colour: 3 (first: {tmp_path / 'cat' / '0.png'})"
    ]


def test_a_folder_that_may_hold_what_has_no_label_is_told(tmp_path):
    many = {f"{i}.png": np.full((8, 6), i, "uint8") for i in range(19)}
    few = {"a.png": np.zeros((8, 6), "uint8")}
    root = examples.write_folders(tmp_path / "a", cat=dict(few), dog=dict(few), sort_me=many)
    (line,) = images.load(str(root)).warnings
    assert "class 'sort_me' has 19 of 21 pictures; if these have no label, name their folder 'unlabelled'" in line
    root = examples.write_folders(tmp_path / "b", cat=dict(few), dog=dict(few), unlabelled=many)
    assert not list(images.load(str(root)).warnings)
    root = examples.write_folders(tmp_path / "c", cat=dict(few), dog=many)  # two classes, one of them rare
    assert not list(images.load(str(root)).warnings)


def test_pictures_of_several_sizes_become_pictures_of_the_median_size_and_this_is_told(tmp_path):
    other = {"a.png": examples.levels(6, 8, 1), "b.png": np.zeros((5, 5), "uint8"), "c.png": np.zeros((50, 50), "uint8")}
    root = examples.write_folders(tmp_path, cat=other, dog=GREY, owl=GREY)
    data = images.load(str(root))
    assert data.x_train.shape == (9, 8, 6, 1) and data.any_size and data.make_preprocess().any_size
    np.testing.assert_array_equal(data.x_train[0], resize.fit(other["a.png"][..., None], 8, 6))
    np.testing.assert_array_equal(data.x_train[4:6, 0, 0, 0], [1, 2])
    assert data.notes[1:] == (
        "3 of 9 pictures, of 5 x 5 to 50 x 50 pixels (height x width), are resized and cut to 8 x 6 (their median, of at "
        "most 4096 pixels; --image_size=HxW chooses another)",
    )


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([(9, 7), (9, 7), (30, 2)], (9, 7)),
        ([(10, 20), (20, 10)], (15, 15)),
        ([(8, 6), (9, 7)], (8, 6)),  # the medians 8.5 and 6.5, to the even number
        ([(300, 400), (302, 400)], (56, 74)),
        ([(3000, 4000), (2000, 2000), (4000, 4000)], (55, 74)),
        ([(1, 9999), (2, 9999)], (1, 5225)),
    ],
)
def test_the_size_of_pictures_of_several_sizes(tmp_path, sizes, expected, monkeypatch):
    """The median height and width, both less by one factor where they are more than 64 * 64 pixels."""
    shapes = iter([(*size, 1) for size in sizes])
    monkeypatch.setattr(images, "read_shape", lambda path: next(shapes))
    monkeypatch.setattr(images, "read_image", lambda path, shape, *_: np.zeros(shape, "uint8"))
    pictures = {f"{i}.png": b"" for i in range(len(sizes) - 1)}
    data = images.load(str(examples.write_folders(tmp_path, cat=pictures, dog={"0.png": b""})))
    assert data.x_train.shape[1:3] == expected


def test_pictures_of_one_size_keep_it_unless_another_is_asked_for(tmp_path):
    root = str(examples.write_folders(tmp_path, cat=GREY, dog=GREY))
    own, same, other = images.load(root), images.load(root, image_size="8x6"), images.load(root, image_size="4x5")
    assert not own.any_size and not own.make_preprocess().any_size and len(own.notes) == len(same.notes) == 1
    assert same.any_size and other.any_size and other.x_train.shape == (6, 4, 5, 1)
    np.testing.assert_array_equal(own.x_train, same.x_train)
    assert other.notes[1] == "6 of 6 pictures, of 8 x 6 pixels (height x width), are resized and cut to 4 x 5"


def test_pictures_for_a_model_become_what_its_own_became_or_are_refused(tmp_path):
    colour = {"a.png": examples.levels(9, 9)}
    root = str(examples.write_folders(tmp_path, cat=GREY, dog=colour))
    for channels in (1, 3):
        found = images.load(root, preprocess=Preprocess((4, 3, channels), "uint8", any_size=True))
        np.testing.assert_array_equal(
            found.x_train[3], read_image(tmp_path / "dog" / "a.png", (4, 3, channels), any_size=True)
        )
    with pytest.raises(ValueError, match="a.png: is a picture of 9 x 9 pixels .*; allowed: 6 x 8 pixels"):
        images.load(root, preprocess=Preprocess((8, 6, 1), "uint8"))


def test_no_pixel_is_decoded_before_all_headers_are_read(tmp_path, monkeypatch):
    root = examples.write_folders(tmp_path, cat=GREY, dog={"a.png": np.zeros((9, 9), "uint8"), "b.png": b"\x89PNG"})
    monkeypatch.setattr(images, "read_image", lambda *_: pytest.fail("decoded"))
    with pytest.raises(ValueError, match="b.png: not a readable picture"):
        images.load(str(root))


def test_pictures_on_their_side_are_of_one_size_with_the_others(tmp_path):
    wide = {f"{i}.jpg": examples.encoded(examples.levels(6, 8), "JPEG", exif=examples.turned(6)) for i in range(2)}
    tall = {f"{i}.jpg": examples.encoded(examples.levels(8, 6), "JPEG") for i in range(2)}
    assert images.load(str(examples.write_folders(tmp_path, cat=wide, dog=tall))).x_train.shape == (4, 8, 6, 3)


BAD = {
    "damaged": (dict(cat=GREY | {"9.png": b"\x89PNG truncated"}, dog=GREY), "cat/9.png: not a readable picture"),
    "no pictures": (dict(cat={}, dog={"a.txt": b""}), "its folders hold no pictures; allowed: files ending in .png"),
    "a class without pictures": (
        dict(cat=GREY, dog={}, owl={"a.txt": b""}),
        "no picture in dog, owl; allowed: at least one",
    ),
    "one class": (dict(cat=GREY, unknown=GREY), "has 1 class folders; allowed: at least 2"),
    "parts": (
        dict(train={"cat/0.png": GREY["0.png"]}, test={}),
        "has the folders test, train, which are no classes; allowed: .*, such as images:.*train",
    ),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_folders_are_refused(tmp_path, kind):
    folders, message = BAD[kind]
    with pytest.raises(ValueError, match=message) as caught:
        images.load(str(examples.write_folders(tmp_path, **folders)))
    assert str(tmp_path) in str(caught.value) and "\n" not in str(caught.value)


def test_what_is_no_folder(tmp_path):
    for argument in (None, "", str(tmp_path / "none")):
        with pytest.raises(ValueError, match="images:DIR"):
            images.load(argument)


def test_reading_takes_at_most_3_times_the_memory_of_the_pictures(tmp_path):
    pictures = {f"{i:03}.png": np.full((128, 128, 3), (i, 0, 0), "uint8") for i in range(250)}
    root = examples.write_folders(tmp_path, cat=pictures, dog=pictures)
    tracemalloc.start()
    data = images.load(str(root))
    data.make_preprocess()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3 * data.x_train.nbytes, peak / data.x_train.nbytes
