#!/usr/bin/env python3
"""The pool's prior (`select.PRIOR`), by NLL and error on tables that are reported nowhere.

    benchmarks/pool_prior.py --seeds=0,1,2,3

One fit of the default estimator for each table of `own_tables.CHOICE`, 10 labels per class; the weights of its members are
then computed for each prior from the same cross-fitted scores, and judged on the held-out rows.
"""

import numpy as np
from absl import app, flags
from common import RESULTS, hardware, write_table
from fits import each, missing, save
from own_tables import CHOICE, load, split

FLAGS = flags.FLAGS
flags.DEFINE_list("seeds", ["0", "1", "2", "3"], "Seeds of split, labels and training.")
flags.DEFINE_list("tables", list(CHOICE), "Names of tables.")
# Examples' worth in all, and the share of the logistic regression; model and network have equal parts of the rest.
PRIORS = [(worth, share) for share in (1 / 3, 0.6, 0.8) for worth in (2.0, 6.0, 20.0, 1e6)]
LABELS = 10
PATH = RESULTS / "own" / "pool_prior.json"


def prior_of(worth, share):
    """Returns the prior of each of `answer.MEMBERS`: model, network, logistic regression."""
    return worth * np.array([(1 - share) / 2, (1 - share) / 2, share])


def measure(name, seed):
    """Returns a row for each prior on one split of a table."""
    from tfadgm import SemiSupervisedClassifier, evaluation
    from tfadgm.models.answer import MEMBERS
    from tfadgm.runs import select

    scores, stacking = [], select.stacking

    def kept(log_scores, *args):
        scores.append(log_scores)
        return stacking(log_scores, *args)

    x, y = load(name)
    labelled, pool, test = split(y, LABELS, seed)
    known = [int(y[row]) if row in set(labelled) else None for row in pool]
    select.stacking = kept
    try:
        estimator = SemiSupervisedClassifier(random_state=seed).fit(x.iloc[pool], known)
    finally:
        select.stacking = stacking
    weights, rows = estimator._run.model.answer.pool_, []
    for worth_of_prior, share in PRIORS:
        found = stacking(scores[0], prior_of(worth_of_prior, share))
        weights.assign(found)
        worth = evaluation.classification(estimator.predict_proba(x.iloc[test]), y[test])
        about = dict(
            table=name,
            seed=seed,
            prior=worth_of_prior,
            logistic=share,
            weights=dict(zip(MEMBERS, map(float, found), strict=True)),
        )
        rows.append(about | {what: worth[what] for what in ("error", "nll", "ece")})
    return rows


def main(_):
    wanted = [(name, int(seed)) for seed in FLAGS.seeds for name in FLAGS.tables]
    rows, jobs = missing(PATH, ("table", "seed"), wanted)
    for found in each(measure, jobs):
        rows += found
        save(PATH, dict(command="benchmarks/pool_prior.py", hardware=hardware(), rows=rows))
    write_table()
    for worth, share in PRIORS:
        of = [row for row in rows if (row["prior"], row["logistic"]) == (worth, share)]
        means = [100 * np.mean([row["error"] for row in of]), np.mean([row["nll"] for row in of])]
        print(f"prior {worth:g}, logistic {share:.2f}: error {means[0]:.2f}%, NLL {means[1]:.4f}, {len(of)} fits")


if __name__ == "__main__":
    app.run(main)
