"""Auxiliary variational auto-encoder.

Maaloe, Sonderby, Sonderby and Winther, "Auxiliary deep generative models", ICML 2016, section 2.2 and appendix (eq. 19-20).

    L = 1    p(x,z,a) = p(z) p(x|z) p(a|z)                      (eq. 2 has p(a|x,z): `a_sees_x`)
             q(a,z|x) = q(a|x) q(z|a,x)
    L > 1    p(x,z,a) = p(x|z1) p(zL) p(aL|zL) prod_{i<L} p(z_i|z_{i+1}) p(a_i|z_{>=i})              (eq. 20)
             q(a,z|x) = q(a1|x) q(z1|a1,x) prod_{i>1} q(a_i|a_{i-1},x) q(z_i|a_i,z_{i-1})            (eq. 19)

    log p(x) >= E_{q(a,z|x)} [log p(x,z,a) - log q(a,z|x)]      (eq. 2)

The a's do not generate x: they make the marginal q(z|x) = int q(z|a,x) q(a|x) da a mixture. The recipe warms up from
temperature 0 to 1 over 200 epochs (footnote 2), without which a stays unused.
"""

from tfadgm.conditionals import Gaussian, StandardNormal
from tfadgm.models.base import DeepGenerativeModel
from tfadgm.models.latents import layers, sizes


class AVAE(DeepGenerativeModel):
    """p(x,z,a) = p(z) p(x|z) p(a|z), q(a,z|x) = q(a|x) q(z|a,x), and its hierarchy.

    Args:
      dim_z: the size of z, or the sizes of z1, ..., zL (64, or 64 and 32, in the recipe that the paper names).
      dim_a: the sizes of the a's; None: those of the z's (the paper does not say).
      a_sees_x: whether every p(a_i|.) has x among its parents (eq. 2; eq. 20 has not).
      **kwargs: see `DeepGenerativeModel`.
    """

    has_class = classifies = False

    def __init__(self, *args, dim_z=64, dim_a=None, a_sees_x=False, **kwargs):
        self.dim_z, self.a_sees_x = sizes("dim_z", dim_z), a_sees_x
        self.dim_a = self.dim_z if dim_a is None else sizes("dim_a", dim_a, len(self.dim_z))
        super().__init__(*args, **kwargs)

    def factors(self):
        net, above, top = self.network, self.network.above, len(self.dim_z) - 1
        z, a = layers("z", top + 1), layers("a", top + 1)
        q = {a[0]: Gaussian("x", self.dim_a[0], net), z[0]: Gaussian(f"{a[0]} x", self.dim_z[0], net)}
        for i in range(1, top + 1):
            q[a[i]] = Gaussian(f"{a[i - 1]} x", self.dim_a[i], net)
            q[z[i]] = Gaussian(f"{a[i]} {z[i - 1]}", self.dim_z[i], above)
        p = {z[top]: StandardNormal(units=self.dim_z[top])}
        for i in reversed(range(top)):
            p[z[i]] = Gaussian(z[i + 1], self.dim_z[i], above)
        p["x"] = self.p_x(z[0])
        for i in reversed(range(top + 1)):
            given = " ".join(["x"] * self.a_sees_x + z[i:])
            p[a[i]] = Gaussian(given, self.dim_a[i], net if self.a_sees_x else above)
        return p, q

    def get_config(self):
        return {**super().get_config(), "dim_z": self.dim_z, "dim_a": self.dim_a, "a_sees_x": self.a_sees_x}
