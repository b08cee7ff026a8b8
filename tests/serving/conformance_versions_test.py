"""The conformance server's versions come, fail and go as those of TF Serving."""

import concurrent.futures
import os
import time

import conformance_server
import grpc
import numpy as np
import small_models
import tensorflow as tf
import versions
from serving_client import Client, refused
from tensorflow_serving.apis import get_model_status_pb2, prediction_log_pb2

Code, State = grpc.StatusCode, get_model_status_pb2.ModelVersionStatus.State
POINTS = np.array([[0.25, 1.0], [0.5, 0.0]], "float32")


def until(true):
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def warmup(x):
    log = prediction_log_pb2.PredictionLog()
    log.predict_log.request.inputs["x"].CopyFrom(tf.make_tensor_proto(x))
    return log


def test_a_new_version_takes_over_without_a_failed_or_mixed_answer(tmp_path):
    small_models.publish_good(tmp_path, 1)
    with conformance_server.Server({"good": tmp_path}, 0.05) as server, Client(server, "good") as client:

        def ask(_):
            response = client.predict(x=POINTS)
            version = response.model_spec.version.value
            assert (tf.make_ndarray(response.outputs["probabilities"]) == version * POINTS).all()
            return version

        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            seen = list(pool.map(ask, range(20)))
            small_models.publish_good(tmp_path, 2, warmup=[warmup(POINTS)] * 3)
            until(lambda: seen.extend(pool.map(ask, range(20))) or seen[-1] == 2)
        assert set(seen) == {1, 2}
        until(lambda: client.status()[1][0] == State.END)
        assert list(client.status().items()) == [(2, (State.AVAILABLE, 0, "")), (1, (State.END, 0, ""))]
        assert server.models.models["good"].versions[2].warmup_requests == 3


def test_a_version_that_fails_leaves_the_old_one(tmp_path):
    base = tmp_path / "base"
    (base / "2").mkdir(parents=True)
    with conformance_server.Server({"good": base}, 0.05) as server, Client(server, "good") as client:
        assert client.status()[2][:2] == (State.END, Code.NOT_FOUND.value[0])
        assert refused(client.predict, x=POINTS)[0] is Code.NOT_FOUND
        small_models.publish_good(base, 3)
        until(lambda: client.status().get(3, [0])[0] == State.AVAILABLE)

        small_models.publish_good(base, 4, warmup=[warmup(POINTS), warmup(-POINTS)])
        until(lambda: client.status().get(4, [0])[0] == State.END)
        code, message = client.status()[4][1:]
        assert code == Code.INVALID_ARGUMENT.value[0] and message.startswith("assertion failed: [x: allowed: at least 0")
        (base / "5").write_text("no directory")
        until(lambda: client.status().get(5, [0])[0] == State.END)
        (base / "6").mkdir()
        (base / "6" / "saved_model.pb").write_bytes(b"\xff\xff")
        until(lambda: client.status().get(6, [0])[0] == State.END)
        assert client.status()[6][1] == Code.DATA_LOSS.value[0]
        assert client.predict(x=POINTS).model_spec.version.value == 3

        os.rename(base, tmp_path / "gone")  # no base: nothing changes
        time.sleep(0.2)
        assert client.predict(x=POINTS).model_spec.version.value == 3
        base.mkdir()  # no versions: unloaded
        until(lambda: client.status()[3][0] == State.END)
        assert refused(client.predict, x=POINTS)[0] is Code.NOT_FOUND


def test_a_number_that_failed_is_spent(tmp_path, monkeypatch):
    loads = []

    class Servable:
        warmup_requests = 0

        def __init__(self, name, version, path):
            loads.append(version)
            self.version = version
            if os.path.exists(os.path.join(path, "bad")):
                raise OSError("bad")

    monkeypatch.setattr(versions, "Servable", Servable)
    model = versions.Model("good", str(tmp_path))
    (tmp_path / "1").mkdir()
    (tmp_path / "2").mkdir()
    (tmp_path / "2" / "bad").mkdir()
    for _ in range(2):
        model.poll()
    assert (loads, model.serving) == ([2], None)
    os.rename(tmp_path / "2", tmp_path / "away")
    model.poll()
    os.rename(tmp_path / "away", tmp_path / "2")
    model.poll()
    assert loads == [2, 1, 2] and model.serving.version == 1
    (tmp_path / "2" / "bad").rmdir()
    model.poll()
    assert loads == [2, 1, 2] and model.serving.version == 1
    (tmp_path / "3").mkdir()
    model.poll()
    (tmp_path / "3").rmdir()
    model.poll()
    assert loads == [2, 1, 2, 3, 2] and model.serving.version == 2


def test_names_of_versions():
    names = ["1", "007", "7", ".exporting-1", "latest", "1_0", "1.5", "+12", str(2**63), "-3"]
    assert versions.numbered(names) == {1: "1", 7: "7", 12: "+12", -3: "-3"}
