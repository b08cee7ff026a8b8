"""The cells that are not one run of `bin/train`: methods of scikit-learn, the digits that Untapped finds, potentials.

Each is a function of (cell, seed, directory, settings, data) that returns a dict of results.
"""

import dataclasses

import numpy as np

from tfadgm import evaluation
from tfadgm.reporting import plotting, report
from tfadgm.runs import build, run, run_directory


def nn(cell, seed, directory, settings, data):
    """The nearest labelled image (scikit-learn)."""
    from sklearn.neighbors import KNeighborsClassifier

    return _scikit_learn(KNeighborsClassifier(1), settings)


def svm(cell, seed, directory, settings, data):
    """A support vector machine with the RBF kernel on the labelled images (scikit-learn's default options)."""
    from sklearn.svm import SVC

    return _scikit_learn(SVC(), settings)


def m1(cell, seed, directory, settings, data):
    """The classifier of M1's features, with a VAE that the settings name as `first_run`: labels do not enter it."""
    features = run_directory.Run.open(settings.first_run).model
    settings = dataclasses.replace(settings, first_run=None, precision="float32")
    loaded, split = build.load_data(settings)
    model = build.make_model(settings, loaded, split)
    for own, trained in ((model.q, features.q), (model.p, features.p)):
        for name, factor in own.items():
            factor.set_weights(trained[name].get_weights())
    model.finish(loaded, split, seed)
    results, _, _ = report.evaluate(model, settings, loaded, split)
    return results


def bayes(cell, seed, directory, settings, data):
    """The generative classifier p(y|x) of a run by Bayes' rule, beside its q(y|x): error, calibration, seconds."""
    results = run.train(settings, directory)
    opened = run_directory.Run.open(directory)
    return results | report.bayes(opened.model, *opened.data(), samples=100, examples=1000)


def _scikit_learn(method, settings):
    loaded, split = build.load_data(settings)
    x, x_test = (part.reshape(len(part), -1) / 255.0 for part in (loaded.x_train[split.labelled], loaded.x_test))
    predicted = method.fit(x, loaded.y_train[split.labelled]).predict(x_test)
    error = float((predicted != loaded.y_test).mean())
    stderr = (error * (1 - error) / len(predicted)) ** 0.5
    return dict(test_error=error, test_error_stderr=stderr, labels=len(split.labelled))


def potential(cell, seed, directory, settings, data):
    """The auxiliary model of the energy U1; its budget is a number of steps."""
    from tfadgm.experiments import energies
    from tfadgm.experiments.energy_settings import Settings

    results, models = energies.experiment("U1", Settings(), seed)
    (directory / "figures").mkdir(parents=True, exist_ok=True)
    energies.draw("U1", *models, results, directory / "figures" / "density.png")
    run_directory.write_json(directory / "results.json", results)
    return {**results, "train_seconds": results["seconds"]}


def digit_extraction(cell, seed, directory, settings, data):
    """Trains, asks a logistic regression which digits the unlabelled dimensions of y are, and measures q(y|x) on those.

    Returns the results of the run with `cross_entropy` (nats, mean over the test images of 5 to 9, y permuted) and
    `digits_found` (how many dimensions of 5 to 9 have a digit of their own).
    """
    from sklearn.linear_model import LogisticRegression

    results = run.train(settings, directory)
    opened = run_directory.Run.open(directory)
    loaded, _ = opened.data()
    whole, _ = build.load_data(dataclasses.replace(settings, dataset="mnist", labels=None))
    x = whole.x_train.reshape(len(whole.x_train), -1) / 255.0
    judge = LogisticRegression(max_iter=1000, tol=1e-3, C=0.1).fit(x[:20_000], whole.y_train[:20_000])
    drawn = canonical(opened.model, loaded)
    digits, unique = permutation(judge.predict_proba(drawn), sorted(loaded.labelled_classes))
    tiles = drawn.reshape(1, len(drawn), *loaded.raw_shape[:2])
    names = [str(digit) for digit in digits]
    title = "E[x | y, mean z] for each y, and the digit that it is taken for"
    plotting.picture_grid(directory / "figures" / "digit_extraction.png", tiles, title, column_names=names)
    kept = ~np.isin(loaded.y_test, loaded.labelled_classes)
    log_q = np.log(evaluation.class_probabilities(opened.model, loaded.x_test[kept], 1) + 1e-30)
    of_digit = np.argsort(digits)
    right = log_q[np.arange(kept.sum()), of_digit[loaded.y_test[kept]]]
    return {**results, "cross_entropy": float(-right.mean()), "digits_found": unique, "digits": [int(d) for d in digits]}


def canonical(model, data):
    """Returns E[x | y = k, z] for every k, [K, D], with the mean of z over labelled training images."""
    import tensorflow as tf

    known = np.flatnonzero(data.y_train >= 0)[:5000]
    y = np.eye(model.num_classes, dtype="float32")[data.y_train[known]]
    z = np.mean(model.encode(data.x_train[known], tf.constant(y))["z"], 0)
    count = model.num_classes
    pictures, _ = model.generate(tf.constant([0, 0]), count, tf.eye(count), {"z": tf.tile(tf.constant(z)[None], [count, 1])})
    return model.preprocess.picture(pictures.numpy()).reshape(count, -1) / 255.0


def permutation(probabilities, fixed):
    """Assigns a digit to each dimension of y: its own if in `fixed`, else by what the judge sees in its picture.

    A dimension whose most probable free digit no other claims gets it; of several claims the most probable wins, and the
    losers share the digits that are left, by the best sum of log-probabilities.

    Args:
      probabilities: [K, K], the judge's p(digit | picture of dimension k).
      fixed: dimensions that have labels.

    Returns:
      (digits, unique): int [K], and how many of the free dimensions claimed a digit that no other claimed.
    """
    from scipy.optimize import linear_sum_assignment

    count = len(probabilities)
    digits, free = np.arange(count), np.setdiff1d(np.arange(count), fixed)
    claims = probabilities[free].argmax(1)
    unique = sum(int((claims == claim).sum() == 1 and claim in free) for claim in claims)
    scores = np.log(probabilities[np.ix_(free, free)] + 1e-12)
    winners = {}
    for claim in set(claims) & set(free):
        own = np.flatnonzero(claims == claim)
        winners[int(own[probabilities[free[own], claim].argmax()])] = int(np.flatnonzero(free == claim)[0])
    for row, column in winners.items():
        scores[row] = -1e6
        scores[row, column] = 1e6
    rows, columns = linear_sum_assignment(-scores)
    digits[free[rows]] = free[columns]
    return digits, unique
