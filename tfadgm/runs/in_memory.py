"""A run of arrays in memory: the same training as of any run, without report, figures and export."""

import pathlib
import tempfile

from tfadgm import machine, registry, telling
from tfadgm.data import notes
from tfadgm.data.dataset import Dataset
from tfadgm.reporting import report
from tfadgm.runs import build, run, run_directory, select
from tfadgm.runs.kinds import AUTO
from tfadgm.runs.run_directory import Run
from tfadgm.runs.settings import Settings
from tfadgm.telling import tell, warn


def train(settings: Settings, data: Dataset, quiet: bool = True) -> Run:
    """Returns the `Run` of a model that is trained on a `Dataset` in memory; it has no directory until it is saved.

    Args:
      settings: a `Settings` whose dataset is `registry.IN_MEMORY`.
      data: a `Dataset`.
      quiet: whether to tell neither what the data were taken for nor how far the training is.

    Raises:
      ValueError: if data and settings do not fit, or the training diverges.
    """
    if settings.dataset != registry.IN_MEMORY:
        raise ValueError(f"dataset: got {settings.dataset!r} for arrays in memory; allowed: {registry.IN_MEMORY!r}")
    if settings.strategy == "multi_worker":
        raise ValueError("strategy: got multi_worker for arrays in memory; allowed: auto, one, mirrored")
    machine.set_threads(settings.threads, settings.xla)
    split = build.draw_split(settings, data)
    shown = telling.showing("off" if quiet else "auto")
    with shown, tempfile.TemporaryDirectory(prefix="tfadgm-") as directory:
        return _train(settings, data, split, pathlib.Path(directory), quiet)


@machine.sums_as_written()
def _train(settings, data, split, directory, quiet):
    asked, settings = settings, build.sized(settings, data, split)
    start, own = None, settings
    if settings.first_run is not None:
        start = Run.open(settings.first_run).model
    if not quiet or registry.model_class(settings.model).first_stage is not None:
        probe = build.make_model(settings, data, split)
        if not quiet:
            _tell(data, split, probe)
        if start is None and probe.first_stage is not None:
            first, own = run.stages(probe.first_stage, settings)
            (directory / probe.first_stage).mkdir()
            start = _train(first, data, split, directory / probe.first_stage, quiet).model
    model, state, _ = build.train(own, data, split, directory, quiet, start)
    selection = None
    if settings.select and model.classifies and len(split.labelled):
        selection = select.select(own, data, split, model, state, start)
    model = model.with_precision("float32")
    if selection is not None:
        selection.give(model)
    elif settings.answer_temperature == AUTO:
        select.calibrate(settings, data, split, model)
    names = build.value_names(settings, data)
    config = run_directory.configuration(asked, data, model, names, found=build.sizes(asked, settings))
    config["selection"] = None if selection is None else report.finite(selection.told)
    return Run(None, config, asked, model, names)


def _tell(data, split, model):
    for line in notes.taken(data, model.likelihood):
        tell(line)
    for line in notes.warnings(data, split, model):
        warn(line)
