"""The answer first: what error beside which baseline, and how sure; or what density. Then where the errors are."""

import numpy as np
import scipy.stats

from tfadgm.reporting import figures, plotting, summary

MEMBERS = dict(model="the model", network="the same network, labels alone", logistic="logistic regression, labels alone")
SIMPLE = dict(
    supervised_baseline_error="the same network, labels alone", supervised_svm_error="support vector machine, labels alone"
)


def answer(content):
    """The headline: of a classifier that was measured its error, else the density."""
    found = dict(part=content.part, results=content.results, own=_own(content.results), warnings=[])
    if content.probabilities is None:
        return found | dict(error=None, not_measured=content.results.get("not_measured"))
    y, answers = content.y, content.probabilities.argmax(1)
    n, results = len(y), content.results
    error = results[f"{content.part}_error"]
    shown = "the pool of model and labels alone" if results.get("selection") else content.results["model"]
    beside = [dict(name=shown, error=error, interval=results[f"{content.part}_error_interval"], own=True)]
    for key, name in SIMPLE.items():
        if key in results:
            beside.append(dict(name=name, error=results[key], interval=interval(results[key], n), own=False))
    if "crossfit_error" in results:
        name = f"cross-fitted over {results['crossfit_examples']} labels"
        beside.append(
            dict(name=name, error=results["crossfit_error"], interval=results["crossfit_error_interval"], own=True)
        )
    finite = np.isfinite(content.probabilities).all(1)
    best, p = _best(beside), results.get("labels_alone_p_value")
    return found | dict(
        error=error,
        interval=results[f"{content.part}_error_interval"],
        examples=n,
        wrong=round(error * n),
        beside=beside,
        most=min(1.0, 1.1 * max(each["interval"][1] for each in beside)),
        best=best,
        differs=best is not None and p is not None and p < summary.SIGNIFICANT,
        p_value=p,
        frequent=results["most_frequent_error"],
        most_frequent=content.data.class_names[np.bincount(y).argmax()],
        never=summary.some(results["never_answered"]),
        sure=float(content.probabilities[finite].max(1).mean()) if finite.any() else None,
        right=float(np.mean(answers == y)),
        selection=_selection(results),
        chosen=bool(results.get("weights_chosen_by_validation")) and content.part == "validation",
    )


def _best(beside):
    """The better of what the labels alone give, or None."""
    return min((each for each in beside if each["name"] in SIMPLE.values()), key=lambda each: each["error"], default=None)


def interval(error, n):
    """The 95% interval of Clopper and Pearson of an error of n examples."""
    found = scipy.stats.binomtest(round(error * n), n).proportion_ci(0.95, "exact")
    return [float(found.low), float(found.high)]


def _own(results):
    own = summary.OWN_UNITS if f"elbo{summary.OWN_UNITS}" in results else ""
    return dict(elbo=results[f"elbo{own}"], log_density=results[f"log_density{own}"], units=bool(own))


def _selection(results):
    found = results.get("selection")
    if not found:
        return None
    members = [dict(name=MEMBERS[name], **member) for name, member in found["members"].items()]
    better = [each for each in members if None not in (each["nll"], found["nll"]) and each["nll"] < found["nll"]]
    best = min(better, key=lambda each: each["nll"], default=None)
    return dict(members=members, pool=found, better=best, unclear=best is not None and _unclear(best, found))


def _unclear(member, pool):
    """Whether two cross-fitted NLLs are within two standard errors, as of examples that are not paired."""
    errors = (member["nll_stderr"], pool["nll_stderr"])
    return None in errors or pool["nll"] - member["nll"] < 2 * float(np.hypot(*errors))


def numbers(content):
    """All of the summary that is printed when training ends."""
    return dict(rows=summary.rows(content.results, content.warmup))


def warnings(content):
    """The lines that were told."""
    return dict(lines=list(dict.fromkeys(content.warnings))) if content.warnings else None


def confusion(content):
    """Counts by true class and answer, with the recall and the precision of each class."""
    if content.probabilities is None:
        return None
    finite = np.isfinite(content.probabilities).all(1)
    y, names = content.y[finite], content.answers
    counts = figures.confusion_counts(y, content.probabilities[finite].argmax(1), len(names))
    of_class, of_answer = counts.sum(1), counts.sum(0)
    if len(names) > plotting.MANY:
        return dict(figure=content.figures.get("confusion_matrix"), pairs=_pairs(counts, names), rows=None)
    rows = [
        dict(name=name, cells=[(int(c), c / max(of_class[k], 1)) for c in counts[k]], examples=int(of_class[k]))
        | dict(recall=_share(counts[k, k], of_class[k]), precision=_share(counts[k, k], of_answer[k]))
        for k, name in enumerate(names)
    ]
    return dict(names=names, rows=rows, pairs=_pairs(counts, names), figure=None)


def _share(part, whole):
    return part / whole if whole else None


def _pairs(counts, names, most=5):
    """The most frequent confusions, (true class, answer, count)."""
    wrong = counts * (1 - np.eye(len(counts), dtype=int))
    order = np.argsort(-wrong, axis=None, kind="stable")[:most]
    found = [(names[i // len(names)], names[i % len(names)], int(wrong.flat[i])) for i in order.tolist()]
    return [pair for pair in found if pair[2]]


def calibration(content):
    """The reliability diagram, and its numbers in words."""
    if content.probabilities is None or "reliability_diagram" not in content.figures:
        return None
    top, right = content.probabilities.max(1), content.probabilities.argmax(1) == content.y
    levels = [(level, top >= level) for level in (0.5, 0.9, 0.99)]
    rows = [(level, int(sure.sum()), float(right[sure].mean())) for level, sure in levels if sure.any()]
    about = dict(examples=len(top), surest=float(np.nanmax(top)))
    return about | dict(figure=content.figures["reliability_diagram"], results=content.results, rows=rows)
