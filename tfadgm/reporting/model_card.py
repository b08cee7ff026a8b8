"""The model card of an export, in Markdown (Mitchell et al. 2019, "Model cards for model reporting").

It says what a model is, what it was trained on, what it was worth there, and what it cannot do; what only its owner knows,
whom it is for, is left open and marked.
"""

import json

from tfadgm.models.base import DeepGenerativeModel
from tfadgm.models.novelty import Reference
from tfadgm.reporting import summary
from tfadgm.telling import printable

SHOWN = 50  # classes and columns that are listed
MARKS = str.maketrans({mark: f"\\{mark}" for mark in "\\`*_{}[]<>#|"})
OPEN = "*(for the owner of the model to say)*"


def text(
    model: DeepGenerativeModel,
    class_names: list[str],
    config: dict,
    results: dict | None,
    reference: Reference | None = None,
) -> str:
    """Returns the card of a trained model.

    Args:
      model: as it is exported.
      class_names: of the values of y.
      config: the content of the run's config.json.
      results: that of its results.json; None: nothing was measured.
      reference: what new examples are compared with, if anything.
    """
    parts = {
        "What it is": _made(model, config),
        "What it reads": _inputs(model, config),
        "What it answers": _answers(model, class_names, config, reference),
        "Whom it is for, and what for": [f"Intended use: {OPEN}", f"Out of scope: {OPEN}", f"Contact, licence: {OPEN}"],
        "What it was trained on": _data(config, results),
        "What it was worth": _results(results),
        "What it cannot do": _limits(model, class_names, config, results, reference),
    }
    dataset = config["settings"].get("dataset", "")
    lines = [f"# Model card: {type(model).__name__} of {_plain(dataset)}"]
    for title, points in parts.items():
        lines += ["", f"## {title}", "", *(f"- {point}" for point in points)]
    return "\n".join(lines) + "\n"


def _plain(value):
    """Text of the data as Markdown shows it, whatever it holds."""
    return printable(value).translate(MARKS)


def _made(model, config):
    versions = ", ".join(f"{name} {value}" for name, value in (config.get("versions") or {}).items() if value)
    yield "A deep generative model of tfadgm: " + "; ".join(f"`{line}`" for line in model.formula.splitlines())
    parameters = sum(int(weight.shape.num_elements()) for weight in model.trainable_weights)
    yield f"{parameters:,} weights; likelihood of x: {model.likelihood}"
    if model.answer is not None:
        yield "Classes are answered by a pool of this model, its network and a logistic regression of the labels alone"
    elif model.classifies and model.answer_temperature != 1:
        yield f"Class probabilities at a temperature of {model.answer_temperature:.3g}"
    yield f"Begun {config.get('started')}, revision {config.get('git_revision') or 'unknown'}; {versions}"


def _inputs(model, config):
    columns, names = config.get("columns"), config.get("feature_names")
    if columns:
        yield f"Rows of {len(columns)} columns, by their names: " + _some(_column(column) for column in columns)
        told = "may be missing" if model.preprocess.reads_missing else "must not be missing: training had no missing ones"
        yield f'Cells {told}; a text that training has not seen is read as "other"'
        return
    shape = " x ".join(map(str, model.preprocess.raw_shape))
    sized = "; pictures of another size are cut and resized" if getattr(model.preprocess, "any_size", False) else ""
    yield f"Arrays of {shape}, {model.preprocess.raw_dtype}{sized}"
    if names:
        yield f"Columns, by their names: {_some(map(_plain, names))}"
    low, high = ((config.get("ranges") or {}).get(end) for end in ("low", "high"))
    if isinstance(low, float) and isinstance(high, float):
        yield f"Values in the units of training, where they were {low:.4g} to {high:.4g}"


def _column(column):
    categories = column.get("categories") or []
    return (
        f"{_plain(column['name'])} ({column['kind']}{f', {len(categories)} texts' if column['kind'] == 'category' else ''})"
    )


def _some(texts):
    texts = list(texts)
    return ", ".join(texts[:SHOWN]) + (f" and {len(texts) - SHOWN} more" if len(texts) > SHOWN else "")


def _answers(model, class_names, config, reference):
    if model.classifies:
        yield f"The probabilities of {len(class_names)} classes: {_some(map(_plain, class_names))}"
        prior = "uniform" if model.class_prior is None else ", ".join(f"{float(p):.3g}" for p in model.class_prior[:SHOWN])
        yield f"They follow p(y), which is {prior} here: other frequencies of the classes at use make them wrong"
    filled = ", what missing cells may have been" if config.get("columns") else ""
    yield f"A bound of log p(x), the means of its latents, new examples{filled}"
    if reference is not None:
        of = f"{len(reference.log_density)} {reference.of} examples"
        yield f"Where log p(x) of an example stands among that of {of} (`novelty`)"


def _data(config, results):
    settings = config["settings"]
    labels = "" if results is None else f", {results['labels']} labels"
    yield f"{_plain(settings.get('dataset'))}{labels}, seed {settings.get('seed')}"
    if config.get("data"):
        yield f"Identity of the files: `{json.dumps(config['data'])[:200]}`"
    yield f"Where the data come from, how they were collected, and consent: {OPEN}"


def _results(results):
    if results is None:
        return ["Nothing was measured when it was exported"]
    return [f"{name.strip()}: {_plain(value)}" for name, value in summary.rows(results)]


def _limits(model, class_names, config, results, reference):
    part = (results or {}).get("evaluated_on")
    if part != "test":
        told = dict(validation="on held-out examples of the training data", train="on no held-out example")
        yield f"It was measured {told.get(part, 'nowhere')}: measure it on data of its use before it decides anything"
    examples = (results or {}).get(f"{part}_examples")
    if examples and examples < 500:
        yield f"The error was measured on {examples} examples alone: its interval, above, is wide"
    if model.classifies:
        yield f"It answers one of its {len(class_names)} classes for whatever it is shown, also for what is none of them"
    yield "A high log p(x) is no proof that an example is like those of training: plainer ones can have higher densities"
    if reference is not None and reference.of == "train":
        yield "Its novelty compares with training examples, whose densities are a little higher than those of new ones"
    groups = "of groups among them nothing was measured but the recall of each class"
    yield f"Errors and densities are means over examples that were drawn like those of training; {groups}"
    yield "Nothing in it hides its training examples: a draw may resemble one"
