"""What a search varies, and between which bounds.

    learning_rate       1e-4 to 1e-2, by its logarithm
    width               times the widths of the hidden layers, 1/4 to 4, by its logarithm
    layers              hidden layers of each network, 1 to 4; at least 2 where the first is shared
    latents             times the sizes of z and a, 1/4 to 4, by its logarithm
    batch_norm          yes or no
    average             moving average of the weights: none, 0.9, 0.99, 0.999
    beta                weight of the classification term, 0.01 to 10, by its logarithm *
    labelled_weight     weight of the labelled bound: 0, 0.01, 0.1, 1 *
    classifier_samples  samples of a in the classifier, 1 to 20, where it has any *
    class_entropy       weight of H(q(y|x)) in the unlabelled bound, 1 to 4, by its logarithm *
    virtual_adversarial weight of that term: 0, 1, 10, 100 *

* of models that learn from labels. Bounds and choices are widened to hold what the settings have without a search.
"""

import dataclasses
from typing import Any

from tfadgm.runs.settings import Settings

OF_LABELS = ("beta", "labelled_weight", "classifier_samples", "class_entropy", "virtual_adversarial")


@dataclasses.dataclass(frozen=True)
class Parameter:
    """One number, whole if its default is, or one of several choices; `default` is among them."""

    default: Any
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    choices: tuple = ()

    def suggest(self, trial: Any, name: str) -> Any:
        """Returns the value that an Optuna trial has for it."""
        if self.choices:
            return trial.suggest_categorical(name, tuple(dict.fromkeys((*self.choices, self.default))))
        low, high = min(self.low, self.default), max(self.high, self.default)
        suggest = trial.suggest_int if isinstance(self.default, int) else trial.suggest_float
        return suggest(name, low, high, log=self.log)


def space(settings: Settings, learns_from_labels: bool) -> dict[str, Parameter]:
    """Returns {name: `Parameter`} of what is searched around settings without "auto"; see the module."""
    fewest = 1 if settings.shared_encoder == "off" else 2
    found = dict(
        learning_rate=Parameter(settings.learning_rate, 1e-4, 1e-2, log=True),
        width=Parameter(1.0, 0.25, 4.0, log=True),
        layers=Parameter(len(settings.hidden), fewest, 4),
        latents=Parameter(1.0, 0.25, 4.0, log=True),
        batch_norm=Parameter(settings.batch_norm, choices=(False, True)),
        average=Parameter(settings.average, choices=(None, 0.9, 0.99, 0.999)),
        beta=Parameter(settings.beta, 0.01, 10.0, log=True),
        labelled_weight=Parameter(settings.labelled_weight, choices=(0.0, 0.01, 0.1, 1.0)),
        classifier_samples=Parameter(settings.classifier_samples, 1, 20),
        class_entropy=Parameter(settings.class_entropy, 1.0, 4.0, log=True),
        virtual_adversarial=Parameter(settings.virtual_adversarial, choices=(0.0, 1.0, 10.0, 100.0)),
    )
    without = set() if learns_from_labels else set(OF_LABELS)
    without |= set() if settings.beta > 0 else {"beta"}
    without |= set() if settings.classifier_samples else {"classifier_samples"}
    without |= set() if settings.dim_z or settings.dim_a else {"latents"}
    return {name: parameter for name, parameter in found.items() if name not in without}


def applied(settings: Settings, values: dict[str, Any]) -> Settings:
    """Returns the settings with the `values` of a space around them; with its defaults they stay what they are."""
    changes = {name: value for name, value in values.items() if name not in ("width", "layers", "latents")}
    hidden, width = settings.hidden, values["width"]
    hidden = (*hidden, *hidden[-1:] * values["layers"])[: values["layers"]]
    changes["hidden"] = _times(hidden, width)
    if settings.hidden_above is not None:
        changes["hidden_above"] = _times(settings.hidden_above, width)
    for name in ("dim_z", "dim_a"):
        if getattr(settings, name) is not None and "latents" in values:
            changes[name] = _times(getattr(settings, name), values["latents"])
    return dataclasses.replace(settings, **changes)


def _times(sizes, factor):
    return tuple(max(1, round(size * factor)) for size in sizes)
