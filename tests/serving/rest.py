"""REST: paths to calls, as TF Serving's http_rest_api_handler.cc, in a thread per connection."""

import http.server
import re
import urllib.parse

import json_answers
import json_requests
from servables import DEFAULT_SIGNATURE
from statuses import invalid, status_of
from tensorflow_serving.apis import classification_pb2 as classification
from tensorflow_serving.apis import get_model_metadata_pb2, get_model_status_pb2, model_pb2, predict_pb2, regression_pb2

WHICH = r"(?:/versions/(?P<version>\d+)|/labels/(?P<label>[^/:]+))?"
FLAGS = re.IGNORECASE | re.ASCII
POST = re.compile(rf"/v1/models/(?P<name>[^/:]+){WHICH}:(?P<method>classify|regress|predict)", FLAGS)
GET = re.compile(rf"/v1/models(?:/(?P<name>[^/:]+))?{WHICH}(?P<metadata>/metadata)?", FLAGS)
ANY = re.compile(r"/v1/.*", FLAGS)


class Rest:
    """Answers requests by the models and the gRPC calls' own code.

    Args:
      models: the `Models` served.
      metadata: from a `GetModelMetadataRequest` to its response.
    """

    def __init__(self, models, metadata):
        self._models, self._metadata = models, metadata

    def respond(self, verb, path, body):
        """Returns (HTTP code, what the call was, body in bytes); the path is without the query."""
        what = "none"
        try:
            match = {"POST": POST, "GET": GET}[verb].fullmatch(path) if verb in ("POST", "GET") else None
            if match is None:
                raise invalid(f"Malformed request: {verb} {path}")
            spec = model_spec(match)
            if verb == "POST":
                what = match["method"]
                # The path matches in any case, the method does not.
                call = {"predict": self._predict, "classify": self._classify, "regress": self._regress}.get(what)
                if call is None:
                    raise invalid(f"Malformed request: {verb} {path}")
                answer = call(spec, json_requests.parse(body))
            else:
                what = "metadata" if match["metadata"] else "status"
                answer = self._describe(what, spec)
            return 200, what, json_answers.to_text(answer)
        except RecursionError:
            error = invalid("JSON Value: nested too deeply")
        except UnicodeError as wrong:
            error = invalid("JSON Parse error: ", wrong)
        except Exception as unexpected:  # the server survives every request
            error = status_of(unexpected)
        return error.http, what, json_answers.to_text({"error": error.message})

    def _predict(self, spec, document):
        json_requests.set_signature(document, spec)
        servable = self._models.find(spec)  # one version reads the body and answers
        name = spec.signature_name or DEFAULT_SIGNATURE
        if name not in servable.signatures:
            raise invalid(f'Serving signature name: "{name}" not found in signature def')
        inputs = servable.signatures[name].inputs
        if not inputs:
            raise invalid("Failed to get input map for signature: ", spec.signature_name or "DEFAULT")
        request = predict_pb2.PredictRequest(model_spec=spec)
        rows = json_requests.fill_predict(document, inputs, request)
        return json_answers.predictions(servable.predict(request).outputs, rows)

    def _classify(self, spec, document):
        request = classification.ClassificationRequest(model_spec=spec)
        json_requests.set_signature(document, request.model_spec)
        json_requests.fill_examples(document, request.input)
        return json_answers.classifications(self._models.find(request.model_spec).classify(request).result)

    def _regress(self, spec, document):
        request = regression_pb2.RegressionRequest(model_spec=spec)
        json_requests.set_signature(document, request.model_spec)
        json_requests.fill_examples(document, request.input)
        return json_answers.regressions(self._models.find(request.model_spec).regress(request).result)

    def _describe(self, what, spec):
        if not spec.name:
            raise invalid("Missing model name in request.")
        if what == "status":
            request = get_model_status_pb2.GetModelStatusRequest(model_spec=spec)
            return json_answers.status(self._models.status(request))
        request = get_model_metadata_pb2.GetModelMetadataRequest(model_spec=spec, metadata_field=["signature_def"])
        return json_answers.metadata(self._metadata(request))


def model_spec(match):
    """The `ModelSpec` that a path names."""
    spec = model_pb2.ModelSpec(name=urllib.parse.unquote(match["name"] or ""))
    if match["version"]:
        digits = match["version"].lstrip("0") or "0"
        if len(digits) > 19 or int(digits) >= 2**63:
            raise invalid(f"Failed to convert version: {match['version']} to numeric.")
        spec.version.value = int(digits)
    if match["label"]:
        spec.version_label = urllib.parse.unquote(match["label"])
    return spec


class Handler(http.server.BaseHTTPRequestHandler):
    """One HTTP connection, kept open for further requests."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # headers and body in one packet

    def do_GET(self):
        try:
            length = int(self.headers.get("Content-Length", "0"))
        except ValueError:
            length = -1
        if length < 0 or "Transfer-Encoding" in self.headers:
            self.close_connection = True  # where the next request starts is not known
        body, path = self.rfile.read(max(length, 0)), self.path.partition("?")[0]
        if not ANY.fullmatch(path):
            self._send(404, "text/html", b"<html><head><title>404 Not Found</title></head><body>Not Found</body></html>")
            return
        code, text = self.server.respond(self.command, path, body)
        self._send(code, "application/json", text)

    do_POST = do_PUT = do_DELETE = do_PATCH = do_GET

    def _send(self, code, kind, body):
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


class HttpServer(http.server.ThreadingHTTPServer):
    """Serves `respond` (verb, path, body to HTTP code and body) on localhost; port 0: a free one."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port, respond):
        super().__init__(("localhost", port), Handler)
        self.respond = respond

    def handle_error(self, request, client_address):
        pass  # the client has gone
