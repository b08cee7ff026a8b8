#!/usr/bin/env python3
"""Half-moons (Maaloe et al. 2016, section 4.2, figure 2c-d): 10,000 points, 6 labels, noise 0.1, 10 epochs.

    benchmarks/half_moons.py --seeds=0,1,2,3,4

The goal: ADGM at or below 0.5% on every seed; M2 beside it. Each run's figures/ holds the prediction map and the
principal components of a.
"""

from absl import app, flags
from common import record, train, with_baseline

FLAGS = flags.FLAGS
flags.DEFINE_list("seeds", ["0", "1", "2", "3", "4"], "Seeds of points, labels and training.")
flags.DEFINE_list("models", ["adgm", "m2"], "Models.")
flags.DEFINE_string("runs", "runs/half_moons", "Where the runs are kept.")


def main(argv):
    """Runs every model on every seed."""
    rows = [
        train(model, dict(model=model, dataset="half_moons", labels=6, seed=seed), FLAGS.runs)
        for model in FLAGS.models
        for seed in map(int, FLAGS.seeds)
    ]
    record("half_moons", "Half-moons, 6 labels, 10 epochs", "benchmarks/half_moons.py", with_baseline(rows, FLAGS.models[0]))


if __name__ == "__main__":
    app.run(main)
