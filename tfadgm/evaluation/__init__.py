"""What a model is worth on held-out examples: error, calibration and densities.

`from tfadgm import evaluation` has all of it: `answers` asks the model, `predictions` compares with the classes.
"""

from tfadgm.evaluation.answers import (
    bayes_class_probabilities,
    class_probabilities,
    densities,
    elbo,
    importance,
    impute,
    latent_means,
    latent_names,
    log_density,
    log_scale,
    own_log_probs,
    trained_elbo,
)
from tfadgm.evaluation.predictions import (
    brier_score,
    classification,
    expected_calibration_error,
    match_clusters,
    match_unlabelled,
    recall,
)

__all__ = [
    "bayes_class_probabilities",
    "brier_score",
    "class_probabilities",
    "classification",
    "densities",
    "elbo",
    "expected_calibration_error",
    "importance",
    "impute",
    "latent_means",
    "latent_names",
    "log_density",
    "log_scale",
    "match_clusters",
    "match_unlabelled",
    "own_log_probs",
    "recall",
    "trained_elbo",
]
