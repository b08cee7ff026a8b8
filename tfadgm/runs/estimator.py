"""What the scikit-learn estimators share: X to raw examples, parameters to settings, a run, densities, draws, files."""

import dataclasses
import pathlib
from typing import Any, Self

import numpy as np
import pandas as pd
import tensorflow as tf
from sklearn.base import BaseEstimator
from sklearn.utils import Tags, check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from tfadgm import evaluation, registry
from tfadgm.data import arrays, count_preprocess, encoding, ranges
from tfadgm.data.columns import Column
from tfadgm.runs import in_memory, recipes, run_directory
from tfadgm.runs.settings import Settings
from tfadgm.serving import signatures

RECIPE = ("hidden", "dim_z", "steps", "epochs", "minutes", "batch", "learning_rate")  # parameters that are settings
# These, and what is another parameter or has no meaning for arrays in memory, are none of an estimator's `settings`.
BARRED = {*RECIPE, "model", "clusters", "seed", "dataset", "labels", "label_draw", "label", "image_size", "data_dir"}
BARRED |= {"tfds_name", "select", "cross_fit", "genes", "features", "test_files"}
ABOUT = "estimator.json"  # what a run directory holds of an estimator
MOST_SEEDS = 2**31 - 1


class Estimator(BaseEstimator):
    """The base class of both estimators."""

    def _given(self, X, reset=False):
        """Returns X after scikit-learn's checks: an array [N, C], NaN where cells lack, or a frame of mixed columns."""
        if hasattr(X, "obs") and hasattr(X, "var"):
            told = "allowed: an array, such as X.X.toarray(); or bin/train --dataset=h5ad:FILE, which reads sparse counts"
            raise TypeError(f"X: got an {type(X).__name__}; {told}")
        if arrays.is_mixed(X):
            validate_data(self, X, reset=reset, skip_check_array=True)
            return X
        least = 2 if reset else 1
        checks = dict(dtype=[np.float32, np.uint8], ensure_all_finite="allow-nan", ensure_min_samples=least)
        return validate_data(self, X, reset=reset, **checks)

    def _read(self, X):
        """Returns X as raw examples [N, C] of the model."""
        given, columns = self._given(X), self._columns
        if columns:
            rows = encoding.encode(arrays.as_frame(given, self._names), columns, "X")
            self._run.model.preprocess.check_missing(rows, "X")
            return rows
        if arrays.is_mixed(given) or (given.dtype.kind == "f" and np.isnan(given).any()):
            told = "allowed: numbers, unless X of fit has missing cells too, or with settings=dict(hidden_cells=0.1)"
            raise ValueError(f"X: holds missing cells (NaN), or text, of which the model has not learned; {told}")
        x = ranges.as_dtype(given, self._run.model.preprocess.raw_dtype, "X")
        if self._run.model.likelihood == "negative_binomial":
            count_preprocess.check(x, "X")
        return x

    @property
    def _columns(self):
        """The `Column`s of the model, if it is of a table of mixed columns or missing cells."""
        return [Column.from_dict(column) for column in self._run.config.get("columns") or ()]

    @property
    def _names(self):
        return getattr(self, "feature_names_in_", None)

    def _train(self, given, numbers=None, classes=(), **options):
        """Trains a run on what `_given` returned; `options` are further settings."""
        further = dict(self.settings or {})
        barred = [str(name) for name in further if name not in _free()]
        if barred:
            raise ValueError(f"settings: got {', '.join(barred)}; allowed: {', '.join(_free())}")
        options |= {name: getattr(self, name) for name in RECIPE if getattr(self, name) is not None} | further
        options |= dict(seed=_seed(self.random_state))
        settings = recipes.resolve(
            self.model, registry.IN_MEMORY, **{name: _plain(value) for name, value in options.items()}
        )
        of_table = dict(as_table=settings.hidden_cells is not None, columns=settings.columns, ignore=settings.ignore)
        data = arrays.dataset(given, numbers, classes, self._names, **of_table)
        self._run = in_memory.train(settings, data, quiet=not self.verbose)

    def score_samples(self, X: Any) -> np.ndarray:
        """Returns a lower bound of log p(x) of each row in nats, in the units of X, float32 [N].

        The importance-weighted bound (Burda et al. 2015, eq. 8) with `density_samples` samples, which is a setting; of the
        observed cells of a row, where some are missing.

        Args:
          X: [N, C].
        """
        check_is_fitted(self)
        return evaluation.log_density(self._run.model, self._read(X), self._run.settings.density_samples)

    def impute(self, X: Any) -> Any:
        """Returns X with the mean of each missing cell given the observed ones; see `imputation.mean`.

        Of a category it is the most probable one. A column that the model leaves out stays as it is.

        Args:
          X: [N, C], an array with NaN, or a data frame.

        Returns:
          A float32 array [N, C], or a data frame.

        Raises:
          ValueError: if the model has not learned of missing cells.
        """
        check_is_fitted(self)
        rows, columns = self._read(X), self._columns
        if not columns:
            return rows
        given = X if isinstance(X, pd.DataFrame) else self._given(X)
        return arrays.filled(given, evaluation.impute(self._run.model, rows), columns, self._names)

    def _draw(self, random_state, **wanted):
        seed = self._run.settings.seed if random_state is None else _seed(random_state)
        rows, columns = signatures.generate(self._run.model, tf.constant(seed), **wanted).numpy(), self._columns
        mixed = any(column.categories or column.kind == "date" for column in columns)
        return encoding.decode(rows, columns) if mixed else rows

    def save(self, path: str | pathlib.Path) -> None:
        """Writes a run directory, which `load` and `Run.open` read, and `bin/export` and `bin/sample` use.

        Args:
          path: a new or an empty directory.
        """
        check_is_fitted(self)
        path = pathlib.Path(path).expanduser()
        self._run.save(path)
        params = {name: _plain(value) for name, value in self.get_params().items()}
        about = dict(estimator=type(self).__name__, params=params | dict(random_state=self._run.settings.seed))
        run_directory.write_json(path / ABOUT, about | dict(fitted=self._fitted()))

    @classmethod
    def load(cls, path: str | pathlib.Path) -> Self:
        """Returns the estimator that `save` wrote, or one of a run of `bin/train` on a table, whose classes are its names.

        Args:
          path: the directory.

        Raises:
          ValueError: for a directory of another estimator, or of a run that is none of a table.
        """
        path = pathlib.Path(path).expanduser()
        run = run_directory.Run.open(path)
        if len(run.model.preprocess.raw_shape) != 1:
            raise ValueError(f"load: {path} is a run of examples {run.model.preprocess.raw_shape}; allowed: of a table")
        about = cls._about(path) if (path / ABOUT).exists() else cls._about_of(run)
        estimator = cls(**about["params"])
        estimator._run = run
        estimator._restore(about["fitted"])
        return estimator

    @classmethod
    def _about(cls, path):
        """What `save` said of the estimator in `path`."""
        about = run_directory.read_json(path / ABOUT)
        found = run_directory.of_config(path / ABOUT, about, "params", "fitted", "estimator") and about["estimator"]
        if found != cls.__name__:
            raise ValueError(f"load: {path} holds a {found}; allowed: a {cls.__name__}")
        return about

    @classmethod
    def _about_of(cls, run):
        """What `save` would have said of a run that no estimator made."""
        given = {name: value for name, value in dataclasses.asdict(run.settings).items() if value is not None}
        params = {name: given[name] for name in ("model", "select", *RECIPE) if name in given and name in cls().get_params()}
        params["random_state"] = given["seed"]
        params["settings"] = {name: given[name] for name in _free() if name in given}
        names, features = run.config.get("feature_names"), run.model.preprocess.raw_shape[0]
        return dict(params=params, fitted=dict(features=features, feature_names=names, classes=run.class_names))

    def _fitted(self):
        """What `save` says of what `fit` found, a dict of JSON types."""
        names = getattr(self, "feature_names_in_", None)
        return dict(features=self.n_features_in_, feature_names=None if names is None else names.tolist())

    def _restore(self, fitted):
        """Sets what `fit` found from what `_fitted` said of it."""
        self.n_features_in_ = fitted["features"]
        if fitted.get("feature_names"):
            self.feature_names_in_ = np.array(fitted["feature_names"], object)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags


def _free():
    """Returns the names of the settings that an estimator's `settings` may have."""
    return [field.name for field in dataclasses.fields(Settings) if field.name not in BARRED]


def _seed(random_state):
    """Returns a seed: a number as it is, else one drawn from a `RandomState`, numpy's global one for None."""
    if random_state is None or hasattr(random_state, "randint"):
        return int(check_random_state(random_state).randint(MOST_SEEDS))
    return random_state


def _plain(value):
    """Returns a value of Python in place of one of numpy, in a tuple, list or dict too."""
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    if isinstance(value, tuple | list):
        return type(value)(_plain(part) for part in value)
    return value.item() if isinstance(value, np.generic) else value
