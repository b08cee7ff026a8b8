"""A graph in double precision: the same operations, numbers, weights and noise, with float64 in the place of float32."""

import tensorflow as tf
from tensorflow.core.framework import types_pb2
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

FLOAT, DOUBLE = types_pb2.DT_FLOAT, types_pb2.DT_DOUBLE


def of(function):
    """Returns what function(), a dict of scalars that depend on no argument, is in float64: {name: number}."""
    traced = tf.function(function, autograph=False).get_concrete_function()
    names = sorted(traced.structured_outputs)
    frozen = convert_variables_to_constants_v2(traced, lower_control_flow=False)
    graph = frozen.graph.as_graph_def()
    order = [tensor.name for tensor in frozen.outputs]
    drawn = [node for node in graph.node if node.op.startswith("StatelessRandom") and node.attr["dtype"].type == FLOAT]
    for nodes in (graph.node, *(each.node_def for each in graph.library.function)):
        for node in nodes:
            if node not in drawn:
                _widen(node)
    for node in drawn:  # in double precision they would draw other numbers
        wide = graph.node.add(name=node.name, op="Cast", input=[f"{node.name}/single"])
        wide.attr["SrcT"].type, wide.attr["DstT"].type = FLOAT, DOUBLE
        node.name += "/single"
    for each in graph.library.function:
        for argument in (*each.signature.input_arg, *each.signature.output_arg):
            argument.type = DOUBLE if argument.type == FLOAT else argument.type
    with tf.Graph().as_default() as imported:
        tf.import_graph_def(graph, name="")
        with tf.compat.v1.Session(graph=imported) as session:
            values = session.run(order)
    return dict(zip(names, map(float, values), strict=True))


def _widen(node):
    for value in node.attr.values():
        if value.type == FLOAT:
            value.type = DOUBLE
        for i, each in enumerate(value.list.type):
            value.list.type[i] = DOUBLE if each == FLOAT else each
        if value.HasField("tensor") and value.tensor.dtype == FLOAT:
            value.tensor.CopyFrom(tf.make_tensor_proto(tf.make_ndarray(value.tensor).astype("float64")))
