"""M2, the generative semi-supervised model.

Kingma, Rezende, Mohamed and Welling, "Semi-supervised learning with deep generative models", NIPS 2014.

    p(x,y,z) = p(y) p(z) p(x|y,z)                                        (eq. 2)
    q(y,z|x) = q(y|x) q(z|x,y)                                           (eq. 4)

    log p(x,y) >= -L(x,y) = E_{q(z|x,y)} [log p(x|y,z) + log p(y) + log p(z) - log q(z|x,y)]      (eq. 6)
    log p(x)   >= -U(x)   = sum_y q(y|x) (-L(x,y)) + H(q(y|x))                                    (eq. 7)
    maximised: w mean_l [-L] + alpha mean_l [log q(y|x)] + mean_u [-U]

Departures from the paper:

- Labelled and unlabelled examples enter as two means, as in the code of Maaloe et al. 2016. Eq. 9, with its alpha of 0.1 N,
  sums over both sets: divided by N_u it has w = N_l / N_u and alpha = 0.1 N / N_u. Here w (`labelled_weight`) is 1 and alpha
  is beta N / N_l by default, N_u / N_l times as much. Eq. 9 is labelled_weight = N_l / N_u, beta = 0.1 N_l / N_u.
- p(y) is uniform, where eq. 2 has Cat(pi), unless a `class_prior` is given.
- KL(q(z|x,y) || p(z)) is sampled unless `closed_kl` is given, as the paper does (section 3.1).
"""

from tfadgm.distributions.conditionals import Categorical, Gaussian, StandardNormal
from tfadgm.models.base import DeepGenerativeModel
from tfadgm.models.latents import sizes


class M2(DeepGenerativeModel):
    """p(x,y,z) = p(y) p(z) p(x|y,z), q(y,z|x) = q(y|x) q(z|x,y).

    Args:
      dim_z: size of z (50 in the paper).
      **kwargs: see `DeepGenerativeModel`.
    """

    def __init__(self, *args, dim_z=50, **kwargs):
        (self.dim_z,) = sizes("dim_z", dim_z, 1)
        super().__init__(*args, **kwargs)

    def factors(self):
        net, classes = self.network, self.num_classes
        p = dict(
            y=self.p_y(),
            z=StandardNormal(units=self.dim_z),
            x=self.p_x("y z"),
        )
        q = dict(y=Categorical("x", classes, net), z=Gaussian("x y", self.dim_z, net))
        return p, q

    def get_config(self):
        return {**super().get_config(), "dim_z": self.dim_z}
