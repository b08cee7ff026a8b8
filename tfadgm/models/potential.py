"""Auxiliary variables for variational inference in a two-dimensional energy.

Maaloe, Sonderby, Sonderby and Winther, "Auxiliary deep generative models", ICML 2016, section 4.1 and figure 2a-b, on the
energies of Rezende and Mohamed, "Variational inference with normalizing flows", ICML 2015, table 1.

    p(z) = exp(-U(z)) / Z                          (z in R^2; Maaloe et al. print exp(U), but the table's U means exp(-U))
    q(a,z) = q(a) q(z|a),  p(a|z)                  (a in R^4)

    log Z >= E_{q(a) q(z|a)} [-U(z) + log p(a|z) - log q(a) - log q(z|a)]                                   (eq. 18)
    log Z >= E_{q(z)} [-U(z) - log q(z)]           (the control: a mean-field Gaussian, without a)

The gap of the first bound is KL(q(z) || p(z)) + E_{q(z)} KL(q(a|z) || p(a|z)), q(z) = int q(a) q(z|a) da being a mixture.
U1 has two equal modes: a q(z) on one of them has a bound of at most log Z - log 2.
"""

import dataclasses
import math

import keras
import numpy as np
import scipy.special
import scipy.stats
import tensorflow as tf
import tensorflow_probability as tfp

from tfadgm import bounds, initial, noise
from tfadgm.conditionals import Gaussian, StandardNormal
from tfadgm.networks import Network
from tfadgm.optimizers import Adam

# The ridges of U2 to U4 have no end, so exp(-U) no integral: walls, as soft as the ridges, close them at |z1| = 4.
WALL, WALL_WIDTH = 4.0, 0.4


def _parabola(value, width):
    return 0.5 * tf.square(value / width)


def _either(first, second):
    return -tfp.math.log_add_exp(-first, -second)  # -log(exp(-first) + exp(-second))


def _above_wave(z):
    return z[..., 1] - tf.sin(2.0 * math.pi * z[..., 0] / 4.0)  # z2 - w1(z1)


def _u1(z):
    radius = tf.sqrt(tf.maximum(tf.reduce_sum(tf.square(z), -1), 1e-12))  # the root has no gradient at 0
    return _parabola(radius - 2.0, 0.4) + _either(_parabola(z[..., 0] - 2.0, 0.6), _parabola(z[..., 0] + 2.0, 0.6))


def _u2(z):
    return _parabola(_above_wave(z), 0.4)


def _u3(z):
    w2 = 3.0 * tf.exp(-_parabola(z[..., 0] - 1.0, 0.6))
    return _either(_parabola(_above_wave(z), 0.35), _parabola(_above_wave(z) + w2, 0.35))


def _u4(z):
    w3 = 3.0 * tf.sigmoid((z[..., 0] - 1.0) / 0.3)
    return _either(_parabola(_above_wave(z), 0.4), _parabola(_above_wave(z) + w3, 0.35))


ENERGIES = {"U1": _u1, "U2": _u2, "U3": _u3, "U4": _u4}


def energy(name, wall=True):
    """Returns the function U, z [..., 2] to nats [...] (Rezende and Mohamed 2015, table 1), of a name in `ENERGIES`.

    With `wall`, U2, U3 and U4, whose exp(-U) has no integral, rise by 1/2 ((|z1| - 4) / 0.4)^2 where |z1| > 4. An unknown
    name raises a ValueError.
    """
    if name not in ENERGIES:
        raise ValueError(f"energy: got {name!r}; allowed: {', '.join(ENERGIES)}")
    if name == "U1" or not wall:
        return ENERGIES[name]
    return lambda z: ENERGIES[name](z) + _parabola(tf.nn.relu(tf.abs(z[..., 0]) - WALL), WALL_WIDTH)


def grid(z1, z2):
    """Returns the points of two axes, [len(z1), len(z2), 2]."""
    return np.stack(np.meshgrid(z1, z2, indexing="ij"), -1)


def log_normaliser(name, wall=True, step=0.01):
    """log Z = log int exp(-U(z)) dz in nats, by the trapezoid rule in double precision.

    U1: 1.8775. U2, U3, U4: 2.2002, 2.7598, 2.8288 with the wall; without it over |z1| <= 4: 2.0821, 2.6417, 2.7107.
    """
    reach = WALL if name != "U1" and not wall else 8.0
    axes = [np.linspace(-end, end, round(2 * end / step) + 1) for end in (reach, 8.0)]
    density = np.exp(-energy(name, wall)(tf.constant(grid(*axes))).numpy())
    return float(np.log(np.trapezoid(np.trapezoid(density, axes[1]), axes[0])))


class Energy:
    """log p(x|z) = -U(z): the energy in the place of the likelihood of an x that is not there; z has no prior."""

    def __init__(self, function):
        self.function = function

    def log_prob(self, values, value):
        """Returns -U(z), [S, B]."""
        return -self.function(values["z"])


class FreeGaussian(Gaussian):
    """N(child | mu, diag exp(v)) without parents, mu and v free.

    mu starts at a draw of N(0, I), v at -4: a narrow start rolls into a mode, a wide one may stay between modes.
    """

    def build_from(self, sizes):
        start, narrow = initial.normal(1.0), keras.initializers.Constant(-4.0)
        self.loc = self.add_weight(shape=(self.units,), initializer=start, name="loc")
        self.log_variance = self.add_weight(shape=(self.units,), initializer=narrow, name="log_variance")
        self.built = True

    def call(self, values):
        return tf.concat([self.loc, self.log_variance], 0)


class Potential(keras.Model):
    """q(a,z) = q(a) q(z|a) and p(a|z) for p(z) = exp(-U(z)) / Z; or q(z) alone, a mean-field Gaussian.

    q(a) is N(0, I). A free diagonal Gaussian would add nothing that the first layer of q(z|a) and the head of p(a|z) cannot.

    Args:
      function: U, z [..., 2] to nats [...], such as `energy` returns.
      auxiliary: whether there is an a.
      dim_a: size of a (4 in section 4.1).
      network: default three layers of 20, with tanh. (With ReLU, q(z) stayed one Gaussian between U1's modes.)
      seed: of the initial weights.
    """

    def __init__(self, function, auxiliary=True, dim_a=4, network=None, seed=0, **kwargs):
        super().__init__(**kwargs)
        network = network or Network(hidden=(20, 20, 20), activation="tanh")
        if auxiliary:
            self.p = dict(a=Gaussian("z", dim_a, network), x=Energy(function))
            self.q = dict(a=StandardNormal(units=dim_a), z=Gaussian("a", 2, network))
            with initial.weights_of("p(a)", seed):
                self.p["a"].build_from({"z": 2})
        else:
            self.p, self.q = dict(x=Energy(function)), dict(z=FreeGaussian(units=2))
        with initial.weights_of("q(z)", seed):
            self.q["z"].build_from({"a": dim_a})
        self.built = True

    def log_weights(self, seed, samples, batch, temperature=1.0):
        """-U(z) + temperature * (log p(a|z) - log q(a) - log q(z|a)) of draws from q, [S, B].

        At temperature 1 the mean of its exponential is Z: `bounds.mean_bound` and `importance_bound` of it bound log Z.
        """
        values, log_q = bounds.follow(self.q, {"x": None}, noise.Draws(seed, batch, samples))
        return bounds.log_weight(self.p, values, log_q, temperature)

    def density(self, z1, z2, seed, samples=20_000):
        """q(z) on the grid of z1 and z2, float64 [len(z1), len(z2)]: the mean of q(z|a) over draws of a."""
        before = {name: factor for name, factor in self.q.items() if name != "z"}
        values, _ = bounds.follow(before, {}, noise.Draws(seed, samples))
        normal = self.q["z"].distribution(values).distribution
        loc, scale = (np.reshape(part, [-1, 2]).astype("float64") for part in (normal.loc, normal.scale))
        # A diagonal Gaussian is a product over z1 and z2, so the mean over a is a product of matrices.
        first, second = (scipy.stats.norm.pdf(axis[:, None], loc[:, i], scale[:, i]) for i, axis in enumerate((z1, z2)))
        return first @ second.T / len(loc)


def _setting(default, least, text, below=math.inf):
    return dataclasses.field(default=default, metadata=dict(least=least, text=text, below=below))


@dataclasses.dataclass(frozen=True)
class Settings:
    """How the bound is maximised and measured; each field says what it means.

    Training is Adam with a learning rate that falls to 0 along half a cosine. The energy's temperature falls geometrically
    over the first half: while it is warm the modes are connected, and q(z) splits as they part. Without, it may miss one.
    Raises a ValueError for a value that is not allowed.
    """

    steps: int = _setting(40_000, 1, "Training steps.")
    batch: int = _setting(1024, 1, "Draws of a and z per step, times samples.")
    samples: int = _setting(1, 1, "Samples inside the logarithm in training; 1 is the paper's bound.")
    learning_rate: float = _setting(3e-3, 0.0, "Adam's learning rate at the start; it falls to 0.")
    temperature: float = _setting(10.0, 1.0, "T of exp(-U(z) / T) at the start; it falls to 1.")
    average: float = _setting(0.999, 0.0, "Decay of the moving average of the weights, which is what is kept.", below=1)
    evaluation_samples: int = _setting(100_000, 2, "Draws for the bounds that are reported.")
    importance_samples: int = _setting(50, 1, "Samples inside the logarithm of the importance-weighted bound.")

    def __post_init__(self):
        for field in dataclasses.fields(self):
            value, least, below = getattr(self, field.name), field.metadata["least"], field.metadata["below"]
            if not least <= value < below:
                allowed = f"at least {least}" + f", below {below}" * (below < math.inf)
                raise ValueError(f"{field.name}: got {value}; allowed: {allowed}")
        if self.importance_samples > (half := self.evaluation_samples // 2):
            raise ValueError(f"importance_samples: got {self.importance_samples}; allowed: 1 to {half}, half the draws")


def fit(model, settings, seed, xla=False):
    """Maximises the bound of a `Potential` in one compiled function; deterministic in the seed.

    XLA is off by default: on one core a step of the default size takes 2.3 ms with it and 0.45 ms without.
    """
    rate = keras.optimizers.schedules.CosineDecay(settings.learning_rate, settings.steps)
    optimizer, variables = Adam(rate, average=settings.average), model.trainable_variables
    optimizer.build(variables)
    reduce_samples = bounds.importance_bound if settings.samples > 1 else bounds.mean_bound

    def step(i):
        hot = tf.maximum(0.0, 1.0 - 2.0 * tf.cast(i, tf.float32) / settings.steps)
        temperature = tf.pow(settings.temperature, hot)
        draws = noise.step_seed(seed, i), settings.samples, settings.batch
        with tf.GradientTape() as tape:
            log_w = model.log_weights(*draws, temperature) / temperature  # -U / temperature + log p - log q
            loss = -tf.reduce_mean(reduce_samples(log_w))
        gradients = tape.gradient(loss, [v.value for v in variables])
        optimizer.apply_gradients(zip(gradients, variables, strict=True))
        return i + 1

    loop = tf.function(lambda: tf.while_loop(lambda i: i < settings.steps, step, [0]), jit_compile=xla, autograph=False)
    loop()
    optimizer.finalize_variable_values(variables)


def evaluate(model, settings, seed):
    """Returns a dict of floats in nats, each with a standard error, from draws of q that training never saw.

        bound              mean of log w, at most log Z
        importance_bound   mean of log (1/S) sum_s w_s over groups of S = `importance_samples`, at most log Z
        log_z_estimate     log of the mean of all w, an estimate of log Z; its error by the delta method

    Raises a ValueError if a weight is not finite: training diverged.
    """
    log_weights, group = tf.function(model.log_weights, autograph=False), settings.importance_samples
    draws = noise.fold(tf.constant([seed, 0]), "evaluation"), group, settings.evaluation_samples // group
    log_w = log_weights(*draws).numpy().astype("float64")
    if not np.isfinite(log_w).all():
        raise ValueError("training diverged: the bound is not finite; allowed: a smaller learning_rate")
    weighted = scipy.special.logsumexp(log_w, 0) - math.log(group)
    log_z = scipy.special.logsumexp(log_w) - math.log(log_w.size)
    results = {}
    for name, value, terms in (
        ("bound", log_w.mean(), log_w),
        ("importance_bound", weighted.mean(), weighted),
        ("log_z_estimate", log_z, np.exp(log_w - log_z)),
    ):
        results |= {name: float(value), f"{name}_stderr": float(scipy.stats.sem(terms, None))}
    return results
