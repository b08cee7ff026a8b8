"""A model of tables behind the conformance server: cells by the names of their columns, as people write them."""

import json
import subprocess
import sys

import conformance_server
import grpc
import numpy as np
import pytest
import table_examples
import tensorflow as tf
from serving_client import Client, refused
from table_examples import COLUMNS, NAMES, RAW, ROWS
from tensorflow_serving.apis import input_pb2

from tfadgm import evaluation
from tfadgm.data import table_preprocess
from tfadgm.models.m2 import M2
from tfadgm.networks.mlp import Network
from tfadgm.serving import classification, client, export, formats, records, signatures, table_requests

SAMPLES = 5
KEYS = ["age", "job", "zip_code", "smoker", "member", "visits", "since"]
BY_COLUMN = dict(
    age=np.array(RAW[:, 0]),
    job=["nurse", "diver", "clerk", "", "", ""],
    zip_code=["10", "7", "8.0", "", "", ""],
    smoker=["Yes", "0", "n", "", "", "1"],
    member=np.array(RAW[:, 4]),
    visits=np.array(RAW[:, 5]),
    since=["2024-02-29", "1969-12-31T23:30:00-01:30", "2000-12-31 06:00", "NA", "", ""],
)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return tmp_path_factory.mktemp("table") / "people"


@pytest.fixture(scope="module")
def model(base):
    found = table_examples.make_model()
    export.save(found, NAMES, base, SAMPLES, examples=table_examples.draw(5), columns=COLUMNS)
    return found


@pytest.fixture(scope="module")
def local(base, model):
    return classification.Classifier(base)


@pytest.fixture(scope="module")
def own(model, local):
    """What the model answers in this process: (probabilities, log densities), the latter by the graph of its export."""
    density = local.log_density(RAW, signatures.REGRESS_SAMPLES)
    np.testing.assert_allclose(density, evaluation.log_density(model, RAW, signatures.REGRESS_SAMPLES), rtol=1e-6)
    return answers(model, RAW), density


def answers(model, x):
    return tf.function(lambda raw: tf.exp(model.log_answer(raw, SAMPLES)))(tf.constant(x)).numpy()


@pytest.fixture(scope="module")
def server(base, model):
    with conformance_server.Server({"people": base}, poll_seconds=60) as server:
        yield server


@pytest.fixture(scope="module")
def calls(server):
    with Client(server, "people") as client:
        yield client


def examples_of(rows):
    """An `Input` of rows as JSON has them."""
    given = input_pb2.Input()
    for row in rows:
        features = given.example_list.examples.add().features
        for name, value in row.items():
            values = value if isinstance(value, list) else [value]
            kind = {str: "bytes_list", float: "float_list"}.get(type(values[0]) if values else float, "int64_list")
            values = [one.encode() if isinstance(one, str) else int(one) if isinstance(one, bool) else one for one in values]
            getattr(features.feature[name], kind).SetInParent()
            getattr(features.feature[name], kind).value.extend(values)
    return given


def scores(response):
    return np.array([[one.score for one in row.classes] for row in response.result.classifications], "float32")


# ------------------------------------------------------------------------------------------------- the same answers


def test_classify_and_regress_by_names_are_the_models_own(calls, own):
    answer = calls.classify(examples_of(ROWS))
    np.testing.assert_array_equal(scores(answer), own[0])
    assert [one.label for one in answer.result.classifications[0].classes] == NAMES
    values = [one.value for one in calls.regress(examples_of(ROWS)).result.regressions]
    np.testing.assert_array_equal(np.array(values, "float32"), own[1])
    assert np.ptp(own[0], 0).max() > 0.01 and np.ptp(own[1]) > 1  # else equality shows nothing


def test_rest_reads_rows_as_people_write_them(calls, own):
    code, answer = calls.post(":classify", {"signature_name": "classify", "examples": ROWS})
    assert code == 200
    np.testing.assert_array_equal(np.array([[score for _, score in row] for row in answer["results"]], "float32"), own[0])
    code, answer = calls.post(":regress", {"signature_name": "regress", "examples": ROWS})
    assert code == 200
    np.testing.assert_array_equal(np.array(answer["results"], "float32"), own[1])


def test_predict_by_column_and_by_rows(calls, own):
    listed = {name: np.asarray(values).tolist() for name, values in BY_COLUMN.items()}
    listed["age"][-1] = 33554432.0  # TF Serving refuses whole numbers that float32 may not hold
    code, answer = calls.post(":predict", {"inputs": listed})
    assert code == 200, answer
    np.testing.assert_array_equal(np.array(answer["outputs"]["probabilities"], "float32"), own[0])
    assert answer["outputs"]["classes"] == [NAMES[k] for k in own[0].argmax(1)]
    refusal = calls.post(":predict", {"inputs": {**listed, "age": [41, 41, 41, 41, 41, 33554433]}})
    assert refusal[0] == 400 and "33554433 to float without loss of precision" in refusal[1]["error"]
    rows = [dict(zip(listed, row, strict=True)) for row in zip(*listed.values(), strict=True)]
    code, answer = calls.post(":predict", {"instances": rows})
    assert code == 200, answer
    found = np.array([row["probabilities"] for row in answer["predictions"]], "float32")
    np.testing.assert_array_equal(found, own[0])
    inputs = {name: np.array(values, object) if isinstance(values, list) else values for name, values in BY_COLUMN.items()}
    answer = calls.predict("predict", **inputs)
    np.testing.assert_array_equal(tf.make_ndarray(answer.outputs["probabilities"]), own[0])
    answer = calls.predict("predict_float", x=RAW)
    np.testing.assert_array_equal(tf.make_ndarray(answer.outputs["probabilities"]), own[0])


def test_a_csv_a_server_and_an_export_have_one_answer(local, server, own, tmp_path):
    file = tmp_path / "people.csv"
    lines = ["id,since,job,age,smoker,visits,zip code,member,note"]
    for i, row in enumerate(ROWS):
        cells = {name: "" if value == [] else str(value) for name, value in row.items()}
        lines.append(",".join([f"p{i}", *(cells.get(name, "") for name in lines[0].split(",")[1:-1]), "told"]))
    file.write_text("\n".join(lines) + "\n")
    remote = client.RemoteClassifier(server.grpc_address, "people")
    assert local.columns == remote.columns == COLUMNS and local.class_names == remote.class_names == NAMES
    for classifier in (local, remote):
        found = list(records.of_files(classifier, [file], log_density_samples=signatures.REGRESS_SAMPLES))
        probabilities = [[record["probabilities"][name] for name in NAMES] for record in found]
        np.testing.assert_array_equal(np.array(probabilities, "float32"), own[0])
        np.testing.assert_array_equal(np.array([record["log_density"] for record in found], "float32"), own[1])
        assert [record["id"] for record in found] == [f"p{i}" for i in range(len(ROWS))]
    remote.close()


def test_a_row_of_the_signature_impute_is_filled(calls, model):
    answer = tf.make_ndarray(calls.predict("impute", x=RAW).outputs["x"])
    assert np.isfinite(answer).all()
    np.testing.assert_array_equal(answer[~np.isnan(RAW)], RAW[~np.isnan(RAW)])
    np.testing.assert_allclose(answer, evaluation.impute(model, RAW), rtol=1e-5)


def test_columns_say_what_they_are(calls):
    code, answer = calls.post(":predict", {"signature_name": "columns", "instances": list(range(len(COLUMNS)))})
    assert code == 200
    found = [json.loads(one) for one in answer["predictions"]]
    assert [one["key"] for one in found] == KEYS and found[1]["categories"] == ["clerk", "nurse", "pilot"]
    assert calls.post(":predict", {"signature_name": "columns", "instances": [7]})[0] == 400


def test_the_request_to_try_and_the_warm_up_requests_are_answered(base, server, calls):
    assert calls.post(":predict", (base.parent / "serving" / "people.json").read_text())[0] == 200
    assert server.models.models["people"].versions[1].warmup_requests == 2 * len(export.signatures(base / "1"))


FRESH = """
import sys
sys.modules["tfadgm"] = None  # cannot be imported
import numpy as np, tensorflow as tf
loaded = tf.saved_model.load(sys.argv[1]).signatures
x = np.load(sys.argv[2])
columns = {"age": x[:, 0], "member": x[:, 4], "visits": x[:, 5]}
columns |= dict(job=["nurse"] * 6, zip_code=["7"] * 6, smoker=[""] * 6, since=["2024-01-01"] * 6)
found = loaded["predict"](**{name: tf.constant(values) for name, values in columns.items()})["probabilities"]
found = [found.numpy(), loaded["classify"](inputs=tf.constant([b""] * 6))["scores"].numpy()]
np.save(sys.argv[3], found)
"""


def test_plain_tensorflow_loads_it(base, model, tmp_path):
    np.save(tmp_path / "x.npy", RAW)
    command = [sys.executable, "-c", FRESH, str(base / "1"), str(tmp_path / "x.npy"), str(tmp_path / "found.npy")]
    subprocess.run(command, check=True, cwd=tmp_path, capture_output=True)
    x = RAW.copy()
    x[:, 1], x[:, 2], x[:, 3], x[:, 6] = 1, 0, np.nan, 19723
    found, empty = np.load(tmp_path / "found.npy")
    np.testing.assert_array_equal(found, answers(model, x))
    np.testing.assert_array_equal(empty, answers(model, np.full_like(x, np.nan)))


# ------------------------------------------------------------------------------------------------------ wrong cells

BAD = {
    "a name that is no column": (dict(agee=1), "feature 'agee', row 1 (from 0): is no column"),
    "two values": (dict(age=[1, 2]), "column 'age', row 1 (from 0): got 2 values"),
    "text for a number": (dict(age="old"), "column 'age', row 1 (from 0): got 'old'; allowed: a number"),
    "no finite number": (dict(age=float("inf")), "column 'age', row 1 (from 0): got inf"),
    "a truth value of 2": (dict(smoker=2), "column 'smoker', row 1 (from 0): got 2; allowed: 0 or 1"),
    "another word": (dict(member="perhaps"), "column 'member', row 1 (from 0): got 'perhaps'"),
    "a count below 0": (dict(visits=-1), "column 'visits', row 1 (from 0): got -1; allowed: a whole number"),
    "half a count": (dict(visits=1.5), "column 'visits', row 1 (from 0): got 1.5"),
    "a number for words": (dict(job=1), "column 'job', row 1 (from 0): got 1; allowed: text"),
    "a fraction for a code": ({"zip code": 0.5}, "column 'zip code', row 1 (from 0): got 0.5; allowed: text, or a whole"),
    "another form of date": (dict(since="31.12.2024"), "column 'since', row 1 (from 0): got '31.12.2024'"),
    "a day that is none": (dict(since="2023-02-29"), "got '2023-02-29'; allowed: a date such as 2024-12-31"),
    "days for a date": (dict(since=19000), "column 'since', row 1 (from 0): got 19000; allowed: a date"),
}


@pytest.mark.parametrize("kind", BAD)
def test_wrong_cells_are_refused_with_column_and_row(kind, calls):
    features, message = BAD[kind]
    for call in (calls.classify, calls.regress):
        code, details = refused(call, examples_of([ROWS[0], features]))
        assert code == grpc.StatusCode.INVALID_ARGUMENT and message in details.replace("\\'", "'")


def test_wrong_tensors_are_refused_with_column_and_row(calls):
    good = {name: np.array(values, object) if isinstance(values, list) else values for name, values in BY_COLUMN.items()}
    wrong = dict(age=np.inf, visits=0.5, member=2.0, smoker="perhaps", since="yesterday")
    for name, value in wrong.items():
        values = good[name].copy()
        values[3] = value
        code, details = refused(calls.predict, "predict", **{**good, name: values})
        assert code == grpc.StatusCode.INVALID_ARGUMENT
        assert f"column '{name}', row 3 (from 0): got" in details.replace("\\'", "'")
    assert refused(calls.predict, "predict", **{**good, "age": good["age"][:2]})[0] == grpc.StatusCode.INVALID_ARGUMENT
    del good["age"]
    assert refused(calls.predict, "predict", **good)[0] == grpc.StatusCode.INVALID_ARGUMENT


def test_of_features_that_come_twice_the_last_is_taken(calls, own):
    given = examples_of([ROWS[0]])
    wrapped = input_pb2.Input()
    wrapped.example_list_with_context.examples.extend(given.example_list.examples)
    context = examples_of([dict(age=99, job="pilot", visits=3)]).example_list.examples[0]
    wrapped.example_list_with_context.context.CopyFrom(context)
    np.testing.assert_allclose(scores(calls.classify(wrapped)), own[0][:1], rtol=1e-5)
    del wrapped.example_list_with_context.examples[0].features.feature["visits"]  # now that of the context
    np.testing.assert_allclose(scores(calls.classify(wrapped)), own[0][:1], rtol=1e-5)


# ------------------------------------------------------------------------------------------------------------ names


def test_names_become_words():
    names = ["age", "Age", "zip code", "été", "2nd", "class", "self", "年", "a.b", "a b", ""]
    columns = [table_examples.Column(name) for name in names]
    expected = ["age", "Age_2", "zip_code", "ete", "column_2nd", "class_", "self_", "column_", "a_b", "a_b_2", "column__2"]
    assert table_requests.keys(columns) == expected


def test_columns_of_another_table_are_refused(model, tmp_path):
    with pytest.raises(ValueError, match="columns: got 7 that are not of the kinds of the model's"):
        export.save(model, NAMES, tmp_path, columns=[*COLUMNS[:-1], table_examples.Column("since")])


def test_a_model_without_classes_reads_its_columns(tmp_path):
    found = table_examples.make_model(0)
    loaded = tf.saved_model.load(str(export.save(found, None, tmp_path, columns=COLUMNS))).signatures
    serialised = [example.SerializeToString() for example in examples_of(ROWS).example_list.examples]
    density = loaded["log_density"](x=tf.constant(RAW), samples=tf.constant(signatures.REGRESS_SAMPLES))["log_density"]
    np.testing.assert_array_equal(loaded["regress"](inputs=tf.constant(serialised))["outputs"], density)
    assert loaded["serving_default"](x=tf.constant(RAW))["z"].shape == (6, 2)


# ---------------------------------------------------------------------------------------------------- other formats


def test_a_model_of_tables_as_litert_knows_missing_cells(model, tmp_path):
    pytest.importorskip("ai_edge_litert")
    path, found = formats.save(model, tmp_path, "litert", RAW, SAMPLES)
    assert found["agreement"] == 1 and found["largest_difference"] < 1e-5
    with pytest.raises(ValueError, match="format: got onnx for a model of tables"):
        formats.save(model, tmp_path, "onnx", RAW, SAMPLES)


def test_a_model_that_has_not_learned_of_missing_cells_refuses_them(tmp_path):
    full = np.nan_to_num(table_examples.draw(200))
    kinds, sizes = zip(*((column.kind, column.size) for column in COLUMNS), strict=True)
    preprocess = table_preprocess.fit(full, kinds, sizes)
    model = M2(preprocess, 2, likelihood="table", network=Network(hidden=(4,)), dim_z=1)
    export.save(model, NAMES, tmp_path / "full", SAMPLES, examples=full[:2], columns=COLUMNS)
    local, holed = classification.Classifier(tmp_path / "full"), full[:3].copy()
    assert local.class_names == NAMES and local.probabilities(full[:3]).shape == (3, 2)
    holed[2, 3] = np.nan
    with pytest.raises(tf.errors.InvalidArgumentError, match="no missing cell.*hidden_cells"):
        local.probabilities(holed)
    example = classification.nothing(local.raw_shape, local.raw_dtype, local.columns)
    del example.features.feature["visits"]
    signature = tf.saved_model.load(str(local.path)).signatures["classify"]
    with pytest.raises(tf.errors.InvalidArgumentError, match="column .*visits.*, row 0 .*is missing.*hidden_cells"):
        signature(inputs=tf.constant([example.SerializeToString()]))
    files = [tmp_path / "holed.csv", tmp_path / "whole.csv"]
    cells = "41,nurse,10,Yes,1,3,2024-02-29\n"
    for file, second in zip(files, (cells.replace("Yes", ""), cells), strict=True):
        file.write_text(",".join(column.name for column in COLUMNS) + "\n" + cells + second)
    failed = []
    assert [row.file for row in records.read_rows(files, local, failed.append)] == [str(files[1])] * 2
    assert len(failed) == 1 and "holed.csv: has missing cells in 1 of 2 rows, the first is row 1 (from 0)" in str(failed[0])
