"""Measured settings per data set, on top of the papers' defaults in `settings.py`.

They were found on validation examples held out from the training data, never on test data; docs/notebook.md tells how. A
setting given by the user always wins.
"""

import dataclasses
import math
from typing import Any

from tfadgm.runs.settings import BUDGETS, Settings

# What helped on every data set: an average over cheap samples of a inside the classifier, a labelled bound that counts
# for little or nothing, clipped gradients, and a moving average of the weights for evaluation.
COMMON: dict[str, Any] = dict(
    classifier_samples=10,
    labelled_weight=0.0,
    beta=1.0,
    learning_rate=3e-3,
    schedule="linear",
    max_norm=5.0,
    max_value=1.0,
    average=0.999,
)
IMAGES = dict(COMMON, batch_norm=True, head_deviation=1e-3, exact_classes=2, precision="auto")
PHOTOGRAPHS = dict(IMAGES, log_variance_ceiling=2.0)  # without, some draws of latents are huge (docs/notebook.md)

DATASETS = {
    "digits": dict(
        COMMON,
        labels=100,
        epochs=200,
        hidden=(200, 200),
        dim_z=16,
        dim_a=16,
        batch_norm=True,
        head_deviation=1e-3,
        average=0.99,
        likelihood="gaussian",
        answer_temperature=2.5,
    ),
    "half_moons": dict(
        COMMON,
        labels=6,
        label_draw="paper",
        epochs=10,
        batch=50,
        hidden=(100, 100),
        dim_z=10,
        dim_a=10,
        samples=20,
        importance_weighted=True,
        classifier_samples=20,
        labelled_weight=0.01,
        beta=0.01,
        learning_rate=1e-2,
        warmup_epochs=3.0,
    ),
    "mnist": dict(IMAGES, labels=100, minutes=30.0),
    "fashion_mnist": dict(IMAGES, labels=1000, minutes=30.0),
    "mnist:low": dict(IMAGES, labels=None, minutes=30.0),
    "svhn": dict(PHOTOGRAPHS, labels=1000, epochs=100),
    "norb": dict(PHOTOGRAPHS, labels=1000, epochs=100),
    "omniglot": dict(IMAGES, labels=None, minutes=30.0),
    "freyface": dict(COMMON, labels=0, epochs=200, hidden=(200, 200), batch_norm=True),
}
# The user's own data have every size: see `of_size`.
OWN = dict(
    COMMON,
    labels=None,
    steps="auto",
    stop="bound",
    select=True,
    hidden="auto",
    dim_z="auto",
    dim_a="auto",
    batch="auto",
    batch_norm=True,
    exact_classes="auto",
    class_prior="auto",
)

# How pictures are read by the models whose classifier reads x itself, unless a trunk is given: less error than that of fully
# connected networks in the same time. The virtual adversarial term calibrates it, and lowers its error again where pictures
# are moved in it and compared with surer answers (docs/notebook.md).
CONVOLUTIONS: dict[str, Any] = dict(trunk="conv", shared_encoder="on", virtual_adversarial=100.0)
MOVED: dict[str, Any] = dict(adversarial_shift=2, adversarial_temperature=0.5)  # with that term
PICTURES, READERS = ("mnist",), ("m2", "adgm", "sdgm")
# Fully connected and without that term, answers are surer than right: ECE of 1% in place of 3 to 7%, at the same error.
TEMPERED: dict[str, Any] = dict(answer_temperature=6.5)

# Warm-up, without which the upper latents stay unused, where the data set's recipe has none.
WARM = dict(avae=10.0, lvae=10.0, cagem=10.0)

# Settings of some models alone: what they do not have, sizes of several layers, and what their papers do differently.
NO_CLASS = dict(classifier_samples=None, exact_classes=None)
NO_A = dict(dim_a=None)
# A bound of x alone is higher with it; errors of M2 and SDGM are lower on digits and no lower on MNIST (docs/notebook.md).
CLOSED = dict(closed_kl=True)
AS_TRAINED = dict(answer_temperature=1.0)  # the temperatures of data sets were measured with M2, ADGM and SDGM
MODELS: dict[str, dict[str, Any]] = {
    "vae": NO_CLASS | NO_A | CLOSED,
    "lvae": NO_CLASS | NO_A | CLOSED | dict(dim_z=(64, 32)),
    "avae": NO_CLASS | CLOSED,
    "m1": NO_CLASS | NO_A | CLOSED | AS_TRAINED,
    "m2": NO_A,
    "m1m2": NO_A | CLOSED | AS_TRAINED | dict(dim_z=(50, 50), classifier_samples=None),
    "untapped": NO_CLASS
    | NO_A
    | AS_TRAINED
    | dict(dim_z=(2,), labelled_weight=1.0, likelihood="bernoulli", reverse_gradient="q"),
    "cagem": NO_A | AS_TRAINED | dict(classifier_samples=None, dim_z=(64, 32), beta=0.1, labelled_weight=0.0),
}


def resolve(model: str, dataset: str, **given: Any) -> Settings:
    """Returns the `Settings` of `model` on `dataset`: defaults, then the recipe, then what was `given`."""
    chosen: dict[str, Any] = dict(DATASETS.get(dataset) or DATASETS.get(dataset.partition(":")[0], OWN))
    chosen.update(MODELS.get(model, {}))
    if dataset.partition(":")[0] in PICTURES and model in READERS and given.get("labels") != 0:
        chosen |= _convolutions(given) or ({} if given.get("virtual_adversarial") else TEMPERED)
    own = "auto" in (chosen.get("steps"), chosen.get("hidden"))
    chosen.setdefault("warmup_epochs", "auto" if own and model in WARM else WARM.get(model, 0.0))
    if given.get("auxiliary") == "linear":
        chosen["dim_a"] = None  # of the model's own: a low rank
    few, values = chosen.get("exact_classes"), given.get("clusters") if given.get("labels") == 0 else None
    if values and few not in (None, "auto") and values < few + 2:
        chosen["exact_classes"] = None
    if given.get("labels") == 0:
        chosen |= AS_TRAINED
    if any(name in given for name in BUDGETS):
        for name in BUDGETS:
            chosen.pop(name, None)
    chosen.update(given)
    if chosen.get("importance_weighted") and "closed_kl" not in given:  # whose weights are of draws
        chosen["closed_kl"] = False
    if chosen.get("classifier_samples") is not None and "classifier_samples" not in given:
        chosen["classifier_samples"] = max(chosen["classifier_samples"], chosen.get("samples", 1))
    return Settings(model=model, dataset=dataset, **chosen)


def _convolutions(given: dict[str, Any]) -> dict[str, Any]:
    """Returns what pictures are read by, as far as it goes with what was `given`."""
    if given.get("trunk", "conv") != "conv" or given.get("min_column_std"):
        return {}
    alone = len(given.get("hidden", (0, 0))) < 2 or given.get("aux_gradient") == "frozen"
    still = given.get("virtual_adversarial", 1) == 0
    return CONVOLUTIONS | (dict(shared_encoder="off") if alone else {}) | ({} if still else MOVED)


def of_size(rows: int, columns: int, classes: int) -> dict[str, Any]:
    """Returns sizes and steps for data of the user's own, a dict of settings.

    - hidden: two layers whose width grows with the square root of the columns, between 64 and 500: a table of 13 columns
      needs no 500 units, and 784 pixels are read by the 500 of Maaloe et al. 2016. Multiples of 16.
    - dim_z, dim_a: 2 sqrt(columns), between 4 and 64; never more than the columns.
    - steps: what is learned depends on steps, hardly on passes: 124 rows with a batch of 100 make one step of a pass. 1000
      up to 1000 rows, whose bound is best after 200 to 1000 (docs/notebook.md), then growing with the square root of the
      rows, to 20,000; a third more where there are more than ten classes, of which a batch has few examples each.
    - batch: 100, and 200 beyond 50,000 rows, where steps are fewer than passes would need; a pool below 100 is a batch.

    Args:
      rows: of the unlabelled pool.
      columns: components of x that networks read.
      classes: K.
    """
    width = 16 * round(min(500, max(64, 16 * math.sqrt(columns))) / 16)
    latents = max(1, min(columns, 64, max(4, round(2 * math.sqrt(columns)))))
    steps = min(20_000, 1000 * math.sqrt(max(1.0, rows / 1000)) * (4 / 3 if classes > 10 else 1))
    batch = 200 if rows > 50_000 else min(100, max(2, rows))
    return dict(hidden=(width, width), dim_z=(latents,), dim_a=(latents,), steps=100 * round(steps / 100), batch=batch)


def sized(settings: Settings, rows: int, columns: int, classes: int, before: dict[str, Any] | None = None) -> Settings:
    """Returns the settings with what `of_size` says in place of every "auto", or with what it said `before`, a dict."""
    said = {**of_size(rows, columns, classes), **(before or {})}
    found = {name: value for name, value in said.items() if getattr(settings, name) == "auto"}
    return dataclasses.replace(settings, **found) if found else settings
