"""Classify and Regress around the graph: checks of the signature before, checks and conversion of its outputs after."""

import tensorflow as tf
from statuses import Code, ServingError, invalid
from tensorflow.core.framework import types_pb2
from tensorflow_serving.apis import classification_pb2, regression_pb2

CLASSIFY, REGRESS = "tensorflow/serving/classify", "tensorflow/serving/regress"
PREDICT = "tensorflow/serving/predict"


def serialised_examples(given):
    """Returns string [N], N at least 1, from an `Input`; a context's bytes go before each example's: protobuf merges them.

    Raises:
      ServingError: INVALID_ARGUMENT for an Input without examples.
    """
    kind = given.WhichOneof("kind")
    listed = getattr(given, kind).examples if kind else ()
    if not listed:
        raise invalid("Input is empty.")
    context = given.example_list_with_context.context.SerializeToString() if "context" in kind else b""
    return tf.constant([context + example.SerializeToString() for example in listed])


def check_method(signature, method, what):
    """What TF Serving does with --enable_signature_method_name_check; without the flag the name may be anything."""
    if signature.method_name != method:
        raise invalid(f"Expected {what} signature method_name to be {method}. Was: {signature.method_name}")


def check_classify(signature):
    """The input must be `inputs`; of one or two outputs, one must be `classes` or `scores`."""
    check_method(signature, CLASSIFY, "classification")
    if len(signature.inputs) != 1:
        raise invalid("Expected one input Tensor.")
    if len(signature.outputs) not in (1, 2):
        raise invalid("Expected one or two output Tensors, found ", len(signature.outputs))
    if "inputs" not in signature.inputs:
        raise invalid("No classification inputs found in SignatureDef: ", signature)
    if not {"classes", "scores"} & set(signature.outputs):
        text = 'Expected classification signature outputs to contain at least one of "classes" or "scores". Signature was: '
        raise invalid(text, signature)


def check_regress(signature):
    """The only input must be `inputs`, the only output `outputs`."""
    check_method(signature, REGRESS, "regression")
    for kind, found in (("input", signature.inputs), ("output", signature.outputs)):
        if len(found) != 1:
            raise invalid(f"Expected one {kind} Tensor.")
    for kind, found in (("inputs", signature.inputs), ("outputs", signature.outputs)):
        if kind not in found:
            raise invalid(f"No regression {kind} found in SignatureDef: ", signature)


def shape_text(array):
    return "[" + ",".join(map(str, array.shape)) + "]"


def dtype_name(array):
    return types_pb2.DataType.Name(tf.as_dtype(array.dtype).as_datatype_enum)


def _check_class_output(key, output, dtype, n):
    if output.ndim != 2:
        raise invalid("Expected Tensor shape: [batch_size num_classes] but got ", shape_text(output))
    if tf.as_dtype(output.dtype) != dtype:
        expected = types_pb2.DataType.Name(dtype.as_datatype_enum)
        raise invalid(f"Expected {key} Tensor of {expected}. Got: {dtype_name(output)}")
    if len(output) != n:
        raise invalid(f"Expected {key} output batch size of {n}. Got: {len(output)}")


def classification_result(outputs, n):
    """Returns a `ClassificationResult` from `classes` string [N, K] and `scores` float32 [N, K], of which one may lack."""
    classes, scores = outputs.get("classes"), outputs.get("scores")
    for key, output, dtype in (("classes", classes, tf.string), ("scores", scores, tf.float32)):
        if output is not None:
            _check_class_output(key, output, dtype, n)
    if classes is not None and scores is not None and classes.shape[1] != scores.shape[1]:
        both = f"{classes.shape[1]} vs. {scores.shape[1]}"
        raise invalid("Tensors class and score should match in dim_size(1). Got ", both)
    result = classification_pb2.ClassificationResult()
    for i in range(n):
        row = result.classifications.add()
        for c in range((scores if classes is None else classes).shape[1]):
            label = {} if classes is None else {"label": label_text(classes[i, c])}
            row.classes.add(**label, **({} if scores is None else {"score": scores[i, c]}))
    return result


def label_text(label):
    """A label is a protobuf string, which cannot hold other bytes than UTF-8; C++ notices when it serialises the answer."""
    try:
        return label.decode()
    except UnicodeDecodeError:
        raise ServingError(Code.INTERNAL, f"classes: got {label!r}; allowed: UTF-8") from None


def regression_result(outputs, n):
    """Returns a `RegressionResult` from `outputs`, float32 [N] or [N, 1]."""
    output = outputs["outputs"]
    if output.ndim != 1 and not (output.ndim == 2 and output.shape[1] == 1):
        text = "Expected output Tensor shape to be either [batch_size] or [batch_size, 1] but got "
        raise invalid(text, shape_text(output))
    if len(output) != n:
        raise invalid(f"Input batch size did not match output batch size: {n} vs. {len(output)}")
    if output.dtype != "float32":
        raise invalid("Expected output Tensor of DT_FLOAT.  Got: ", dtype_name(output))
    values = [regression_pb2.Regression(value=value) for value in output.ravel()]
    return regression_pb2.RegressionResult(regressions=values)
