"""What an operator gets: configuration that the official protos can read, warm-up requests of every signature, a command."""

import os
import pathlib
import subprocess

import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format, wrappers_pb2
from tensorflow_serving.apis import prediction_log_pb2
from tensorflow_serving.config import model_server_config_pb2

from tfadgm.data.preprocess import Preprocess
from tfadgm.models.m2 import M2
from tfadgm.networks import mlp
from tfadgm.serving import export, operations, warmup

NAMES, NETWORK = ["cat", "dog", "owl"], mlp.Network(hidden=(4,))


def save(base, **options):
    return export.save(M2(Preprocess((4, 4, 1), "uint8", 1 / 255), 3, dim_z=2, network=NETWORK), NAMES, base, **options)


@pytest.fixture(scope="module")
def parent(tmp_path_factory):
    """A directory with two exports, "first" (as "pets") and "second"."""
    path = tmp_path_factory.mktemp("models")
    save(path / "first", model_name="pets", examples=np.arange(48).reshape(3, 4, 4, 1))
    save(path / "second")
    return path


def message_class(file, fields, package="tensorflow.serving"):
    """A message of TF Serving whose proto the package of the API leaves out: {message: [(field, number, type, label)]}."""
    described = descriptor_pb2.FileDescriptorProto(name=file, package=package, syntax="proto3")
    described.dependency.append("google/protobuf/wrappers.proto")
    for name, members in fields.items():
        message = described.message_type.add(name=name)
        for field, number, kind, label in members:
            own = {"type": kind} if isinstance(kind, int) else {"type": 11, "type_name": kind}
            message.field.add(name=field, number=number, label=label, **own)
    assert wrappers_pb2.DESCRIPTOR.name == "google/protobuf/wrappers.proto"
    pool = descriptor_pool.Default()
    pool.AddSerializedFile(described.SerializeToString())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.{list(fields)[-1]}"))


def test_the_models_are_those_of_the_directory(parent):
    read = text_format.Parse((parent / "serving" / "model.config").read_text(), model_server_config_pb2.ModelServerConfig())
    found = {one.name: one.base_path for one in read.model_config_list.config}
    assert found == {"pets": "/models/first", "second": "/models/second"}
    for one in read.model_config_list.config:
        assert one.model_platform == "tensorflow" and one.model_version_policy.latest.num_versions == 1


def test_batching_and_monitoring_are_read_by_the_official_fields(parent):
    # Names, numbers and types of session_bundle_config.proto and monitoring_config.proto.
    wrapped = ".google.protobuf.{}Value"
    numbers = ("max_batch_size", "batch_timeout_micros", "max_enqueued_batches", "num_batch_threads")
    fields = [(name, i + 1, wrapped.format("Int64"), 1) for i, name in enumerate(numbers)]
    fields += [("thread_pool_name", 5, wrapped.format("String"), 1), ("allowed_batch_sizes", 6, 3, 3)]
    batching = message_class("batching_for_test.proto", {"BatchingParameters": fields})
    read = text_format.Parse((parent / "serving" / "batching.config").read_text(), batching())
    assert all(getattr(read, name).value > 0 for name in numbers)
    prometheus = [("enable", 1, 8, 1), ("path", 2, 9, 1)]
    monitoring = {"PrometheusConfig": prometheus}
    monitoring["MonitoringConfig"] = [("prometheus_config", 1, ".tensorflow.serving.PrometheusConfig", 1)]
    kind = message_class("monitoring_for_test.proto", monitoring)
    read = text_format.Parse((parent / "serving" / "monitoring.config").read_text(), kind())
    assert read.prometheus_config.enable and read.prometheus_config.path.startswith("/")


def test_the_command_gives_the_server_these_files(parent, tmp_path):
    docker = tmp_path / "docker"
    docker.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    docker.chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    command = [str(parent / "serving" / "serve.sh"), "--enable_batching"]
    given = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.splitlines()
    assert given[:2] == ["run", "--rm"] and given[-1] == "--enable_batching"
    assert f"{parent}:/models:ro" in given and operations.IMAGE in given
    for argument in given:
        if argument.startswith("--") and "=/models/" in argument:
            assert (parent / argument.split("=/models/")[1]).is_file()
    assert {"8500:8500", "8501:8501"} <= set(given)


def test_an_export_that_is_cut_off_leaves_the_configuration_whole(tmp_path, monkeypatch):
    example = np.zeros((4, 4, 1)).tolist()
    written = operations.write(tmp_path / "first", "first", example)
    names = ["batching.config", "first.json", "model.config", "monitoring.config", "serve.sh"]
    before = (written / "model.config").read_text()
    assert sorted(path.name for path in written.iterdir()) == names and '"first"' in before
    write_text = pathlib.Path.write_text

    def write_half(path, text):
        write_text(path, text[: len(text) // 2])
        raise OSError("no space left")

    monkeypatch.setattr(pathlib.Path, "write_text", write_half)
    with pytest.raises(OSError, match="no space left"):
        operations.write(tmp_path / "second", "second", example)
    assert (written / "model.config").read_text() == before


def test_a_name_that_is_taken_is_refused_before_anything_is_written(parent):
    with pytest.raises(ValueError, match="model_name: got 'pets', which first beside .*; allowed: another name"):
        save(parent / "third", model_name="pets")
    assert not (parent / "third").exists()


def test_an_index_of_another_program_is_left_alone(tmp_path):
    for name, text in (("list", "[1]"), ("words", '{"a": 1}'), ("broken", "{"), ("empty", "{}")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "index.json").write_text(text)
    assert operations.beside(tmp_path / "own") == {}


def requests(path):
    return [prediction_log_pb2.PredictionLog.FromString(r.numpy()) for r in tf.data.TFRecordDataset(str(path / warmup.FILE))]


def test_warm_up_asks_every_signature_and_is_answered(parent):
    path = parent / "first" / "1"
    loaded, found = tf.saved_model.load(str(path)), export.signatures(path)
    asked = []
    for log in requests(path):
        kind = log.WhichOneof("log_type")
        request = getattr(log, kind).request
        name = request.model_spec.signature_name
        assert request.model_spec.name == "pets" and kind == found[name]["method"].rsplit("/", 1)[-1] + "_log"
        if kind == "predict_log":
            given = {key: tf.constant(tf.make_ndarray(value)) for key, value in request.inputs.items()}
        else:
            given = {"inputs": tf.constant([e.SerializeToString() for e in request.input.example_list.examples])}
        answer = loaded.signatures[name](**given)
        asked.append((name, max(len(value) for value in answer.values())))
    assert sorted(asked) == sorted((name, batch) for name in found for batch in warmup.BATCHES)


def test_warm_up_requests_are_of_the_given_examples(parent):
    for version, examples in (("first", np.arange(48).reshape(3, 4, 4, 1)), ("second", np.ones((1, 4, 4, 1)))):
        sent = [
            tf.make_ndarray(log.predict_log.request.inputs["x"])
            for log in requests(parent / version / "1")
            if log.predict_log.request.model_spec.signature_name == "predict"
        ]
        assert [len(x) for x in sent] == list(warmup.BATCHES)
        assert all((x == examples[np.arange(len(x)) % len(examples)]).all() and x.dtype == np.uint8 for x in sent)


def test_without_the_protocol_there_are_no_warm_up_requests(tmp_path, monkeypatch):
    monkeypatch.setattr(warmup, "available", lambda: False)
    assert not (save(tmp_path / "m") / warmup.FILE).exists()
