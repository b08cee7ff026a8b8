"""What the page of a run is made of."""

import dataclasses
import functools

import numpy as np

from tfadgm.data import on_disk
from tfadgm.data.dataset import Dataset
from tfadgm.data.pipeline import Split
from tfadgm.models.base import DeepGenerativeModel
from tfadgm.models.novelty import Reference
from tfadgm.reporting import report


@dataclasses.dataclass
class Content:
    """A trained run, and what was found of it.

    Attributes:
      model, data, split: of the run.
      names: of the values of the model's y.
      results: the content of results.json.
      rows: those of metrics.csv.
      y, probabilities: classes [N] and q(y|x) [N, K] of the measured examples (`report.evaluate`), or None.
      test_samples: draws of what comes before y that q(y|x) is averaged over.
      warmup: epochs of warm-up.
      usual: log p(x) of examples of the law of training, or None.
      figures: SVG by name, of `figures.all_figures`.
      warnings: lines that were told.
      command: the one that makes the run again.
      directory: of the run.
      config: the content of its config.json.
      changed: settings that differ from the defaults: dicts of name, value, default, by ("recipe" or "given"), text.
    """

    model: DeepGenerativeModel
    data: Dataset
    split: Split
    names: list[str]
    results: dict
    rows: list[dict]
    y: np.ndarray | None = None
    probabilities: np.ndarray | None = None
    test_samples: int = 100
    warmup: float = 0.0
    usual: Reference | None = None
    figures: dict[str, str] = dataclasses.field(default_factory=dict)
    warnings: list[str] = dataclasses.field(default_factory=list)
    command: str = ""
    directory: str = ""
    config: dict = dataclasses.field(default_factory=dict)
    changed: list[dict] = dataclasses.field(default_factory=list)

    @property
    def part(self) -> str:
        """What was measured: "test", "validation" or "train"."""
        return self.results["evaluated_on"]

    @functools.cached_property
    def held_out(self) -> tuple[np.ndarray, np.ndarray]:
        """(x, number): the raw examples that the results are of, and their numbers in their part of the data."""
        part, x, _ = report.held_out(self.data, self.split)
        numbers = {"validation": self.split.validation, "train": self.split.unlabelled}.get(part, np.arange(len(x)))
        return x, numbers[: len(x)]

    @functools.cached_property
    def measured(self) -> tuple[np.ndarray, np.ndarray]:
        """(x, number) of the examples of `y` and `probabilities`: those of `held_out` with a label."""
        (x, numbers), (_, _, y) = self.held_out, report.held_out(self.data, self.split)
        known = np.flatnonzero(y >= 0)
        return on_disk.take(x, known), numbers[known]

    @property
    def answers(self) -> list[str]:
        """Names of the columns of `probabilities`: the data's classes, or the values of y where there are more of these."""
        names = self.data.class_names
        return names if self.probabilities.shape[1] == len(names) else self.names

    def example(self, number: int) -> str:
        """How an example is called: by its number in its part of the data, from 0; a row of a table from 1."""
        what = f"example {number}" if self.data.columns is None else f"row {number + 1}"
        return f"{what}{dict(test=' of the test set', validation=', kept from training').get(self.part, ' of training')}"
