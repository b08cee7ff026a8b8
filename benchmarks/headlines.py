"""README's table of results, from the records: the few numbers that a reader wants, each with the command that made it."""

import json
import pathlib
import statistics

import own_results

ROOT = pathlib.Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
BEGIN, END = "<!-- results: benchmarks/headlines.py -->", "<!-- end of results -->"
# Cells whose whole work is shown once it is on record, and what each is.
CELLS = {
    "own-mnist-100": "MNIST, 100 labels, M2 with convolutions",
    "maaloe2016-table2-mnist-sdgm": "MNIST, 100 labels, SDGM with the paper's networks",
    "maaloe2016-table2-mnist-adgm": "MNIST, 100 labels, ADGM with the paper's networks",
    "kingma2014-table1-m2-100": "MNIST, 100 labels, M2 with the paper's networks",
    "own-svhn-1000": "SVHN, 1,000 labels, M2 with convolutions",
    "maaloe2016-svhn-without-extra": "SVHN, 1,000 labels, SDGM with the paper's networks",
    "kingma2014-m1": "MNIST, log p(x), VAE of 50 latents",
    "maaloe2016-table1-avae-2": "MNIST, log p(x), AVAE of two layers",
    "cagem2017-table1-100": "MNIST, log p(x), CaGeM, 100 labels",
}


def block():
    """Returns the lines of the table."""
    lines = ["| data, model | here | beside it | made by |", "|---|---|---|---|"]
    lines += [f"| {' | '.join(row)} |" for row in (_digits(), *_cells(), _tables()) if row]
    return lines


def text(readme):
    """Returns the text of README.md, with the table between its marks."""
    before, _, rest = readme.partition(BEGIN)
    _, _, after = rest.partition(END)
    return "\n".join([before + BEGIN, "", *block(), "", END + after])


def write():
    """Writes the table into README.md."""
    path = ROOT / "README.md"
    path.write_text(text(path.read_text()))


def _digits():
    content = json.loads((RESULTS / "digits.json").read_text())
    of = {name: [row for row in content["rows"] if row["method"] == name] for name in ("adgm", "supervised baseline")}
    here = f"{_percent(of['adgm'], 'test_error')} error, {_calibration(of['adgm'])}"
    alone = f"{_percent(of['supervised baseline'], 'test_error')} by the labels alone"
    return "digits, 100 labels, ADGM", here, alone, f"`{content['command']}`"


def _cells():
    from tfadgm.experiments import CELLS as known
    from tfadgm.experiments import runner

    for name, what in CELLS.items():
        cell = known[name]
        rows = cell.on_record(runner.rows_of(name, RESULTS / "cells"))
        if not rows:
            continue
        unit = "% error" if cell.measure == "error" else " nats"
        values = [row["value"] for row in rows]
        here = f"{_spread(values)}{unit}" + (f", {_calibration(rows)}" if cell.measure == "error" else "")
        here += " (one seed)" if len(values) == 1 else ""
        paper = "-" if cell.paper is None else f"paper {cell.paper:g}"
        seeds = ",".join(str(row["seed"]) for row in rows)
        yield what, here, paper, f"`{runner.command(cell, seeds)}`"


def _tables():
    path = RESULTS / "own" / "tables.json"
    if not path.exists():
        return None
    content = json.loads(path.read_text())
    best = {
        labels: own_results.standing([row for row in content["rows"] if row["labels"] == labels])[0]
        for labels in sorted({row["labels"] for row in content["rows"]})
    }
    tables = len({row["table"] for row in content["rows"]})
    here = f"best, or as good as the best, on {_listed(len(found) for found in best.values())} of {tables}"
    beside = f"seven classifiers, with {_listed(best)} labels per class"
    return "tables of few rows, the default", here, beside, f"`{content['command']}`"


def _listed(values):
    *rest, last = map(str, values)
    return f"{', '.join(rest)} and {last}" if rest else last


def _calibration(rows):
    key = "ece_equal_mass" if all("ece_equal_mass" in row for row in rows) else "ece"
    nll = statistics.mean(row["nll"] for row in rows)
    return f"ECE {100 * statistics.mean(row[key] for row in rows):.1f}%, NLL {nll:.2f}"


def _percent(rows, key):
    return f"{_spread([100 * row[key] for row in rows])}%"


def _spread(values):
    """The mean, and where there are several their standard deviation."""
    spread = f" +- {statistics.stdev(values):.2f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.2f}{spread}"
