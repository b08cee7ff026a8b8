"""What predictions are worth: error with its interval, calibration, likelihood; which class a cluster stands for."""

import math
from collections.abc import Sequence

import numpy as np
import scipy.optimize
import scipy.stats


def expected_calibration_error(probabilities: np.ndarray, y: np.ndarray, bins: int = 15, equal_mass: bool = False) -> float:
    """Expected calibration error: sum over bins of (n_b / N) |accuracy_b - confidence_b| (Guo et al. 2017, eq. 3).

    Args:
      probabilities: [N, K].
      y: class numbers [N].
      bins: number of bins of the confidence max_k p_k.
      equal_mass: bins of as many examples each, in the order of their confidence, in place of bins of equal width, of which
        one holds nearly all examples of a good classifier (Nixon et al. 2019, "Measuring calibration in deep learning").
    """
    confidence, correct = probabilities.max(1), probabilities.argmax(1) == y
    if equal_mass:
        parts = np.array_split(np.argsort(confidence, kind="stable"), bins)
    else:
        index = np.minimum((confidence * bins).astype(int), bins - 1)
        parts = [np.flatnonzero(index == b) for b in range(bins)]
    return float(sum(abs(correct[part].sum() - confidence[part].sum()) for part in parts) / len(y))


def brier_score(probabilities: np.ndarray, y: np.ndarray) -> float:
    """Returns mean_n sum_k (p_nk - [y_n = k])^2, between 0 and 2, a proper score (Brier 1950); p [N, K], y [N]."""
    return float(np.mean((probabilities**2).sum(1) - 2 * probabilities[np.arange(len(y)), y] + 1))


def recall(probabilities: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Returns the share of each class's examples that are answered by it, float64 [K]; NaN for a class without examples.

    Args:
      probabilities: [N, K]; where they are not finite the answer is wrong.
      y: class numbers [N].
    """
    count, right = probabilities.shape[1], (probabilities.argmax(1) == y) & np.isfinite(probabilities).all(1)
    examples = np.bincount(y, minlength=count)
    return np.where(examples > 0, np.bincount(y[right], minlength=count) / np.maximum(examples, 1), np.nan)


def classification(probabilities: np.ndarray, y: np.ndarray) -> dict[str, float | list[float]]:
    """Returns what predictions [N, K] of the classes y [N] are worth, a dict.

    error: the share of examples whose most probable class is another (or whose probabilities are not finite).
    error_interval: its 95% interval of Clopper and Pearson, which is right at 0 errors too.
    error_stderr: half of Wilson's interval of one deviation, sqrt(e (1 - e) / n + 1 / (4 n^2)) / (1 + 1 / n): never 0.
    balanced_accuracy: the mean of the `recall` of the classes that have examples: a rare class counts as a frequent one.
    examples: n. ece, ece_equal_mass: expected calibration error in bins of equal width, and of equal mass. brier: its score.
    nll: mean negative log-likelihood in nats, infinite if a true class has probability 0.
    """
    finite = np.isfinite(probabilities).all(1)
    wrong, n = (probabilities.argmax(1) != y) | ~finite, len(y)
    error = float(wrong.mean())
    interval = scipy.stats.binomtest(int(wrong.sum()), n).proportion_ci(0.95, "exact")
    with np.errstate(divide="ignore"):
        nll = float(-np.log(probabilities[np.arange(n), y]).mean())
    return dict(
        error=error,
        error_stderr=math.sqrt(error * (1 - error) / n + 0.25 / n**2) / (1 + 1 / n),
        error_interval=[float(interval.low), float(interval.high)],
        balanced_accuracy=float(np.nanmean(recall(probabilities, y))),
        examples=n,
        ece=expected_calibration_error(probabilities[finite], y[finite]) if finite.any() else math.nan,
        ece_equal_mass=expected_calibration_error(probabilities[finite], y[finite], 15, True) if finite.any() else math.nan,
        brier=brier_score(probabilities[finite], y[finite]) if finite.any() else math.nan,
        nll=nll,
    )


def match_clusters(clusters: np.ndarray, y: np.ndarray, num_clusters: int, num_classes: int) -> np.ndarray:
    """Returns which class each cluster stands for, one-hot float64 [clusters, classes].

    As many clusters as classes, or fewer: the one-to-one matching with the fewest errors (the Hungarian algorithm). More:
    each cluster the class of most of its examples.

    Args:
      clusters: int [N], the cluster of each example.
      y: int [N], its class.
      num_clusters, num_classes: their numbers.
    """
    counts = np.bincount(clusters * num_classes + y, minlength=num_clusters * num_classes).reshape(-1, num_classes)
    if num_clusters > num_classes:
        return np.eye(num_classes)[counts.argmax(1)]
    return np.eye(num_classes)[scipy.optimize.linear_sum_assignment(-counts)[1]]


def match_unlabelled(probabilities: np.ndarray, y: np.ndarray, labelled: Sequence[int]) -> np.ndarray:
    """Returns which class each value of y stands for, one-hot float64 [K, K]: its own, if that had labels.

    The other values are matched to the classes without labels by the examples of these, as `match_clusters` does. Where a
    class had labels, an answer by another value stays wrong; where y has no class without labels, each value is its own.

    Args:
      probabilities: [N, K], of all values of y: the classes, then further ones.
      y: class numbers [N].
      labelled: the classes that had labels in training.
    """
    count, answers = probabilities.shape[1], probabilities.argmax(1)
    matching, free = np.eye(count), np.setdiff1d(np.arange(count), labelled)
    found = np.setdiff1d(y, labelled)
    if not found.size:
        return matching
    told = np.isin(y, found) & np.isin(answers, free)
    clusters, classes = np.searchsorted(free, answers[told]), np.searchsorted(found, y[told])
    matching[free] = 0.0
    matching[np.ix_(free, found)] = match_clusters(clusters, classes, len(free), len(found))
    return matching
