"""What a label says: a class's name, or that its example has none."""

# Of a missing value by pandas, NumPy and R, of scikit-learn (-1), of the UCI repository (?), and in words.
SPELLINGS = frozenset(
    ["", "nan", "-nan", "na", "n/a", "<na>", "#n/a", "#na", "none", "null", "?", "unlabelled", "unlabeled", "unknown"]
)


def is_unlabelled(text):
    """Whether a label or a folder's name says that there is no label: empty, -1, NaN, "unlabelled", "unknown", ...

    Case and white space around it do not count. Who reads labels by this rule tells the user which were taken so.
    """
    text = str(text).strip().casefold()
    return text in SPELLINGS or _is_minus_one(text)


def _is_minus_one(text):
    try:
        return float(text) == -1.0
    except ValueError:
        return False
