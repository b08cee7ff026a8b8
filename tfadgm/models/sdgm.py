"""Skip deep generative model: the ADGM with the arrow between a and x reversed.

Maaloe, Sonderby, Sonderby and Winther, "Auxiliary deep generative models", ICML 2016, section 2.4.

    p(x,y,z,a) = p(y) p(z) p(a|y,z) p(x|a,y,z)        (eq. 25, which prints p(a|x,y,z): circular with p(x|a,y,z))
    q(a,y,z|x) = q(a|x) q(y|a,x) q(z|a,x,y)           (eq. 7-9)

The bounds are those of the ADGM (eq. 10-13, 27), and so are the departures from the paper.
"""

from tfadgm.models.adgm import ADGM


class SDGM(ADGM):
    """p(x,y,z,a) = p(y) p(z) p(a|y,z) p(x|a,y,z), q(a,y,z|x) = q(a|x) q(y|a,x) q(z|a,x,y).

    Args:
      **kwargs: see `ADGM`. A deterministic a and a p(a|.) that sees x are refused: a generates x.
    """

    x_parents = "a y z"
