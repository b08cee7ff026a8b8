"""Tables: what is told of them, kinds that numbers decide, every way to read them, and what is done with them at use."""

import gzip

import numpy as np
import pandas
import pyarrow as pa
import pytest
from csv_files import kinds, load, rows

from tfadgm.data import cells, csv, encoding, examples, frames, parquet, sources, survey
from tfadgm.data.columns import Column

NAN = np.nan


def test_what_was_not_read_as_it_stands_is_told(tmp_path):
    text = rows(
        "u,v,town,name,label",
        *(f"{i % 7 + 0.5},,{'Zürich' if i % 2 else 'Oslo'},name {i},{'ab'[i % 2]}" for i in range(40)),
        "1",
    )
    data = load(tmp_path / "t.csv", text.encode("latin-1"))
    told = "\n".join((*data.notes, *data.warnings))
    assert "is no UTF-8; read as cp1252" in told and "column 'v': is empty; ignored" in told
    assert "column 'name': 40 different texts in 40 cells" in told and "1 rows end before the header does" in told
    assert "missing: 1 of 82 cells (1.2%; 'town' 1)" in told and "column 'town': 2 categories ('Oslo', 'Zürich')" in told
    assert "column 'town': tells the label of each labelled row" in told and "rows: 26 of 41 are copies" in told


def test_a_doubtful_thousand_is_told(tmp_path):
    for text, value in (('u,label\n"1,234",a\n"5,678",b\n', 1234), ("u;label\n1,234;a\n5,678;b\n", 1.234)):
        data = load(tmp_path / "t.csv", text)
        assert data.x_train[0, 0] == np.float32(value)
        assert "column 'u': nothing tells what 1,234 or 1.234 is there; a " in data.warnings[0]
        assert data.warnings[0].endswith(" for 1234")
    data = load(tmp_path / "t.csv", "u;v;label\n1.234;0,5;a\n5.678;2,25;b\n")  # v tells it of u
    assert data.x_train[:, 0].tolist() == [1234, 5678]


def test_counts_with_long_tails_are_counts_and_even_ones_numbers(tmp_path):
    generator = np.random.default_rng(0)
    tailed = generator.poisson(np.exp(generator.normal(1, 1.5, 300)))
    even = generator.poisson(30, 300)
    frame = pandas.DataFrame(dict(tailed=tailed, even=even, label=["a", "b"] * 150))
    assert kinds(frames.from_frame(frame)) == dict(tailed="count", even="number")
    assert kinds(frames.from_frame(frame, columns=dict(tailed="number", even="count"))) == dict(
        tailed="number", even="count"
    )


def test_rare_categories_are_other_and_the_most_frequent_are_kept():
    texts = [f"t{i:03}" for i in range(120) for _ in range(3)] + ["once", "common", "common", "common", "common"]
    data = frames.from_frame(pandas.DataFrame(dict(town=texts, label=["a", "b"] * 182 + ["a"])))
    (column,) = data.columns
    assert (
        len(column.categories) == survey.MOST_CATEGORIES
        and "common" in column.categories
        and "once" not in column.categories
    )
    assert column.categories == tuple(sorted(column.categories)) and column.size == 101
    assert (data.x_train == 100).sum() == 3 * 21 + 1  # 99 of 120, all as frequent, are kept


def mixed(count=300, seed=0):
    """A data frame of every kind of column, with holes; all texts are such that a csv file holds them."""
    generator = np.random.default_rng(seed)
    frame = pandas.DataFrame(
        dict(
            height=generator.normal(size=count).astype("float32"),
            visits=generator.poisson(np.exp(generator.normal(1, 1.5, count))),
            member=generator.random(count) < 0.3,
            town=generator.choice(["Rome", "Oslo", 'a "b", c', "x\ny"], count),
            since=pandas.Timestamp("2001-02-03") + pandas.to_timedelta(generator.integers(0, 5000, count), unit="D"),
        )
    ).astype(object)
    frame = frame.mask(generator.random(frame.shape) < 0.1)
    frame["label"] = np.where(generator.random(count) < 0.7, "", generator.choice(["yes", "no"], count))
    return frame


def test_csv_parquet_and_a_data_frame_are_read_alike(tmp_path):
    frame = mixed().infer_objects().astype(dict(visits="Int64", member="boolean", town="category"))
    frame.to_csv(tmp_path / "t.csv")
    frame.set_axis(range(5, 5 + len(frame))).to_parquet(tmp_path / "t.parquet")
    found = [csv.load(str(tmp_path / "t.csv")), parquet.load(str(tmp_path / "t.parquet")), frames.from_frame(frame)]
    found.append(frames.from_frame(mixed()))  # of objects
    for data in found:
        assert kinds(data) == dict(height="number", visits="count", member="binary", town="category", since="date")
        np.testing.assert_array_equal(data.x_train, found[0].x_train)
        np.testing.assert_array_equal(data.y_train, found[0].y_train)
        assert data.class_names == ["no", "yes"] and data.columns[3] == found[0].columns[3]
    assert np.isnan(found[0].x_train).mean() == pytest.approx(0.1, abs=0.02)


@pytest.mark.parametrize("size", [7, 40, 10_000])
def test_the_size_of_chunks_does_not_matter(tmp_path, monkeypatch, size):
    mixed().to_csv(tmp_path / "t.csv", index=False)
    before = csv.load(str(tmp_path / "t.csv"))
    monkeypatch.setattr(sources, "CHUNK_CELLS", size)
    after = csv.load(str(tmp_path / "t.csv"))
    assert after.columns == before.columns and after.notes == before.notes
    np.testing.assert_array_equal(after.x_train, before.x_train)


def test_what_is_decoded_is_what_was_encoded(tmp_path):
    data = frames.from_frame(mixed())
    decoded = encoding.decode(data.x_train, data.columns)
    np.testing.assert_array_equal(encoding.encode(decoded, data.columns), data.x_train)
    for name in ("town", "since"):
        given = mixed()[name].astype(decoded[name].dtype)
        pandas.testing.assert_series_equal(decoded[name], given)
    columns = [Column.from_dict(column.to_dict()) for column in data.columns]
    assert columns == data.columns and Column("c", "category", ("a",)).size == 2


def test_at_use_columns_are_matched_by_name_and_what_is_new_is_told():
    columns = [Column("u"), Column("town", "category", ("Oslo", "Rome"))]
    frame = pandas.DataFrame(dict(town=["Rome", "Bonn", None, "Bonn"], more=0, u=["1.5", None, 2, 4], label="a"))
    lines = []
    x = encoding.encode(frame, columns, "new", lines.append)
    np.testing.assert_array_equal(x, np.array([[1.5, 1], [NAN, 2], [2, NAN], [4, 2]], "float32"))
    assert lines == [
        "new: column 'town': 2 cells say what is no category of training, such as 'Bonn': each is 'other'",
        "new: the model has no column 'more': no part of x",
    ]


AT_USE = {
    "a missing column": (dict(u=[1, 2]), "new: has no column 'b', 'c'; allowed: the columns that the model was trained on"),
    "text in a number": (dict(u=[1, "x"], b=0, c=0), "new: row 1 .from 0., column 'u': got 'x'; allowed: a number"),
    "no truth value": (dict(u=1, b=[0, 2], c=0), "new: row 1 .from 0., column 'b': got '2'; allowed: 0 or 1, true or"),
    "no count": (dict(u=1, b=0, c=[0.5, 1]), "new: row 0 .from 0., column 'c': got '0.5'; allowed: a whole number"),
    "infinity": (dict(u=[np.inf, 1], b=0, c=0), "new: row 0 .from 0., column 'u': got 'inf'; allowed: a number that"),
    "a date": (dict(u=[pandas.Timestamp("2024-01-01"), None], b=0, c=0), "new: row 0 .from 0., column 'u': got '2024-01-01"),
}


@pytest.mark.parametrize("name", AT_USE)
def test_what_does_not_fit_at_use_is_refused(name):
    frame, message = AT_USE[name]
    with pytest.raises(ValueError, match=message):
        encoding.encode(pandas.DataFrame(frame), [Column("u"), Column("b", "binary"), Column("c", "count")], "new")


def test_a_file_at_use_is_read_as_in_training(tmp_path):
    data = load(tmp_path / "t.csv", rows("id;u;zip;when;label", "r1;1,5;007;31.01.2024;a", "r2;2,5;008;02.01.2024;b"))
    assert data.columns[0].format == "," and data.columns[-1].format == "%d.%m.%Y"
    (tmp_path / "new.csv").write_text(rows("when,zip,u,id", '01.01.1970,9,"3,5",r3'))
    found = examples.read(tmp_path / "new.csv", (len(data.columns),), "float32", columns=data.columns)
    assert found.identifiers == ["r3"] and found.x[0, 0] == 3.5 and found.x[0, -1] == 0
    (tmp_path / "new.csv").write_text(rows("when,zip,u", "01.01.1970,9,3.5"))
    with pytest.raises(ValueError, match="new.csv: row 2, column 'u': got '3.5'; allowed: .* with a decimal comma"):
        examples.read(tmp_path / "new.csv", (len(data.columns),), "float32", columns=data.columns)


def test_texts_are_the_numbers_that_python_takes_them_for():
    values = np.random.default_rng(0).normal(size=200) * 10.0 ** np.arange(-20, 20, 0.2)
    texts = [
        spelled(value)
        for value in values.tolist()
        for spelled in (repr, "{:+.3e}".format, "{:.4f}".format, "{:,.2f}".format)
    ]
    expected = [float(text.replace(",", "")) for text in texts]
    np.testing.assert_array_equal(cells.numbers(pa.array(texts)), expected)
    turned = [text.translate(str.maketrans(",.", ".,")) for text in texts]
    np.testing.assert_array_equal(cells.numbers(pa.array(turned), ","), expected)
    for text in ("1_000", "0x10", "inf", "1e", "12,34.5", "1,2345", "--1", "1 2"):
        assert np.isnan(cells.numbers(pa.array([text]))).all(), text


def test_a_data_frame_of_what_is_no_cell_is_refused():
    with pytest.raises(ValueError, match="data frame: column 'u': holds complex128; allowed: numbers"):
        frames.from_frame(pandas.DataFrame(dict(u=[1j], label=["a"])))
    with pytest.raises(ValueError, match="column 'label': holds list.*; allowed: texts"):
        lists = pandas.Series(pandas.arrays.ArrowExtensionArray(pa.array([[1], [2]])))
        frames.from_frame(pandas.DataFrame(dict(u=[1, 2], label=lists)))


def test_a_bomb_is_not_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr(csv, "BOMB_BYTES", 1 << 20)
    with pytest.raises(ValueError, match="expands to more than 100 times its size"):
        load(tmp_path / "t.csv", gzip.compress(b"u,label\n" + b"1,a\n" * 2_000_000))


def test_thousands_of_columns(tmp_path):
    x = np.random.default_rng(0).integers(0, 50, (4, 3000))
    pandas.DataFrame(x).add_prefix("g").assign(label=list("abab")).to_csv(tmp_path / "t.csv", index=False)
    np.testing.assert_array_equal(csv.load(str(tmp_path / "t.csv")).x_train, x)


@pytest.mark.parametrize("group", [1, 3, 100])
def test_all_rows_of_a_parquet_file_are_read_in_order_whatever_its_groups(group, tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "CHUNK_CELLS", 12)  # six rows of two columns
    pandas.DataFrame(dict(u=np.arange(20), v=np.arange(20) * 2)).to_parquet(tmp_path / "t.parquet", row_group_size=group)
    parts = [[column.to_pylist() for column in part] for part in parquet.Parquet(tmp_path / "t.parquet").chunks(["v", "u"])]
    assert sum((part[1] for part in parts), []) == list(range(20)) and max(len(part[1]) for part in parts) <= 6
    assert sum((part[0] for part in parts), []) == list(range(0, 40, 2)) and (group > 1 or len(parts) == 4)
