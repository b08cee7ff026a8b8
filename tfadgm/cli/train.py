"""Trains a deep generative model on a few labels and a lot of unlabelled data; evaluates, draws and exports it.

  bin/train --model=adgm --dataset=digits --labels=100
  bin/train --model=sdgm --dataset=mnist --labels=100 --minutes=30 --data_dir=DIR
  bin/train --model=sdgm --dataset=npz:FILE --out=DIR

The common flags: --model --dataset --labels --out --epochs or --minutes --seed --validation --data_dir. All others have
measured defaults per data set; 'none' unsets one. The same command again goes on where it was interrupted.
"""

import dataclasses
import pathlib

from absl import flags

from tfadgm.cli import common
from tfadgm.runs import allowed, recipes
from tfadgm.runs.settings import Settings, parse


def define_flags():
    """Defines --out, --quiet and one flag per field of `Settings`."""
    common.define_path("out", "[common] Run directory; default runs/MODEL-DATASET-LABELS-SEED.")
    flags.DEFINE_bool("quiet", False, "[common] Print the summary only.")
    for field in dataclasses.fields(Settings):
        data = field.metadata
        allowed = f" One of: {', '.join(data['choices'])}." if data["choices"] else ""
        common.define_text(field.name, f"[{data['group']}] {data['text']}{allowed}{_default(field)}", data["kind"] is bool)


def _default(field):
    if field.default is None or field.name == "dataset":
        return ""
    value = ",".join(map(str, field.default)) if isinstance(field.default, tuple) else field.default
    return f" Default: {value}{'' if field.name in ('model', 'seed') else ', or that of the data set'}."


def settings_from_flags():
    """Returns the `Settings` of the flags that were given, on top of the data set's recipe."""
    names = [field.name for field in dataclasses.fields(Settings)]
    given = {name: parse(name, flags.FLAGS[name].value) for name in names if flags.FLAGS[name].value is not None}
    model, dataset = given.pop("model", "sdgm"), given.pop("dataset", None)
    settings = recipes.resolve(model, dataset or "mnist", **given)
    if not dataset:
        raise ValueError(
            "dataset: got none; allowed: --dataset=digits (downloads nothing), npz:FILE, csv:FILE, images:DIR, ..."
        )
    return settings


def default_directory(settings):
    """Returns the run directory of settings that were given none."""
    dataset = settings.dataset.partition(":")
    name = dataset[0] if not dataset[1] else f"{dataset[0]}_{pathlib.Path(dataset[2]).stem}"
    labels = "all" if settings.labels is None else settings.labels
    return pathlib.Path("runs") / f"{settings.model}-{name}-{labels}-{settings.seed}"


def _asked():
    """Returns (settings, run directory) of the flags."""
    settings = settings_from_flags()
    return settings, pathlib.Path(flags.FLAGS.out) if flags.FLAGS.out else default_directory(settings)


def before(argv):
    """Refuses what needs no TensorFlow."""
    settings, directory = _asked()
    allowed.check_data(settings)
    allowed.check_model(settings)
    allowed.check_files(settings)
    allowed.check_directory(directory)


def main(argv):
    """Flags to one call of `run.train`."""
    from tfadgm.runs import report_page, run
    from tfadgm.training import workers

    settings, directory = _asked()
    before = _written(directory / "results.json")
    results = run.train(settings, directory, quiet=flags.FLAGS.quiet)
    if settings.strategy == "multi_worker" and not workers.join().is_chief:
        return 0
    if before and before == _written(directory / "results.json"):
        print(f"{directory} is complete; its results:")
    print(common.results_table(results, results.get("warmup_epochs", 0.0)))
    print(f"  figures in {directory / 'figures'}, exported model in {directory / 'export'}")
    if (directory / report_page.NAME).exists():
        print(f"  report: {directory / report_page.NAME}")
    return common.check_finite(results)


def _written(path):
    return path.stat().st_mtime_ns if path.exists() else None


main.goes_on, main.before = True, before


def entry():
    """The console command."""
    common.run(main, define_flags)


if __name__ == "__main__":
    entry()
