"""Tensors to and from protobuf as TensorFlow's C++ does it, and a SavedModel run as TF Serving's C++ runs it."""

import math

import numpy as np
import tensorflow as tf
from statuses import invalid
from tensorflow.core.framework import tensor_pb2, types_pb2
from tensorflow.core.protobuf import config_pb2

DataType = types_pb2.DataType
KNOWN = set(DataType.values())
# A request of gRPC has less than 2^31 bytes: a tensor with more elements is a few values repeated, to fill the memory.
MOST_ELEMENTS = 2**31 - 1
FIELDS = {DataType.Value(f"DT_{kind}"): "int_val" for kind in ("INT32", "INT16", "INT8", "UINT8", "UINT16")}
FIELDS |= {DataType.Value(f"DT_{kind.upper()}"): f"{kind}_val" for kind in ("float", "double", "string", "bool", "int64")}
FIELDS |= {types_pb2.DT_UINT32: "uint32_val", types_pb2.DT_UINT64: "uint64_val"}
FIELDS |= {types_pb2.DT_HALF: "half_val", types_pb2.DT_BFLOAT16: "half_val"}


def type_name(dtype):
    """C++ name of a DataType: float, double, half, int32, string, ..."""
    return DataType.Name(dtype)[3:].lower()


def read_tensor(name, proto):
    """The tensor of a `TensorProto`, read by TensorFlow's C++: an int_val out of a uint8's range wraps around.

    Raises:
      ServingError: INVALID_ARGUMENT for a proto whose parts contradict each other.
    """
    sizes = [dim.size for dim in proto.tensor_shape.dim]
    if proto.dtype not in KNOWN or min(sizes, default=0) < 0 or math.prod(sizes) > MOST_ELEMENTS:
        raise invalid("tensor parsing error: ", name)
    try:
        return tf.io.parse_tensor(proto.SerializeToString(), tf.as_dtype(proto.dtype))
    except (tf.errors.OpError, TypeError, ValueError):
        raise invalid("tensor parsing error: ", name) from None


def write_tensor(array):
    """The `TensorProto` of an array, its values in the typed field (`float_val`, ...) and not in `tensor_content`."""
    dtype = tf.as_dtype(tf.string if array.dtype == object else array.dtype).as_datatype_enum
    if dtype not in FIELDS:
        return tf.make_tensor_proto(array)
    proto = tensor_pb2.TensorProto(dtype=dtype)
    for size in array.shape:
        proto.tensor_shape.dim.add(size=size)
    values = array.view("uint16") if FIELDS[dtype] == "half_val" else array
    getattr(proto, FIELDS[dtype]).extend(values.ravel().tolist())
    return proto


def as_array(tensor):
    """A tensor's array, of dtype object for strings; a scalar too is an array."""
    return np.asarray(tensor.numpy(), object if tensor.dtype == tf.string else None)


def session_run(path, signature_name, **inputs):
    """Outputs of a signature as TF Serving's C++ gets them: from a session, fed without any check of the shapes.

    The server of this folder checks shapes. The real one does not: a graph that reshapes its input answers a wrong shape
    with wrong rows. This shows what an export does by itself.
    """
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        signature = tf.compat.v1.saved_model.load(session, ["serve"], str(path)).signature_def[signature_name]
        options = config_pb2.CallableOptions(feed=[signature.inputs[name].name for name in inputs])
        options.fetch.extend(info.name for info in signature.outputs.values())
        # `Session.run` would check the shapes in Python.
        return dict(zip(signature.outputs, session._make_callable_from_options(options)(*inputs.values()), strict=True))
