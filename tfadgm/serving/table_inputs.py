"""What a served model of tables reads, as functions of TensorFlow: tf.Example or tensors by column to raw rows.

Cells become numbers by the rules of `data.cells`, so that a row has one answer, wherever it comes from. A cell of a column
may come as text, as a whole number or as a float, whatever people write:

    number, count   a number; NaN is missing, and so is text that says that a cell is (`cells.MISSING`)
    binary          0 or 1, or one of the words of `cells.TRUTH` and of the column
    category        its text; a whole number, if the column has one among its categories; any other text is "other"
    date            text of ISO 8601, such as 2024-12-31 or 2024-12-31T12:30:00+01:00

Everything else is an InvalidArgument that names the column and the row.
"""

import re
from collections.abc import Sequence

import numpy as np
import tensorflow as tf
from google.protobuf import descriptor_pb2

from tfadgm.data import cells
from tfadgm.data.columns import Column
from tfadgm.data.table_preprocess import UNLEARNED

WHITE = r"[\pZ\t-\r\x1c-\x1f\x{85}]"
WHOLE = r"[+-]?(?:0|[1-9][0-9]*)"
EXACT = 1 << 24  # float32 holds all whole numbers up to it
SECONDS_OF_DAY, MICROSECONDS = 86400, 1_000_000
# year, month, day, hour, minute, second, fraction, zone
DATE = r"^(\d{4})-(\d{2})-(\d{2})(?:[T ](\d{2}):(\d{2})(?::(\d{2})(?:[.,](\d+))?)?(Z|[+-]\d{2}:?\d{2})?)?$"
ALLOWED = dict(
    number="a number that is finite",
    binary="0 or 1, true or false, yes or no",
    count="a whole number, 0 or more",
    category="text",
    date="a date such as 2024-12-31",
)


def is_text(column: Column) -> bool:
    """Whether a column is a tensor of strings in the signature `predict`: its cells are words. Others are float32."""
    return column.kind in ("category", "date") or bool(column.categories)


class Reader:
    """Reads the cells of a table's columns in a graph.

    Args:
      columns: C `columns.Column`s.
      missing: whether a cell may be missing; if not, one that is fails, as the model has not learned of it.

    Attributes:
      tables: what a module that is saved must hold, so that the graph finds its lookups again.
    """

    def __init__(self, columns: Sequence[Column], missing: bool = True) -> None:
        self.columns, self.missing = list(columns), missing
        codes = {f"{c}:{text}": code for c, column in enumerate(columns) for text, code in _codes(column).items()}
        self._codes, self._names = _lookup(codes), _lookup({column.name: c for c, column in enumerate(columns)})
        self.tables = [self._codes, self._names]
        # Whole numbers say a category where one of the categories is such a number.
        self._numbered = [column.kind == "category" and _has_whole(column.categories) for column in columns]

    def rows(self, tensors: Sequence[tf.Tensor]) -> tf.Tensor:
        """Returns raw rows, float32 [N, C], of one tensor [N] per column: strings where `is_text`, else float32."""
        parts, order = [], []
        for text, read in ((True, self._of_text), (False, self._of_numbers)):
            at = [c for c, column in enumerate(self.columns) if is_text(column) == text]
            if at:
                given = tf.stack([tf.ensure_shape(tensors[c], [None]) for c in at], 1)
                row, column = (
                    tf.reshape(part, [-1]) for part in tf.meshgrid(_range(given, 0), _constant(at), indexing="ij")
                )
                values = read(tf.reshape(given, [-1]), column, row)
                parts.append(tf.reshape(values, tf.shape(given)))
                order += at
        return self._complete(tf.gather(tf.concat(parts, 1), np.argsort(order), axis=1))

    def parse_examples(self, serialised: tf.Tensor) -> tf.Tensor:
        """Returns raw rows, float32 [N, C], of serialised tf.Example protos, string [N]: a feature per column, by its name.

        A column that is absent, or whose feature is empty, is missing.
        """
        features, row = _field(serialised, "Example", "features")
        entries, at = _field(features, "Features", "feature")
        row, names = tf.gather(row, at), _keys(entries)
        column = self._names.lookup(names)
        known = column >= 0
        with tf.control_dependencies([self._known(known, names, row)]):
            last = self._last(row, column, tf.shape(serialised)[0])
        entries, row, column = (tf.boolean_mask(part, last) for part in (entries, row, column))
        lists, entry = _field(entries, "Entry", "value")
        found = {kind: _values(lists, entry, kind) for kind in ("bytes", "float", "int64")}
        numbers = sum(tf.math.bincount(_int(at), minlength=tf.shape(row)[0]) for _, at in found.values())
        got = tf.strings.join([tf.as_string(numbers), " values"])
        with tf.control_dependencies([self._check(numbers <= 1, column, row, got, "at most 1 value")]):
            x = tf.fill([tf.shape(serialised)[0], len(self.columns)], np.float32(np.nan))
        for kind, read in (("bytes", self._of_text), ("float", self._of_floats), ("int64", self._of_wholes)):
            values, at = found[kind]
            cell = tf.gather(row, at), tf.gather(column, at)
            x = tf.tensor_scatter_nd_update(x, tf.stack(cell, 1), read(values, cell[1], cell[0]))
        return self._complete(x)

    def _complete(self, x):
        """Returns raw rows as they are; fails if a cell is missing and the model has not learned of that."""
        if self.missing:
            return x
        at = tf.where(tf.math.is_nan(x))[:1]
        names = tf.constant([each.name for each in self.columns])
        told = ["column '", tf.gather(names, at[:, 1]), "', row ", _text(at[:, 0]), " (from 0): is missing; allowed: "]
        told = tf.strings.join([*told, UNLEARNED])
        with tf.control_dependencies([tf.debugging.Assert(tf.equal(tf.size(at), 0), [told])]):
            return tf.identity(x)

    def _known(self, known, names, row):
        wrong = tf.where(~known)[:1, 0]
        got = tf.strings.join(["feature '", tf.gather(names, wrong), "', row ", _text(tf.gather(row, wrong)), " (from 0)"])
        some = ", ".join(column.name for column in self.columns[:10]) + ", ..." * (len(self.columns) > 10)
        message = tf.strings.join([got, f": is no column of the model; allowed: {some}"])
        return tf.debugging.Assert(tf.reduce_all(known), [message])

    def _last(self, row, column, n):
        """Which entries are the last of their row and column: of features that come twice, as protobuf has it."""
        cell, number = row * len(self.columns) + tf.maximum(column, 0), tf.range(tf.size(row, tf.int64))
        latest = tf.math.unsorted_segment_max(number, cell, tf.cast(n, tf.int64) * len(self.columns))
        return tf.gather(latest, cell) == number

    def _of_text(self, text, column, row):
        """Returns the values of cells that are text, float32 [M]; column and row are their numbers, int64 [M]."""
        text = tf.strings.regex_replace(text, f"^{WHITE}+|{WHITE}+$", "")
        lower = tf.strings.lower(text, encoding="utf-8")
        missing = tf.strings.regex_full_match(lower, "|".join(map(re.escape, cells.MISSING)))
        kinds = self._kinds(column)
        plain = tf.where(kinds["binary"], lower, text)
        plain = tf.strings.regex_replace(plain, rf"^({WHOLE})\.0+$", r"\1")  # 1.0 is 1
        code = self._codes.lookup(tf.strings.join([_text(column), ":", plain]))
        value = tf.cast(code, tf.float64)
        other = tf.constant([len(each.categories) for each in self.columns], tf.float64)
        value = tf.where(kinds["category"] & (code < 0), tf.gather(other, column), value)
        right = missing | kinds["category"] | (kinds["binary"] & (code >= 0))
        if any(each.kind == "date" for each in self.columns):
            days, is_date = _days(text)
            value, right = tf.where(kinds["date"], days, value), right | (kinds["date"] & is_date)
        with tf.control_dependencies([self._check(right, column, row, _quoted(text))]):
            return tf.cast(tf.where(missing, np.float64(np.nan), value), tf.float32)

    def _of_numbers(self, values, column, row):
        """Likewise of float32 cells of columns that are numbers, counts or 0 and 1."""
        kinds, finite = self._kinds(column), tf.math.is_finite(values)
        right = kinds["number"] | kinds["count"] & (values >= 0) & (values == tf.round(values))
        right = (right | kinds["binary"] & ((values == 0) | (values == 1))) & finite | tf.math.is_nan(values)
        with tf.control_dependencies([self._check(right, column, row, tf.as_string(values, shortest=True))]):
            return tf.identity(values)

    def _of_floats(self, values, column, row):
        """Likewise of float32 cells of any columns: a category may be a whole number."""
        exact = (values == tf.round(values)) & (tf.abs(values) <= EXACT)
        whole = tf.cast(tf.where(exact, values, 0), tf.int64)
        return self._of_any(values, whole, exact, column, row)

    def _of_wholes(self, values, column, row):
        """Likewise of int64 cells."""
        as_float = tf.cast(tf.cast(values, tf.float64), tf.float32)  # rounded as numbers of files are
        return self._of_any(as_float, values, tf.ones_like(values, tf.bool), column, row)

    def _of_any(self, values, whole, exact, column, row):
        worded = self._kinds(column)["category"] | self._kinds(column)["date"]
        named = tf.gather(self._numbered, column) & exact
        right = ~worded | named | tf.math.is_nan(values)
        got = tf.where(exact, _text(whole), tf.as_string(values, shortest=True))
        with tf.control_dependencies([self._check(right, column, row, got)]):
            numbers = self._of_numbers(tf.where(worded, np.float32(np.nan), values), column, row)
            if not any(self._numbered):
                return numbers
            texts = self._of_text(tf.where(named, _text(whole), ""), column, row)
            return tf.where(named, texts, numbers)

    def _kinds(self, column):
        kinds = {kind: tf.constant([each.kind == kind for each in self.columns]) for kind in ALLOWED}
        return {kind: tf.gather(which, column) for kind, which in kinds.items()}

    def _check(self, right, column, row, got, allowed=None):
        """Returns an operation that fails unless all cells are right; it tells of the first that is not."""
        wrong = tf.where(~right)[:1, 0]
        at, names = tf.gather(column, wrong), tf.constant([each.name for each in self.columns])
        kinds = tf.constant([_allowed(each) for each in self.columns])
        told = ["column '", tf.gather(names, at), "', row ", _text(tf.gather(row, wrong)), " (from 0): got "]
        told += [tf.gather(got, wrong), "; allowed: ", allowed or tf.gather(kinds, at)]
        told += [", or none where it is missing"] * self.missing
        return tf.debugging.Assert(tf.reduce_all(right), [tf.strings.join(told)])


def _codes(column):
    """Returns {text: code} of the texts that a column knows."""
    if column.kind == "category":
        return {text: code for code, text in enumerate(column.categories)}
    words = {word.lower(): code for code, word in enumerate(column.categories)}
    return {text: int(code) for text, code in {**cells.TRUTH, **words}.items()} if column.kind == "binary" else {}


def _has_whole(categories):
    return any(re.fullmatch(WHOLE, text) for text in categories)


def _allowed(column):
    if column.kind == "category" and _has_whole(column.categories):
        return "text, or a whole number"
    words = f", {' or '.join(column.categories)}" if column.kind == "binary" and column.categories else ""
    return ALLOWED[column.kind] + words


def _lookup(content):
    content = content or {"": -1}
    keys, values = tf.constant(list(content), tf.string), tf.constant(list(content.values()), tf.int64)
    return tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(keys, values), -1)


def _int(values):
    return tf.cast(values, tf.int32)


def _text(values):
    return tf.as_string(values)


def _quoted(text):
    return tf.strings.join(["'", tf.strings.substr(text, 0, 60), "'"])


def _constant(numbers):
    return tf.constant(numbers, tf.int64)


def _range(values, axis):
    return tf.range(tf.shape(values, tf.int64)[axis])


# ------------------------------------------------------------------------------------------------------- dates


def _days(text):
    """Returns (days since 1970-01-01 in UTC, float64 [M]; whether a text is such a date, bool [M])."""
    fits = tf.strings.regex_full_match(text, DATE)
    text = tf.where(fits, text, "1970-01-01")

    def part(k):
        return tf.strings.regex_replace(text, DATE, rf"\{k}")

    year, month, day, hour, minute, second = (_digits(part(k)) for k in range(1, 7))
    fraction = tf.strings.substr(tf.strings.join([part(7), "000000"]), 0, 6)
    zone = _digits(tf.strings.regex_replace(part(8), "[^0-9]", ""))
    zone_hour, zone_minute = zone // 100, zone % 100
    sign = tf.where(tf.strings.substr(part(8), 0, 1) == "-", np.int64(-1), np.int64(1))
    leap = (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0))
    lengths = tf.gather(tf.constant([31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31], tf.int64), (month - 1) % 12)
    lengths += tf.cast(leap & (month == 2), tf.int64)
    right = (month >= 1) & (month <= 12) & (day >= 1) & (day <= lengths)
    right &= (hour < 24) & (minute < 60) & (second < 60) & (zone_hour < 24) & (zone_minute < 60)
    seconds = (hour - sign * zone_hour) * 3600 + (minute - sign * zone_minute) * 60 + second
    microseconds = (_civil(year, month, day) * SECONDS_OF_DAY + seconds) * MICROSECONDS
    microseconds += _digits(fraction)
    return tf.cast(microseconds, tf.float64) / (SECONDS_OF_DAY * MICROSECONDS), fits & right


def _digits(text):
    return tf.strings.to_number(tf.where(text == "", "0", text), tf.int64)


def _civil(year, month, day):
    """Days from 1970-01-01 to a date of the Gregorian calendar, int64; years begin in March, so that leap days end them."""
    year -= tf.cast(month <= 2, tf.int64)
    of_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    return year * 365 + year // 4 - year // 100 + year // 400 + of_year - 719468


# ---------------------------------------------------------------------------------------------- the proto tf.Example

_REPEATED, _ONE = descriptor_pb2.FieldDescriptorProto.LABEL_REPEATED, descriptor_pb2.FieldDescriptorProto.LABEL_OPTIONAL
_KINDS = {"bytes": (tf.string, "BYTES"), "float": (tf.float32, "FLOAT"), "int64": (tf.int64, "INT64")}
# Messages are bytes, to be decoded one level after the other; a message that comes twice is to be merged, so all are lists.
_MESSAGES: dict[str, dict[str, tuple[int, str]]] = {
    "Example": {"features": (1, "BYTES")},
    "Features": {"feature": (1, "BYTES")},
    "Entry": {"key": (1, "BYTES"), "value": (2, "BYTES")},
    "Feature": {kind: (number, "BYTES") for number, kind in enumerate(_KINDS, 1)},
    **{kind: {"value": (1, type_name)} for kind, (_, type_name) in _KINDS.items()},
}


def _schema():
    """The schema of tf.Example for `tf.io.decode_proto`. `tf.io.parse_example` has one type per feature, JSON has not."""
    file = descriptor_pb2.FileDescriptorProto(name="cells.proto", package="cells", syntax="proto2")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, (number, kind) in fields.items():
            label = _ONE if field == "key" else _REPEATED
            type_number = descriptor_pb2.FieldDescriptorProto.Type.Value(f"TYPE_{kind}")
            message.field.add(name=field, number=number, label=label, type=type_number)
    return b"bytes://" + descriptor_pb2.FileDescriptorSet(file=[file]).SerializeToString()


SCHEMA = _schema()


def _decode(messages, name, field, dtype):
    """Returns (how many values each of M messages has, [M + 1]; the values, [M + 1, most]); the last message is empty."""
    messages = tf.concat([messages, [""]], 0)  # the operation refuses to decode none
    sizes, (values,) = tf.io.decode_proto(messages, f"cells.{name}", [field], [dtype], descriptor_source=SCHEMA)
    return sizes[:, 0], values


def _field(messages, name, field, dtype=tf.string):
    """Returns (all values of a field of the messages, one after the other; of which message each is, int64)."""
    sizes, values = _decode(messages, name, field, dtype)
    there = tf.sequence_mask(sizes, tf.shape(values)[1])
    return tf.boolean_mask(values, there), tf.where(there)[:, 0]


def _keys(entries):
    """Returns the keys of entries, one each: an absent one is empty."""
    _, values = _decode(entries, "Entry", "key", tf.string)
    return tf.concat([values, tf.fill([tf.shape(values)[0], 1], "")], 1)[:-1, 0]


def _values(features, entry, kind):
    """Returns (the values of a kind in the features, of which entry each is)."""
    lists, feature = _field(features, "Feature", kind)
    values, at = _field(lists, kind, "value", _KINDS[kind][0])
    return values, tf.gather(entry, tf.gather(feature, at))
