"""Classifies your files with an exported model: one line of JSON per example on stdout.

  bin/classify --run=DIR FILE...
  bin/classify --saved_model=DIR --log_density_samples=100 FILE...

FILE is an .npz with an array x, a .csv with a header (a column label is ignored), or a picture.
"""

import json

from absl import flags

from tfadgm.cli import common


def define_flags():
    """Defines the flags; not at import, so that the verbs can be imported together."""
    flags.DEFINE_string("run", None, "Directory of a run of bin/train; its newest export is used.")
    flags.DEFINE_string("saved_model", None, "Directory of an exported model: a version, or a base with versions.")
    flags.DEFINE_integer("batch", 100, "Examples that are computed at once.", lower_bound=1)
    flags.DEFINE_integer("log_density_samples", 0, "Importance samples of log p(x); 0 leaves it out.", lower_bound=0)


def main(argv):
    """Flags to one call of `classification.records`."""
    from tfadgm import classification

    values = flags.FLAGS
    path = classification.choose(values.run, values.saved_model)
    classification.check_files(argv[1:])  # before the model is loaded
    classifier = classification.Classifier(path)
    for record in classification.records(classifier, argv[1:], values.batch, values.log_density_samples):
        print(json.dumps(record, allow_nan=False), flush=True)


main.takes_files = True


def entry():
    """The console command."""
    common.run(main, define_flags)


if __name__ == "__main__":
    entry()
