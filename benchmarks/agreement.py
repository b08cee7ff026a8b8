#!/usr/bin/env python3
"""Whether the model that is reported is the one that was trained: its accuracy on the labelled examples, beside training's.

    benchmarks/agreement.py

Digits, 100 labels, some 50, 100, 200 and 1,000 optimizer steps, with and without batch norm, every model that learns its
classifier. A difference of more than three standard errors of a difference of two shares of 100 is marked; where training is
under way the reported one may be higher, since training's is a mean over the last epoch.
"""

import json
import math
import os
import pathlib
import tempfile

from absl import app, flags
from common import RESULTS, hardware, write_table

FLAGS = flags.FLAGS
flags.DEFINE_list("models", ["m2", "adgm", "sdgm", "cagem", "untapped", "m1m2"], "Models.")
flags.DEFINE_list("epochs", ["4", "8", "16", "83"], "Epochs, of 12 steps each.")

SIZES = {"cagem": dict(dim_z=(16, 8)), "m1m2": dict(dim_z=(16, 8)), "untapped": dict(dim_z=(2,))}


def measure(name, epochs, batch_norm):
    """Trains a model and returns both accuracies."""
    import tensorflow as tf

    from tfadgm.runs import recipes, run

    sizes = dict(SIZES.get(name, dict(dim_z=8)), dim_a=8 if name in ("adgm", "sdgm") else None)
    given = dict(hidden=(64, 64), batch_norm=batch_norm, epochs=epochs * (2 if name == "m1m2" else 1), **sizes)
    evaluation = dict(test_samples=20, density_samples=2, density_examples=10)
    with tempfile.TemporaryDirectory() as place:
        results = run.train(recipes.resolve(name, "digits", **given, **evaluation), pathlib.Path(place) / "run", quiet=True)
    tf.keras.backend.clear_session()
    trained, reported = results["labelled_accuracy_in_training"], results["labelled_accuracy"]
    mean, count = 0.5 * (trained + reported), results["labelled_accuracy_examples"]
    noise = 3 * math.sqrt(2 * mean * (1 - mean) / count)
    row = dict(model=name, epochs=epochs, steps=results["steps"], batch_norm=batch_norm, trained=trained, reported=reported)
    return row | dict(
        test_error=results["test_error"], lower=trained - reported > noise, differs=abs(trained - reported) > noise
    )


def main(argv):
    """Measures all, prints a line for each, and keeps them."""
    os.nice(10)
    rows = []
    for name in FLAGS.models:
        for batch_norm in (True, False):
            for epochs in map(int, FLAGS.epochs):
                rows.append(measure(name, epochs, batch_norm))
                print(rows[-1], flush=True)
    content = dict(hardware=hardware(), rows=rows)
    (RESULTS / "speed").mkdir(parents=True, exist_ok=True)
    (RESULTS / "speed" / "agreement.json").write_text(json.dumps(content, indent=1) + "\n")
    write_table()


if __name__ == "__main__":
    app.run(main)
