#!/usr/bin/env python3
"""How well log p(x), its typicality and the entropy of q(y|x) tell examples of other laws from those of training.

    benchmarks/novelty.py --data_dir=DIR

Models of MNIST and of OMNIGLOT, a few epochs each, and as what is new: the other data set, MNIST turned upside down, dimmed
to half, blank pictures and noise. AUROC of 2,000 examples each, where 50% is chance; the statistics are those of
`bin/classify --novelty`. Expected: noise and the other data set are found by log p(x); blank pages are more
probable than any digit, so that log p(x) alone takes them for the least new of all, and typicality finds them.
"""

import numpy as np
from absl import app, flags
from common import RESULTS, hardware, train, write_table
from fits import save

FLAGS = flags.FLAGS
flags.DEFINE_string("data_dir", None, "Directory of tensorflow_datasets.")
flags.DEFINE_string("runs", "/tmp/tfadgm-novelty", "Directory of the runs.")
flags.DEFINE_list("seeds", ["0", "1", "2"], "Seeds of training.")
flags.DEFINE_integer("epochs", 10, "Epochs of training.", lower_bound=1)
PATH = RESULTS / "own" / "novelty.json"
EXAMPLES = 2000
RUNS = {
    "VAE of MNIST": ("vae", "mnist"),
    "SDGM of MNIST, 100 labels": ("sdgm", "mnist"),
    "VAE of OMNIGLOT": ("vae", "omniglot"),
}


def sets(opened, other):
    """Returns {name: raw examples [N, ...]}: first those of the run's own held-out part."""
    x = opened.held_out()[0]
    x = x[np.random.default_rng(0).permutation(len(x))[:EXAMPLES]]
    generator = np.random.default_rng(1)
    found = {"its own": x, **other, "upside down": x[:, ::-1], "dimmed to half": x // 2}
    found["noise"] = generator.integers(0, 256, x.shape).astype(x.dtype)
    # Of nothing but some specks, as a blank page is scanned: all alike would be one example.
    found["blank"] = np.where(generator.random(x.shape) < 0.002, 255, 0).astype(x.dtype)
    return found


def statistics(opened, x):
    """Returns {name: [N]}, each higher where an example is newer."""
    from tfadgm import evaluation
    from tfadgm.models import novelty
    from tfadgm.runs import reference

    log_density = evaluation.log_density(opened.model, x, novelty.SAMPLES)
    usual = reference.read(opened.path)
    found = {"low log p(x)": -log_density, "far from the median": np.abs(log_density - usual.median)}
    if opened.model.classifies:
        q = evaluation.class_probabilities(opened.model, x)
        found["entropy of the class"] = -(q * np.log(np.maximum(q, 1e-30))).sum(1)
    return found


def rows_of(method, opened, other, seed):
    from sklearn.metrics import roc_auc_score

    parts = {name: statistics(opened, np.ascontiguousarray(x)) for name, x in sets(opened, other).items()}
    rows, own = [], parts.pop("its own")
    for name, found in parts.items():
        for statistic, values in found.items():
            truth = np.repeat([0, 1], [len(own[statistic]), len(values)])
            score = roc_auc_score(truth, np.concatenate([own[statistic], values]))
            rows.append(dict(method=method, new=name, statistic=statistic, auroc=float(score), seed=seed))
    return rows


def main(_):
    from tfadgm.runs.run_directory import Run, git_revision

    rows, runs = [], {}
    for seed in FLAGS.seeds:
        for method, (model, dataset) in RUNS.items():
            settings = dict(model=model, dataset=dataset, seed=seed, epochs=FLAGS.epochs, data_dir=FLAGS.data_dir)
            settings |= dict(labels=100) if model == "sdgm" else {}
            label = method.replace(",", "")
            train(label, settings, FLAGS.runs)
            runs[method, int(seed)] = Run.open(f"{FLAGS.runs}/{label}-{seed}".replace(" ", "_"))
    held_out = {run.settings.dataset: run.held_out()[0][:EXAMPLES] for run in runs.values()}
    for (method, seed), run in runs.items():
        (other,) = set(held_out) - {run.settings.dataset}
        rows += rows_of(method, run, {other.upper(): held_out[other]}, seed)
    about = dict(command="benchmarks/novelty.py", hardware=hardware(), epochs=FLAGS.epochs, git_revision=git_revision())
    save(PATH, dict(**about, rows=rows))
    write_table()


if __name__ == "__main__":
    app.run(main)
