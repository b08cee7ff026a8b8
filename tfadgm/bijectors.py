"""Bijectors: invertible maps with their log-Jacobians, all built from `tfp.bijectors`."""

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
