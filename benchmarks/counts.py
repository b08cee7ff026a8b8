#!/usr/bin/env python3
"""Counts of genes, 10 labels of each of 5 classes: bin/train on an h5ad beside classifiers of the labels alone.

    benchmarks/counts.py --seeds=0,1,2 --select=false

The data are made up by this script, a gamma-Poisson model of cells at low depth: each class changes the expression of 40 of
1000 genes, by factors of log-normal law; each cell has a state of its own along 5 directions that all classes share, and
some 300 molecules. 2000 cells are trained on, 1000 are tested. Nothing was chosen by the test cells: docs/notebook.md.
"""

import pathlib
import time
import warnings

import numpy as np
from absl import app, flags
from common import record, train

FLAGS = flags.FLAGS
flags.DEFINE_list("seeds", ["0", "1", "2"], "Seeds of data, labels and training.")
flags.DEFINE_list("models", ["m2"], "Models.")
flags.DEFINE_bool(
    "select", True, "Whether the model is weighed against the labels alone, as by default; else it answers alone."
)
flags.DEFINE_string("runs", "runs/counts", "Where the runs are kept.")
CLASSES, GENES, CELLS, TEST, LABELS = 5, 1000, 2000, 1000, 10
MARKERS, EFFECT, STATES, STATE, DEPTH, SHAPE = 40, 1.0, 5, 0.5, 300.0, 2.0


def draw(seed, cells=CELLS + TEST):
    """Returns (counts int32 [N, G], classes [N]) of the gamma-Poisson model."""
    generator = np.random.default_rng([seed, 5])
    base = generator.normal(0.0, 1.5, GENES)
    shift = np.zeros((CLASSES, GENES))
    for k in range(CLASSES):
        shift[k, generator.choice(GENES, MARKERS, replace=False)] = EFFECT * generator.normal(size=MARKERS)
    y = generator.integers(0, CLASSES, cells)
    directions = generator.normal(size=(STATES, GENES)) / np.sqrt(STATES)
    log_rate = base + shift[y] + STATE * generator.normal(size=(cells, STATES)) @ directions
    share = np.exp(log_rate) / np.exp(log_rate).sum(1, keepdims=True)
    mean = share * DEPTH * np.exp(0.4 * generator.normal(size=(cells, 1)))
    return generator.poisson(mean * generator.gamma(SHAPE, 1 / SHAPE, mean.shape)).astype("int32"), y


def labelled(y, seed):
    """Returns the numbers of the cells among the first `CELLS` whose class is known, `LABELS` of each class."""
    generator = np.random.default_rng([seed, 6])
    return np.sort(np.concatenate([generator.permutation(np.flatnonzero(y[:CELLS] == k))[:LABELS] for k in range(CLASSES)]))


def write(path, counts, texts):
    """Writes an h5ad file of sparse counts."""
    import anndata
    import pandas
    import scipy.sparse

    with pandas.option_context("future.infer_string", False), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        obs = pandas.DataFrame({"label": list(texts)}, index=[f"cell{i}" for i in range(len(counts))])
        var = pandas.DataFrame(index=[f"gene{g}" for g in range(counts.shape[1])])
        anndata.AnnData(scipy.sparse.csr_matrix(counts.astype("float32")), obs=obs, var=var).write_h5ad(path)


def scikit_learn(counts, y, known, seed):
    """Returns rows of classifiers of log(1 + count / sum * median sum) on the labels alone, and one that reads all cells."""
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.semi_supervised import SelfTrainingClassifier

    sums = counts.sum(1, keepdims=True)
    x = np.log1p(counts / np.maximum(sums, 1) * np.median(sums[:CELLS]))
    part = np.where(np.isin(np.arange(CELLS), known), y[:CELLS], -1)
    methods = {
        "logistic regression": (LogisticRegression(max_iter=2000), False),
        "random forest": (RandomForestClassifier(random_state=seed), False),
        "self-training, logistic regression": (SelfTrainingClassifier(LogisticRegression(max_iter=2000)), True),
    }
    rows = []
    for name, (classifier, semi) in methods.items():
        classifier.fit(*((x[:CELLS], part) if semi else (x[known], y[known])))
        rows.append(dict(method=name, seed=seed, test_error=float(np.mean(classifier.predict(x[CELLS:]) != y[CELLS:]))))
    return rows


def own(model, counts, y, known, seed):
    """Returns the row of bin/train, measured on a second file as bin/evaluate reads it."""
    from tfadgm import evaluation
    from tfadgm.evaluation import measured
    from tfadgm.runs.run_directory import Run

    folder = pathlib.Path(FLAGS.runs) / "data"
    folder.mkdir(parents=True, exist_ok=True)
    texts = np.where(np.isin(np.arange(CELLS), known), [f"type{k}" for k in y[:CELLS]], "Unknown")
    write(folder / f"train-{seed}.h5ad", counts[:CELLS], texts)
    write(folder / f"test-{seed}.h5ad", counts[CELLS:], [f"type{k}" for k in y[CELLS:]])
    begun = time.perf_counter()
    settings = dict(model=model, dataset=f"h5ad:{folder}/train-{seed}.h5ad", validation=0, seed=seed)
    settings |= {} if FLAGS.select else dict(select="false")
    label = f"{model}{'' if FLAGS.select else ' alone'}"
    results = train(label, settings, FLAGS.runs)
    run = Run.open(pathlib.Path(FLAGS.runs) / f"{label}-{seed}".replace(" ", "_"))
    _, x, classes = measured.read(folder / f"test-{seed}.h5ad", run, run.data()[0])
    found = evaluation.classification(evaluation.class_probabilities(run.model, x), classes)
    told = dict(seconds=time.perf_counter() - begun, method=f"tfadgm {label}", test_error=found["error"])
    return {**results, **found, **told}


def main(_):
    rows = []
    for seed in map(int, FLAGS.seeds):
        counts, y = draw(seed)
        known = labelled(y, seed)
        rows += [own(model, counts, y, known, seed) for model in FLAGS.models] + scikit_learn(counts, y, known, seed)
    rows.sort(key=lambda row: row["method"])
    title = f"Counts of {GENES} genes in {CELLS} cells, made up, {LABELS} labels per class (test error)"
    record("counts", title, f"benchmarks/counts.py{'' if FLAGS.select else ' --select=false'}", rows)


if __name__ == "__main__":
    app.run(main)
