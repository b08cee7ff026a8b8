"""What predictions are worth: error with its interval, calibration, likelihood; which class a cluster stands for."""

import math

import numpy as np
import scipy.optimize
import scipy.stats


def expected_calibration_error(probabilities: np.ndarray, y: np.ndarray, bins: int = 15) -> float:
    """Expected calibration error: sum over bins of (n_b / N) |accuracy_b - confidence_b| (Guo et al. 2017, eq. 3).

    Args:
      probabilities: [N, K].
      y: class numbers [N].
      bins: number of equal-width bins of the confidence max_k p_k.
    """
    confidence, correct = probabilities.max(1), probabilities.argmax(1) == y
    index = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = [abs(correct[index == b].sum() - confidence[index == b].sum()) for b in range(bins)]
    return float(sum(gaps) / len(y))


def classification(probabilities: np.ndarray, y: np.ndarray) -> dict[str, float | list[float]]:
    """Returns what predictions [N, K] of the classes y [N] are worth, a dict.

    error: the share of examples whose most probable class is another (or whose probabilities are not finite).
    error_interval: its 95% interval of Clopper and Pearson, which is right at 0 errors too.
    error_stderr: half of Wilson's interval of one deviation, sqrt(e (1 - e) / n + 1 / (4 n^2)) / (1 + 1 / n): never 0.
    examples: n. ece: expected calibration error.
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
        examples=n,
        ece=expected_calibration_error(probabilities[finite], y[finite]) if finite.any() else math.nan,
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
