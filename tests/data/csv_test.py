"""Tables: which columns are features, classes and identifiers; what is matched by name; what is refused, and how cheaply."""

import os
import subprocess
import sys

import numpy as np
import pytest

from tfadgm.data import csv, encoding, examples
from tfadgm.data.columns import Column
from tfadgm.runs import build, recipes


def write(path, text):
    path.write_text(text)
    return str(path)


def encode(path, names):
    return encoding.encode(csv.Csv(path), [Column(name) for name in names])


def test_columns_are_matched_by_name_in_any_order(tmp_path):
    x = encode(write(tmp_path / "t.csv", "c,label,a,b\n3,x,1,2\n6,y,4,5\n"), ["a", "b", "c"])
    assert x.tolist() == [[1, 2, 3], [4, 5, 6]]


def test_further_columns_are_ignored_by_name_and_may_be_text(tmp_path):
    path = write(tmp_path / "t.csv", "id,b,town,a\nr1,2,Rome,1\nr2,4,Oslo,3\n")
    found = examples.read(path, (2,), "float32", ["a", "b"])
    assert found.x.tolist() == [[1, 2], [3, 4]] and found.identifiers == ["r1", "r2"]
    assert found.notes == (f"{path}: the model has no column 'town': no part of x",)


def test_missing_columns_are_all_named(tmp_path):
    with pytest.raises(ValueError, match="has no column 'b', 'd'; allowed: the columns that the model was trained on"):
        encode(write(tmp_path / "t.csv", "a,B,c\n1,2,3\n"), ["a", "b", "c", "d"])


@pytest.mark.parametrize("text", ["5.1,3.5\n4.9,3.0\n", "5.1,3.5,setosa\n4.9,3.0,virginica\n"])
def test_a_file_without_a_header_does_not_lose_its_first_row(tmp_path, text):
    path = write(tmp_path / "t.csv", text)
    for read in (csv.load, lambda path: encode(path, ["u", "v"]), lambda path: examples.read(path, (2,), "float32")):
        with pytest.raises(ValueError, match="its first row is numbers; allowed: a header"):
            read(path)


def test_columns_of_a_model_without_names_may_be_identifiers_as_they_once_were(tmp_path):
    path = write(tmp_path / "t.csv", "id,u,label\n5,6,a\n7,8,b\n")
    for width, x in ((2, [[5, 6], [7, 8]]), (1, [[6], [8]])):
        assert examples.read(path, (width,), "float32").x.tolist() == x


def test_a_row_that_ends_before_its_label_is_unlabelled(tmp_path):
    assert csv.load(write(tmp_path / "t.csv", "\nu,label\n5,a\n6\n7,b\n")).y_train.tolist() == [0, -1, 1]


def test_numbers_may_be_names_where_one_column_is_the_labels(tmp_path):
    assert csv.load(write(tmp_path / "t.csv", "0,1,label\n5,6,a\n7,8,b\n")).feature_names == ["0", "1"]


@pytest.mark.parametrize("name", ["", "id", "ID", "index", "Unnamed: 0"])
def test_what_identifies_rows_is_no_feature(tmp_path, name):
    data = csv.load(write(tmp_path / "t.csv", f"{name},u,label\n0,5,a\n1,6,b\n"))
    assert data.feature_names == ["u"] and data.x_train.tolist() == [[5], [6]]
    assert any("identifies the rows and is no feature" in note for note in data.notes)


def test_spellings_of_no_label_are_no_classes_and_are_told(tmp_path):
    texts = ["-1", "NaN", "nan", "None", "?", "unknown", "", " "]
    rows = "".join(f"{i},{text}\n" for i, text in enumerate([*texts, "cat", "dog"]))
    data = csv.load(write(tmp_path / "t.csv", "u,label\n" + rows))
    assert data.class_names == ["cat", "dog"] and data.y_train.tolist() == [-1] * 8 + [0, 1]
    assert "'?' 1" in data.notes[-1] and "8 of 10 examples unlabelled" in data.notes[-1]


@pytest.mark.parametrize("end", ["", "\n", "\n\n", "\r\n\r\n"])
def test_blank_lines_at_the_end_are_no_rows(tmp_path, end):
    assert csv.load(write(tmp_path / "t.csv", "u,label\n5,a\n6,b" + end)).x_train.tolist() == [[5], [6]]


def test_a_label_that_identifies_rows_is_refused(tmp_path):
    rows = "".join(f"{i},row-{i}\n" for i in range(100))
    with pytest.raises(ValueError, match="column 'label': names 100 classes in 100 rows .* looks like an identifier"):
        csv.load(write(tmp_path / "t.csv", "u,label\n" + rows))


def test_one_label_of_each_of_many_classes_beside_unlabelled_rows_is_none(tmp_path):
    rows = "".join(f"{i},{f'class-{i}' if i < 40 else ''}\n" for i in range(100))
    assert csv.load(write(tmp_path / "t.csv", "u,label\n" + rows)).num_classes == 40


@pytest.mark.parametrize("labels", [[f"{2700 + 25 * (i % 94)}" for i in range(300)], [f"{i % 50}.5" for i in range(300)]])
def test_a_measurement_as_label_is_refused(tmp_path, labels):
    rows = "".join(f"{i},{label}\n" for i, label in enumerate(labels))
    with pytest.raises(ValueError, match="different numbers .* looks like a measurement"):
        csv.load(write(tmp_path / "t.csv", "u,label\n" + rows))


def test_classes_may_be_numbers(tmp_path):
    rows = "".join(f"{i},{i % 50}\n" for i in range(200))
    assert csv.load(write(tmp_path / "t.csv", "u,label\n" + rows)).num_classes == 50


def test_a_table_without_labels_is_for_models_without_classes(tmp_path):
    for text, why in (
        ("u,v\n1,2\n3,4\n", "has no column 'label' .--label=COLUMN names another."),
        ("u,label\n1,\n3,-1\n", "is unlabelled in every row"),
    ):
        settings = recipes.resolve("vae", f"csv:{write(tmp_path / 't.csv', text)}", epochs=1)
        data, split = build.load_data(settings)
        assert not data.num_classes and len(split.unlabelled) == 2
        build.make_model(settings, data, split)
        with pytest.raises(ValueError, match=f"got m2 for 0 classes, as .*{why}; allowed: --clusters=K, or"):
            build.make_model(recipes.resolve("m2", settings.dataset, epochs=1), data, split)


def test_a_pipe_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe.csv")
    for path in (tmp_path / "pipe.csv", "/dev/zero"):
        with pytest.raises(ValueError, match="is a pipe or a device; allowed: a csv file"):
            csv.load(str(path))
    with pytest.raises(ValueError, match="is a directory; allowed: a csv file"):
        csv.load(str(tmp_path))


def test_a_home_directory_is_found(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    write(tmp_path / "t.csv", "u,label\n5,a\n6,b\n")
    assert csv.load("~/t.csv").name == str(tmp_path / "t.csv")


@pytest.mark.parametrize("name, kind", [("own.csv", "csv"), ("own.NPZ", "npz"), (".", "images")])
def test_a_file_without_its_kind_is_told(name, kind):
    with pytest.raises(ValueError, match=f"got '{name}'; allowed: {kind}:{name}"):
        build.load_data(recipes.resolve("m2", name, epochs=1))


MEMORY = """
import resource, sys
from tfadgm.data import csv, sources
sources.CHUNK_CELLS >>= 3
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
csv.load(sys.argv[2])
before = peak()
found = csv.load(sys.argv[1])
print((peak() - before) / found.x_train.nbytes)
"""


def test_reading_takes_at_most_three_times_the_size_of_what_is_read(tmp_path):
    columns, rows = 50, 40_000  # 8 MB as float32
    line = ",".join(f"{value:.6f}" for value in np.random.default_rng(0).normal(size=columns))
    header = ",".join([*(f"c{i}" for i in range(columns)), "label"]) + "\n"
    large = write(tmp_path / "large.csv", header + (line + ",a\n" + line + ",b\n") * (rows // 2))
    small = write(tmp_path / "small.csv", header + line + ",a\n" + line + ",b\n")
    done = subprocess.run([sys.executable, "-c", MEMORY, large, small], capture_output=True, text=True, check=True)
    assert float(done.stdout) < 3


def test_the_one_further_column_identifies_rows_if_each_has_a_word_of_its_own(tmp_path):
    for last, found in (
        ("E1 E2 E3", ["E1", "E2", "E3"]),
        ("E1 E2 E1", None),
        ("1.5 2 3", None),
        ("E1  E3", ["E1", "", "E3"]),
    ):
        text = "employee,u\n" + "".join(f"{word},{n}\n" for n, word in enumerate(last.split(" ")))
        path = write(tmp_path / "t.csv", text)
        ids = examples.read(path, (1,), "float32", ["u"]).identifiers
        assert (ids and [word or "" for word in ids]) == found, last
