"""The summary of a run's results in words: errors in %, densities in nats per example, in the data's own units."""

OWN_UNITS = "_own_units"
SHOWN = 5  # classes in a line
SIGNIFICANT = 0.05  # p-value below which a difference is said to be one


def rows(results, warmup_epochs=0.0):
    """Returns pairs (name, value) of text from the content of a results.json, of an older version too.

    They tell of a run that ended within its `warmup_epochs`, which maximised no bound yet; of an error that is not below
    that of the most frequent class; of labels alone that are better than the model; of what was not measured.
    """
    found = [
        ("model", results["model"]),
        ("data", f"{results['dataset']}, {results['labels']} labels, seed {results['seed']}"),
        *([("measured on", results["data"])] if "data" in results else []),
        *_errors(results),
        *_bayes(results),
        *_densities(results),
    ]
    if "train_seconds" in results:
        rate = f"{results['epochs']} epochs, {results['steps_per_second']:.1f} steps/s"
        found.append(("training", f"{results['train_seconds']:.0f} s, {rate}, peak {results['peak_memory_mb']:.0f} MB"))
        if results["epochs"] < warmup_epochs:
            text = (
                f"ended after {results['epochs']} of {warmup_epochs:g} epochs; train longer, or with fewer --warmup_epochs"
            )
            found.append(("warm-up", text))
    return found


def _errors(results):
    part = results["evaluated_on"]
    if "not_measured" in results:
        yield "error", f"not measured: {results['not_measured']}"
    elif f"{part}_error" in results:
        error, examples = results[f"{part}_error"], results[f"{part}_examples"]
        interval = results.get(f"{part}_error_interval")
        spread = f" +- {100 * results[f'{part}_error_stderr']:.2f}"
        if interval:
            spread = f" ({100 * interval[0]:.2f} to {100 * interval[1]:.2f}%, 95% interval)"
        chosen = results.get("weights_chosen_by_validation") and part == "validation"
        chosen = ", which chose the weights, so that it is too low" if chosen else ""
        yield f"{part} error", f"{100 * error:.2f}%{spread}, {examples} examples{chosen}"
        yield from _constant(results, error)
        yield from _selection(results)
        yield from _by_class(results)
        yield from _of_labels_alone(results)
        yield "calibration", _calibration(results)
    if "crossfit_error" in results:
        low, high = (100 * value for value in results["crossfit_error_interval"])
        text = f"{100 * results['crossfit_error']:.2f}% ({low:.2f} to {high:.2f}%, 95% interval)"
        yield "cross-fitted error", f"{text}, {results['crossfit_examples']} examples in {results['crossfit_folds']} folds"
    if "labelled_accuracy_warning" in results:
        yield "warning", results["labelled_accuracy_warning"]


def _constant(results, error):
    """Of a classifier that does not beat one answer to all, or that never gives some answer."""
    frequent = results.get("most_frequent_error")
    if frequent is not None and error >= frequent:
        yield "most frequent class", f"as every answer has {100 * frequent:.2f}%: the model is no better"
    if results.get("never_answered"):
        yield "never answered", some(results["never_answered"])


def some(names):
    """The first `SHOWN` of some names, and how many more there are."""
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")


def _selection(results):
    """A row per member of the pool that answers, and of the pool: what they were worth to labels that they had not seen."""
    found = results.get("selection")
    if found:
        for name, member in found["members"].items():
            yield f"  {name}", f"weight {member['weight']:.2f}, {_worth(member)}"
        what = f"{found['examples']} labels, {found['folds']} {'fold' if found['folds'] == 1 else 'folds'}"
        yield "  pool of them", f"answers; {_worth(found)}, cross-fitted: {what}, {results['select_seconds']:.0f} s"


def _worth(found):
    return f"NLL {found['nll']:.3f} +- {found['nll_stderr']:.3f} nats, error {100 * found['error']:.1f}%"


def _by_class(results):
    """The recall of each class, or, of many, the lowest ones."""
    if "recall" not in results:
        return
    recall = sorted(results["recall"].items(), key=lambda item: item[1])
    lowest = ", ".join(f"{name} {100 * share:.1f}%" for name, share in recall[:SHOWN])
    which = f"recall {lowest}" if len(recall) <= SHOWN else f"lowest recall of {len(recall)}: {lowest}"
    yield "balanced accuracy", f"{100 * results['balanced_accuracy']:.2f}%; {which}"
    if results.get("classes_without_labels"):
        found = some(results["classes_without_labels"])
        yield "without labels", f"{found}: values of y were matched to these classes by the examples that are measured"


def _of_labels_alone(results):
    names = {"supervised_baseline_error": "network", "supervised_svm_error": "SVM"}
    errors = {name: results[key] for key, name in names.items() if key in results}
    p, told, part = results.get("labels_alone_p_value"), "", results["evaluated_on"]
    if p is not None and errors:
        told = f"no difference to the model that {results[f'{part}_examples']} examples can show"
        if p < SIGNIFICANT:
            told = f"{'better' if min(errors.values()) < results[f'{part}_error'] else 'worse'} than the model"
        told = f"; {told}, p = {p:.2g}"
    if errors:
        yield "the labels alone", ", ".join(f"{100 * error:.2f}% ({name})" for name, error in errors.items()) + told


def _calibration(results):
    parts = [f"ECE {_number(results, 'ece', '.2f', '%', 100)}", f"NLL {_number(results, 'nll', '.4f', ' nats')}"]
    if "brier" in results:
        parts[0] += f" ({_number(results, 'ece_equal_mass', '.2f', '%', 100)} in bins of equal mass)"
        parts.append(f"Brier score {_number(results, 'brier', '.4f')}")
    if "answer_temperature" in results:
        fitted = results.get("answer_temperature_by_validation") and results["evaluated_on"] == "validation"
        told = ", fitted to these examples, so that NLL and ECE are a little too low" if fitted else ""
        parts.append(f"at a temperature of {results['answer_temperature']:.2f}{told}")
    return ", ".join(parts)


def _bayes(results):
    if "bayes_error" in results:
        error, stderr = 100 * results["bayes_error"], 100 * results["bayes_error_stderr"]
        text = f"{error:.2f}% +- {stderr:.2f} ({results['bayes_examples']} examples, {results['bayes_samples']} samples)"
        yield "Bayes' rule", f"{text}, {_of_rule(results, 'bayes')}"
        yield "q(y|x), the same", f"{100 * results['q_error']:.2f}%, {_of_rule(results, 'q')}"


def _of_rule(results, name):
    ece, nll = _number(results, f"{name}_ece", ".2f", "%", 100), _number(results, f"{name}_nll", ".4f", " nats")
    return f"ECE {ece}, NLL {nll}, {results[f'{name}_seconds']:.1f} s"


def _densities(results):
    own = OWN_UNITS if f"elbo{OWN_UNITS}" in results else ""
    where = "" if results["evaluated_on"] != "train" else ", of training examples: nothing was held out"
    yield "ELBO", f"{_with_error(results, 'elbo', own)}{where}"
    if "trained_elbo" in results:
        trained = _number(results, "trained_elbo", ".2f")
        yield "as trained", f"{trained} nats, of another model: {results['trained_elbo_of']}"
    effective = results.get("effective_samples_note") or f"{_number(results, 'effective_samples', '.1f')} effective"
    counts = f"{results['log_density_samples']} samples, {effective}"
    yield "log p(x) >=", f"{_with_error(results, 'log_density', own)} ({counts}, {results['log_density_examples']} examples)"
    yield "densities are", _of_what(results, own)
    if "examples_without_density" in results:
        yield (
            "not finite",
            f"the density of {results['examples_without_density']} examples: values unlike those of training?",
        )


def _with_error(results, name, own):
    value, stderr = _number(results, name + own, ".2f"), results.get(f"{name}_stderr")
    return f"{value}{'' if stderr is None else f' +- {stderr:.2f}'} nats"


def _of_what(results, own):
    if not own:
        return "of x as the network reads it, not in the data's own units (results of an older version)"
    dropped = f", {results['components_dropped']} others left out" if results["components_dropped"] else ""
    bits = ""
    if "bits_per_dimension" in results:
        bits = f"; {_number(results, 'bits_per_dimension', '.3f')} bits per number"
    given = f", given {results['densities_given']}" if "densities_given" in results else ""
    return f"of {results['components']} numbers per example{given}{dropped}, in the data's own units{bits}"


def _number(results, name, form, unit="", factor=1):
    value = results[name]
    if value is None:
        return f"not finite ({results.get('not_finite', {}).get(name, 'no number')})"
    return f"{factor * value:{form}}{unit}"
