"""What a label says: a class's name, or that its example has none."""

import math
import re

import numpy as np

from tfadgm.data.dataset import UNLABELLED

# Of a missing value by pandas, NumPy and R, of scikit-learn (-1), of the UCI repository (?), and in words.
SPELLINGS = frozenset(
    ["", "nan", "-nan", "na", "n/a", "<na>", "#n/a", "#na", "none", "null", "?", "unlabelled", "unlabeled", "unknown"]
)
MOST_CLASSES = 1 << 16
SHOWN = 10  # classes that a line names
FEW = 20  # so many classes are never suspected to be an identifier or a measurement


def is_unlabelled(text):
    """Whether a label or a folder's name says that there is no label: empty, -1, NaN, "unlabelled", "unknown", ...

    Case and white space around it do not count. Who reads labels by this rule tells the user which were taken so.
    """
    text = str(text).strip().casefold()
    return text in SPELLINGS or _number(text) == -1


def _number(text):
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


class Labels:
    """Labels as text, a part of a column at a time, in the memory of numbers.

    Args:
      where: what errors call the column, such as "FILE: column 'label'".
    """

    def __init__(self, where):
        self.where, self._numbers, self._parts = where, {}, []

    def add(self, texts):
        """Takes the next labels, a `pandas.Series` of strings."""
        codes, found = texts.fillna("").str.strip().factorize()
        numbers = [self._numbers.setdefault(text, len(self._numbers)) for text in found]
        if len(self._numbers) > MOST_CLASSES:
            raise ValueError(f"{self.where}: names more than {MOST_CLASSES} classes; allowed: a class that rows share")
        self._parts.append(np.asarray(numbers, "int32")[codes])

    def result(self):
        """Returns (y int64 [N], class names, {spelling: rows} of those that are unlabelled but not empty).

        Classes are the sorted distinct labels.

        Raises:
          ValueError: if the labels look like an identifier or a measurement (see `check_classes`).
        """
        texts, codes = self._merged()
        counts = dict(zip(texts, np.bincount(codes, minlength=len(texts)).tolist(), strict=True))
        names = sorted(text for text in texts if not is_unlabelled(text))
        check_classes(self.where, {name: counts[name] for name in names}, len(codes))
        number = {name: k for k, name in enumerate(names)}
        y = np.asarray([number.get(text, UNLABELLED) for text in texts], "int64")[codes]
        return y, names, {text: counts[text] for text in texts if text and text not in number}

    def _merged(self):
        """Returns (different labels, which of them each row has): 1.0 and 1 are one, where all labels are numbers."""
        texts, codes = list(self._numbers), np.concatenate(self._parts or [np.zeros(0, "int32")])
        if any(plain(text) is None for text in texts if not is_unlabelled(text)):
            return texts, codes
        shortest = [text if is_unlabelled(text) else plain(text) for text in texts]
        number = {text: k for k, text in enumerate(dict.fromkeys(shortest))}
        return list(number), np.asarray([number[text] for text in shortest], "int32")[codes]


def plain(text):
    """Returns a number as the shortest text that says it; None for what is none, as digits of a code (007) are none."""
    number = None if re.match(r"[+-]?0[0-9]", text) else _number(text)
    return number if number is None else str(int(number)) if number == round(number) and abs(number) < 2**53 else str(number)


def check_classes(where, counts, rows):
    """Raises a ValueError for labels that are no classes: an identifier of each row, or a measurement.

    An identifier: most labels are of one row alone, and most rows have one. A measurement: numbers with fractions, or
    whole ones with wide gaps. Up to `FEW` classes are taken as they are.

    Args:
      where: what the error calls the labels.
      counts: {class name: labelled rows}.
      rows: all rows, the unlabelled ones too.
    """
    labelled, classes = sum(counts.values()), len(counts)
    if classes <= FEW:
        return
    first = ", ".join(list(counts)[:3])
    if 2 * sum(count == 1 for count in counts.values()) > labelled and 2 * labelled > rows:
        raise ValueError(
            f"{where}: names {classes} classes in {labelled} rows ({first}, ...) and looks like an identifier; "
            "allowed: classes that rows share"
        )
    numbers = [_number(name) for name in counts]
    if None in numbers:
        return
    whole = all(number == round(number) for number in numbers)
    if not whole or max(numbers) - min(numbers) >= 2 * classes:
        raise ValueError(
            f"{where}: holds {classes} different numbers ({first}, ...) and looks like a measurement; allowed: classes, "
            "such as intervals of it (or names that are no numbers)"
        )


def shares(y, count):
    """Returns p(y) of `count` classes by the labels y, int [N], that are known, float64 [count].

        p_k = L / K (n_k + 1) / (N + L) of the L classes with labels,   1 / K of the others,   K = `count`

    (n_k + 1) / (N + L) is the mean of p_k under a uniform Dirichlet prior. How often a class without labels is, they do not
    tell: it has the share that it has under a uniform p(y).
    """
    counts = np.bincount(y, minlength=count)
    known = counts > 0
    smoothed = known.sum() / count * (counts + 1) / (len(y) + known.sum())
    return np.where(known, smoothed, 1 / count)


def told(y, names, unlabelled=None):
    """Returns a line that says what labels were taken for.

    Args:
      y: class numbers; -1 is unlabelled.
      names: of the classes.
      unlabelled: {spelling: rows} of labels that were taken for none (see `is_unlabelled`).
    """
    if not len(names):
        return f"labels: none; {len(y)} examples unlabelled"
    counts = np.bincount(y[y >= 0], minlength=len(names)).tolist()
    shown = ", ".join(f"{name} {count}" for name, count in list(zip(names, counts, strict=True))[:SHOWN])
    more = f", and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    spelled = ", ".join(f"{text!r} {rows}" for text, rows in (unlabelled or {}).items())
    return f"labels: {len(names)} classes ({shown}{more}), {int((y < 0).sum())} of {len(y)} examples unlabelled" + (
        f", of which by the label: {spelled}" if spelled else ""
    )
