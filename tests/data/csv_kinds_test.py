"""The csv files that people have: each is read right, cell by cell, or refused in one line."""

import gzip

import numpy as np
import pytest
from csv_files import kinds, load, rows

NAN = np.nan


PLAIN = rows("u,town,label", "1.5,Rome,a", "-2,Oslo,b", "3e1,Rome,")
X, Y = [[1.5, 0], [-2, 1], [30, 0]], [0, 1, -1]  # Oslo, of one row, is "other"
# Of each kind of file: its bytes, options, then the kinds of its columns, x and y, or what the error says.
FILES = {
    "commas": (PLAIN, {}, dict(u="number", town="category"), X, Y),
    "semicolons and decimal commas": (
        rows("u;town;label", "1,5;Rome, Italy;a", "-2;Oslo;b", "1.030,25;Rome, Italy;"),
        {},
        dict(u="number", town="category"),
        [[1.5, 0], [-2, 1], [1030.25, 0]],
        Y,
    ),
    "quoted decimal commas": (
        rows("u,label", '"1,5",a', '"2,25",b', '"-0,5",'),
        {},
        dict(u="number"),
        [[1.5], [2.25], [-0.5]],
        Y,
    ),
    "thousands": (rows("u,label", '"1,250.5",a', '"2,000,000",b', "7,"), {}, dict(u="number"), [[1250.5], [2e6], [7]], Y),
    "decimal points beside semicolons": (
        rows("u;v;label", "0.123;7;a", "0.250;8;b"),
        {},
        dict(u="number", v="number"),
        [[0.123, 7], [0.25, 8]],
        [0, 1],
    ),
    "tabs": (PLAIN.replace(",", "\t"), {}, dict(u="number", town="category"), X, Y),
    "bars": (PLAIN.replace(",", "|"), {}, dict(u="number", town="category"), X, Y),
    "a delimiter that is said": ("sep=;\n" + PLAIN.replace(",", ";"), {}, dict(u="number", town="category"), X, Y),
    "UTF-8 with a byte-order mark": (PLAIN.encode("utf-8-sig"), {}, dict(u="number", town="category"), X, Y),
    "UTF-16 with a byte-order mark": (PLAIN.encode("utf-16"), {}, dict(u="number", town="category"), X, Y),
    "Latin-1": (PLAIN.replace("Rome", "Zürich").encode("latin-1"), {}, dict(u="number", town="category"), X, Y),
    "Windows line ends": (PLAIN.replace("\n", "\r\n"), {}, dict(u="number", town="category"), X, Y),
    "quoted line ends": (
        rows("u,town,label", '1.5,"Rome,\nItaly",a', "-2,Oslo,b", '30,"Rome,\nItaly",'),
        {},
        dict(u="number", town="category"),
        X,
        Y,
    ),
    "gzip": (gzip.compress(PLAIN.encode()), {}, dict(u="number", town="category"), X, Y),
    "a trailing delimiter": (PLAIN.replace("\n", ",\n"), {}, dict(u="number", town="category"), X, Y),
    "a trailing delimiter of the rows": (
        PLAIN.replace("\n", ",\n").replace("label,", "label"),
        {},
        dict(u="number", town="category"),
        X,
        Y,
    ),
    "missing cells": (
        rows("u,town,label", "NA,Rome,a", "-2,n/a,b", "?,,c", "1, Rome ,nan"),
        {},
        dict(u="number", town="category"),
        [[NAN, 0], [-2, NAN], [NAN, NAN], [1, 0]],
        [0, 1, 2, -1],
    ),
    "ISO dates": (
        rows("when,label", "1970-01-02,a", "1969-12-31T12:00:00Z,b", ","),
        {},
        dict(when="date"),
        [[1], [-0.5], [NAN]],
        Y,
    ),
    "days before months": (
        rows("when,label", "31/12/1970,a", "01/02/1970,b", "1/1/1970,"),
        {},
        dict(when="date"),
        [[364], [31], [0]],
        Y,
    ),
    "months before days": (
        rows("when,label", "12/31/1970,a", "01/02/1970,b", "1/1/1970,"),
        {},
        dict(when="date"),
        [[364], [1], [0]],
        Y,
    ),
    "points in dates": (
        rows("when,label", "02.01.1970 06:00,a", "01.02.1970 00:00,b", ","),
        {},
        dict(when="date"),
        [[1.25], [31], [NAN]],
        Y,
    ),
    "dates of no order": (
        rows("when,label", "01/02/1970,a", "03/04/1970,b"),
        {},
        "column 'when': .* day or month comes first; allowed: --columns=when:date-dmy",
    ),
    "dates of an order that is said": (
        rows("when,label", "01/02/1970,a", "03/01/1970,b"),
        dict(columns="when:date-mdy"),
        dict(when="date"),
        [[1], [59]],
        [0, 1],
    ),
    "truth values": (
        rows("t,w,z,label", "True,yes,0,a", "FALSE,no,1,b", ",,,"),
        {},
        dict(t="binary", w="binary", z="binary"),
        [[1, 1, 0], [0, 0, 1], [NAN] * 3],
        Y,
    ),
    "codes with zeros before them": (
        rows("zip,label", *["00501,a", "10001,b"] * 2),
        {},
        dict(zip="category"),
        [[0], [1]] * 2,
        [0, 1] * 2,
    ),
    "numbers as a category": (
        rows("zip,label", *["501,a", "10001,b", "501.0,"]),
        dict(columns="zip:category"),
        dict(zip="category"),
        [[0], [1], [0]],
        Y,
    ),
    "an empty column": (rows("u,v,label", "1,,a", "2,NA,b"), {}, dict(u="number"), [[1], [2]], [0, 1]),
    "another label": (rows("class,u", "a,1", "b,2"), dict(label="class"), dict(u="number"), [[1], [2]], [0, 1]),
    "float labels": (
        rows("u,label", "1,1.0", "2,2", "3,1", "4,"),
        {},
        dict(u="number"),
        [[1], [2], [3], [4]],
        [0, 1, 0, -1],
    ),
    "truth labels": (rows("u,label", "1,True", "2,False", "3,"), {}, dict(u="number"), [[1], [2], [3]], [1, 0, -1]),
    "ignored columns": (rows("u,name,label", "1,x,a", "2,y,b"), dict(ignore="name"), dict(u="number"), [[1], [2]], [0, 1]),
    "a label that is no label": (
        rows("label,u", "7,1", "8,2"),
        dict(label=None),
        dict(label="number", u="number"),
        [[7, 1], [8, 2]],
        [-1, -1],
    ),
    "mixed cells": (
        rows("u,label", "1,a", "2,b", "many,a"),
        {},
        "row 4, column 'u': got 'many'; allowed: a number, as 2 of its 3 cells.*--columns=u:category, or --ignore=u",
    ),
    "mixed dates": (
        rows("w,label", "2024-01-01,a", "2024-01-02,b", "soon,a"),
        {},
        "row 4, column 'w': got 'soon'; allowed: a date",
    ),
    "a date that is none": (
        rows("w,label", "31.02.2024,a", "01.02.2024,b"),
        {},
        "row 2, column 'w': got '31.02.2024'; allowed: a date",
    ),
    "a duplicated name": (rows("u,u,label", "1,2,a"), {}, "has the column 'u' twice"),
    "a duplicated header": (rows("u,label", "1,a", "u,label", "2,b"), {}, "row 3 is the header again"),
    "an unknown label": (
        PLAIN,
        dict(label="lable"),
        "label: got 'lable', which .* has not; allowed: its columns, such as 'label'",
    ),
    "an unknown column": (PLAIN, dict(columns="twon:category"), "columns: got 'twon', .* such as 'town'"),
    "no kind": (PLAIN, dict(columns="town"), "columns: got 'town'; allowed: NAME:KIND, of the kinds number, "),
    "an unknown kind": (
        PLAIN,
        dict(columns="town:text"),
        "columns: got town:text; allowed: NAME:KIND, of the kinds number, ",
    ),
    "an unknown column to ignore": (PLAIN, dict(ignore="twon"), "ignore: got 'twon', .* such as 'town'"),
    "text in a count": (
        rows("u,label", "1,a", "-1,b"),
        dict(columns="u:count"),
        "row 3, column 'u': got '-1'; allowed: a whole number",
    ),
    "a spreadsheet": (b"PK\x03\x04rest", {}, "a zip archive, as spreadsheets are"),
    "bytes": (b"\x00\x01u,label\n", {}, "holds the byte 0"),
    "half of a gzip": (gzip.compress(PLAIN.encode())[:-9], {}, "not a readable csv file"),
    "a row too long": (rows("u,label", "1,a", "2,b,c"), {}, "row 3 has 3 columns; allowed: 2"),
    "nothing but names": (
        rows("name,label", *(f"person {i},{'ab'[i % 2]}" for i in range(30))),
        {},
        "has no column of numbers, .*column 'name': 30 different texts in 30",
    ),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_read_right_or_refused_in_one_line(tmp_path, name):
    content, options, *expected = FILES[name]
    if len(expected) == 1:
        with pytest.raises(ValueError, match=expected[0]) as caught:
            load(tmp_path / "t.csv", content, **options)
        assert "\n" not in str(caught.value)
    else:
        data = load(tmp_path / "t.csv", content, **options)
        assert kinds(data) == expected[0]
        np.testing.assert_array_equal(data.x_train, np.array(expected[1], "float32"))
        assert data.y_train.tolist() == expected[2] and data.likelihood == "table"
