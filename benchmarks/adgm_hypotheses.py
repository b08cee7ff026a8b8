#!/usr/bin/env python3
"""Why the ADGM comes after the SDGM on MNIST with 100 labels: each hypothesis a variant, decided on validation data.

    benchmarks/adgm_hypotheses.py --data_dir=DIR --seeds=0,1,2

Each run has the same epochs and seeds (of labels, validation images and noise) and differs from the recipe in what is named.
The error is that of 5,000 training images held out, with the last averaged weights; no test image is looked at.
Finished runs are kept in results/trials/adgm_hypotheses.json, an unfinished one goes on from its checkpoint.
"""

import json
import os
import pathlib
import shutil

from absl import app, flags
from common import RESULTS, hardware, write_table

FLAGS = flags.FLAGS
flags.DEFINE_list("seeds", ["0", "1", "2"], "Seeds of labels and training.")
flags.DEFINE_list("only", None, "Names of variants; default: all.")
flags.DEFINE_integer("epochs", 25, "Epochs of each run.")
flags.DEFINE_string("data_dir", None, "TensorFlow Datasets directory.", required=True)
flags.DEFINE_string("runs", "runs/adgm_hypotheses", "Where the runs are kept.")

PATH = RESULTS / "trials" / "adgm_hypotheses.json"
VARIANTS = {  # name: (what it asks, settings on top of the recipe)
    "adgm": ("the recipe", dict(model="adgm")),
    "sdgm": ("beside it: the SDGM", dict(model="sdgm")),
    "m2": ("is a needed at all? M2", dict(model="m2")),
    "frozen": (
        "a as a random feature: q(a|x) not trained, Glorot heads",
        dict(model="adgm", aux_gradient="frozen", head_deviation=None),
    ),
    "bound": ("classification gradient not into q(a|x)", dict(model="adgm", aux_gradient="bound")),
    "beta-2": ("beta = 2, the paper's upper end", dict(model="adgm", beta=2.0)),
    "a-sees-x": ("p(a|x,y,z)", dict(model="adgm", a_sees_x=True)),
    "uninformed": ("p(a) = N(0, I)", dict(model="adgm", auxiliary="uninformed")),
    "deterministic": ("a = f(x)", dict(model="adgm", auxiliary="deterministic")),
    "beta-0.1": ("beta = 0.1, the authors' code", dict(model="adgm", beta=0.1)),
    "labelled-bound": ("the labelled bound counts (eq. 10)", dict(model="adgm", labelled_weight=1.0)),
    "all-classes": ("y by exact enumeration", dict(model="adgm", exact_classes=None)),
}


def train(name, seed):
    """Trains a variant and returns what its validation images say."""
    from tfadgm import evaluation, machine
    from tfadgm.experiments import runner
    from tfadgm.runs import build, recipes, run_directory

    settings = recipes.resolve(
        dataset="mnist", labels=100, validation=5000, keep="last", epochs=FLAGS.epochs, seed=seed, data_dir=FLAGS.data_dir,
        trunk="mlp", **VARIANTS[name][1],
    )  # fmt: skip
    directory = pathlib.Path(FLAGS.runs) / f"{name}-{seed}-{FLAGS.epochs}"
    data, split = build.load_data(settings)
    directory.mkdir(parents=True, exist_ok=True)
    model, state, rows = build.train(settings, data, split, directory)
    x, y = data.x_train[split.validation], data.y_train[split.validation]
    found = evaluation.classification(evaluation.class_probabilities(model, x), y)
    shutil.rmtree(directory / "checkpoints")
    return dict(
        variant=name, seed=seed, epochs=FLAGS.epochs, validation_error=found["error"], ece=found["ece"], nll=found["nll"],
        by_epoch=[float(row["validation_error"]) for row in rows], objective=float(rows[-1]["objective"]),
        seconds=round(state.seconds), definitions=runner.DEFINITIONS,
        precision=model.precision, git_revision=run_directory.git_revision(), **machine.hardware(),
    )  # fmt: skip


def main(argv):
    """Runs what is not yet on record, all variants of one seed before the next."""
    os.nice(19)
    rows = json.loads(PATH.read_text())["rows"] if PATH.exists() else []
    done = {(row["variant"], row["seed"], row["epochs"]) for row in rows}
    for seed in map(int, FLAGS.seeds):
        for name in FLAGS.only or VARIANTS:
            if (name, seed, FLAGS.epochs) in done:
                continue
            rows.append(train(name, seed))
            content = dict(
                title="Hypotheses for the ADGM", command="benchmarks/adgm_hypotheses.py", hardware=hardware(), rows=rows
            )
            PATH.parent.mkdir(exist_ok=True)
            temporary = PATH.with_suffix(".writing")
            temporary.write_text(json.dumps(content, indent=1) + "\n")
            os.replace(temporary, PATH)
            write_table()


if __name__ == "__main__":
    app.run(main)
