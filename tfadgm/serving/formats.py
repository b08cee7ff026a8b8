"""The classifier alone as a LiteRT (.tflite) or ONNX file, for devices that have no TensorFlow.

One input x, raw [N, ...] (of tables raw rows, NaN where a cell is missing; LiteRT alone), one output, probabilities float32
[N, K]. The noise of a is inside the file, so the answers are those of the SavedModel but for rounding; a file that agrees
with the model on less than `AGREEMENT` of the examples is not kept.
"""

import contextlib
import importlib.util
import pathlib
import warnings
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from tfadgm.data.table_preprocess import TablePreprocess
from tfadgm.models.base import DeepGenerativeModel
from tfadgm.serving import signatures

AGREEMENT = 0.999
FILES = {"litert": "model.tflite", "onnx": "model.onnx"}
PACKAGES = {"litert": ("ai_edge_litert",), "onnx": ("tf2onnx", "onnxruntime")}


class Probabilities(keras.Model):
    """q(y|x), float32 [N, K], of raw examples."""

    def __init__(self, model: DeepGenerativeModel, samples: int) -> None:
        super().__init__(name="probabilities")
        self.model, self.samples, self.built = model, samples, True

    def call(self, x: tf.Tensor) -> tf.Tensor:
        return tf.exp(signatures.log_class_probs(self.model, x, self.samples))


def save(
    model: DeepGenerativeModel,
    directory: pathlib.Path | str,
    kind: str,
    examples: np.ndarray,
    samples: int = 100,
    quantise: str = "none",
) -> tuple[pathlib.Path, dict[str, float]]:
    """Writes `directory`/model.tflite or model.onnx and compares it with `model`.

    Args:
      model: a `DeepGenerativeModel` that classifies.
      directory: created if needed, and then removed again after a failure.
      kind: "litert" or "onnx".
      examples: raw examples to compare on, such as the test set.
      samples: draws of the latents before y.
      quantise: "none", or for litert "float16" or "dynamic" (weights of 8 bits).

    Returns:
      (path, {"examples", "agreement": share of equal classes, "largest_difference": of a probability, "bytes"}).

    Raises:
      ValueError: if the model does not classify, a package is missing, the converter fails, or the file agrees on
        less than `AGREEMENT`.
    """
    _check(model, kind, quantise)
    path = pathlib.Path(directory) / FILES[kind]
    made = [folder for folder in (path.parent, *path.parent.parents) if not folder.exists()]
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"unfinished-{path.name}")
    classifier = Probabilities(model, samples)
    spec = tf.TensorSpec([None, *model.preprocess.raw_shape], model.preprocess.raw_dtype, "x")
    try:
        found = _convert(classifier, unfinished, kind, spec, examples, quantise)
        if found["agreement"] < AGREEMENT:
            raise ValueError(
                f"format: {kind} (quantise: {quantise}) agrees with the model on {found['agreement']:.2%} of "
                f"{found['examples']} examples; allowed: at least {AGREEMENT:.1%}"
            )
        unfinished.replace(path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # another program has written there
            for folder in made:
                folder.rmdir()
        raise
    return path, found


def _convert(classifier, path, kind, spec, examples, quantise):
    """Writes the file and returns how it compares; what a converter or an interpreter cannot do is a ValueError."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the converters, about their own dependencies
            classifier.export(path, format=kind, input_signature=[spec], verbose=False, **_options(kind, quantise))
        return compare(path, classifier, examples)
    except Exception as error:  # each library raises kinds of its own
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ValueError(f"format: {kind} cannot hold this model: {reason}; allowed: tf_saved_model") from error


def _check(model, kind, quantise):
    if not model.classifies:
        raise ValueError(f"format: got {kind} for a model without classes; allowed: tf_saved_model")
    if kind == "onnx" and isinstance(model.preprocess, TablePreprocess):
        raise ValueError("format: got onnx for a model of tables, whose log1p it has not; allowed: litert, tf_saved_model")
    if quantise != "none" and kind != "litert":
        raise ValueError(f"quantise: got {quantise} for {kind}; allowed: none")
    missing = [name for name in PACKAGES[kind] if importlib.util.find_spec(name) is None]
    if missing:
        raise ValueError(f"format: {kind} needs {', '.join(missing)}; allowed: after pip install 'tfadgm[{kind}]'")


def _options(kind, quantise):
    if quantise == "none":
        return {}
    options = dict(optimizations=[tf.lite.Optimize.DEFAULT])
    return options | (dict(target_spec=dict(supported_types=[tf.float16])) if quantise == "float16" else {})


def compare(path: pathlib.Path | str, classifier: keras.Model, examples: np.ndarray, batch: int = 100) -> dict[str, float]:
    """Returns how the file's answers differ from those of `classifier`; see `save`."""
    by_model, by_file = [], []
    answer = open_file(path)
    for i in range(0, len(examples), batch):
        x = np.ascontiguousarray(examples[i : i + batch])
        by_model.append(np.asarray(classifier(tf.constant(x))))
        by_file.append(answer(x))
    ours, theirs = np.concatenate(by_model), np.concatenate(by_file)
    same = (ours.argmax(1) == theirs.argmax(1)) & np.isfinite(ours + theirs).all(1)
    return dict(
        examples=len(examples),
        agreement=float(np.mean(same)),
        largest_difference=float(np.abs(ours - theirs).max()),
        bytes=pathlib.Path(path).stat().st_size,
    )


def open_file(path: pathlib.Path | str) -> Callable[[np.ndarray], np.ndarray]:
    """Returns the function x -> probabilities, of NumPy arrays, that the file at `path` holds."""
    if str(path).endswith(".onnx"):
        import onnxruntime

        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        name = session.get_inputs()[0].name
        return lambda x: session.run(None, {name: x})[0]
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(path))

    def answer(x):
        (given,), (asked,) = interpreter.get_input_details(), interpreter.get_output_details()
        if tuple(given["shape"]) != x.shape:
            interpreter.resize_tensor_input(given["index"], x.shape)
        interpreter.allocate_tensors()
        interpreter.set_tensor(given["index"], x)
        interpreter.invoke()
        return interpreter.get_tensor(asked["index"])

    return answer
