"""Evaluates a trained run again, with as many samples as you like, and writes evaluation.json beside its results.

bin/evaluate --run=DIR
bin/evaluate --run=DIR --density_samples=5000 --density_examples=10000
"""

import dataclasses

from absl import flags

from tfadgm.cli import common


def define_flags():
    """Defines the flags."""
    flags.DEFINE_string("run", None, "Directory of a run of bin/train.")
    flags.DEFINE_integer("test_samples", 100, "Samples of a averaged inside q(y|x).", lower_bound=1)
    flags.DEFINE_integer("density_samples", 100, "Importance samples of log p(x).", lower_bound=1)
    flags.DEFINE_integer("density_examples", 1000, "Examples whose log p(x) is estimated.", lower_bound=1)


def main(argv):
    """Flags to one call of `run.evaluate`."""
    from tfadgm import run

    values = flags.FLAGS
    if not values.run:
        raise ValueError("run: got none; allowed: --run=DIR, a directory that bin/train made")
    opened = run.Run.open(values.run)
    samples = {name: values[name].value for name in ("test_samples", "density_samples", "density_examples")}
    settings = dataclasses.replace(opened.settings, **samples)
    results, _, _ = run.evaluate(opened.model, settings, *opened.data())
    run.write_json(opened.path / "evaluation.json", results)
    print(common.results_table(results))


def entry():
    """The console command."""
    common.run(main, define_flags)


if __name__ == "__main__":
    entry()
