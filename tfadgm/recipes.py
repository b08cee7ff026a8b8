"""Measured settings per data set, on top of the papers' defaults in `settings.py`.

They were found on validation examples held out from the training data, never on test data; BUILD.md tells how. A setting
given by the user always wins.
"""

from tfadgm.settings import Settings

# What helped on every data set: an average over ten cheap samples of a inside the classifier, clipped gradients, and a
# moving average of the weights for evaluation.
COMMON = dict(classifier_samples=10, max_norm=5.0, max_value=1.0, average=0.999, schedule="linear", learning_rate=1e-3)

DATASETS = {
    "digits": dict(COMMON, labels=100, epochs=150, hidden=(200, 200), dim_z=16, dim_a=16),
    "half_moons": dict(COMMON, labels=6, epochs=10, hidden=(100, 100), dim_z=10, dim_a=10),
    "mnist": dict(COMMON, labels=100, minutes=30.0, batch_norm=True, beta=1.0, exact_classes=2),
    "fashion_mnist": dict(COMMON, labels=1000, minutes=30.0, batch_norm=True, beta=1.0, exact_classes=2),
    "svhn": dict(COMMON, labels=1000, epochs=100, hidden=(500, 500), dim_z=100, dim_a=100, batch_norm=True, exact_classes=2),
}
OWN = dict(COMMON, labels=None, epochs=100, hidden=(200, 200))

# Settings of some models alone.
MODELS = {"vae": dict(classifier_samples=None, exact_classes=None)}


def resolve(model, dataset, **given):
    """Returns the `Settings` of `model` on `dataset`: defaults, then the recipe, then what was `given`."""
    chosen = dict(DATASETS.get(dataset, OWN))
    chosen.update(MODELS.get(model, {}))
    if "epochs" in given or "minutes" in given:
        chosen.pop("epochs", None)
        chosen.pop("minutes", None)
    chosen.update(given)
    if chosen.get("classifier_samples") is not None and "classifier_samples" not in given:
        chosen["classifier_samples"] = max(chosen["classifier_samples"], chosen.get("samples", 1))
    return Settings(model=model, dataset=dataset, **chosen)
