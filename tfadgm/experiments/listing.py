"""Tables of what was measured of the papers: a Markdown table, and a block of text per cell."""

import pathlib
import statistics

from tfadgm import machine
from tfadgm.experiments import runner
from tfadgm.experiments.cell import MEASURES

TFDS_NAMES = {"mnist": "mnist", "svhn": "svhn_cropped", "norb": "smallnorb", "omniglot": "omniglot"}


def status(cell, rows, data_dir=None):
    """Returns the verdict on `rows` (see `Cell.verdict`), or what there is in place of one.

    "a look": of less work. "of a former recipe", "not run", "data not available".
    """
    if rows:
        whole = cell.on_record(rows)
        return cell.verdict(whole) if whole else "of a former recipe" if cell.of_whole_work(rows) else "a look"
    name = cell.dataset.partition(":")[0]
    if data_dir and name == "freyface" and not runner.frey_file(data_dir).exists():
        return "data not available"
    tfds = TFDS_NAMES.get(name)
    if data_dir and tfds and not any(pathlib.Path(data_dir).expanduser().glob(f"{tfds.partition('_')[0]}*")):
        return "data not available"
    return "not run"


def shown(cell, rows):
    """Returns the rows of the cell's whole work; where there are none, the looks of the largest budget."""
    most = max((row["minutes"] or 0.0 for row in rows), default=None)
    return cell.on_record(rows) or [row for row in rows if (row["minutes"] or 0.0) == most]


def against(cell, records):
    """Returns (mean, standard error, pairs) of a cell's values less those of its control, over the seeds that both have.

    None if they have no seed of the same budget; the standard error is None for one seed.
    """
    ours, theirs = shown(cell, runner.rows_of(cell.name, records)), runner.rows_of(cell.control, records)
    values = {(row["seed"], row["minutes"]): row["value"] for row in theirs}
    found = [row["value"] - values[key] for row in ours if (key := (row["seed"], row["minutes"])) in values]
    if not found:
        return None
    return statistics.mean(found), statistics.stdev(found) / len(found) ** 0.5 if len(found) > 1 else None, len(found)


def table(cells, records, data_dir=None):
    """Returns the lines of a Markdown table of `cells` (name to `Cell`), each of what `shown` gives, and notes."""
    lines = ["| cell | source | paper | here | seeds | work | verdict |", "|---|---|---|---|---|---|---|"]
    notes = []
    for cell in cells.values():
        rows = shown(cell, runner.rows_of(cell.name, records))
        seeds = ", ".join(str(row["seed"]) for row in rows) or "-"
        source = f"{cell.source} ({_measure(cell)})".replace("|", "\\|")
        here, found = _here(rows), status(cell, rows, data_dir)
        lines.append(f"| {cell.name} | {source} | {_paper(cell)} | {here} | {seeds} | {_work(rows)} | {found} |")
        about = [*_further(cell, rows, records), *([cell.note] if cell.note else [])]
        if rows and about:
            notes.append(f"- {cell.name}: {'; '.join(about)}.")
    return lines + (["", *notes] if notes else [])


def blocks(cells, records, data_dir=None):
    """Returns the lines of a listing of `cells` (name to `Cell`), some lines for each, all budgets."""
    lines = []
    for cell in cells.values():
        rows = runner.rows_of(cell.name, records)
        lines += ["", f"{cell.name}: {status(cell, shown(cell, rows), data_dir)}", f"  {cell.source}"]
        if cell.run:
            lines.append(f"  reads the run of {cell.run}")
        if cell.figures:
            lines.append(f"  figures: {', '.join(cell.figures)}")
        what = " on ".join(part for part in (cell.model, cell.dataset) if part)
        work = "" if cell.work is None else f"; {cell.work} epochs"
        lines.append(f"  {what}; {_measure(cell)}; paper: {_paper(cell)}{work}")
        for minutes in dict.fromkeys(row["minutes"] for row in rows):
            own = [row for row in rows if row["minutes"] == minutes]
            seeds = ", ".join(str(row["seed"]) for row in own)
            computer = machine.describe(own[0])
            lines.append(f"  here: {_here(own)} (seeds {seeds}; {_work(own)}; {computer})")
        about = [*_further(cell, shown(cell, rows), records), *([cell.note] if cell.note else [])]
        lines += [f"  {text}" for text in about] + [f"  {runner.command(cell)}"]
    return lines[1:]


def _measure(cell):
    return f"{cell.measure.replace('_', ' ')}, {MEASURES[cell.measure][2]}"


def _paper(cell):
    if cell.paper is None:
        return "-" if cell.goal is None else f"- (goal {cell.goal:g})"
    return f"{cell.paper:g}" + (f" +- {cell.spread:g}" if cell.spread else "")


def _work(rows):
    """What was spent on rows: "400 epochs", "25 minutes" for a look, or "-"."""
    if not rows:
        return "-"
    if rows[0]["minutes"] is not None:
        return f"{rows[0]['minutes']:g} minutes"
    return f"{rows[0]['epochs']} epochs" if "epochs" in rows[0] else "-"


def _here(rows):
    if not rows:
        return "-"
    values = [row["value"] for row in rows]
    spread = f" +- {statistics.stdev(values):.2f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.2f}{spread}"


def _further(cell, rows, records):
    """What else is said of a measured cell: each seed, its control, what was counted, and other errors."""
    if not rows:
        return []
    said = []
    if any(row.get("definitions", 1) < runner.DEFINITIONS for row in rows):
        said.append("of an older definition (see runner.DEFINITIONS)")
    if changed := sorted(set().union(*map(cell.changed, rows))):
        said.append(f"by a recipe with {', '.join(changed)} of other values")
    if len(rows) > 1:
        said.append(f"each {_joined(row['value'] for row in rows)}")
    if cell.measure == "error":
        said += _calibration(rows)
    if cell.control and (found := against(cell, records)):
        mean, error, pairs = found
        spread, seeds = ("", "1 seed") if error is None else (f" +- {error:.2f}", f"{pairs} seeds, standard error")
        said.append(f"less {cell.control}: {mean:+.2f}{spread} ({seeds})")
    if all("digits_found" in row for row in rows):
        said.append(f"digits with a dimension of their own: {', '.join(str(row['digits_found']) for row in rows)} of 5")
    if cell.measure == "log_density":
        error = statistics.mean(row.get("stderr", 0.0) for row in rows)
        samples, examples = (rows[0].get(f"log_density_{name}") for name in ("samples", "examples"))
        said.append(f"{samples} samples, {examples} examples, standard error over these {error:.2f}")
        if all("test_error" in row for row in rows):
            said.append(f"test error {_joined(100 * row['test_error'] for row in rows)}%")
    if cell.measure == "bayes_error":
        said += [
            f"seed {row['seed']}: q(y|x) on the same examples {100 * row['q_error']:.2f}%, ECE {100 * row['q_ece']:.2f}% in "
            f"{row['q_seconds']:.1f} s; Bayes' rule ECE {100 * row['bayes_ece']:.2f}% in {row['bayes_seconds']:.1f} s"
            for row in rows
        ]
    return said


def _calibration(rows):
    """How sure the answers are, as a list of one text or none: means over the seeds of what all rows have."""
    kinds = (("ece_equal_mass", "ECE", 100, "{:.2f}% in bins of equal mass"), ("ece", "ECE", 100, "{:.2f}%"))
    kinds = next(([kind] for kind in kinds if all(kind[0] in row for row in rows)), [])
    kinds += [("nll", "NLL", 1, "{:.3f} nats"), ("brier", "Brier score", 1, "{:.4f}")]
    found = [
        f"{told} {form.format(factor * statistics.mean(row[key] for row in rows))}"
        for key, told, factor, form in kinds
        if all(row.get(key) is not None for row in rows)
    ]
    return [", ".join(found)] if found else []


def _joined(values):
    return ", ".join(f"{value:.2f}" for value in values)
