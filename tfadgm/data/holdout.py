"""How many examples of the user's own data are held out for the report when nobody says how many."""

import numpy as np

SHARE = 0.2  # of the labelled examples
LEAST, MOST = 20, 1000  # fewer would say next to nothing, more would be a waste of labels
LABELS = 5  # that every class keeps


def automatic(data, labels=None):
    """Returns how many labelled examples are held out by default: 0 where there is a test set, or where there are few.

    Without classes, how many of all examples.

    Args:
      data: a `Dataset`.
      labels: how many labels are to be kept in training; None: all.
    """
    if data.x_test is not None:
        return 0
    known = data.y_train[data.y_train >= 0] if data.num_classes else np.zeros(len(data.y_train), "int64")
    count = min(MOST, int(SHARE * len(known)))
    if count < LEAST:
        return 0
    of_class = np.bincount(known, minlength=data.num_classes)
    of_class = of_class[of_class > 0]
    kept = of_class - np.ceil(count * of_class / len(known))
    needed = max(LABELS, -(-(labels or 0) // max(1, data.num_classes)))
    return count if kept.min() >= needed else 0
