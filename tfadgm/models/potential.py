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

import math

import keras
import numpy as np
import scipy.special
import scipy.stats
import tensorflow as tf
import tensorflow_probability as tfp

from tfadgm import bounds, noise
from tfadgm.distributions.conditionals import Gaussian, StandardNormal
from tfadgm.networks import initial
from tfadgm.networks.mlp import Network

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
