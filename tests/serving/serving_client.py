"""Calls of a server by gRPC and REST, for tests."""

import json

import grpc
import pytest
import requests
import tensorflow as tf
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_status_pb2,
    input_pb2,
    model_pb2,
    predict_pb2,
    regression_pb2,
)
from tensorflow_serving.apis import model_service_pb2_grpc as model_service
from tensorflow_serving.apis import prediction_service_pb2_grpc as prediction_service


class Client:
    """A channel to a server and the base URL of its REST API.

    Args:
      server: anything with `grpc_address` and `rest_address`.
      name: of the model that calls without a name mean.
    """

    def __init__(self, server, name):
        self.name, self.url = name, f"http://{server.rest_address}/v1/models"
        self._channel = grpc.insecure_channel(server.grpc_address)
        self.prediction = prediction_service.PredictionServiceStub(self._channel)
        self.model = model_service.ModelServiceStub(self._channel)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self._channel.close()

    def spec(self, signature="", name=None, version=None):
        found = model_pb2.ModelSpec(name=self.name if name is None else name, signature_name=signature)
        if version is not None:
            found.version.value = version
        return found

    def predict(self, signature="", output_filter=(), spec=None, **inputs):
        """Returns the `PredictResponse` for arrays by name."""
        spec = self.spec(signature) if spec is None else spec
        request = predict_pb2.PredictRequest(model_spec=spec, output_filter=output_filter)
        for key, value in inputs.items():
            request.inputs[key].CopyFrom(tf.make_tensor_proto(value))
        return self.prediction.Predict(request)

    def classify(self, given, signature="classify"):
        request = classification_pb2.ClassificationRequest(model_spec=self.spec(signature), input=given)
        return self.prediction.Classify(request)

    def regress(self, given, signature="regress"):
        request = regression_pb2.RegressionRequest(model_spec=self.spec(signature), input=given)
        return self.prediction.Regress(request)

    def status(self):
        """Returns a dict of version to (state, error code, error message)."""
        request = get_model_status_pb2.GetModelStatusRequest(model_spec=self.spec())
        found = self.model.GetModelStatus(request).model_version_status
        return {one.version: (one.state, one.status.error_code, one.status.error_message) for one in found}

    def get(self, path=""):
        """Returns (HTTP code, answer) of `path` behind the model's name."""
        answer = requests.get(f"{self.url}/{self.name}{path}", timeout=60)
        return answer.status_code, answer.json()

    def post(self, path, body):
        """Returns (HTTP code, answer) of `path` behind the model's name (":predict"); the body is text or in JSON types."""
        text = body if isinstance(body, bytes | str) else json.dumps(body)
        answer = requests.post(f"{self.url}/{self.name}{path}", text, timeout=60)
        return answer.status_code, answer.json()


def listed(rows):
    """An `Input` of one example per row, its numbers as the feature x."""
    given = input_pb2.Input()
    given.example_list.SetInParent()
    for row in rows:
        given.example_list.examples.add().features.feature["x"].float_list.value.extend(row)
    return given


def refused(call, *arguments, **named):
    """Returns the code and the message of a gRPC call that must be refused."""
    with pytest.raises(grpc.RpcError) as caught:
        call(*arguments, **named)
    return caught.value.code(), caught.value.details()
