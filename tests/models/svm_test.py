"""Each classifier is the optimum of its printed objective, and its arrays are all that a graph needs to repeat it."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from scipy import optimize, special
from sklearn.datasets import make_moons
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC

from tfadgm.models import svm

EVERY = [(kind, kernel) for kind in svm.KINDS for kernel in ("linear", "rbf")]


def blobs(classes=3, size=60, seed=0, dim=4):
    """Overlapping clusters: points [size, dim] and their classes, of unequal shares."""
    generator = np.random.default_rng(seed)
    y = np.minimum(generator.integers(0, classes + 1, size), classes - 1)
    y[:classes] = np.arange(classes)
    centres = 2 * np.random.default_rng(100).standard_normal((classes, dim))
    return centres[y] + generator.standard_normal((size, dim)), y


def fit_blobs(kind, kernel="rbf", seed=0, **options):
    features, y = blobs()
    return svm.fit(kind, features, y, 3, blobs(size=200, seed=1)[0], seed, kernel=kernel, **options)


# --------------------------------------------------------------------------------------------------------- the objective


@pytest.mark.parametrize("C_star", [0.0, 0.7])
def test_gradient_is_the_numerical_one(C_star):
    generator = np.random.default_rng(0)
    labelled, unlabelled = generator.standard_normal((5, 4)), generator.standard_normal((9, 4))
    signs = 2.0 * np.eye(3)[[0, 1, 2, 2, 1]] - 1
    rest = (labelled, signs, signs.mean(0), unlabelled, 1.5, C_star)
    w = generator.standard_normal(12)
    gradient = svm.transductive_objective(w, *rest)[1]
    steps = 1e-6 * np.eye(12)
    values = [[svm.transductive_objective(w + sign * step, *rest)[0] for sign in (1, -1)] for step in steps]
    np.testing.assert_allclose(gradient, np.diff(values)[:, 0] / -2e-6, 1e-6, 1e-6)


def test_objective_is_the_printed_one():
    labelled, unlabelled = np.array([[2.0], [1.0]]), np.array([[0.5]])
    signs, target = np.array([[1.0], [-1.0]]), np.array([0.25])
    value, _ = svm.transductive_objective(np.array([0.1]), labelled, signs, target, unlabelled, 3.0, 5.0)
    expected = 0.5 * 0.1**2 + 3 * ((1 - 0.45) ** 2 + (1 + 0.35) ** 2) + 5 * np.exp(-3 * 0.3**2)
    np.testing.assert_allclose(value, expected, 1e-12)


@pytest.mark.parametrize("most", [50, 10_000])
@pytest.mark.parametrize("kernel", ["linear", "rbf"])
def test_mean_decision_over_all_unlabelled_points_is_the_balance_of_the_labels(kernel, most, monkeypatch):
    monkeypatch.setattr(svm, "CHUNK", 64)
    y = blobs()[1]
    machine = fit_blobs("tsvm", kernel, max_unlabelled=most)
    shares = np.bincount(y) / len(y)
    assert np.ptp(shares) > 0.1
    np.testing.assert_allclose(machine.decision(blobs(size=200, seed=1)[0]).mean(0), 2 * shares - 1, atol=1e-10)


def test_without_unlabelled_weight_the_weights_are_the_inductive_optimum():
    features, y = blobs()
    machine = fit_blobs("tsvm", C=2.0, unlabelled_weight=0)
    phi = machine.phi(features) - machine.phi(blobs(size=200, seed=1)[0]).mean(0)
    signs = 2.0 * np.eye(3)[y] - 1
    slack = np.maximum(0, 1 - signs * machine.decision(features))
    assert (slack > 0).any() and (slack == 0).any()
    # The objective is strictly convex, so a point without gradient is its only optimum.
    np.testing.assert_allclose(machine.W, 2 * 2.0 * phi.T @ (signs * slack), atol=1e-4)


@pytest.mark.parametrize("kernel", ["linear", "rbf"])
def test_without_unlabelled_weight_and_imbalance_it_is_liblinears_machine(kernel):
    features, y = blobs(classes=2)
    features, y = np.concatenate([features[y == k][:15] for k in (0, 1)]), np.repeat([0, 1], 15)
    unlabelled = blobs(classes=2, size=100, seed=1)[0]
    machine = svm.fit("tsvm", features, y, 2, unlabelled, kernel=kernel, C=3.0, unlabelled_weight=0)
    mean = machine.phi(unlabelled).mean(0)
    other = LinearSVC(C=3.0, fit_intercept=False, dual=False, tol=1e-10).fit(machine.phi(features) - mean, y)
    score = other.decision_function(machine.phi(unlabelled) - mean)
    np.testing.assert_allclose(machine.decision(unlabelled), np.stack([-score, score], 1), atol=1e-4)


def test_annealing_ends_at_a_minimum_of_the_full_objective():
    features, y = blobs()
    unlabelled = blobs(size=200, seed=1)[0]
    machine = fit_blobs("tsvm", C=2.0, unlabelled_weight=3.0)
    mean, signs = machine.phi(unlabelled).mean(0), 2.0 * np.eye(3)[y] - 1
    phi, free, C_star = machine.phi(features) - mean, machine.phi(unlabelled) - mean, 3.0 * 2.0 * 60 / 200
    arguments = (phi, signs, signs.mean(0), free, 2.0, C_star)
    value, gradient = svm.transductive_objective(machine.W.ravel(), *arguments)
    assert np.abs(gradient).max() < 1e-3
    inductive = fit_blobs("tsvm", C=2.0, unlabelled_weight=0).W.ravel()
    assert value < svm.transductive_objective(inductive, *arguments)[0] - 1


def errors(x, y, labelled, labels, seed=0):
    """The error over x of svm and of tsvm."""
    machines = [svm.fit(kind, labelled, labels, 2, x, seed) for kind in ("svm", "tsvm")]
    return [(machine.decision(x).argmax(1) != y).mean() for machine in machines]


@pytest.mark.parametrize("seed", range(4))
def test_two_labels_a_moon_are_enough_for_tsvm_and_not_for_svm(seed):
    x, y = make_moons(600, noise=0.08, random_state=seed)
    labelled = np.concatenate([np.random.default_rng(seed).choice(np.flatnonzero(y == k), 2, False) for k in (0, 1)])
    inductive, transductive = errors(x, y, x[labelled], y[labelled], seed)
    assert inductive >= 0.1 and transductive <= 0.02


def test_misleading_labels_of_long_clusters():
    generator, y = np.random.default_rng(0), np.repeat([0, 1], 150)
    x = np.stack([generator.uniform(-2.5, 2.5, 300), 2.0 * y + 0.2 * generator.standard_normal(300)], 1)
    ends = np.array([[-2, 0], [-1.5, 0.1], [1.8, 2], [2.2, 2.1]])  # they differ more along the clusters than across
    inductive, transductive = errors(x, y, ends, np.array([0, 0, 1, 1]))
    assert inductive >= 0.2 and transductive <= 0.02


# ------------------------------------------------------------------------------------------------------- scikit-learn's


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("kernel", ["linear", "rbf"])
def test_logistic_is_logistic_regression_of_phi(kernel, classes):
    features, y = blobs(classes)
    machine = svm.fit("logistic", features, y, classes, kernel=kernel, C=0.5)
    phi = machine.phi(features)
    other = LogisticRegression(C=0.5, tol=1e-8, max_iter=10_000).fit(phi, y)
    np.testing.assert_allclose(special.softmax(machine.decision(features), 1), other.predict_proba(phi), atol=1e-4)


def test_svm_is_the_squared_hinge_machine_with_a_free_bias():
    features, y = blobs()
    machine = svm.fit("svm", features, y, 3, C=0.5)
    phi = machine.phi(features)
    for k in range(3):
        sign = np.where(y == k, 1.0, -1.0)

        def objective(parameters, sign=sign):
            slack = np.maximum(0, 1 - sign * (phi @ parameters[:-1] + parameters[-1]))
            pull = -2 * 0.5 * sign * slack
            gradient = np.append(parameters[:-1] + pull @ phi, pull.sum())
            return 0.5 * (parameters[:-1] ** 2).sum() + 0.5 * (slack**2).sum(), gradient

        start = np.zeros(phi.shape[1] + 1)
        best = optimize.minimize(objective, start, jac=True, method="L-BFGS-B", options=dict(maxiter=5000, ftol=1e-14))
        found = phi @ best.x[:-1] + best.x[-1]
        np.testing.assert_allclose(machine.decision(features)[:, k], found, atol=0.02)  # liblinear's bias pays a little


# -------------------------------------------------------------------------------------------------------- feature map


def test_phi_of_every_point_as_anchor_is_the_kernel_up_to_a_factor():
    features, y = blobs(dim=2)
    machine = svm.fit("svm", features, y, 3, gamma=3.0)
    s = (features - features.mean(0)) / np.sqrt(features.var(0).mean())
    kernel = np.exp(-3.0 * ((s[:, np.newaxis] - s) ** 2).sum(-1))
    phi = machine.phi(features)
    np.testing.assert_allclose(phi @ phi.T / (phi[0] @ phi[0]), kernel, atol=1e-3)


@pytest.mark.parametrize("kernel", ["linear", "rbf"])
def test_phi_has_unit_total_variance_in_any_unit_of_the_features(kernel):
    features, y = blobs()
    machine, other = (svm.fit("svm", unit * features + 5, y, 3, kernel=kernel) for unit in (1, 1000))
    np.testing.assert_allclose(machine.phi(features + 5).var(0).sum(), 1, 1e-9)
    np.testing.assert_allclose(other.decision(1000 * features + 5), machine.decision(features + 5), atol=1e-3)


def test_an_unused_latent_changes_nothing():
    features, y = blobs()
    noise = 1e-4 * np.random.default_rng(0).standard_normal((60, 1))
    more = np.concatenate([features, noise], 1)
    machine, other = svm.fit("svm", features, y, 3, C=1.0), svm.fit("svm", more, y, 3, C=1.0)
    np.testing.assert_allclose(other.decision(more), machine.decision(features), atol=1e-2)


def test_the_map_sees_no_label():
    features, y = blobs()
    machine, other = (svm.fit("svm", features, labels, 3, anchors=20) for labels in (y, y[::-1]))
    for name in ("mean", "scale", "anchors", "gamma", "projection"):
        np.testing.assert_array_equal(getattr(machine, name), getattr(other, name))
    assert machine.anchors.shape == (20, 4) and np.abs(machine.W - other.W).max() > 0.01


def test_labelled_points_are_the_first_anchors():
    features = blobs()[0]
    machine = fit_blobs("svm", anchors=100)
    assert machine.anchors.shape == (100, 4)
    np.testing.assert_allclose(machine.anchors[:60] * machine.scale + machine.mean, features, 1e-9)


# ----------------------------------------------------------------------------------------------------------- the arrays


def in_tensorflow(arrays, x):
    """(f, probabilities) by the formula of the module's docstring, compiled, in float32."""
    arrays = {name: tf.constant(value, "float32") for name, value in arrays.items()}

    @tf.function
    def formula(x):
        h = (x - arrays["mean"]) / arrays["scale"]
        if len(arrays["anchors"]):
            squares = tf.reduce_sum((h[:, tf.newaxis] - arrays["anchors"]) ** 2, -1)
            h = tf.exp(-arrays["gamma"] * squares)
        f = h @ arrays["projection"] @ arrays["W"] + arrays["b"]
        return f, tf.nn.softmax(arrays["temperature"] * f)

    return formula(tf.constant(x, "float32"))


@pytest.mark.parametrize(("kind", "kernel"), EVERY)
def test_the_stored_arrays_in_float32_tensorflow_are_the_machine(kind, kernel, tmp_path):
    machine, x = fit_blobs(kind, kernel), blobs(size=50, seed=2)[0]
    np.savez(tmp_path / "machine.npz", **dataclasses.asdict(machine))
    with np.load(tmp_path / "machine.npz") as stored:
        arrays = dict(stored)
    f, p = in_tensorflow(arrays, x)
    np.testing.assert_allclose(f, machine.decision(x), atol=1e-3)
    np.testing.assert_allclose(p, machine.probabilities(x), atol=1e-3)
    np.testing.assert_allclose(machine.probabilities(x).sum(1), 1, 1e-12)
    np.testing.assert_array_equal(svm.KernelMachine(**arrays).decision(x), machine.decision(x))


def test_a_kernel_so_wide_that_its_matrix_is_singular_survives_float32():
    machine, x = fit_blobs("svm", gamma=1e-3, C=1000.0), blobs(size=50, seed=2)[0]
    assert machine.projection.shape[1] < len(machine.anchors)
    np.testing.assert_allclose(in_tensorflow(dataclasses.asdict(machine), x)[0], machine.decision(x), atol=1e-3)


def test_decisions_do_not_depend_on_the_chunk(monkeypatch):
    machine, x = fit_blobs("svm"), blobs(size=50, seed=2)[0]
    whole = machine.decision(x)
    monkeypatch.setattr(svm, "CHUNK", 7)
    np.testing.assert_allclose(machine.decision(x), whole, atol=1e-12)


@pytest.mark.parametrize("kind", svm.KINDS)
def test_a_fit_is_a_function_of_its_seed(kind):
    draws = dict(anchors=80, max_unlabelled=60) if kind == "tsvm" else dict(anchors=80)
    machine, again, other = (dataclasses.asdict(fit_blobs(kind, seed=seed, **draws)) for seed in (1, 1, 2))
    for name in machine:
        np.testing.assert_array_equal(machine[name], again[name])
    assert not np.array_equal(machine["anchors"], other["anchors"])
    assert machine["temperature"] != other["temperature"]


# ---------------------------------------------------------------------------------------------------------- temperature


def test_temperature_of_labels_drawn_from_the_softmax_is_found():
    generator = np.random.default_rng(0)
    f = generator.standard_normal((20_000, 4))
    y = (special.log_softmax(2.5 * f, 1) + generator.gumbel(size=f.shape)).argmax(1)
    np.testing.assert_allclose(svm.fit_temperature(f, y), 2.5, 0.03)


def test_confidence_of_n_labels_without_an_error_is_bounded():
    for n in (3, 30):
        y = np.arange(n) % 3
        f = 2.0 * np.eye(3)[y] - 1
        confidence = special.softmax(svm.fit_temperature(f, y) * f, 1).max(1)
        np.testing.assert_allclose(confidence, 1 - 2 / 3 / (n + 2), 1e-4)


@pytest.mark.parametrize("kind", svm.KINDS)
def test_labels_without_meaning_give_no_confidence(kind):
    generator = np.random.default_rng(0)
    x, y = generator.standard_normal((90, 4)), np.arange(90) % 3
    machine = svm.fit(kind, x, y, 3, x, kernel="rbf", gamma=1.0)
    assert (machine.decision(x).argmax(1) == y).mean() > 0.9  # learned by heart
    assert machine.probabilities(x).max(1).mean() < 0.5


@pytest.mark.parametrize("kind", svm.KINDS)
@pytest.mark.parametrize("counts", [(1, 1, 1), (1, 2, 7)])
def test_one_label_of_a_class_is_enough(kind, counts):
    x, classes = blobs(size=200, seed=1)
    chosen = np.concatenate([np.flatnonzero(classes == k)[:count] for k, count in enumerate(counts)])
    machine = svm.fit(kind, x[chosen], classes[chosen], 3, x)
    assert 0.05 < machine.temperature < 50
    assert (machine.decision(x[chosen]).argmax(1) == classes[chosen]).all()


def test_fewer_unlabelled_points_than_folds():
    features, y = blobs()
    assert np.isfinite(svm.fit("tsvm", features, y, 3, features[:2]).probabilities(features)).all()


# ------------------------------------------------------------------------------------------------------------- bad input

X, Y = np.random.default_rng(0).standard_normal((6, 2)), np.array([0, 1, 2, 0, 1, 2])
BAD = {
    "kind": (dict(kind="knn"), "kind: got 'knn'; allowed: logistic, svm, tsvm"),
    "classes": (dict(num_classes=1), "num_classes: got 1; allowed: at least 2"),
    "missing class": (dict(num_classes=4), r"y: got classes \[0, 1, 2\]; allowed: each of 0 to 3 at least once"),
    "class": (dict(num_classes=2), r"y: got classes \[0, 1, 2\]; allowed: each of 0 to 1"),
    "length": (dict(y=Y[:5]), r"y: got int64 of shape \(5,\); allowed: whole numbers of shape \(6,\)"),
    "floats": (dict(y=Y.astype("float32")), "y: got float32 .*; allowed: whole numbers"),
    "vector": (dict(features=X[:, 0]), r"features: got shape \(6,\); allowed: \(N, D\)"),
    "none": (dict(features=X[:0]), r"features: got shape \(0, 2\); allowed: \(N, D\), N at least 1"),
    "nan": (dict(features=np.where(X > 0, np.nan, X)), "features: got .* not finite; allowed: finite numbers"),
    "text": (dict(features=X.astype("str")), "features: got dtype <U.*; allowed: finite numbers"),
    "equal": (dict(features=np.ones((6, 2))), "features: got points that are all equal; allowed: at least two that differ"),
    "no unlabelled": (dict(kind="tsvm"), r"unlabelled: got None for tsvm; allowed: points of shape \(U, D\)"),
    "columns": (dict(unlabelled=np.ones((5, 3))), r"unlabelled: got shape \(5, 3\); allowed: \(N, 2\)"),
    "option": (dict(sigma=1.0), "sigma: svm with the kernel rbf has no such option; allowed: C, kernel, gamma, anchors$"),
    "not svm's": (dict(max_unlabelled=5), "max_unlabelled: svm with the kernel rbf has no such option; allowed: C"),
    "not linear": (dict(kernel="linear", gamma=1.0), "gamma: svm with the kernel linear has no .*; allowed: C, kernel$"),
    "kernel": (dict(kernel="cubic"), "kernel: got 'cubic'; allowed: linear, rbf"),
    "C": (dict(C=0.0), "C: got 0.0; allowed: greater than 0"),
    "gamma": (dict(gamma=np.inf), "gamma: got inf; allowed: greater than 0"),
    "anchors": (dict(anchors=2.5), "anchors: got 2.5; allowed: whole numbers of at least 1"),
    "weight": (dict(kind="tsvm", unlabelled=X, unlabelled_weight=-1.0), "unlabelled_weight: got -1.0; allowed: at least 0"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_refused(name):
    given, message = BAD[name]
    arguments = dict(kind="svm", features=X, y=Y, num_classes=3) | given
    with pytest.raises(ValueError, match=message) as caught:
        svm.fit(**arguments)
    assert "\n" not in str(caught.value)


def test_decisions_of_other_features_are_refused():
    machine = svm.fit("logistic", X, Y, 3)
    with pytest.raises(ValueError, match=r"features: got shape \(6, 1\); allowed: \(N, 2\)"):
        machine.decision(X[:, :1])
