"""report.html of a run: one file that says what came out, how, and what to do next."""

import os
import pathlib
from typing import Any

from tfadgm.data.dataset import Dataset
from tfadgm.data.pipeline import Split
from tfadgm.models.base import DeepGenerativeModel
from tfadgm.reporting.page import run_page
from tfadgm.reporting.page.content import Content
from tfadgm.runs import repeating, run_directory
from tfadgm.runs.settings import Settings
from tfadgm.telling import warn

NAME = "report.html"


def write(
    directory: pathlib.Path, settings: Settings, model: DeepGenerativeModel, data: Dataset, split: Split, **found: Any
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
