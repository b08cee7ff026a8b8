"""The neural networks inside the conditionals: parent-sum first layer, MLP and convolutional trunks, initialisation.

All tensors are [..., features]: any number of leading axes (class K, sample S, batch B), which broadcast.
"""

import dataclasses
import math

import keras
import tensorflow as tf

from tfadgm.batch_norm import BatchNorm

ACTIVATIONS = {
    "relu": tf.nn.relu,
    "softplus": tf.nn.softplus,
    "tanh": tf.nn.tanh,
    "leaky_relu": lambda h: tf.nn.leaky_relu(h, 0.01),
}
TRUNKS = ("mlp", "conv")


@dataclasses.dataclass(frozen=True)
class Network:
    """The architecture of one conditional's network.

    Attributes:
      hidden: widths of the fully connected hidden layers (Maaloe et al. 2016, section 3: two layers of 500).
      hidden_above: the same for the networks between latents, which neither read nor write x, in models with several
        layers of latents (`above`); None: as `hidden`.
      activation: one of `ACTIVATIONS` (ReLU in Maaloe et al.; softplus in Kingma et al. 2014).
      head_deviation: standard deviation of the initial weights of the heads of Gaussians, mu and log sigma^2. None: Glorot,
        as Maaloe et al. 2016 say; 1e-3, as their code has it, starts at N(0, I).
      batch_norm: normalise each hidden layer before its activation (Dense, norm, activation).
      trunk: "mlp", or "conv": x is read by strided convolutions and written by transposed ones.
      filters: channels of the convolutions, one stride-2 layer each; only for trunk "conv".
      image_shape: [height, width, channels] of x; only for trunk "conv".
    """

    hidden: tuple = (500, 500)
    hidden_above: tuple | None = None
    activation: str = "relu"
    head_deviation: float | None = None
    batch_norm: bool = False
    trunk: str = "mlp"
    filters: tuple = (32, 64)
    image_shape: tuple | None = None

    def __post_init__(self):
        for name in ("hidden", "hidden_above", "filters", "image_shape"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, tuple(getattr(self, name)))
        if self.activation not in ACTIVATIONS:
            raise ValueError(f"activation: got {self.activation!r}; allowed: {', '.join(ACTIVATIONS)}")
        if self.trunk not in TRUNKS:
            raise ValueError(f"trunk: got {self.trunk!r}; allowed: {', '.join(TRUNKS)}")
        for name, widths in (("hidden", self.hidden), ("hidden_above", self.hidden_above or (1,))):
            if not widths or any(width < 1 for width in widths):
                raise ValueError(f"{name}: got {widths}; allowed: one or more widths of at least 1")
        if self.trunk == "conv":
            self._check_image()

    @property
    def above(self):
        """The architecture of networks between latents."""
        return dataclasses.replace(self, hidden=self.hidden_above or self.hidden, hidden_above=None)

    def _check_image(self):
        if self.image_shape is None or len(self.image_shape) != 3:
            raise ValueError(
                f"trunk 'conv' needs images with all their pixels: got image_shape {self.image_shape}; "
                "allowed: [height, width, channels]"
            )
        if not self.filters or any(n < 1 for n in self.filters):
            raise ValueError(f"filters: got {self.filters}; allowed: one or more numbers of at least 1")
        factor = 2 ** len(self.filters)
        if any(side % factor for side in self.image_shape[:2]):
            raise ValueError(
                f"trunk 'conv' with {len(self.filters)} stride-2 layers: got images of "
                f"{self.image_shape[0]}x{self.image_shape[1]}; allowed: sides divisible by {factor}"
            )


# ------------------------------------------------------------------------------------------------------------- layers


def hidden_initializer(activation):
    """Glorot-normal with gain sqrt(2) for rectifiers (He et al. 2015 for the gain), 1 otherwise.

    Every layer needs an initializer of its own: Keras' give the same values again when they are used twice.
    """
    gain = 2.0 if activation in ("relu", "leaky_relu") else 1.0
    return keras.initializers.VarianceScaling(scale=gain, mode="fan_avg", distribution="untruncated_normal")


class Dense(keras.layers.Dense):
    """h W + b for any leading axes, as one matrix product (a batched product with a shared W is many times slower)."""

    def call(self, h):
        rows = tf.reshape(h, [-1, h.shape[-1]])
        out = tf.linalg.matmul(rows, tf.convert_to_tensor(self.kernel))
        if self.use_bias:
            out = tf.nn.bias_add(out, tf.convert_to_tensor(self.bias))
        if h.shape.rank == 2:
            return out
        return _restore_leading(out, h)


def _restore_leading(rows, like):
    """Reshapes [N, units] to the leading axes of `like`, static where they are known."""
    dynamic = tf.shape(like)
    leading = [size if size is not None else dynamic[i] for i, size in enumerate(like.shape[:-1])]
    return tf.reshape(rows, [*leading, rows.shape[-1]])


def _hidden_dense(units, network, **kwargs):
    return Dense(units, kernel_initializer=hidden_initializer(network.activation), **kwargs)


class ParentSum(keras.layers.Layer):
    """The first layer of a network with several parents: W_a a + W_y y + W_x x + b.

    It equals a dense layer on the concatenation, but an enumerated y [K, 1, 1, K] broadcasts instead of being tiled, x
    is projected once instead of once per class, and each parent has its own Glorot fan-in (as in the authors' code).
    """

    def __init__(self, given, units, activation, **kwargs):
        super().__init__(**kwargs)
        self.project = {
            name: Dense(units, use_bias=(i == 0), kernel_initializer=hidden_initializer(activation), name=f"from_{name}")
            for i, name in enumerate(given)
        }

    def build_from(self, sizes):
        for name, dense in self.project.items():
            dense.build((None, sizes[name]))
        self.built = True

    def call(self, values):
        # Few rows first: [1, B] + [S, B] is added before it meets [K, 1, 1].
        terms = [dense(values[name]) for name, dense in self.project.items()]
        terms.sort(key=lambda term: term.shape.rank)
        return sum(terms[1:], terms[0])


class MLP(keras.layers.Layer):
    """Parent-sum layer, then dense layers; each is (batch norm and) activation. Parents in, last hidden layer out."""

    def __init__(self, given, network, **kwargs):
        super().__init__(**kwargs)
        self.network, self.given = network, tuple(given)
        first = ParentSum(given, network.hidden[0], network.activation, name="parents")
        rest = [_hidden_dense(units, network, name=f"dense_{i}") for i, units in enumerate(network.hidden[1:], 1)]
        self.dense = [first, *rest]
        self.norms = [BatchNorm(name=f"norm_{i}") for i in range(len(network.hidden))] if network.batch_norm else []
        self.encoder = None
        if network.trunk == "conv" and "x" in given:
            self.encoder = ConvEncoder(network, name="conv")

    def build_from(self, sizes):
        if self.encoder is not None:
            self.encoder.build((None, sizes["x"]))
            sizes = {**sizes, "x": self.encoder.units}
        self.dense[0].build_from(sizes)
        for width, dense in zip(self.network.hidden, self.dense[1:], strict=False):
            dense.build((None, width))
        for width, norm in zip(self.network.hidden, self.norms, strict=False):
            norm.build((None, width))
        self.built = True

    def call(self, values):
        h = {name: values[name] for name in self.given}
        if self.encoder is not None:
            h["x"] = self.encoder(h["x"])
        for i, dense in enumerate(self.dense):
            h = dense(h)
            if self.norms:
                h = self.norms[i](h)
            h = ACTIVATIONS[self.network.activation](h)
        return h


class ConvEncoder(keras.layers.Layer):
    """Reads flat images [..., D] by stride-2 convolutions; gives flat features [..., units]."""

    def __init__(self, network, **kwargs):
        super().__init__(**kwargs)
        self.network = network
        self.convolutions = [
            keras.layers.Conv2D(
                n, 4, strides=2, padding="same", kernel_initializer=hidden_initializer(network.activation), name=f"conv_{i}"
            )
            for i, n in enumerate(network.filters)
        ]
        height, width, _ = network.image_shape
        factor = 2 ** len(network.filters)
        self.units = height // factor * (width // factor) * network.filters[-1]

    def build(self, shape):
        channels = self.network.image_shape[-1]
        for conv, filters in zip(self.convolutions, self.network.filters, strict=True):
            conv.build((None, None, None, channels))
            channels = filters
        self.built = True

    def call(self, x):
        h = tf.reshape(x, [-1, *self.network.image_shape])
        for conv in self.convolutions:
            h = ACTIVATIONS[self.network.activation](conv(h))
        return _restore_leading(tf.reshape(h, [-1, self.units]), x)


class ConvHead(keras.layers.Layer):
    """Writes the parameters of p(x|.) by stride-2 transposed convolutions: hidden [..., H] to [..., D * parameters].

    With several parameters per pixel the last axis is ordered as a dense head's: all first parameters, then all second.
    """

    def __init__(self, network, parameters, **kwargs):
        super().__init__(**kwargs)
        self.network, self.parameters = network, parameters
        height, width, self.channels = network.image_shape
        factor = 2 ** len(network.filters)
        self.small = (height // factor, width // factor, network.filters[-1])
        self.expand = _hidden_dense(math.prod(self.small), network)
        outputs = [*network.filters[-2::-1], self.channels * parameters]
        self.convolutions = [
            keras.layers.Conv2DTranspose(n, 4, strides=2, padding="same", kernel_initializer="glorot_normal")
            for n in outputs
        ]

    def build(self, shape):
        self.expand.build((None, shape[-1]))
        channels = self.small[-1]
        for conv in self.convolutions:
            conv.build((None, None, None, channels))
            channels = conv.filters
        self.built = True

    def call(self, hidden):
        activation = ACTIVATIONS[self.network.activation]
        h = tf.reshape(activation(self.expand(hidden)), [-1, *self.small])
        for conv in self.convolutions[:-1]:
            h = activation(conv(h))
        h = self.convolutions[-1](h)
        height, width = self.network.image_shape[:2]
        h = tf.reshape(h, [-1, height * width * self.channels, self.parameters])
        h = tf.reshape(tf.linalg.matrix_transpose(h), [-1, height * width * self.channels * self.parameters])
        return _restore_leading(h, hidden)
