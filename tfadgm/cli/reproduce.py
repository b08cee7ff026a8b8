"""Reproduces the papers' tables and figures, cell by cell.

bin/reproduce --list
bin/reproduce maaloe2016-table2-mnist-sdgm --seeds=0,1,2 --budget_minutes=30 --data_dir=DIR
bin/reproduce maaloe2016-table1-vae maaloe2016-table1-avae-1 --data_dir=DIR         and their curves in one figure

A cell goes on where it was interrupted, stops at its budget, and is recorded with what it reached.
"""

import pathlib

from absl import flags

from tfadgm.cli import common


def define_flags():
    """Defines the flags."""
    flags.DEFINE_bool("list", False, "Whether to print all cells, what was measured and which are reproduced.")
    flags.DEFINE_list("seeds", ["0"], "Seeds of labels, weights and noise.")
    flags.DEFINE_float("budget_minutes", None, "Training time of each seed; default: the cell's own.", lower_bound=0.01)
    flags.DEFINE_string("data_dir", None, "TensorFlow Datasets directory.")
    flags.DEFINE_string("tfds_name", None, "Read SVHN from a TFDS copy of this name.")
    flags.DEFINE_string("out", "runs/reproduce", "Where the runs are kept.")
    flags.DEFINE_string("records", None, "Where the records are kept; default: benchmarks/results/cells, or OUT/records.")


def main(argv):
    """Flags to one call of `runner` for each seed."""
    from tfadgm.experiments import CELLS, pictures, runner

    values = flags.FLAGS
    records = values.records or _default_records(values.out)
    if values.list:
        print("\n".join(runner.table(CELLS.values(), records, values.data_dir)))
        return
    names = argv[1:]
    if not names:
        raise ValueError("got no cell; allowed: --list, or names that it prints")
    for name in names:
        if name not in CELLS:
            raise ValueError(f"unknown cell: got {name!r}; allowed: those that --list prints")
    seeds = [_seed(text) for text in values.seeds]
    data = dict(data_dir=values.data_dir, tfds_name=values.tfds_name)
    for name in names:
        for seed in seeds:
            runner.run_cell(CELLS[name], seed, values.budget_minutes, values.out, records, **data)
        print("\n".join(runner.table([CELLS[name]], records, values.data_dir)))
    curves = {f"{n}, seed {s}": rows for n in names for s in seeds if (rows := runner.metrics(CELLS[n], s, values.out))}
    if len(curves) > 1:
        pictures.learning_curves(curves, pathlib.Path(values.out) / "learning_curves.png")
    print(f"all figures: {pictures.index(values.out)}")


main.takes_files = True


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
