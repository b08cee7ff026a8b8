"""Cluster-aware generative model.

Maaloe, Fraccaro and Winther, "Semi-supervised generation with cluster-aware generative models", 2017.

    p(x,y,z1,z2) = p(x|y,z1) p(z1|y,z2) p(y|z2) p(z2)             (eq. 1)
    q(y,z1,z2|x) = q(z1|x) q(y|z1,x) q(z2|x,y,z1)                 (eq. 2; `skip`: x is a parent of z2)

    log p(x) >= F(x) = E_{q(z1|x)} [ sum_y q(y|z1,x) E_{q(z2|x,y,z1)} [log p(x,y,z1,z2) - log q(y,z1,z2|x)] ]    (eq. 3)
    maximised: mean_u F + alpha mean_l [log p(y|x) + log q(y|x)]                                               (eq. 4-6)

    q(y|x) = E_{q(z1|x)} q(y|z1,x)
    p(y|x) ~ E_{q(z1|x) q(y'|z1,x) q(z2|x,y',z1)} p(y|z2)         (the cascade, which also classifies)

Labels reach the model through these two terms alone, and their gradients stop at p(y|z2) and q(y|z1,x): everything else is
learnt from F, so that the labels only say what y stands for. Without labels (CaGeM-0) y is a cluster.

Departures from the paper:

- Both sums over examples, of F and of the cross-entropies, are means.
- With more than three classes the cascade that classifies visits the two most probable y' of each draw of z1 and one more,
  drawn from the rest, with weights that leave the mean as it is. In training it visits all.
"""

import tensorflow as tf

from tfadgm import bounds, class_weights, noise, registry
from tfadgm.distributions.conditionals import Categorical, Gaussian, StandardNormal
from tfadgm.models.base import DeepGenerativeModel
from tfadgm.models.latents import sizes
from tfadgm.models.objective import Objective
from tfadgm.models.terms import accuracy

CLASSIFIER_CLASSES = 2  # y' of the cascade that are visited for each draw of z1, and one more that is drawn
CANDIDATES = 100  # draws of z2 among which the one for a given class is chosen


class CaGeM(DeepGenerativeModel):
    """p(x,y,z1,z2) = p(x|y,z1) p(z1|y,z2) p(y|z2) p(z2), q(y,z1,z2|x) = q(z1|x) q(y|z1,x) q(z2|x,y,z1).

    Args:
      dim_z: sizes of z1 and z2 (64 and 32 in the paper).
      skip: whether x is a parent of z2 in q (worth 0.18 nats in the paper).
      classifier: what answers p(y|x): "cascade", as in the paper, or "q".
      **kwargs: see `DeepGenerativeModel`. The objective's `labelled_weight` is 0 in the paper: no labelled bound.

    Raises:
      ValueError: for an unknown option.
    """

    stop_classification_gradient = True
    has_class_prior = False  # p(y|z2) is learned, and with it how often each class is

    def __init__(self, *args, dim_z=(64, 32), skip=True, classifier="cascade", objective=None, **kwargs):
        if classifier not in registry.CASCADE_CLASSIFIERS:
            raise ValueError(f"classifier: got {classifier!r}; allowed: {', '.join(registry.CASCADE_CLASSIFIERS)}")
        self.dim_z, self.skip, self.classifier = sizes("dim_z", dim_z, 2), skip, classifier
        super().__init__(*args, objective=objective or Objective(labelled_weight=0.0), **kwargs)

    def factors(self):
        net, above, classes = self.network, self.network.above, self.num_classes
        first, second = self.dim_z
        p = dict(
            z2=StandardNormal(units=second),
            y=Categorical("z2", classes, above),
            z1=Gaussian("y z2", first, above),
            x=self.p_x("y z1"),
        )
        q = dict(
            z1=Gaussian("x", first, net),
            y=Categorical("z1 x", classes, net),
            z2=Gaussian("x y z1", second, net) if self.skip else Gaussian("y z1", second, above),
        )
        return p, q

    @property
    def term_weights(self):
        weights = super().term_weights
        if self.learns_from_labels:
            weights["cascade_bound"] = self.objective.alpha
        return weights

    def _labelled_terms(self, y, inferred, log_q_y, draws, temperature):
        terms = super()._labelled_terms(y, inferred, log_q_y, draws, temperature)
        log_p_y = class_weights.average_class(bounds.cascade_class(self.p, self.q, inferred[0], log_q_y, draws))[0]
        if self.classifier == "cascade":  # of the classifier that answers
            terms["labelled_accuracy"] = accuracy(log_p_y, y)
        return {**terms, "cascade_bound": tf.reduce_mean(tf.reduce_sum(log_p_y * y, -1))}

    @property
    def classifier_rows(self):
        return min(self.num_classes, CLASSIFIER_CLASSES + 1) if self.classifier == "cascade" else 1

    def classify_by_sample(self, x, draws):
        """log p(y | z1_s, x) by the cascade, or log q(y | z1_s, x), [S, B, K]."""
        if self.classifier == "q":
            return super().classify_by_sample(x, draws)
        values, _, log_q_y = bounds.infer_class(self.q, x, draws)
        exact = CLASSIFIER_CLASSES if self.num_classes > CLASSIFIER_CLASSES + 1 else None
        return bounds.cascade_class(self.p, self.q, values, log_q_y, draws, exact)

    def generate(self, seed, batch, y=None, latents=None, means=True):
        """As in the base class. For a given y, z2 is drawn from p(z2|y): out of 100 draws from p(z2), by their p(y|z2)."""
        latents = dict(latents or {})
        if y is not None and "z2" not in latents:
            latents["z2"] = self._draw_z2(y, batch, noise.fold(seed, "z2 given y"))
        return super().generate(seed, batch, y, latents, means)

    def _draw_z2(self, y, batch, seed):
        shape = tf.stack([CANDIDATES, batch, self.dim_z[1]])
        candidates = tf.random.stateless_normal(shape, seed)
        log_p = tf.reduce_sum(self.p["y"].log_probs({"z2": candidates}) * y, -1)  # [C, B]
        chosen = tf.random.stateless_categorical(tf.transpose(log_p), 1, noise.fold(seed, 1), dtype=tf.int32)
        return tf.gather(tf.transpose(candidates, [1, 0, 2]), chosen[:, 0], batch_dims=1)

    def get_config(self):
        return {**super().get_config(), "dim_z": self.dim_z, "skip": self.skip, "classifier": self.classifier}
