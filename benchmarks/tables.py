#!/usr/bin/env python3
"""Tables with few labels: the estimator at its defaults beside what scikit-learn has, on the same splits.

    benchmarks/tables.py --seeds=0,1,2,3,4,5,6,7,8,9 --labels=5,10,20

Two fifths of each class are the test set; the rest is the pool, of which each class keeps a few labels. Expected: at 10
labels per class the default is best, or within one standard error of the best, on most tables, and nowhere worse than what
the labels alone give it by more than noise. Which tables settings were chosen on: `own_tables.CHOICE`. What is on record is
not measured again; a fit takes most of a minute of one core.
"""

import time

from absl import app, flags
from common import RESULTS, hardware, write_table
from fits import each, missing, save
from own_tables import RECORD, fitted, load, numbers, others, split

FLAGS = flags.FLAGS
flags.DEFINE_list("seeds", [str(seed) for seed in range(10)], "Seeds of split, labels and training.")
flags.DEFINE_list("labels", ["10", "5", "20"], "Labels per class.")
flags.DEFINE_list("tables", list(RECORD), "Names of tables.")
PATH = RESULTS / "own" / "tables.json"
KEPT = ("table", "labels", "seed", "git_revision", "method", "seconds", "error", "nll", "ece", "ece_equal_mass")


def measure(name, labels, seed):
    """Returns the rows of all classifiers on one split of a table."""
    from tfadgm import evaluation
    from tfadgm.runs.run_directory import git_revision

    x, y = load(name)
    parts = split(y, labels, seed)
    about = dict(table=name, labels=labels, seed=seed, git_revision=git_revision())
    rows, z = [], numbers(x, parts[1])
    for method, (classifier, semi) in others(seed).items():
        begun = time.perf_counter()
        found = fitted(classifier, semi, z, y, parts)
        seconds = time.perf_counter() - begun
        rows.append({**about, "method": method, "seconds": seconds, **evaluation.classification(found, y[parts[2]])})
    rows += [{**about, **row} for row in own(x, y, parts, seed)]
    return [{name: row[name] for name in KEPT} for row in rows]


def own(x, y, parts, seed):
    """Returns the rows of the default estimator, and of what its pool is made of alone."""
    from tfadgm import SemiSupervisedClassifier, evaluation
    from tfadgm.models.answer import MEMBERS

    labelled, pool, test = parts
    known = [int(y[row]) if row in set(labelled) else None for row in pool]
    begun = time.perf_counter()
    estimator = SemiSupervisedClassifier(random_state=seed).fit(x.iloc[pool], known)
    seconds = time.perf_counter() - begun
    rows = [dict(method="default (SDGM)", seconds=seconds)]
    rows[0] |= evaluation.classification(estimator.predict_proba(x.iloc[test]), y[test])
    if estimator.selection_:
        weights = estimator._run.model.answer.pool_
        for member, told in zip(MEMBERS, ("its model", "its network, labels alone", "its logistic regression"), strict=True):
            weights.assign([float(name == member) for name in MEMBERS])
            found = estimator.predict_proba(x.iloc[test])
            rows.append(dict(method=told, seconds=None, **evaluation.classification(found, y[test])))
    return rows


def main(_):
    wanted = [(t, int(n), int(s)) for n in FLAGS.labels for s in FLAGS.seeds for t in FLAGS.tables]
    rows, jobs = missing(PATH, ("table", "labels", "seed"), wanted)
    for found in each(measure, jobs):
        rows += found
        save(PATH, dict(command="benchmarks/tables.py", hardware=hardware(), rows=rows))
    write_table()


if __name__ == "__main__":
    app.run(main)
