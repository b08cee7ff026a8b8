"""report.html of a run: one file that says what came out, how, and what to do next."""

import os
import pathlib
import tempfile
from typing import Any

import numpy as np

from tfadgm.data import pipeline
from tfadgm.data.dataset import Dataset
from tfadgm.models.base import DeepGenerativeModel
from tfadgm.models.novelty import Reference
from tfadgm.reporting import figures
from tfadgm.reporting.page import run_page
from tfadgm.reporting.page.content import Content
from tfadgm.runs import repeating, run_directory
from tfadgm.runs.settings import Settings
from tfadgm.telling import warn
from tfadgm.training import callbacks

NAME = "report.html"


def write(
    directory: pathlib.Path,
    settings: Settings,
    model: DeepGenerativeModel,
    data: Dataset,
    split: pipeline.Split,
    **found: Any,
) -> pathlib.Path | None:
    """Writes the page of a run into its directory and returns its path; None, and a warning, if that cannot be.

    Args:
      directory: of the run.
      settings: as they were asked for.
      model, data, split: of the run.
      **found: the other fields of a `Content`.
    """
    path = directory / NAME
    place = (
        pathlib.Path(os.path.relpath(directory)) if directory.absolute().is_relative_to(pathlib.Path.cwd()) else directory
    )
    try:
        content = Content(
            model=model,
            data=data,
            split=split,
            test_samples=settings.test_samples,
            command=repeating.command(settings, place),
            changed=repeating.changed(settings),
            directory=str(place),
            config=run_directory.read_json(directory / "config.json"),
            **found,
        )
        run_page.write(content, path)
    except Exception as error:  # of many kinds, and no page is worth a run
        warn(f"{path}: not written: {(str(error).strip() or type(error).__name__).splitlines()[0]}")
        return None
    return path


def remake(
    directory: pathlib.Path,
    run: run_directory.Run,
    settings: Settings,
    data: Dataset,
    split: pipeline.Split,
    results: dict[str, Any],
    y: np.ndarray | None,
    probabilities: np.ndarray | None,
    usual: Reference | None,
) -> pathlib.Path | None:
    """Writes the page of a finished run that has none, as `write`; the figures are drawn for it alone.

    Args:
      directory, run: of the run, and the opened run.
      settings: of the run, with the samples by which `results`, y and probabilities were measured (`report.evaluate`).
      data, split: of the run.
      usual: see `Content`.
    """
    rows = callbacks.read_rows(directory / "metrics.csv")
    known = run_directory.read_json(directory / "results.json") | results
    if "steps" not in known:  # a run of an older version
        known["steps"] = known["epochs"] * pipeline.steps_per_epoch(split, settings.batch)
        known["steps_per_second"] = known["steps"] / max(known["train_seconds"], 1e-9)
    drawn: dict[str, str] = {}
    warmup = float(known.get("warmup_epochs", 0.0))
    with tempfile.TemporaryDirectory() as files:  # those of the run stay as they are
        figures.all_figures(files, run.model, data, split, rows, y, probabilities, run.class_names, warmup, drawn)
    found = dict(names=run.class_names, results=known, rows=rows, y=y, probabilities=probabilities, warmup=warmup)
    return write(directory, settings, run.model, data, split, **found, figures=drawn, usual=usual)
