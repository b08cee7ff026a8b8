"""One version of a model in memory: the checks, the run and the answers of Predict, Classify, Regress and MultiInference.

A part of the conformance server, which is a test instrument and not TF Serving. Where a check or a message has a
counterpart in TF Serving's C++ (servables/tensorflow/), it has the same code and nearly the same words.
"""

import pathlib
import threading
import time

import examples
import tensorflow as tf
from google.protobuf.message import DecodeError
from statuses import Code, ServingError, invalid, status_of
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow_serving.apis import classification_pb2, inference_pb2, predict_pb2, prediction_log_pb2, regression_pb2
from tensors import as_array, read_tensor, type_name, write_tensor

DEFAULT_SIGNATURE = "serving_default"
WARMUP_FILE, MOST_WARMUPS = "assets.extra/tf_serving_warmup_requests", 1000


class Clock(threading.local):
    """Seconds that this thread's request has spent inside the model's signatures."""

    seconds = 0.0


CLOCK = Clock()


def read_signatures(path):
    """Returns a dict of name to `SignatureDef` of the meta graph with the tag `serve`, TensorFlow's own included.

    Raises:
      ServingError: NOT_FOUND for no saved_model.pb or no such meta graph, DATA_LOSS for one that does not parse.
    """
    file, saved = pathlib.Path(path) / "saved_model.pb", saved_model_pb2.SavedModel()
    if not file.is_file():
        raise ServingError(
            Code.NOT_FOUND, f"Could not find SavedModel .pb or .pbtxt at supplied export directory path: {path}"
        )
    try:
        saved.ParseFromString(file.read_bytes())
    except DecodeError:
        raise ServingError(Code.DATA_LOSS, f"Can't parse {file} as binary proto") from None
    for graph in saved.meta_graphs:
        if set(graph.meta_info_def.tags) == {"serve"}:
            return dict(graph.signature_def)
    raise ServingError(Code.NOT_FOUND, "Could not find meta graph def matching supplied tags: { serve }")


def _predict_inputs(signature, given):
    """Returns a dict of input to tensor: all of the signature's inputs (or their defaults), and no others."""
    required, defaults = set(signature.inputs), signature.defaults
    if len(given) > len(required) or (len(given) < len(required) and not defaults):
        sent, expected, extra, missing = (
            f"{{{','.join(sorted(names))}}}" for names in (given, required, set(given) - required, required - set(given))
        )
        text = f"input size does not match signature: {len(given)}!={len(required)} len({sent}) != len({expected}). "
        raise invalid(text, f"Sent extra: {extra}. Missing but required: {missing}.")
    tensors = {}
    for alias, info in signature.inputs.items():
        if alias not in given and alias not in defaults:
            text = (
                f"Signature input alias: {alias}(feed name: {info.name}) not found in request and no default value provided."
            )
            sent, expected = (",".join(sorted(names)) for names in (given, defaults))
            raise invalid(text, f" Inputs expected to be in the request {{{sent}}}, or default input alias set: {expected}")
        tensors[alias] = read_tensor(alias, given[alias] if alias in given else defaults[alias])
    if set(given) - required:
        used, sent = (",".join(sorted(s)) for s in (required & set(given), given))
        raise invalid(f"Inputs contains invalid name. Used request inputs: {used}, request input: {sent}")
    return tensors


def _predict_outputs(signature, output_filter):
    """Returns the names of the outputs to answer: those asked for, else all."""
    for i, alias in enumerate(output_filter):
        if alias not in signature.outputs:
            expected = ",".join(sorted(signature.outputs))
            raise invalid(
                f"output tensor alias not found in signature: {alias} Outputs expected to be in the set {{{expected}}}."
            )
        if alias in output_filter[:i]:
            raise invalid("duplicate output tensor alias: ", alias)
    return list(output_filter) or list(signature.outputs)


class Servable:
    """A SavedModel that is loaded and warmed up; a request holds it until it is answered.

    Args:
      name: the model's name.
      version: its number.
      path: the SavedModel's directory.

    Raises:
      Exception: of any kind, see `statuses.status_of`, where the load or a warm-up request fails.
    """

    def __init__(self, name, version, path):
        self.name, self.version = name, version
        self.signatures = read_signatures(path)
        self._loaded = tf.saved_model.load(str(path), tags=["serve"])  # owns the variables
        self.warmup_requests = self._warm_up(pathlib.Path(path) / WARMUP_FILE)

    def predict(self, request):
        """Returns a `PredictResponse`; an unknown signature is FAILED_PRECONDITION here, INVALID_ARGUMENT elsewhere."""
        name = request.model_spec.signature_name or DEFAULT_SIGNATURE
        if name not in self.signatures:
            raise ServingError(Code.FAILED_PRECONDITION, f'Serving signature key "{name}" not found.')
        signature = self.signatures[name]
        methods = (examples.PREDICT, examples.CLASSIFY, examples.REGRESS)
        if signature.method_name not in methods:
            text = f"Expected prediction signature method_name to be one of {{{', '.join(methods)}}}. Was: "
            raise ServingError(Code.INTERNAL, text + signature.method_name)
        tensors = _predict_inputs(signature, request.inputs)
        wanted = _predict_outputs(signature, request.output_filter)
        response = predict_pb2.PredictResponse()
        self._describe(request.model_spec, response.model_spec)
        found = self._run(name, tensors)
        for alias in wanted:
            response.outputs[alias].CopyFrom(write_tensor(found[alias]))
        return response

    def classify(self, request):
        """Returns a `ClassificationResponse`."""
        return self._answer(request, examples.CLASSIFY, classification_pb2.ClassificationResponse())

    def regress(self, request):
        """Returns a `RegressionResponse`."""
        return self._answer(request, examples.REGRESS, regression_pb2.RegressionResponse())

    def _answer(self, request, method, response):
        self._describe(request.model_spec, response.model_spec)
        task = (request.model_spec, method, "No signature was found with the name: ")
        response.result.CopyFrom(self._infer(*task, request.input))
        return response

    def multi_inference(self, request):
        """Returns a `MultiInferenceResponse`; each signature runs by itself, in the real server all of them as one graph."""
        seen = set()
        for task in request.tasks:
            name = task.model_spec.signature_name or DEFAULT_SIGNATURE
            if not task.model_spec.name:
                raise invalid("Found ModelSpec with an empty model name.")
            if task.model_spec.name != request.tasks[0].model_spec.name:
                raise invalid("All ModelSpecs in a MultiInferenceRequest must access the same model name.")
            if name in seen:
                raise invalid("Duplicate evaluation of signature: ", name)
            seen.add(name)
            self._check(task.model_spec, task.method_name, "Requested signature not found in model graph: ")
        response = inference_pb2.MultiInferenceResponse()
        for task in request.tasks:
            field = "classification_result" if task.method_name == examples.CLASSIFY else "regression_result"
            result = self._infer(task.model_spec, task.method_name, "", request.input)
            one = response.results.add(**{field: result})
            self._describe(task.model_spec, one.model_spec)
        return response

    def _describe(self, asked, spec):
        spec.name, spec.version.value = asked.name, self.version
        spec.signature_name = asked.signature_name or DEFAULT_SIGNATURE

    def _check(self, spec, method, missing):
        """Returns the name of the signature that `spec` asks for, if `method` may be called on it."""
        name = spec.signature_name or DEFAULT_SIGNATURE
        if name not in self.signatures:
            raise invalid(missing, name)
        checks = {examples.CLASSIFY: examples.check_classify, examples.REGRESS: examples.check_regress}
        if method not in checks:
            raise ServingError(Code.UNIMPLEMENTED, f"Unsupported signature method_name: {method}")
        checks[method](self.signatures[name])
        return name

    def _infer(self, spec, method, missing, given):
        name = self._check(spec, method, missing)
        serialised = examples.serialised_examples(given)
        outputs, n = self._run(name, {"inputs": serialised}), len(serialised)
        convert = examples.classification_result if method == examples.CLASSIFY else examples.regression_result
        return convert(outputs, n)

    def _run(self, name, tensors):
        """Returns the signature's outputs as arrays; dtypes and shapes are checked, as the Python call would not say why."""
        for i, (alias, info) in enumerate(sorted(self.signatures[name].inputs.items())):
            tensor, shape = tensors[alias], tf.TensorShape(info.tensor_shape)
            dtype = tensor.dtype.as_datatype_enum
            if dtype != info.dtype:
                expected = type_name(info.dtype)
                raise invalid(f"Expects arg[{i}] to be {expected} but {type_name(dtype)} is provided")
            if not shape.is_compatible_with(tensor.shape):
                raise invalid(f"input {alias}: got shape {tensor.shape}; allowed: {shape}")
        start = time.perf_counter()
        try:
            outputs = self._loaded.signatures[name](**tensors)
            return {alias: as_array(output) for alias, output in outputs.items()}
        finally:
            CLOCK.seconds += time.perf_counter() - start

    def _warm_up(self, file):
        """Replays the recorded requests and returns their number; the first that fails makes the load fail."""
        if not file.exists():
            return 0
        calls = {"classify_log": self.classify, "regress_log": self.regress, "predict_log": self.predict}
        calls |= {"multi_inference_log": self.multi_inference}
        count = 0
        try:
            for record in tf.data.TFRecordDataset(str(file)).as_numpy_iterator():
                log, count = prediction_log_pb2.PredictionLog.FromString(record), count + 1
                kind = log.WhichOneof("log_type")
                if kind in calls:
                    calls[kind](getattr(log, kind).request)
                elif kind is not None:
                    raise ServingError(Code.UNIMPLEMENTED, f"Unsupported log_type for warmup: {kind}")
                if count > MOST_WARMUPS:
                    raise invalid(f"Number of warmup records exceeds the maximum ({MOST_WARMUPS}) at {file}")
        except tf.errors.DataLossError as error:
            text = ". Please verify your warmup data is in TFRecord format."
            raise ServingError(Code.DATA_LOSS, status_of(error).message + text) from None
        except DecodeError:
            raise invalid("Failed to parse warmup record from ", file) from None
        return count
