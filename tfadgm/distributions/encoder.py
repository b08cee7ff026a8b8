"""The encoder that all networks of q share, where `mlp.Network` has a `shared_encoder`.

    q(a|x) = q(a|h),   q(y|a,x) = q(y|a,h),   q(z|a,x,y) = q(z|a,h,y),   ...,   h = h(x)

h is the first factor of q, a function of x without noise and without a density: to walk through q (`bounds.follow`) is to
compute it once, however many networks, samples and classes follow. Networks of p that read x have encoders of their own.
"""

import dataclasses

import tensorflow as tf

from tfadgm.distributions.conditionals import Conditional, Deterministic, Values
from tfadgm.networks import mlp
from tfadgm.networks.convolutions import position_means


class Encoder(Deterministic):
    """h = h(x), the first hidden layer of the networks that read it, behind the convolutions where these have any.

    It is where most of the arithmetic of reading x is, and leaves each network a layer at least in which h meets its other
    parents. Where networks are `pooled`, the means of the maps follow in h, for those of q(y|.), which read no more of it.

    Args:
      network: the `mlp.Network` of those that read h.
    """

    def __init__(self, network: mlp.Network) -> None:
        means = network.filters[-1] if network.pooled else 0
        super().__init__(units=network.hidden[0] + means, network=network)
        self.given = ("x",)
        own = dataclasses.replace(network.unshared, hidden=network.hidden[:1], of_class=False)
        self.trunk = mlp.MLP(self.given, own, name="trunk")

    def build_from(self, sizes: dict[str, int]) -> None:
        self.trunk.build_from(sizes)
        self.built = True

    def call(self, values: Values) -> tf.Tensor:
        """Returns h, [1, B, units], in the precision of the networks that read it."""
        if not self.network.pooled:
            return self.trunk(values)
        inputs = self.trunk.read(values)
        return tf.concat([self.trunk.through(inputs), position_means(inputs["x"], self.network)], -1)


def share(model: str, p: dict[str, Conditional], q: dict[str, Conditional]) -> dict[str, Conditional]:
    """Returns q with its encoder before it, or q as it is where its networks do not share one.

    Args:
      model: its name, for messages.
      p, q: ordered dicts of name to `Conditional`.

    Raises:
      ValueError: where fewer than two networks of q read x, where these begin with layers of several widths, or where one
        of p would read h.
    """
    readers = {name: factor.network for name, factor in q.items() if "x" in factor.given}
    how = next((network.shared_encoder for network in readers.values()), "off")
    if how == "off":
        return q
    if len(readers) < 2:
        raise ValueError(f"shared_encoder: got {how!r} for {model}, in whose q one network reads x; allowed: off")
    widths = {name: network.hidden[0] for name, network in readers.items()}
    if len(set(widths.values())) > 1:
        told = ", ".join(f"{width} of q({name}|.)" for name, width in widths.items())
        raise ValueError(f"shared_encoder: got {how!r} with first layers of {told}; allowed: one width, as they share it")
    for name, factor in p.items():
        if "x" in factor.given and factor.network.shared_encoder != "off":
            raise ValueError(f"p({name}|.) reads x by a network that shares the encoder of q; allowed: network.unshared")
    if mlp.SHARED in q or mlp.SHARED in p:
        raise ValueError(f"shared_encoder: got {how!r} for {model}, which has a variable h; allowed: off, or another name")
    return {mlp.SHARED: Encoder(next(iter(readers.values()))), **q}
