"""scikit-learn's handwritten digits: 1797 real images of 8x8 pixels with 17 grey levels. Needs no download."""

import numpy as np

from tfadgm.data.dataset import Dataset

TEST_EXAMPLES = 500


def load(argument=None, *, seed=0, **_):
    """Returns the data set; 500 test images are drawn from the seed.

    Test images of different seeds overlap with validation images of other seeds, since every seed draws its own test set
    from the 1,797.
    """
    if argument is not None:
        raise ValueError(f"dataset digits: got {argument!r}; allowed: digits")
    from sklearn.datasets import load_digits

    digits = load_digits()
    order = np.random.default_rng([seed, 500]).permutation(len(digits.target))
    x, y = digits.images.astype("uint8")[order][..., np.newaxis], digits.target[order]
    test = slice(0, TEST_EXAMPLES)
    train = slice(TEST_EXAMPLES, None)
    names = [str(name) for name in digits.target_names]
    return Dataset("digits", x[train], y[train], x[test], y[test], names, levels=17, scale=1 / 16)
