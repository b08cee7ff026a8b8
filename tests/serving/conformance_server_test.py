"""The conformance server's gRPC calls are those of TF Serving's C++ sources, on small SavedModels."""

import json
import queue
import threading
import types

import conformance_server
import grpc
import numpy as np
import pytest
import tensorflow as tf
import tensors
from serving_client import Client, listed, refused
from small_models import CLASSIFY, GOOD, REGRESS
from tensorflow.core.framework import tensor_pb2, types_pb2
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    input_pb2,
    model_management_pb2,
    predict_pb2,
)

Code, State = grpc.StatusCode, get_model_status_pb2.ModelVersionStatus.State
POINTS = np.array([[0.25, 1.0], [0.5, 0.0]], "float32")


# ---------------------------------------------------------------------------------------------------------------- Predict


def test_predict(good):
    response = good.predict(x=POINTS)
    assert (tf.make_ndarray(response.outputs["probabilities"]) == GOOD * POINTS).all()
    assert list(response.outputs["probabilities"].float_val) == list(GOOD * POINTS.ravel())  # the typed field
    assert list(response.outputs["classes"].string_val) == [b"owl", b"owl"]
    assert response.model_spec == good.spec("serving_default", version=GOOD)
    assert list(good.predict(x=POINTS, output_filter=["classes"]).outputs) == ["classes"]
    drawn = good.predict("draw", y=np.array([1, 2]), count=np.int32(2)).outputs["x"]
    assert list(drawn.float_val) == [3, 6, 3, 6]
    assert good.predict(x=POINTS[:0]).outputs["probabilities"].tensor_shape.dim[0].size == 0


def test_predict_refuses(good):
    assert refused(good.predict, "none", x=POINTS) == (Code.FAILED_PRECONDITION, 'Serving signature key "none" not found.')
    wrong = [({}, "Sent extra: {}. Missing but required: {x}."), ({"z": POINTS}, "Inputs expected to be in the request {z}")]
    wrong += [({"x": POINTS, "z": POINTS}, "Sent extra: {z}. Missing but required: {}.")]
    wrong += [({"x": POINTS.astype("float64")}, "Expects arg[0] to be float but double is provided")]
    wrong += [({"x": POINTS[0]}, "input x: got shape (2,); allowed: (None, 2)")]
    wrong += [({"x": POINTS, "output_filter": ["y"]}, "output tensor alias not found in signature: y Outputs expected")]
    wrong += [({"x": POINTS, "output_filter": ["classes"] * 2}, "duplicate output tensor alias: classes")]
    wrong += [({"x": -POINTS}, "assertion failed: [x: allowed: at least 0; got]")]
    for inputs, message in wrong:
        code, found = refused(good.predict, **inputs)
        assert code is Code.INVALID_ARGUMENT and message in found
    assert refused(good.predict, x=-POINTS)[1].startswith("assertion failed")
    code, message = refused(good.predict, "__saved_model_init_op")
    assert code is Code.INTERNAL and "method_name to be one of {tensorflow/serving/predict, " in message


def test_tensors_that_contradict_themselves_are_refused(good):
    protos = [tensor_pb2.TensorProto(), tensor_pb2.TensorProto(dtype=999), tensor_pb2.TensorProto(dtype=types_pb2.DT_FLOAT)]
    sizes = {0: [], 1: [], 2: [2, 2]}
    for extra in ([-1, 2], [2**40, 2**40], [2**20, 2**20]):
        protos.append(tensor_pb2.TensorProto(dtype=types_pb2.DT_FLOAT))
        sizes[len(protos) - 1] = extra
    protos[2].tensor_content = b"123"
    for i, proto in enumerate(protos):
        for size in sizes[i]:
            proto.tensor_shape.dim.add(size=size)
        request = predict_pb2.PredictRequest(model_spec=good.spec())
        request.inputs["x"].CopyFrom(proto)
        assert refused(good.prediction.Predict, request) == (Code.INVALID_ARGUMENT, "tensor parsing error: x")


def test_models_and_versions_that_are_not_there(good):
    for spec, asked in ((good.spec(name="cow"), "Latest(cow)"), (good.spec(version=2), "Specific(good, 2)")):
        assert refused(good.predict, spec=spec) == (Code.NOT_FOUND, f"Servable not found for request: {asked}")
    assert good.predict(spec=good.spec(version=GOOD), x=POINTS).model_spec.version.value == GOOD
    assert refused(good.predict, spec=good.spec(name="")) == (Code.INVALID_ARGUMENT, "ModelSpec has no name specified.")
    request = predict_pb2.PredictRequest()
    assert refused(good.prediction.Predict, request) == (Code.INVALID_ARGUMENT, "Missing ModelSpec")
    request.model_spec.name, request.model_spec.version_label = "good", "stable"
    assert refused(good.prediction.Predict, request)[1] == "Unrecognized servable version label: stable"


# ------------------------------------------------------------------------------------------------------ tf.Example calls


def test_classify_and_regress(good):
    response = good.classify(listed(POINTS))
    rows = [[(one.label, one.score) for one in row.classes] for row in response.result.classifications]
    assert rows == [[("cat", 0.75), ("owl", 3.0)], [("cat", 1.5), ("owl", 0.0)]]
    assert response.model_spec == good.spec("classify", version=GOOD)
    response = good.regress(listed(POINTS))
    assert [one.value for one in response.result.regressions] == [0.75, 1.5]
    assert response.model_spec == good.spec("regress", version=GOOD)


def test_context_is_merged_into_every_example(good):
    given = input_pb2.Input()
    given.example_list_with_context.context.features.feature["x"].float_list.value.extend([1, 2])
    for _ in range(2):
        given.example_list_with_context.examples.add()
    assert [one.value for one in good.regress(given).result.regressions] == [3, 3]


def test_classify_refuses(good, bad):
    empty = input_pb2.Input()
    for given in (empty, listed([])):
        for call in (good.classify, good.regress):
            assert refused(call, given) == (Code.INVALID_ARGUMENT, "Input is empty.")
    for call, method in ((good.classify, CLASSIFY), (good.regress, REGRESS)):
        code, message = refused(call, listed(POINTS), "serving_default")
        assert code is Code.INVALID_ARGUMENT and f"method_name to be {method}. Was: tensorflow/serving/predict" in message
        code, message = refused(call, listed(POINTS), "none")
        assert (code, message) == (Code.INVALID_ARGUMENT, "No signature was found with the name: none")
    assert "Feature: x (data type: float) is required" in refused(good.classify, _example_without_x())[1]
    wrong = {"three": "Expected one or two output Tensors, found 3", "other": 'at least one of "classes" or "scores"'}
    wrong |= {"flat": "[batch_size num_classes] but got [2]", "ragged": "match in dim_size(1). Got 3 vs. 2"}
    wrong |= {"double": "Expected scores Tensor of DT_FLOAT. Got: DT_DOUBLE", "short": "batch size of 2. Got: 1"}
    wrong |= {"unnamed": "method_name to be tensorflow/serving/classify"}
    for name, message in wrong.items():
        code, found = refused(bad.classify, listed(POINTS), name)
        assert code is Code.INVALID_ARGUMENT and message in found
    for name, message in (("pairs", "[batch_size, 1] but got [2,2]"), ("half", "DT_FLOAT.  Got: DT_HALF")):
        assert message in refused(bad.regress, listed(POINTS), name)[1]


def _example_without_x():
    given = input_pb2.Input()
    given.example_list.examples.add()
    return given


def tasks(client, *pairs):
    request = inference_pb2.MultiInferenceRequest(input=listed(POINTS))
    for name, method in pairs:
        request.tasks.add(model_spec=client.spec(name), method_name=method)
    return request


def test_multi_inference(good):
    call = good.prediction.MultiInference
    response = call(tasks(good, ("regress", REGRESS), ("classify", CLASSIFY)))
    assert [one.model_spec.signature_name for one in response.results] == ["regress", "classify"]
    assert response.results[0].regression_result == good.regress(listed(POINTS)).result
    assert response.results[1].classification_result == good.classify(listed(POINTS)).result
    twice = tasks(good, ("regress", REGRESS), ("regress", REGRESS))
    assert refused(call, twice) == (Code.INVALID_ARGUMENT, "Duplicate evaluation of signature: regress")
    assert refused(call, tasks(good, ("regress", "guess")))[0] is Code.UNIMPLEMENTED
    assert refused(call, tasks(good))[1] == "ModelSpec has no name specified."


# ------------------------------------------------------------------------------------------------- metadata, the rest


def test_metadata_and_status(good):
    request = get_model_metadata_pb2.GetModelMetadataRequest(model_spec=good.spec())
    assert "at least one metadata_field" in refused(good.prediction.GetModelMetadata, request)[1]
    request.metadata_field.append("signature_def")
    response, found = good.prediction.GetModelMetadata(request), get_model_metadata_pb2.SignatureDefMap()
    response.metadata["signature_def"].Unpack(found)
    assert found.signature_def["classify"].method_name == CLASSIFY and response.model_spec.version.value == GOOD
    assert good.status() == {GOOD: (State.AVAILABLE, 0, "")}
    request = get_model_status_pb2.GetModelStatusRequest(model_spec=good.spec(version=1))
    assert refused(good.model.GetModelStatus, request) == (Code.NOT_FOUND, "Could not find version 1 of model good")
    request = model_management_pb2.ReloadConfigRequest()
    assert refused(good.model.HandleReloadConfigRequest, request)[0] is Code.UNIMPLEMENTED


def test_timings_and_the_program(server, good, tmp_path):
    before = len(server.timings)
    good.predict(x=POINTS)
    good.post(":predict", {"instances": POINTS.tolist()})
    assert [timing[:2] for timing in server.timings[before:]] == [("grpc", "predict"), ("rest", "predict")]
    assert all(0 < timing.model_seconds < timing.total_seconds for timing in server.timings[before:])
    arguments = ["--model_name=good", f"--model_base_path={server.base / 'good'}", "--port=0", "--rest_api_port=0"]
    flags = conformance_server.parse([*arguments, f"--timings={tmp_path / 'timings'}"])
    stopped, told = threading.Event(), queue.SimpleQueue()
    program = threading.Thread(target=conformance_server.run, args=(flags, stopped, told.put), daemon=True)
    program.start()
    _, grpc_address, _, rest_address = told.get(timeout=60).split()
    with Client(types.SimpleNamespace(grpc_address=grpc_address, rest_address=rest_address), "good") as client:
        assert client.predict(x=POINTS).outputs == good.predict(x=POINTS).outputs
    stopped.set()
    program.join(timeout=60)
    assert json.loads((tmp_path / "timings").read_text())[:2] == ["grpc", "predict"]


def test_a_session_as_the_real_servers_checks_no_shapes(server):
    path = server.base / "good" / str(GOOD)
    wide = np.arange(8, dtype="float32").reshape(2, 4)
    assert tensors.session_run(path, "encode", x=wide)["z"].shape == (4, 2)  # four answers to two questions
    with pytest.raises(tf.errors.InvalidArgumentError, match="x: allowed: at least 0"):
        tensors.session_run(path, "serving_default", x=-POINTS)
