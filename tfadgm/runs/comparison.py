"""Finished runs beside each other: those whose settings differ by the seed alone are one group."""

import json
import pathlib
from collections.abc import Sequence

from tfadgm.reporting.page.compare_page import Finished
from tfadgm.runs import resuming, run_directory
from tfadgm.training import callbacks


def finished(path: pathlib.Path | str) -> Finished:
    """Returns what is compared of the run in a directory; raises a ValueError if it is none, or has not finished."""
    path = pathlib.Path(path).expanduser()
    if not path.is_dir():
        raise ValueError(f"run: {path} is no directory; allowed: a directory that bin/train made")
    config, results = run_directory.read_json(path / "config.json"), resuming.finished_results(path)
    settings = run_directory.of_config(path / "config.json", config, "settings")
    if results is None:
        raise ValueError(f"run: {path} has not finished, or has lost its results.json; allowed: a finished run of bin/train")
    rows = callbacks.read_rows(path / "metrics.csv")
    return Finished(str(path), {**run_directory.DEFAULTS, **settings}, results, rows, config.get("data"))


def groups(runs: Sequence[Finished]) -> list[list[Finished]]:
    """Returns the runs in groups of the same settings but for the seed, by it, in the order of the first of each.

    Raises a ValueError for a run that is given twice.
    """
    found: dict[str, list[Finished]] = {}
    places = [pathlib.Path(run.path).resolve() for run in runs]
    twice = [run.path for run, place in zip(runs, places, strict=True) if places.count(place) > 1]
    if twice:
        raise ValueError(f"run: {twice[0]} is given twice; allowed: each run once")
    for run in runs:
        found.setdefault(json.dumps({**run.settings, "seed": None}, sort_keys=True), []).append(run)
    return [sorted(group, key=lambda run: run.settings["seed"]) for group in found.values()]
