"""What is reported of a trained model: error, calibration, densities, diagnostics, on the examples that were held out."""

import time

from tfadgm import baseline, diagnostics, evaluation


def held_out(data, split):
    """Returns (part, x, y): the test set, else the validation examples; y is None where no example has a label."""
    if data.x_test is not None:
        return "test", data.x_test, data.y_test
    if split.validation.size:
        return "validation", data.x_train[split.validation], data.y_train[split.validation]
    return "train", data.x_train[split.unlabelled], None


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
    probabilities = None
    if model.classifies and y is not None:
        probabilities = evaluation.class_probabilities(model, x, settings.test_samples)
        if not split.labelled.size:
            probabilities = probabilities @ _match(model, settings, data, split)
        named = evaluation.classification(probabilities, y)
        results.update({(f"{part}_{k}" if k in ("error", "error_stderr", "examples") else k): v for k, v in named.items()})
        if split.labelled.size:
            labelled = (data.x_train[split.labelled], data.y_train[split.labelled])
            supervised = baseline.class_probabilities(model, *labelled, x, seed=settings.seed)
            results["supervised_baseline_error"] = evaluation.classification(supervised, y)["error"]
    results.update(evaluation.densities(model, x, settings.density_samples, settings.density_examples, progress))
    return results, (None if probabilities is None else y), probabilities


def bayes(model, data, split, samples, examples):
    """Returns error, calibration and seconds of the generative classifier (`evaluation.bayes_class_probabilities`).

    Raises:
      ValueError: if the model has no class, or no held-out example has a label.
    """
    part, x, y = held_out(data, split)
    if not model.has_class or y is None or not split.labelled.size:
        raise ValueError("bayes_samples: allowed: 0, since there is no p(x, y), or no label to compare with")
    begun = time.perf_counter()
    probabilities = evaluation.bayes_class_probabilities(model, x[:examples], samples)
    named = evaluation.classification(probabilities, y[:examples])
    discriminative = evaluation.classification(evaluation.class_probabilities(model, x[:examples]), y[:examples])
    return dict(
        bayes_samples=samples,
        bayes_seconds=time.perf_counter() - begun,
        **{f"bayes_{name}": value for name, value in named.items()},
        bayes_q_error=discriminative["error"],
    )


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


def _match(model, settings, data, split, examples=5000):
    """Returns which class each cluster stands for, one-hot [clusters, classes]: for the report alone, by training labels."""
    known = split.unlabelled[data.y_train[split.unlabelled] >= 0][:examples]
    clusters = evaluation.class_probabilities(model, data.x_train[known], settings.test_samples)
    return evaluation.match_clusters(clusters.argmax(1), data.y_train[known], model.num_classes, data.num_classes)
