"""What is reported of a trained model: error, calibration, densities, diagnostics, on the examples that were held out."""

import time

from tfadgm import baseline, diagnostics, evaluation

MATCHED_EXAMPLES = 5000  # training examples with labels by which clusters are matched to classes
TRAIN_EXAMPLES = 10_000  # evaluated where nothing is held out


def held_out(data, split):
    """Returns (part, x, y): the test set, else the validation examples; y is None where no example has a label."""
    if data.x_test is not None:
        return "test", data.x_test, data.y_test
    if split.validation.size:
        return "validation", data.x_train[split.validation], data.y_train[split.validation]
    return "train", data.x_train[split.unlabelled[:TRAIN_EXAMPLES]], None


def evaluate(model, settings, data, split, progress=None):
    """Returns (results, y, probabilities) on the test set, or on the validation examples where there is none.

    y and probabilities are None for models without a class, and where no held-out example has a label.
    `progress(done, total)` is called while log p(x) is estimated.
    """
    part, x, y = held_out(data, split)
    results = dict(
        model=settings.model,
        dataset=settings.dataset,
        labels=len(split.labelled) if model.classifies else 0,
        seed=settings.seed,
        evaluated_on=part,
    )
    probabilities, known = None, split.unlabelled[data.y_train[split.unlabelled] >= 0][:MATCHED_EXAMPLES]
    if model.classifies and y is not None and (split.labelled.size or known.size):
        probabilities = evaluation.class_probabilities(model, x, settings.test_samples)
        if not split.labelled.size:
            probabilities = probabilities @ _match(model, settings, data, known)
        named = evaluation.classification(probabilities, y)
        results.update({(f"{part}_{k}" if k in ("error", "error_stderr", "examples") else k): v for k, v in named.items()})
        if split.labelled.size:
            labelled = (data.x_train[split.labelled], data.y_train[split.labelled])
            supervised = baseline.class_probabilities(model, *labelled, x, seed=settings.seed)
            results["supervised_baseline_error"] = evaluation.classification(supervised, y)["error"]
    results.update(evaluation.densities(model, x, settings.density_samples, settings.density_examples, progress))
    return results, (None if probabilities is None else y), probabilities


def check_bayes(model, data, split, samples):
    """Raises a ValueError if there is no p(x, y), or no label to compare with."""
    _, _, y = held_out(data, split)
    if not model.has_class or y is None or not split.labelled.size:
        lack = "p(x, y)" if not model.has_class else "labelled example"
        raise ValueError(f"bayes_samples: got {samples} where there is no {lack}; allowed: 0")


def bayes(model, data, split, samples, examples, test_samples=100):
    """Returns error, calibration and seconds of the generative classifier beside those of q(y|x), on the same examples.

    Args:
      model, data, split: of a run.
      samples: importance samples of p(x, y) (`evaluation.bayes_class_probabilities`).
      examples: how many held-out examples.
      test_samples: samples of a inside q(y|x).

    Returns:
      A dict of bayes_error, bayes_ece, bayes_nll, bayes_seconds, ..., q_error, q_ece, q_nll, q_seconds, ...; seconds include
      the compilation.

    Raises:
      ValueError: if the model has no class, or no held-out example has a label.
    """
    check_bayes(model, data, split, samples)
    _, x, y = held_out(data, split)
    classifiers = dict(
        bayes=lambda: evaluation.bayes_class_probabilities(model, x[:examples], samples),
        q=lambda: evaluation.class_probabilities(model, x[:examples], test_samples),
    )
    results = dict(bayes_samples=samples)
    for name, classify in classifiers.items():
        begun = time.perf_counter()
        named = evaluation.classification(classify(), y[:examples])
        results |= {f"{name}_{key}": value for key, value in named.items()}
        results[f"{name}_seconds"] = time.perf_counter() - begun
    return results


def diagnose(model, data, split, examples):
    """Returns the terms of the bound by factor, the KL per unit and the active units, over held-out examples."""
    _, x, _ = held_out(data, split)
    units = diagnostics.kl_per_unit(model, x[:examples])
    return dict(
        examples=len(x[:examples]),
        terms=diagnostics.terms(model, x[:examples]),
        kl_per_unit={name: [float(v) for v in value] for name, value in units.items()},
        active_units=diagnostics.active_units(model, x[:examples]),
    )


def _match(model, settings, data, known):
    """Returns which class each cluster stands for, one-hot [clusters, classes], by the labels of training examples.

    For the report alone: no label reaches training.
    """
    clusters = evaluation.class_probabilities(model, data.x_train[known], settings.test_samples)
    return evaluation.match_clusters(clusters.argmax(1), data.y_train[known], model.num_classes, data.num_classes)
