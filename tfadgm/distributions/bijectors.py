"""Bijectors: invertible maps with their log-Jacobians, all built from `tfp.bijectors`."""

import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow_probability import bijectors as tfb

LEAST_ALONG = -80.0  # of w'u in a planar flow: softplus of much less is 0 in float32


class Sigmoid(tfb.Bijector):
    """1 / (1 + exp(-u)) with log-Jacobian log sigmoid(u) + log sigmoid(-u), finite with its gradient for every u.

    (`tfb.Sigmoid` has the value, but a gradient of NaN from u = 88.8 on: of the branch of a `where` that is not taken.)
    """

    def __init__(self, name: str = "sigmoid") -> None:
        super().__init__(forward_min_event_ndims=0, parameters=dict(locals()), name=name)

    @classmethod
    def _is_increasing(cls):
        return True

    @classmethod
    def _parameter_properties(cls, dtype):
        return {}

    def _forward(self, u):
        return tf.sigmoid(u)

    def _inverse(self, z):
        return tf.math.log(z) - tf.math.log1p(-z)

    def _forward_log_det_jacobian(self, u):
        return tf.math.log_sigmoid(u) + tf.math.log_sigmoid(-u)


def scaled_sigmoid(low: float | tf.Tensor, high: float | tf.Tensor, name: str = "scaled_sigmoid") -> tfb.Chain:
    """Returns the bijector z = low + (high - low) * sigmoid(u), from R to (low, high), as a `tfb.Chain`.

        log |dz/du| = log(high - low) + log sigmoid(u) + log sigmoid(-u)
        u = log(z - low) - log(high - z)   (on the standardised value)

    This is the flow of the inverted variational auto-encoder (Untapped, 2017, appendix A, whose equations 14 to 16 are
    misprinted: they apply the sigmoid twice). The sigmoid acts on (0, 1), where it is stable in both tails; the affine part
    follows it, so its Jacobian is an exact constant.

    Args:
      low, high: floats, or tensors that broadcast with the event; low < high.
      name: the name of the chain.

    Raises:
      ValueError: if both are Python numbers and low >= high.
    """
    if isinstance(low, (int, float)) and isinstance(high, (int, float)) and not low < high:
        raise ValueError(f"scaled_sigmoid: got low={low}, high={high}; allowed: low < high")
    return tfb.Chain([tfb.Shift(low), tfb.Scale(high - low), Sigmoid()], name=name)


class Planar(tfb.Bijector):
    """The planar flow f(z) = z + u^ tanh(w'z + b) (Rezende and Mohamed 2015, eq. 10-12 and appendix A.1).

        u^ = u + (softplus(w'u) - 1 - w'u) w / |w|^2, so that w'u^ > -1 and f is invertible
        log |det df/dz| = log (1 + (1 - h^2) w'u^) = log (h^2 + (1 - h^2) softplus(w'u)),   h = tanh(w'z + b)

    In the second form nothing is subtracted: softplus(w'u) may be small. Below w'u = `LEAST_ALONG` it stays what it is
    there, in u^ too, so that the determinant is that of the map.

    The inverse has no closed form: w'z is found by bisection, and has no gradient. TFP's cache answers for values that came
    out of `forward`, which is all that a bound asks for.

    Args:
      u, w: [..., D].
      b: [...].
    """

    _BISECTIONS = 60

    def __init__(self, u: tf.Tensor, w: tf.Tensor, b: tf.Tensor, name: str = "planar") -> None:
        parameters = dict(locals())
        along = tf.reduce_sum(w * u, -1, keepdims=True)
        squared = tf.reduce_sum(w * w, -1, keepdims=True)
        raised = tf.nn.softplus(tf.maximum(along, LEAST_ALONG))
        self.w, self.b = w, b
        self.u_hat = u + (raised - 1.0 - along) * tf.math.divide_no_nan(w, squared)
        self.raised = tf.where(squared > 0, raised, 1.0)[..., 0]  # 1 + w'u^
        self.slope = self.raised - 1.0
        super().__init__(forward_min_event_ndims=1, dtype=u.dtype, parameters=parameters, name=name)

    @classmethod
    def _parameter_properties(cls, dtype):
        vector = tfp.util.ParameterProperties(event_ndims=1)
        return dict(u=vector, w=vector, b=tfp.util.ParameterProperties())

    def _forward(self, z):
        return z + self.u_hat * tf.tanh(tf.reduce_sum(self.w * z, -1) + self.b)[..., tf.newaxis]

    def _forward_log_det_jacobian(self, z):
        t = tf.reduce_sum(self.w * z, -1) + self.b
        steepness = 4.0 * tf.sigmoid(2.0 * t) * tf.sigmoid(-2.0 * t)  # 1 - h^2, also where h rounds to 1
        return tf.math.log(tf.square(tf.tanh(t)) + steepness * self.raised)

    def _inverse(self, f):
        """Solves t + slope tanh(t + b) = w'f, whose left side rises in t = w'z, on the interval that holds t."""
        target = tf.reduce_sum(self.w * f, -1)
        low, high = target - tf.abs(self.slope), target + tf.abs(self.slope)
        for _ in range(self._BISECTIONS):
            middle = 0.5 * (low + high)
            above = middle + self.slope * tf.tanh(middle + self.b) > target
            low, high = tf.where(above, low, middle), tf.where(above, middle, high)
        return f - self.u_hat * tf.tanh(low + self.b)[..., tf.newaxis]
