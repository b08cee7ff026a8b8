"""The user's own records: `tfrecord:PATTERN`, files of tf.Example by a pattern of names, plain or GZIP.

What a record holds, a features file says (see `record_features`): `--features=FILE`, else features.json beside the first
file. Several features of role x are columns, side by side, in the order of the features file. A label of -1, an empty one or
none is unlabelled.
"""

import gzip
import pathlib
import re
import zlib

import numpy as np
import tensorflow as tf

from tfadgm import telling
from tfadgm.data import files, labels, npz, on_disk, picture_files, ranges, record_features, table_notes
from tfadgm.data.dataset import UNLABELLED, Dataset

LABEL, FEATURES_FILE = "label", "features.json"
KIND = "a file of tf.Example records"
NAME = re.compile(r"\.tfrecords?(-\d+-of-\d+)?(\.gz)?$")
TOLD_RECORDS = 1000  # read until it is told


class Records:
    """The features of records that are read: x, and the label if there is one.

    Args:
      path: of the features file.
      label: the feature of the labels; None: there is none; `LABEL`: the one of this role, or of this name, if any.
      known: names of a model's columns, of which x is to be; None: as the file says.
    """

    def __init__(self, path, label=LABEL, known=None):
        self.path, self.remarks = str(path), picture_files.Remarks()
        found = record_features.read(path)
        self.label = self._label(found, label)
        given = [each for each in found.values() if each.role == "x" and each is not self.label]
        rest = [each for each in found.values() if each is not self.label and each.dtype != "string" and each.role is None]
        pictures = [each for each in rest if each.encoding == "picture"]
        self.x = given or (pictures if len(pictures) == 1 else rest)
        if known is not None:
            self.x = [each for each in found.values() if set(each.columns) <= set(known)]
            if self.names != list(known):
                told = table_notes.listed(list(known))
                raise ValueError(f"{path}: has not all columns of the model, or in another order; allowed: {told}")
        if not self.x:
            raise ValueError(f"{path}: has no feature for x; allowed: one of role x, of numbers or a picture")
        if len(self.x) > 1 and any(each.encoding == "picture" for each in self.x):
            raise ValueError(f"{path}: has a picture and other features for x; allowed: one picture, or numbers")
        text = next((each for each in self.x if each.dtype not in record_features.DTYPES), None)
        if text is not None:
            told = f"has dtype {text.dtype!r} for x; allowed: {', '.join(record_features.DTYPES)}"
            raise ValueError(f"{path}: feature {text.name!r}: {told}")

    def _label(self, found, label):
        if label is None:
            return None
        if label != LABEL and label not in found:
            raise ValueError(f"label: got {label!r}, which {self.path} has not; allowed: its features, {', '.join(found)}")
        if label != LABEL:
            return found[label]
        return next((each for each in found.values() if each.role == "label"), found.get(LABEL))

    @property
    def is_picture(self):
        """Whether x is a picture that records hold as a file."""
        return self.x[0].encoding == "picture"

    @property
    def any_size(self):
        """Whether pictures of other sizes are fitted."""
        return self.is_picture and self.x[0].resize

    @property
    def shape(self):
        """Of one raw example."""
        return self.x[0].shape or (1,) if len(self.x) == 1 else (sum(each.size for each in self.x),)

    @property
    def dtype(self):
        """Of raw examples: of several features theirs, if it is one, else float32."""
        kinds = {each.dtype for each in self.x}
        return np.dtype(kinds.pop() if len(kinds) == 1 else "float32")

    @property
    def names(self):
        """Of the columns, where x is several features; else None."""
        if len(self.x) == 1:
            return None
        return [name for each in self.x for name in each.columns]

    def read(self, names, with_labels=True):
        """Returns (x [N, *shape], labels, a list of N numbers or texts) of the files `names`.

        Raises:
          ValueError: that names file, record and feature for what is none.
        """
        x, y, texts = on_disk.Growing(self.shape, self.dtype, names[0]), [], {}
        for name in names:
            for number, record in enumerate(_records(name)):
                where = f"{name}: record {number} (from 0)"
                try:
                    features = tf.train.Example.FromString(record).features.feature
                except Exception as error:  # of protobuf's own types
                    raise ValueError(f"{where}: is no tf.Example; allowed: {KIND}") from error
                parts = [self._values(each, features, where) for each in self.x]
                x.add((parts[0] if len(parts) == 1 else np.concatenate([part.reshape(-1) for part in parts]))[np.newaxis])
                label = self._label_of(features, where) if with_labels and self.label is not None else UNLABELLED
                y.append(texts.setdefault(label, label))  # each text once in memory
        if not x.rows:
            raise ValueError(f"{names[0]}: holds no record; allowed: at least one in the files of the pattern")
        return x.array(), y

    def _values(self, feature, features, where):
        """Returns what a record says of a feature of x, an array of its shape."""
        where = f"{where}: feature {feature.name!r}"
        kind = features[feature.name].WhichOneof("kind") if feature.name in features else None
        wanted = ("int64_list", "float_list") if feature.encoding == "numbers" else ("bytes_list",)
        if kind not in wanted:
            got = "nothing" if kind is None else kind
            raise ValueError(f"{where}: got {got}; allowed: {' or '.join(wanted)}, as {self.path} says")
        values = getattr(features[feature.name], kind).value
        if feature.encoding == "picture":
            shape = feature.shape
            return picture_files.read_image(where, shape, self.remarks, feature.resize, content=_one(values, where))
        if feature.encoding == "bytes":
            found, dtype = _one(values, where), np.dtype(feature.dtype)
            if len(found) != feature.size * dtype.itemsize:
                told = f"{feature.size * dtype.itemsize} bytes of {feature.dtype} {list(feature.shape)}"
                raise ValueError(f"{where}: got {len(found)} bytes; allowed: {told}")
            found = np.frombuffer(found, dtype.newbyteorder("<"))
        else:
            found = np.array(values, "int64" if kind == "int64_list" else "float32")
            if found.size != feature.size:
                shape = f"{feature.size}, of shape {list(feature.shape)}"
                raise ValueError(f"{where}: got {found.size} numbers; allowed: {shape}")
        if found.dtype.kind == "f" and not np.isfinite(found).all():
            raise ValueError(f"{where}: got {found[~np.isfinite(found)][0]}; allowed: finite numbers")
        try:
            return ranges.as_dtype(found, feature.dtype).reshape(feature.shape or (1,))
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from None

    def _label_of(self, features, where):
        """Returns a label, a number or a text; `UNLABELLED` or "" where there is none."""
        name, text = self.label.name, self.label.dtype == "string"
        kind = features[name].WhichOneof("kind") if name in features else None
        values = getattr(features[name], kind).value if kind else ()
        if not values:
            return "" if text else UNLABELLED
        if len(values) > 1 or kind != ("bytes_list" if text else "int64_list"):
            told = "one text (bytes_list)" if text else "one whole number (int64_list)"
            raise ValueError(f"{where}: feature {name!r}: got {len(values)} values of {kind}; allowed: {told}, or none")
        if not text:
            return values[0]
        try:
            return values[0].decode()
        except UnicodeDecodeError:
            raise ValueError(f"{where}: feature {name!r}: got bytes that are no UTF-8; allowed: text") from None


def _one(values, where):
    if len(values) != 1:
        raise ValueError(f"{where}: got {len(values)} byte strings; allowed: one")
    return values[0]


def _records(name):
    """Yields the records of a file, as bytes; GZIP is found by itself."""
    number, size, read, kind = 0, pathlib.Path(name).stat().st_size, 0, "GZIP" if _is_zipped(name) else ""
    try:
        for record in tf.data.TFRecordDataset(name, compression_type=kind, buffer_size=1 << 18).as_numpy_iterator():
            yield record
            number, read = number + 1, read + len(record) + 16
            if number % TOLD_RECORDS == 0:
                telling.advance(name, min(read, size), size)
    except tf.errors.OpError as error:
        told = "is cut off or damaged, or the file is of another kind"
        raise ValueError(f"{name}: record {number} (from 0): {told}; allowed: {KIND}, plain or GZIP") from error
    telling.advance(name, size, size)


def _is_zipped(name):
    """Whether a file begins with what gzip unpacks: the length of a first record may look like its two bytes."""
    try:
        with gzip.open(name) as file:
            return len(file.read(12)) == 12
    except (OSError, EOFError, zlib.error):
        return False


def beside(names, features=None):
    """Returns the path of the features file of records: `features`, or the one beside the first of the files `names`."""
    found = pathlib.Path(files.expanded(features)) if features else pathlib.Path(names[0]).parent / FEATURES_FILE
    if not found.is_file():
        raise ValueError(f"features: got no {found}; allowed: --features=FILE, JSON that says what the records hold")
    return found


def load(argument=None, *, label=LABEL, features=None, test_files=None, **_):
    """Returns the data set in the records of the pattern `argument`.

    Args:
      argument: the pattern; ** is folders at any depth.
      label: see `Records`.
      features: the features file; None: features.json beside the first file.
      test_files: the pattern of the files of the test set, of the same features; None: there is none.
    """
    if not argument:
        raise ValueError("dataset tfrecord: got no files; allowed: tfrecord:PATTERN")
    names = files.matched(argument, "dataset tfrecord")
    tests = files.matched(test_files, "test_files") if test_files else []
    both = sorted(set(names) & set(tests))
    if both:
        raise ValueError(f"test_files: {both[0]} is of the training files too; allowed: other files")
    records = Records(beside(names, features), label)
    x, y = records.read(names)
    x_test, y_test = records.read(tests) if tests else (None, None)
    given = dict(y=y) | (dict(y_test=y_test) if tests else {})
    numbers, classes, spelled = _classes(names[0], records.label, given)
    data = Dataset(
        argument, x, numbers["y"], x_test, numbers.get("y_test") if classes else None, classes, **_kind(records, x)
    )
    data.feature_names, data.any_size = records.names, records.any_size
    data.notes = (labels.told(data.y_train, classes, spelled),)
    data.warnings = tuple(f"{argument}: {line}" for line in records.remarks.lines())
    if x_test is not None:
        data.warnings += tuple(ranges.compare(f"{test_files}", x_test, ranges.of(data), records.names))
    if not classes:
        had = "has no label" if records.label is None else f"feature {records.label.name!r} is unlabelled in every record"
        data.without_classes = f"{argument}: {had}"
    return data


def _kind(records, x):
    if not records.is_picture:
        return npz.describe(x)
    if x.shape[-1] == 1:
        return dict(likelihood="bernoulli", levels=256, scale=1 / 255)
    return dict(likelihood="gaussian", levels=256, scale="standardise_channels")


def _classes(where, label, given):
    """Returns what `npz.class_numbers` does, with the names that the features file gives."""
    text = label is not None and label.dtype == "string"
    arrays = {name: np.asarray(y, str if text else "int64") for name, y in given.items()}
    numbers, names, spelled = npz.class_numbers(where, arrays)
    if label is None or not label.classes:
        return numbers, names, spelled
    most = max(int(y.max(initial=UNLABELLED)) for y in numbers.values())
    if text or most >= len(label.classes):
        got = "text" if text else f"the label {most}"
        raise ValueError(f"{where}: feature {label.name!r}: got {got}; allowed: numbers of its {len(label.classes)} classes")
    return numbers, list(label.classes) if names else [], spelled


def read(name, known=None):
    """Returns (x, whether it is of pictures) of one file of records, by the features.json beside it; no labels.

    Args:
      name: of the file.
      known: names of a model's columns, if it has any.
    """
    records = Records(beside([name]), known=known)
    return records.read([str(name)], with_labels=False)[0], records.is_picture
