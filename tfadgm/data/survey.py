"""What the columns of a table are: what a first reading of its rows finds, however they are cut into chunks."""

import collections
import dataclasses

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tfadgm.data import cells
from tfadgm.data.columns import ORDERS, Column

MOST_CATEGORIES = 100  # of a column; rarer texts are "other"
MOST_TEXTS = 1 << 15  # that are counted; a column of more is no category
FEW = 20  # so many different texts are a category, however few rows have each


@dataclasses.dataclass
class Findings:
    """Of one column.

    Attributes:
      name: of the column.
      kind: what its type says it is; "text" must be looked at, and None is no cell of a table.
      declared: whether its type says that it is a category.
      present: how many cells are there.
      numbers: {decimal sign: how many cells are numbers}.
      either: how many are other numbers by the one and by the other sign, such as 1,234.
      coded: how many are digits that begin with 0.
      lengths: the shortest and the longest, in characters.
      strange: {decimal sign, or format of a date: (row, text) of the first cell that is none}.
      dates: {format: how many cells are such dates}, of those that the first cell that is no number has.
      texts: {text: how many cells say it}, of those that are no numbers; None for more than `MOST_TEXTS`.
    """

    name: str
    kind: str | None = "text"
    declared: bool = False
    present: int = 0
    numbers: dict = dataclasses.field(default_factory=dict)
    either: int = 0
    coded: int = 0
    lengths: tuple = (0, 0)
    strange: dict = dataclasses.field(default_factory=dict)
    dates: dict | None = None
    texts: collections.Counter | None = dataclasses.field(default_factory=collections.Counter)


def count(texts, found):
    """Adds the cells of the arrow array `texts` to the counter `found`; returns it, None for more than `MOST_TEXTS`."""
    if found is None:
        return None
    for pair in pc.value_counts(texts.drop_null()).to_pylist():
        found[pair["values"]] += pair["counts"]
    return found if len(found) <= MOST_TEXTS else None


class Survey:
    """The `Findings` of the columns `names`, a chunk at a time.

    Args:
      names: of the columns.
    """

    def __init__(self, names):
        self.rows, self._found = 0, [Findings(name) for name in names]
        counted = ("present", "coded", "either", "point", "comma", "longest")
        self._counts = {name: np.zeros(len(names), "int64") for name in counted}
        self._counts["shortest"] = np.full(len(names), np.iinfo("int64").max)

    def add(self, arrays):
        """Takes the next rows, an arrow array per column."""
        rows = len(arrays[0]) if arrays else 0
        text = [c for c, array in enumerate(arrays) if cells.kind_of(array.type) == "text"]
        for c in sorted(set(range(len(arrays))) - set(text)):
            self._typed(c, arrays[c])
        for c in text:
            self._found[c].declared |= pa.types.is_dictionary(arrays[c].type)
        if text:
            self._texts(text, cells.as_text(cells.joined([arrays[c] for c in text])), rows)
        self.rows += rows

    def _typed(self, c, array):
        """Of numbers, truth values and dates; a column of which some chunks are empty is what the others are."""
        self._found[c].kind = cells.kind_of(array.type)
        self._found[c].declared |= pa.types.is_dictionary(array.type)
        there = cells.mask(pc.is_valid(array))
        if pa.types.is_floating(array.type):
            there &= ~np.isnan(cells.floats(array))
        self._counts["present"][c] += there.sum()

    def _texts(self, at, text, rows):
        """Of columns of text, one after the other in `text`: what can be asked of all at once is."""
        text = cells.present(text)
        there = cells.mask(pc.is_valid(text)).reshape(-1, rows)
        point, comma = (cells.matches(text, cells.NUMBERS[sign]).reshape(-1, rows) for sign in ".,")
        coded = cells.matches(text, "^0[0-9]+$").reshape(-1, rows)
        either = point & comma
        if either.any():
            either &= cells.matches(text, "[.,]").reshape(-1, rows)
        for name, which in dict(present=there, coded=coded, either=either, point=point, comma=comma).items():
            self._counts[name][at] += which.sum(1)
        lengths = cells.floats(pc.utf8_length(text)).reshape(-1, rows)
        longest, shortest = np.where(there, lengths, 0).max(1), np.where(there, lengths, 1 << 40).min(1)
        self._counts["longest"][at] = np.maximum(self._counts["longest"][at], longest)
        self._counts["shortest"][at] = np.minimum(self._counts["shortest"][at], shortest)
        strange = {".": there & ~point, ",": there & ~comma}
        for k in np.flatnonzero((strange["."] | strange[","]).any(1)).tolist():
            found, part = self._found[at[k]], text.slice(k * rows, rows)
            for sign, which in strange.items():
                self._note_strange(found, sign, which[k], part)
            if (strange["."] & strange[","])[k].any():
                self._words(found, part, (strange["."] & strange[","])[k])

    def _words(self, found, part, words):
        found.texts = count(part.filter(pa.array(words)), found.texts)
        if found.dates is None:
            found.dates = dict.fromkeys(cells.fitting_dates(part[int(np.argmax(words))].as_py()), 0)
        for form in found.dates:
            fits = cells.matches(part, cells.DATES[form])
            found.dates[form] += int(fits.sum())
            self._note_strange(found, form, words & ~fits, part)

    def _note_strange(self, found, what, strange, part):
        if what not in found.strange and strange.any():
            row = int(np.argmax(strange))
            found.strange[what] = (self.rows + row, part[row].as_py())

    def findings(self):
        """Returns the `Findings` of each column."""
        for c, found in enumerate(self._found):
            counts = {name: int(values[c]) for name, values in self._counts.items()}
            found.present, found.either, found.coded = counts["present"], counts["either"], counts["coded"]
            found.numbers = {".": counts["point"], ",": counts["comma"]}
            found.lengths = counts["shortest"], counts["longest"]
        return self._found


def decimal(columns, usual):
    """Returns the decimal sign of a table: that of the columns that have but one reading, `usual` where there are none."""
    certain = {sign for found in columns for sign in ".," if _is_certain(found, sign)}
    return certain.pop() if len(certain) == 1 else "." if certain else usual


def _is_certain(found, sign):
    other = "," if sign == "." else "."
    return found.present == found.numbers[sign] > found.numbers[other]


def is_ambiguous(found):
    """Whether a column is of numbers by either decimal sign, and of other ones."""
    return found.either > 0 and found.present == found.numbers["."] == found.numbers[","]


def sign_of(found, usual):
    """Returns the decimal sign of a column: the one by which more of its cells are numbers, else that of the table."""
    point, comma = found.numbers["."], found.numbers[","]
    return usual if point == comma else "." if point > comma else ","


def is_code(found):
    """Whether a column of digits is one of codes, such as 00501: leading zeros, and all of one length."""
    return found.coded > 0 and found.lengths[0] == found.lengths[1] and found.numbers["."] == found.present


def infer(source, found, usual, given=None):
    """Returns the `Column` that a column is taken for, without its categories; None for one that is none of a table.

    Args:
      source: where it comes from, a `sources.Source`.
      found: its `Findings`.
      usual: the decimal sign of its table.
      given: the kind that the user says it is.

    Raises:
      ValueError: for a column of numbers or dates, some cells of which are none; it names the row and the cell.
    """
    name, sign, given = found.name, sign_of(found, usual), given or ("category" if found.declared else None)
    form = "," if sign == "," else None
    if found.kind is None or not found.present:
        return None
    if found.kind != "text":
        return Column(name, given.partition("-")[0] if given else found.kind)
    if given in ("number", "count"):
        return Column(name, given, format=form)
    if given in ("date", *ORDERS):
        return Column(name, "date", format=_date(source, found, given))
    if given:
        return Column(name, given, _words(found) if given == "binary" else ())
    if found.numbers[sign] == found.present:
        return Column(name, "category") if is_code(found) else Column(name, "number", format=form)
    if found.dates and max(found.dates.values()) == found.present:
        return Column(name, "date", format=_date(source, found))
    if _words(found):
        return Column(name, "binary", _words(found))
    if 2 * found.numbers[sign] >= found.present:
        raise _mixed(source, found, sign, found.numbers[sign], "number")
    if found.dates and 2 * max(found.dates.values()) > found.present:
        form = max(found.dates, key=found.dates.get)
        raise _mixed(source, found, form, found.dates[form], "date")
    return Column(name, "category")


def _mixed(source, found, what, fits, kind):
    row, text = found.strange[what]
    return ValueError(
        f"{source.where}: {source.row(row)}, column {found.name!r}: got {text!r:.60}; allowed: a {kind}, as {fits} of its "
        f"{found.present} cells are, or an empty cell (or --columns={found.name}:category, or --ignore={found.name})"
    )


def _words(found):
    """Returns the words of 0 and 1 of a column that has two of `cells.PAIRS` and no other, in its own spelling."""
    spelled = {}
    for text in sorted(found.texts or {}, key=lambda text: (found.texts[text], text)):
        spelled[text.lower()] = text  # the most frequent one
    if sum((found.texts or {}).values()) != found.present:
        return ()
    return next((tuple(spelled[word] for word in pair) for pair in cells.PAIRS if set(pair) == set(spelled)), ())


def _date(source, found, given="date"):
    """Returns the format of a column of dates, or raises a ValueError for one that has none or several."""
    fits = [form for form, number in (found.dates or {}).items() if number == found.present]
    if given in ORDERS:
        first, second = ORDERS[given]
        fits = [form for form in fits if first in form and form.index(first) < form.index(second)] or fits[:0]
    if not fits and found.lengths == (8, 8) and found.numbers["."] == found.present:
        return "%Y%m%d"
    if not fits:
        row, text = min(found.strange.values(), default=None) or (None, "numbers")
        at = "" if row is None else f"{source.row(row)}, "
        raise ValueError(
            f"{source.where}: {at}column {found.name!r}: got {text!r:.60}; allowed: a {given}, such as 2024-12-31, "
            "31.12.2024 or 31/12/2024, all of one form"
        )
    if len(fits) > 1:
        raise ValueError(
            f"{source.where}: column {found.name!r}: got dates of which nothing tells whether day or month comes first; "
            f"allowed: --columns={found.name}:date-dmy, or :date-mdy (or --ignore={found.name})"
        )
    return fits[0]


def categories(texts):
    """Returns the texts of a column that are categories of their own, sorted: the most frequent, of two rows at least.

    None for a column that is none: nearly each row has a text of its own, as names, identifiers and free text have.

    Args:
      texts: {text: rows}, or None for too many (see `count`).
    """
    if texts is None:
        return None
    kept = sorted((text for text in texts if texts[text] > 1), key=lambda text: (-texts[text], text))[:MOST_CATEGORIES]
    if not kept or (len(texts) > FEW and 2 * len(texts) > sum(texts.values())):
        return None
    return tuple(sorted(kept))
