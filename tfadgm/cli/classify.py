"""Classifies your files with an exported model: one line of JSON per example on stdout, or a table.

  bin/classify --run=DIR FILE...
  bin/classify --saved_model=DIR --log_density_samples=100 FILE...
  bin/classify --server=localhost:8500 FILE...
  bin/classify --run=DIR --novelty FILE...
  bin/classify --run=DIR --out=answers.csv FILE...     a table with a column p(NAME) for each class

FILE is an .npz with an array x, a .csv with a header, a picture, or a directory of these. The columns of a csv are found by
the names that the model was trained with, in any order; others are ignored, but one that identifies the rows (id, or an
empty name) comes back with the answers. A file that does not fit is told, the others are answered, and the exit code is 1.

--novelty says whether an example is like those of training, of a model without classes too: low_density_p_value is the share
of held-out examples whose log p(x) is no higher, typicality_p_value the share that is as far from their median on either
side, entropy that of q(y|x) in nats. An example that is plainer than training may have a high density, and be missed by the
first: see docs/novelty.md.

A graph that could read or write files, open connections or run Python is refused, unless --allow_ops names its operations.
One that is not yours may still take all the memory and time there is, and answer what it likes: see SECURITY.md.
"""

import contextlib
import csv
import functools
import json
import pathlib
import sys

from absl import flags

from tfadgm import telling
from tfadgm.cli import common
from tfadgm.telling import printable


def define_flags():
    """Defines the flags; not at import, so that the verbs can be imported together."""
    common.define_path("run", "Directory of a run of bin/train; its newest export is used.")
    common.define_path("saved_model", "Directory of an exported model: a version, or a base with versions.")
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
    flags.DEFINE_list(
        "allow_ops", [], "Names of operations that the graph of --run or --saved_model may have beside those that compute."
    )
    common.define_path("out", "A .csv that is written in place of lines of JSON on stdout.")
    flags.DEFINE_bool("overwrite", False, "Whether an existing --out is replaced.")
    flags.DEFINE_bool("novelty", False, "Whether each example is compared with those of training.")
    common.define_progress()


def before(argv):
    """Refuses what needs no TensorFlow."""
    values = flags.FLAGS
    given = [name for name in ("server", "run", "saved_model") if values[name].value]
    if values.server and len(given) > 1:
        raise ValueError("got --server beside --run or --saved_model; allowed: exactly one of them")
    if len(given) != 1:
        raise ValueError(f"got {'both' if given else 'neither'} of --run and --saved_model; allowed: exactly one")
    if values.novelty and values["log_density_samples"].present:
        raise ValueError(
            "log_density_samples: got it beside --novelty; allowed: one of them, as a run's samples are compared"
        )
    if values.out and pathlib.Path(values.out).suffix != ".csv":
        raise ValueError(f"out: got {values.out}; allowed: a .csv")
    if values.out and pathlib.Path(values.out).exists() and not values.overwrite:
        raise ValueError(f"out: {values.out} exists; allowed: another file, or --overwrite")
    for name in ("run", "saved_model"):
        if values[name].value and not pathlib.Path(values[name].value).is_dir():
            raise ValueError(f"{values[name].value}: is no directory; allowed: one that bin/train or bin/export made")


def main(argv):
    """Flags to one call of `records.of_files`; returns 1 if a file or a row has no answer."""
    from tfadgm.serving import records

    values, errors = flags.FLAGS, []

    def failed(error):
        print(printable(f"error: {error}"), file=sys.stderr)
        errors.append(error)

    open_classifier = _source(values)
    files = _files(argv[1:], failed)
    if files:
        with contextlib.ExitStack() as stack:
            write = stack.enter_context(_writer(values.out))
            if sys.stdout.isatty() and not values.out:  # answers would be mixed up with a line that is drawn there
                stack.enter_context(telling.showing("off"))
            with telling.task("loading the model"):
                classifier = open_classifier()
            progress, samples = stack.enter_context(telling.task("classification", "examples")), values.log_density_samples
            for record in records.of_files(classifier, files, values.batch, samples, progress, failed, values.novelty):
                write(record)
    return 1 if errors else 0


@contextlib.contextmanager
def _writer(out):
    """Yields the function that writes a record: to stdout, or to the file `out`, which is there when all are written."""
    if not out:
        yield lambda record: print(json.dumps(record, allow_nan=False), flush=True)
        return
    out, table = pathlib.Path(out), []
    out.parent.mkdir(parents=True, exist_ok=True)
    unfinished = out.with_name(f".unfinished-{out.name}")

    def write(record):
        cells = {"file": record["file"], "row": record["row"], "id": record.get("id"), **record}
        cells |= {f"p({name})": value for name, value in cells.pop("probabilities", {}).items()}
        if not table:
            table.append(csv.DictWriter(file, cells))
            table[0].writeheader()
        table[0].writerow(cells)

    try:
        with unfinished.open("w", encoding="utf-8", newline="") as file:
            yield write
        unfinished.replace(out)
    finally:
        unfinished.unlink(missing_ok=True)


def _files(arguments, failed):
    """Returns the files that can be read, before the model is loaded; the others are `failed`."""
    from tfadgm.data import examples

    if not arguments:
        examples.check(arguments)
    found, notes = examples.expand(arguments)
    for note in notes:
        telling.warn(note)
    good = []
    for file in found:
        try:
            examples.check([file])
            good.append(file)
        except ValueError as error:
            failed(error)
    return good


def _source(values):
    """Returns the function that opens the classifier that the flags name."""
    from tfadgm.serving import classification

    if not values.server:
        path = classification.choose(values.run, values.saved_model)
        return functools.partial(classification.Classifier, path, values.novelty, values.allow_ops)
    from tfadgm.serving import client

    return functools.partial(
        client.RemoteClassifier, values.server, values.model_name, values.version, values.deadline, values.novelty
    )


main.takes_files, main.before = True, before


def entry():
    """The console command."""
    common.run(main, define_flags)


if __name__ == "__main__":
    entry()
