"""The one source of randomness of training and evaluation.

Every random number is a pure function of (base seed, step, replica, name of the variable): a resumed run continues the
same noise, n replicas draw n different streams, and nothing has to be saved but the step. (`keras.random` with a
`SeedGenerator` repeats its noise in every replica and is not saved in checkpoints.)

A seed is int32 [2]. In evaluation it may be [B, 2], one per example, from `of_examples`: an example's noise is then a
function of the example alone, so that its value depends on no other row, and that of no two examples is shared.
"""

import math
import zlib

import numpy as np
import tensorflow as tf

AT_ONCE = 20  # samples that one seed of an example is good for: the noise of fewer is the first of these


def step_seed(base_seed, step, of=None):
    """Returns the stateless seed, int32 [2], of a replica at `step`: [base_seed, step * replicas + replica].

    `of`: (replica, replicas); None: this one.
    """
    context = tf.distribute.get_replica_context()
    here = context.replica_id_in_sync_group if context else 0, tf.distribute.get_strategy().num_replicas_in_sync
    replica, replicas = of or here
    return tf.stack([tf.cast(base_seed, tf.int32), tf.cast(step, tf.int32) * replicas + replica])


def of_examples(raw, seed):
    """Returns seeds [B, 2], each a function of `seed` and of the values of one raw example of [B, ...], as float32.

    The sum of the values' bits, each times an odd number of its own, modulo 2^64: exact, in whatever order it is made.
    """
    flat = tf.reshape(tf.cast(raw, tf.float32), [-1, math.prod(raw.shape[1:])]) + 0.0  # -0 is 0
    flat = tf.where(tf.math.is_nan(flat), np.float32(np.nan), flat)  # a missing cell has many spellings
    odd = np.random.default_rng(list(seed)).integers(-(2**62), 2**62, flat.shape[-1]) * 2 + 1
    bits = tf.cast(tf.bitcast(flat, tf.int32), tf.int64)
    return tf.bitcast(tf.reduce_sum(bits * odd, -1), tf.int32)


def fold(seed, name):
    """Returns a seed (or seeds) of its own for `name` (a string or an integer), derived from `seed`."""
    salt = zlib.crc32(name.encode()) if isinstance(name, str) else name
    salt = tf.cast(salt, tf.int32) if tf.is_tensor(salt) else tf.constant(np.uint32(salt).view(np.int32))
    if _of_examples(seed):
        # Of [B, 2]: what is folded in is mixed by itself; a generator of random bits mixes the rest.
        return tf.bitwise.bitwise_xor(seed, fold(tf.constant([0, 0]), salt))
    return _once(tf.random.experimental.stateless_fold_in, seed, salt)


def normal(shape, seed):
    """Returns numbers from N(0, 1), float32 of `shape`; with a seed per example, of [samples, B, units]."""
    return _draw(tf.random.stateless_normal, shape, seed)


def uniform(shape, seed, low=0.0, high=1.0):
    """Returns numbers from U(low, high), float32 of `shape`; with a seed per example, of [samples, B, units]."""
    return _draw(lambda shape, seed: tf.random.stateless_uniform(shape, seed, low, high), shape, seed)


def _of_examples(seed):
    return tf.is_tensor(seed) and seed.shape.rank == 2


def _draw(draw, shape, seed):
    """draw(shape, seed); with seeds [B, 2], the first samples of `AT_ONCE` (or of more, if asked for) of each example."""
    if not _of_examples(seed):
        return _once(draw, tf.stack(shape), seed)
    samples, _, units = shape
    most = max(AT_ONCE, samples) if isinstance(samples, int) else AT_ONCE
    drawn = tf.map_fn(lambda own: draw([most, units], own), seed, fn_output_signature=tf.float32)
    return tf.transpose(drawn, [1, 0, 2])[:samples]


def _once(draw, *arguments):
    """draw(*arguments); a constant of the graph that is being built if the arguments are known by then.

    So an exported classifier carries its noise, rather than a generator of it: the same numbers on every device and in
    every format.
    """
    known = [None] if tf.executing_eagerly() else [tf.get_static_value(argument) for argument in arguments]
    if any(argument is None for argument in known):
        return draw(*arguments)
    with tf.init_scope():
        value = draw(*known).numpy()
    return tf.constant(value)


class Draws:
    """How the variables that are not given get their values.

    Attributes:
      seed: int32 [2], the stateless seed from which each variable's own seed is derived by its name; or [B, 2].
      samples: S, how many samples are drawn on the sample axis.
      batch: B, the number of examples (a Python integer or a scalar tensor).
      pinned: a dict of name to value: these variables take the given value instead of a draw. Exactness tests use it:
        the same code scores latents that are known.
    """

    def __init__(self, seed, batch, samples=1, pinned=None):
        self.seed, self.batch, self.samples, self.pinned = seed, batch, samples, dict(pinned or {})

    def replace(self, **changes):
        """Returns a copy with some attributes changed."""
        return Draws(**{**vars(self), **changes})

    def scored(self, name, conditional, distribution):
        """Returns the value of `name`, as a call does, and its log-density under `distribution`."""
        if name in self.pinned:
            return self.pinned[name], distribution.log_prob(self.pinned[name])
        return conditional.sample_and_log_prob(distribution, self.samples, self.batch, fold(self.seed, name))

    def __call__(self, name, conditional, distribution):
        """Returns the value of `name`: pinned, or drawn from `distribution`, shape [..., S, B, event]."""
        if name in self.pinned:
            return self.pinned[name]
        return conditional.sample(distribution, self.samples, self.batch, fold(self.seed, name))
