"""Answers to REST bodies, as TF Serving's util/json_tensor.cc and http_rest_api_util.cc write them."""

import base64
import json
import math

import numpy as np
from google.protobuf import json_format
from statuses import invalid
from tensorflow.core.framework import types_pb2
from tensorflow_serving.apis import get_model_metadata_pb2
from tensors import FIELDS, type_name

# uint16, half and bfloat16 have no JSON.
WRITABLE = set(FIELDS) - {types_pb2.DT_HALF, types_pb2.DT_BFLOAT16, types_pb2.DT_UINT16}


def to_text(document):
    """JSON in UTF-8; bytes of a string that are not UTF-8 go out as they are, and then no client can read the answer."""
    return json.dumps(document, ensure_ascii=False).encode("utf-8", "surrogateescape")


def decimal(value, kind=np.float32):
    """The float that JSON shows for a number: six digits where they are the number, else all (9; 17 for float64)."""
    if not np.isfinite(value):
        return float(value)
    short = float(f"{value:.6g}")
    return short if kind(short) == kind(value) else float(f"{value:.{9 if kind is np.float32 else 17}g}")


def _flat(name, proto):
    """The values of a `TensorProto` in the typed field, as JSON shows them."""
    if proto.dtype not in WRITABLE:
        raise invalid("Failed to write JSON value for tensor type: ", type_name(proto.dtype))
    values = getattr(proto, FIELDS[proto.dtype])
    if proto.dtype == types_pb2.DT_STRING:
        return [_string(value, name.endswith("_bytes")) for value in values]
    if proto.dtype in (types_pb2.DT_FLOAT, types_pb2.DT_DOUBLE):
        kind = np.float32 if proto.dtype == types_pb2.DT_FLOAT else np.float64
        return [decimal(value, kind) for value in values]
    return list(values)


def _string(value, binary):
    return {"b64": base64.b64encode(value).decode()} if binary else value.decode("utf-8", "surrogateescape")


def _nested(values, shape):
    for axis in range(len(shape) - 1, 0, -1):
        size = shape[axis]
        values = [values[i * size : (i + 1) * size] for i in range(math.prod(shape[:axis]))]
    return values if shape else values[0]


def predictions(outputs, rows):
    """Returns the answer to Predict: by rows, or by columns. The name of a single output is left out.

    Args:
      outputs: name to `TensorProto`, in the typed fields.
      rows: whether the request had `instances`; every output then needs the same first dimension.
    """
    columns, size = {}, None
    for name, proto in outputs.items():
        shape = [dim.size for dim in proto.tensor_shape.dim]
        if rows and not shape:
            raise invalid(f"Tensor name: {name} has no shape information ")
        if rows and size not in (None, shape[0]):
            raise invalid(f"Tensor name: {name} has inconsistent batch size: {shape[0]} expecting: {size}")
        size = shape[0] if shape else None
        columns[name] = _nested(_flat(name, proto), shape)
    if not columns:
        raise invalid("Cannot convert empty tensor map to JSON")
    if not rows:
        return {"outputs": columns if len(columns) > 1 else next(iter(columns.values()))}
    if len(columns) == 1:
        return {"predictions": next(iter(columns.values()))}
    return {"predictions": [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]}


def classifications(result):
    """Returns the answer to Classify: per example, pairs of label and score."""
    pairs = [[[one.label, decimal(one.score)] for one in row.classes] for row in result.classifications]
    return {"results": pairs}


def regressions(result):
    """Returns the answer to Regress: a number per example."""
    return {"results": [decimal(one.value) for one in result.regressions]}


def status(response):
    """Returns a `GetModelStatusResponse` in JSON types."""
    return json_format.MessageToDict(response, always_print_fields_with_no_presence=True)


def metadata(response):
    """Returns a `GetModelMetadataResponse` in JSON types."""
    signatures = get_model_metadata_pb2.SignatureDefMap()
    response.metadata["signature_def"].Unpack(signatures)
    options = dict(always_print_fields_with_no_presence=True, preserving_proto_field_name=True)
    spec, found = (json_format.MessageToDict(message, **options) for message in (response.model_spec, signatures))
    return {"model_spec": spec, "metadata": {"signature_def": found}}
