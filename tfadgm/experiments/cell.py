"""What a cell of a paper's table is."""

import dataclasses

# How a measure is read off results.json, what it is printed in, and whether more of it is better.
MEASURES = {
    "error": ("test_error", 100.0, "%", False),
    "log_density": ("log_density", 1.0, "nats", True),
    "cross_entropy": ("cross_entropy", 1.0, "nats", False),
    "bound": ("bound", 1.0, "nats", True),
}


@dataclasses.dataclass(frozen=True)
class Cell:
    """One number of a paper, and the command that measures it here.

    Attributes:
      name: as `bin/reproduce` takes it.
      source: paper, table and row.
      measure: one of `MEASURES`.
      paper: the paper's number, in the measure's unit; None if it gives none.
      spread: the paper's standard deviation or error, or None.
      settings: what differs from the recipe of the data set (`recipes.resolve`), model and dataset included; None for a
        cell that is no training of a model.
      minutes: the budget that is spent by default; the papers trained for hours or days on a GPU.
      call: "module:function" of (cell, seed, minutes, directory, options) that returns the results, for a cell that is not
        one run of `bin/train`.
      note: what differs from the paper.
    """

    name: str
    source: str
    measure: str
    paper: float | None
    spread: float | None = None
    settings: dict | None = None
    minutes: float = 25.0
    call: str | None = None
    note: str = ""

    @property
    def dataset(self):
        """The data set's name."""
        return (self.settings or {}).get("dataset", "")

    def value(self, results):
        """Returns the measure in `results`, in the unit of the paper's number."""
        key, factor, _, _ = MEASURES[self.measure]
        return factor * results[key]

    def reproduces(self, values):
        """Whether the mean of `values` is as good as the paper's number, within two of its spreads (or their own)."""
        mean = sum(values) / len(values)
        own = (sum((v - mean) ** 2 for v in values) / max(len(values) - 1, 1)) ** 0.5 / len(values) ** 0.5
        slack = 2 * max(self.spread or 0.0, own)
        return mean >= self.paper - slack if MEASURES[self.measure][3] else mean <= self.paper + slack
