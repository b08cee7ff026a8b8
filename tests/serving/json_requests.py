"""REST bodies to requests, as TF Serving's util/json_tensor.cc reads them."""

import base64
import binascii
import json
import math

import tensorflow as tf
from statuses import Code, ServingError, invalid
from tensorflow.core.framework import tensor_pb2, types_pb2
from tensors import FIELDS, type_name

DEBUG_LIMIT = 256  # characters of a JSON value in a message
# The integers that have a JSON; uint16 has none, nor have half and bfloat16.
RANGES = {getattr(types_pb2, f"DT_{kind}"): (-(2**31), 2**31) for kind in ("INT32", "INT16", "INT8", "UINT8")}
RANGES |= {types_pb2.DT_INT64: (-(2**63), 2**63), types_pb2.DT_UINT32: (0, 2**32), types_pb2.DT_UINT64: (0, 2**64)}
FLOATS = {types_pb2.DT_FLOAT: (24, "float"), types_pb2.DT_DOUBLE: (53, "double")}  # bits of the mantissa
OTHERS = (types_pb2.DT_STRING, types_pb2.DT_FLOAT, types_pb2.DT_DOUBLE, types_pb2.DT_BOOL)
KINDS = {dict: "Object", list: "Array", str: "String", int: "Number", float: "Number", type(None): "Null"}


def kind_of(value):
    return str(value) if isinstance(value, bool) else KINDS[type(value)]


def debug(value):
    return json.dumps(value, ensure_ascii=False)[:DEBUG_LIMIT]


def _whole(digits):
    number = int(digits) if len(digits) < 25 else 2**65
    return number if -(2**63) <= number < 2**64 else _decimal(digits)  # larger ones are decimals to RapidJSON


def _decimal(digits):
    number = float(digits)
    if abs(number) == float("inf"):
        raise invalid("JSON Parse error: Number too big to be stored in double.")
    return number


DECODER = json.JSONDecoder(parse_int=_whole, parse_float=_decimal)


def parse(body):
    """Returns the object that the bytes `body` hold; what follows it is ignored, and bytes need not be UTF-8.

    Raises:
      ServingError: INVALID_ARGUMENT; the words after "JSON Parse error: " are Python's own.
    """
    text = body.decode("utf-8", "surrogateescape").lstrip("\ufeff \t\r\n")
    if not body:
        raise invalid("JSON Parse error: The document is empty")
    try:
        document, _ = DECODER.raw_decode(text)
    except json.JSONDecodeError as error:
        raise invalid(f"JSON Parse error: {error.msg} at offset: {error.pos}") from None
    except RecursionError:
        raise invalid("JSON Parse error: nested too deeply") from None
    if not isinstance(document, dict):
        raise invalid(f"JSON Value: {debug(document)} Is not object")
    return document


def set_signature(document, spec):
    """Copies the optional `signature_name` to a `ModelSpec`."""
    name = document.get("signature_name", "")
    if not isinstance(name, str):
        text = "not formatted correctly. 'signature_name' key must be a string value."
        raise invalid(f"JSON Value: {debug(document)} {text}")
    spec.signature_name = name


def is_base64(value):
    return isinstance(value, dict) and list(value) == ["b64"] and isinstance(value["b64"], str)


def to_bytes(text):
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise invalid("JSON Parse error: The surrogate pair in string is invalid.") from None


def decode_base64(value):
    """The bytes of {"b64": text}; padding may lack."""
    if not is_base64(value):
        raise invalid(f"JSON Value: {debug(value)} not formatted correctly for base64 data")
    text = "".join(value["b64"].split()).replace(".", "=")
    text += "=" * (-len(text) % 4 if "=" not in text else 0)
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise invalid("Unable to base64 decode") from None


def scalar(value, dtype):
    """The value as the field of a `TensorProto` of `dtype` takes it: 1.0 is no integer, true is no number."""
    number = type(value) in (int, float)
    if dtype == types_pb2.DT_STRING and isinstance(value, str):
        return to_bytes(value)
    if dtype == types_pb2.DT_STRING and isinstance(value, dict):
        return decode_base64(value)
    if dtype in FLOATS and number:
        return lossless(value, dtype)
    if dtype == types_pb2.DT_BOOL and isinstance(value, bool):
        return value
    low, high = RANGES.get(dtype, (0, 0))
    if type(value) is int and low <= value < high:
        return value
    if dtype in RANGES or dtype in OTHERS or isinstance(value, dict):
        raise invalid(f"JSON Value: {debug(value)} Type: {kind_of(value)} is not of expected type: {type_name(dtype)}")
    raise ServingError(Code.UNIMPLEMENTED, f"Conversion of JSON Value: {debug(value)} to type: {type_name(dtype)}")


def lossless(value, dtype):
    """A number, unless it is a whole one that has more bits than the mantissa, or is beyond the largest."""
    bits, name = FLOATS[dtype]
    largest = float(tf.as_dtype(dtype).max)
    if (abs(value) >= 2**bits) if isinstance(value, int) else math.isfinite(value) and abs(value) > largest:
        raise invalid(f"Cannot convert JSON value: {debug(value)} to {name} without loss of precision.")
    return value


def dense(value, dtype):
    """Returns (shape, flat values) of nested lists, which must all be as long as the first of their level."""
    shape, first, values = [], value, []
    while isinstance(first, list):
        shape.append(len(first))
        first = first[0] if first else None
    _fill(value, 0, shape, dtype, values)
    return shape, values


def _fill(value, level, shape, dtype, values):
    if not isinstance(value, list):
        if level != len(shape):
            where = f"found at incorrect level: {level + 1} in the JSON DOM. Expected at level: {len(shape)}"
            raise invalid(f"JSON Value: {debug(value)} {where}")
        values.append(scalar(value, dtype))
        return
    if level >= len(shape):
        raise invalid(f"Encountered list at unexpected level: {level} expected < {len(shape)}")
    if len(value) != shape[level]:
        got = f"Encountered list at unexpected size: {len(value)} at level: {level}"
        raise invalid(f"{got} expected size: {shape[level]}")
    for one in value:
        _fill(one, level + 1, shape, dtype, values)


def _put(request, name, dtype, shape, values):
    proto = tensor_pb2.TensorProto(dtype=dtype)
    for size in shape:
        proto.tensor_shape.dim.add(size=size)
    if values:
        getattr(proto, FIELDS[dtype]).extend(values)
    request.inputs[name].CopyFrom(proto)


def fill_predict(document, inputs, request):
    """Fills a `PredictRequest` and returns whether the answer is to be by rows.

    Args:
      document: what `parse` returned.
      inputs: the signature's, a dict of name to `TensorInfo`.
      request: the `PredictRequest`.
    """
    rows = "instances" in document
    if rows and "inputs" in document:
        text = "Not formatted correctly expecting only one of 'inputs' or 'instances' keys to exist "
        raise invalid(f"JSON Value: {debug(document)} {text}")
    if not rows and "inputs" not in document:
        raise invalid("Missing 'inputs' or 'instances' key")
    if not rows:
        _fill_columns(document["inputs"], inputs, request)
        return False
    if not isinstance(document["instances"], list):
        raise invalid(f"JSON Value: {debug(document)} Expecting 'instances' to be an list/array")
    if not document["instances"]:
        raise invalid(f"JSON Value: {debug(document)} No values in 'instances' array")
    _fill_rows(document["instances"], inputs, request)
    return True


def _fill_columns(given, inputs, request):
    # Names that the signature does not have are ignored here, and an error by rows.
    named = isinstance(given, dict) and not is_base64(given)
    if not named and len(inputs) > 1:
        text = "inputs is a plain value/list, but expecting an object as multiple input tensors required"
        raise invalid(text, " as per tensorinfo_map")
    for name, info in inputs.items():
        if named and name not in given:
            raise invalid(f"Missing named input: {name} in 'inputs' object.")
        _put(request, name, info.dtype, *dense(given[name] if named else given, info.dtype))


def _fill_rows(instances, inputs, request):
    named = isinstance(instances[0], dict) and not is_base64(instances[0])
    if not isinstance(instances[0], dict) and len(inputs) > 1:
        text = "instances is a plain list, but expecting list of objects as multiple input tensors required"
        raise invalid(text, " as per tensorinfo_map")
    columns = {}
    for i, row in enumerate(instances):
        if named != (isinstance(row, dict) and not is_base64(row)):
            expected = "object but got list" if named else "value/list but got object"
            raise invalid(f"Expecting {expected} at item {i} of input list")
        for name, value in (row if named else {next(iter(inputs)): row}).items():
            try:
                _add(columns, inputs, name, value)
            except ServingError as error:
                where = f"Failed to process element: {i}{f' key: {name}' if named else ''} of 'instances' list."
                raise invalid(f"{where} Error: {error}") from None
        if named and set(row) != set(inputs):
            where = f"Failed to process element: {i} of 'instances' list. JSON object: {debug(row)}"
            raise invalid(f"{where} keys must be equal to: {','.join(sorted(inputs))}")
    for name, (shape, values) in columns.items():
        _put(request, name, inputs[name].dtype, [len(instances), *shape], values)


def _add(columns, inputs, name, value):
    if name not in inputs:
        raise invalid("JSON object: does not have named input: ", name)
    shape, values = dense(value, inputs[name].dtype)
    first, _ = columns.setdefault(name, (shape, []))
    if first != shape:
        raise invalid(f"Expecting shape [{','.join(map(str, first))}] but got: [{','.join(map(str, shape))}]")
    columns[name][1].extend(values)


def fill_examples(document, given):
    """Fills an `Input` from `examples` and, if there, their common `context`."""
    listed = given.example_list
    if "context" in document:
        listed = given.example_list_with_context
        _fill_example(document["context"], listed.context)
        listed.context.SetInParent()
    if "examples" not in document:
        raise invalid(f"JSON Value: {debug(document)} When method is classify, key 'examples' is expected and was not found")
    if not isinstance(document["examples"], list):
        raise invalid(f"JSON Value: {debug(document)} Expecting 'examples' value to be an list/array")
    if not document["examples"]:
        raise invalid(f"JSON Value: {debug(document)} 'examples' value is an empty array")
    for one in document["examples"]:
        _fill_example(one, listed.examples.add())


def _fill_example(value, example):
    if not isinstance(value, dict):
        raise invalid("Example must be JSON object but got JSON ", kind_of(value))
    for name, content in value.items():
        feature = example.features.feature[name]
        for element in content if isinstance(content, list) else [content]:
            _add_element(name, element, feature)


def _add_element(name, value, feature):
    if value is None or isinstance(value, list) or (isinstance(value, dict) and not is_base64(value)):
        raise invalid(f"Feature: {name} has element with unexpected JSON type: {kind_of(value)}")
    kind = "float_list" if isinstance(value, float) else "int64_list" if isinstance(value, int) else "bytes_list"
    if feature.WhichOneof("kind") not in (None, kind):
        expected = feature.WhichOneof("kind").removesuffix("_list")
        raise invalid(f"Unexpected element type in feature: {name} expecting type: {expected}")
    if isinstance(value, int) and value >= 2**63:
        raise invalid(f"Feature: {name} has uint64_t element. Only int64_t is supported.")
    if kind == "float_list":
        lossless(value, types_pb2.DT_FLOAT)
    if kind == "bytes_list":
        value = to_bytes(value) if isinstance(value, str) else decode_base64(value)
    getattr(feature, kind).value.append(int(value) if isinstance(value, bool) else value)
