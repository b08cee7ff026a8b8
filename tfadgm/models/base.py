"""The base class of all models: factorisation, objective, train step, evaluation and generation."""

import contextlib
import dataclasses

import keras
import tensorflow as tf

from tfadgm import noise
from tfadgm.data.table_preprocess import preprocess_from_config
from tfadgm.distributions import encoder
from tfadgm.distributions.conditionals import FixedCategorical, UniformCategorical
from tfadgm.distributions.likelihoods import likelihood
from tfadgm.models import factorisation
from tfadgm.models.answer import Answer
from tfadgm.models.objective import Objective
from tfadgm.models.questions import Questions
from tfadgm.models.terms import Terms
from tfadgm.networks import batch_norm, initial, mlp, optimizers  # noqa: F401 (a compiled model is saved with its Adam)

PRECISIONS = ("float32", "bfloat16")
PRIOR_TOLERANCE = 1e-3  # of the sum of a class prior


@contextlib.contextmanager
def _dtype_policy(precision):
    """Within this scope new layers compute in `precision`."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16" if precision == "bfloat16" else "float32")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def _unpickled(cls, content):
    """Names the class in a pickle, so that it is imported, and thereby registered, before Keras asks for it."""
    return cls._unpickle_model(content)


class DeepGenerativeModel(Terms, Questions, keras.Model):
    """A deep generative model: two ordered dicts of conditionals, `p` and `q`, and the bound between them.

    A subclass's `factors` returns p and q. Their factorisation is checked and printed by `formula`.

    Keras' `save` and `load_model`, `pickle` and `copy.deepcopy` give the same weights and answers, in a process that has
    imported the model's class (`from tfadgm import VAE`; pickle imports it). `keras.models.clone_model` gives, as Keras has
    it, a new model: with the initial weights of the same seed. In a process forked from one that has used a model,
    TensorFlow hangs: start processes by "spawn" (`multiprocessing.get_context("spawn")`).

    Args:
      preprocess: a `Preprocess`, raw examples to x.
      num_classes: K; models without a class ignore it.
      likelihood: one of `likelihoods.LIKELIHOODS`.
      levels: number of levels of each component of x, for the likelihoods that count them.
      network: the `mlp.Network` of every conditional.
      objective: an `Objective`.
      seed: base seed of the initial weights and of all noise.
      xla: whether the loss and its gradients are compiled by XLA.
      precision: "float32", or "bfloat16": the networks' products in bfloat16, weights and distributions in float32.
      class_prior: p(y), K positive numbers whose sum is 1 (to 1e-3; they are divided by it); None: uniform. Not for models
        without a class, or whose y has parents in p.
      answer: whether q(y|x) is answered by an `answer.Answer`, whose weights are assigned or loaded.
      answer_temperature: T > 0; the model's own answer is mean_s q(y|a_s,x)^(1/T), normalised (`Questions.log_answer`).
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
        class_prior=None,
        answer=False,
        answer_temperature=1.0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.precision = precision
        self.preprocess, self.num_classes, self.likelihood, self.levels = preprocess, num_classes, likelihood, levels
        self.network, self.objective = network or mlp.Network(), objective or Objective()
        self.seed, self.xla = seed, xla
        self.class_prior = None if class_prior is None else tuple(float(share) for share in class_prior)
        if preprocess.read_size < preprocess.size:
            self.network = dataclasses.replace(self.network, reads=preprocess.read_size)
        self.answer_temperature = float(answer_temperature)
        self._check_options()
        with _dtype_policy(precision):
            p, q = self.factors()
            self.p, self.q = p, encoder.share(type(self).__name__, p, q)
        self._check_reads()
        self.sizes = factorisation.check(type(self).__name__, self.p, self.q, preprocess.size, self.num_classes)
        for symbol, factors in (("p", self.p), ("q", self.q)):
            for name, factor in factors.items():
                factor.name = f"{symbol}_{name}"
                with initial.weights_of(f"{symbol}({name})", seed):
                    factor.build_from(self.sizes)
        self.built = True
        self.answer = None
        if answer:
            self.add_answer()
        # Here, since a variable that a step creates does not work under `MirroredStrategy`.
        self._trackers = {name: keras.metrics.Mean(name=name) for name in self.term_names}
        self._compiled = None

    def __init_subclass__(cls, **kwargs):
        """Registers the class with Keras' serialisation, under the name of its package."""
        super().__init_subclass__(**kwargs)
        keras.saving.register_keras_serializable(cls.__module__.partition(".")[0])(cls)

    def __reduce__(self):
        _, content = super().__reduce__()
        return _unpickled, (type(self), *content)

    def factors(self):
        """Returns (p, q), ordered dicts of name to `Conditional`, parents before children."""
        raise NotImplementedError

    def p_x(self, given):
        """Returns the conditional p(x | given), `given` the parents' names."""
        options = {"levels": self.levels} if self.levels and self.likelihood in ("categorical", "logistic_mixture") else {}
        if self.likelihood in ("table", "negative_binomial"):
            options = {"layout": getattr(self.preprocess, "layout", None)}
        return likelihood(self.likelihood, given, self.preprocess.size, self.network, **options)

    def p_y(self):
        """Returns the conditional p(y), without parents: the `class_prior`, or uniform."""
        return UniformCategorical(units=self.num_classes) if self.class_prior is None else FixedCategorical(self.class_prior)

    def _check_options(self):
        if self.precision not in PRECISIONS:
            raise ValueError(f"precision: got {self.precision!r}; allowed: {', '.join(PRECISIONS)}")
        if not 0 < self.answer_temperature < float("inf"):
            raise ValueError(f"answer_temperature: got {self.answer_temperature}; allowed: greater than 0")
        exact = self.objective.exact_classes
        if exact is not None and self.has_class and not 1 <= exact < self.num_classes - 1:
            raise ValueError(
                f"exact_classes: got {exact} of {self.num_classes} classes; allowed: none"
                + (f", or 1 to {self.num_classes - 2}" if self.num_classes > 2 else "")
            )
        if self.class_prior is not None:
            self._check_prior()
        sides = self.preprocess.raw_shape[:2] if len(self.preprocess.raw_shape) == 3 else None
        for name in ("shift", "adversarial_shift"):
            pixels = getattr(self.objective, name)
            if pixels and (sides is None or pixels >= min(sides)):
                what = "examples that are no pictures" if sides is None else f"pictures of {sides}"
                allowed = "0" if sides is None else f"0 to {min(sides) - 1}"
                raise ValueError(f"{name}: got {pixels} for {what}; allowed: {allowed}")

    def _check_prior(self):
        count, total, least = len(self.class_prior), sum(self.class_prior), min(self.class_prior, default=0.0)
        got = f"class_prior: got {count} numbers of sum {total:g}, the least {least:g}"
        if not self.has_class_prior:
            lack = "whose y has parents in p" if self.has_class else "which has no class y"
            raise ValueError(f"{got}, for {type(self).__name__}, {lack}; allowed: none (uniform)")
        if count != self.num_classes or not (least > 0 and abs(total - 1) <= PRIOR_TOLERANCE):
            raise ValueError(f"{got}; allowed: {self.num_classes} positive numbers of sum 1")

    def _check_reads(self):
        """p scores the whole of x, of which networks read a part: a factor of p that reads it has no integral over x."""
        wrong = [name for name, factor in self.p.items() if "x" in factor.given]
        if self.network.reads is not None and wrong:
            given = ",".join(self.p[wrong[0]].given)
            raise ValueError(f"likelihood: got {self.likelihood!r} with p({wrong[0]}|{given}); allowed: a_sees_x=false")

    @property
    def formula(self):
        """The factorisation as it is written in papers, two lines."""
        return factorisation.formula(self.p, self.q)

    def __str__(self):
        return self.formula

    # Class attributes, known before the factors are built: whether the model has a class y, whether this has a p(y) without
    # parents, and whether the model answers q(y|x).
    has_class = True
    has_class_prior = True
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

    def add_answer(self):
        """From now on `answer`, an `Answer` whose weights are to be assigned, answers q(y|x)."""
        sizes = self.preprocess.size, self.preprocess.read_size
        self.answer = Answer(*sizes, self.num_classes, self.classifier_network)
        vars(self).pop("_evaluators", None)  # graphs of the answer before (`evaluation.answers`)
        return self.answer

    def answer_at(self, temperature):
        """From now on the `answer_temperature` is this one."""
        self.answer_temperature = float(temperature)
        vars(self).pop("_evaluators", None)

    @property
    def classifier_network(self):
        """The architecture of the classifier of x: that of q(y|.) where it reads x, else that of the other conditionals."""
        factor = self.q.get("y")
        return (factor.network if factor is not None and "x" in factor.given else self.network).unshared

    @property
    def learns_from_labels(self):
        """Whether batches have a labelled part. Without, y is a cluster."""
        return self.has_class and self.objective.num_labelled > 0

    @property
    def latents(self):
        """Names of the latents that q infers, without y, and without h(x), a function of x that its networks may share."""
        return [name for name in self.q if name not in ("y", mlp.SHARED)]

    @property
    def style(self):
        """Names of the latents behind x that do not depend on y in p: what stays when only the class changes."""
        behind = factorisation.ancestors(self.p, "x") - {"y"}
        return [name for name in self.p if name in behind and "y" not in factorisation.ancestors(self.p, name)]

    # ----------------------------------------------------------------------------------------------------- train step

    def temperature(self):
        """The warm-up temperature at the optimizer's step: from 0 to 1 over `warmup_steps`."""
        if not self.objective.warmup_steps:
            return 1.0
        return tf.minimum(1.0, tf.cast(self.optimizer.iterations, tf.float32) / self.objective.warmup_steps)

    def train_step(self, batch):
        """One step of gradient ascent on the objective. Returns the running means of all terms over the epoch."""
        return self.track(self.step(batch))

    def step(self, batch):
        """One step of gradient ascent on the objective; returns its terms, those of this replica.

        The loss and its gradients are one nested function, compiled by XLA if asked; everything that updates a variable
        stays outside it, which is what works under `MirroredStrategy`.
        """
        if self._compiled is None and not self.run_eagerly:
            self._compiled = tf.function(self._terms_and_gradients, jit_compile=self.xla, autograph=False)
        compute = self._terms_and_gradients if self.run_eagerly else self._compiled
        terms, gradients, moments = compute(batch, noise.step_seed(self.seed, self.optimizer.iterations), self.temperature())
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
        for layer, (mean, variance) in zip(self._normalised, moments, strict=True):
            layer.update(mean, variance, self.optimizer.iterations)
        return terms

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

    def track(self, terms):
        """Adds the terms of a step to those of the epoch; returns their running means."""
        for name, value in terms.items():
            self._trackers[name].update_state(value)
        return {name: self._trackers[name].result() for name in terms}

    @property
    def metrics(self):
        return list(self._trackers.values())

    # --------------------------------------------------------------------------------------------------------- config

    def with_precision(self, precision):
        """Returns this model, or a copy of it that computes in `precision`.

        Low precision is for training: rounded to bfloat16, an answer would depend on the batch that it is computed in.
        """
        if precision == self.precision:
            return self
        other = type(self).from_config({**self.get_config(), "precision": precision})
        other.set_weights(self.get_weights())
        return other

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
            "class_prior": self.class_prior,
            "answer": self.answer is not None,
            "answer_temperature": self.answer_temperature,
        }

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        config["preprocess"] = preprocess_from_config(config["preprocess"])
        config["network"] = mlp.Network(**config["network"])
        config["objective"] = Objective(**config["objective"])
        return cls(**config)
