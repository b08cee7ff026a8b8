"""Compares finished runs: a table with mean and spread over seeds, their curves, which settings differ; a page of it.

  bin/compare RUN...
  bin/compare runs/adgm-digits-100-* runs/m2-digits-100-0 --out=FILE

RUN is a directory of bin/train. Runs whose settings differ by the seed alone are one row. FILE is an .html, one page that
needs nothing else; default: comparison.html.
"""

import pathlib

from absl import flags

from tfadgm.cli import common


def define_flags():
    """Defines the flags."""
    common.define_path("out", "The page that is written, an .html; default: comparison.html.")
    flags.DEFINE_bool("overwrite", False, "Whether an existing file is replaced.")
    common.define_progress()


def before(argv):
    """Refuses what needs no TensorFlow."""
    out = _out()
    if out.suffix not in (".html", ".htm"):
        raise ValueError(f"out: got {out}; allowed: --out=FILE, an .html")
    if out.exists() and not flags.FLAGS.overwrite:
        raise ValueError(f"out: {out} exists; allowed: another file, or --overwrite")
    if not argv[1:]:
        raise ValueError("got no run; allowed: at least one directory that bin/train made")


def _out():
    return pathlib.Path(flags.FLAGS.out or "comparison.html")


def main(argv):
    """Directories to one page; prints its table."""
    from tfadgm.reporting.page import compare_page, render
    from tfadgm.runs import comparison

    out = _out()
    groups = compare_page.named(comparison.groups([comparison.finished(path) for path in argv[1:]]))
    out.parent.mkdir(parents=True, exist_ok=True)
    render.write(compare_page.page(groups), out)
    print(common.table(compare_page.lines(groups)))
    print(f"  page: {out}")


main.takes_files, main.before = True, before


def entry():
    """The console command."""
    common.run(main, define_flags)


if __name__ == "__main__":
    entry()
