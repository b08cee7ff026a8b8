"""`light_bin.py VERB --FLAG=...` is bin/VERB, for tests of processes: without page, figures and what light.py leaves out."""

import importlib
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from tfadgm import telling  # noqa: E402
from tfadgm.cli import common  # noqa: E402


def enter(verb):
    """Does what the program `verb` of bin/ does."""
    with telling.showing("off"):
        common.import_tensorflow_quietly()
    import light

    from tfadgm.reporting import figures
    from tfadgm.runs import report_page

    figures.all_figures, report_page.write = light.no_figures, lambda *arguments, **found: None
    with light.runs():
        importlib.import_module(f"tfadgm.cli.{verb}").entry()


if __name__ == "__main__":
    enter(sys.argv.pop(1))
