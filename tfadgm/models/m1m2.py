"""M1+M2: the generative semi-supervised model M2 on the features of M1.

Kingma, Rezende, Mohamed and Welling, "Semi-supervised learning with deep generative models", NIPS 2014, section 2.3.

    p(x,y,z1,z2) = p(y) p(z2) p(z1|y,z2) p(x|z1)
    q(y,z1,z2|x) = q(z1|x) q(y|z1) q(z2|y,z1)

M1, that is p(x|z1) and q(z1|x), is trained first, without labels, and then kept as it is; M2 is trained on fresh samples of
z1, with the bounds of M2 (eq. 6-9), and classifies by the mean of q(z1|x) (the authors' code). Training all of it at once
(`end_to_end`) is possible here; Maaloe et al. 2016 say that it does not converge.

Departures from the paper: those of M2. A class is worth a few nats of the bound on z1, which the noise of a sampled
divergence hides: recipes have `closed_kl`, and q(y|z1) of the draw that the bounds have (docs/notebook.md). (The authors'
code also leaves out units of z1 whose means hardly vary.)
"""

from tfadgm.distributions.conditionals import Categorical, Gaussian, StandardNormal
from tfadgm.models.base import DeepGenerativeModel
from tfadgm.models.latents import sizes


class M1M2(DeepGenerativeModel):
    """p(x,y,z1,z2) = p(y) p(z2) p(z1|y,z2) p(x|z1), q(y,z1,z2|x) = q(z1|x) q(y|z1) q(z2|y,z1).

    Args:
      dim_z: sizes of z1 and z2 (50 and 50 in the paper).
      end_to_end: whether p(x|z1) and q(z1|x) are trained too, rather than taken from an M1 by `start_from`.
      **kwargs: see `DeepGenerativeModel`.
    """

    def __init__(self, *args, dim_z=(50, 50), end_to_end=False, **kwargs):
        self.dim_z, self.end_to_end = sizes("dim_z", dim_z, 2), end_to_end
        super().__init__(*args, **kwargs)
        if not end_to_end:
            for factor in self._of_m1():
                factor.freeze()

    def factors(self):
        net, above, classes = self.network, self.network.above, self.num_classes
        first, second = self.dim_z
        p = dict(
            y=self.p_y(),
            z2=StandardNormal(units=second),
            z1=Gaussian("y z2", first, above),
            x=self.p_x("z1"),
        )
        q = dict(z1=Gaussian("x", first, net), y=Categorical("z1", classes, above), z2=Gaussian("y z1", second, above))
        return p, q

    def _of_m1(self):
        return self.q["z1"], self.p["x"]

    @property
    def first_stage(self):
        """What is to be trained before: an M1, unless everything is trained at once."""
        return None if self.end_to_end else "m1"

    def start_from(self, m1):
        """Takes over q(z|x) and p(x|z) of a trained M1 (or VAE) of the same networks and size of z."""
        if "z" not in m1.q:
            raise ValueError(
                f"first_run: got a model of {', '.join(m1.p)}; allowed: one of z and x (m1, or vae of one layer)"
            )
        for own, other in zip(self._of_m1(), (m1.q["z"], m1.p["x"]), strict=True):
            shapes = [tuple(w.shape) for w in own.weights], [tuple(w.shape) for w in other.weights]
            if shapes[0] != shapes[1]:
                raise ValueError(f"m1: its networks have weights {shapes[1]}; allowed: {shapes[0]}")
        for name in ("activation", "log_variance_ceiling"):
            own, other = getattr(self.network, name), getattr(m1.network, name)
            if own != other:
                raise ValueError(f"{name}: the m1 has {other}, this model {own}; allowed: the same")
        for own, other in zip(self._of_m1(), (m1.q["z"], m1.p["x"]), strict=True):
            own.set_weights(other.get_weights())

    def classify_by_sample(self, x, draws):
        """log q(y | E_{q(z1|x)} z1), [1, B, K]; no noise, unless all is trained end to end, on samples."""
        if self.end_to_end:
            return super().classify_by_sample(x, draws)
        factor = self.q["z1"]
        return self.q["y"].log_probs({"z1": factor.point(factor.distribution({"x": x}))})

    def get_config(self):
        return {**super().get_config(), "dim_z": self.dim_z, "end_to_end": self.end_to_end}
