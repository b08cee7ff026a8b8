"""The base class of all models: factorisation, objective, train step, evaluation and generation."""

import contextlib
import dataclasses

import keras
import tensorflow as tf

from tfadgm import batch_norm, bounds, networks, noise
from tfadgm.conditionals import likelihood
from tfadgm.data.preprocess import Preprocess
from tfadgm.models import factorisation
from tfadgm.models.objective import Objective

PRECISIONS = ("float32", "bfloat16")


@contextlib.contextmanager
def _dtype_policy(precision):
    """Within this scope new layers compute in `precision`."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16" if precision == "bfloat16" else "float32")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


class DeepGenerativeModel(keras.Model):
    """A deep generative model: two ordered dicts of conditionals, `p` and `q`, and the bound between them.

    A subclass's `factors` returns p and q. Their factorisation is checked and printed by `formula`.

    Args:
      preprocess: a `Preprocess`, raw examples to x.
      num_classes: K; models without a class ignore it.
      likelihood: one of `conditionals.LIKELIHOODS`.
      levels: number of levels of each component of x, for the likelihoods that count them.
      network: the `networks.Network` of every conditional.
      objective: an `Objective`.
      seed: base seed of the initial weights and of all noise.
      xla: whether the loss and its gradients are compiled by XLA.
      precision: "float32", or "bfloat16": the networks' products in bfloat16, weights and distributions in float32.
    """

    def __init__(
        self,
        preprocess,
        num_classes,
        likelihood="bernoulli",
        levels=None,
        network=None,
        objective=None,
        seed=0,
        xla=False,
        precision="float32",
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.precision = precision
        self.preprocess, self.num_classes, self.likelihood, self.levels = preprocess, num_classes, likelihood, levels
        self.network, self.objective = network or networks.Network(), objective or Objective()
        self.seed, self.xla = seed, xla
        self._check_options()
        keras.utils.set_random_seed(seed)
        with _dtype_policy(precision):
            self.p, self.q = self.factors()
        self.sizes = factorisation.check(type(self).__name__, self.p, self.q, preprocess.size, self.num_classes)
        for conditional in [*self.p.values(), *self.q.values()]:
            conditional.build_from(self.sizes)
        self.built = True
        # Here, since a variable that a step creates does not work under `MirroredStrategy`.
        self._trackers = {name: keras.metrics.Mean(name=name) for name in self.term_names}
        self._compiled = None

    def factors(self):
        """Returns (p, q), ordered dicts of name to `Conditional`, parents before children."""
        raise NotImplementedError

    def p_x(self, given):
        """Returns the conditional p(x | given), `given` the parents' names."""
        counted = {"levels": self.levels} if self.levels and self.likelihood in ("categorical", "logistic_mixture") else {}
        return likelihood(self.likelihood, given, self.preprocess.size, self.network, **counted)

    def _check_options(self):
        if self.precision not in PRECISIONS:
            raise ValueError(f"precision: got {self.precision!r}; allowed: {', '.join(PRECISIONS)}")
        exact = self.objective.exact_classes
        if exact is not None and self.has_class and not 1 <= exact < self.num_classes - 1:
            raise ValueError(
                f"exact_classes: got {exact} of {self.num_classes} classes; allowed: none"
                + (f", or 1 to {self.num_classes - 2}" if self.num_classes > 2 else "")
            )

    @property
    def formula(self):
        """The factorisation as it is written in papers, two lines."""
        return factorisation.formula(self.p, self.q)

    # Class attributes, known before the factors are built: whether the model has a class y, and whether it answers q(y|x).
    has_class = True
    classifies = True

    # A dataclass of further options, the constructor's `options`, for a model that has many.
    options_class = None
    # Name of the model that is to be trained before this one, which then takes it over by `start_from`.
    first_stage = None

    def finish(self, data, split, seed):
        """Called once with the final weights: fits what is not trained by gradients.

        Args:
          data: the `Dataset`.
          split: its `Split`.
          seed: of whatever is drawn.
        """

    @property
    def learns_from_labels(self):
        """Whether batches have a labelled part. Without, y is a cluster."""
        return self.has_class and self.objective.num_labelled > 0

    @property
    def style(self):
        """Names of the latents behind x that do not depend on y in p: what stays when only the class changes."""
        behind = factorisation.ancestors(self.p, "x") - {"y"}
        return [name for name in self.p if name in behind and "y" not in factorisation.ancestors(self.p, name)]

    # ------------------------------------------------------------------------------------------------------ objective

    def terms(self, batch, seed, temperature=1.0):
        """Returns a dict of scalars, means over the batch in nats per example; "objective" is what is maximised.

            objective = mean_l [-w L(x, y) + alpha log q(y|x)] + mean_u [-U(x)] + log p(W) / (N_l + N_u)

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
        weights = {"classification_bound": self.objective.alpha, "unlabelled_bound": 1.0}
        if self.objective.labelled_weight > 0:
            weights["labelled_bound"] = self.objective.labelled_weight
        return weights

    @property
    def term_names(self):
        """Names of what `terms` returns."""
        return ("objective", *self.term_weights, *(["labelled_accuracy"] if self.learns_from_labels else []))

    def _terms(self, batch, seed, temperature):
        """The terms, but for the objective.

        What q infers before the class, and the class itself, are computed for labelled and unlabelled examples at once:
        one product of 200 rows takes less time than two of 100.
        """
        if not self.has_class:
            return self._density_terms(batch["unlabelled"], seed, temperature)
        raw, count = batch["unlabelled"], 0
        if "labelled" in batch:
            labelled, y = batch["labelled"]
            raw = tf.concat([labelled, raw], 0)
            count = labelled.shape[0] if labelled.shape[0] is not None else tf.shape(labelled)[0]
        x = self.observe(raw, noise.fold(seed, "x"))
        with batch_norm.separate_moments(count):
            inferred, log_q_y = self._infer_class(x, self._draws(x, seed), count)
        rest = slice(count, None)
        terms = self._unlabelled_terms(bounds.examples(inferred, rest), log_q_y[:, rest], noise.fold(seed, 2), temperature)
        if "labelled" in batch:
            first, y = slice(None, count), tf.one_hot(y, self.num_classes)
            known = bounds.examples(inferred, first)
            terms |= self._labelled_terms(y, known, log_q_y[:, first], noise.fold(seed, 1), temperature)
        return terms

    def _density_terms(self, raw, seed, temperature):
        """The bound of a model without a class, importance-weighted if asked."""
        seed = noise.fold(seed, 2)
        x = self.observe(raw, noise.fold(seed, "x"))
        values, log_q = bounds.follow(self.q, {"x": x}, self._draws(x, seed))
        bound = self._reduce_samples()(bounds.log_weight(self.p, values, log_q, temperature))
        return {"unlabelled_bound": tf.reduce_mean(bound)}

    def observe(self, raw, seed=None):
        """Returns x with a sample axis, [1, B, D]."""
        return self.preprocess(raw, seed)[tf.newaxis]

    def _draws(self, x, seed, samples=None):
        batch = x.shape[1] if x.shape[1] is not None else tf.shape(x)[1]
        return noise.Draws(seed, batch, samples or self.objective.samples)

    def _reduce_samples(self):
        return bounds.importance_bound if self.objective.importance_weighted else bounds.mean_bound

    def _infer_class(self, x, draws, labelled):
        """q's draws before y and its class probabilities, as the options ask; keeps `samples` draws for the bounds.

        `labelled` is the number of examples, the first ones, that have a label.
        """
        objective = self.objective
        many = draws.replace(samples=objective.classifier_samples or objective.samples)
        stopped = tf.range(draws.batch) < labelled if self.stop_classification_gradient else None
        values, log_q, log_q_y = bounds.infer_class(self.q, x, many, stopped)
        if objective.classifier_samples is not None or objective.importance_weighted:
            log_q_y = bounds.average_class(log_q_y)
        log_q = {name: term[..., : objective.samples, :] for name, term in log_q.items()}
        return (bounds.first_samples(values, objective.samples), log_q), log_q_y

    def _labelled_terms(self, y, inferred, log_q_y, seed, temperature):
        x = inferred[0]["x"]
        classification = bounds.classification_bound(log_q_y, y)
        correct = tf.equal(tf.argmax(bounds.average_class(log_q_y)[0], -1), tf.argmax(y, -1))
        terms = {
            "classification_bound": tf.reduce_mean(classification),
            "labelled_accuracy": tf.reduce_mean(tf.cast(correct, tf.float32)),
        }
        if self.objective.labelled_weight > 0:
            draws = self._draws(x, seed)
            bound = bounds.labelled_bound(self.p, self.q, x, y, draws, temperature, self._reduce_samples(), inferred)
            terms["labelled_bound"] = tf.reduce_mean(bound)
        return terms

    def _unlabelled_terms(self, inferred, log_q_y, seed, temperature):
        draws = self._draws(inferred[0]["x"], seed)
        bound = bounds.unlabelled_bound(
            self.p, self.q, inferred, log_q_y, draws, temperature, self._reduce_samples(), self.objective.exact_classes
        )
        return {"unlabelled_bound": tf.reduce_mean(bound)}

    stop_classification_gradient = False

    def log_weight_prior(self):
        """sum log N(W; 0, 1) / (N_l + N_u) over all kernels, without its constant; 0 if it is turned off."""
        if not self.objective.weight_prior:
            return 0.0
        kernels = [w for w in self.trainable_variables if w.name == "kernel"]
        total = self.objective.num_labelled + self.objective.num_unlabelled
        return -tf.add_n([tf.nn.l2_loss(tf.convert_to_tensor(w)) for w in kernels]) / total

    # ----------------------------------------------------------------------------------------------------- train step

    def temperature(self):
        """The warm-up temperature at the optimizer's step: from 0 to 1 over `warmup_steps`."""
        if not self.objective.warmup_steps:
            return 1.0
        return tf.minimum(1.0, tf.cast(self.optimizer.iterations, tf.float32) / self.objective.warmup_steps)

    def train_step(self, batch):
        """One step of gradient ascent on the objective. Returns the running means of all terms over the epoch.

        The loss and its gradients are one nested function, compiled by XLA if asked; everything that updates a variable
        stays outside it, which is what works under `MirroredStrategy`.
        """
        if self._compiled is None:
            self._compiled = tf.function(self._terms_and_gradients, jit_compile=self.xla, autograph=False)
        seed = noise.step_seed(self.seed, self.optimizer.iterations)
        terms, gradients, moments = self._compiled(batch, seed, self.temperature())
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
        for layer, (mean, variance) in zip(self._normalised, moments, strict=True):
            layer.update(mean, variance)
        return self._track(terms)

    def _terms_and_gradients(self, batch, seed, temperature):
        updates, replicas = [], tf.distribute.get_strategy().num_replicas_in_sync
        with tf.GradientTape() as tape:
            with batch_norm.batch_moments(updates):
                terms = self.terms(batch, seed, temperature)
            loss = -terms["objective"] / replicas
        variables = [v.value for v in self.trainable_variables]
        gradients = tape.gradient(loss, variables, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        last = {id(layer): (layer, mean, variance) for layer, mean, variance in updates}  # the unlabelled pass
        self._normalised = [layer for layer, _, _ in last.values()]
        return terms, gradients, [(mean, variance) for _, mean, variance in last.values()]

    def _track(self, terms):
        for name, value in terms.items():
            self._trackers[name].update_state(value)
        return {name: self._trackers[name].result() for name in terms}

    @property
    def metrics(self):
        return list(self._trackers.values())

    # ------------------------------------------------------------------------------------------------------- questions

    def call(self, raw):
        """Returns q(y|x) for raw examples, [B, K] (the mean of the first latent for models without a class)."""
        if self.classifies:
            return tf.exp(self.log_class_probs(raw, tf.constant([0, 0])))
        return self.encode(raw)[next(iter(self.q))]

    def log_class_probs(self, raw, seed, samples=1):
        """log q(y|x) = log mean_s q(y|a_s, x), [B, K], from `samples` draws of what comes before y."""
        x = self.observe(raw)
        return self.classify(x, self._draws(x, seed, samples=samples))

    def classify(self, x, draws):
        """log q(y|x), [B, K], for x [1, B, D]: its logarithmic mean over the draws of what comes before y."""
        _, _, log_q_y = bounds.infer_class(self.q, x, draws)
        return bounds.average_class(log_q_y)[0]

    def elbo(self, raw, seed, observation_seed=None):
        """-U(x) <= log p(x) with one sample and y enumerated, [B]: the paper's bound at temperature 1."""
        x = self.preprocess.observation(raw, observation_seed)[tf.newaxis]
        draws = self._draws(x, seed, samples=1)
        if not self.has_class:
            return bounds.mean_bound(bounds.marginal_log_weight(self.p, self.q, x, draws))
        values, log_q, log_q_y = bounds.infer_class(self.q, x, draws)
        return bounds.unlabelled_bound(self.p, self.q, (values, log_q), log_q_y, draws)

    def log_weights(self, raw, seed, samples, observation_seed=None):
        """log of `samples` unbiased estimates of p(x), [S, B]; `bounds.importance_bound` of them bounds log p(x)."""
        x = self.preprocess.observation(raw, observation_seed)[tf.newaxis]
        return bounds.marginal_log_weight(self.p, self.q, x, self._draws(x, seed, samples=samples))

    def class_log_weights(self, raw, seed, samples, observation_seed=None):
        """log of `samples` unbiased estimates of p(x, y) for every class, [K, S, B]: for Bayes' rule."""
        x = self.preprocess.observation(raw, observation_seed)[tf.newaxis]
        return bounds.class_log_weight(self.p, self.q, x, self._draws(x, seed, samples=samples))

    def encode(self, raw, y=None):
        """Returns the means of q's latents, a dict of [B, units]; y is a one-hot [B, K], or q's own probabilities."""
        values = {"x": self.observe(raw)}
        for name, factor in self.q.items():
            if name == "y":
                values["y"] = tf.exp(factor.log_probs(values)) if y is None else y[tf.newaxis]
            else:
                values[name] = factor.point(factor.distribution(values))
        return {name: value[0] for name, value in values.items() if name not in ("x", "y")}

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

    # --------------------------------------------------------------------------------------------------------- config

    def get_config(self):
        """The constructor's arguments in JSON types; not `xla`, which is a choice of the device."""
        return {
            "preprocess": self.preprocess.get_config(),
            "num_classes": self.num_classes,
            "likelihood": self.likelihood,
            "levels": self.levels,
            "network": dataclasses.asdict(self.network),
            "objective": dataclasses.asdict(self.objective),
            "seed": self.seed,
            "precision": self.precision,
        }

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        config["preprocess"] = Preprocess(**config["preprocess"])
        config["network"] = networks.Network(**config["network"])
        config["objective"] = Objective(**config["objective"])
        return cls(**config)
