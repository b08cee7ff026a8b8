"""Evaluates a trained run again, with as many samples as you like, and writes evaluation.json beside its results.

bin/evaluate --run=DIR
bin/evaluate --run=DIR --density_samples=5000 --density_examples=10000
bin/evaluate --run=DIR --bayes_samples=100 --diagnostics
bin/evaluate --run=DIR --data=FILE     on other examples: an .npz (x, y), a .csv, or a folder of pictures per class

A run without novelty.json gets one, which bin/export and then bin/classify --novelty need; one without report.html gets its
page.
The generative classifier p(y|x) of --bayes_samples is Bayes' rule on importance-weighted estimates of p(x, y). Diagnostics
are the bound's terms by factor, the KL divergence of each unit and the number of active units of each latent.
"""

import dataclasses

from absl import flags

from tfadgm import telling
from tfadgm.cli import common
from tfadgm.runs import allowed


def define_flags():
    """Defines the flags."""
    common.define_path("run", "Directory of a run of bin/train.")
    flags.DEFINE_integer("test_samples", 100, "Samples of a averaged inside q(y|x).", lower_bound=1)
    flags.DEFINE_integer("density_samples", 100, "Importance samples of log p(x).", lower_bound=1)
    flags.DEFINE_integer("density_examples", 1000, "Examples whose log p(x) is estimated.", lower_bound=1)
    flags.DEFINE_integer(
        "bayes_samples", 0, "Importance samples of p(x, y) for p(y|x); 0: no such classifier.", lower_bound=0
    )
    flags.DEFINE_integer("bayes_examples", 1000, "Examples that it classifies.", lower_bound=1)
    flags.DEFINE_bool("diagnostics", False, "Whether the bound is taken apart.")
    common.define_path("data", "Other examples to measure on: a file, or a folder of pictures.")
    common.define_progress()


def before(argv):
    """Refuses what needs no TensorFlow."""
    values = flags.FLAGS
    allowed.check_run(values.run)
    if values.data and (values.bayes_samples or values.diagnostics):
        raise ValueError(f"data: got {values.data} with bayes_samples or diagnostics; allowed: without, for a run's own")


def main(argv):
    """Flags to one call of `report.evaluate`."""
    from tfadgm.evaluation import measured
    from tfadgm.reporting import report
    from tfadgm.runs import run_directory

    values = flags.FLAGS
    opened = run_directory.Run.open(values.run)
    samples = {name: values[name].value for name in ("test_samples", "density_samples", "density_examples")}
    settings = dataclasses.replace(opened.settings, **samples)
    data, split = opened.data()
    other = None
    if values.data:
        with telling.task(f"reading {values.data}"):
            other = measured.read(values.data, opened, data)
    if values.bayes_samples:
        report.check_bayes(opened.model, data, split, values.bayes_samples)
    results, *answers = report.evaluate(opened.model, settings, data, split, measured=other)
    if values.bayes_samples:
        results.update(
            report.bayes(opened.model, data, split, values.bayes_samples, values.bayes_examples, values.test_samples)
        )
    if values.diagnostics:
        results["diagnostics"] = report.diagnose(opened.model, data, split, values.density_examples)
    results = report.finite(results | ({"data": str(values.data)} if values.data else {}))
    _write(opened.path / "evaluation.json", results)
    usual = _reference(opened, data, split)
    if other is None:
        _write_page(opened, settings, data, split, results, usual, *answers)
    print(common.results_table(results))
    if values.diagnostics:
        print(common.diagnostics_table(results["diagnostics"]))
    return common.check_finite(results)


def _write(path, results):
    from tfadgm.runs import run_directory
    from tfadgm.telling import warn

    try:
        run_directory.write_json(path, results)
    except OSError as error:  # a run that somebody else keeps
        warn(f"{path} was not written: {error.strerror or error}")


def _reference(opened, data, split):
    """What new examples are compared with; it is written if the run has none, as an older one, or a damaged one."""
    from tfadgm.runs import reference

    try:
        found = reference.read(opened.path)
    except ValueError:
        found = None
    if found is None:
        found = reference.measure(opened.model, data, split)
        if found is not None:
            _write(opened.path / reference.NAME, found.to_dict())
    return found


def _write_page(opened, settings, data, split, results, usual, y, probabilities):
    """Of an older run, or of one whose page was lost."""
    from tfadgm.runs import report_page

    if (opened.path / report_page.NAME).exists():
        return
    page = report_page.remake(opened.path, opened, settings, data, split, results, y, probabilities, usual)
    if page is not None:
        telling.tell(f"evaluate: wrote {page}")


main.before = before


def entry():
    """The console command."""
    common.run(main, define_flags)


if __name__ == "__main__":
    entry()
