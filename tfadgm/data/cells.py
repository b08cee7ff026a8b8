"""Cells of a table, arrow arrays: which of them are missing, and what each says as a number, a date or a category."""

import re

import numpy as np
import pandas
import pyarrow as pa
import pyarrow.compute as pc

# A cell that says one of these, in any case and with any white space around it, is missing: nothing, a mark, NaN of NumPy, R
# and SQL, and what a spreadsheet writes where it has no value.
MISSING = ("", "-", "--", "?", ".", "na", "n/a", "nan", "-nan", "<na>", "nat", "null", "none")
MISSING += ("#n/a", "#na", "#null!", "#num!", "#div/0!", "#value!", "#ref!", "#name?")
LARGEST = float(np.finfo("float32").max)
PAIRS = (("false", "true"), ("no", "yes"), ("n", "y"), ("f", "t"), ("off", "on"))  # words of 0 and 1
TRUTH = {word: float(value) for pair in (("0", "1"), *PAIRS) for value, word in enumerate(pair)}

# Numbers by their decimal sign; the other sign may stand before every third digit.
_NUMBER = r"^[+-]?(?:[0-9]+{0}?[0-9]*|{0}[0-9]+|[1-9][0-9]{{0,2}}(?:{1}[0-9]{{3}})+(?:{0}[0-9]*)?)(?:[eE][+-]?[0-9]+)?$"
NUMBERS = {".": _NUMBER.format(r"\.", ","), ",": _NUMBER.format(",", r"\.")}

# Dates by format, the first that fits; each may be followed by a time.
_D, _M, _Y, _NAME = "(?:0?[1-9]|[12][0-9]|3[01])", "(?:0?[1-9]|1[0-2])", "[0-9]{4}", "[A-Za-z]{3}"
_DAYS = {
    "%Y/%m/%d": f"{_Y}/{_M}/{_D}",
    "%d.%m.%Y": rf"{_D}\.{_M}\.{_Y}",
    "%d/%m/%Y": f"{_D}/{_M}/{_Y}",
    "%m/%d/%Y": f"{_M}/{_D}/{_Y}",
    "%d-%m-%Y": f"{_D}-{_M}-{_Y}",
    "%m-%d-%Y": f"{_M}-{_D}-{_Y}",
    "%d %b %Y": f"{_D} {_NAME} {_Y}",
    "%d-%b-%Y": f"{_D}-{_NAME}-{_Y}",
    "%b %d, %Y": f"{_NAME} {_D}, {_Y}",
}
_TIMES = {"": "", " %H:%M": " [0-9]{1,2}:[0-9]{2}", " %H:%M:%S": " [0-9]{1,2}:[0-9]{2}:[0-9]{2}"}
ISO = "ISO8601"
DATES = {
    ISO: r"^[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:[.,][0-9]+)?)?(?:Z|[+-][0-9]{2}:?[0-9]{2})?)?$",
    **{day + time: f"^{_DAYS[day]}{_TIMES[time]}$" for day in _DAYS for time in _TIMES},
}


def is_text(kind):
    """Whether cells of an arrow type are text."""
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


def kind_of(kind):
    """Returns the kind of column of an arrow type: "text" must be looked at, and None is no cell of a table."""
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    if is_text(kind) or pa.types.is_null(kind):
        return "text"
    if pa.types.is_boolean(kind):
        return "binary"
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return "number"
    return "date" if pa.types.is_timestamp(kind) or pa.types.is_date(kind) else None


def as_text(array):
    """Returns the cells as text without white space around it; truth values are "True" and "False", whole floats whole."""
    array = pc.cast(array, array.type.value_type) if pa.types.is_dictionary(array.type) else array
    if pa.types.is_boolean(array.type):
        return pc.if_else(array, "True", "False")
    if pa.types.is_floating(array.type):
        array = pc.if_else(pc.is_nan(array), None, array)
    return pc.utf8_trim_whitespace(pc.cast(array, pa.string()))


def present(array):
    """Returns the cells as text (see `as_text`), null where they are missing (see `MISSING`)."""
    text = as_text(array)
    return pc.if_else(pc.is_in(pc.utf8_lower(text), pa.array(MISSING)), pa.scalar(None, pa.string()), text)


def matches(text, pattern):
    """Returns which cells match a regular expression, a boolean array of NumPy; missing ones do not."""
    return mask(pc.fill_null(pc.match_substring_regex(text, pattern), False))


def category(text):
    """Returns texts of a category: 1.0 is 1, as a whole number says itself either way."""
    return pc.replace_substring_regex(text, r"^([+-]?(?:0|[1-9][0-9]*))\.0+$", r"\1")


def values(array, column):
    """Returns (float64 [n], bool [n]): what the cells of `column` are, NaN where missing, and which are none of its kind.

    Args:
      array: cells as an arrow array, of text or already numbers, truth values, dates.
      column: a `columns.Column`.
    """
    if column.kind == "category":
        text = present(array)
        codes = floats(pc.index_in(category(text), pa.array(column.categories, pa.string())))
        unseen = np.isnan(codes) & mask(pc.is_valid(text))
        return np.where(unseen, len(column.categories), codes), np.zeros(len(codes), bool)
    kind = kind_of(array.type)
    if kind == "text":
        return _of_text(present(array), column)
    if kind is None or (kind == "date") != (column.kind == "date"):
        return np.full(len(array), np.nan), mask(pc.is_valid(array))
    return _checked(_days(array.to_pandas()) if kind == "date" else floats(array), column)


def _of_text(text, column):
    if column.kind == "date":
        found = _days(pandas.to_datetime(text.to_pandas(), format=column.format or ISO, errors="coerce", utc=True))
    elif column.kind == "binary":
        found = _truth(text, column.categories)
    else:
        found = numbers(text, column.format or ".")
    found, bad = _checked(found, column)
    return found, bad | (np.isnan(found) & mask(pc.is_valid(text)))


def _checked(found, column):
    if column.kind == "count":
        bad = (found < 0) | (found != np.rint(found)) & ~np.isnan(found)
    elif column.kind == "binary":
        bad = (found != 0) & (found != 1) & ~np.isnan(found)
    else:
        bad = np.zeros(len(found), bool)
    bad |= np.abs(found) > LARGEST
    return np.where(bad, np.nan, found), bad


def numbers(text, decimal="."):
    """Returns what texts say as numbers, float64 [n]; NaN where they are missing or none. inf is none."""
    if decimal == ".":
        try:
            found = floats(pc.cast(text, pa.float64()))
            if not np.isinf(found).any():
                return found
        except pa.ArrowInvalid:
            pass
    text = pc.if_else(pa.array(matches(text, NUMBERS[decimal])), text, pa.scalar(None, pa.string()))
    text = pc.replace_substring(text, "," if decimal == "." else ".", "")
    return floats(pc.cast(pc.replace_substring(text, ",", "."), pa.float64()))


def _truth(text, words):
    known = {**TRUTH, **{word.lower(): float(value) for value, word in enumerate(words)}}
    at = pc.index_in(category(pc.utf8_lower(text)), pa.array(list(known)))
    return floats(pc.take(pa.array(list(known.values())), at))


def _days(dates):
    """Returns a pandas.Series of dates as days since 1970-01-01, UTC, float64."""
    dates = pandas.to_datetime(dates, utc=True).to_numpy("datetime64[us]")
    return (dates - np.datetime64(0, "us")) / np.timedelta64(1, "D")


def floats(array):
    """Returns an arrow array of numbers as float64, NaN where one is missing."""
    if pa.types.is_dictionary(array.type):
        array = pc.cast(array, array.type.value_type)
    return np.asarray(pc.cast(array, pa.float64(), safe=False).to_numpy(zero_copy_only=False), "float64")


def mask(array):
    """Returns an arrow array of truth values without missing ones as an array of NumPy, which may be written."""
    return array.to_numpy(zero_copy_only=False)


def joined(arrays):
    """Returns arrow arrays one after the other, as one; of types that are not the same, as text."""
    if len({array.type for array in arrays}) > 1 or any(pa.types.is_dictionary(array.type) for array in arrays):
        arrays = [as_text(array) for array in arrays] if len(arrays) > 1 else arrays
    return arrays[0] if len(arrays) == 1 else pa.concat_arrays(arrays)


def fitting_dates(text):
    """Returns the formats of `DATES` that a text has."""
    return [form for form, pattern in DATES.items() if re.search(pattern, text)]
