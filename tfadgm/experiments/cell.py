"""What a cell of a paper's table, or a figure, is."""

import dataclasses
import statistics

# How a measure is read off results.json, what it is printed in, whether more of it is better, and its standard error.
MEASURES = {
    "error": ("test_error", 100.0, "%", False, "test_error_stderr"),
    "bayes_error": ("bayes_error", 100.0, "%", False, "bayes_error_stderr"),
    "log_density": ("log_density", 1.0, "nats", True, "log_density_stderr"),
    "cross_entropy": ("cross_entropy", 1.0, "nats", False, None),
    "bound": ("bound", 1.0, "nats", True, None),
}


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
      minutes: the training time that is spent by default; the papers trained for hours or days on a GPU. None for a cell
        whose work is a number of steps or epochs.
      call: "module:function" of (cell, seed, minutes, directory, data) that returns the results, for a cell that is not
        one run of `bin/train`.
      run: the name of the cell whose run this one reads, or None.
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
    minutes: float | None = 25.0
    call: str | None = None
    run: str | None = None
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
        """Returns the measure in `results`, in the unit of the paper's number."""
        key, factor, *_ = MEASURES[self.measure]
        return factor * results[key]

    def error(self, results):
        """Returns the standard error of the measure over the evaluated examples, in its unit; 0 if it is not known."""
        _, factor, _, _, key = MEASURES[self.measure]
        return factor * results.get(key, 0.0)

    def verdict(self, rows):
        """Returns how recorded rows compare with the paper's number, or the goal.

        "reproduced" (or "reached", of a goal): the mean is as good. "within noise": it is worse by at most two standard
        errors: the largest of the paper's spread, that of the mean over seeds, and that over the evaluated examples.
        "not reproduced" ("not reached"): else.
        """
        target, word = (self.paper, "reproduced") if self.paper is not None else (self.goal, "reached")
        if target is None or not self.comparable:
            return "measured"
        values = [row["value"] for row in rows]
        lacking = (target - statistics.mean(values)) * (1 if MEASURES[self.measure][3] else -1)
        over_seeds = statistics.stdev(values) / len(values) ** 0.5 if len(values) > 1 else 0.0
        over_examples = statistics.mean(row.get("stderr", 0.0) for row in rows)
        if lacking <= 0:
            return word
        return "within noise" if lacking <= 2 * max(self.spread or 0.0, over_seeds, over_examples) else f"not {word}"
