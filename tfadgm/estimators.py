"""scikit-learn estimators: a semi-supervised classifier and a density estimator, by deep generative models.

They are another door to what `bin/train` does: settings by `runs.recipes`, training by `runs.in_memory`. Answers are
float32, as the networks are. Under joblib take its default, processes that are started anew (loky): one that is forked from
a process that has used TensorFlow hangs.
"""

import numpy as np
import tensorflow as tf
from sklearn.base import ClassifierMixin, ClassNamePrefixFeaturesOutMixin, DensityMixin, TransformerMixin
from sklearn.utils.validation import check_consistent_length, check_is_fitted, column_or_1d

from tfadgm import evaluation, registry
from tfadgm.data import arrays
from tfadgm.runs.estimator import Estimator

CLUSTERS = 10  # values of y of a density model that has one


class SemiSupervisedClassifier(ClassNamePrefixFeaturesOutMixin, TransformerMixin, ClassifierMixin, Estimator):
    """A classifier that learns from few labelled and many unlabelled rows, by a deep generative model of them all.

    It is also a density model, a generator and a transformer, and knows missing cells (NaN), which it scores nowhere and can
    fill in. Rows without a label take part in `fit`: give them a label that says so. Where folds are made of y, as by
    `cross_val_score` and `GridSearchCV`, such rows fall into test folds as well: `score` leaves them out, which other
    measures do not know.

    Args:
      model: a model with classes: "sdgm", "adgm", "m2", "m1", "m1m2", "cagem" or "untapped".
      unlabelled: which labels say that there is none, beside missing ones (None, NaN, pandas' NA).
        "auto": -1 among numbers, as elsewhere in scikit-learn; "", "?", "unlabelled", "unknown", ... among texts (see
        `tfadgm.data.labels.is_unlabelled`). Where y has no numbers but -1 and 1, both are classes, which a warning tells:
        otherwise there would be one, and nothing to learn.
        None: none, every label is a class. Any other value: those that equal it.
      hidden: widths of the hidden layers; here and below None is the recipe's choice (`tfadgm.runs.recipes`).
      dim_z: size of z, or sizes of z1, z2, ...
      steps, epochs, minutes: the length of the training, at most one of them.
      batch: unlabelled rows in a batch.
      learning_rate: Adam's.
      select: whether the model is weighed against what the labels alone give, by cross-fitting, and a pool of both answers,
        so that it is not worse than they are (`tfadgm.runs.select`); it takes trainings of its own.
      settings: a dict of any other field of `tfadgm.Settings`, such as dict(validation=100, likelihood="gaussian").
      random_state: seed of initial weights and all noise. The same seed gives the same model; a `RandomState`, or None for
        numpy's global one, draws a seed.
      verbose: whether to tell what the data were taken for, and how far the training is.

    Attributes:
      classes_: sorted, [K], of the type of y.
      transduction_: the labels of the rows of fit: those given, and predicted ones where there was none.
      selection_: what was found of the members of the pool, a dict (`select.Selection.told`); None: the model answers alone.
      n_features_in_, feature_names_in_: columns of X, and their names if X was a data frame.

    Examples:
      >>> import numpy as np
      >>> from tfadgm import SemiSupervisedClassifier
      >>> generator = np.random.default_rng(0)
      >>> X = np.concatenate([generator.normal(-2, 1, (50, 2)), generator.normal(2, 1, (50, 2))])
      >>> y = np.full(100, -1)
      >>> y[[0, 1, 50, 51]] = [0, 0, 1, 1]
      >>> classifier = SemiSupervisedClassifier("m2", hidden=(16,), dim_z=2, batch=25, epochs=20, learning_rate=0.01)
      >>> classifier.fit(X, y).predict([[-2, -2], [2, 2]])
      array([0, 1])
      >>> classifier.sample(3, y=1).shape
      (3, 2)
    """

    def __init__(
        self,
        model="sdgm",
        *,
        unlabelled=arrays.AUTO,
        hidden=None,
        dim_z=None,
        steps=None,
        epochs=None,
        minutes=None,
        batch=None,
        learning_rate=None,
        select=True,
        settings=None,
        random_state=0,
        verbose=0,
    ):
        self.model, self.unlabelled, self.select, self.settings = model, unlabelled, select, settings
        self.hidden, self.dim_z, self.steps, self.epochs, self.minutes = hidden, dim_z, steps, epochs, minutes
        self.batch, self.learning_rate, self.random_state, self.verbose = batch, learning_rate, random_state, verbose

    def fit(self, X, y):
        """Trains on all rows of X, of which those with a label teach the classes.

        Args:
          X: [N, C]: numbers, NaN where a cell is missing, or a data frame, which may have columns of text, of dates and of
            truth values. With such columns or missing cells it is read as `bin/train` reads a csv, else as an npz.
          y: labels [N].

        Returns:
          self.
        """
        if not registry.model_class(self.model).classifies:
            raise ValueError(f"model: got {self.model!r}, which has no classes; allowed: a DensityEstimator of it")
        given = self._given(X, reset=True)
        if y is None:
            raise ValueError(f"{type(self).__name__} requires y to be passed, but the target y is None")
        y = _labels(y)
        check_consistent_length(given, y)
        numbers, classes = arrays.class_numbers(y, self.unlabelled)
        self._train(given, numbers, classes, labels=None, select=self.select)
        self.classes_, none = classes, numbers < 0
        if none.any():
            numbers[none] = self._numbers(self._read(X))[none]
        self.transduction_ = classes[numbers]
        return self

    def _fitted(self):
        classes = dict(classes=self.classes_.tolist(), classes_dtype=self.classes_.dtype.str)
        given, number = getattr(self, "transduction_", None), self._number
        transduction = None if given is None else [number[label] for label in given.tolist()]
        return super()._fitted() | classes | dict(transduction=transduction)

    def _restore(self, fitted):
        super()._restore(fitted)
        self.classes_ = np.array(fitted["classes"], fitted.get("classes_dtype", "O"))
        if fitted.get("transduction"):
            self.transduction_ = self.classes_[fitted["transduction"]]

    @property
    def selection_(self):
        return self._run.config.get("selection")

    @property
    def _number(self):
        """{class: its number}."""
        return {label: k for k, label in enumerate(self.classes_.tolist())}

    def predict_proba(self, X):
        """Returns q(y|x), float32 [N, K], in the order of `classes_`: the classifier that an export serves.

        Args:
          X: [N, C].
        """
        check_is_fitted(self)
        return self._probabilities(self._read(X)).astype("float32")

    def predict(self, X):
        """Returns the most probable class of each row, [N].

        Args:
          X: [N, C].
        """
        check_is_fitted(self)
        return self.classes_[self._numbers(self._read(X))]

    def _probabilities(self, x):
        return evaluation.class_probabilities(self._run.model, x, self._run.settings.test_samples)

    def _numbers(self, x):
        return self._probabilities(x).astype("float32").argmax(1)

    def score(self, X, y, sample_weight=None):
        """Returns the accuracy on the rows that have a label.

        Args:
          X: [N, C].
          y: labels [N].
          sample_weight: [N].

        Raises:
          ValueError: if no row has a label.
        """
        answers, y = self.predict(X), _labels(y)
        check_consistent_length(answers, y, sample_weight)
        known = ~arrays.without_label(y, self.unlabelled, self.classes_)
        if not known.any():
            raise ValueError("y: has no label; allowed: at least one row with a label")
        right = [answer == label for answer, label in zip(answers[known].tolist(), y[known].tolist(), strict=True)]
        return float(np.average(right, weights=None if sample_weight is None else np.asarray(sample_weight)[known]))

    def transform(self, X):
        """Returns the means of the latents of each row under q, side by side, float32 [N, units]; see `Questions.encode`.

        Args:
          X: [N, C].
        """
        check_is_fitted(self)
        return evaluation.latent_means(self._run.model, self._read(X))

    @property
    def _n_features_out(self):
        return len(evaluation.latent_names(self._run.model))

    def get_feature_names_out(self, input_features=None):
        """Returns the names of what `transform` returns, such as a0, a1, ..., z0, z1, ..., [units].

        Args:
          input_features: None, or the names of the columns of X, which are checked.
        """
        super().get_feature_names_out(input_features)  # checks
        return np.array(evaluation.latent_names(self._run.model), object)

    def sample(self, n_samples=1, y=None, random_state=None):
        """Returns draws from p(x|y), in the units of X, float32 [n_samples, C], or a data frame if X had text or dates.

        Args:
          n_samples: how many.
          y: a class, or one for each draw; None draws them from p(y).
          random_state: of the draws; None: the estimator's seed, so that the same call gives the same draws.
        """
        check_is_fitted(self)
        if y is None:
            return self._draw(random_state, n=tf.constant(n_samples))
        if not self._run.model.has_class:
            raise ValueError(f"y: got {y!r} for {self.model}, whose p(x) knows no classes; allowed: none")
        number = self._number
        wanted = np.broadcast_to(np.asarray(y, self.classes_.dtype), (n_samples,)).tolist()
        unknown = [label for label in wanted if label not in number]
        if unknown:
            raise ValueError(f"y: got {unknown[0]!r}; allowed: {', '.join(map(repr, number))}")
        return self._draw(random_state, y=tf.constant([number[label] for label in wanted], tf.int64))

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags


class DensityEstimator(DensityMixin, Estimator):
    """A bound of log p(x) by a deep generative model, with the manners of `sklearn.neighbors.KernelDensity`.

    Args:
      model: "vae", "avae", "lvae", or a model with a y, such as "cagem" (CaGeM-0), which is a cluster then.
      clusters: number of values of y, of a model that has one; None: 10.
      hidden, dim_z, steps, epochs, minutes, batch, learning_rate, settings, random_state, verbose: see
        `SemiSupervisedClassifier`.

    Attributes:
      n_features_in_, feature_names_in_: columns of X, and their names if X was a data frame.

    Examples:
      >>> import numpy as np
      >>> from tfadgm import DensityEstimator
      >>> X = np.random.default_rng(0).normal(size=(200, 2))
      >>> density = DensityEstimator("vae", hidden=(16,), dim_z=1, batch=50, epochs=40, learning_rate=0.01).fit(X)
      >>> near, far = density.score_samples([[0, 0], [4, 4]])
      >>> bool(near > far)
      True
      >>> density.sample(3).shape
      (3, 2)
    """

    def __init__(
        self,
        model="vae",
        *,
        clusters=None,
        hidden=None,
        dim_z=None,
        steps=None,
        epochs=None,
        minutes=None,
        batch=None,
        learning_rate=None,
        settings=None,
        random_state=0,
        verbose=0,
    ):
        self.model, self.clusters, self.settings = model, clusters, settings
        self.hidden, self.dim_z, self.steps, self.epochs, self.minutes = hidden, dim_z, steps, epochs, minutes
        self.batch, self.learning_rate, self.random_state, self.verbose = batch, learning_rate, random_state, verbose

    def fit(self, X, y=None):
        """Trains on the rows of X; y is ignored.

        Args:
          X: [N, C]: see `SemiSupervisedClassifier.fit`.
          y: is there for pipelines.

        Returns:
          self.
        """
        clusters = dict(clusters=self.clusters)
        if self.clusters is None and registry.model_class(self.model).has_class:
            clusters["clusters"] = CLUSTERS
        self._train(self._given(X, reset=True), labels=0, select=False, **clusters)
        return self

    def score(self, X, y=None):
        """Returns the sum of `score_samples` over the rows of X, as `KernelDensity` does.

        Args:
          X: [N, C].
          y: is there for pipelines.
        """
        return float(self.score_samples(X).sum(dtype="float64"))

    def sample(self, n_samples=1, random_state=None):
        """Returns draws from p(x), in the units of X, float32 [n_samples, C], or a data frame if X had text or dates.

        Args:
          n_samples: how many.
          random_state: of the draws; None: the estimator's seed, so that the same call gives the same draws.
        """
        check_is_fitted(self)
        return self._draw(random_state, n=tf.constant(n_samples))


def _labels(y):
    """Returns y as an array [N], of objects if it is a list or of a type of pandas, of which numpy makes texts or floats."""
    own = isinstance(y, list | tuple) or not isinstance(getattr(y, "dtype", np.dtype(float)), np.dtype)
    return column_or_1d(np.array(y, object) if own else y, warn=True)
