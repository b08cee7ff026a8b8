"""The conformance server's REST API is that of TF Serving's C++ sources, on small SavedModels."""

import base64
import http.client
import json

import json_answers
import json_requests
import numpy as np
import pytest
import requests
import statuses
from small_models import GOOD
from tensorflow_serving.apis import input_pb2

POINTS = [[0.25, 1.0], [0.5, 0.0]]


def b64(content):
    return {"b64": base64.b64encode(content).decode()}


# ---------------------------------------------------------------------------------------------------------------- Predict


def test_rows_and_columns(good):
    rows = [{"classes": "owl", "probabilities": [0.75, 3.0]}, {"classes": "owl", "probabilities": [1.5, 0.0]}]
    for instances in (POINTS, [{"x": point} for point in POINTS]):
        assert good.post(":predict", {"instances": instances}) == (200, {"predictions": rows})
    columns = {"classes": ["owl", "owl"], "probabilities": [[0.75, 3.0], [1.5, 0.0]]}
    for inputs in (POINTS, {"x": POINTS}, {"x": POINTS, "more": 1}):
        assert good.post(f"/versions/{GOOD}:predict", {"inputs": inputs}) == (200, {"outputs": columns})


def test_a_single_output_has_no_name(good):
    for key, answer in (("instances", "predictions"), ("inputs", "outputs")):
        assert good.post(":predict", {"signature_name": "encode", key: POINTS}) == (200, {answer: POINTS})
    drawn = good.post(":predict", {"signature_name": "draw", "inputs": {"y": [1, 2], "count": 2}})
    assert drawn == (200, {"outputs": [3.0, 6.0, 3.0, 6.0]})


def test_bytes_are_in_base64_by_the_outputs_name(good):
    body = {"signature_name": "levels", "instances": [1, 255, 300]}
    rows = [{"same": level, "x_bytes": b64(b"a")} for level in (1, 255, 44)]  # 300 wraps around in C++
    assert good.post(":predict", body) == (200, {"predictions": rows})
    body = {"signature_name": "text", "instances": [b64(b"\xff\x00"), "eule", {"b64": "YQ"}]}
    assert good.post(":predict", body) == (200, {"predictions": [2, 4, 1]})
    body["instances"] = [{"inputs": b64(b"\xff\x00")}]
    assert good.post(":predict", body) == (200, {"predictions": [2]})


WRONG_BODIES = [
    ("", "The document is empty"),
    ("instances", "JSON Parse error: "),
    ('{"instances": ["\\ud800"], "signature_name": "text"}', "surrogate pair"),
    ('{"instances": ' + "[" * 5000 + "]" * 5000 + "}", "nested too deeply"),
    ('{"instances": [[1e400, 0]]}', "Number too big to be stored in double"),
    ([1], "Is not object"),
    ({}, "Missing 'inputs' or 'instances' key"),
    ({"instances": [], "inputs": []}, "only one of 'inputs' or 'instances'"),
    ({"instances": []}, "No values in 'instances' array"),
    ({"instances": {"x": 1}}, "Expecting 'instances' to be an list/array"),
    ({"instances": POINTS, "signature_name": 1}, "'signature_name' key must be a string value"),
    ({"instances": POINTS, "signature_name": "none"}, 'Serving signature name: "none" not found in signature def'),
    ({"instances": [[1.0, "a"]]}, 'JSON Value: "a" Type: String is not of expected type: float'),
    ({"instances": [[1.0, True]]}, "Type: True is not of expected type: float"),
    ({"instances": [[1.0, 2.0], [1.0]]}, "Expecting shape [2] but got: [1]"),
    ({"instances": [[1.0, [2.0]]]}, "Encountered list at unexpected level: 1 expected < 1"),
    ({"instances": [[[1.0], 2.0]]}, "found at incorrect level: 2 in the JSON DOM. Expected at level: 2"),
    ({"inputs": [[1.0, 2.0], [1.0]]}, "Encountered list at unexpected size: 1 at level: 1 expected size: 2"),
    ({"instances": [{"x": POINTS[0]}, POINTS[0]]}, "Expecting object but got list at item 1"),
    ({"instances": [POINTS[0], {"x": POINTS[0]}]}, "Expecting value/list but got object at item 1"),
    (
        {"instances": [{"z": 1}]},
        "key: z of 'instances' list. Error: INVALID_ARGUMENT: JSON object: does not have named",
    ),
    ({"instances": [{}]}, "keys must be equal to: x"),
    ({"inputs": {"z": POINTS}}, "Missing named input: x in 'inputs' object"),
    ({"inputs": 1, "signature_name": "draw"}, "inputs is a plain value/list, but expecting an object"),
    ({"instances": [1], "signature_name": "draw"}, "instances is a plain list, but expecting list of objects"),
    ({"inputs": {"y": [1.0], "count": 1}, "signature_name": "draw"}, "is not of expected type: int64"),
    ({"instances": [{"b64": "?"}], "signature_name": "text"}, "Unable to base64 decode"),
    ({"instances": [[-1, 0]]}, "x: allowed: at least 0"),
    ({"instances": [1.0]}, "allowed: (None, 2)"),
]


@pytest.mark.parametrize("body, message", WRONG_BODIES)
def test_wrong_bodies_are_refused(good, body, message):
    code, answer = good.post(":predict", body)
    assert code == 400 and message in answer["error"]


def test_what_json_cannot_hold(bad):
    code, answer = bad.post(":predict", {"signature_name": "scalar", "instances": POINTS})
    assert code == 400 and "has no shape information" in answer["error"]
    assert bad.post(":predict", {"signature_name": "scalar", "inputs": POINTS}) == (200, {"outputs": 1.75})
    body = {"signature_name": "short", "instances": [b64(b""), b64(b"")]}
    assert bad.post(":predict", {"signature_name": "wide", "inputs": [1]})[0] == 501
    assert bad.post(":predict", {"signature_name": "wide", "instances": [1]})[0] == 400
    assert "Feature: x" in bad.post(":predict", body)[1]["error"]


def test_numbers_have_the_digits_of_cpp():
    thirds = [json_answers.decimal(float(np.float32(value))) for value in (0.2, 1 / 3, 3, 1e9)]
    assert json.dumps(thirds) == "[0.2, 0.333333343, 3.0, 1000000000.0]"
    assert json_answers.to_text([json_answers.decimal(float("nan")), json_answers.decimal(-np.inf)]) == b"[NaN, -Infinity]"
    assert json_answers.decimal(1 / 3, np.float64) == 1 / 3


# ------------------------------------------------------------------------------------------------------ tf.Example calls


def test_classify_and_regress(good):
    body = {"signature_name": "classify", "examples": [{"x": point} for point in POINTS]}
    pairs = [[["cat", 0.75], ["owl", 3.0]], [["cat", 1.5], ["owl", 0.0]]]
    assert good.post(":classify", body) == (200, {"results": pairs})
    assert good.post(":regress", body | {"signature_name": "regress"}) == (200, {"results": [0.75, 1.5]})
    context = {"signature_name": "regress", "context": {"x": POINTS[1]}, "examples": [{}]}
    assert good.post(":regress", context) == (200, {"results": [1.5]})


def test_features():
    given = input_pb2.Input()
    example = {"whole": [1, True], "decimal": 0.5, "text": "é", "bytes": [b64(b"\xff"), "a"], "none": []}
    json_requests.fill_examples({"examples": [example]}, given)
    found = given.example_list.examples[0].features.feature
    assert list(found["whole"].int64_list.value) == [1, 1] and list(found["decimal"].float_list.value) == [0.5]
    assert found["text"].bytes_list.value[0] == "é".encode() and list(found["bytes"].bytes_list.value) == [b"\xff", b"a"]
    assert found["none"].WhichOneof("kind") is None


@pytest.mark.parametrize(
    "examples, message",
    [
        ([{"x": [0, 0.5]}], "Unexpected element type in feature: x expecting type: int64"),
        ([{"x": [0.5, 0]}], "expecting type: float"),
        ([{"x": [[0.5]]}], "has element with unexpected JSON type: Array"),
        ([{"x": None}], "has element with unexpected JSON type: Null"),
        ([{"x": {"y": 1}}], "has element with unexpected JSON type: Object"),
        ([{"x": 2**63}], "has uint64_t element"),
        ([1], "Example must be JSON object but got JSON Number"),
        ([], "'examples' value is an empty array"),
        ({}, "'examples' value to be an list/array"),
        ([{"x": [0, 0]}], "expected type: float"),
    ],
)
def test_wrong_examples_are_refused(good, examples, message):
    code, answer = good.post(":classify", {"signature_name": "classify", "examples": examples})
    assert code == 400 and message in answer["error"]
    assert "key 'examples' is expected" in good.post(":classify", {})[1]["error"]


# ------------------------------------------------------------------------------------------------------------ paths, HTTP


def test_status_and_metadata(good):
    status = {"version": "3", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
    for path in ("", f"/versions/{GOOD}"):
        assert good.get(path) == (200, {"model_version_status": [status]})
    assert good.get("/versions/9") == (404, {"error": "Could not find version 9 of model good"})
    code, answer = good.get("/metadata")
    assert code == 200 and answer["model_spec"] == {"name": "good", "signature_name": "", "version": "3"}
    signature = answer["metadata"]["signature_def"]["signature_def"]["classify"]
    assert signature["method_name"] == "tensorflow/serving/classify"
    assert signature["inputs"]["inputs"]["tensor_shape"]["dim"] == [{"size": "-1", "name": ""}]


def test_paths(good):
    assert good.post("/versions/9:predict", {"instances": POINTS})[0] == 404
    assert good.post("s:predict", "") == (400, {"error": "JSON Parse error: The document is empty"})
    assert good.post("s:predict", {"instances": POINTS}) == (404, {"error": "Servable not found for request: Latest(goods)"})
    assert good.post(f"/versions/{2**64}:predict", {})[1]["error"] == f"Failed to convert version: {2**64} to numeric."
    assert good.post("/labels/stable:predict", {"instances": POINTS})[0] == 400
    for path in (":guess", ":Predict", "/version/3:predict", ""):
        code, answer = good.post(path, {})
        assert code == 400 and answer["error"].startswith("Malformed request: POST /v1/models/good")
    root = good.url.removesuffix("/models")
    assert requests.get(f"{root}/models", timeout=60).json() == {"error": "Missing model name in request."}
    assert requests.put(f"{root}/models/good", timeout=60).status_code == 400
    assert requests.get(root.removesuffix("/v1"), timeout=60).status_code == 404
    assert requests.get(f"{root}/models/%67ood?query=1", timeout=60).status_code == 200


def test_requests_out_of_order_do_not_end_the_server(server, good):
    connection = http.client.HTTPConnection(server.rest_address, timeout=60)
    for headers in ({"Content-Length": "many"}, {"Content-Length": "-5"}, {"Transfer-Encoding": "chunked"}):
        connection.putrequest("POST", "/v1/models/good:predict")
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.endheaders()
        answer = connection.getresponse()
        assert answer.status == 400 and b"The document is empty" in answer.read()
    connection.close()
    assert good.post(":predict", b'\xff{"instances"')[0] == 400
    assert good.post(":predict", b'\xef\xbb\xbf {"instances": [[0, 1]]} and more')[0] == 200


def test_unexpected_errors_are_internal(good, monkeypatch):
    monkeypatch.setattr(json_requests, "fill_predict", lambda *_: 1 / 0)
    code, answer = good.post(":predict", {"instances": POINTS})
    assert (code, answer["error"]) == (500, "ZeroDivisionError: division by zero")
    assert statuses.ServingError(statuses.Code.ABORTED, "a" * 2000).grpc_message == "a" * 1024 + "...TRUNCATED"
