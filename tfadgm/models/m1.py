"""M1: features from a variational auto-encoder, then a classifier of them.

Kingma, Rezende, Mohamed and Welling, "Semi-supervised learning with deep generative models", NIPS 2014, section 2.1.

    p(x,z) = p(z) p(x|z)                  (eq. 1)
    q(z|x)                                (eq. 3)
    log p(x) >= E_{q(z|x)} [log p(x|z) + log p(z) - log q(z|x)]                  (eq. 5), from all examples, without labels
    p(y|x) = softmax(t f(mu(x))),   mu(x) = E_{q(z|x)} z,                        f fitted to the labelled examples

f is a logistic regression, a support vector machine, or a transductive one, which also keeps the decision boundary away from
the unlabelled examples (M1+TSVM in the paper's table 1): see `tfadgm.models.svm`.

Departures from the paper:

- The features are the means of q(z|x); section 2.1 takes samples of it.
- KL(q(z|x) || p(z)) is sampled unless `closed_kl` is given, as recipes do and the paper does (section 3.1).
"""

import keras
import numpy as np
import tensorflow as tf

from tfadgm.data import on_disk
from tfadgm.models import svm
from tfadgm.models.vae import VAE


class Machine(keras.layers.Layer):
    """An `svm.KernelMachine` as a layer: features [B, D] to log p(y|.), [B, K]. Its weights are assigned, not trained.

    Args:
      rows: M, the most anchors that the machine may have; D for a linear one.
      units: D.
      num_classes: K.
      linear: whether the machine has no anchors.
    """

    def __init__(self, rows, units, num_classes, linear, **kwargs):
        super().__init__(**kwargs)
        self.linear = linear
        shapes = dict(mean=(units,), scale=(), gamma=(), temperature=(), b=(num_classes,), coefficients=(rows, num_classes))
        shapes |= {} if linear else {"anchors": (rows, units)}
        for name, shape in shapes.items():
            initializer = "ones" if name in ("scale", "temperature") else "zeros"
            options = dict(trainable=False, dtype="float32", autocast=False)
            setattr(self, name, self.add_weight(name=name, shape=shape, initializer=initializer, **options))
        self.built = True

    def assign(self, machine):
        """Takes over the arrays of a fitted `svm.KernelMachine`; rows that it has not stay zero."""
        coefficients = machine.projection @ machine.W
        values = dict(mean=machine.mean, scale=machine.scale, gamma=machine.gamma, temperature=machine.temperature)
        values |= dict(b=machine.b, coefficients=_padded(coefficients, self.coefficients.shape))
        if not self.linear:
            values["anchors"] = _padded(machine.anchors, self.anchors.shape)
        for name, value in values.items():
            getattr(self, name).assign(np.asarray(value, "float32"))

    def call(self, features):
        h = (features - self.mean) / self.scale
        if not self.linear:
            h = tf.exp(-self.gamma * tf.reduce_sum(tf.math.squared_difference(h[:, tf.newaxis], self.anchors), -1))
        return tf.nn.log_softmax(self.temperature * (tf.linalg.matmul(h, self.coefficients.value) + self.b))


def _padded(rows, shape):
    result = np.zeros(shape)
    result[: len(rows)] = rows
    return result


class M1(VAE):
    """p(x,z) = p(z) p(x|z), q(z|x), and a classifier of the means of q(z|x).

    Args:
      feature_classifier: "logistic", "svm" or "tsvm".
      anchors: most anchors of the kernel's Nystroem map.
      **kwargs: see `VAE`.
    """

    classifies = True

    def __init__(self, *args, feature_classifier="tsvm", anchors=500, **kwargs):
        if feature_classifier not in svm.KINDS:
            raise ValueError(f"feature_classifier: got {feature_classifier!r}; allowed: {', '.join(svm.KINDS)}")
        self.feature_classifier, self.anchors = feature_classifier, anchors
        super().__init__(*args, **kwargs)
        if not self.objective.num_labelled:
            raise ValueError("labels: got 0; allowed: at least one of each class, for the classifier of the features")
        linear = feature_classifier == "logistic"
        units = sum(self.dim_z)
        self.machine = Machine(units if linear else anchors, units, self.num_classes, linear, name="machine")

    def features(self, raw):
        """The means of q(z|x), [B, D]; of all layers, one after the other."""
        return tf.concat(list(self.encode(raw).values()), -1)

    def finish(self, data, split, seed):
        """Fits the classifier to the features of the labelled examples and of the unlabelled pool."""
        compiled = tf.function(self.features, autograph=False, reduce_retracing=True)

        def features(indices):
            parts = (indices[i : i + 1000] for i in range(0, len(indices), 1000))
            return np.concatenate([compiled(on_disk.gather(data.x_train, part)) for part in parts])

        options = {} if self.machine.linear else {"anchors": self.anchors}
        known, pool, y = features(split.labelled), features(split.unlabelled), data.y_train[split.labelled]
        self.machine.assign(svm.fit(self.feature_classifier, known, y, self.num_classes, pool, seed, **options))

    def classify_by_sample(self, x, draws):
        """log p(y|x), [1, B, K], for x [1, B, D]."""
        values = {"x": x}
        for name, factor in self.q.items():
            values[name] = factor.point(factor.distribution(values))
        return self.machine(tf.concat([values[name][0] for name in self.q], -1))[tf.newaxis]

    def get_config(self):
        return {**super().get_config(), "feature_classifier": self.feature_classifier, "anchors": self.anchors}
