"""Fits the auxiliary variational model to a 2-D energy (Maaloe et al. 2016, figure 2a-b), beside a mean-field Gaussian.

  bin/potential --energy=U1 --seed=0 --out=DIR
  bin/potential --energy=U1 --seeds=0,1,2,3,4 --out=DIR

Writes results.json and density.png into DIR, or DIR/SEED for each of several seeds, and prints one line per seed.
Expected for U1, log Z 1.8775: bound 1.853 to 1.856, mean field 0.975 to 0.976.
"""

import dataclasses
import pathlib

from absl import flags

from tfadgm.cli import common
from tfadgm.experiments.energy_settings import ENERGIES, Settings


def define_flags():
    """Defines the flags; not at import, so that the verbs can be imported together."""
    flags.DEFINE_string("energy", "U1", "Energy of Rezende and Mohamed 2015, table 1: U1, U2, U3 or U4.")
    flags.DEFINE_integer("seed", 0, "Seed of weights and noise.", lower_bound=0, upper_bound=2**31 - 1)
    flags.DEFINE_list("seeds", None, "Several seeds, separated by commas, instead of --seed.")
    common.define_path("out", "Directory of the results; default runs/potential-ENERGY.")
    flags.DEFINE_bool("overwrite", False, "Whether existing results are replaced.")
    flags.DEFINE_bool("xla", False, "Whether training is compiled by XLA.")
    for field in dataclasses.fields(Settings):
        define = flags.DEFINE_integer if field.type is int else flags.DEFINE_float
        define(field.name, field.default, field.metadata["text"])
    common.define_progress()


def before(argv):
    """Refuses what needs no TensorFlow."""
    energy = flags.FLAGS.energy
    if energy not in ENERGIES:
        raise ValueError(f"energy: got {energy!r}; allowed: {', '.join(ENERGIES)}")
    _settings()
    _directories()


def _settings():
    return Settings(**{field.name: flags.FLAGS[field.name].value for field in dataclasses.fields(Settings)})


def _directories():
    """Returns {seed: directory} of the flags."""
    values = flags.FLAGS
    base = values.out or pathlib.Path("runs", f"potential-{values.energy}")
    return choose_directories(base, values.seed if values["seed"].present else None, values.seeds, values.overwrite)


def main(argv):
    """Flags to one call of `experiment` per seed, and files."""
    from tfadgm.experiments import energies
    from tfadgm.runs import run_directory

    values, settings, code = flags.FLAGS, _settings(), 0
    for seed, directory in _directories().items():
        directory.mkdir(parents=True, exist_ok=True)  # refuse a bad --out before the work
        results, models = energies.experiment(values.energy, settings, seed, values.xla)
        energies.draw(values.energy, *models, results, directory / "density.png")
        run_directory.write_json(directory / "results.json", results)
        print(energies.summary(results), flush=True)
        code = max(code, common.check_finite(results))
    return code


def choose_directories(base, seed=None, seeds=None, overwrite=False):
    """Returns a dict of seed to directory: `base` for one seed (default 0), base/SEED for each of a list `seeds`.

    Raises a ValueError for both, for seeds (texts) that are no whole numbers, and for results that must not be replaced.
    """
    if seeds is not None and seed is not None:
        raise ValueError("seeds: got --seed too; allowed: one of --seed and --seeds")
    wrong = [text for text in seeds or [] if not (text.isdecimal() and int(text) < 2**31)]
    if wrong or seeds == []:
        raise ValueError(f"seeds: got {', '.join(map(repr, wrong)) or 'none'}; allowed: whole numbers, as --seeds=0,1,2")
    base = pathlib.Path(base)
    directories = {seed or 0: base} if seeds is None else {number: base / str(number) for number in map(int, seeds)}
    existing = [path / "results.json" for path in directories.values() if (path / "results.json").exists()]
    if existing and not overwrite:
        raise ValueError(f"out: {existing[0]} exists; allowed: another directory, or --overwrite")
    return directories


main.before = before


def entry():
    """The console command."""
    common.run(main, define_flags)


if __name__ == "__main__":
    entry()
