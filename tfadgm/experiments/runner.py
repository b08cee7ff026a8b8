"""Runs cells and keeps their records.

A record, `RECORDS/NAME.json`, has one row per seed and budget: the value, epochs, seconds, the command, the hardware and
the revision of the code. A budget in minutes is for a look: its rows are never the cell's record. Only this module writes
them; `listing` makes the tables from them, `queue` runs all that is not yet on record.
"""

import importlib
import json
import pathlib

from tfadgm import machine
from tfadgm.evaluation import diagnostics
from tfadgm.experiments import pictures
from tfadgm.reporting import plotting, report
from tfadgm.runs import recipes, run, run_directory
from tfadgm.training import callbacks

KEPT = (
    *("train_seconds", "epochs", "steps_per_second", "labels", "test_error", "supervised_baseline_error"),
    *("ece", "ece_equal_mass", "nll", "brier"),
    *("elbo", "log_density_samples", "log_density_examples", "log_density_by_samples", "effective_samples", "digits_found"),
    *("bayes_samples", "bayes_examples", "bayes_seconds", "bayes_ece", "bayes_nll", "q_error", "q_seconds", "q_ece"),
    "not_finite",
)
DENSITY_SAMPLES = (1, 10, 100, 1000)
# Of what is measured, kept in every record. 2: batch norm's averages are corrected for their start, initial weights are
# drawn by name, dequantised data are dequantised for every importance sample, the baseline has the recipe's average.
DEFINITIONS = 2


def run_cell(cell, seed, minutes, out, records, **data):
    """Runs a cell with one seed, or goes on with it, and records it; returns the row.

    Args:
      cell: a `Cell`.
      seed: of labels, weights and noise.
      minutes: a budget of training, for a look; None: the cell's whole work. Each budget is a run of its own, since the
        learning rate falls over it.
      out: the directory of the runs; see `directory_of`.
      records: the directory of the records.
      **data: data_dir and tfds_name.

    Raises:
      ValueError: if there is a budget for a cell whose work is fixed.
    """
    if minutes is not None and cell.epochs is None:
        raise ValueError(f"budget_minutes: got {minutes:g} for {cell.name}, whose work is fixed; allowed: none")
    directory = directory_of(cell, seed, minutes, out)
    if cell.first is not None and not (pathlib.Path(out) / cell.first / f"seed-{seed}" / "results.json").exists():
        from tfadgm.experiments import CELLS

        run_cell(CELLS[cell.first], seed, None, out, records, **data)
    settings = settings_of(cell, seed, minutes, out, **data) if cell.settings is not None else None
    if cell.call:
        module, function = cell.call.split(":")
        results = getattr(importlib.import_module(module), function)(cell, seed, directory, settings, data)
    else:
        results = run.train(settings, directory)
    revision, value = run_directory.git_revision(), cell.value(results)
    own = seed, minutes, value, results.get("train_seconds")
    recorded = {(r["seed"], r["minutes"], r["value"], r.get("train_seconds")): r for r in rows_of(cell.name, records)}
    earlier = recorded.get(own, {})  # of this run, which was complete
    if (directory / "model.weights.h5").exists():
        opened = run_directory.Run.open(directory)
        draw(opened)
        revision = opened.config["git_revision"]  # of the code that trained it
        if cell.measure == "log_density":
            known = earlier.get("log_density_by_samples")
            results |= {"log_density_by_samples": known or _by_samples(opened, results)}
    row = dict(seed=seed, minutes=minutes, value=value, stderr=cell.error(results))
    row |= {name: results[name] for name in KEPT if name in results}
    row |= {name: earlier.get(name, here) for name, here in machine.hardware().items()}  # that it was trained on
    row |= dict(definitions=DEFINITIONS, git_revision=revision, command=command(cell, seed, minutes))
    row |= {} if (recipe := cell.recipe()) is None else dict(settings=recipe)
    record(cell, row, records)
    return row


def command(cell, seeds="0", minutes=None):
    """Returns the command that runs a cell."""
    data = " --data_dir=DIR" if cell.dataset.partition(":")[0] not in ("", "digits", "half_moons") else ""
    return f"bin/reproduce {cell.name} --seeds={seeds}{'' if minutes is None else f' --budget_minutes={minutes:g}'}{data}"


def directory_of(cell, seed, minutes, out):
    """Returns the directory of a cell's run: `out`/NAME/seed-N, with its budget in the name if it is a look.

    A cell that reads the run of another has that one's.
    """
    budget = "" if minutes is None else f"-{minutes:g}min"
    return pathlib.Path(out) / (cell.run or cell.name) / f"seed-{seed}{budget}"


def draw(opened):
    """Draws the papers' figures of a run beside its own: KL per unit, and the planes of latents of two units."""
    data, split = opened.data()
    directory, model = opened.path / "figures", opened.model
    units = report.diagnose(model, data, split, examples=1000)["kl_per_unit"]
    if units:
        pictures.kl_per_unit(units, directory / "kl_per_unit.png", diagnostics.not_by_unit(model, units))
    if not plotting.is_image(data.raw_shape):
        return
    for name in (name for name in model.style if model.sizes[name] == 2):
        pictures.manifold(model, name, directory / f"manifold_{name}.png")
        for k in range(min(model.num_classes, 10) if model.has_class else 0):
            pictures.manifold(model, name, directory / f"manifold_{name}_class_{k}.png", y=k)


def _by_samples(opened, results):
    """Returns log p(x) for fewer samples than the results' own, of the same examples: {samples: nats}."""
    from tfadgm import evaluation

    most, examples = results["log_density_samples"], results["log_density_examples"]
    x = opened.held_out()[0][:examples]
    scale = evaluation.log_scale(opened.model, x)
    found = {s: float((evaluation.log_density(opened.model, x, s) - scale).mean()) for s in DENSITY_SAMPLES if s < most}
    return {**found, most: results["log_density"]}


def metrics(cell, seed, minutes, out):
    """Returns (rows of metrics.csv of a cell's run, its epochs of warm-up); no rows for a cell that is no run."""
    directory = directory_of(cell, seed, minutes, out)
    rows = callbacks.read_rows(directory / "metrics.csv")
    return rows, run_directory.read_json(directory / "config.json")["settings"]["warmup_epochs"] if rows else 0.0


def settings_of(cell, seed, minutes, out=None, data_dir=None, tfds_name=None):
    """Returns the `Settings` of a cell: its own on top of the data set's recipe, and its epochs or a budget in minutes."""
    given = dict(cell.settings)
    if minutes is not None:
        given["minutes"] = float(minutes)
    elif cell.epochs is not None:
        given["epochs"] = cell.epochs
    model, dataset = given.pop("model", "m2"), given.pop("dataset")
    own_name = tfds_name if dataset.partition(":")[0] == "svhn" else None  # the one set that has copies of other names
    if dataset == "freyface":
        dataset = f"freyface:{frey_file(data_dir or '.')}"
    if cell.first is not None and out is not None:
        given["first_run"] = str(pathlib.Path(out) / cell.first / f"seed-{seed}")
    return recipes.resolve(model, dataset, **given, seed=seed, data_dir=data_dir, tfds_name=own_name)


def frey_file(data_dir):
    """Returns where cells look for the frames of Frey's face, a path: in the data directory, or beside it."""
    directory = pathlib.Path(data_dir).expanduser()
    places = [directory / "frey_rawface.mat", directory / "freyfaces.npz", directory.parent / "freyfaces.npz"]
    return next((path for path in places if path.exists()), places[0])


def record(cell, row, records):
    """Writes `row` into the cell's record, in place of an earlier one of the same seed and budget."""
    rows = [r for r in rows_of(cell.name, records) if (r["seed"], r["minutes"]) != (row["seed"], row["minutes"])] + [row]
    rows.sort(key=lambda r: (r["minutes"] or 0.0, r["seed"]))
    pathlib.Path(records).mkdir(parents=True, exist_ok=True)
    content = dict(cell=cell.name, source=cell.source, measure=cell.measure, paper=cell.paper, rows=rows)
    run_directory.write_json(pathlib.Path(records) / f"{cell.name}.json", content)


def rows_of(name, records):
    """Returns the recorded rows of the cell called `name`, a list."""
    path = pathlib.Path(records) / f"{name}.json"
    return json.loads(path.read_text())["rows"] if path.exists() else []
