"""Classification by a server: TF Serving's PredictionService over gRPC, through the official stubs."""

import collections
import functools
import json

import numpy as np
import tensorflow as tf

from tfadgm.serving import classification, table_requests, warmup

# gRPC's own retries: of calls that no server has begun to answer.
_SERVICE = {
    "methodConfig": [
        {
            "name": [{"service": "tensorflow.serving.PredictionService"}],
            "retryPolicy": {
                "maxAttempts": 5,
                "initialBackoff": "0.5s",
                "maxBackoff": "4s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ]
}
IN_FLIGHT = 4


class RemoteClassifier:
    """A classifier behind a server, with the interface of `classification.Classifier`.

    Args:
      address: HOST:PORT of the server's gRPC port.
      model_name: the name under which the server offers the model.
      version: the version to ask; None for the server's own choice.
      deadline: seconds that each call may take, retries included.
      novelty: whether `novelty` will be asked for; a model without classes is then answered too.

    Attributes:
      at_once: how many batches `records.of_files` hands over together; `IN_FLIGHT` of them are under way.
      path: what errors call this classifier.
      class_names: K strings, in the order of the probabilities.
      raw_shape, raw_dtype: of one raw example.
      columns: of a model of tables, its `columns.Column`s; None: it reads arrays.
      feature_names, ranges: None: the protocol does not carry them, so that columns of numbers are taken by position.

    Raises:
      ValueError: if the protocol's package is missing, or the server's model is no classifier that tfadgm exported.
      OSError: if there is no answer, or an error; it says the status and the server's own message.
    """

    at_once = 16
    feature_names: list[str] | None = None
    ranges: dict | None = None

    def __init__(
        self,
        address: str,
        model_name: str = "tfadgm",
        version: int | None = None,
        deadline: float = 30.0,
        novelty: bool = False,
    ) -> None:
        if not warmup.available():
            raise ValueError(f"server: needs {warmup.PACKAGE}; allowed: after pip install 'tfadgm[serving]'")
        host, _, port = address.rpartition(":")
        if not host or not port.isdigit():
            raise ValueError(f"server: got {address!r}; allowed: HOST:PORT, such as localhost:8500")
        import grpc
        from tensorflow_serving.apis import prediction_service_pb2_grpc

        self.path, self.model_name, self.version, self.deadline = address, model_name, version, deadline
        options = [("grpc.service_config", json.dumps(_SERVICE)), ("grpc.enable_retries", 1)]
        options += [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
        self._channel = grpc.insecure_channel(address, options)
        self._service = prediction_service_pb2_grpc.PredictionServiceStub(self._channel)
        self._read_metadata(novelty)
        self.class_names = self._class_names()

    def _read_metadata(self, novelty):
        from tensorflow_serving.apis import get_model_metadata_pb2

        request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
        answer = self._result(self._call("GetModelMetadata", request))
        found = get_model_metadata_pb2.SignatureDefMap()
        answer.metadata["signature_def"].Unpack(found)
        self._signatures = set(found.signature_def)
        classification.check_signatures(f"{self.path}: {self.model_name}", self._signatures, novelty)
        self._by_rows = classification.by_rows(found.signature_def)
        x = found.signature_def["log_density"].inputs["x"]
        self.raw_shape = tuple(dim.size for dim in x.tensor_shape.dim[1:])
        self.raw_dtype = np.dtype(tf.as_dtype(x.dtype).as_numpy_dtype)
        self.columns = self._columns() if "columns" in found.signature_def else None

    def _columns(self):
        answer = self._result(self._predict("columns", number=np.arange(self.raw_shape[0])))
        return table_requests.columns_of(tf.make_ndarray(answer.outputs["column"]))

    def _class_names(self):
        if "classify" not in self._signatures:
            return []
        answer = self._result(self._classify([classification.nothing(self.raw_shape, self.raw_dtype, self.columns)]))
        return [one.label for one in answer.result.classifications[0].classes]

    @functools.cached_property
    def any_size(self) -> bool:
        """Whether pictures of other sizes are fitted to that of the model's, as the server answers when it is sent one."""
        if "predict_bytes" not in self._signatures:
            return False
        call = self._predict("predict_bytes", inputs=np.array([classification.other_size(self.raw_shape)], object))
        try:
            self._result(call)
        except OSError as error:
            if "INVALID_ARGUMENT" not in str(error):
                raise
            return False
        return True

    def probabilities(self, x: np.ndarray, batch: int = 100) -> np.ndarray:
        """Returns q(y|x), float32 [N, K], for raw examples x [N, *raw_shape]; up to `IN_FLIGHT` batches are under way."""
        x = classification.as_raw(x, self.raw_shape, self.raw_dtype, bool(self.columns))
        none = np.zeros((0, len(self.class_names)), "float32")
        if self.columns:
            return self._ask(self._by_rows, "probabilities", x, batch, none)
        return self._gather(lambda rows: self._classify(map(warmup.memory_example, rows)), self._scores, x, batch, none)

    def log_density(self, x: np.ndarray, samples: int, batch: int = 100) -> np.ndarray:
        """Returns the importance-weighted bound of log p(x) with `samples` samples, float32 [N], in nats."""
        x = classification.as_raw(x, self.raw_shape, self.raw_dtype, bool(self.columns))
        return self._ask("log_density", "log_density", x, batch, np.zeros(0, "float32"), samples=np.int32(samples))

    def novelty(self, x: np.ndarray, batch: int = 100) -> np.ndarray:
        """Returns log p(x) in nats and the p-values low and typical (see `models.novelty`), float32 [N, 3]."""
        x = classification.as_raw(x, self.raw_shape, self.raw_dtype, bool(self.columns))
        none = np.zeros((0, len(classification.NOVELTY)), "float32")
        return self._gather(lambda rows: self._predict("novelty", x=rows), _side_by_side, x, batch, none)

    def _ask(self, signature, output, x, batch, nothing, **further):
        """Returns an output of a signature for all batches of x."""
        return self._gather(
            lambda rows: self._predict(signature, x=rows, **further),
            lambda answer: tf.make_ndarray(answer.outputs[output]),
            x,
            batch,
            nothing,
        )

    def _gather(self, ask, read, x, batch, nothing):
        """Asks for all batches of x, a few at a time, and returns the answers in order."""
        waiting, parts = collections.deque[object](), [nothing]
        for start in range(0, len(x), batch):
            waiting.append(ask(x[start : start + batch]))
            if len(waiting) == IN_FLIGHT:
                parts.append(read(self._result(waiting.popleft())))
        parts += [read(self._result(one)) for one in waiting]
        return np.concatenate(parts)

    def _scores(self, answer):
        rows = answer.result.classifications
        return np.array([[one.score for one in row.classes] for row in rows], "float32").reshape(len(rows), -1)

    def _classify(self, examples):
        from tensorflow_serving.apis import classification_pb2

        request = classification_pb2.ClassificationRequest()
        request.model_spec.signature_name = "classify"
        request.input.example_list.examples.extend(examples)
        return self._call("Classify", request)

    def _predict(self, signature, **inputs):
        from tensorflow_serving.apis import predict_pb2

        request = predict_pb2.PredictRequest()
        request.model_spec.signature_name = signature
        for key, value in inputs.items():
            request.inputs[key].CopyFrom(tf.make_tensor_proto(value))
        return self._call("Predict", request)

    def _call(self, method, request):
        """Begins a call and returns its future."""
        request.model_spec.name = self.model_name
        if self.version is not None:
            request.model_spec.version.value = self.version
        return getattr(self._service, method).future(request, timeout=self.deadline)

    def _result(self, call):
        import grpc

        try:
            return call.result()
        except grpc.RpcError as error:
            reason = (error.details() or "no reason given").strip().splitlines()[0]
            raise OSError(f"server {self.path}: {error.code().name}: {reason}") from None

    def close(self) -> None:
        """Closes the connection."""
        self._channel.close()


def _side_by_side(answer):
    """The outputs `classification.NOVELTY` of an answer, [N, 3]."""
    return np.stack([tf.make_ndarray(answer.outputs[name]) for name in classification.NOVELTY], -1)
