"""Folders of pictures: which are read as what, what is told, and what is refused."""

import os
import tracemalloc

import numpy as np
import picture_examples as examples
import pytest

from tfadgm.data import images

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


def test_pictures_of_another_size_are_refused_with_the_number_of_each(tmp_path):
    other = {"a.png": np.zeros((6, 8), "uint8"), "b.png": np.zeros((5, 5), "uint8"), "c.png": np.zeros((5, 5), "uint8")}
    root = examples.write_folders(tmp_path, cat=other, dog=GREY, owl=GREY)
    with pytest.raises(ValueError) as caught:
        images.load(str(root))
    assert str(caught.value) == (
        f"{root / 'cat' / 'a.png'}: is a picture of 8 x 6 pixels (width x height); allowed: one size, "
        "as the 6 x 8 of 6 of the 9 pictures; there are 2 of 5 x 5, 1 of 8 x 6"
    )


def test_no_pixel_is_decoded_before_all_sizes_are_known(tmp_path, monkeypatch):
    root = examples.write_folders(tmp_path, cat=GREY, dog={"a.png": np.zeros((9, 9), "uint8")})
    monkeypatch.setattr(images, "read_image", lambda *_: pytest.fail("decoded"))
    with pytest.raises(ValueError, match="a.png: is a picture of 9 x 9 pixels"):
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
    pictures = {f"{i:03}.png": np.full((128, 128, 3), i, "uint8") for i in range(250)}
    root = examples.write_folders(tmp_path, cat=pictures, dog=pictures)
    tracemalloc.start()
    data = images.load(str(root))
    data.make_preprocess()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3 * data.x_train.nbytes, peak / data.x_train.nbytes
