"""What a cell of a paper's table, or a figure, is."""

import dataclasses
import json
import statistics

from tfadgm.runs import recipes

# How a measure is read off results.json, what it is printed in, whether more of it is better, and its standard error.
MEASURES = {
    "error": ("test_error", 100.0, "%", False, "test_error_stderr"),
    "bayes_error": ("bayes_error", 100.0, "%", False, "bayes_error_stderr"),
    "log_density": ("log_density", 1.0, "nats", True, "log_density_stderr"),
    "cross_entropy": ("cross_entropy", 1.0, "nats", False, None),
    "bound": ("bound", 1.0, "nats", True, None),
}
LEAST_SEEDS = 3  # of a comparison with a paper's number
ELSEWHERE = ("seed", "data_dir", "tfds_name", "first_run")  # of a run's settings, what is no part of a cell's definition


@dataclasses.dataclass(frozen=True)
class Cell:
    """One number or figure of a paper, and the command that makes it here.

    Attributes:
      name: as `bin/reproduce` takes it.
      source: paper, table and row.
      measure: one of `MEASURES`.
      paper: the paper's number, in the measure's unit; None if it gives none.
      spread: the paper's standard deviation or error, or None.
      settings: what differs from the recipe of the data set (`recipes.resolve`), model and dataset included; None for a
        cell that is no training of a model.
      epochs: the work of a run, so that the same command gives the same result wherever it runs; the papers trained for
        hours or days on a GPU. None for a cell that is no run of epochs, or whose settings say them.
      seeds: how many seeds its record is to have.
      call: "module:function" of (cell, seed, directory, settings, data) that returns the results, for a cell that is not
        one run of `bin/train`.
      run: the name of the cell whose run this one reads, or None.
      first: the name of the cell whose run is this one's `first_run`, or None.
      figures: names of the PNG files that are what it is about.
      goal: a number to reach where the paper gives none.
      control: the name of the cell that this one is compared with, seed by seed.
      note: what differs from the paper.
      comparable: whether the paper's number is one of the same data.
    """

    name: str
    source: str
    measure: str
    paper: float | None = None
    spread: float | None = None
    settings: dict | None = None
    epochs: int | None = 200
    seeds: int = 1
    call: str | None = None
    run: str | None = None
    first: str | None = None
    figures: tuple = ()
    goal: float | None = None
    control: str | None = None
    note: str = ""
    comparable: bool = True

    @property
    def dataset(self):
        """The data set's name."""
        return (self.settings or {}).get("dataset", "")

    @property
    def model(self):
        """The model's name, or what there is in place of one."""
        return (self.settings or {}).get("model") or (self.call or "").rpartition(":")[2]

    def value(self, results):
        """Returns the measure in `results`, in the unit of the paper's number; a ValueError if it is not finite."""
        key, factor, *_ = MEASURES[self.measure]
        if results[key] is None:
            raise ValueError(f"{self.name}: {key} is {results.get('not_finite', {}).get(key)}; allowed: a finite number")
        return factor * results[key]

    def error(self, results):
        """Returns the standard error of the measure over the evaluated examples, in its unit; 0 if it is not known."""
        _, factor, _, _, key = MEASURES[self.measure]
        return factor * (results.get(key) or 0.0)

    @property
    def work(self):
        """The epochs of a run, or None for a cell that has none."""
        return self.epochs or (self.settings or {}).get("epochs")

    def recipe(self):
        """Returns {name: value} of what its run has in place of defaults, in JSON types, or None where a run has no model.

        What it was found with is kept in its record, so that a number does not stay when the recipe becomes another.
        """
        if "model" not in (self.settings or {}):
            return None
        given = self.settings if self.epochs is None else {**self.settings, "epochs": self.epochs}
        resolved = recipes.resolve(**given)
        own = [field for field in dataclasses.fields(resolved) if field.name not in ELSEWHERE]
        found = {field.name: value for field in own if (value := getattr(resolved, field.name)) != field.default}
        if self.first is not None:
            from tfadgm.experiments import CELLS

            found["first"] = CELLS[self.first].recipe() if self.first in CELLS else self.first
        return json.loads(json.dumps(found))

    def of_whole_work(self, rows):
        """Returns those of recorded `rows` that are of the whole work, of a former recipe too; the others are looks."""
        return [row for row in rows if row["minutes"] is None and self.work in (None, row.get("epochs", self.work))]

    def on_record(self, rows):
        """Returns those of recorded `rows` that are of the cell's whole work by its recipe."""
        return [row for row in self.of_whole_work(rows) if not self.changed(row)]

    def changed(self, row):
        """Returns the names of the settings by which the recipe differs from that of a recorded row."""
        if "settings" not in row:
            return []
        own, former = self.recipe() or {}, row["settings"]
        return sorted(name for name in own.keys() | former.keys() if own.get(name) != former.get(name))

    def verdict(self, rows):
        """Returns how the rows of the cell's work compare with the paper's number, or the goal.

        Of fewer than `LEAST_SEEDS` seeds: "one seed", "two seeds". Else "beaten" (a goal: "reached"): the mean is at least
        as good. "reproduced": it is worse by at most two standard errors of the mean over seeds, which count for no more
        than the paper's spread and the standard error over the evaluated examples do: a wide spread must not help. "not
        reproduced" ("not reached"): else.
        """
        target = self.paper if self.paper is not None else self.goal
        if target is None or not self.comparable:
            return "measured"
        values = [row["value"] for row in rows]
        if self.paper is not None and len(values) < LEAST_SEEDS:
            return ("one seed", "two seeds")[len(values) - 1]
        lacking = (target - statistics.mean(values)) * (1 if MEASURES[self.measure][3] else -1)
        if lacking <= 0:
            return "beaten" if self.paper is not None else "reached"
        if self.paper is None:
            return "not reached"
        over_seeds = statistics.stdev(values) / len(values) ** 0.5
        over_examples = statistics.mean(row.get("stderr", 0.0) for row in rows)
        near = lacking <= 2 * min(over_seeds, max(self.spread or 0.0, over_examples))
        return "reproduced" if near else "not reproduced"
