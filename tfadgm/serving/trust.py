"""What a SavedModel, or a checkpoint, from anybody may hold: it is looked at as a file before TensorFlow loads it.

`tf.saved_model.load` and the signatures run whatever operations the graph has: some read and write files, open connections
or call Python. Ours compute, and nothing else. What these compute is not bounded: see SECURITY.md.
"""

import glob
import math
import os
import pathlib
from collections.abc import Collection

import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow.core.protobuf import saved_model_pb2

from tfadgm.data import files

MOST_GRAPH = 256 << 20  # bytes of a graph, and of the constants that it announces
KINDS = ("user_object", "bare_concrete_function", "function", "variable", "constant", "resource", "captured_tensor")
OBJECTS = (
    "_generic_user_object",
    "signature_map",
    "trackable_list_wrapper",
    "trackable_dict_wrapper",
    "trackable_tuple_wrapper",
)
# Operations of which each is a function of its inputs alone, or reads a variable, a table or a list of the graph.
ALLOWED = frozenset(
    """
    Abs AddN AddV2 All Any ArgMax ArgMin AsString Assert BatchMatMulV2 Betainc BiasAdd Bincount Bitcast BitwiseAnd
    BitwiseOr BitwiseXor BroadcastArgs BroadcastGradientArgs BroadcastTo Bucketize Cast Ceil CheckNumerics Cholesky
    ClipByValue ConcatV2 Const Conv2D Conv2DBackpropInput Cos Cumprod Cumsum DecodeImage DecodeJpeg DecodePaddedRaw
    DecodePng DecodeProtoV2 DecodeRaw DenseBincount DepthToSpace DepthwiseConv2dNative Digamma DivNoNan DynamicPartition
    DynamicStitch Einsum Elu EmptyTensorList EnsureShape Equal Erf Erfc Erfinv Exp ExpandDims Expm1 ExtractJpegShape
    Fill Floor FloorDiv FloorMod GatherNd GatherV2 Greater GreaterEqual HashTableV2 Identity IdentityN If Igamma Igammac
    InvertPermutation IsFinite IsInf IsNan L2Loss LeakyRelu LeftShift Less LessEqual Lgamma LinSpace Log Log1p
    LogMatrixDeterminant LogSoftmax LogicalAnd LogicalNot LogicalOr LookupTableFindV2 LookupTableImportV2
    LookupTableSizeV2 LowerBound MatMul MatrixBandPart MatrixDeterminant MatrixDiagPartV3 MatrixDiagV3 MatrixInverse
    MatrixSetDiagV3 MatrixTriangularSolve Max Maximum Mean Min Minimum MirrorPad Mul MulNoNan Ndtri Neg NoOp NotEqual
    OneHot OnesLike Pack Pad PadV2 ParseExampleV2 PartitionedCall Placeholder Polygamma Pow PreventGradient Prod Qr
    Range Rank ReadVariableOp RealDiv Reciprocal Relu Relu6 Reshape ResizeArea ResizeBilinear ReverseV2 RightShift Rint
    Round Rsqrt ScaleAndTranslate ScatterNd Select SelectV2 Selu Shape ShapeN Sigmoid Sign Sin Size Slice Softmax
    SoftmaxCrossEntropyWithLogits Softplus Softsign SpaceToDepth Split SplitV Sqrt Square SquaredDifference Squeeze
    StatefulPartitionedCall StatelessCase StatelessIf StatelessMultinomial StatelessRandomBinomial
    StatelessRandomGammaV3 StatelessRandomGetAlg StatelessRandomGetKeyCounter StatelessRandomNormalV2
    StatelessRandomPoisson StatelessRandomUniformFullIntV2 StatelessRandomUniformIntV2 StatelessRandomUniformV2
    StatelessTruncatedNormalV2 StatelessWhile StaticRegexFullMatch StaticRegexReplace StopGradient StridedSlice
    StringJoin StringLength StringLower StringSplitV2 StringStrip StringToNumber StringUpper Sub Substr Sum Tan Tanh
    TensorListConcatV2 TensorListElementShape TensorListFromTensor TensorListGetItem TensorListLength TensorListPopBack
    TensorListPushBack TensorListReserve TensorListSetItem TensorListStack TensorScatterAdd TensorScatterUpdate Tile
    TopKV2 Transpose TruncateDiv TruncateMod Unpack UnsortedSegmentMax UnsortedSegmentMin UnsortedSegmentSum UpperBound
    VarHandleOp Where While Xdivy Xlog1py Xlogy ZerosLike Zeta
    """.split()
)


def read(path: pathlib.Path | str) -> saved_model_pb2.SavedModel:
    """Returns the content of the saved_model.pb in the directory `path`, with one graph, or raises a ValueError."""
    file = pathlib.Path(path) / "saved_model.pb"
    files.check_regular(file, "a SavedModel")
    if file.stat().st_size > MOST_GRAPH:
        raise ValueError(f"{file}: has {file.stat().st_size} bytes; allowed: at most {MOST_GRAPH}")
    message = saved_model_pb2.SavedModel()
    try:
        message.ParseFromString(file.read_bytes())
    except DecodeError as error:
        raise ValueError(f"{path}: not a readable SavedModel: {error}") from None
    if len(message.meta_graphs) != 1 or not message.meta_graphs[0].object_graph_def.nodes:
        raise ValueError(
            f"{path}: has {len(message.meta_graphs)} graphs; allowed: one, with objects, as TensorFlow 2 saves it"
        )
    return message


def check_saved_model(path: pathlib.Path | str, allow_ops: Collection[str] = ()) -> None:
    """Raises a ValueError if loading the SavedModel `path`, or asking its signatures, could do more than compute.

    Args:
      path: its directory.
      allow_ops: names of operations that are allowed beside `ALLOWED`.
    """
    graph = read(path).meta_graphs[0]
    foreign = sorted(_operations(graph, path) - ALLOWED - set(allow_ops))
    if foreign:
        listed = ", ".join(foreign[:10]) + (f" and {len(foreign) - 10} more" if len(foreign) > 10 else "")
        raise ValueError(
            f"{path}: its graph has the operations {listed}; allowed: those that compute and nothing else; whoever trusts "
            f"the file names these by --allow_ops"
        )
    for node in graph.object_graph_def.nodes:
        kind = node.WhichOneof("kind")
        if kind not in KINDS or (kind == "user_object" and node.user_object.identifier not in OBJECTS):
            what = node.user_object.identifier if kind == "user_object" else kind
            raise ValueError(f"{path}: holds an object of the kind {what!r}; allowed: {', '.join(KINDS)}")
    check_checkpoint(pathlib.Path(path) / "variables" / "variables")


def _operations(graph, path):
    """Returns the names of the operations that loading and asking may run: of all functions that objects lead to."""
    library = {function.signature.name: function for function in graph.graph_def.library.function}
    pending, seen, found, constants = list(graph.object_graph_def.concrete_functions), set(), set(), 0
    while pending:
        name = pending.pop()
        if name in seen or name not in library:
            continue
        seen.add(name)
        for node in library[name].node_def:
            if node.op in library:
                pending.append(node.op)
            else:
                found.add(node.op)
            if node.op == "DecodeProtoV2" and not _inline(node.attr["descriptor_source"].s):
                found.add("DecodeProtoV2 of a file")
            for value in node.attr.values():
                pending += [value.func.name, *(each.name for each in value.list.func)]
                constants += _bytes(value.tensor)
    if constants > MOST_GRAPH:
        raise ValueError(f"{path}: its graph has constants of {constants} bytes; allowed: at most {MOST_GRAPH}")
    return found


def _inline(source):
    return source.startswith((b"bytes://", b"local://")) or not source


def _bytes(tensor):
    """The memory that a `TensorProto` will take, whatever the file holds of it."""
    sizes = [max(0, dim.size) for dim in tensor.tensor_shape.dim]
    return math.prod(sizes) * (tf.as_dtype(tensor.dtype).size if tensor.dtype else 0)


def check_checkpoint(prefix: pathlib.Path | str) -> None:
    """Raises a ValueError if a checkpoint's files are none, or hold less than the arrays that they announce."""
    parts = [f"{prefix}.index", *sorted(glob.glob(f"{glob.escape(str(prefix))}.data-*"))]
    for part in parts:
        files.check_regular(part, "a file of a checkpoint")
    held = sum(os.path.getsize(part) for part in parts[1:])
    reader = tf.train.load_checkpoint(str(prefix))
    types = reader.get_variable_to_dtype_map()
    needed = sum(math.prod(shape) * types[name].size for name, shape in reader.get_variable_to_shape_map().items())
    if needed > held:
        raise ValueError(f"{prefix}: announces arrays of {needed} bytes; allowed: at most the {held} that its files hold")
