"""Bijectors: invertible maps with their log-Jacobians, all built from `tfp.bijectors`."""

import tensorflow as tf
import tensorflow_probability as tfp

tfb = tfp.bijectors


def scaled_sigmoid(low, high, name="scaled_sigmoid"):
    """Returns the bijector z = low + (high - low) * sigmoid(u), from R to (low, high), as a `tfb.Chain`.

        log |dz/du| = log(high - low) + log sigmoid(u) + log sigmoid(-u)
        u = log(z - low) - log(high - z)   (on the standardised value)

    This is the flow of the inverted variational auto-encoder (Untapped, 2017, appendix A, whose equations 14 to 16 are
    misprinted: they apply the sigmoid twice). The sigmoid acts on (0, 1), where `tfb.Sigmoid` is stable in both tails;
    the affine part follows it, so its Jacobian is an exact constant.

    Args:
      low, high: floats, or tensors that broadcast with the event; low < high.
      name: the name of the chain.

    Raises:
      ValueError: if both are Python numbers and low >= high.
    """
    if isinstance(low, (int, float)) and isinstance(high, (int, float)) and not low < high:
        raise ValueError(f"scaled_sigmoid: got low={low}, high={high}; allowed: low < high")
    return tfb.Chain([tfb.Shift(low), tfb.Scale(high - low), tfb.Sigmoid()], name=name)


class Planar(tfb.Bijector):
    """The planar flow f(z) = z + u^ tanh(w'z + b) (Rezende and Mohamed 2015, eq. 10-12 and appendix A.1).

        u^ = u + (softplus(w'u) - 1 - w'u) w / |w|^2, so that w'u^ > -1 and f is invertible
        log |det df/dz| = log (1 + (1 - tanh^2(w'z + b)) w'u^)

    The inverse has no closed form: w'z is found by bisection, and has no gradient. TFP's cache answers for values that came
    out of `forward`, which is all that a bound asks for.

    Args:
      u, w: [..., D].
      b: [...].
    """

    _BISECTIONS = 60

    def __init__(self, u, w, b, name="planar"):
        parameters = dict(locals())
        along = tf.reduce_sum(w * u, -1, keepdims=True)
        squared = tf.reduce_sum(w * w, -1, keepdims=True)
        self.w, self.b, self.slope = w, b, tf.nn.softplus(along) - 1.0
        self.u_hat = u + (self.slope - along) * tf.math.divide_no_nan(w, squared)
        self.slope = tf.where(squared > 0, self.slope, 0.0)[..., 0]
        super().__init__(forward_min_event_ndims=1, dtype=u.dtype, parameters=parameters, name=name)

    @classmethod
    def _parameter_properties(cls, dtype):
        vector = tfp.util.ParameterProperties(event_ndims=1)
        return dict(u=vector, w=vector, b=tfp.util.ParameterProperties())

    def _forward(self, z):
        return z + self.u_hat * tf.tanh(tf.reduce_sum(self.w * z, -1) + self.b)[..., tf.newaxis]

    def _forward_log_det_jacobian(self, z):
        height = tf.tanh(tf.reduce_sum(self.w * z, -1) + self.b)
        return tf.math.log1p((1.0 - height**2) * self.slope)

    def _inverse(self, f):
        """Solves t + slope tanh(t + b) = w'f, whose left side rises in t = w'z, on the interval that holds t."""
        target = tf.reduce_sum(self.w * f, -1)
        low, high = target - tf.abs(self.slope), target + tf.abs(self.slope)
        for _ in range(self._BISECTIONS):
            middle = 0.5 * (low + high)
            above = middle + self.slope * tf.tanh(middle + self.b) > target
            low, high = tf.where(above, low, middle), tf.where(above, middle, high)
        return f - self.u_hat * tf.tanh(low + self.b)[..., tf.newaxis]
