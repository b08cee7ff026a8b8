"""What a trained model answers: class probabilities, bounds, means of latents, new examples."""

import tensorflow as tf

from tfadgm import bounds, class_weights, noise
from tfadgm.models import factorisation


class Questions:
    """The part of a `DeepGenerativeModel` that answers questions about raw examples."""

    @property
    def classifier_rows(self):
        """How many rows `classify_by_sample` computes of an example and sample: evaluation's memory is bounded by it."""
        return 1

    def call(self, raw):
        """Returns q(y|x) for raw examples, [B, K]; for models without a class the mean of the first latent that reads x."""
        if self.classifies:
            return tf.exp(self.log_class_probs(raw, tf.constant([0, 0])))
        return self.encode(raw)[next(name for name, factor in self.q.items() if factor.given)]

    def log_class_probs(self, raw, seed, samples=1):
        """log q(y|x) = log mean_s q(y|a_s, x), [B, K], from `samples` draws of what comes before y."""
        x = self.observe(raw)
        return self.classify(x, self._draws(x, seed, samples=samples))

    def classify(self, x, draws):
        """log q(y|x), [B, K], for x [1, B, D]: the logarithm of its mean over the draws of what comes before y."""
        return class_weights.average_class(self.classify_by_sample(x, draws))[0]

    def classify_by_sample(self, x, draws):
        """log q(y | a_s, x), [S, B, K] (S is 1 where nothing is drawn before y), for x [1, B, D]."""
        _, _, log_q_y = bounds.infer_class(self.q, x, draws)
        return log_q_y

    def _observed(self, raw, observed):
        return (self.preprocess.observation(raw) if observed is None else observed)[tf.newaxis]

    def elbo(self, raw, seed, observed=None):
        """-U(x) <= log p(x) with one sample and y enumerated, [B]: the paper's bound at temperature 1.

        Here and below x is `observed`, [B, D], or raw examples without noise: binary data rounded.
        """
        x = self._observed(raw, observed)
        draws = self._draws(x, seed, samples=1)
        if not self.has_class:
            return bounds.mean_bound(bounds.marginal_log_weight(self.p, self.q, x, draws))
        values, log_q, log_q_y = bounds.infer_class(self.q, x, draws)
        return bounds.unlabelled_bound(self.p, self.q, (values, log_q), log_q_y, draws)

    # In a few words, of which p(x), or of none, training maximises the bound, where it is not that of `elbo`; else None.
    trained_otherwise = None

    def trained_elbo(self, raw, seed, observed=None):
        """The bound that training maximises, at temperature 1 with one sample, [B]."""
        return self.elbo(raw, seed, observed)

    def log_weights(self, raw, seed, samples, observed=None):
        """log of `samples` unbiased estimates of p(x), [S, B]; `bounds.importance_bound` of them bounds log p(x)."""
        x = self._observed(raw, observed)
        return bounds.marginal_log_weight(self.p, self.q, x, self._draws(x, seed, samples=samples))

    def class_log_weights(self, raw, seed, samples, observed=None):
        """log of `samples` unbiased estimates of p(x, y) for every class, [K, S, B]: for Bayes' rule."""
        x = self._observed(raw, observed)
        return bounds.class_log_weight(self.p, self.q, x, self._draws(x, seed, samples=samples))

    def encode(self, raw, y=None):
        """Returns the means of q's latents, a dict of [B, units]; y is a one-hot [B, K], or q's own probabilities.

        The parents of a latent are at their means too, so that of an upper layer this is not the mean over its parents.
        """
        values = {"x": self.observe(raw)}
        for name, factor in self.q.items():
            if name == "y":
                values["y"] = tf.exp(factor.log_probs(values)) if y is None else y[tf.newaxis]
            else:
                values[name] = factor.point(factor.distribution(values))
        means = {name: value for name, value in values.items() if name not in ("x", "y")}
        # [units] where q(v) has no parents
        return {name: tf.broadcast_to(value, [1, tf.shape(raw)[0], value.shape[-1]])[0] for name, value in means.items()}

    def generate(self, seed, batch, y=None, latents=None):
        """Ancestral sampling from p: returns (E[x | latents], all values), [B, D] and a dict of [B, units].

        Args:
          seed: int32 [2].
          batch: B.
          y: one-hot [B, K]; None draws it from p(y).
          latents: a dict of values [B, units] to keep in place of draws, such as z for analogies.
        """
        given = {name: value[tf.newaxis] for name, value in (latents or {}).items()}
        if y is not None:
            given["y"] = y[tf.newaxis]
        ancestors = {name: factor for name, factor in self.p.items() if name in factorisation.ancestors(self.p, "x")}
        values, _ = bounds.follow(ancestors, given, noise.Draws(seed, batch))
        likelihood = self.p["x"]
        expected = likelihood.expected(likelihood.distribution(values))
        return expected[0], {name: value[0] for name, value in values.items()}
