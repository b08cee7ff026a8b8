"""Trains a deep generative model on a few labels and a lot of unlabelled data; evaluates, draws and exports it.

  bin/train --model=adgm --dataset=digits --labels=100
  bin/train --model=sdgm --dataset=mnist --labels=100 --minutes=30 --data_dir=DIR
  bin/train --model=sdgm --dataset=npz:FILE --out=DIR
  bin/train --preset=maaloe2016-table2-mnist-sdgm --data_dir=DIR       a cell of a paper's table; --preset=list shows all
  bin/train --config=DIR --seed=1 --out=OTHER                          the settings of a run, or of a YAML or JSON file

The common flags: --model --dataset --labels --out --epochs or --minutes --seed --validation --data_dir. All others have
measured defaults per data set; 'none' unsets one. A flag wins over --config, that over --preset, that over the defaults.
The same command again goes on where it was interrupted.
"""

import pathlib

from absl import flags

from tfadgm.cli import asked, common
from tfadgm.runs import allowed, repeating


def define_flags():
    """Defines --out, --quiet and those of settings."""
    common.define_path("out", "[common] Run directory; default runs/MODEL-DATASET-LABELS-SEED.")
    flags.DEFINE_bool("quiet", False, "[common] Print the summary only.")
    asked.define_flags()
    common.define_progress()


def default_directory(settings):
    """Returns the run directory of settings that were given none."""
    dataset = settings.dataset.partition(":")
    name = dataset[0] if not dataset[1] else f"{dataset[0]}_{pathlib.Path(dataset[2]).stem}"
    labels = "all" if settings.labels is None else settings.labels
    return pathlib.Path("runs") / f"{settings.model}-{name}-{labels}-{settings.seed}"


def _asked():
    """Returns (settings, run directory) of the flags."""
    settings = asked.settings()
    return settings, pathlib.Path(flags.FLAGS.out) if flags.FLAGS.out else default_directory(settings)


def before(argv):
    """Refuses what needs no TensorFlow; lists the presets."""
    if asked.lists_presets():
        return 0
    settings, directory = _asked()
    asked.check(settings)
    allowed.check_terms(settings)
    allowed.check_directory(directory)


def main(argv):
    """Flags to one call of `run.train`."""
    from tfadgm.runs import report_page, run
    from tfadgm.training import workers

    settings, directory = _asked()
    before = common.Completeness(directory)
    results = run.train(settings, directory, quiet=flags.FLAGS.quiet)
    if settings.strategy == "multi_worker" and not workers.join().is_chief:
        return 0
    if before.holds():
        print(f"{directory} is complete; its results:")
    print(common.results_table(results, results.get("warmup_epochs", 0.0)))
    print(f"  figures in {directory / 'figures'}, exported model in {directory / 'export'}")
    if (directory / report_page.NAME).exists():
        print(f"  report: {directory / report_page.NAME}")
    print(f"to repeat it: {repeating.again(directory)}", flush=True)
    return common.check_finite(results)


main.goes_on, main.before = True, before


def entry():
    """The console command."""
    common.run(main, define_flags)


if __name__ == "__main__":
    entry()
