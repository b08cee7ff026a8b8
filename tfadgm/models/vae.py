"""Variational auto-encoder, of one or more layers of latents, with or without normalising flows.

Kingma and Welling, "Auto-encoding variational Bayes", ICLR 2014; Rezende, Mohamed and Wierstra, ICML 2014; flows: Rezende
and Mohamed, "Variational inference with normalizing flows", ICML 2015; importance-weighted training: Burda, Grosse and
Salakhutdinov, "Importance weighted autoencoders", ICLR 2016.

    L = 1    p(x,z) = p(z) p(x|z)                                    q(z|x)           (Maaloe et al. 2016, section 2.1)
    L > 1    p(x,z) = p(zL) prod_i p(z_i|z_{i+1}) p(x|z1)            q(z|x) = q(z1|x) prod_i q(z_i|z_{i-1})

    log p(x) >= E_{q(z|x)} [log p(x|z) + log p(z) - log q(z|x)]          (eq. 1)

Departures from the papers:

- KL(q(z|x) || p(z)) is sampled, as log q - log p of a draw, unless `closed_kl` is given, as recipes do and Kingma and
  Welling do (appendix B): the mean is the same.
"""

from tfadgm.distributions.conditionals import Gaussian, StandardNormal
from tfadgm.distributions.transformed import PlanarFlow
from tfadgm.models.base import DeepGenerativeModel
from tfadgm.models.latents import layers, sizes


class VAE(DeepGenerativeModel):
    """p(x,z) = p(z) p(x|z), q(z|x); trained on the unlabelled stream alone.

    Args:
      dim_z: size of z (50 in Kingma et al. 2014), or the sizes of z1, ..., zL.
      flows: number of planar flows behind q(z|x) (80 in Rezende and Mohamed 2015); with one layer only.
      **kwargs: see `DeepGenerativeModel`. The objective's `importance_weighted` makes it the IWAE.
    """

    has_class = has_class_prior = classifies = False

    def __init__(self, *args, dim_z=50, flows=0, **kwargs):
        self.dim_z, self.flows = sizes("dim_z", dim_z), flows
        if flows < 0 or (flows and len(self.dim_z) > 1):
            raise ValueError(f"flows: got {flows} with dim_z {self.dim_z}; allowed: 0, or with one layer at least 1")
        super().__init__(*args, **kwargs)

    def factors(self):
        net, above = self.network, self.network.above
        names = layers("z", len(self.dim_z))
        units = dict(zip(names, self.dim_z, strict=True))
        p = {names[-1]: StandardNormal(units=self.dim_z[-1])}
        q = {names[0]: PlanarFlow("x", self.dim_z[0], net, self.flows) if self.flows else Gaussian("x", self.dim_z[0], net)}
        for below, name in zip(names, names[1:], strict=False):
            q[name] = Gaussian(below, units[name], above)
        for name, parent in reversed(list(zip(names, names[1:], strict=False))):
            p[name] = Gaussian(parent, units[name], above)
        p["x"] = self.p_x(names[0])
        return p, q

    def get_config(self):
        return {**super().get_config(), "dim_z": self.dim_z, "flows": self.flows}
