"""What a trained model answers: class probabilities, bounds, means of latents, new examples."""

import tensorflow as tf

from tfadgm import bounds, class_weights, noise
from tfadgm.models import factorisation

CLASS_SEED = 1  # first half of the seed of the classifier's draws; the second is 0
CLASS_SAMPLES = 100


class Questions:
    """The part of a `DeepGenerativeModel` that answers questions about raw examples."""

    @property
    def classifier_rows(self):
        """How many rows `classify_by_sample` computes of an example and sample: evaluation's memory is bounded by it."""
        return 1

    def call(self, raw):
        """Returns q(y|x) for raw examples, [B, K], the classifier that is reported and served (`log_answer`).

        For models without a class the mean of the first latent that reads x.
        """
        if self.classifies:
            return tf.exp(self.log_answer(raw))
        return self.encode(raw)[next(name for name in self.latents if self.q[name].given)]

    def log_answer(self, raw, samples=CLASS_SAMPLES):
        """log q(y|x) = log mean_s q(y|a_s, x), [B, K], from draws that all rows share: a function of the example alone."""
        return class_weights.average_class(self.log_answer_by_sample(raw, samples))[0]

    def log_answer_by_sample(self, raw, samples=CLASS_SAMPLES):
        """log q(y|a_s, x)^(1/T), normalised, [S, B, K], of the draws of `log_answer`; T is `answer_temperature`.

        Above 1 it makes answers less sure, and leaves the most probable class as it is, of one draw (Guo et al. 2017, "On
        calibration of modern neural networks", section 4.2). Where an `Answer` weighs the classifier against others, that
        has temperatures of its own.
        """
        x, own = self.observe(raw), self.log_own_answer_by_sample(raw, samples)
        if self.answer is not None:
            return self.answer(x, own)
        return own if self.answer_temperature == 1 else tf.nn.log_softmax(own / self.answer_temperature)

    def log_own_answer_by_sample(self, raw, samples=CLASS_SAMPLES):
        """log q(y|a_s, x) of the model's own classifier, [S, B, K], whatever answers."""
        draws = noise.Draws(tf.constant([CLASS_SEED, 0]), batch=1, samples=samples)
        return self.classify_by_sample(self.observe(raw), draws)

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
        return self.preprocess.observation(raw) if observed is None else observed

    def log_scale(self, raw):
        """What makes of log p(x) one of the examples as given, [B]: log |dx / d raw|, but 0 where p(x) is a probability."""
        if self.likelihood in ("gaussian", "table"):
            return self.preprocess.log_jacobian(raw)
        return tf.zeros(tf.shape(raw)[:1])

    @property
    def gives_levels(self):
        """Whether p is, or in dequantised data bounds, a probability of levels such as 0, ..., 255."""
        return self.preprocess.noise == "dequantise" or self.likelihood in ("categorical", "logistic_mixture")

    @property
    def densities_given(self):
        """In a few words, what of an example log p(x) is conditioned on; None: nothing."""
        return "the sum of its counts" if self.likelihood == "negative_binomial" else None

    def elbo(self, raw, seed, observed=None):
        """-U(x) <= log p(x) with one sample and y enumerated, [B]: the paper's bound at temperature 1.

        Here and below x is `observed`, [1, B, D], or raw examples without noise: binary data rounded. log p(x) is of x, as
        the model scales it; `log_scale` makes it one of the data.
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
        means = {name: values[name] for name in self.latents}
        # [units] where q(v) has no parents
        return {name: tf.broadcast_to(value, [1, tf.shape(raw)[0], value.shape[-1]])[0] for name, value in means.items()}

    def generate(self, seed, batch, y=None, latents=None, means=True):
        """Ancestral sampling from p: returns (E[x | latents] or a draw of x, all values), [B, D] and a dict of [B, units].

        Args:
          seed: int32 [2].
          batch: B.
          y: one-hot [B, K]; None draws it from p(y).
          latents: a dict of values [B, units] to keep in place of draws, such as z for analogies.
          means: whether x is its mean given the latents, as in the papers' pictures, or drawn from p(x | latents).
        """
        given = {name: value[tf.newaxis] for name, value in (latents or {}).items()}
        if y is not None:
            given["y"] = y[tf.newaxis]
        ancestors = {name: factor for name, factor in self.p.items() if name in factorisation.ancestors(self.p, "x")}
        draws = noise.Draws(seed, batch)
        values, _ = bounds.follow(ancestors, given, draws)
        likelihood = self.p["x"]
        distribution = likelihood.distribution(values)
        x = likelihood.expected(distribution) if means else draws("x", likelihood, distribution)
        return x[0], {name: value[0] for name, value in values.items()}
