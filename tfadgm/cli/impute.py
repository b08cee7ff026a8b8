"""Fills the missing cells of a table with a trained model of tables.

  bin/impute --run=DIR FILE --out=FILE
  bin/impute --run=DIR FILE --out=FILE --draws=5 --mark

FILE is a .csv or .parquet with the columns that the model was trained on, in any order. All its rows and columns are written
to --out, a .csv or .parquet; what is there stays as it is. A missing cell gets its mean given what is observed in its row (a
category, or yes or no, its most probable value; a count the nearest whole number). With --draws=N each row is completed N
times by draws from p(missing | observed), for multiple imputation, with a column `draw` that numbers them.
"""

import pathlib

from absl import flags

from tfadgm.cli import common
from tfadgm.data import files
from tfadgm.runs import allowed


def define_flags():
    """Defines the flags; not at import, so that the verbs can be imported together."""
    common.define_path("run", "Directory of a run of bin/train.")
    common.define_path("out", "The file that is written, a .csv or .parquet.")
    flags.DEFINE_integer("draws", None, "How many completions are drawn; default: one, of means.", lower_bound=1)
    flags.DEFINE_integer("samples", 100, "Draws of the latents for each row.", lower_bound=1)
    flags.DEFINE_bool("mark", False, "Whether a column `filled` names the columns that were filled in each row.")
    flags.DEFINE_bool("overwrite", False, "Whether an existing file is replaced.")
    common.define_progress()


def before(argv):
    """Refuses what needs no TensorFlow."""
    values = flags.FLAGS
    check_out(values.out, values.overwrite)
    if not values.run or len(argv) != 2:
        raise ValueError(f"got --run={values.run} and {len(argv) - 1} files; allowed: --run=DIR, and one .csv or .parquet")
    files.check_regular(argv[1], "a .csv or .parquet")
    allowed.check_run(values.run)


def main(argv):
    """Flags to one call of `evaluation.impute`; prints the file that is written, and how many cells were missing."""
    import numpy as np

    from tfadgm import evaluation, telling
    from tfadgm.data import encoding, examples, spelling
    from tfadgm.runs import run_directory

    values = flags.FLAGS
    source = examples.open_table(argv[1])
    if source is None:
        raise ValueError(f"{argv[1]}: is no table; allowed: a .csv or .parquet")
    opened = run_directory.Run.open(values.run)
    if opened.columns is None:
        raise ValueError(f"run: {values.run} has no model of tables; allowed: a run of a csv or parquet")
    with telling.task(f"reading {argv[1]}"):
        x = encoding.encode(source, opened.columns)
    opened.model.preprocess.check_missing(x, argv[1])
    for remark in source.remarks:
        telling.warn(remark)
    if not len(x):
        raise ValueError(f"{argv[1]}: has no row; allowed: at least one")
    filled = evaluation.impute(opened.model, x, values.samples, values.draws)
    if not np.isfinite(filled).all():
        raise ValueError("run: the model fills in numbers that are not finite; allowed: one whose training went well")
    whole = opened.model.preprocess.whole
    completed = spelling.completed(source, opened.columns, x, filled, values.mark, whole)
    write(completed, values.out, getattr(source, "delimiter", ","))
    print(
        f"{values.out}: {np.isnan(x).sum()} of {x.size} cells were missing, in {np.isnan(x).any(1).sum()} of {len(x)} rows"
    )


def check_out(out, overwrite=False):
    """Raises a ValueError if there is no file `out` that may be written."""
    if not out or pathlib.Path(out).suffix not in (".csv", ".parquet"):
        raise ValueError(f"out: got {out or 'none'}; allowed: --out=FILE, a .csv or .parquet")
    if pathlib.Path(out).exists() and not overwrite:
        raise ValueError(f"out: {out} exists; allowed: another file, or --overwrite")


def write(table, out, delimiter=","):
    """Writes a `pyarrow.Table` under a temporary name and renames it; a csv has the delimiter of the file that is filled."""
    import pyarrow.parquet

    out = pathlib.Path(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    unfinished = out.with_name(f".unfinished-{out.name}")
    try:
        if out.suffix == ".parquet":
            pyarrow.parquet.write_table(table, unfinished)
        else:
            table.to_pandas().to_csv(unfinished, index=False, sep=delimiter)
        unfinished.replace(out)
    finally:
        unfinished.unlink(missing_ok=True)


main.takes_files, main.before = True, before


def entry():
    """The console command."""
    common.run(main, define_flags)


if __name__ == "__main__":
    entry()
