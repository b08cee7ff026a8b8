"""Classifiers of the latent features of a VAE, the second stage of M1 (Kingma et al. 2014, section 2.1).

Each is one decision function of plain arrays, which a TensorFlow graph can repeat, float32 included:

    s(x) = (x - mean) / scale
    h(x) = s(x), [D]                                  linear: there are no anchors
         = exp(-gamma |s(x) - anchors_m|^2), [M]      RBF kernel
    f(x) = h(x) projection W + b, [K]
    p(y|x) = softmax(temperature f(x))

phi(x) = h(x) projection is the Nystroem map of the kernel (Williams & Seeger 2001). Three ways to find W and b:

- logistic: multinomial logistic regression, scikit-learn's.
- svm: one-vs-rest support vector machines with the squared hinge loss, scikit-learn's.
- tsvm: one-vs-rest transductive support vector machines by gradient descent (Chapelle & Zien 2005, "Semi-supervised
  classification by low density separation"): `transductive_objective`.
"""

import dataclasses
import types

import numpy as np
from scipy import optimize, special
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC

from tfadgm import registry

KINDS = registry.FEATURE_CLASSIFIERS
OPTIONS = {  # name: default, test, what is allowed; `fit` says what they mean
    "C": (10.0, lambda value: 0 < value < np.inf, "greater than 0"),
    "kernel": (None, lambda value: value in (None, "linear", "rbf"), "linear, rbf"),
    "gamma": (None, lambda value: value is None or 0 < value < np.inf, "greater than 0"),
    "anchors": (500, lambda value: value >= 1 and value == int(value), "whole numbers of at least 1"),
    "unlabelled_weight": (1.0, lambda value: 0 <= value < np.inf, "at least 0"),
    "max_unlabelled": (10_000, lambda value: value >= 1 and value == int(value), "whole numbers of at least 1"),
}
ANNEALING = 2.0 ** np.arange(-10, 1)  # shares of C*, as Chapelle & Zien double it
FOLDS = 5
CHUNK = 4096  # rows that are mapped at once
PAIRS = 2000  # pairs of points whose distances set gamma
SMALLEST_EIGENVALUE = 1e-5  # of the anchors' kernel matrix, against the largest: smaller ones drown in float32 rounding


@dataclasses.dataclass(frozen=True)
class KernelMachine:
    """The arrays (float64) of f(x) = h(x) projection W + b; see the module's docstring.

    `dataclasses.asdict` gives them by name, and `KernelMachine(**arrays)` is the same machine again.
    """

    mean: np.ndarray  # [D]
    scale: np.ndarray  # [], one for all features, so that a latent that the VAE leaves unused stays as small as it is
    anchors: np.ndarray  # [M, D], as s(x); [0, D] if linear
    gamma: np.ndarray  # [], 0 if linear
    projection: np.ndarray  # [M, P], or [D, D] if linear; phi = h projection has unit total variance
    W: np.ndarray  # [P, K]
    b: np.ndarray  # [K]
    temperature: np.ndarray  # [], see `fit_temperature`

    def phi(self, features):
        """phi(x) = h(x) projection, [N, P], of features [N, D]."""
        h = (features - self.mean) / self.scale
        if len(self.anchors):
            h = np.exp(-self.gamma * _squared_distances(h, self.anchors))
        return h @ self.projection

    def decision(self, features):
        """f(x), float64 [N, K], of features [N, D]; memory does not grow with N but for the result."""
        features = _check_matrix("features", features, len(self.mean))
        return np.concatenate([self.phi(part) @ self.W + self.b for part in _chunks(features)])

    def probabilities(self, features):
        """p(y|x) = softmax(temperature f(x)), float64 [N, K], of features [N, D]."""
        return special.softmax(self.temperature * self.decision(features), 1)


def fit(kind, features, y, num_classes, unlabelled=None, seed=0, **options):
    """Fits a classifier to labelled features; returns a `KernelMachine`.

    Args:
      kind: logistic, svm or tsvm.
      features: [N, D], the labelled points.
      y: their classes, whole numbers [N]; each of 0 to num_classes - 1 at least once.
      num_classes: K.
      unlabelled: [U, D]; with the labelled points they set mean, scale, gamma and anchors of every kind. tsvm needs them.
      seed: of the draws of anchors, of unlabelled points and of the folds that set the temperature.
      C: weight of a labelled example's loss against |w|^2 / 2, where phi has unit total variance; default 10.
      kernel: linear or rbf; default linear for logistic, rbf for svm and tsvm.
      gamma: of the RBF kernel; default 1 / (the first decile of |s(x) - s(x')|^2 over random pairs of points).
      anchors: of the RBF kernel, at most so many points, the labelled first, then unlabelled ones; default 500.
      unlabelled_weight: of tsvm, (C* U) / (C N): what all unlabelled points weigh against all labelled ones. C* is the
        same for every class. Default 1.
      max_unlabelled: at most so many unlabelled points are in tsvm's loss; its balance is over all. Default 10,000.

    Raises:
      ValueError: for an unknown kind or option, and for arguments that do not fit.
    """
    options = _make_options(kind, options)
    features, y, unlabelled = _check_data(kind, features, y, num_classes, unlabelled)
    generator = np.random.default_rng([seed, 5])
    machine = _feature_map(features, unlabelled, options, generator)
    phi, free = machine.phi(features), None
    if kind == "tsvm":
        mean = sum(machine.phi(part).sum(0) for part in _chunks(unlabelled)) / len(unlabelled)
        free = (mean, machine.phi(_some_rows(unlabelled, options.max_unlabelled, generator)))
    W, b = _fit_weights(kind, phi, y, free, options)
    temperature = _cross_validate(kind, phi, y, free, options, phi @ W + b, generator)
    return dataclasses.replace(machine, W=W, b=b, temperature=temperature)


def _make_options(kind, given):
    if kind not in KINDS:
        raise ValueError(f"kind: got {kind!r}; allowed: {', '.join(KINDS)}")
    kernel = given.get("kernel") or ("linear" if kind == "logistic" else "rbf")
    foreign = ("gamma", "anchors") if kernel == "linear" else ()
    foreign += ("unlabelled_weight", "max_unlabelled") if kind != "tsvm" else ()
    names = [name for name in OPTIONS if name not in foreign]
    for name, value in given.items():
        if name not in names:
            raise ValueError(f"{name}: {kind} with the kernel {kernel} has no such option; allowed: {', '.join(names)}")
        if not OPTIONS[name][1](value):
            raise ValueError(f"{name}: got {value!r}; allowed: {OPTIONS[name][2]}")
    return types.SimpleNamespace(**{name: default for name, (default, *_) in OPTIONS.items()} | given | {"kernel": kernel})


def _check_matrix(name, values, columns=None):
    values = np.asarray(values)
    if values.ndim != 2 or 0 in values.shape or columns not in (None, values.shape[1]):
        raise ValueError(f"{name}: got shape {values.shape}; allowed: (N, {columns or 'D'}), N at least 1")
    if values.dtype.kind not in "fiu" or not np.isfinite(values).all():
        raise ValueError(f"{name}: got dtype {values.dtype}, or values that are not finite; allowed: finite numbers")
    return values.astype("float64")


def _check_data(kind, features, y, num_classes, unlabelled):
    features, y = _check_matrix("features", features), np.asarray(y)
    if num_classes < 2:
        raise ValueError(f"num_classes: got {num_classes}; allowed: at least 2")
    if y.shape != (len(features),) or y.dtype.kind not in "iu":
        raise ValueError(f"y: got {y.dtype} of shape {y.shape}; allowed: whole numbers of shape ({len(features)},)")
    if not np.array_equal(np.unique(y), np.arange(num_classes)):
        raise ValueError(f"y: got classes {np.unique(y).tolist()}; allowed: each of 0 to {num_classes - 1} at least once")
    if unlabelled is None and kind == "tsvm":
        raise ValueError("unlabelled: got None for tsvm; allowed: points of shape (U, D)")
    return features, y, features[:0] if unlabelled is None else _check_matrix("unlabelled", unlabelled, features.shape[1])


def _chunks(rows):
    return (rows[i : i + CHUNK] for i in range(0, len(rows), CHUNK))


def _some_rows(rows, most, generator):
    return rows if len(rows) <= most else rows[np.sort(generator.choice(len(rows), most, replace=False))]


def _squared_distances(s, anchors):
    squares = (s**2).sum(1)[:, np.newaxis] + (anchors**2).sum(1) - 2 * s @ anchors.T
    return np.maximum(squares, 0)  # rounding can leave it below


def _feature_map(features, unlabelled, options, generator):
    """A `KernelMachine` without W, b and temperature. No label is looked at."""
    points = np.concatenate([features, unlabelled])
    mean, scale = points.mean(0), np.sqrt(points.var(0).mean())
    if scale == 0:
        raise ValueError("features: got points that are all equal; allowed: at least two that differ")
    gamma, anchors, projection = 0.0, features[:0], np.eye(len(mean))
    if options.kernel == "rbf":
        gamma = options.gamma or _choose_gamma((points - mean) / scale, generator)
        extra = _some_rows(unlabelled, max(0, options.anchors - len(features)), generator)
        anchors = (np.concatenate([_some_rows(features, options.anchors, generator), extra]) - mean) / scale
        values, vectors = np.linalg.eigh(np.exp(-gamma * _squared_distances(anchors, anchors)))
        kept = values > SMALLEST_EIGENVALUE * values[-1]
        projection = vectors[:, kept] / np.sqrt(values[kept])
    machine = KernelMachine(mean, scale, anchors, np.asarray(gamma), projection, W=None, b=None, temperature=None)
    variance = machine.phi(_some_rows(points, PAIRS, generator)).var(0).sum()
    return dataclasses.replace(machine, projection=projection / np.sqrt(variance))


def _choose_gamma(s, generator):
    """By the first decile of distances, not the median: in few dimensions, a median is as long as the clusters are."""
    first, second = generator.integers(len(s), size=(2, PAIRS))
    squares = ((s[first] - s[second]) ** 2).sum(1)
    return 1 / np.quantile(squares[squares > 0], 0.1)


def _fit_weights(kind, phi, y, free, options):
    """(W, b) from phi [N, P] and y [N]; free: for tsvm, the mean of phi over all unlabelled points, and phi of some."""
    if kind == "tsvm":
        return _fit_transductive(phi, y, *free, options)
    if kind == "logistic":
        found = LogisticRegression(C=options.C, tol=1e-6, max_iter=10_000).fit(phi, y)
    else:  # liblinear regularises the bias as the weight of a constant feature: a large one makes that negligible
        # (The primal problem has nothing random; without a random_state the program's generator would be read.)
        fitting = dict(dual=False, tol=1e-6, max_iter=10_000, random_state=0)
        found = LinearSVC(C=options.C, intercept_scaling=10.0, **fitting).fit(phi, y)
    W, b = found.coef_.T, found.intercept_
    if len(b) == 1:  # two classes have one score; its halves have the same softmax
        W, b = W * [-0.5, 0.5], b * [-0.5, 0.5]
    return W, b


def transductive_objective(w, labelled, signs, target, unlabelled, C, C_star):
    """The sum over classes k of the TSVM's objective, and its gradient.

        sum_k [ |w_k|^2 / 2 + C sum_n max(0, 1 - signs_nk f_nk)^2 + C* sum_u exp(-3 f_uk^2) ],   f_k = phi w_k + target_k

    If phi is centred on the mean of the unlabelled points, then the mean of f_k over them is target_k for every w: the
    balancing constraint of Chapelle & Zien 2005. The classes share nothing; in one problem, they share the products.

    Args:
      w: [P * K], W [P, K] flattened.
      labelled, unlabelled: centred phi, [N, P] and [U, P].
      signs: [N, K], 1 for the example's class and -1 for the others.
      target: [K].
      C, C_star: weights of a labelled and an unlabelled point.
    """
    W = w.reshape(-1, len(target))
    slack = np.maximum(0, 1 - signs * (labelled @ W + target))
    f = unlabelled @ W + target
    bump = np.exp(-3 * f**2)
    value = 0.5 * (W**2).sum() + C * (slack**2).sum() + C_star * bump.sum()
    gradient = W - 2 * C * labelled.T @ (signs * slack) - 6 * C_star * unlabelled.T @ (f * bump)
    return value, gradient.ravel()


def _fit_transductive(phi, y, mean, unlabelled, options):
    """(W, b) with mean W + b = 2 (share of the class in y) - 1. First for C* = 0, the inductive machine; then C* rises."""
    signs = 2.0 * np.eye(y.max() + 1)[y] - 1
    target = signs.mean(0)
    C_star = options.unlabelled_weight * options.C * len(y) / len(unlabelled)
    arguments = (phi - mean, signs, target, unlabelled - mean, options.C)
    w = np.zeros(phi.shape[1] * len(target))
    for share in [0.0, *ANNEALING] if C_star else [0.0]:
        how = dict(maxiter=1000, ftol=1e-13, gtol=1e-7) if share in (0, 1) else dict(maxiter=60, ftol=1e-7)
        w = optimize.minimize(transductive_objective, w, (*arguments, share * C_star), "L-BFGS-B", jac=True, options=how).x
    W = w.reshape(-1, len(target))
    return W, target - mean @ W


def _cross_validate(kind, phi, y, free, options, f, generator):
    """The temperature of decisions on labelled points by machines that were fitted without them.

    Each class is dealt to the folds in turn, so that every class is in every fit. A class's only label is never held out;
    if no class has two, the temperature is that of f [N, K], the final fit's own decisions. The folds' fits take turns
    with the unlabelled points too, and together cost about as much as the final one.
    """
    folds, f = np.full(len(y), -1), f.copy()
    for members in (generator.permutation(np.flatnonzero(y == k)) for k in range(y.max() + 1)):
        folds[members] = np.arange(len(members)) % FOLDS if len(members) > 1 else -1
    for fold in range(folds.max() + 1):
        held, turns = folds == fold, free and min(FOLDS, len(free[1]))
        W, b = _fit_weights(kind, phi[~held], y[~held], free and (free[0], free[1][fold % turns :: turns]), options)
        f[held] = phi[held] @ W + b
    used = folds >= min(0, folds.max())
    return fit_temperature(f[used], y[used])


def fit_temperature(f, y):
    """The t that minimises the cross-entropy of softmax(t f), f [n, K], and smoothed labels y [n] (Guo et al. 2017, 4.2)."""
    targets = smoothed(y, f.shape[1])

    def cross_entropy(log_t):
        return -(targets * special.log_softmax(np.exp(log_t) * f, 1)).sum()

    return np.exp(optimize.minimize_scalar(cross_entropy, bounds=(-5, 5), method="bounded").x)


def smoothed(y, num_classes):
    """One-hot labels y [n] of which 1 / (n + 2) is spread over the classes, [n, K].

    Laplace's rule of succession, as in Platt 1999: where nothing is wrong in n, a temperature stays finite, and no more is
    believed than n labels can say.
    """
    targets = np.eye(num_classes)[y]
    return targets + (1 / num_classes - targets) / (len(y) + 2)
