"""tfadgm: semi-supervised deep generative models. The public names, imported when they are first used."""

import importlib

_NAMES = {
    "VAE": "tfadgm.models.vae",
    "AVAE": "tfadgm.models.avae",
    "LVAE": "tfadgm.models.lvae",
    "M1": "tfadgm.models.m1",
    "M2": "tfadgm.models.m2",
    "M1M2": "tfadgm.models.m1m2",
    "ADGM": "tfadgm.models.adgm",
    "SDGM": "tfadgm.models.sdgm",
    "CaGeM": "tfadgm.models.cagem",
    "Untapped": "tfadgm.models.untapped",
    "DeepGenerativeModel": "tfadgm.models.base",
    "Objective": "tfadgm.models.objective",
    "Network": "tfadgm.networks.mlp",
    "Preprocess": "tfadgm.data.preprocess",
    "Dataset": "tfadgm.data.dataset",
    "Settings": "tfadgm.runs.settings",
    "Run": "tfadgm.runs.run_directory",
    "SemiSupervisedClassifier": "tfadgm.estimators",
    "DensityEstimator": "tfadgm.estimators",
}
__all__ = sorted(_NAMES)
__version__ = "0.1.0"


def __getattr__(name):
    if name not in _NAMES:
        raise AttributeError(f"module 'tfadgm' has no attribute {name!r}; it has {', '.join(__all__)}")
    return getattr(importlib.import_module(_NAMES[name]), name)
