#!/usr/bin/env python3
"""scikit-learn's digits, 100 labels, 500 test images: ADGM and SDGM beside SVM and LabelSpreading on the same splits.

    benchmarks/digits.py --seeds=0,1,2,3,4

Expected: both models below the SVM's mean error and below the supervised baseline on every seed, the better one at or
below LabelSpreading. The SVM sees the labelled images alone; LabelSpreading sees all training images, as the models do.
"""

from absl import app, flags
from common import record, train, with_baseline

FLAGS = flags.FLAGS
flags.DEFINE_list("seeds", ["0", "1", "2", "3", "4"], "Seeds of split, labels and training.")
flags.DEFINE_list("models", ["adgm", "sdgm", "m2"], "Models.")
flags.DEFINE_string("runs", "runs/digits", "Where the runs are kept.")
LABELS = 100


def scikit_learn(seed):
    """Returns rows of the SVM and of LabelSpreading on the split of `seed`."""
    import numpy as np
    from sklearn.semi_supervised import LabelSpreading
    from sklearn.svm import SVC

    from tfadgm.runs import build, recipes

    data, split = build.load_data(recipes.resolve("adgm", "digits", labels=LABELS, seed=seed))
    x, x_test = (part.reshape(len(part), -1) / 16 for part in (data.x_train, data.x_test))
    y = np.full(len(x), -1)
    y[split.labelled] = data.y_train[split.labelled]
    methods = {
        "SVM (RBF)": SVC().fit(x[split.labelled], y[split.labelled]),
        "LabelSpreading (7 neighbours)": LabelSpreading(kernel="knn", n_neighbors=7).fit(x, y),
    }
    return [
        dict(method=name, seed=seed, test_error=float((fitted.predict(x_test) != data.y_test).mean()))
        for name, fitted in methods.items()
    ]


def main(argv):
    """Runs every model and method on every seed."""
    rows = []
    for seed in map(int, FLAGS.seeds):
        for model in FLAGS.models:
            rows.append(train(model, dict(model=model, dataset="digits", labels=LABELS, seed=seed), FLAGS.runs))
        rows += scikit_learn(seed)
    rows.sort(key=lambda row: row["method"])
    record("digits", "Digits, 100 labels, 500 test images", "benchmarks/digits.py", with_baseline(rows, FLAGS.models[0]))


if __name__ == "__main__":
    app.run(main)
