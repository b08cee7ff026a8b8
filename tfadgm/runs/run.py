"""The whole way: train, evaluate, draw, export and report into a run directory, or go on where it stopped."""

import dataclasses
import functools
import math
import pathlib
import resource

import numpy as np

from tfadgm import machine, telling
from tfadgm.data import notes, pipeline
from tfadgm.reporting import figures, report
from tfadgm.runs import build, cross_fit, fold_files, group, lock, reference, report_page, resuming, run_directory, select
from tfadgm.runs.kinds import AUTO
from tfadgm.runs.run_directory import Run
from tfadgm.runs.settings import BUDGETS, Settings
from tfadgm.telling import recorded, warn
from tfadgm.training import workers

FEW_STEPS = 1000  # optimizer steps in which a model hardly learns


def train(settings: Settings, directory: pathlib.Path | str, quiet: bool = False) -> dict:
    """Trains, evaluates, draws, exports and reports into `directory`; returns the results, of a finished run too.

    A run that has been trained goes on where its settings have more epochs or minutes: from then on it has the learning
    rate of a run of that budget.

    Args:
      settings: a `Settings`.
      directory: the run directory: new, empty, or one of the same settings.
      quiet: whether to print no progress.

    With the strategy multi_worker all processes of the group (`workers.join`) call this, and return the results; the first
    one has the directory and decides, so that the others' `directory` is not touched.

    Raises:
      ValueError: if the directory belongs to another configuration, or data and settings do not fit.
      OSError: if it cannot be written, or the disk has too little room, or another process is at work in it.
      stopping.Stopped: by SIGTERM or SIGINT in a training, whose state is saved, or in the selection.
      workers.WorkerLost: if another process of the group is gone.
    """
    directory = pathlib.Path(directory).expanduser()
    workers.check(settings.strategy)
    with recorded() as warnings, telling.showing("off" if quiet else "auto"):
        whole_way = functools.partial(_train, warnings=warnings)
        if settings.strategy == "multi_worker":
            return group.train(settings, directory, quiet, whole_way)
        with lock.held(directory):
            return whole_way(settings, directory, quiet)


@machine.sums_as_written()
def _train(settings, directory, quiet, warnings):
    settings = resuming.as_begun(settings, directory)
    done = resuming.existing_results(settings, directory)
    resuming.sweep(directory, finished=done is not None)
    if done is not None:
        resuming.renew(settings, directory)
        return done
    machine.set_threads(settings.threads, settings.xla)
    identity = run_directory.identity_of_data(settings)
    data, split = build.load_data(settings, **run_directory.manner_of_data(directory))
    with telling.task("scaling the data"):
        asked, settings = settings, build.sized(settings, data, split, run_directory.sizes(directory))
        model_probe = build.make_model(settings, data, split)  # raises before anything is written
    run_directory.check_disk(directory, model_probe)
    names = build.value_names(settings, data)
    given = Run.open(settings.first_run).model if settings.first_run is not None else None
    if given is not None:
        model_probe.start_from(given)
    sizes = build.sizes(asked, settings)
    run_directory.begin(asked, directory, data, split, model_probe, names, identity, sizes)
    longer = resuming.renew(asked, directory)
    _tell_few_steps(settings, split)
    _tell_moves(settings)
    if not quiet:
        labelled = len(split.labelled) if model_probe.classifies else 0
        held = f", {len(split.validation)} labelled ones held out to measure by" if len(split.validation) else ""
        print(model_probe.formula, f"{data.name}: {len(split.unlabelled)} unlabelled, {labelled} labelled{held}", sep="\n")
        print(*notes.taken(data, model_probe.likelihood), sep="\n")
        if sizes:
            print("by the size of the data:", ", ".join(f"{name} {_told(value)}" for name, value in sizes.items()))
        if settings.class_prior != "uniform" and model_probe.learns_from_labels:
            print(notes.prior(model_probe, names, settings.labels))
        if longer:
            print(longer)
    for warning in notes.warnings(data, split, model_probe):
        warn(warning)
    start, own = given, settings
    before: dict = {}
    if model_probe.first_stage is not None and given is None:
        start, own, before = _first_stage(model_probe.first_stage, settings, directory, quiet)
    model, state, rows = group.build_train(own, data, split, directory, quiet, start)
    own = group.alone(own)
    selection = None
    if settings.select and model.classifies and len(split.labelled):
        selection = select.select(own, data, split, model, state, start, directory)
    model = model.with_precision("float32")
    epoch = state.best_epoch if settings.chooses and state.best_epoch else state.bound_epoch or state.epoch  # of the weights
    agreement = report.labelled_accuracy(model, settings, data, split, rows, epoch)
    if selection is not None:
        selection.give(model)
    elif settings.answer_temperature == AUTO:
        select.calibrate(settings, data, split, model)
    run_directory.save_answer(directory, model)
    results, y, probabilities = report.evaluate(model, settings, data, split)
    results.update(agreement)
    results.update(_costs(state, settings, before))
    if model.classifies and selection is None and model.answer_temperature != 1:
        fitted = settings.answer_temperature == AUTO
        results |= dict(answer_temperature=model.answer_temperature, answer_temperature_by_validation=fitted)
    if selection is not None:
        results |= dict(selection=selection.told, select_seconds=round(selection.seconds, 3))
    if settings.cross_fit and model.classifies and len(split.labelled):
        with telling.task("cross-fitting"):
            results = report.finite(results | cross_fit.measure(own, data, split, directory, quiet, start))
    usual = reference.measure(model, data, split)
    if usual is not None:
        reference.write(directory, usual)
    if not _exported(directory / "export", results):
        exported = Run(directory, run_directory.read_json(directory / "config.json"), asked, model, names)
        shown = report.held_out(data, split)[1][:32]
        with telling.task("export"):
            exported.export(samples=settings.test_samples, examples=shown, results=results, reference=usual)
    drawn: dict[str, str] = {}
    warmup = own.warmup_epochs
    with telling.task("figures"):
        figures.all_figures(directory / "figures", model, data, split, rows, y, probabilities, names, warmup, drawn)
    found = dict(names=names, results=results, rows=rows, y=y, probabilities=probabilities, warmup=warmup, figures=drawn)
    with telling.task("report.html"):
        report_page.write(directory, asked, model, data, split, **found, usual=usual, warnings=warnings)
    run_directory.write_json(directory / "results.json", results)
    fold_files.remove(directory)
    return results


def _told(value):
    return ",".join(map(str, value)) if isinstance(value, tuple | list) else f"{value:g}"


def stages(name: str, settings: Settings) -> tuple[Settings, Settings]:
    """Returns the settings of the first stage, the model `name`, and those of what is left, each with half of the budget."""
    half = {n: getattr(settings, n) and getattr(settings, n) / 2 for n in BUDGETS}
    half |= {n: half[n] and math.ceil(half[n]) for n in ("epochs", "steps")}
    own = dataclasses.replace(settings, **half)
    given = {field.name: getattr(own, field.name) for field in dataclasses.fields(own) if field.metadata["group"] != "model"}
    # Those of the classifier, which is another stage's:
    given |= dict(cross_fit=0, select=False, patience=None, answer_temperature=1.0)
    return Settings(**given | dict(model=name, dim_z=None if settings.dim_z is None else settings.dim_z[:1])), own


def _first_stage(name, settings, directory, quiet):
    """Trains the model `name` in a run of its own, `directory`/NAME.

    Returns (that model, the settings of what is left to train, its results); of a run that is made longer the first stage
    stays as it was.
    """
    first, own = stages(name, settings)
    results = resuming.finished_results(directory / name)
    half = {each: getattr(own, each) for each in BUDGETS}
    if results is not None and resuming.has_another_budget(directory / name, half):
        used = dict(epochs=results["epochs"], minutes=results["train_seconds"] / 60, steps=results["steps"])
        left = {n: getattr(settings, n) and getattr(settings, n) - used[n] for n in used}
        return Run.open(directory / name).model, dataclasses.replace(settings, **left), results
    with recorded() as warnings:
        results = _train(first, directory / name, quiet, warnings)
    return Run.open(directory / name).model, own, results


def _tell_moves(settings):
    if settings.shift and settings.adversarial_shift and settings.virtual_adversarial and not settings.pooled:
        why = "by networks that see where things are, the answers that are spread are held by no label then"
        warn(f"shift: {settings.shift} beside adversarial_shift {settings.adversarial_shift} without pooled; {why}")


def _tell_few_steps(settings, split):
    if settings.steps is not None and settings.steps < FEW_STEPS:
        warn(f"steps: {settings.steps} are few; a model hardly learns in less than {FEW_STEPS}")
    if settings.epochs is None:
        return
    each = pipeline.steps_per_epoch(split, settings.batch)
    if each * settings.epochs < FEW_STEPS:
        enough = f"--epochs={-(-FEW_STEPS // each)}" + (
            f", or a --batch below {settings.batch}" if settings.batch > 10 else ""
        )
        steps = (
            f"{settings.epochs} of {each} {'step' if each == 1 else 'steps'} are {each * settings.epochs} optimizer steps"
        )
        warn(f"epochs: {steps}, in which a model hardly learns; {FEW_STEPS} are {enough}")


def _exported(base, results):
    """Whether a version under `base` was exported with these results, before the run was interrupted."""
    try:
        exported = [version["description"]["results"] for version in run_directory.read_json(base / "index.json").values()]
        names = ("epochs", "train_seconds", "selection", "answer_temperature")
        return any(all(each.get(name) == results.get(name) for name in names) for each in exported)
    except (ValueError, AttributeError, KeyError, TypeError):  # no index, or a foreign one
        return False


def _costs(state, settings, before):
    """Returns what training took, that of the first stage, whose results are `before`, included."""
    if settings.minutes is not None and state.steps < FEW_STEPS:
        warn(f"minutes: {settings.minutes:g} were {state.steps} optimizer steps, in which a model hardly learns; set more")
    return dict(
        train_seconds=round(state.seconds + before.get("train_seconds", 0.0), 3),
        epochs=state.epoch + before.get("epochs", 0),
        steps=state.steps + before.get("steps", 0),
        **({"warmup_epochs": settings.warmup_epochs} if settings.warmup_epochs else {}),
        **({"bound_best_epoch": state.bound_epoch} if state.bound_epoch else {}),
        **({"restored_from_nan": state.restored} if state.restored else {}),
        steps_per_second=state.steps / max(state.seconds, 1e-9),
        peak_memory_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        best_validation_error=state.best if np.isfinite(state.best) else None,
    )
