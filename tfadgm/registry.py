"""Names of models and data sets, each imported only when it is asked for."""

import importlib

MODELS = {
    "vae": "tfadgm.models.vae:VAE",
    "m2": "tfadgm.models.m2:M2",
    "adgm": "tfadgm.models.adgm:ADGM",
    "sdgm": "tfadgm.models.sdgm:SDGM",
}

DATASETS = {
    "digits": "tfadgm.data.digits:load",
    "half_moons": "tfadgm.data.half_moons:load",
    "mnist": "tfadgm.data.mnist:load",
    "fashion_mnist": "tfadgm.data.fashion_mnist:load",
    "svhn": "tfadgm.data.svhn:load",
    "npz": "tfadgm.data.npz:load",
    "csv": "tfadgm.data.csv:load",
    "images": "tfadgm.data.images:load",
}


def lookup(table, kind, name):
    """Returns what `name` stands for in `table`; an unknown name raises a ValueError that lists the known ones."""
    if name not in table:
        raise ValueError(f"unknown {kind}: got {name!r}; allowed: {', '.join(table)}")
    module, attribute = table[name].split(":")
    return getattr(importlib.import_module(module), attribute)


def model_class(name):
    """Returns the class of the model called `name`."""
    return lookup(MODELS, "model", name)
