"""An exported run over TF Serving's protocols: the answers, what is refused, hot swaps; and the client of bin/classify.

The server is this folder's conformance server. With TF_SERVING_GRPC, TF_SERVING_REST (HOST:PORT) and TF_SERVING_RUN set, it
is the one at these addresses, which serves the export of that run (see serving/check_tf_serving.sh); the tests that start or
change a server are left out then.
"""

import base64
import concurrent.futures
import json
import os
import pathlib
import shutil
import socket
import threading
import types

import conformance_server
import grpc
import numpy as np
import pytest
import tensorflow as tf
import tensors
from serving_client import Client, refused
from tensorflow_serving.apis import classification_pb2, get_model_metadata_pb2, inference_pb2, input_pb2

from tfadgm.runs import recipes, run, run_directory
from tfadgm.serving import classification, client, export, records, warmup

Code = grpc.StatusCode
EXTERNAL = os.environ.get("TF_SERVING_GRPC")
ours_only = pytest.mark.skipif(bool(EXTERNAL), reason="starts or changes a server")
# Of a probability: batches of other sizes, and another build of TensorFlow, round differently.
ATOL = 1e-5
NAME = export.RUN_NAME


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The directory of a run on digits."""
    if EXTERNAL:
        return pathlib.Path(os.environ["TF_SERVING_RUN"])
    path = tmp_path_factory.mktemp("trained") / "digits"
    settings = recipes.resolve(
        "adgm", "digits", epochs=3, hidden=(32,), test_samples=10, density_samples=2, density_examples=20
    )
    run.train(settings, path, quiet=True)
    return path


@pytest.fixture(scope="module")
def x(trained):
    return run_directory.Run.open(trained).held_out()[0]


@pytest.fixture(scope="module")
def local(trained):
    return classification.Classifier(trained / "export")


@pytest.fixture(scope="module")
def server(trained):
    if EXTERNAL:
        yield types.SimpleNamespace(grpc_address=EXTERNAL, rest_address=os.environ["TF_SERVING_REST"])
        return
    with conformance_server.Server({NAME: trained / "export"}, poll_seconds=60) as started:
        yield started


@pytest.fixture(scope="module")
def calls(server):
    with Client(server, NAME) as opened:
        yield opened


@pytest.fixture(scope="module")
def remote(server):
    opened = client.RemoteClassifier(server.grpc_address, NAME)
    yield opened
    opened.close()


def listed(examples):
    given = input_pb2.Input()
    given.example_list.SetInParent()
    given.example_list.examples.extend(examples)
    return given


def examples_of(x):
    return listed(warmup.example(row) for row in x)


def scores_of(answer):
    return np.array([[one.score for one in row.classes] for row in answer.result.classifications], "float32")


def same(a, b):
    """Equal to the last bit; but for rounding if the server is another build of TensorFlow."""
    np.testing.assert_allclose(a, b, rtol=0, atol=ATOL if EXTERNAL else 0)


# ------------------------------------------------------------------------------------------------------------ answers


def test_the_test_set_over_grpc_is_classified_as_here_and_as_the_report_says(trained, local, remote, x):
    own, found = local.probabilities(x), remote.probabilities(x)
    same(found, own)
    assert remote.class_names == local.class_names and remote.raw_shape == local.raw_shape
    assert not remote.any_size and not local.any_size
    results, y = json.loads((trained / "results.json").read_text()), run_directory.Run.open(trained).held_out()[1]
    assert np.mean(found.argmax(1) != y) == results["test_error"]


def test_the_test_set_over_rest_is_classified_as_here(local, calls, x):
    own, found = local.probabilities(x), []
    for i in range(0, len(x), 100):
        memory = [{"x_bytes": {"b64": base64.b64encode(np.ascontiguousarray(row)).decode()}} for row in x[i : i + 100]]
        code, answer = calls.post(":classify", {"signature_name": "classify", "examples": memory})
        assert code == 200, answer
        found += [[score for _, score in row] for row in answer["results"]]
        assert [label for label, _ in answer["results"][0]] == local.class_names
    same(np.array(found, "float32"), own)


def test_rest_predict_by_rows_and_columns(local, calls, x):
    own = local.probabilities(x[:3])
    code, rows = calls.post(":predict", {"instances": x[:3].tolist()})
    assert code == 200, rows
    same(np.array([row["probabilities"] for row in rows["predictions"]], "float32"), own)
    code, columns = calls.post(":predict", {"inputs": {"x": x[:3].tolist()}, "signature_name": "predict"})
    assert code == 200 and columns["outputs"]["classes"] == [row["classes"] for row in rows["predictions"]]
    assert columns["outputs"]["classes"] == [local.class_names[k] for k in own.argmax(1)]


def test_rows_alone_in_sevens_and_padded_by_repetition_have_the_same_answers(calls, x):
    together = scores_of(calls.classify(examples_of(x[:128])))
    for size in (1, 7):
        parts = [scores_of(calls.classify(examples_of(x[i : i + size]))) for i in range(0, 126, size)]
        np.testing.assert_allclose(np.concatenate(parts), together[:126], rtol=0, atol=ATOL)
    padded = scores_of(calls.classify(examples_of(x[np.r_[:9, [0] * 119]])))
    same(padded[:9], together[:9])  # of one size: to the last bit, whatever else is in the batch


def test_generate_is_a_function_of_class_count_and_seed(calls):
    def draw(seed):
        asked = dict(y=np.array([3, 1], "int64"), count=np.int32(2), seed=np.int32(seed))
        return tf.make_ndarray(calls.predict("generate", **asked).outputs["x"])

    assert draw(5).shape[0] == 4 and (draw(5) == draw(5)).all() and (draw(5) != draw(6)).any()


def test_density_uncertainty_and_regression(calls, local, x):
    asked = calls.predict("log_density", x=x[:4], samples=np.int32(10)).outputs["log_density"]
    np.testing.assert_allclose(tf.make_ndarray(asked), local.log_density(x[:4], 10), rtol=1e-5)
    found = [one.value for one in calls.regress(examples_of(x[:4])).result.regressions]
    np.testing.assert_allclose(found, tf.make_ndarray(asked), rtol=1e-5)
    answer = {key: tf.make_ndarray(value) for key, value in calls.predict("uncertainty", x=x[:4]).outputs.items()}
    np.testing.assert_allclose(answer["entropy"] - answer["expected_entropy"], answer["mutual_information"], atol=1e-5)


def test_multi_inference_metadata_and_status(calls, x):
    request = inference_pb2.MultiInferenceRequest(input=examples_of(x[:2]))
    for name in ("classify", "regress"):
        request.tasks.add(model_spec=calls.spec(name), method_name=f"tensorflow/serving/{name}")
    classified, regressed = calls.prediction.MultiInference(request).results
    assert len(classified.classification_result.classifications) == len(regressed.regression_result.regressions) == 2
    asked = get_model_metadata_pb2.GetModelMetadataRequest(model_spec=calls.spec(), metadata_field=["signature_def"])
    found = get_model_metadata_pb2.SignatureDefMap()
    calls.prediction.GetModelMetadata(asked).metadata["signature_def"].Unpack(found)
    assert {"serving_default", "predict", "classify", "regress", "uncertainty"} <= set(found.signature_def)
    code, answer = calls.get()
    assert code == 200 and answer["model_version_status"][0]["state"] == "AVAILABLE"


@ours_only
def test_the_server_replayed_the_warm_up_requests(server, trained):
    signatures = export.signatures(trained / "export" / "1")
    (version,) = server.models.models[NAME].versions.values()
    assert version.warmup_requests == len(signatures) * len(warmup.BATCHES) and version.error is None


# ------------------------------------------------------------------------------------------------------------ refused


def feature(**named):
    """A tf.Example of the given features: bytes, or lists of numbers."""
    example = tf.train.Example()
    for name, value in named.items():
        own = example.features.feature[name.replace("__", "/")]
        if isinstance(value, bytes):
            own.bytes_list.value.append(value)
        else:
            (own.float_list if isinstance(value[0], float) else own.int64_list).value.extend(value)
    return example


BAD = {
    "wrong feature name": (feature(pixels=[1] * 64), "exactly one of the features"),
    "wrong length": (feature(x_int64=[1] * 63), "x_int64: allowed: 64 values"),
    "wrong type": (feature(x_float=[0.5] * 64), "x_float: allowed: whole numbers"),
    "not finite": (feature(x_float=[float("nan")] * 64), "x_float: allowed: whole numbers"),
    "out of range": (feature(x_int64=[256] * 64), "x_int64: allowed: whole numbers from 0 to 16"),
    "two features": (feature(x_int64=[1] * 64, x_bytes=b"1" * 64), "exactly one of the features"),
    "memory too short": (feature(x_bytes=b"1" * 63), "x_bytes: allowed: 64 bytes"),
}


@pytest.mark.parametrize("kind", BAD)
def test_malformed_examples_are_refused_and_the_server_goes_on(kind, calls, x):
    example, message = BAD[kind]
    for call in (calls.classify, calls.regress):
        code, details = refused(call, listed([warmup.example(x[0]), example]))
        assert code == Code.INVALID_ARGUMENT and message in details
    assert len(calls.classify(examples_of(x[:2])).result.classifications) == 2


def test_empty_requests_and_wrong_arrays_are_refused(calls, x):
    assert refused(calls.classify, listed([])) == (Code.INVALID_ARGUMENT, "Input is empty.")
    for wrong in (x[:2, :4], x[:2].reshape(4, 4, 8, 1), x[0], x[:2].astype("float32")):
        assert refused(calls.predict, x=wrong)[0] == Code.INVALID_ARGUMENT
    assert refused(calls.predict)[0] == Code.INVALID_ARGUMENT
    for body in ("{", {"instances": []}, {"instances": [[1]]}, {"instances": x[:1].tolist(), "signature_name": "no"}):
        code, answer = calls.post(":predict", body)
        assert code == 400 and answer["error"]


def test_the_graph_itself_refuses_wrong_shapes(trained, x):
    path = trained / "export" / "1"
    own = tensors.session_run(path, "serving_default", x=x[:2])
    assert own["probabilities"].shape == (2, 10)
    for name in ("serving_default", "encode", "uncertainty"):
        for wrong in (x[:2].reshape(4, 4, 8, 1), x[:2].reshape(2, 64), x[0]):
            with pytest.raises(tf.errors.InvalidArgumentError, match="is not compatible with expected shape"):
                tensors.session_run(path, name, x=wrong)


def mutated(data, rng, alphabet=bytes(range(256))):
    """Bytes with a few of them changed, cut out, or put in twice."""
    data = bytearray(data)
    for _ in range(rng.integers(1, 4)):
        at, length = rng.integers(len(data)), rng.integers(1, 9)
        kind = max(0, rng.integers(-6, 4))  # mostly 0, since what changes the length is seldom a message still
        if kind == 0:
            data[at] = alphabet[rng.integers(len(alphabet))]
        elif kind == 1:
            del data[at : at + length]
        elif kind == 2:
            data[at:at] = data[at : at + length]
        else:
            del data[at:]
        if not data:
            break
    return bytes(data)


ALLOWED = {Code.INVALID_ARGUMENT, Code.NOT_FOUND, Code.FAILED_PRECONDITION, Code.UNIMPLEMENTED}


def test_2000_mutated_requests_crash_nothing(server, calls, x):
    rng = np.random.default_rng(0)
    before = scores_of(calls.classify(examples_of(x[:2])))
    request = classification_pb2.ClassificationRequest(model_spec=calls.spec("classify"), input=examples_of(x[:2]))
    whole, example = request.SerializeToString(), warmup.memory_example(x[0]).SerializeToString()
    rest = json.dumps({"signature_name": "classify", "examples": [{"x": x[0].ravel().tolist()}]}).encode()
    outcomes = {}
    with grpc.insecure_channel(server.grpc_address) as channel:
        raw = channel.unary_unary("/tensorflow.serving.PredictionService/Classify")
        for i in range(2000):
            if i % 4 == 3:
                outcome = calls.post(":classify", mutated(rest, rng, b'0123456789.,:[]{}"'))[0]
                assert outcome in (200, 400, 404)
            else:
                outcome = "answered"
                try:
                    raw(mutated(whole, rng) if i % 4 else _around(mutated(example, rng), calls))
                except grpc.RpcError as error:
                    outcome = error.code()
                    parsed = "deserializing" not in error.details()  # what is no request at all, gRPC itself refuses
                    assert outcome in ALLOWED or not parsed, (outcome, error.details())
            outcomes[outcome] = outcomes.get(outcome, 0) + 1
    assert min(outcomes.get(kind, 0) for kind in ("answered", Code.INVALID_ARGUMENT, 200, 400)) > 10, outcomes
    same(scores_of(calls.classify(examples_of(x[:2]))), before)


def _around(example, calls):
    """A request with the bytes of one example, which need not be one."""
    spec = classification_pb2.ClassificationRequest(model_spec=calls.spec("classify")).SerializeToString()
    for number in (1, 1, 2):  # examples of ExampleList, example_list of Input, input of the request
        example = bytes([number << 3 | 2]) + _length(len(example)) + example
    return spec + example


def _length(n):
    found = bytearray()
    while n > 127:
        found.append(n & 127 | 128)
        n >>= 7
    return bytes(found + bytes([n]))


# ----------------------------------------------------------------------------------------------------------- hot swap


@ours_only
def test_a_hot_swap_under_load_fails_no_request_and_mixes_no_answers(trained, x, tmp_path):
    opened = run_directory.Run.open(trained)
    shutil.copytree(trained / "export" / "1", tmp_path / "base" / "1")
    right = {1: classification.Classifier(trained / "export" / "1").probabilities(x[:20])}
    other = opened.model
    for weight in other.weights:
        weight.assign(-weight if weight.name == "kernel" else weight)
    stop, answers = threading.Event(), []
    with conformance_server.Server({NAME: tmp_path / "base"}, poll_seconds=0.1) as server:

        def load():
            with Client(server, NAME) as calls:
                while not stop.wait(0.05):  # a full load would keep the other version from being written
                    answer = calls.classify(examples_of(x[:20]))
                    answers.append((answer.model_spec.version.value, scores_of(answer)))

        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            work = [pool.submit(load) for _ in range(4)]
            try:
                path = export.save(other, opened.class_names, tmp_path / "base", samples=10, model_name=NAME)
                right[2] = classification.Classifier(path).probabilities(x[:20])
                _wait(lambda: sum(version == 2 for version, _ in answers) > 20)
            finally:
                stop.set()
            for one in work:
                one.result()  # raises what a request raised
    assert {version for version, _ in answers} == {1, 2} and np.abs(right[1] - right[2]).max() > 0.1
    for version, scores in answers:
        np.testing.assert_array_equal(scores, right[version])


def _wait(condition, seconds=120.0):
    waited = threading.Event()
    for _ in range(int(seconds / 0.05)):
        if condition():
            return
        waited.wait(0.05)
    raise AssertionError("nothing happened")


# ---------------------------------------------------------------------------------------------------------- the client


def test_records_by_a_server_are_those_of_the_export(local, remote, x, tmp_path):
    np.savez(tmp_path / "x.npz", x=x[:70])
    done = []
    for samples in (0, 2):
        named = dict(batch=7, log_density_samples=samples, progress=lambda *counts: done.append(counts))
        own, found = (list(records.of_files(one, [tmp_path / "x.npz"], **named)) for one in (local, remote))
        if not EXTERNAL:
            assert own == found
        assert [r["class"] for r in own] == [r["class"] for r in found] and len(found) == 70
    assert done[-1] == (70, 70)


@ours_only
def test_calls_that_find_no_server_are_tried_again(server, local, x, monkeypatch):
    answer, calls = server.answer, []

    def flaky(method, context, work):
        calls.append(method)
        if len(calls) % 3:
            context.abort(Code.UNAVAILABLE, "not yet")
        return answer(method, context, work)

    monkeypatch.setattr(server, "answer", flaky)
    opened = client.RemoteClassifier(server.grpc_address, NAME)
    same(opened.probabilities(x[:5]), local.probabilities(x[:5]))
    opened.close()
    assert calls == ["metadata"] * 3 + ["classify"] * 6


@ours_only
def test_calls_that_are_refused_are_not_tried_again(server, monkeypatch):
    calls = []

    def broken(method, context, work):
        calls.append(method)
        context.abort(Code.INTERNAL, "broken")

    monkeypatch.setattr(server, "answer", broken)
    with pytest.raises(OSError, match="INTERNAL: broken"):
        client.RemoteClassifier(server.grpc_address, NAME)
    assert calls == ["metadata"]


def test_a_server_that_says_nothing_ends_by_the_deadline():
    with socket.socket() as silent:
        silent.bind(("localhost", 0))
        silent.listen()
        with pytest.raises(OSError, match=r"server localhost:\d+: (DEADLINE_EXCEEDED|UNAVAILABLE): "):
            client.RemoteClassifier(f"localhost:{silent.getsockname()[1]}", NAME, deadline=0.5)


def test_what_the_client_refuses(server):
    with pytest.raises(OSError, match="NOT_FOUND: Servable not found for request: Latest\\(other\\)"):
        client.RemoteClassifier(server.grpc_address, "other")
    with pytest.raises(OSError, match="NOT_FOUND"):
        client.RemoteClassifier(server.grpc_address, NAME, version=99)
    with pytest.raises(ValueError, match="server: got 'localhost'; allowed: HOST:PORT"):
        client.RemoteClassifier("localhost")
