#!/usr/bin/env python3
"""Tables with few labels: bin/train at its defaults beside what scikit-learn has, on the same splits.

    benchmarks/tables.py --seeds=0,1,2,3,4,5,6,7,8,9 --labels=5,10,20

Two fifths of each class are the test set; the rest is the pool, of which each class keeps a few labels. Expected: the
default is best, or within one standard error of the best, on most tables at 10 labels per class, and nowhere worse than
what the labels alone give it by more than noise. Which tables were looked at when the pool was made: docs/notebook.md.
"""

import pathlib
import time
import warnings

import numpy as np
from absl import app, flags
from common import record, train

FLAGS = flags.FLAGS
flags.DEFINE_list("seeds", [str(seed) for seed in range(10)], "Seeds of split, labels and training.")
flags.DEFINE_list("labels", ["10"], "Labels per class.")
flags.DEFINE_list("tables", ["wine", "breast_cancer", "iris", "digits"], "Tables that scikit-learn ships.")
flags.DEFINE_list("models", ["sdgm"], "Models.")
flags.DEFINE_string("runs", "runs/tables", "Where the runs are kept.")
TEST = 0.4


def load(name):
    """Returns (x, y), float32 [N, D] and class numbers [N], of a table of scikit-learn."""
    from sklearn import datasets

    x, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    return x.astype("float32"), y


def split(y, labels, seed):
    """Returns (labelled, pool, test): indices; two fifths of a class are tested on, `labels` of its rest are known."""
    generator, parts = np.random.default_rng([seed, 77]), ([], [], [])
    for k in np.unique(y):
        members = generator.permutation(np.flatnonzero(y == k))
        tested = max(1, int(TEST * len(members)))
        for part, rows in zip(parts, (members[tested:][:labels], members[tested:], members[:tested]), strict=True):
            part.extend(rows)
    return tuple(np.sort(part) for part in parts)


def others(seed):
    """Returns {name: (classifier, whether it reads the rows without labels)}."""
    from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.semi_supervised import LabelSpreading, SelfTrainingClassifier

    alone = {
        "logistic regression": lambda: LogisticRegression(max_iter=2000),
        "random forest": lambda: RandomForestClassifier(random_state=seed),
        "histogram boosting": lambda: HistGradientBoostingClassifier(random_state=seed),
    }
    found = {name: (make(), False) for name, make in alone.items()}
    found |= {f"self-training, {name}": (SelfTrainingClassifier(make()), True) for name, make in alone.items()}
    return found | {"LabelSpreading (7 neighbours)": (LabelSpreading(kernel="knn", n_neighbors=7, max_iter=100), True)}


def scikit_learn(x, y, parts, seed):
    """Returns rows of the other classifiers on a split; x is standardised by the pool."""
    from sklearn.preprocessing import StandardScaler

    from tfadgm import evaluation

    labelled, pool, test = parts
    x, rows = StandardScaler().fit(x[pool]).transform(x), []
    known = np.where(np.isin(pool, labelled), y[pool], -1)
    for name, (classifier, semi) in others(seed).items():
        begun = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            classifier.fit(*((x[pool], known) if semi else (x[labelled], y[labelled])))
        found = evaluation.classification(classifier.predict_proba(x[test]), y[test])
        rows.append(dict(method=name, test_error=found["error"], seconds=time.perf_counter() - begun, **found))
    return rows


def own(model, name, x, y, parts, labels, seed):
    """Returns the row of bin/train at its defaults."""
    labelled, pool, test = parts
    path = pathlib.Path(FLAGS.runs) / "data" / f"{name}-{labels}-{seed}.npz"
    path.parent.mkdir(parents=True, exist_ok=True)
    known = np.where(np.isin(pool, labelled), y[pool], -1)
    np.savez(path, x=x[pool], y=known, x_test=x[test], y_test=y[test])
    begun = time.perf_counter()
    results = train(f"{model}-{name}-{labels}", dict(model=model, dataset=f"npz:{path}", seed=seed), FLAGS.runs)
    return {**results, "method": f"tfadgm {model}", "seconds": time.perf_counter() - begun}


def main(_):
    rows = []
    for name in FLAGS.tables:
        x, y = load(name)
        for labels in map(int, FLAGS.labels):
            for seed in map(int, FLAGS.seeds):
                parts = split(y, labels, seed)
                found = [own(model, name, x, y, parts, labels, seed) for model in FLAGS.models]
                for row in (*found, *scikit_learn(x, y, parts, seed)):
                    rows.append(row | dict(seed=seed, table=name, labels_per_class=labels))
                    rows[-1]["method"] = f"{name}, {labels}: {row['method']}"
    record("tables", "Tables with few labels per class (test error)", "benchmarks/tables.py", rows)


if __name__ == "__main__":
    app.run(main)
