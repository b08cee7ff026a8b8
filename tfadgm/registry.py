"""Names of models, data sets and what models are made of, each imported only when it is asked for.

To know a name needs no TensorFlow: so a command tells a wrong one at once.
"""

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
    "tfrecord": "tfadgm.data.tfrecord:load",
}

LIKELIHOODS = {
    "bernoulli": "tfadgm.distributions.likelihoods:BernoulliLikelihood",
    "gaussian": "tfadgm.distributions.likelihoods:GaussianLikelihood",
    "categorical": "tfadgm.distributions.likelihoods:CategoricalLikelihood",
    "logistic_mixture": "tfadgm.distributions.likelihoods:LogisticMixtureLikelihood",
    "table": "tfadgm.distributions.table:TableLikelihood",
    "negative_binomial": "tfadgm.distributions.counts:CountLikelihood",
}

# Of networks.
ACTIVATIONS = ("relu", "softplus", "tanh", "leaky_relu")
TRUNKS = ("mlp", "conv")
SHARED_ENCODERS = ("off", "on", "stopped")

# Of options of models; each model says in its own file what they mean.
AUXILIARIES = dict(adgm=("informed", "uninformed", "deterministic"), avae=("informed", "linear"))
AUX_GRADIENTS = ("joint", "bound", "frozen")
CASCADE_CLASSIFIERS = ("cascade", "q")
FEATURE_CLASSIFIERS = ("logistic", "svm", "tsvm")
CLASS_DRAWS = ("gumbel", "concrete", "enumerate")
REVERSE_GRADIENTS = ("both", "q")

WITHOUT_CLASS = ("vae", "avae", "lvae", "m1")  # models without y
STAGED = ("m1m2",)  # models that start from another one

OWN = ("npz", "csv", "parquet", "h5ad", "images", "tfrecord")  # the user's own data
IN_MEMORY = "arrays"  # the data set of a run of arrays in memory, which no name can load again
OF_TFDS = ("mnist", "fashion_mnist", "svhn", "norb", "omniglot")  # those that TensorFlow Datasets prepares
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
