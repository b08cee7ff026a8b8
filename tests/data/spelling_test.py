"""Numbers of a table as texts, and files whose missing cells are filled."""

import numpy as np
import pandas
import pyarrow as pa
import pytest
import table_examples
from table_examples import COLUMNS

from tfadgm.data import csv, encoding, sources, spelling
from tfadgm.data.columns import Column


def test_texts_say_the_numbers_that_they_are_of():
    x = table_examples.draw(50)
    x[:, -1] = np.floor(x[:, -1]) + np.float32(0.25) * (np.arange(50) % 4)
    x[:, 1] = np.where(x[:, 1] == 3, np.nan, x[:, 1])  # "other" has no text of its own
    x[:, 2] = np.where(x[:, 2] == 2, np.nan, x[:, 2])
    x[:4, 0] = [1e-30, -3e20, 0.1, 16777216]
    again = encoding.encode(spelling.frame(x, COLUMNS), COLUMNS)
    np.testing.assert_array_equal(again, x)


@pytest.mark.parametrize(
    "column, value, text",
    [
        (Column("a"), 41.0, "41"),
        (Column("a"), np.float32(0.1), "0.1"),
        (Column("a", format=","), 1234.5, "1234,5"),
        (Column("a", "count"), 2.6, "3"),
        (Column("a", "category", ("x",)), 1, "other"),
        (Column("a", "binary", ("No", "Yes")), 1, "Yes"),
        (Column("a", "binary"), 0, "0"),
        (Column("a", "date", format="%d.%m.%Y"), 19782, "29.02.2024"),
        (Column("a", "date", format="ISO8601"), 19782, "2024-02-29"),
        (Column("a", "date"), 19782.5, "2024-02-29T12:00:00"),
        (Column("a", "date"), np.nan, ""),
    ],
)
def test_texts(column, value, text):
    assert spelling.texts([value], column) == [text]


def filled_of(source, columns):
    x = encoding.encode(source, columns, tell=lambda _: None)
    return x, np.where(np.isnan(x), np.float32(1), x)


def test_a_csv_keeps_what_it_says(tmp_path):
    columns = [
        Column("n", format=","),
        Column("job", "category", ("clerk", "nurse")),
        Column("day", "date", format="%d.%m.%Y"),
    ]
    file = tmp_path / "t.csv"
    file.write_text("id;n;job;label;day\n1;01,50;NA;a;\n2;;diver;;01.01.2000\n")
    source = csv.Csv(file)
    x, filled = filled_of(source, columns)
    found = spelling.completed(source, columns, x, np.stack([filled, filled]), mark=True).to_pandas()
    assert found.columns.tolist() == ["draw", "id", "n", "job", "label", "day", "filled"]
    assert found["draw"].tolist() == [1, 1, 2, 2] and found["filled"].tolist() == ["job, day", "n"] * 2
    assert found["n"].tolist() == ["01,50", "1"] * 2 and found["job"].tolist() == ["nurse", "diver"] * 2
    assert found["day"].tolist() == ["02.01.1970", "01.01.2000"] * 2
    assert found["id"].tolist() == ["1", "2"] * 2 and found["label"].tolist() == ["a", ""] * 2


def test_types_stay_where_they_can_say_what_is_filled_in():
    frame = pandas.DataFrame(
        dict(
            whole=pandas.array([3, None], "Int64"),
            real=[0.5, None],
            truth=pandas.array([False, None], "boolean"),
            day=pandas.to_datetime(["2024-02-29", None]),
            code=pandas.array([7, None], "Int64"),
            job=pandas.Categorical(["nurse", None]),
        )
    )
    kinds = dict(whole="count", real="number", truth="binary", day="date")
    columns = [Column(name, kind) for name, kind in kinds.items()]
    columns += [Column("code", "category", ("7", "8")), Column("job", "category", ("clerk", "nurse"))]
    source = sources.Frame(frame)
    x, filled = filled_of(source, columns)
    found = spelling.completed(source, columns, x, filled)
    assert found.schema.field("whole").type == pa.int64() and found.schema.field("truth").type == pa.bool_()
    assert [column.to_pylist()[1] for column in found.columns[:3]] == [1, 1.0, True]
    assert str(found.column("day").to_pylist()[1])[:10] == "1970-01-02"
    assert found.column("code").to_pylist() == ["7", "8"] and found.column("job").to_pylist() == ["nurse", "nurse"]


def test_numbers_that_are_whole_in_training_are_filled_in_whole():
    source = sources.Frame(pandas.DataFrame(dict(level=[1.0, None], share=[0.5, None])))
    filled, x = np.array([[1.0, 0.5], [2.7, 2.7]]), np.array([[1.0, 0.5], [np.nan, np.nan]])
    found = spelling.completed(source, [Column("level"), Column("share")], x, filled, whole=[True, False])
    assert found.to_pydict() == dict(level=[1.0, 3.0], share=[0.5, 2.7])


def test_a_column_of_the_name_of_one_that_is_added_is_refused():
    source = sources.Frame(pandas.DataFrame(dict(draw=[1.0])))
    with pytest.raises(ValueError, match="has a column 'draw' itself; allowed: another name"):
        spelling.completed(source, [Column("draw")], np.ones((1, 1)), np.ones((2, 1, 1)))
