"""Auxiliary variational auto-encoder.

Maaloe, Sonderby, Sonderby and Winther, "Auxiliary deep generative models", ICML 2016, section 2.2 and appendix (eq. 19-20).

    L = 1    p(x,z,a) = p(z) p(x|z) p(a|z)                      (eq. 2 has p(a|x,z): `a_sees_x`)
             q(a,z|x) = q(a|x) q(z|a,x)
    L > 1    p(x,z,a) = p(x|z1) p(zL) p(aL|zL) prod_{i<L} p(z_i|z_{i+1}) p(a_i|z_{>=i})              (eq. 20)
             q(a,z|x) = q(a1|x) q(z1|a1,x) prod_{i>1} q(a_i|a_{i-1},x) q(z_i|a_i,z_{i-1})            (eq. 19)

    log p(x) >= E_{q(a,z|x)} [log p(x,z,a) - log q(a,z|x)]      (eq. 2)

The a's do not generate x: they make the marginal q(z|x) = int q(z|a,x) q(a|x) da a mixture. The recipe warms up from
temperature 0 to 1 over 200 epochs (footnote 2), without which a stays unused.

`auxiliary="linear"` is not in the paper. With networks for q(a|x), q(z|a,x) and p(a|.), as it has them, a gains nothing in
runs of minutes here (docs/notebook.md): all three would have to find its use together. Here p(a|.) has nothing to find:

    q(a,z|x) = prod_i q(a_i) q(z_i|a_i,z_{i-1}),    p(a_i|z_i,z_{i-1}) = q(a_i|z_i,z_{i-1}),    z_0 = x

with q(a_i) = N(0, I) and a q(z_i|a_i,.) that is linear in a_i, so that its posterior is a Gaussian in closed form. That
p(a|.) is the optimum (appendix A), the mixture a Gaussian with correlations, and the bound that of q(z|x) alone.
"""

from tfadgm import registry
from tfadgm.distributions.conditionals import Gaussian, StandardNormal
from tfadgm.distributions.linear_gaussian import LinearGaussian, LinearGaussianPosterior
from tfadgm.models.base import DeepGenerativeModel
from tfadgm.models.latents import layers, sizes

AUXILIARIES = registry.AUXILIARIES["avae"]
LINEAR_DIM_A = 8


class AVAE(DeepGenerativeModel):
    """p(x,z,a) = p(z) p(x|z) p(a|z), q(a,z|x) = q(a|x) q(z|a,x), and its hierarchy.

    Args:
      dim_z: the size of z, or the sizes of z1, ..., zL (64, or 64 and 32, in the recipe that the paper names).
      dim_a: the sizes of the a's; None: those of the z's (the paper does not say), or `LINEAR_DIM_A`, at most the z's.
      a_sees_x: whether every p(a_i|.) has x among its parents (eq. 2; eq. 20 has not).
      auxiliary: "informed": p(a|.) by networks, as above. "linear": q(z|a,.) linear in a, and p(a|.) its exact posterior.
      **kwargs: see `DeepGenerativeModel`.

    Raises:
      ValueError: for an unknown `auxiliary`, or `a_sees_x` with the linear one, whose parents follow from q.
    """

    has_class = has_class_prior = classifies = False

    def __init__(self, *args, dim_z=64, dim_a=None, a_sees_x=False, auxiliary="informed", **kwargs):
        if auxiliary not in AUXILIARIES:
            raise ValueError(f"auxiliary: got {auxiliary!r}; allowed: {', '.join(AUXILIARIES)}")
        if a_sees_x and auxiliary == "linear":
            raise ValueError("a_sees_x: got true; allowed: false with auxiliary 'linear', whose p(a|.) follows from q")
        self.dim_z, self.a_sees_x, self.auxiliary = sizes("dim_z", dim_z), a_sees_x, auxiliary
        if dim_a is None:
            dim_a = self.dim_z if auxiliary == "informed" else [min(units, LINEAR_DIM_A) for units in self.dim_z]
        self.dim_a = sizes("dim_a", dim_a, len(self.dim_z))
        super().__init__(*args, **kwargs)

    def factors(self):
        z, a = layers("z", len(self.dim_z)), layers("a", len(self.dim_z))
        q = self._q_linear(z, a) if self.auxiliary == "linear" else self._q(z, a)
        p = {z[-1]: StandardNormal(units=self.dim_z[-1])}
        for i in reversed(range(len(z) - 1)):
            p[z[i]] = Gaussian(z[i + 1], self.dim_z[i], self.network.above)
        p["x"] = self.p_x(z[0])
        for i in reversed(range(len(z))):
            p[a[i]] = LinearGaussianPosterior(z[i], q[z[i]]) if self.auxiliary == "linear" else self._p_a(z, i)
        return p, q

    def _q(self, z, a):
        net, above = self.network, self.network.above
        q = {a[0]: Gaussian("x", self.dim_a[0], net), z[0]: Gaussian(f"{a[0]} x", self.dim_z[0], net)}
        for i in range(1, len(z)):
            q[a[i]] = Gaussian(f"{a[i - 1]} x", self.dim_a[i], net)
            q[z[i]] = Gaussian(f"{a[i]} {z[i - 1]}", self.dim_z[i], above)
        return q

    def _p_a(self, z, i):
        given = " ".join(["x"] * self.a_sees_x + z[i:])
        return Gaussian(given, self.dim_a[i], self.network.unshared if self.a_sees_x else self.network.above)

    def _q_linear(self, z, a):
        q = {}
        for i, below in enumerate(["x", *z[:-1]]):
            network = self.network if below == "x" else self.network.above
            q[a[i]] = StandardNormal(units=self.dim_a[i])
            q[z[i]] = LinearGaussian(a[i], below, self.dim_z[i], network, self.dim_a[i])
        return q

    def get_config(self):
        own = dict(dim_z=self.dim_z, dim_a=self.dim_a, a_sees_x=self.a_sees_x, auxiliary=self.auxiliary)
        return {**super().get_config(), **own}
