"""Untapped: M2 and its inverse, which also learns from labels without examples.

Gemp, Parente and Mahadevan, "Inverting VAEs for improved generative accuracy", 2017.

    p(x,y,z) = p(y) p(z) p(x|y,z)          p(y) uniform, p(z) uniform on [low, high]^d                  (eq. 1)
    q(y,z|x) = q(y|x) q(z|x,y)             z a Gaussian through a scaled sigmoid; q(x) = Bern(0.5)      (eq. 2)

    forward   log p(x,y) >= J_f^l = E_{q(z|x,y)} [log p(x|y,z) - log q(z|x,y) + log p(y) + log p(z)]    (eq. 3)
              log p(x)   >= J_f^u = E_{q(y,z|x)} [log p(x|y,z) - log q(y,z|x) + log p(y) + log p(z)]    (eq. 4)
    reverse   log q(y,z) >= J_r^u = E_{p(x|y,z)} [log q(y|x) + log q(z|x,y) - log p(x|y,z) + log q(x)]  (eq. 17)
    maximised: alpha_f (J_f^l + J_f^u) + alpha_r J_r^u - alpha_f^d J_f^d - alpha_r^d J_r^d              (eq. 8)
    J_f^d = -log q(y|x),  J_r^d = |E x' - x|^2 with x' ~ p(x|y,z), z ~ p(z), of labelled examples       (eq. 7, algorithm 1)
    log q(x,y) >= J_r^l = E_{p(z)} [log q(y|x) + log q(z|x,y) + log q(x) - log p(z)], times alpha_r             (eq. 51)

alpha_f and alpha_r are 1 in eq. 8 and named in algorithm 1, which alone has J_r^l, the bound of appendix E.3; "experiments
(not included)" of the paper speak against it, and it is off (`labelled_reverse`).

y in J_f^u is drawn from the Concrete distribution, whose density is then that of q(y|x), and p(y) is uniform on the simplex:
a q(y|x) that is sure pays for it, so that classes without labels stay open. The entropy of p(x|y,z) in eq. 17 is worth up to
log 2 per pixel, and its maximum is noise wherever no example needs z: with `reverse_gradient` "both" it rose until
p draws noise for most y and z (docs/notebook.md). "q", as the authors' code has it, leaves q alone learning to read what p
draws.

Two models, and which bound is which. Classes are one-hot in p(x,y,z) as it classifies, generates and is reported: `elbo`,
`log_weights`, the results' ELBO and log p(x) are bounds of that p(x), with the sum over y inside, to be compared with M2's.
With `class_draw` "concrete" training maximises the bound of another p(x), whose y is uniform on the simplex: the
`unlabelled_bound` of the training log, and `trained_elbo`, which the results show beside the other. The two have no order.
With "gumbel" what training maximises is a bound of neither; with "enumerate" it is the `elbo`.

Departures from the paper:

- J_r^d is |E x' - x|^2, the loss on the mean that eq. 7 allows; of a drawn x', as algorithm 1 has it, it would be larger by
  the variance of x', and the authors' code, which draws it without a gradient, does not train by it.
- In J_r^u x' is a straight-through sample (with `reverse_gradient` "both").
- Unfeatured labels are all classes in turn, and a z with each is drawn afresh in every step; the authors' code keeps ten
  fixed pairs and leaves log q(z|x,y) out of eq. 17. With p(z) uniform eq. 5, where z is latent, differs from eq. 17 by a
  constant.
- All terms are means per example (eq. 6 sums over data sets of different sizes).
- A `class_prior` pi in place of the uniform p(y) is on the simplex sum_k pi_k Dir(y | 1 + e_k); labels without examples stay
  all classes in turn.
- The Jacobian in appendix A is misprinted: see `bijectors.scaled_sigmoid`.
"""

import dataclasses
import math

import tensorflow as tf

from tfadgm import bounds, class_weights, noise
from tfadgm.distributions.conditionals import Categorical, RelaxedCategorical
from tfadgm.distributions.transformed import SquashedGaussian, Uniform
from tfadgm.models.base import DeepGenerativeModel
from tfadgm.models.latents import sizes
from tfadgm.networks import batch_norm
from tfadgm.registry import CLASS_DRAWS, REVERSE_GRADIENTS


@dataclasses.dataclass(frozen=True)
class UntappedOptions:
    """What the inverted model adds to M2.

    Attributes:
      z_range: (low, high), the interval of each z (appendix D; the authors' code has -pi/2 and pi/2).
      hidden_y, hidden_z: widths of the networks of q(y|x) and q(z|x,y); None: as p(x|y,z).
      class_draw: y in J_f^u. "concrete": a Gumbel-softmax sample and its own density, a bound for y on the simplex.
        "gumbel": such a sample, and the entropy of q(y|x) exactly, as if y were one-hot: no bound, neither for y one-hot nor
        on the simplex, and refused with importance weights. "enumerate": the sum over y, the bound for y one-hot.
      gumbel_temperature: of these samples (1 in the authors' code).
      forward_weight, reverse_weight: alpha_f and alpha_r; with reverse_weight and x_weight 0 the model is M2.
      class_weight, x_weight: alpha_f^d and alpha_r^d; all four weigh means per example.
      labelled_reverse: whether there is J_r^l.
      reverse_gradient: whom J_r^u trains. "both": q and, through a straight-through sample and the entropy of p(x|y,z), p.
        "q": q alone, as in the authors' code, whose hard samples stop the rest.
    """

    z_range: tuple = (-1.5, 1.5)
    hidden_y: tuple | None = None
    hidden_z: tuple | None = None
    class_draw: str = "concrete"
    gumbel_temperature: float = 1.0
    forward_weight: float = 1.0
    reverse_weight: float = 1.0
    class_weight: float = 10.0
    x_weight: float = 0.1
    labelled_reverse: bool = False
    reverse_gradient: str = "both"

    def __post_init__(self):
        for name in ("z_range", "hidden_y", "hidden_z"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, tuple(getattr(self, name)))
        if self.class_draw not in CLASS_DRAWS:
            raise ValueError(f"class_draw: got {self.class_draw!r}; allowed: {', '.join(CLASS_DRAWS)}")
        if self.reverse_gradient not in REVERSE_GRADIENTS:
            raise ValueError(f"reverse_gradient: got {self.reverse_gradient!r}; allowed: {', '.join(REVERSE_GRADIENTS)}")
        if len(self.z_range) != 2 or not self.z_range[0] < self.z_range[1]:
            raise ValueError(f"z_range: got {self.z_range}; allowed: two numbers, low < high")
        if not self.gumbel_temperature > 0:
            raise ValueError(f"gumbel_temperature: got {self.gumbel_temperature}; allowed: greater than 0")
        for name in ("forward_weight", "reverse_weight", "class_weight", "x_weight"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name}: got {getattr(self, name)}; allowed: at least 0")


class Untapped(DeepGenerativeModel):
    """p(x,y,z) = p(y) p(z) p(x|y,z), q(y,z|x) = q(y|x) q(z|x,y), trained in both directions.

    Args:
      dim_z: size of z (2 in the paper).
      options: an `UntappedOptions`.
      **kwargs: see `DeepGenerativeModel`. The likelihood must be Bernoulli, as q(x) is; the objective's `beta` and
        `classifier_samples` have no part here.
    """

    options_class = UntappedOptions

    def __init__(self, *args, dim_z=2, options=None, **kwargs):
        if kwargs.get("likelihood", "bernoulli") != "bernoulli":
            raise ValueError(f"likelihood: got {kwargs['likelihood']!r}; allowed: bernoulli, since q(x) = Bern(0.5)")
        (self.dim_z,), self.options = sizes("dim_z", dim_z, 1), options or UntappedOptions()
        super().__init__(*args, **kwargs)
        if self.options.class_draw == "gumbel" and self.objective.importance_weighted:
            allowed = "concrete, enumerate, as there is no importance weight of an entropy"
            raise ValueError(f"class_draw: got 'gumbel' with importance_weighted; allowed: {allowed}")

    def factors(self):
        options, classes = self.options, self.num_classes
        of_y, of_z = (self._network(hidden) for hidden in (options.hidden_y, options.hidden_z))
        p = dict(
            y=self.p_y(),
            z=Uniform(*options.z_range, units=self.dim_z),
            x=self.p_x("y z"),
        )
        q = dict(y=Categorical("x", classes, of_y), z=SquashedGaussian("x y", self.dim_z, of_z, *options.z_range))
        return p, q

    def _network(self, hidden):
        return dataclasses.replace(self.network, hidden=hidden) if hidden else self.network

    @property
    def term_weights(self):
        options = self.options
        weights = {name: options.forward_weight * weight for name, weight in super().term_weights.items()}
        if self.learns_from_labels:
            weights |= {"classification_bound": options.class_weight, "x_bound": options.x_weight}
        if options.reverse_weight > 0:
            weights["reverse_bound"] = options.reverse_weight
            if self.learns_from_labels and options.labelled_reverse:
                weights["labelled_reverse_bound"] = options.reverse_weight
        return weights

    def _labelled_terms(self, y, inferred, log_q_y, draws, temperature):
        terms = super()._labelled_terms(y, inferred, log_q_y, draws, temperature)
        z = self.unfeatured(tf.shape(y)[0], noise.fold(draws.seed, "reverse"))["z"]
        values = {"x": inferred[0]["x"], "y": y[tf.newaxis], "z": z}
        terms["x_bound"] = tf.reduce_mean(self.x_bound(values))
        if "labelled_reverse_bound" in self.term_weights:
            terms["labelled_reverse_bound"] = tf.reduce_mean(self.labelled_reverse_bound(values))
        return terms

    def _unlabelled_terms(self, inferred, log_q_y, draws, temperature):
        if self.options.class_draw == "enumerate" or "unlabelled_bound" not in self.term_weights:
            terms = super()._unlabelled_terms(inferred, log_q_y, draws, temperature)
        else:
            relaxed = self._relaxed_bound(inferred[0], log_q_y, draws, temperature, self._reduce_samples())
            terms = {"unlabelled_bound": tf.reduce_mean(relaxed)}
        if "reverse_bound" in self.term_weights:
            seed = noise.fold(draws.seed, "reverse")
            with batch_norm.unrecorded_moments():  # those of real examples are what a test example needs
                terms["reverse_bound"] = tf.reduce_mean(self.reverse_bound(self.unfeatured(draws.batch, seed), seed))
        return terms

    def _relaxed_bound(self, before, log_q_y, draws, temperature=1.0, reduce_samples=bounds.mean_bound):
        """J_f^u with y a Gumbel-softmax sample, [B], given x and what else is known `before` y, a dict of values.

        With "concrete" a bound of log p(x), y on the simplex: of the weights
        p(x|y,z) p(y) p(z) / (q(y|x) q(z|x,y)), whose mean is p(x), both densities of y being those on the simplex.
        """
        relaxed = RelaxedCategorical(self.num_classes, self.options.gumbel_temperature)
        distribution = relaxed.distribution(log_q_y)
        log_y = draws("y", relaxed, distribution)
        values, log_q = bounds.follow({"z": self.q["z"]}, {**before, "y": tf.exp(log_y)}, draws, self._closed())
        log_w = bounds.log_weight(self.p, values, log_q, temperature)
        if self.options.class_draw == "concrete":  # with log K! log p(y) is a density on the simplex
            log_w += temperature * (math.lgamma(self.num_classes + 1) - relaxed.simplex_log_prob(distribution, log_y))
        else:
            log_w += temperature * class_weights.entropy(log_q_y)
        return reduce_samples(log_w)

    @property
    def trained_otherwise(self):
        """See `Questions`."""
        told = {"concrete": "y on the simplex", "gumbel": "y relaxed, no bound"}
        return told.get(self.options.class_draw)

    def trained_elbo(self, raw, seed, observed=None):
        """J_f^u as it is trained, with one sample, [B]: for "concrete" a bound of log p(x), y uniform on the simplex."""
        if self.trained_otherwise is None:
            return self.elbo(raw, seed, observed)
        x = self._observed(raw, observed)
        draws = self._draws(x, seed, samples=1)
        before, _, log_q_y = bounds.infer_class(self.q, x, draws)
        return self._relaxed_bound(before, log_q_y, draws)

    def unfeatured(self, batch, seed):
        """Labels without examples, each class as often as the others, and z with them from its prior.

        Returns {"y": one-hot [1, B, K], "z": [1, B, d]}.
        """
        y = tf.one_hot([tf.range(batch) % self.num_classes], self.num_classes)
        values, _ = bounds.follow({"z": self.p["z"]}, {"y": y}, noise.Draws(seed, batch))
        return values

    def x_bound(self, values):
        """-J_r^d = -|E_{p(x'|y,z)} x' - x|^2, [1, B], of x, y and z in `values`."""
        mean = self.p["x"].distribution(values).mean()
        return -tf.reduce_sum(tf.math.squared_difference(mean, values["x"]), -1)

    def reverse_bound(self, values, seed):
        """J_r^u <= log q(y, z) with one sample of x, [1, B], of y and z in `values` (eq. 17)."""
        x, log_p_x = self._draw_x(values, seed)
        if self.options.reverse_gradient == "q":
            x, log_p_x = tf.stop_gradient(x), tf.stop_gradient(log_p_x)
        return self._log_q({**values, "x": x}) - log_p_x

    def labelled_reverse_bound(self, values):
        """J_r^l <= log q(x, y) with one z ~ p(z), [1, B], of x, y and z in `values` (eq. 51).

        Its mean over z is log q(x, y) - KL(p(z) || q(z|x, y)) (eq. 59).
        """
        return self._log_q(values) - self.p["z"].log_prob(values, values["z"])

    def _log_q(self, values):
        """log q(x, y, z) = log q(x) + log q(y|x) + log q(z|x, y), [1, B]."""
        log_q_x = -self.preprocess.size * math.log(2)
        pinned = {name: values[name] for name in ("y", "z")}
        _, log_q = bounds.follow(self.q, {"x": values["x"]}, noise.Draws(tf.constant([0, 0]), 1, pinned=pinned))
        return log_q_x + sum(log_q.values())

    def _draw_x(self, values, seed):
        """Returns a straight-through sample x ~ p(x|y,z), whose gradient is that of its mean, and its log-density."""
        factor = self.p["x"]
        distribution = factor.distribution(values)
        mean = distribution.mean()
        drawn = noise.Draws(seed, tf.shape(mean)[-2])("x", factor, distribution)
        x = tf.stop_gradient(drawn - mean) + mean
        return x, distribution.log_prob(x)

    def get_config(self):
        return {**super().get_config(), "dim_z": self.dim_z, "options": dataclasses.asdict(self.options)}

    @classmethod
    def from_config(cls, config):
        return super().from_config({**config, "options": UntappedOptions(**config["options"])})
