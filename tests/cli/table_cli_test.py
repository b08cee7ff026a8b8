"""A run of a table: what bin/sample, bin/impute, bin/classify and bin/export make of its columns."""

import json

import numpy as np
import pandas
import pytest
from calling import call, with_flags

from tfadgm.cli import classify
from tfadgm.runs import build, recipes, run_directory


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A directory with people.csv and a run of it, whose model is not trained."""
    tmp = tmp_path_factory.mktemp("table")
    generator = np.random.default_rng(0)
    n, age = 60, np.round(40 + 10 * generator.standard_normal(60), 1)
    frame = pandas.DataFrame(
        {
            "id": [f"p{i}" for i in range(n)],
            "age": np.where(np.arange(n) % 10 == 3, "", age.astype(str)),
            "job": np.where(np.arange(n) % 12 == 5, "NA", np.array(["nurse", "clerk", "pilot"])[np.arange(n) % 3]),
            "smoker": np.array(["No", "Yes"])[np.arange(n) % 2],
            "since": pandas.date_range("2024-01-01", periods=n).strftime("%d.%m.%Y"),
            "label": np.array(["ill", "well"])[np.arange(n) % 2],
        }
    )
    frame.to_csv(tmp / "people.csv", index=False)
    settings = recipes.resolve("m2", f"csv:{tmp / 'people.csv'}", labels=6, hidden=(8,), dim_z=2, epochs=1)
    data, split = build.load_data(settings)
    model = build.make_model(settings, data, split)
    run_directory.begin(settings, tmp / "run", data, split, model, data.class_names)
    model.save_weights(tmp / "run" / "model.weights.h5")
    run_directory.Run.open(tmp / "run").export(samples=5)
    return tmp


def texts(path):
    return pandas.read_csv(path, dtype=str, keep_default_na=False)


def test_samples_of_a_table_are_texts_too(place):
    assert not call("sample", f"--run={place / 'run'}", "--n=3", f"--out={place / 'drawn'}")
    found = texts(place / "drawn.csv")
    assert found.columns.tolist() == ["age", "job", "smoker", "since", "label"]
    assert found["label"].tolist() == ["ill"] * 3 + ["well"] * 3
    assert set(found["job"]) <= {"nurse", "clerk", "pilot", "other"} and set(found["smoker"]) <= {"No", "Yes"}
    assert pandas.to_datetime(found["since"], format="%d.%m.%Y").notna().all()
    with np.load(place / "drawn.npz") as arrays:
        np.testing.assert_array_equal(found["age"].astype("float32"), arrays["x"][:, 0])


def test_missing_cells_are_filled_and_the_others_stay(place, capsys):
    before = texts(place / "people.csv")
    gone = before.isin(["", "NA"])
    assert not call("impute", f"--run={place / 'run'}", str(place / "people.csv"), f"--out={place / 'full.csv'}", "--mark")
    assert "11 of 240 cells were missing, in 10 of 60 rows" in capsys.readouterr().out
    after = texts(place / "full.csv")
    marks = after.pop("filled")
    assert ((after == before) | gone).all(axis=None)
    assert not after.isin(["", "NA"]).any(axis=None) and after["age"].astype(float).between(-100, 200).all()
    ages = before["age"][~gone["age"]].astype(float)
    assert (after["age"].astype(float) % 1 == 0).all() == (ages % 1 == 0).all()
    assert marks[gone["age"]].tolist() == ["age"] * 5 + ["age, job"] and marks[~gone.any(axis=1)].eq("").all()


def test_a_filled_file_has_the_delimiter_of_the_one_it_is_of(place):
    (place / "semicolons.csv").write_text((place / "people.csv").read_text().replace(",", ";"))
    given, out = str(place / "semicolons.csv"), place / "semicolons-full.csv"
    assert not call("impute", f"--run={place / 'run'}", given, f"--out={out}", "--samples=2")
    found = pandas.read_csv(out, sep=";", dtype=str)
    assert found.columns.tolist() == ["id", "age", "job", "smoker", "since", "label"] and not found["age"].isna().any()


def test_several_completions_come_one_after_the_other(place):
    out = place / "draws.parquet"
    assert not call("impute", f"--run={place / 'run'}", str(place / "people.csv"), f"--out={out}", "--draws=3")
    found = pandas.read_parquet(out)
    assert found["draw"].tolist() == [1] * 60 + [2] * 60 + [3] * 60
    assert found.groupby("id")["age"].nunique()[["p3", "p4"]].tolist() == [3, 1]


BAD = {
    "no out": (["{run}", "{file}"], "out: got none; allowed: --out=FILE"),
    "another kind": (["{run}", "{file}", "--out={tmp}/x.txt"], "x.txt; allowed: --out=FILE, a .csv or .parquet"),
    "an existing file": (["{run}", "{file}", "--out={file}"], "people.csv exists; allowed: another file, or --overwrite"),
    "no run": (["{file}", "--out={tmp}/x.csv"], "got --run=None and 1 files"),
    "no table": (["{run}", "{tmp}/run/split.npz", "--out={tmp}/x.csv"], "split.npz: is no table"),
    "a table without the columns": (["{run}", "{tmp}/other.csv", "--out={tmp}/x.csv"], "other.csv: has no column 'age'"),
}


@pytest.mark.parametrize("kind", BAD)
def test_what_cannot_be_filled_is_told_in_a_line(kind, place, capsys):
    (place / "other.csv").write_text("a,b\n1,2\n")
    arguments, message = BAD[kind]
    names = dict(tmp=place, file=place / "people.csv", run=f"--run={place / 'run'}")
    assert call("impute", *(argument.format(**names) for argument in arguments)) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and message in lines[0] and not (place / "x.csv").exists()


def test_rows_are_classified_by_their_columns(place, capsys):
    file = place / "new.csv"
    file.write_text("since,job,age\n01.02.2024,nurse,\n,diver,30\n")
    assert call("classify", f"--run={place / 'run'}", str(file)) == 1
    assert "new.csv: has no column 'smoker'" in capsys.readouterr().err
    file.write_text("smoker,since,job,age\nYes,01.02.2024,nurse,\n,,diver,30\n")
    assert not call("classify", f"--run={place / 'run'}", str(file))
    told = capsys.readouterr()
    assert [set(json.loads(line)["probabilities"]) for line in told.out.splitlines()] == [{"ill", "well"}] * 2
    assert "column 'job': 1 cells say what is no category of training, such as 'diver'" in told.err
    out = f"--out={place / 'answers.csv'}"
    assert not call("classify", f"--run={place / 'run'}", out, str(file)) and not capsys.readouterr().out
    table, lines = pandas.read_csv(place / "answers.csv"), [json.loads(line) for line in told.out.splitlines()]
    assert list(table) == ["file", "row", "id", "class", "probability", "log_density", "p(ill)", "p(well)"]
    assert table["class"].tolist() == [line["class"] for line in lines] and table["row"].tolist() == [0, 1]
    np.testing.assert_allclose(table["p(ill)"], [line["probabilities"]["ill"] for line in lines])
    with pytest.raises(ValueError, match=r"answers.csv exists; allowed: another file, or --overwrite"):
        with_flags(classify, [f"--run={place / 'run'}", out], classify.before)
    index = json.loads((place / "run" / "export" / "index.json").read_text())
    assert [column["name"] for column in index["1"]["description"]["columns"]] == ["age", "job", "smoker", "since"]
