"""The networks inside the conditionals: their architecture, and the one from parents to the last hidden layer."""

import dataclasses

import keras

from tfadgm.networks.batch_norm import BatchNorm
from tfadgm.networks.convolutions import ConvEncoder, position_means
from tfadgm.networks.layers import ACTIVATIONS, ParentSum, hidden_dense
from tfadgm.registry import SHARED_ENCODERS, TRUNKS

SHARED = "h"  # the name of h(x) among the values that networks read


@dataclasses.dataclass(frozen=True)
class Network:
    """The architecture of one conditional's network.

    Attributes:
      hidden: widths of the fully connected hidden layers (Maaloe et al. 2016, section 3: two layers of 500).
      hidden_above: the same for the networks between latents, which neither read nor write x, in models with several
        layers of latents (`above`); None: as `hidden`.
      activation: one of `ACTIVATIONS` (ReLU in Maaloe et al.; softplus in Kingma et al. 2014).
      head_deviation: standard deviation of the initial weights of the heads of Gaussians, mu and log sigma^2. None: Glorot,
        as Maaloe et al. 2016 say; 1e-3, as their code has it, starts at N(0, I), or a little
        narrower with a ceiling.
      log_variance_ceiling: c of a smooth upper bound c - softplus(c - v) of the log-variance v of latents; None: v as it is.
        exp(v) of an example unlike the others can be huge, and then fills the moments of batch norm.
      batch_norm: normalise each hidden layer before its activation (Dense, norm, activation).
      trunk: "mlp", or "conv": x is read by strided convolutions and written by transposed ones.
      filters: channels of the convolutions, one stride-2 layer each; only for trunk "conv".
      depth: convolutions at each size when x is read, the first of stride 2, the others of 3 x 3; only for trunk "conv".
      pooled: whether networks of q(y|.) read the means of the last maps over their positions, in place of the maps: a class
        does not depend on where, and few labelled pictures are not learned by heart by it; only for trunk "conv".
      of_class: whether this is the network of q(y|.) (`classifier`).
      image_shape: [height, width, channels] of x, of any size; only for trunk "conv".
      reads: how many of the first entries of x networks read; None: all.
      shared_encoder: whether the networks of q read h(x), of one encoder for all of them, in place of x (`encoder.Encoder`).
        "off": each has an encoder of its own. "on": all that is maximised trains h. "stopped": all but the classification
        term, the cross-entropy of the labelled examples, whose gradient stops at h. h is the first hidden layer, which with
        trunk "conv" reads the convolutions; the layers behind it are each network's own.
    """

    hidden: tuple = (500, 500)
    hidden_above: tuple | None = None
    activation: str = "relu"
    head_deviation: float | None = None
    log_variance_ceiling: float | None = None
    batch_norm: bool = False
    trunk: str = "mlp"
    filters: tuple = (32, 64)
    depth: int = 1
    pooled: bool = False
    of_class: bool = False
    image_shape: tuple | None = None
    reads: int | None = None
    shared_encoder: str = "off"

    def __post_init__(self):
        for name in ("hidden", "hidden_above", "filters", "image_shape"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, tuple(getattr(self, name)))
        if self.activation not in ACTIVATIONS:
            raise ValueError(f"activation: got {self.activation!r}; allowed: {', '.join(ACTIVATIONS)}")
        if self.trunk not in TRUNKS:
            raise ValueError(f"trunk: got {self.trunk!r}; allowed: {', '.join(TRUNKS)}")
        if self.shared_encoder not in SHARED_ENCODERS:
            raise ValueError(f"shared_encoder: got {self.shared_encoder!r}; allowed: {', '.join(SHARED_ENCODERS)}")
        for name, widths in (("hidden", self.hidden), ("hidden_above", self.hidden_above or (1,))):
            if not widths or any(width < 1 for width in widths):
                raise ValueError(f"{name}: got {widths}; allowed: one or more widths of at least 1")
        if self.depth < 1:
            raise ValueError(f"depth: got {self.depth}; allowed: at least 1")
        if self.trunk == "conv":
            self._check_image()
        elif self.depth > 1 or self.pooled:
            given = f"depth: got {self.depth}" if self.depth > 1 else "pooled: got True"
            raise ValueError(f"{given} with trunk {self.trunk!r}, which has no maps; allowed: with trunk 'conv'")

    @property
    def above(self):
        """The architecture of networks between latents."""
        return dataclasses.replace(self, hidden=self.hidden_above or self.hidden, hidden_above=None)

    @property
    def unshared(self):
        """The architecture of a network that reads x itself."""
        return dataclasses.replace(self, shared_encoder="off")

    @property
    def classifier(self):
        """The architecture of q(y|.)."""
        return dataclasses.replace(self, of_class=True)

    @property
    def own(self):
        """Widths of the hidden layers behind a shared encoder."""
        if len(self.hidden) < 2:
            got = f"hidden: got {self.hidden} with shared_encoder {self.shared_encoder!r}"
            raise ValueError(f"{got}; allowed: two or more widths, of which the first is shared")
        return self.hidden[1:]

    def _check_image(self):
        if self.image_shape is None or len(self.image_shape) != 3:
            raise ValueError(
                f"trunk 'conv' needs images with all their pixels: got image_shape {self.image_shape}; "
                "allowed: [height, width, channels]"
            )
        if not self.filters or any(n < 1 for n in self.filters):
            raise ValueError(f"filters: got {self.filters}; allowed: one or more numbers of at least 1")


class MLP(keras.layers.Layer):
    """Parent-sum layer, then dense layers; each is (batch norm and) activation. Parents in, last hidden layer out."""

    def __init__(self, given, network, **kwargs):
        super().__init__(**kwargs)
        self.network, self.given = network, tuple(given)
        self.shares = network.shared_encoder != "off" and "x" in given
        self.hidden = network.own if self.shares else network.hidden
        first = ParentSum(given, self.hidden[0], network.activation, name="parents")
        rest = [hidden_dense(units, network, name=f"dense_{i}") for i, units in enumerate(self.hidden[1:], 1)]
        self.dense = [first, *rest]
        self.norms = [BatchNorm(name=f"norm_{i}") for i in range(len(self.hidden))] if network.batch_norm else []
        self.encoder = None
        if network.trunk == "conv" and "x" in given and not self.shares:
            self.encoder = ConvEncoder(network, name="conv")

    @property
    def reads_means(self):
        """Whether it reads the means of maps."""
        return self.network.pooled and self.network.of_class and "x" in self.given

    def build_from(self, sizes):
        if self.shares:
            sizes = {**sizes, "x": self.network.filters[-1] if self.reads_means else self.network.hidden[0]}
        elif self.network.reads is not None and "x" in self.given:
            sizes = {**sizes, "x": self.network.reads}
        if self.encoder is not None:
            self.encoder.build((None, sizes["x"]))
            sizes = {**sizes, "x": self.network.filters[-1] if self.reads_means else self.encoder.units}
        self.dense[0].build_from(sizes)
        for width, dense in zip(self.hidden, self.dense[1:], strict=False):
            dense.build((None, width))
        for width, norm in zip(self.hidden, self.norms, strict=False):
            norm.build((None, width))
        self.built = True

    def call(self, values):
        return self.through(self.read(values))

    def read(self, values):
        """Returns what the first layer reads, by the names of the parents."""
        h = {name: values[name] for name in self.given if name != "x" or not self.shares}
        if self.shares:
            width = self.network.hidden[0]
            shared = values[SHARED]
            h["x"] = shared[..., width:] if self.reads_means else shared[..., :width]
        elif self.network.reads is not None and "x" in h:
            h["x"] = h["x"][..., : self.network.reads]
        if self.encoder is not None:
            h["x"] = self.encoder(h["x"])
            if self.reads_means:
                h["x"] = position_means(h["x"], self.network)
        return h

    def through(self, h):
        """Returns the last hidden layer, given what the first one reads."""
        for i, dense in enumerate(self.dense):
            h = dense(h)
            if self.norms:
                h = self.norms[i](h)
            h = ACTIVATIONS[self.network.activation](h)
        return h
