"""What is reported of a trained model: error, calibration, densities, diagnostics, on the examples that were held out."""

import math
import time

import numpy as np
import scipy.stats

from tfadgm import evaluation, telling
from tfadgm.data import on_disk
from tfadgm.evaluation import diagnostics
from tfadgm.training import baseline

MATCHED_EXAMPLES = 5000  # training examples with labels by which clusters are matched to classes
TRAIN_EXAMPLES = 10_000  # evaluated where nothing is held out
NOTHING_HELD_OUT = (
    "no labelled example was held out; --validation=N holds out N of them, --cross_fit=3 trains three times more and leaves "
    "out each in turn, bin/evaluate --data=FILE reads more"
)
NOTHING_KNOWN = "no label of a training example says which class a cluster stands for"


def held_out(data, split):
    """Returns (part, x, y): the test set, else the validation examples; y is None where no example has a label."""
    if data.x_test is not None:
        return "test", data.x_test, data.y_test
    if split.validation.size:
        return "validation", on_disk.take(data.x_train, split.validation), data.y_train[split.validation]
    return "train", on_disk.take(data.x_train, split.unlabelled[:TRAIN_EXAMPLES]), None


def evaluate(model, settings, data, split, progress=None, measured=None):
    """Returns (results, y, probabilities) on the test set, or on the validation examples where there is none.

    y and probabilities are None for models without a class, and where no held-out example has a label; `not_measured` of the
    results then says why. What is not finite is None in the results, and `not_finite` says what it was: see `finite`.

    Args:
      model, settings, data, split: of a run.
      progress: `progress(done, total)` is called while log p(x) is estimated.
      measured: (part, x, y) to measure on in place of `held_out`; y [N] is -1 where a class is not known, or None.

    Values of y beside the classes (`clusters` with labels) have columns of their own in the probabilities, and are wrong.
    Values of classes that had no labels are matched to these classes by the measured examples.
    """
    part, x, y = measured or held_out(data, split)
    results = dict(
        model=settings.model,
        dataset=settings.dataset,
        labels=len(split.labelled) if model.classifies else 0,
        seed=settings.seed,
        evaluated_on=part,
    )
    known = np.arange(0) if y is None else np.flatnonzero(y >= 0)
    probabilities = None
    if model.classifies and known.size:
        x_known, y = on_disk.take(x, known), y[known]
        probabilities = _probabilities(model, settings, data, split, x_known)
    if probabilities is None:
        y = None
        if model.classifies:
            results["not_measured"] = NOTHING_KNOWN if known.size else NOTHING_HELD_OUT
    else:
        if split.labelled.size and data.labelled_classes is not None:
            probabilities = probabilities @ evaluation.match_unlabelled(probabilities, y, data.labelled_classes)
            results["classes_without_labels"] = [data.class_names[k] for k in np.setdiff1d(y, data.labelled_classes)]
        named = evaluation.classification(probabilities, y)
        recall = evaluation.recall(probabilities, y)
        answers = probabilities.argmax(1)
        results["recall"] = {data.class_names[k]: float(recall[k]) for k in np.unique(y)}
        results["never_answered"] = [data.class_names[k] for k in np.setdiff1d(y, answers)]
        results["most_frequent_error"] = float(np.mean(y != np.bincount(y).argmax()))  # of that class as every answer
        results.update({(f"{part}_{k}" if k.startswith("error") or k == "examples" else k): v for k, v in named.items()})
        if split.labelled.size:
            with telling.task("what the labels alone give"):
                results.update(_of_labels_alone(model, settings, data, split, x_known, y, answers))
    if settings.chooses and split.validation.size and model.learns_from_labels:
        results["weights_chosen_by_validation"] = True
    results.update(evaluation.densities(model, x, settings.density_samples, settings.density_examples, progress))
    return finite(results), y, probabilities


def _probabilities(model, settings, data, split, x):
    """Returns class probabilities [N, K], of clusters by the classes they stand for; None if no label can name these."""
    if split.labelled.size:
        return evaluation.class_probabilities(model, x, settings.test_samples)
    known = split.unlabelled[data.y_train[split.unlabelled] >= 0][:MATCHED_EXAMPLES]
    if not known.size:
        return None
    return evaluation.class_probabilities(model, x, settings.test_samples) @ _match(model, settings, data, known)


def _of_labels_alone(model, settings, data, split, x, y, answers):
    """Returns the errors of what the labels alone give on examples (x, y), where the model gives the classes `answers`.

    `labels_alone_p_value` is the probability of a difference between the model and the better of network and SVM that is as
    large, or larger, either way, if both were equally good: a sign test on the examples of which one of them is right
    (McNemar's, exact, two-sided).
    """
    labelled = (on_disk.take(data.x_train, split.labelled), data.y_train[split.labelled])
    chosen_by = None
    if settings.chooses and split.validation.size:
        chosen_by = (on_disk.take(data.x_train, split.validation), data.y_train[split.validation])
    options = dict(seed=settings.seed, average=settings.average, held_out=chosen_by)
    right = {"supervised_baseline": baseline.class_probabilities(model, *labelled, x, **options).argmax(1) == y}
    classes = baseline.svm_classes(model, *labelled, x)
    if classes is not None:
        right["supervised_svm"] = classes == y
    results = {f"{name}_error": float(1 - np.mean(each)) for name, each in right.items()}
    best, own = max(right.values(), key=np.sum), answers == y
    gained, lost = int(np.sum(best & ~own)), int(np.sum(own & ~best))
    differ = gained + lost
    results["labels_alone_p_value"] = float(scipy.stats.binomtest(gained, differ).pvalue) if differ else 1.0
    return results


def labelled_accuracy(model, settings, data, split, rows, epoch):
    """Returns the accuracy on the labelled examples in training and of the reported model, a dict; warns if it is lower.

    They are of the same examples, so that a lower accuracy is no lack of generality: the function that is reported is then
    another than the one that was trained, as with moments of batch norm that are not those of the labelled batches. Lower
    means by more than two in a hundred, and three standard errors of a difference of two shares. A higher one is none: an
    epoch's mean is behind the model at its end.

    Args:
      model, settings, data, split: of a run.
      rows: those of metrics.csv.
      epoch: the number of the epoch whose weights are reported.
    """
    row = next((row for row in rows if int(row["epoch"]) == epoch), {})
    if not row.get("labelled_accuracy") or not split.labelled.size:
        return {}
    chosen = split.labelled[:: max(1, len(split.labelled) // MATCHED_EXAMPLES)]
    probabilities = evaluation.class_probabilities(model, on_disk.take(data.x_train, chosen), settings.test_samples)
    trained, reported = float(row["labelled_accuracy"]), float(np.mean(probabilities.argmax(1) == data.y_train[chosen]))
    results = dict(labelled_accuracy_in_training=trained, labelled_accuracy=reported, labelled_accuracy_examples=len(chosen))
    mean = 0.5 * (trained + reported)
    if trained - reported > max(0.02, 3 * math.sqrt(2 * mean * (1 - mean) / len(chosen))):
        results["labelled_accuracy_warning"] = text = (
            f"the model is right on {100 * reported:.1f}% of the {len(chosen)} labelled examples, where it was right on "
            f"{100 * trained:.1f}% in training"
        )
        telling.warn(f"{text}; try more epochs" + (", or --batch_norm=false" if settings.batch_norm else ""))
    return results


def finite(results):
    """Returns `results` with None in place of numbers that are NaN or infinite, which JSON has not.

    If there are any, `not_finite` is a dict of their names and of what they were; within dicts and lists names have dots.
    """
    wrong, cleaned = {}, {}
    for name, value in results.items():
        cleaned[name] = _cleaned(name, value, wrong)
    if not wrong:
        return results
    told = {**results.get("not_finite", {}), **{name: _why(name, v, wrong) for name, v in wrong.items()}}
    return {**cleaned, "not_finite": told}


def _cleaned(name, value, wrong):
    if isinstance(value, dict):
        return {key: _cleaned(f"{name}.{key}", each, wrong) for key, each in value.items()}
    if isinstance(value, list):
        return [_cleaned(f"{name}.{i}", each, wrong) for i, each in enumerate(value)]
    if isinstance(value, float) and not math.isfinite(value):
        wrong[name] = value
        return None
    return value


def _why(name, value, wrong):
    if name.endswith("_stderr") and name.removesuffix("_stderr") not in wrong:
        return "of one example"
    if name.endswith("nll") and value == math.inf:
        return "infinite: a class has the probability 0, as one that no cluster stands for"
    return str(value)


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
    terms, units = diagnostics.taken_apart(model, x[:examples])
    return dict(
        examples=len(x[:examples]),
        log_scale=float(evaluation.log_scale(model, x[:examples]).mean()),
        terms=terms,
        kl_per_unit={name: [float(v) for v in value] for name, value in units.items()},
        active_units=diagnostics.active_units(model, x[:examples]),
    )


def _match(model, settings, data, known):
    """Returns which class each cluster stands for, one-hot [clusters, classes], by the labels of training examples.

    For the report alone: no label reaches training.
    """
    clusters = evaluation.class_probabilities(model, on_disk.take(data.x_train, known), settings.test_samples)
    return evaluation.match_clusters(clusters.argmax(1), data.y_train[known], model.num_classes, data.num_classes)
