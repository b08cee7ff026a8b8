"""What records hold: a features file, JSON.

    {"features": {"picture": {"dtype": "uint8", "shape": [28, 28, 1], "encoding": "picture", "role": "x"},
                  "kind": {"dtype": "int64", "shape": [], "role": "label", "classes": ["cat", "dog"]}}}

    dtype     of a raw example: uint8, int32, int64, float32, ...; "string" of a label that is text.
    shape     of it, whole numbers; [] is one number. Of pictures [height, width, 1 or 3].
    encoding  "numbers", the default: int64_list or float_list, row by row; "bytes": the little-endian bytes of the array;
              "picture": a PNG, JPEG, ... file, read as those of images:DIR are; with "resize": true other sizes are fitted.
    role      "x", "label" or none, which is not read. Without any "x" all features but the label are, or the one picture.
    classes   names of the classes 0, 1, ... of a label of numbers; by default these numbers.

The features.json of TensorFlow Datasets is read too: pictures, numbers, tensors and class labels of fixed size.
"""

import dataclasses
import json
import math
import pathlib

ENCODINGS, ROLES = ("numbers", "bytes", "picture"), ("x", "label")
KEYS = ("dtype", "shape", "encoding", "role", "classes", "resize")
DTYPES = ("uint8", "int8", "uint16", "int16", "int32", "int64", "float16", "float32", "float64", "bool")


@dataclasses.dataclass
class Feature:
    """What a record says under a name; see the module."""

    name: str
    dtype: str
    shape: tuple
    encoding: str = "numbers"
    role: str | None = None
    classes: tuple = ()
    resize: bool = False

    @property
    def size(self):
        return math.prod(self.shape)

    @property
    def columns(self):
        """Names of its numbers."""
        return [f"{self.name}[{i}]" for i in range(self.size)] if self.shape else [self.name]


def read(path):
    """Returns {name: `Feature`} of a features file, or raises a ValueError that says what is wrong in it."""
    try:
        content = json.loads(pathlib.Path(path).read_text())
        if "featuresDict" in content:
            return _of_tfds(path, content["featuresDict"]["features"])
        found = dict(content["features"])
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}; allowed: a features file, JSON (see --features)") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f'{path}: is no features file; allowed: JSON such as {{"features": {{NAME: ...}}}}') from error
    return {name: _feature(path, name, about) for name, about in found.items()}


def _feature(path, name, about):
    def refuse(key, allowed):
        raise ValueError(f"{path}: feature {name!r}: {key}: got {about.get(key)!r:.60}; allowed: {allowed}")

    if not isinstance(about, dict) or set(about) - set(KEYS):
        raise ValueError(f"{path}: feature {name!r}: got {about!r:.60}; allowed: an object with {', '.join(KEYS)}")
    made = Feature(name, **{**dict(dtype=None, shape=()), **about})
    shape = made.shape
    if made.dtype not in (*DTYPES, "string"):
        refuse("dtype", f"{', '.join(DTYPES)}, string")
    if not isinstance(shape, list | tuple) or not all(type(n) is int and n > 0 for n in shape):
        refuse("shape", "a list of whole numbers from 1")
    if made.encoding not in ENCODINGS:
        refuse("encoding", ", ".join(ENCODINGS))
    if made.role not in (None, *ROLES):
        refuse("role", ", ".join(ROLES))
    if not isinstance(made.classes, list | tuple) or not all(isinstance(each, str) for each in made.classes):
        refuse("classes", "a list of texts")
    if made.encoding == "picture" and (made.dtype != "uint8" or len(shape) != 3 or shape[2] not in (1, 3)):
        refuse("shape", "[height, width, 1 or 3] of dtype uint8, as pictures are")
    if type(made.resize) is not bool:
        refuse("resize", "true or false")
    return dataclasses.replace(made, shape=tuple(shape), classes=tuple(made.classes))


def _of_tfds(path, features):
    """The same of a features.json that TensorFlow Datasets wrote; features of other kinds are left out."""
    found = {}
    for name, about in features.items():
        kind = next((each for each in ("image", "classLabel", "tensor") if each in about), None)
        if kind is None:
            continue
        sizes = about[kind].get("shape", {}).get("dimensions", [])
        shape = [int(size) if str(size).isdigit() else 0 for size in sizes]
        if kind == "classLabel":
            names = pathlib.Path(path).parent / f"{name}.labels.txt"
            classes = names.read_text().split() if names.exists() else range(int(about[kind].get("numClasses", 0)))
            found[name] = Feature(name, "int64", (), role="label", classes=tuple(map(str, classes)))
        elif kind == "image" or about[kind].get("dtype") in DTYPES:
            encoding = "picture" if kind == "image" else "numbers"
            dtype = about[kind].get("dtype", "uint8")
            found[name] = _feature(path, name, dict(dtype=dtype, shape=shape, encoding=encoding))
    return found
