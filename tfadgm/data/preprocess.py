"""From a raw example to x: a Keras layer that is trained with, saved with and exported with the model."""

import math

import keras
import numpy as np
import tensorflow as tf

from tfadgm.noise import uniform

NOISES = ("none", "binarise", "dequantise")
TRANSFORMS = ("none", "log1p")


class Preprocess(keras.layers.Layer):
    """x = columns(clip((transform(raw) - shift) * scale)), flat, float32 [B, D].

    Args:
      raw_shape: shape of one raw example, such as [28, 28, 1].
      raw_dtype: its dtype, such as "uint8".
      scale, shift: a number, or one per last-axis entry of the raw example.
      columns: indices of the flattened raw example that are kept; None keeps all.
      noise: "none"; "binarise": x ~ Bernoulli(x) afresh each time (Maaloe et al. 2016, section 3; Salakhutdinov and
        Murray 2008); "dequantise": raw + U(0, 1) before scaling (Uria et al. 2013).
      transform: "none"; "log1p": log(1 + raw), of counts; what is below 0 counts as 0.
      limit: a number, or one per last-axis entry: the largest |(transform(raw) - shift) * scale|, beyond which x is this
        (by the sign); None: no limit. What a model has not seen the like of does not become infinite.
      any_size: whether a picture file of another size is fitted to raw_shape (`resize.fit`), as in training; else it is
        refused.
    """

    def __init__(
        self,
        raw_shape,
        raw_dtype="float32",
        scale=1.0,
        shift=0.0,
        columns=None,
        noise="none",
        transform="none",
        limit=None,
        any_size=False,
        **kwargs,
    ):
        super().__init__(**{**kwargs, "name": "preprocess", "dtype": "float32"})
        for name, value, allowed in (("noise", noise, NOISES), ("transform", transform, TRANSFORMS)):
            if value not in allowed:
                raise ValueError(f"{name}: got {value!r}; allowed: {', '.join(allowed)}")
        self.raw_shape, self.raw_dtype, self.noise, self.transform = tuple(raw_shape), raw_dtype, noise, transform
        self.scale, self.shift = np.asarray(scale, "float32"), np.asarray(shift, "float32")
        self.limit = None if limit is None else np.asarray(limit, "float32")
        self.columns = None if columns is None else np.asarray(columns, "int32")
        self.any_size = bool(any_size)
        self.built = True

    @property
    def size(self):
        """D, the number of components of x."""
        return math.prod(self.raw_shape) if self.columns is None else len(self.columns)

    read_size = components = size  # networks read all of x, and all of it is scored

    @property
    def image_shape(self):
        """[height, width, channels] of x, or None if the raw example is no image or x lacks more than whole channels."""
        if len(self.raw_shape) != 3 or self.columns is None:
            return self.raw_shape if len(self.raw_shape) == 3 else None
        height, width, channels = self.raw_shape
        kept = len(np.unique(self.columns % channels))
        return (height, width, kept) if len(self.columns) == height * width * kept else None

    def call(self, raw, seed=None):
        """Returns x, [B, D]. With a seed: with its noise, as in training. Without: what the classifier reads at test.

        That is the expectation over the noise: intensities for binarised data (as in the authors' code), the middle of
        the level for dequantised data.
        """
        x = tf.cast(raw, tf.float32)
        if self.noise == "dequantise":
            x += 0.5 if seed is None else tf.random.stateless_uniform(tf.shape(x), seed)
        x = self._scaled(x)
        if self.noise == "binarise" and seed is not None:
            x = tf.cast(tf.random.stateless_uniform(tf.shape(x), seed) < x, tf.float32)
        return x

    def _scaled(self, raw):
        """clip((transform(raw) - shift) * scale), flat, of the columns that are kept, [B, D]."""
        if self.transform == "log1p":
            raw = tf.math.log1p(tf.maximum(raw, 0.0))
        x = (raw - self.shift) * self.scale
        if self.limit is not None:
            x = tf.clip_by_value(x, -self.limit, self.limit)
        x = tf.reshape(x, [-1, math.prod(self.raw_shape)])
        return x if self.columns is None else tf.gather(x, self.columns, axis=1)

    def observation(self, raw, seeds=None, samples=1):
        """Returns the x that densities score, [S, B, D]: with the noise of training, each example's of its own seed.

        Without seeds: binary data are rounded, levels are at their middle.

        Args:
          raw: [B, *raw_shape].
          seeds: int32 [B, 2], see `noise.of_examples`, or None.
          samples: S, how many draws of the noise of dequantising; without it S is 1, binary data being drawn once.
        """
        if seeds is None:
            x = self(raw)[tf.newaxis]
            return tf.round(x) if self.noise == "binarise" else x
        if self.noise != "dequantise":
            x = self(raw)[tf.newaxis]
            return tf.cast(uniform([1, None, self.size], seeds) < x, tf.float32) if self.noise == "binarise" else x
        flat = math.prod(self.raw_shape)
        levels = tf.reshape(tf.cast(raw, tf.float32), [1, -1, flat]) + uniform([samples, None, flat], seeds)
        x = self._scaled(tf.reshape(levels, [-1, *self.raw_shape]))
        return tf.reshape(x, [tf.shape(levels)[0], -1, self.size])

    def log_jacobian(self, raw):
        """log |dx / d raw| over the kept columns, float32 [B]: a density of x plus this is one of the raw examples.

        Beyond the limit, where x is no function that has an inverse, as within it.
        """
        slope = tf.math.log(tf.broadcast_to(self.scale, self.raw_shape))
        slope = tf.zeros_like(tf.cast(raw, tf.float32)) + slope
        if self.transform == "log1p":
            slope -= tf.math.log1p(tf.maximum(tf.cast(raw, tf.float32), 0.0))
        slope = tf.reshape(slope, [-1, math.prod(self.raw_shape)])
        return tf.reduce_sum(slope if self.columns is None else tf.gather(slope, self.columns, axis=1), -1)

    def raw(self, x, drawn=False):
        """Returns x, [N, D], in raw units, float32 [N, *raw_shape]; components that were dropped are 0 in x.

        Of levels that were dequantised the middle is subtracted; if x is `drawn`, it becomes the level that it lies in.
        """
        if self.columns is not None:
            position = np.full(math.prod(self.raw_shape), self.size)  # one more column, of zeros
            position[self.columns] = np.arange(self.size)
            x = tf.gather(tf.pad(x, [[0, 0], [0, 1]]), position, axis=1)
        raw = tf.reshape(x, [-1, *self.raw_shape]) / self.scale + self.shift
        if self.transform == "log1p":
            raw = tf.math.expm1(raw)
            return tf.round(tf.maximum(raw, 0.0)) if drawn else raw  # counts are whole
        middle = 0.5 if self.noise == "dequantise" else 0.0
        dtype = tf.as_dtype(self.raw_dtype)
        if not drawn or self.noise == "none" or not dtype.is_integer:
            return raw - middle
        return tf.clip_by_value(tf.round(raw - middle), float(dtype.min), float(dtype.max))

    def picture(self, x):
        """Returns x, [..., D], as raw examples, float32 [..., *raw_shape]; dropped columns get the value 0."""
        x = np.asarray(x, "float32")
        flat = x
        if self.columns is not None:
            flat = np.zeros((*x.shape[:-1], math.prod(self.raw_shape)), "float32")
            flat[..., self.columns] = x
        middle = 0.5 if self.noise == "dequantise" else 0.0
        raw = flat.reshape(*x.shape[:-1], *self.raw_shape) / self.scale + self.shift
        return (np.expm1(raw) if self.transform == "log1p" else raw) - middle

    def get_config(self):
        columns = None if self.columns is None else self.columns.tolist()
        return {
            **super().get_config(),
            **dict(raw_shape=list(self.raw_shape), raw_dtype=self.raw_dtype, noise=self.noise, columns=columns),
            **dict(scale=self.scale.tolist(), shift=self.shift.tolist(), transform=self.transform),
            **dict(limit=None if self.limit is None else self.limit.tolist(), any_size=self.any_size),
        }
