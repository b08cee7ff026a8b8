"""Auxiliary deep generative model.

Maaloe, Sonderby, Sonderby and Winther, "Auxiliary deep generative models", ICML 2016.

    p(x,y,z,a) = p(y) p(z) p(x|y,z) p(a|y,z)          (section 3; eq. 3-6 give p(a|x,y,z): `a_sees_x`)
    q(a,y,z|x) = q(a|x) q(y|a,x) q(z|a,x,y)           (eq. 7-9)

    log p(x,y) >= -L(x,y) = E_{q(a|x) q(z|a,x,y)} [log p(x,y,a,z) - log q(a|x) - log q(z|a,x,y)]            (eq. 10)
    log p(x)   >= -U(x)   = E_{q(a|x)} [ sum_y q(y|a,x) E_{q(z|a,x,y)} [f(x,y,a,z)] + H(q(y|a,x)) ]         (eq. 11, 27)
    maximised: mean_l [-L + alpha log E_{q(a|x)} q(y|a,x)] + mean_u [-U]                                     (eq. 12, 13)

Departures from the paper:

- p(y) is uniform, where eq. 3 has Cat(pi), unless a `class_prior` is given.
- Labelled and unlabelled examples enter as two means, as in the authors' code. Eq. 13 sums over both sets: divided by N_u
  it has N_l / N_u in front of mean_l. An `Objective` with that as `labelled_weight`, and beta times that, has it too.
- Eq. 12 prints the logarithm twice; here, as in the authors' code, it is outside the average over a.
"""

from tfadgm import registry
from tfadgm.distributions.conditionals import Categorical, Deterministic, Gaussian, StandardNormal
from tfadgm.models.base import DeepGenerativeModel
from tfadgm.models.latents import sizes

AUXILIARIES = registry.AUXILIARIES["adgm"]


class ADGM(DeepGenerativeModel):
    """p(x,y,z,a) = p(y) p(z) p(x|y,z) p(a|y,z), q(a,y,z|x) = q(a|x) q(y|a,x) q(z|a,x,y).

    Args:
      dim_z, dim_a: sizes of z and a (section 3: 100 or 300; 10 for half-moons).
      a_sees_x: whether p(a|.) has x among its parents, as in eq. 5 and 24; the paper's experiments and code have not.
      auxiliary: "informed": p(a|y,z). "uninformed": p(a) = N(0, I) (appendix A). "deterministic": a is a function of x,
        without a density (figure 5).
      aux_gradient: what trains q(a|x). "joint": everything (the authors' published SDGM code). "bound": the bounds, but
        not the classification term (a later copy of their ADGM code). "frozen": nothing, so that a is a random feature
        (their workshop code, which never updated it).
      **kwargs: see `DeepGenerativeModel`.

    Raises:
      ValueError: for an unknown option, or one that contradicts another.
    """

    x_parents = "y z"

    def __init__(self, *args, dim_z=100, dim_a=100, a_sees_x=False, auxiliary="informed", aux_gradient="joint", **kwargs):
        for name, value, allowed in (
            ("auxiliary", auxiliary, AUXILIARIES),
            ("aux_gradient", aux_gradient, registry.AUX_GRADIENTS),
        ):
            if value not in allowed:
                raise ValueError(f"{name}: got {value!r}; allowed: {', '.join(allowed)}")
        if a_sees_x and auxiliary != "informed":
            raise ValueError(f"a_sees_x needs p(a|x,y,z): got auxiliary {auxiliary!r}; allowed: informed")
        (self.dim_z,), (self.dim_a,) = sizes("dim_z", dim_z, 1), sizes("dim_a", dim_a, 1)
        self.a_sees_x = a_sees_x
        self.auxiliary, self.aux_gradient = auxiliary, aux_gradient
        super().__init__(*args, **kwargs)
        if aux_gradient == "frozen" and self.network.shared_encoder != "off":
            raise ValueError(
                "aux_gradient: got 'frozen' with a shared_encoder, which q(y|.) and q(z|.) train; allowed: joint, bound"
            )
        self.q["a"].trainable = aux_gradient != "frozen"

    def factors(self):
        net, classes = self.network, self.num_classes
        p = dict(
            y=self.p_y(),
            z=StandardNormal(units=self.dim_z),
            a=self._p_a(),
            x=self.p_x(self.x_parents),
        )
        if self.a_sees_x:  # parents first
            p["a"] = p.pop("a")
        if self.auxiliary == "deterministic":
            del p["a"]
        q_a = Deterministic if self.auxiliary == "deterministic" else Gaussian
        q = dict(
            a=q_a("x", self.dim_a, net),
            y=Categorical("a x", classes, net),
            z=Gaussian("a x y", self.dim_z, net),
        )
        return p, q

    def _p_a(self):
        if self.auxiliary != "informed":
            return StandardNormal(units=self.dim_a)
        return Gaussian("x y z" if self.a_sees_x else "y z", self.dim_a, self.network.unshared)

    @property
    def stop_classification_gradient(self):
        return self.aux_gradient != "joint"

    def get_config(self):
        own = dict(dim_z=self.dim_z, dim_a=self.dim_a, a_sees_x=self.a_sees_x)
        return {**super().get_config(), **own, "auxiliary": self.auxiliary, "aux_gradient": self.aux_gradient}
