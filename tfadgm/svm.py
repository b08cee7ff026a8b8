"""Classifiers on the latent features of a VAE, M1's second stage (Kingma et al. 2014, section 2.1).

Each is one decision function of plain arrays, so that a TensorFlow graph can repeat it:

    s(x) = (x - mean) / scale
    h(x) = s(x)                                     without anchors (linear)
           exp(-gamma |s(x) - anchors_m|^2), [M]    with anchors (RBF kernel)
    f(x) = h(x) projection W + b,   p(y|x) = softmax(temperature f(x))

phi(x) = h(x) projection is the Nystroem map of the kernel (Williams & Seeger 2001). Three ways to find W and b:

- logistic: multinomial logistic regression, scikit-learn's.
- svm: one-vs-rest support vector machines of the squared hinge loss, scikit-learn's.
- tsvm: one-vs-rest transductive support vector machines, the gradient TSVM of Chapelle & Zien 2005, "Semi-supervised
  classification by low density separation"; see `transductive_objective`.
"""

import dataclasses

import numpy as np
import scipy.optimize
import scipy.special
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC

KINDS = ("logistic", "svm", "tsvm")
KERNELS = ("linear", "rbf")
ANNEALING = 2.0 ** np.arange(-10, 1)  # shares of C* in Chapelle & Zien's order
FOLDS = 5
CHUNK = 4096  # rows of the kernel matrix that are held at once
SMALLEST_EIGENVALUE = 1e-5  # of the anchors' kernel matrix, relative to the largest: what float32 still resolves


@dataclasses.dataclass(frozen=True)
class Options:
    """How features are mapped and what the losses weigh.

    Attributes:
      C: weight of a labelled example's loss against |w|^2 / 2, for a phi of unit total variance.
      kernel: linear or rbf; None is linear for logistic and rbf for the others.
      gamma: of the RBF kernel; None is 1 / median |s(x) - s(x')|^2 over pairs of points, labelled or not.
      anchors: most anchors of the Nystroem map: the labelled points first, then unlabelled ones drawn by the seed.
      unlabelled_weight: tsvm's C* U / (C N): what all unlabelled points weigh against all labelled ones, in every class.
      max_unlabelled: most unlabelled points in tsvm's loss, drawn by the seed; the balance is over all of them.
    """

    C: float = 10.0
    kernel: str | None = None
    gamma: float | None = None
    anchors: int = 500
    unlabelled_weight: float = 1.0
    max_unlabelled: int = 10_000

    def check(self, kind, given):
        """Raises a ValueError if a value is out of range, or an option in `given` has no meaning for `kind`."""
        for name, least in dict(anchors=1, max_unlabelled=FOLDS).items():
            if getattr(self, name) < least:
                raise ValueError(f"{name}: got {getattr(self, name)}; allowed: at least {least}")
        for name in ("C", "gamma"):
            value = getattr(self, name)
            if value is not None and not 0 < value < np.inf:
                raise ValueError(f"{name}: got {value}; allowed: greater than 0")
        if not 0 <= self.unlabelled_weight < np.inf:
            raise ValueError(f"unlabelled_weight: got {self.unlabelled_weight}; allowed: at least 0")
        if self.kernel not in KERNELS:
            raise ValueError(f"kernel: got {self.kernel!r}; allowed: {', '.join(KERNELS)}")
        refused = {"gamma", "anchors"} if self.kernel == "linear" else set()
        refused |= {"unlabelled_weight", "max_unlabelled"} if kind != "tsvm" else set()
        for name in sorted(refused & set(given)):
            raise ValueError(f"{name}: got {given[name]} for {kind} with the {self.kernel} kernel; allowed: leave it out")


@dataclasses.dataclass(frozen=True)
class KernelMachine:
    """f(x) = h(x) projection W + b of the module's docstring; every field is an array of floats.

    Attributes:
      mean: [D].
      scale: [], one for all features: a latent that the VAE does not use stays small.
      anchors: [M, D], standardised; [0, D] for a linear machine.
      gamma: [], 0 for a linear machine.
      projection: [M, P] or, linear, [D, P]; scaled so that phi has unit total variance.
      W: [P, K].
      b: [K].
      temperature: [], multiplies f in the softmax; see `fit_temperature`.
    """

    mean: np.ndarray
    scale: np.ndarray
    anchors: np.ndarray
    gamma: np.ndarray
    projection: np.ndarray
    W: np.ndarray
    b: np.ndarray
    temperature: np.ndarray

    def phi(self, features):
        """phi(x) = h(x) projection, float64 [N, P], of features [N, D]."""
        h = (np.asarray(features, "float64") - self.mean) / self.scale
        if len(self.anchors):
            h = np.exp(-self.gamma * squared_distances(h, self.anchors))
        return h @ self.projection

    def decision(self, features):
        """f(x), float64 [N, K], of features [N, D], in chunks of bounded memory."""
        features = check_matrix("features", features, len(self.mean))
        return np.concatenate([self.phi(part) @ self.W + self.b for part in chunks(features)])

    def probabilities(self, features):
        """p(y|x) = softmax(temperature f(x)), float64 [N, K], of features [N, D]."""
        return scipy.special.softmax(self.temperature * self.decision(features), 1)


def fit(kind, features, y, num_classes, unlabelled=None, seed=0, **options):
    """Fits a classifier of the labelled features; returns a `KernelMachine`.

    Args:
      kind: logistic, svm or tsvm.
      features: [N, D], labelled.
      y: their classes, whole numbers [N], 0 to num_classes - 1; each class at least once.
      num_classes: K.
      unlabelled: [U, D]. All kinds standardise and choose anchors by labelled and unlabelled points together; only tsvm,
        which needs them, has a loss of them.
      seed: of the anchors, of tsvm's unlabelled points and of the folds of the temperature.
      **options: of `Options`.

    Raises:
      ValueError: for an unknown kind or option, or an argument that does not fit.
    """
    options = make_options(kind, options)
    features, y, unlabelled = check_data(kind, features, y, num_classes, unlabelled)
    generator = np.random.default_rng([seed, 5])
    machine = feature_map(features, unlabelled, options, generator)
    phi, problem = machine.phi(features), None
    if kind == "tsvm":
        mean = sum(machine.phi(part).sum(0) for part in chunks(unlabelled)) / len(unlabelled)
        problem = (mean, machine.phi(some_rows(unlabelled, options.max_unlabelled, generator)))
    W, b = fit_weights(kind, phi, y, problem, options)
    temperature = cross_validate(kind, phi, y, problem, options, (W, b), generator)
    return dataclasses.replace(machine, W=W, b=b, temperature=np.array(temperature))


# ---------------------------------------------------------------------------------------------------------------- checks


def make_options(kind, given):
    """Returns the `Options` of a kind, with its default kernel; raises a ValueError for a bad kind, name or value."""
    if kind not in KINDS:
        raise ValueError(f"kind: got {kind!r}; allowed: {', '.join(KINDS)}")
    names = [field.name for field in dataclasses.fields(Options)]
    for name in given:
        if name not in names:
            raise ValueError(f"{name}: is no option of {kind}; allowed: {', '.join(names)}")
    options = Options(**given)
    if options.kernel is None:
        options = dataclasses.replace(options, kernel="linear" if kind == "logistic" else "rbf")
    options.check(kind, given)
    return options


def check_matrix(name, values, columns=None):
    """Returns `values` as an array [N, D] of finite numbers, or raises a ValueError."""
    values = np.asarray(values)
    if values.ndim != 2 or 0 in values.shape or columns not in (None, values.shape[1]):
        raise ValueError(f"{name}: got shape {values.shape}; allowed: [N, {columns or 'D'}], not empty")
    if values.dtype.kind not in "fiub" or not np.isfinite(values).all():
        raise ValueError(f"{name}: got dtype {values.dtype} or values that are not finite; allowed: finite numbers")
    return values


def check_data(kind, features, y, num_classes, unlabelled):
    """Returns (features, y, unlabelled) as arrays; unlabelled may be [0, D]."""
    features, y = check_matrix("features", features), np.asarray(y)
    if num_classes < 2:
        raise ValueError(f"num_classes: got {num_classes}; allowed: at least 2")
    if y.shape != (len(features),) or y.dtype.kind not in "iu":
        raise ValueError(f"y: got {y.dtype} of shape {y.shape}; allowed: whole numbers of shape ({len(features)},)")
    if y.min() < 0 or y.max() >= num_classes:
        raise ValueError(f"y: got classes {y.min()} to {y.max()}; allowed: 0 to {num_classes - 1}")
    missing = np.setdiff1d(np.arange(num_classes), y)
    if len(missing):
        raise ValueError(f"y: has no example of class {missing[0]}; allowed: one or more of each of {num_classes} classes")
    if unlabelled is not None:
        return features, y, check_matrix("unlabelled", unlabelled, features.shape[1])
    if kind == "tsvm":
        raise ValueError("unlabelled: got None; allowed: [U, D] for tsvm")
    return features, y, features[:0]


# ----------------------------------------------------------------------------------------------------------- feature map


def chunks(rows):
    """Cuts rows into parts of at most `CHUNK`."""
    return (rows[i : i + CHUNK] for i in range(0, len(rows), CHUNK))


def some_rows(rows, most, generator):
    """At most `most` rows, drawn without replacement."""
    if len(rows) <= most:
        return rows
    return rows[np.sort(generator.choice(len(rows), most, replace=False))]


def squared_distances(s, anchors):
    """|s_n - anchors_m|^2, [N, M], of s [N, D] and anchors [M, D]."""
    squares = (s**2).sum(1)[:, np.newaxis] + (anchors**2).sum(1) - 2 * s @ anchors.T
    return np.maximum(squares, 0)


def feature_map(features, unlabelled, options, generator):
    pool = np.concatenate([features, unlabelled]).astype("float64")
    mean, scale = pool.mean(0), np.sqrt(pool.var(0).mean())
    if not scale > 0:
        raise ValueError("features: all points are equal; allowed: points that differ")
    sample = some_rows((pool - mean) / scale, 2000, generator)
    if options.kernel == "linear":
        anchors, gamma, projection = np.zeros([0, len(mean)]), 0.0, np.eye(len(mean))
    else:
        rows = np.concatenate([features, some_rows(unlabelled, max(0, options.anchors - len(features)), generator)])
        anchors = (some_rows(rows, options.anchors, generator) - mean) / scale
        gamma = options.gamma or 1 / np.median(squared_distances(sample[::2][:1000], sample[1::2][:1000]))
        values, vectors = np.linalg.eigh(np.exp(-gamma * squared_distances(anchors, anchors)))
        kept = values > SMALLEST_EIGENVALUE * values[-1]
        projection = vectors[:, kept] / np.sqrt(values[kept])
    machine = KernelMachine(mean, scale, anchors, np.array(gamma), projection, None, None, None)
    deviation = np.sqrt(machine.phi(sample * scale + mean).var(0).sum())
    return dataclasses.replace(machine, projection=projection / deviation)


def fit_weights(kind, phi, y, problem, options):
    if kind == "tsvm":
        return fit_transductive(phi, y, *problem, options)
    if kind == "logistic":
        found = LogisticRegression(C=options.C, max_iter=10_000, tol=1e-6).fit(phi, y)
    else:
        found = LinearSVC(C=options.C, intercept_scaling=10.0, dual=False, max_iter=10_000, tol=1e-6).fit(phi, y)
    W, b = found.coef_.T, found.intercept_
    if len(b) == 1:
        W, b = W * [[-0.5, 0.5]], b * [-0.5, 0.5]
    return W, b


def transductive_objective(w, labelled, signs, target, unlabelled, C, C_star):
    W = w.reshape(labelled.shape[1], -1)
    slack = np.maximum(0, 1 - signs * (labelled @ W + target))
    f = unlabelled @ W + target
    bump = np.exp(-3 * f**2)
    value = 0.5 * (W**2).sum() + C * (slack**2).sum() + C_star * bump.sum()
    gradient = W - 2 * C * labelled.T @ (signs * slack) - 6 * C_star * unlabelled.T @ (f * bump)
    return value, gradient.ravel()


def fit_transductive(phi, y, mean, unlabelled, options):
    classes = np.arange(y.max() + 1)
    signs = 2.0 * (y[:, np.newaxis] == classes) - 1
    target = signs.mean(0)
    arguments = (phi - mean, signs, target, unlabelled - mean, options.C)
    C_star = options.unlabelled_weight * options.C * len(phi) / len(unlabelled)
    w = np.zeros(phi.shape[1] * len(classes))
    for share in [0.0, *(ANNEALING if C_star else [])]:
        last = share in (0.0, 1.0)
        found = scipy.optimize.minimize(
            transductive_objective,
            w,
            (*arguments, share * C_star),
            "L-BFGS-B",
            jac=True,
            options=dict(
                maxiter=1000 if last else 60, maxfun=3000, ftol=1e-13 if last else 1e-7, gtol=1e-7 if last else 1e-5
            ),
        )
        w = found.x
    W = w.reshape(-1, len(classes))
    return W, target - mean @ W


def cross_validate(kind, phi, y, problem, options, fitted, generator):
    folds = np.full(len(y), -1)
    for members in (np.flatnonzero(y == k) for k in range(y.max() + 1)):
        if len(members) > 1:
            folds[generator.permutation(members)] = np.arange(len(members)) % FOLDS
    f, labels = [], []
    for fold in range(folds.max() + 1):
        held, part = folds == fold, problem and (problem[0], problem[1][fold::FOLDS])
        W, b = fit_weights(kind, phi[~held], y[~held], part, options)
        f.append(phi[held] @ W + b), labels.append(y[held])
    if not f:
        f, labels = [phi @ fitted[0] + fitted[1]], [y]
    return fit_temperature(np.concatenate(f), np.concatenate(labels))


def fit_temperature(f, y):
    target = np.eye(f.shape[1])[y]
    target += (1 / f.shape[1] - target) / (len(y) + 2)

    def loss(log_temperature):
        return -(target * scipy.special.log_softmax(np.exp(log_temperature) * f, 1)).sum()

    return np.exp(scipy.optimize.minimize_scalar(loss, bounds=(-5, 5), method="bounded").x)
