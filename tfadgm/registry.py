"""Names of models and data sets, each imported only when it is asked for."""

import importlib

MODELS = {
    "vae": "tfadgm.models.vae:VAE",
    "m1": "tfadgm.models.m1:M1",
    "m2": "tfadgm.models.m2:M2",
    "m1m2": "tfadgm.models.m1m2:M1M2",
    "adgm": "tfadgm.models.adgm:ADGM",
    "sdgm": "tfadgm.models.sdgm:SDGM",
    "avae": "tfadgm.models.avae:AVAE",
    "lvae": "tfadgm.models.lvae:LVAE",
    "cagem": "tfadgm.models.cagem:CaGeM",
    "untapped": "tfadgm.models.untapped:Untapped",
}

DATASETS = {
    "digits": "tfadgm.data.digits:load",
    "half_moons": "tfadgm.data.half_moons:load",
    "mnist": "tfadgm.data.mnist:load",
    "fashion_mnist": "tfadgm.data.fashion_mnist:load",
    "svhn": "tfadgm.data.svhn:load",
    "norb": "tfadgm.data.norb:load",
    "omniglot": "tfadgm.data.omniglot:load",
    "freyface": "tfadgm.data.freyface:load",
    "npz": "tfadgm.data.npz:load",
    "csv": "tfadgm.data.csv:load",
    "parquet": "tfadgm.data.parquet:load",
    "h5ad": "tfadgm.data.h5ad:load",
    "images": "tfadgm.data.images:load",
}

OWN = ("npz", "csv", "parquet", "h5ad", "images")  # the user's own data
IN_MEMORY = "arrays"  # the data set of a run of arrays in memory, which no name can load again
OF_FILES = ("freyface", *OWN)  # those that are in files, as NAME:PATH


def lookup(table, kind, name):
    """Returns what `name` stands for in `table`; an unknown name raises a ValueError that lists the known ones."""
    if name not in table:
        raise ValueError(f"unknown {kind}: got {name!r}; allowed: {', '.join(table)}")
    module, attribute = table[name].split(":")
    return getattr(importlib.import_module(module), attribute)


def model_class(name):
    """Returns the class of the model called `name`."""
    return lookup(MODELS, "model", name)
