"""Variational auto-encoder.

Kingma and Welling, "Auto-encoding variational Bayes", ICLR 2014; Rezende, Mohamed and Wierstra, ICML 2014.

    p(x,z) = p(z) p(x|z)
    q(z|x)                                                               (Maaloe et al. 2016, section 2.1)

    log p(x) >= E_{q(z|x)} [log p(x|z) + log p(z) - log q(z|x)]          (eq. 1)
"""

import tensorflow as tf

from tfadgm import bounds, noise
from tfadgm.conditionals import Gaussian, StandardNormal
from tfadgm.models.base import DeepGenerativeModel


class VAE(DeepGenerativeModel):
    """p(x,z) = p(z) p(x|z), q(z|x); trained on the unlabelled stream alone.

    Args:
      dim_z: size of z (50 in Kingma et al. 2014).
      **kwargs: see `DeepGenerativeModel`.
    """

    is_semi_supervised = False
    term_names = ("objective", "unlabelled_bound")

    def __init__(self, *args, dim_z=50, **kwargs):
        self.dim_z = dim_z
        super().__init__(*args, **kwargs)

    def factors(self):
        net = self.network
        p = dict(z=StandardNormal(units=self.dim_z), x=self.p_x("z"))
        q = dict(z=Gaussian("x", self.dim_z, net))
        return p, q

    def terms(self, batch, seed, temperature=1.0):
        """The bound of eq. 1, importance-weighted if asked, on the unlabelled batch."""
        seed = noise.fold(seed, 2)
        x = self.observe(batch["unlabelled"], noise.fold(seed, "x"))
        draws = self._draws(x, seed)
        values, log_q = bounds.follow(self.q, {"x": x}, draws)
        bound = tf.reduce_mean(self._reduce_samples()(bounds.log_weight(self.p, values, log_q, temperature)))
        return {"objective": bound + self.log_weight_prior(), "unlabelled_bound": bound}

    def get_config(self):
        return {**super().get_config(), "dim_z": self.dim_z}
