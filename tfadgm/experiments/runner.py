"""Runs cells, keeps their records, and says which are reproduced.

A record, `RECORDS/NAME.json`, has one row per seed: the value, the budget and what was reached in it, the command, the
hardware and the revision of the code. Only this module writes them, and the tables are made from them.
"""

import importlib
import importlib.metadata
import json
import os
import pathlib
import platform
import statistics

from tfadgm import callbacks, figures, recipes, report, run, run_directory
from tfadgm.experiments import pictures
from tfadgm.experiments.cell import MEASURES

TFDS_NAMES = {"mnist": "mnist", "svhn": "svhn_cropped", "norb": "smallnorb", "omniglot": "omniglot"}
KEPT = (
    "train_seconds",
    "epochs",
    "steps_per_second",
    "peak_memory_mb",
    "elbo",
    "log_density_samples",
    "log_density_examples",
    "log_density_stderr",
    "effective_samples",
    "labels",
    "test_error",
    "ece",
    "nll",
)


def run_cell(cell, seed, minutes, out, records, **data):
    """Runs a cell with one seed, or goes on with it, and records it; returns the row.

    Args:
      cell: a `Cell`.
      seed: of labels, weights and noise.
      minutes: the budget of training; None: the cell's own.
      out: the directory of the runs; `out`/NAME/seed-N is this one's.
      records: the directory of the records.
      **data: data_dir and tfds_name.
    """
    minutes = cell.minutes if minutes is None else minutes
    directory = pathlib.Path(out) / cell.name / f"seed-{seed}"
    if cell.call:
        module, function = cell.call.split(":")
        results = getattr(importlib.import_module(module), function)(cell, seed, minutes, directory, data)
    else:
        results = run.train(settings_of(cell, seed, minutes, **data), directory)
    if (directory / "model.weights.h5").exists():
        draw(run_directory.Run.open(directory))
    row = dict(seed=seed, minutes=minutes, value=cell.value(results), **hardware())
    row |= {name: results[name] for name in KEPT if name in results}
    row["command"] = f"bin/reproduce {cell.name} --seeds={seed} --budget_minutes={minutes:g}"
    record(cell, row, records)
    return row


def draw(opened):
    """Draws the papers' figures of a run beside its own: KL per unit, and the planes of latents of two units."""
    data, split = opened.data()
    directory, model = opened.path / "figures", opened.model
    units = report.diagnose(model, data, split, examples=1000)["kl_per_unit"]
    if units:
        pictures.kl_per_unit(units, directory / "kl_per_unit.png")
    if figures.is_image(data.raw_shape):
        for name in model.style:
            if model.sizes[name] == 2:
                pictures.manifold(model, name, directory / f"manifold_{name}.png")


def metrics(cell, seed, out):
    """Returns the rows of metrics.csv of a cell's run, a list; none for a cell that is no run."""
    return callbacks.read_rows(pathlib.Path(out) / cell.name / f"seed-{seed}" / "metrics.csv")


def settings_of(cell, seed, minutes, data_dir=None, tfds_name=None):
    """Returns the `Settings` of a cell: its own on top of the data set's recipe, the budget in minutes."""
    given = dict(cell.settings)
    budget = {} if "epochs" in given else {"minutes": float(minutes)}
    own_name = tfds_name if given["dataset"] == "svhn" else None  # the one set that has copies of other names
    return recipes.resolve(
        given.pop("model", "m2"), given.pop("dataset"), **given, **budget, seed=seed, data_dir=data_dir, tfds_name=own_name
    )


def hardware():
    """Returns what the numbers were measured on: processor, cores, TensorFlow, revision of the code."""
    names = [line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")]
    return dict(
        processor=names[0] if names else platform.processor(),
        cores=os.cpu_count(),
        tensorflow=importlib.metadata.version("tensorflow"),
        git_revision=run_directory.git_revision(),
    )


def record(cell, row, records):
    """Writes `row` into the cell's record, in place of an earlier one of the same seed and budget."""
    rows = [r for r in rows_of(cell, records) if (r["seed"], r["minutes"]) != (row["seed"], row["minutes"])] + [row]
    rows.sort(key=lambda r: (r["minutes"], r["seed"]))
    pathlib.Path(records).mkdir(parents=True, exist_ok=True)
    content = dict(cell=cell.name, source=cell.source, measure=cell.measure, paper=cell.paper, rows=rows)
    run_directory.write_json(pathlib.Path(records) / f"{cell.name}.json", content)


def rows_of(cell, records):
    """Returns the recorded rows of a cell, a list."""
    path = pathlib.Path(records) / f"{cell.name}.json"
    return json.loads(path.read_text())["rows"] if path.exists() else []


def status(cell, rows, data_dir=None):
    """Returns "reproduced", "not reproduced", "measured" (the paper has no number), "not run" or "data not available"."""
    if rows:
        if cell.paper is None:
            return "measured"
        return "reproduced" if cell.reproduces([row["value"] for row in rows]) else "not reproduced"
    name = TFDS_NAMES.get(cell.dataset.partition(":")[0])
    if name and data_dir and not any(pathlib.Path(data_dir).expanduser().glob(f"{name.partition('_')[0]}*")):
        return "data not available"
    return "not run"


def table(cells, records, data_dir=None):
    """Returns the lines of a Markdown table of `cells`, with the rows of the largest budget that was recorded."""
    lines = ["| cell | source | paper | here | seeds | minutes | status |", "|---|---|---|---|---|---|---|"]
    for cell in cells:
        rows = rows_of(cell, records)
        most = max((row["minutes"] for row in rows), default=None)
        rows = [row for row in rows if row["minutes"] == most]
        _, _, unit, _ = MEASURES[cell.measure]
        paper = "-" if cell.paper is None else f"{cell.paper:g}" + (f" +- {cell.spread:g}" if cell.spread else "")
        here = "-" if not rows else _mean([row["value"] for row in rows])
        seeds = ", ".join(str(row["seed"]) for row in rows) or "-"
        minutes = "-" if most is None else f"{most:g}"
        measure = f"{cell.measure.replace('_', ' ')}, {unit}"
        source = cell.source.replace("|", "\\|")
        lines.append(
            f"| {cell.name} | {source} ({measure}) | {paper} | {here} | {seeds} | {minutes} | "
            f"{status(cell, rows, data_dir)} |"
        )
    return lines


def _mean(values):
    spread = f" +- {statistics.stdev(values):.2f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.2f}{spread}"
