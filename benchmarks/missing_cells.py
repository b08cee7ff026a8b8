#!/usr/bin/env python3
"""Tables with hidden cells: error of classes and of the cells, beside imputers before a random forest.

    benchmarks/missing_cells.py --seeds=0,1,2,3,4

Cells are hidden at random, in training and test rows alike, on the splits of tables.py with 10 labels per class. The
imputers are fitted to the numbers of the pool, standardised, with one-hot categories (none known where the cell is hidden);
a category is imputed as the column of the highest value. Reported are the hidden cells of the test rows: numbers by the root
of the mean square in standard deviations of the pool, categories by error. Nothing is chosen here.
"""

import time

import numpy as np
import pandas as pd
from absl import app, flags
from common import RESULTS, hardware, write_table
from fits import each, missing, save
from own_tables import load, split

FLAGS = flags.FLAGS
flags.DEFINE_list("seeds", [str(seed) for seed in range(5)], "Seeds of split, labels, hidden cells and training.")
flags.DEFINE_list("shares", ["0.1", "0.3", "0.5"], "Shares of hidden cells.")
flags.DEFINE_list("tables", ["breast_cancer", "penguins", "credit"], "Names of tables.")
PATH = RESULTS / "own" / "missing_cells.json"
LABELS = 10


class Encoded:
    """A table as the imputers read it: standardised numbers and one-hot categories, as of the rows `pool`."""

    def __init__(self, x, pool):
        self.numbers = [column for column in x if pd.api.types.is_numeric_dtype(x[column])]
        self.categories = {c: sorted(x[c].iloc[pool].dropna().unique()) for c in x if c not in self.numbers}
        values = x[self.numbers].iloc[pool].astype(float)
        self.mean, self.std = values.mean(), values.std().replace(0, 1)

    def __call__(self, x):
        """Returns float64 [N, D], NaN where a cell is missing; a category that the pool has not is none of the columns."""
        parts = [((x[self.numbers].astype(float) - self.mean) / self.std).to_numpy()]
        for column, values in self.categories.items():
            hot = (x[column].to_numpy(object)[:, np.newaxis] == np.array(values, object)).astype(float)
            parts.append(np.where(x[column].isna().to_numpy()[:, np.newaxis], np.nan, hot))
        return np.concatenate(parts, 1)

    def error(self, found, x, hidden):
        """Returns (RMSE of numbers, error of categories, or None) of encoded cells `found`, of x where `hidden` [N, C]."""
        columns, true = list(x.columns), self(x)
        squares, wrong, start = [], [], len(self.numbers)
        for d, column in enumerate(self.numbers):
            rows = hidden[:, columns.index(column)] & ~np.isnan(true[:, d])
            squares.append((found[rows, d] - true[rows, d]) ** 2)
        for column, values in self.categories.items():
            part = slice(start, start + len(values))
            rows = hidden[:, columns.index(column)] & ~np.isnan(true[:, start])
            wrong.append(found[rows, part].argmax(1) != true[rows, part].argmax(1))
            start += len(values)
        rmse = float(np.sqrt(np.concatenate(squares).mean()))
        return rmse, float(np.concatenate(wrong).mean()) if wrong else None


def measure(name, share, seed):
    """Returns the rows of all methods on one split of a table."""
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.experimental import enable_iterative_imputer  # noqa: F401
    from sklearn.impute import IterativeImputer, KNNImputer, SimpleImputer

    from tfadgm import SemiSupervisedClassifier, evaluation
    from tfadgm.runs.run_directory import git_revision

    x, y = load(name)
    labelled, pool, test = split(y, LABELS, seed)
    hidden = np.random.default_rng([seed, 78]).random(x.shape) < share
    holed, encode, rows = x.mask(hidden), Encoded(x.mask(hidden), pool), []
    about = dict(table=name, share=share, seed=seed, git_revision=git_revision())

    def add(method, begun, cells, probabilities):
        rmse, wrong = encode.error(cells, x.iloc[test], hidden[test])
        found = dict(rmse=rmse, category_error=wrong, seconds=time.perf_counter() - begun)
        rows.append({**about, "method": method, **found, **evaluation.classification(probabilities, y[test])})

    imputers = {
        "medians, random forest": SimpleImputer(strategy="median"),
        "IterativeImputer, random forest": IterativeImputer(random_state=seed, max_iter=20),
        "KNNImputer, random forest": KNNImputer(),
    }
    for method, imputer in imputers.items():
        begun = time.perf_counter()
        imputer.fit(encode(holed.iloc[pool]))
        known, cells = imputer.transform(encode(holed.iloc[labelled])), imputer.transform(encode(holed.iloc[test]))
        forest = RandomForestClassifier(random_state=seed).fit(known, y[labelled])
        add(method, begun, cells, forest.predict_proba(cells))
    begun = time.perf_counter()
    known = [int(y[row]) if row in set(labelled) else None for row in pool]
    estimator = SemiSupervisedClassifier(random_state=seed).fit(holed.iloc[pool], known)
    answers = estimator.predict_proba(holed.iloc[test])
    add("default (SDGM)", begun, encode(estimator.impute(holed.iloc[test])), answers)
    return rows


def main(_):
    wanted = [(t, float(share), int(s)) for s in FLAGS.seeds for share in FLAGS.shares for t in FLAGS.tables]
    rows, jobs = missing(PATH, ("table", "share", "seed"), wanted)
    for found in each(measure, jobs):
        rows += found
        save(PATH, dict(command="benchmarks/missing_cells.py", hardware=hardware(), rows=rows))
    write_table()


if __name__ == "__main__":
    app.run(main)
