"""Ladder variational auto-encoder: q goes down the same way as p, and merges what it saw with what p expects.

Sonderby, Raiko, Maaloe, Sonderby and Winther, "Ladder variational autoencoders", NIPS 2016; a comparison row of Maaloe et
al. 2016, table 1.

    p(x,z)  = p(zL) prod_i p(z_i|z_{i+1}) p(x|z1)
    q(z|x)  = q(zL|x) prod_{i<L} q(z_i|z_{i+1},x)
    q(z_i|z_{i+1},x) = N((mu^ / v^ + mu_p / v_p) / (1 / v^ + 1 / v_p), 1 / (1 / v^ + 1 / v_p))           (eq. 11-13)

with (mu^, v^) read off x and (mu_p, v_p) those of p(z_i|z_{i+1}).

Departures from the paper:

- One deterministic path upwards feeds all (mu^, v^) there; here, as everywhere in this package, each factor has a network
  of its own, deeper for higher layers, of which a `shared_encoder` shares the first layer.
- The log-variance is linear in the last hidden layer, where the paper has a variance that is a softplus of it.
"""

import dataclasses

from tfadgm.distributions.conditionals import Gaussian, PrecisionWeighted
from tfadgm.models.latents import layers
from tfadgm.models.vae import VAE


class LVAE(VAE):
    """p as the VAE of L layers, q(zL|x) prod q(z_i|z_{i+1},x) by precision-weighted merges.

    Args:
      dim_z: sizes of z1, ..., zL (64, 32, 16, 8, 4 in the paper).
      **kwargs: see `DeepGenerativeModel`.
    """

    def __init__(self, *args, dim_z=(64, 32, 16, 8, 4), **kwargs):
        super().__init__(*args, dim_z=dim_z, **kwargs)

    def factors(self):
        p, _ = super().factors()
        names = layers("z", len(self.dim_z))
        q = {}
        for i, name in reversed(list(enumerate(names))):
            deeper = dataclasses.replace(self.network, hidden=self.network.hidden + i * self.network.above.hidden)
            if i == len(names) - 1:
                q[name] = Gaussian("x", self.dim_z[i], deeper)
            else:
                q[name] = PrecisionWeighted("x", p[name], self.dim_z[i], deeper)
        return p, q

    def get_config(self):
        config = super().get_config()
        del config["flows"]
        return config
