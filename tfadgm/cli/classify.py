"""Classifies your files with an exported model: one line of JSON per example on stdout.

  bin/classify --run=DIR FILE...
  bin/classify --saved_model=DIR --log_density_samples=100 FILE...
  bin/classify --server=localhost:8500 FILE...

FILE is an .npz with an array x, a .csv with a header (a column label is ignored), or a picture.
"""

import functools
import json

from absl import flags

from tfadgm.cli import common


def define_flags():
    """Defines the flags; not at import, so that the verbs can be imported together."""
    flags.DEFINE_string("run", None, "Directory of a run of bin/train; its newest export is used.")
    flags.DEFINE_string("saved_model", None, "Directory of an exported model: a version, or a base with versions.")
    flags.DEFINE_string("server", None, "HOST:PORT of TensorFlow Serving's gRPC port, in place of a directory.")
    flags.DEFINE_string("model_name", "tfadgm", "The model's name at the server.")
    flags.DEFINE_integer("version", None, "The model's version at the server; default: the newest.", lower_bound=1)
    flags.DEFINE_float(
        "deadline", 30.0, "Seconds that each call to the server may take, retries included.", lower_bound=0.001
    )
    flags.DEFINE_integer("batch", 100, "Examples that are computed at once.", lower_bound=1)
    flags.DEFINE_integer(
        "log_density_samples",
        10,
        "Importance samples of log p(x), nats in the data's own units; 0 leaves it out, which is faster.",
        lower_bound=0,
    )


def main(argv):
    """Flags to one call of `classification.records`."""
    from tfadgm import classification
    from tfadgm.progress import progress_bar

    values = flags.FLAGS
    open_classifier = _source(values)
    classification.check_files(argv[1:])  # before the model is loaded
    classifier = open_classifier()
    with progress_bar("example") as progress:
        found = classification.records(classifier, argv[1:], values.batch, values.log_density_samples, progress)
        for record in found:
            print(json.dumps(record, allow_nan=False), flush=True)


def _source(values):
    """Returns the function that opens the classifier that the flags name."""
    from tfadgm import classification

    if not values.server:
        return functools.partial(classification.Classifier, classification.choose(values.run, values.saved_model))
    if values.run or values.saved_model:
        raise ValueError("got --server beside --run or --saved_model; allowed: exactly one of them")
    from tfadgm.serving import client

    return functools.partial(client.RemoteClassifier, values.server, values.model_name, values.version, values.deadline)


main.takes_files = True


def entry():
    """The console command."""
    common.run(main, define_flags)


if __name__ == "__main__":
    entry()
