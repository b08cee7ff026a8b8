"""Two half-moons (Maaloe et al. 2016, section 4.2): (cos t, sin t) and (1 - cos t, 1 - sin t - 0.5), t in [0, pi].

The paper does not give the noise; here its standard deviation is 0.1. (The authors' loader has 0.2, where the moons
overlap, and a test set equal to the training set.) Its six labelled points are given, not drawn: the two ends and the
middle of each moon. `paper_labels` are the training points nearest to them.
"""

import numpy as np

from tfadgm.data.dataset import Dataset

EXAMPLES, NOISE = 10_000, 0.1
# [class, point, coordinate]
LABELLED_POINTS = np.array([[[-1.0, 0.0], [0.0, 1.0], [1.0, 0.0]], [[0.0, 0.5], [1.0, -0.5], [2.0, 0.5]]])


def load(argument=None, *, seed=0, **_):
    """Returns 10,000 training and 10,000 test points, from two different generator seeds."""
    if argument is not None:
        raise ValueError(f"dataset half_moons: got {argument!r}; allowed: half_moons")
    from sklearn.datasets import make_moons

    x_train, y_train = make_moons(EXAMPLES, noise=NOISE, random_state=2 * seed)
    x_test, y_test = make_moons(EXAMPLES, noise=NOISE, random_state=2 * seed + 1)
    data = (x_train.astype("float32"), y_train, x_test.astype("float32"), y_test)
    labels = [_nearest(x_train, y_train == k, point) for k in range(2) for point in LABELLED_POINTS[k]]
    return Dataset("half_moons", *data, ["top", "bottom"], likelihood="gaussian", paper_labels=np.array(labels))


def _nearest(x, of_class, point):
    distance = np.where(of_class, np.linalg.norm(x - point, axis=1), np.inf)
    return int(distance.argmin())
