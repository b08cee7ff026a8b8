"""What a run was made of, how it is made again, and what can be done with it."""

import shlex

import numpy as np

from tfadgm.data import notes, table_notes

CLASSES = 30  # that are listed
BUDGETS = ("minutes", "epochs", "steps")


def data(content):
    """What the data are, and how many examples each class has."""
    found, split = content.data, content.split
    lines = [line for line in notes.taken(found, content.model.likelihood)]
    if found.columns is not None:
        lines += [line for line in table_notes.summary(found) if line not in lines]
    held = "test set" if found.x_test is not None else "validation examples" if split.validation.size else None
    counts = [("training examples", len(found.x_train)), ("of them in the unlabelled pool", len(split.unlabelled))]
    counts.append(("labels that are used", len(split.labelled) if content.model.learns_from_labels else 0))
    if held:
        counts.append((held, len(found.x_test) if found.x_test is not None else int(split.validation.size)))
    return dict(name=found.name, lines=lines, counts=counts, classes=_classes(content), total=found.num_classes)


def _classes(content):
    """(name, labels in training, held-out examples) of each class."""
    found, split = content.data, content.split
    if not found.num_classes:
        return None
    labels = np.bincount(found.y_train[split.labelled], minlength=found.num_classes)
    held = None if content.y is None else np.bincount(content.y, minlength=found.num_classes)
    rows = [(name, int(labels[k]), None if held is None else int(held[k])) for k, name in enumerate(found.class_names)]
    return rows[:CLASSES]


def made(content):
    """The command, the settings that are not the defaults, the versions and the model's factorisation."""
    config = content.config
    about = dict(started=config.get("started"), git_revision=config.get("git_revision"), **(config.get("versions") or {}))
    resolved = {name: _text(value) for name, value in (config.get("resolved") or {}).items()}
    return dict(
        command=content.command,
        changed=content.changed,
        versions={name: value for name, value in about.items() if value},
        resolved=resolved,
        formula=content.model.formula.splitlines(),
    )


def _text(value):
    if isinstance(value, dict):
        return ", ".join(f"{name} {_text(each)}" for name, each in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(_text, value[:20])) + (" ..." if len(value) > 20 else "")
    return f"{value:.4g}" if isinstance(value, float) else "none" if value is None else str(value)


def use(content):
    """Commands by which the run is used, (what for, command), and the same in Python."""
    run, classifies = shlex.quote(content.directory), content.model.classifies
    answers = "class, probabilities and a bound of log p(x)" if classifies else "how log p(x) compares with training's"
    further = "" if classifies else " --novelty"
    found = [(f"Ask about new examples: {answers}, a line of JSON each", f"bin/classify --run={run}{further} FILE")]
    if classifies:
        found.append(("The same, and whether they are like those of training", f"bin/classify --run={run} --novelty FILE"))
    if content.data.columns is not None and content.model.preprocess.reads_missing:
        found.append(("Fill the missing cells of a table", f"bin/impute --run={run} FILE --out=full.csv --mark"))
    found.append(("Draw new examples", f"bin/sample --run={run} --n=16"))
    if content.part != "train":
        found.append(("Measure it on other examples", f"bin/evaluate --run={run} --data=FILE"))
    found.append(("Serve it: TensorFlow Serving, gRPC on port 8500 and REST on port 8501", f"{run}/serving/serve.sh"))
    found.append(("The next version of its export", f"bin/export --run={run}"))
    found.append(("Go on: train longer, from where it stopped", _longer(content)))
    return dict(commands=found, python=_python(content))


def _longer(content):
    """The command of the run with twice the budget that it had."""
    settings, results = content.config["settings"], content.results
    budget = next(name for name in BUDGETS if settings.get(name) is not None)
    twice = dict(minutes=results["train_seconds"] / 30, epochs=2 * results["epochs"], steps=2 * results["steps"])[budget]
    words = [word for word in shlex.split(content.command) if word.partition("=")[0].lstrip("-") not in BUDGETS]
    return shlex.join([*words, f"--{budget}={twice:.3g}" if budget == "minutes" else f"--{budget}={twice}"])


def _python(content):
    ask = "evaluation.elbo(run.model, x)  # nats"
    if content.model.classifies:
        ask = "evaluation.class_probabilities(run.model, x)  # q(y|x)"
    opened = f"run = Run.open({content.directory!r})"
    return ["from tfadgm import Run, evaluation", opened, "x, y = run.held_out()", ask]
