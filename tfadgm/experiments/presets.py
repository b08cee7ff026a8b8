"""Settings by name: the recipes of data sets, and those of the cells of the papers' tables."""

from tfadgm.experiments import CELLS
from tfadgm.runs import configuration, recipes

TRAINED = (None, "tfadgm.experiments.toys:digit_extraction")  # calls whose training is that of bin/train


def names():
    """Returns {name: where it is from} of all presets, the recipes first."""
    found = {name: f"the recipe of the data set {name}, as with --dataset={name}" for name in recipes.DATASETS}
    return found | {name: cell.source for name, cell in _cells().items()}


def settings(name):
    """Returns the settings of a preset, {name: value}, or raises a ValueError that names those like it."""
    cells = _cells()
    if name in recipes.DATASETS:
        return dict(dataset=name)
    if name not in cells:
        raise ValueError(f"preset: got {name!r}; allowed: {configuration.nearest(name, [*names(), 'list'])}")
    return dict(cells[name].settings) | ({} if cells[name].epochs is None else dict(epochs=cells[name].epochs))


def lines():
    """Returns a line for each preset: its name, where it is from, and what is trained on what for how long."""
    found, width = names(), max(map(len, names()))
    return [f"  {name:<{width}}  {source}{_work(name)}" for name, source in found.items()]


def _work(name):
    given = settings(name)
    work = f", {given['epochs']} epochs" if "epochs" in given else ""
    of_first = CELLS[name].first if name in CELLS else None
    first = f"; --first_run=a run of {of_first}, else half of the work" if of_first else ""
    place = "; --dataset=freyface:FILE" if given["dataset"] == "freyface" else ""
    return (f" ({given['model']} on {given['dataset']}{work})" if "model" in given else "") + first + place


def _cells():
    """The cells that are one run of bin/train, and whose run is not that of another cell."""
    found = {name: cell for name, cell in CELLS.items() if cell.settings is not None and cell.call in TRAINED}
    return {name: cell for name, cell in found.items() if cell.run is None}
