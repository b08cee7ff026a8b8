#!/usr/bin/env python3
"""MNIST, 100 labels, an equal time budget for every model (Maaloe et al. 2016, table 2, in half an hour on a laptop's CPU).

    benchmarks/mnist.py --data_dir=DIR --models=sdgm --seeds=0,1,2
    benchmarks/mnist.py --data_dir=DIR --models=adgm,m2 --seeds=0
    benchmarks/mnist.py --data_dir=DIR --minutes=15 --models=m1+svm,m1+tsvm,m2,m1m2,adgm,sdgm,cagem --seeds=0

Expected: SDGM 3.5% or better on the mean of 3 label draws in 30 minutes. Results of earlier calls are kept, so that a table
can be filled bit by bit.
"""

import json

from absl import app, flags
from common import RESULTS, record, train, with_baseline

FLAGS = flags.FLAGS
flags.DEFINE_list("seeds", ["0", "1", "2"], "Seeds of labels and training.")
flags.DEFINE_list("models", ["sdgm"], "Models, or those of METHODS.")
flags.DEFINE_float("minutes", 30.0, "Training time of each run.")
flags.DEFINE_integer("labels", 100, "Labels.")
flags.DEFINE_string("data_dir", None, "TensorFlow Datasets directory.", required=True)
flags.DEFINE_string("runs", "runs/mnist", "Where the runs are kept.")

METHODS = {
    "m1+svm": dict(model="m1", feature_classifier="svm"),
    "m1+tsvm": dict(model="m1", feature_classifier="tsvm"),
}


def main(argv):
    """Runs every model on every seed, one after the other."""
    name = f"mnist_{FLAGS.labels}_{FLAGS.minutes:g}min"
    path = RESULTS / f"{name}.json"
    kept = json.loads(path.read_text())["rows"] if path.exists() else []
    rows = {(row["method"], row["seed"]): row for row in kept if row["method"] != "supervised baseline"}
    for model in FLAGS.models:
        for seed in map(int, FLAGS.seeds):
            work = dict(labels=FLAGS.labels, seed=seed, minutes=FLAGS.minutes, trunk="mlp")  # as the papers have it
            options = dict(METHODS.get(model, dict(model=model)), dataset="mnist", **work)
            rows[model, seed] = train(model, {**options, "data_dir": FLAGS.data_dir}, f"{FLAGS.runs}/{name}")
            title = f"MNIST, {FLAGS.labels} labels, {FLAGS.minutes:g} minutes of training"
            found = sorted(rows.values(), key=lambda row: (row["method"], row["seed"]))
            methods = [row["method"] for row in found]
            most = max(dict.fromkeys(methods), key=methods.count)  # the baseline is that of the seed, whatever the model
            record(name, title, "benchmarks/mnist.py", with_baseline(found, most))


if __name__ == "__main__":
    app.run(main)
