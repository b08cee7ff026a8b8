"""Reproduces the papers' tables and figures, cell by cell.

bin/reproduce --list
bin/reproduce maaloe2016-table2-mnist-sdgm --seeds=0,1,2 --data_dir=DIR
bin/reproduce maaloe2016-figure5 --data_dir=DIR             all cells of that name, and their curves in one figure
bin/reproduce --all --cores=1 --data_dir=DIR                what is not yet on record, one after the other, at low priority
bin/reproduce --all --jobs=4 --data_dir=DIR                 four at a time, each on a quarter of the cores
bin/reproduce --all --status                                how far each is

A cell's work is a number of epochs, so that it gives the same result wherever it runs; it goes on where it was interrupted.
--budget_minutes is for a look, whose rows are never the cell's record. OUT/figures/index.html shows all figures.
"""

import pathlib

from absl import flags

from tfadgm.cli import common
from tfadgm.experiments import CELLS

OUT = "runs/reproduce"


def define_flags():
    """Defines the flags."""
    flags.DEFINE_bool("list", False, "Whether to print all cells, what was measured and which are reproduced.")
    flags.DEFINE_bool("all", False, "Whether to run what is not yet on record, in the order of the queue.")
    flags.DEFINE_string("only", None, "With --all: names that begin so.")
    flags.DEFINE_bool("status", False, "With --all: whether to print how far each is, and run nothing.")
    flags.DEFINE_integer("cores", None, "With --all: how many cores it may use; default: all.", lower_bound=1)
    flags.DEFINE_integer(
        "jobs", 1, "With --all: how many cells are run at a time, each on its share of them.", lower_bound=1
    )
    flags.DEFINE_integer("priority", 19, "With --all: niceness of what trains, 0 to 19.", lower_bound=0, upper_bound=19)
    flags.DEFINE_list("seeds", ["0"], "Seeds of labels, weights and noise.")
    flags.DEFINE_float("budget_minutes", None, "For a look: training time of each seed, a run of its own.", lower_bound=0.01)
    common.define_path("data_dir", "TensorFlow Datasets directory (and that of frey_rawface.mat).")
    flags.DEFINE_string("tfds_name", None, "Read SVHN from a TFDS copy of this name.")
    common.define_path("out", f"Where the runs are kept; default: {OUT}.")
    common.define_path("records", "Where the records are kept; default: benchmarks/results/cells, or OUT/records.")
    common.define_progress()


def before(argv):
    """Refuses what needs no TensorFlow."""
    values = flags.FLAGS
    queued = values.all or values.status
    for name in ("seeds", "budget_minutes") if queued else ("only", "cores", "jobs", "priority"):
        if values[name].present:
            raise ValueError(f"{name}: got {values[name].value} {'with' if queued else 'without'} --all; allowed: none")
    if not queued:
        _names(argv[1:], CELLS, values.list)
        return [_seed(text) for text in values.seeds] and None
    if len(argv) > 1:
        raise ValueError(f"got the cell {argv[1]!r} beside --all; allowed: --only=BEGINNING")
    _chosen(values)


def main(argv):
    """Flags to one call of `runner` for each seed."""
    from tfadgm.experiments import figures_page, listing, pictures, runner

    values = flags.FLAGS
    if values.all or values.status:
        return _queue(values)
    out = pathlib.Path(values.out or OUT)
    records = values.records or _default_records(out)
    chosen = {name: CELLS[name] for name in _names(argv[1:], CELLS, values.list)}
    if values.list:
        print("\n".join(listing.blocks(chosen, records, values.data_dir)))
        return
    seeds = [_seed(text) for text in values.seeds]
    data = dict(data_dir=values.data_dir, tfds_name=values.tfds_name)
    found, code = {}, 0
    for cell in chosen.values():
        for seed in seeds:
            directory = runner.directory_of(cell, seed, values.budget_minutes, out)
            before = common.Completeness(directory)
            row = runner.run_cell(cell, seed, values.budget_minutes, out, records, **data)
            curves = runner.metrics(cell, seed, values.budget_minutes, out)
            found[f"{cell.name}, seed {seed}"] = (row, *curves)
            code = max(code, common.check_finite(row))
            if before.holds():
                print(f"{cell.name}, seed {seed}: {directory} is complete; {row['value']:.2f}")
            _show(cell, directory)
        print("\n".join(listing.blocks({cell.name: cell}, records, values.data_dir)))
    pictures.together(found, out / "figures" / "_".join(argv[1:3]))
    print(f"all figures: {figures_page.write(out, CELLS, records)}")
    return code


main.takes_files = main.goes_on = True
main.before = before


def _chosen(values):
    """Returns the cells of the queue, by name."""
    chosen = {name: cell for name, cell in CELLS.items() if name.startswith(values.only or "")}
    if not chosen:
        raise ValueError(f"only: got {values.only!r}; allowed: the beginning of names that --list prints")
    return chosen


def _queue(values):
    """Runs the queue, or prints its state; the exit code tells of failures."""
    from tfadgm.experiments import queue

    chosen = _chosen(values)
    out = pathlib.Path(values.out or OUT)
    records = values.records or _default_records(out)
    if values.status:
        print("\n".join(queue.status(chosen, out, records, values.data_dir)))
        return 0
    data = dict(data_dir=values.data_dir, tfds_name=values.tfds_name)
    failed = queue.run_all(chosen, out, records, values.cores, values.priority, values.jobs, **data)
    lacking = [line for line in queue.status(chosen, out, records, values.data_dir) if line.endswith("not available")]
    print("\n".join(["failed:", *failed] if failed else ["all is on record", *(f"but {line}" for line in lacking)]))
    return int(bool(failed))


def _names(given, cells, listing):
    """Returns the names of the cells that are given by name, or by the beginning of their names."""
    if not given and not listing:
        raise ValueError("got no cell; allowed: --list, or names that it prints, or beginnings of names")
    found = []
    for name in given or [""]:
        fitting = [name] if name in cells else [cell for cell in cells if not name or cell.startswith(f"{name}-")]
        if not fitting:
            raise ValueError(f"unknown cell: got {name!r}; allowed: those that --list prints, or the beginning of names")
        found += fitting
    return list(dict.fromkeys(found))


def _show(cell, directory):
    for name in cell.figures:
        path = directory / "figures" / name
        print(f"{cell.name}: {path}" if path.exists() else f"{cell.name}: {path} was not drawn")


def _seed(text):
    if not text.isdigit():
        raise ValueError(f"seeds: got {text!r}; allowed: whole numbers of at least 0, separated by commas")
    return int(text)


def _default_records(out):
    checkout = pathlib.Path(__file__).resolve().parents[2] / "benchmarks" / "results"
    return checkout / "cells" if checkout.is_dir() else pathlib.Path(out) / "records"


def entry():
    """The console command."""
    common.run(main, define_flags)


if __name__ == "__main__":
    entry()
