"""A test instrument that speaks TF Serving's protocols. It is not TF Serving, and shows nothing about its speed.

The official protocol stubs of tensorflow-serving-api around `tf.saved_model.load`, with the checks, the codes and the
JSON of TF Serving's C++ sources, which it was written from. It shows that an export answers these protocols:

    with Server({"name": base_path}) as server:
        ...  # server.grpc_address, server.rest_address; server.timings, server.models

    python tests/serving/conformance_server.py --model_name=NAME --model_base_path=DIR --port=8500 --rest_api_port=8501

Stricter than the real server: method names of Classify and Regress are checked (there a flag, off by default), and so are
shapes, which the real one leaves to the graph (`tensors.session_run` shows what that does). Not emulated: labels,
configuration files and reloads, batching, repeated loading of a version that failed, an end of the process when the first
load fails, monitoring, SessionService, CORS, compressed or chunked bodies.
"""

import argparse
import concurrent.futures
import json
import signal
import threading
import time
from typing import NamedTuple

import grpc
from rest import HttpServer, Rest
from servables import CLOCK
from statuses import Code, ServingError, invalid, status_of
from tensorflow_serving.apis import get_model_metadata_pb2, model_pb2, model_service_pb2_grpc, prediction_service_pb2_grpc
from versions import NO_SPEC, Models


class Timing(NamedTuple):
    """Seconds of one request: inside the model's signatures, and inside the whole handler (gRPC: without its parsing)."""

    api: str
    method: str
    model_seconds: float
    total_seconds: float


class Server:
    """Serves models by gRPC and REST on localhost, within a `with` block.

    Attributes:
      grpc_address, rest_address: "localhost:PORT".
      models: the `versions.Models`, whose `models[name].versions` tells loads, their errors and warm-up requests.
      timings: a list of `Timing`, one per request.

    Args:
      bases: a dict of model name to base path, the directory of the versions.
      poll_seconds: time between two looks for a new version.
      port: of gRPC; 0: a free one.
      rest_port: of REST; 0: a free one.
      workers: requests of gRPC that are answered at a time.
    """

    def __init__(self, bases, poll_seconds=1.0, port=0, rest_port=0, workers=8):
        self.models, self.timings = Models(bases, poll_seconds), []
        self._rest = Rest(self.models, self.metadata)
        # A port has one server: without the option two could share it.
        options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1), ("grpc.so_reuseport", 0)]
        self._grpc = grpc.server(concurrent.futures.ThreadPoolExecutor(workers), options=options)
        prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(Prediction(self), self._grpc)
        model_service_pb2_grpc.add_ModelServiceServicer_to_server(ModelStatus(self), self._grpc)
        self.grpc_address = f"localhost:{self._grpc.add_insecure_port(f'localhost:{port}')}"
        self._http = HttpServer(rest_port, self._respond)
        self.rest_address = f"localhost:{self._http.server_port}"
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    def __enter__(self):
        self.models.start()
        self._grpc.start()
        self._thread.start()
        return self

    def __exit__(self, *error):
        self._grpc.stop(grace=1).wait()
        self._http.shutdown()
        self._http.server_close()
        self.models.stop()

    def answer(self, method, context, work):
        """Returns `work()`, timed; what it raises ends the call with the status that TF Serving would give."""
        try:
            return self._timed("grpc", lambda: (method, work()))[1]
        except Exception as unexpected:  # the server survives every request
            error = status_of(unexpected)
        context.abort(error.code, error.grpc_message)

    def metadata(self, request):
        """Returns the `GetModelMetadataResponse`: the signatures of the version that is served."""
        if not request.HasField("model_spec"):
            raise invalid(NO_SPEC)
        if not request.metadata_field:
            raise invalid("GetModelMetadataRequest must specify at least one metadata_field")
        for field in request.metadata_field:
            if field != "signature_def":
                raise invalid(f"Metadata field {field} is not supported")
        servable = self.models.find(request.model_spec)
        response, signatures = get_model_metadata_pb2.GetModelMetadataResponse(), get_model_metadata_pb2.SignatureDefMap()
        response.model_spec.name, response.model_spec.version.value = servable.name, servable.version
        for name, signature in servable.signatures.items():
            signatures.signature_def[name].CopyFrom(signature)
        response.metadata["signature_def"].Pack(signatures)
        return response

    def _respond(self, verb, path, body):
        def work():
            code, method, text = self._rest.respond(verb, path, body)
            return method, (code, text)

        return self._timed("rest", work)[1]

    def _timed(self, api, work):
        CLOCK.seconds, start, method = 0.0, time.perf_counter(), "failed"
        try:
            method, _ = answer = work()
            return answer
        finally:
            self.timings.append(Timing(api, method, CLOCK.seconds, time.perf_counter() - start))


class Prediction(prediction_service_pb2_grpc.PredictionServiceServicer):
    """gRPC's PredictionService."""

    def __init__(self, server):
        self._server = server

    def _find(self, request):
        if not request.HasField("model_spec"):
            raise invalid(NO_SPEC)
        return self._server.models.find(request.model_spec)

    def Predict(self, request, context):
        return self._server.answer("predict", context, lambda: self._find(request).predict(request))

    def Classify(self, request, context):
        return self._server.answer("classify", context, lambda: self._find(request).classify(request))

    def Regress(self, request, context):
        return self._server.answer("regress", context, lambda: self._find(request).regress(request))

    def MultiInference(self, request, context):
        # The first task says which version answers all of them.
        spec = request.tasks[0].model_spec if request.tasks else model_pb2.ModelSpec()
        work = lambda: self._server.models.find(spec).multi_inference(request)  # noqa: E731
        return self._server.answer("multi_inference", context, work)

    def GetModelMetadata(self, request, context):
        return self._server.answer("metadata", context, lambda: self._server.metadata(request))


class ModelStatus(model_service_pb2_grpc.ModelServiceServicer):
    """gRPC's ModelService."""

    def __init__(self, server):
        self._server = server

    def GetModelStatus(self, request, context):
        return self._server.answer("status", context, lambda: self._server.models.status(request))

    def HandleReloadConfigRequest(self, request, context):
        error = ServingError(Code.UNIMPLEMENTED, "HandleReloadConfigRequest: allowed: the models given at the start")
        context.abort(error.code, error.message)


def _print_at_once(text):
    print(text, flush=True)


def run(flags, stopped, tell=_print_at_once):
    """Serves until the event `stopped`; tells the addresses, and writes the timings if asked."""
    bases, seconds = {flags.model_name: flags.model_base_path}, flags.file_system_poll_wait_seconds
    with Server(bases, seconds, flags.port, flags.rest_api_port) as server:
        tell(f"grpc {server.grpc_address} rest {server.rest_address}")
        stopped.wait()
    if flags.timings:
        with open(flags.timings, "w") as file:
            file.writelines(json.dumps(timing) + "\n" for timing in server.timings)


def parse(arguments=None):
    parser = argparse.ArgumentParser(description="Protocol conformance server: a test instrument, not TF Serving.")
    parser.add_argument("--model_name", required=True)
    parser.add_argument("--model_base_path", required=True)
    parser.add_argument("--port", type=int, default=8500, help="of gRPC; 0: a free one")
    parser.add_argument("--rest_api_port", type=int, default=8501, help="0: a free one")
    parser.add_argument("--file_system_poll_wait_seconds", type=float, default=1.0)
    parser.add_argument("--timings", help="file for a JSON list per request, written at the end (SIGTERM or SIGINT)")
    return parser.parse_args(arguments)


def main():
    flags, stopped = parse(), threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    run(flags, stopped)


if __name__ == "__main__":
    main()
