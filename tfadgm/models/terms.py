"""The terms of the objective of a batch of labelled and unlabelled examples."""

import math

import tensorflow as tf

from tfadgm import bounds, class_weights, noise
from tfadgm.data.moves import moved
from tfadgm.models import adversarial
from tfadgm.networks import batch_norm, mlp

# sqrt(D) over this is the radius of the virtual adversarial term, by the trunk that reads x; of MNIST (docs/notebook.md).
RADIUS = dict(conv=35, mlp=64)


def accuracy(log_probs, y):
    """The share of examples whose most probable class, of log_probs [B, K], is that of the one-hot y [B, K]."""
    return tf.reduce_mean(tf.cast(tf.equal(tf.argmax(log_probs, -1), tf.argmax(y, -1)), tf.float32))


class Terms:
    """The part of a `DeepGenerativeModel` that makes the objective. A model overrides what its paper adds."""

    def terms(self, batch, seed, temperature=1.0):
        """Returns a dict of scalars, means over the batch in nats per example; "objective" is what is maximised.

            objective = mean_l [-w L(x, y) + alpha log q(y|x)] + mean_u [-U(x)] + log p(W) / (N_l + N_u)

        and, if asked for, of mean_u the virtual adversarial term (`adversarial.smoothness`), and (T - 1) H(q(y|x)), T being
        `class_entropy`; and how balanced the classes of the unlabelled examples are (`class_weights.balance`).

        As in the code of Maaloe et al. 2016 the labelled and the unlabelled examples enter as two means, w being
        `labelled_weight`; in a literal eq. 13, a sum over the data sets, a hundred labels nearly vanish.

        Args:
          batch: {"labelled": (raw, y), "unlabelled": raw}: raw examples and class numbers [B]; "labelled" is missing in
            training without labels.
          seed: int32 [2].
          temperature: of the latents' terms; 1 is the bound.
        """
        terms = self._terms(batch, seed, temperature)
        objective = sum(weight * terms[name] for name, weight in self.term_weights.items())
        return {"objective": objective + self.log_weight_prior(), **terms}

    @property
    def term_weights(self):
        """The weights of the terms in the objective."""
        if not self.learns_from_labels:
            return {"unlabelled_bound": 1.0}
        objective = self.objective
        optional = dict(
            unlabelled_bound=objective.unlabelled_weight,
            labelled_bound=objective.labelled_weight,
            class_entropy=objective.unlabelled_weight * (objective.class_entropy - 1),
            virtual_adversarial=objective.virtual_adversarial,
            class_balance=objective.class_balance,
        )
        return {"classification_bound": objective.alpha, **{name: weight for name, weight in optional.items() if weight > 0}}

    @property
    def term_names(self):
        """Names of what `terms` returns."""
        return ("objective", *self.term_weights, *(["labelled_accuracy"] if self.learns_from_labels else []))

    def _terms(self, batch, seed, temperature):
        """The terms, but for the objective."""
        if not self.has_class:
            return self._density_terms(batch["unlabelled"], seed, temperature)
        terms = {}
        if "labelled" in batch:  # first, so that the moving averages of batch norm follow the unlabelled examples
            raw, y = batch["labelled"]
            raw = moved(raw, self.objective.shift, noise.fold(seed, "moved"))
            with batch_norm.of_examples(raw.shape[0]):
                inferred = self._infer_class(raw, noise.fold(seed, 1), self._stopped())
                terms |= self._labelled_terms(tf.one_hot(y, self.num_classes), *inferred, temperature)
        with batch_norm.of_examples(batch["unlabelled"].shape[0]):
            inferred = self._infer_class(batch["unlabelled"], noise.fold(seed, 2))
            terms |= self._unlabelled_terms(*inferred, temperature)
            if "class_entropy" in self.term_weights:
                terms["class_entropy"] = tf.reduce_mean(class_weights.entropy(inferred[1]))
            if "virtual_adversarial" in self.term_weights:
                terms["virtual_adversarial"] = tf.reduce_mean(self._smoothness(batch["unlabelled"], *inferred))
            if "class_balance" in self.term_weights:
                log_q_y = class_weights.average_class(inferred[1])[0]
                terms["class_balance"] = class_weights.balance(log_q_y, self.class_prior)
            return terms

    def _density_terms(self, raw, seed, temperature):
        """The bound of a model without a class, importance-weighted if asked."""
        seed = noise.fold(seed, 2)
        x = self.observe(raw, noise.fold(seed, "x"))
        with batch_norm.of_examples(raw.shape[0]):
            log_w = bounds.density_log_weight(self.p, self.q, x, self._draws(x, seed), temperature, self._closed())
        bound = self._reduce_samples()(log_w)
        return {"unlabelled_bound": tf.reduce_mean(bound)}

    def observe(self, raw, seed=None):
        """Returns x with a sample axis, [1, B, D]."""
        return self.preprocess(raw, seed)[tf.newaxis]

    def _draws(self, x, seed, samples=None):
        batch = x.shape[1] if x.shape[1] is not None else tf.shape(x)[1]
        return noise.Draws(seed, batch, self.objective.samples if samples is None else samples)

    def _closed(self):
        """What `bounds.follow` takes to have divergences in closed form, if they are asked for."""
        return self.p if self.objective.closed_kl else None

    def _reduce_samples(self):
        return bounds.importance_bound if self.objective.importance_weighted else bounds.mean_bound

    def _infer_class(self, raw, seed, stopped=()):
        """Returns (inferred, log_q_y, draws): what q draws before y, its class probabilities, and the bounds' draws.

        The class probabilities are those that the options ask for; `samples` of the draws before y are kept.
        """
        objective, x = self.objective, self.observe(raw, noise.fold(seed, "x"))
        draws = self._draws(x, seed)
        many = draws.replace(samples=objective.classifier_samples or objective.samples)
        values, log_q, log_q_y = bounds.infer_class(self.q, x, many, stopped, self._closed())
        if objective.classifier_samples is not None or objective.importance_weighted:
            log_q_y = class_weights.average_class(log_q_y)
        log_q = {name: term[..., : objective.samples, :] for name, term in log_q.items()}
        return (bounds.first_samples(values, objective.samples), log_q), log_q_y, draws

    def _labelled_terms(self, y, inferred, log_q_y, draws, temperature):
        classification = bounds.classification_bound(log_q_y, y)
        terms = {
            "classification_bound": tf.reduce_mean(classification),
            "labelled_accuracy": accuracy(class_weights.average_class(log_q_y)[0], y),
        }
        if self.objective.labelled_weight > 0:
            x, reduce_samples = inferred[0]["x"], self._reduce_samples()
            bound = bounds.labelled_bound(self.p, self.q, x, y, draws, temperature, reduce_samples, inferred, self._closed())
            terms["labelled_bound"] = tf.reduce_mean(bound)
        return terms

    def _unlabelled_terms(self, inferred, log_q_y, draws, temperature):
        if "unlabelled_bound" not in self.term_weights:
            return {}
        how = self._reduce_samples(), self.objective.exact_classes, self._closed()
        bound = bounds.unlabelled_bound(self.p, self.q, inferred, log_q_y, draws, temperature, *how)
        return {"unlabelled_bound": tf.reduce_mean(bound)}

    def _smoothness(self, raw, inferred, log_q_y, draws):
        """`adversarial.smoothness` of q(y|x), [B], by the draws that the bounds have too, around x as it is read at test.

        Around binary draws of x it is harmful: many of those lie between the classes, and the larger class takes them.
        """
        objective, x, read_size = self.objective, inferred[0]["x"], self.preprocess.read_size
        many = draws.replace(samples=objective.classifier_samples or objective.samples)

        def log_probs(x):
            return class_weights.average_class(bounds.infer_class(self.q, x, many)[2])[0]

        radius = objective.adversarial_radius or math.sqrt(read_size) / RADIUS[self.network.trunk]
        seed, given = noise.fold(draws.seed, "adversarial"), class_weights.average_class(log_q_y)[0]
        with batch_norm.unrecorded_moments():  # those of real examples are what a test example needs
            if self.preprocess.noise == "binarise":
                x = self.observe(raw)
                given = log_probs(x)
            if objective.adversarial_temperature != 1:
                given = tf.nn.log_softmax(given / objective.adversarial_temperature)
            if objective.adversarial_shift:
                x = self.observe(moved(raw, objective.adversarial_shift, noise.fold(seed, "moved")))
            return adversarial.smoothness(log_probs, given, x, radius, read_size, seed)

    # Whether the gradient of the labelled examples' class probabilities reaches q(y|.) alone.
    stop_classification_gradient = False

    def _stopped(self):
        """Names of what comes before y at which that gradient stops."""
        if self.stop_classification_gradient:
            return tuple(bounds.split_at_y(self.q)[0])
        return (mlp.SHARED,) if self.network.shared_encoder == "stopped" else ()

    def log_weight_prior(self):
        """sum log N(W; 0, 1) / (N_l + N_u) over all kernels, without its constant; 0 if it is turned off."""
        if not self.objective.weight_prior:
            return 0.0
        kernels = [w for w in self.trainable_variables if w.name == "kernel"]
        total = self.objective.num_labelled + self.objective.num_unlabelled
        return -tf.add_n([tf.nn.l2_loss(tf.convert_to_tensor(w)) for w in kernels]) / total
