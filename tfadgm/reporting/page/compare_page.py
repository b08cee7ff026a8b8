"""The page across runs: a row for each group of runs that differ by the seed alone, their curves, what else differs."""

import dataclasses
import math
import string

import numpy as np
import scipy.stats

from tfadgm.reporting import plotting, summary, vector
from tfadgm.reporting.page import render

OWN = summary.OWN_UNITS
# (what it is called, its names in results.json, of which the first that is there counts, its form)
MEASURES = (
    ("error", ("test_error", "validation_error"), "percent"),
    ("labels alone", ("labels_alone",), "percent"),
    ("calibration error", ("ece",), "percent"),
    ("NLL, nats", ("nll",), "number"),
    ("log p(x) ≥, nats", (f"log_density{OWN}", "log_density"), "number"),
    ("ELBO, nats", (f"elbo{OWN}", "elbo"), "number"),
    ("training, s", ("train_seconds",), "number"),
)
CURVES = dict(
    validation_error="validation error (%)", watched_bound="bound of kept rows (nats)", unlabelled_bound="bound (nats)"
)
IN_LABEL = 3  # settings that tell one group from another in its label


@dataclasses.dataclass
class Finished:
    """A finished run: its directory, its settings, results.json, the rows of metrics.csv, the identity of its own data."""

    path: str
    settings: dict
    results: dict
    rows: list[dict]
    data: object = None

    def measure(self, names):
        """The first number in the results that one of `names` has, or None."""
        alone = [self.results.get(f"supervised_{name}_error") for name in ("baseline", "svm")]
        found = self.results | dict(labels_alone=min((each for each in alone if each is not None), default=None))
        return next((found[name] for name in names if found.get(name) is not None), None)


@dataclasses.dataclass
class Group:
    """Runs of the same settings but for the seed."""

    letter: str
    label: str
    runs: list[Finished]

    def values(self, names):
        """The numbers that its runs have, [n]."""
        return np.array([value for value in (run.measure(names) for run in self.runs) if value is not None], "float64")


def named(groups):
    """Returns lists of runs as `Group`s; a label is the model, and what tells it from others of that model."""
    found = []
    for i, runs in enumerate(groups):
        model = runs[0].settings["model"]
        alike = [each for each in groups if each[0].settings["model"] == model]
        telling = [name for name in differing(alike) if name != "data_dir"][:IN_LABEL]
        more = [f"{name} {short(runs[0].settings.get(name))}" for name in telling]
        letter = string.ascii_uppercase[i] if len(groups) <= 26 else str(i + 1)
        found.append(Group(letter, ", ".join([model, *more]), runs))
    return found


def differing(groups):
    """Names of the settings, but the seed, that are not the same in all groups (lists of runs)."""
    names = dict.fromkeys(name for runs in groups for name in runs[0].settings if name != "seed")
    return [name for name in names if any(runs[0].settings.get(name) != groups[0][0].settings.get(name) for runs in groups)]


def short(value):
    """The value of a setting in few letters."""
    text = "none" if value is None else ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    return text.rpartition("/")[2] if "/" in text else text


def spread(values):
    """Returns mean and deviation over runs (None of one) of numbers [n], a dict; None where there are none."""
    if not len(values):
        return None
    deviation = float(values.std(ddof=1)) if len(values) > 1 else None
    return dict(mean=float(values.mean()), deviation=deviation)


def table(groups):
    """Returns (measures, rows): for each group of `named` the spread of each measure that a run has."""
    measures = [each for each in MEASURES if any(len(group.values(each[1])) for group in groups)]
    return measures, [(group, [spread(group.values(names)) for _, names, _ in measures]) for group in groups]


def lines(groups):
    """The same as pairs of text, for a terminal: (label, numbers)."""
    measures, rows = table(groups)
    found = []
    for group, values in rows:
        told = "; ".join(f"{each[0]} {_told(value, each[2])}" for each, value in zip(measures, values, strict=True) if value)
        count = "1 seed" if len(group.runs) == 1 else f"{len(group.runs)} seeds"
        found.append((f"{group.letter}  {group.label}", f"{count}: {told}"))
    return found


def _told(value, form):
    scale, unit = (100, "%") if form == "percent" else (1, "")
    more = "" if value["deviation"] is None else f" +- {scale * value['deviation']:.2f}"
    return f"{scale * value['mean']:.2f}{unit}{more}"


def page(groups):
    """Returns the text of the page of `named` groups."""
    parts = (
        ("compared", "Result", "Side by side", compared),
        ("compared_curves", "Curves", "Training", curves),
        ("compared_settings", "Settings", "Which settings differ", settings),
        ("compared_runs", "Runs", "The runs", runs),
    )
    models = list(dict.fromkeys(run.settings["model"] for group in groups for run in group.runs))
    title = f"{sum(len(group.runs) for group in groups)} runs of {', '.join(models)}"
    return render.page("compare.html", parts, lambda function: function(groups), title=title, groups=len(groups))


def compared(groups):
    """The table, the errors as dots, and what may make the numbers not comparable."""
    measures, rows = table(groups)
    errors = {group.letter: group.values(MEASURES[0][1]) for group in groups}
    most = max((values.max() for values in errors.values() if len(values)), default=0.0)
    dots = [(group, [float(e / most) for e in errors[group.letter]]) for group in groups] if most else []
    return dict(measures=measures, rows=rows, dots=dots, most=most, notes=notes(groups), verdict=verdict(groups))


def verdict(groups):
    """The groups of the lowest and the second lowest mean error, their difference, and its 95% interval over seeds.

    By Welch's t test, of groups of three runs or more each; None where there are no two groups with errors.
    """
    names = MEASURES[0][1]
    order = sorted((each for each in groups if len(each.values(names))), key=lambda each: each.values(names).mean())
    if len(order) < 2:
        return None
    best, second = (each.values(names) for each in order[:2])
    found = dict(best=order[0], second=order[1], difference=float(second.mean() - best.mean()), interval=None)
    if min(len(best), len(second)) >= 3 and best.std() + second.std() > 0:
        between = scipy.stats.ttest_ind(second, best, equal_var=False).confidence_interval(0.95)
        if math.isfinite(between.low):
            found["interval"] = [float(between.low), float(between.high)]
    return found


def notes(groups):
    """What may make numbers not comparable, in lines."""
    every = [run for group in groups for run in group.runs]
    found = []
    if len({run.settings["dataset"] for run in every}) > 1 or len({repr(run.data) for run in every}) > 1:
        found.append("The runs are of different data: their errors and densities do not compare.")
    measured = {(run.results["evaluated_on"], _examples(run)) for run in every}
    if len(measured) > 1:
        told = sorted(f"{part}, {count} examples" for part, count in measured)
        found.append(f"They are measured on different examples: {'; '.join(told)}.")
    if any(f"elbo{OWN}" not in run.results for run in every):
        found.append("Densities of runs of an older version are of x as the network reads it, not in the data's own units.")
    short_of = [run.path for run in every if run.results["epochs"] < (run.results.get("warmup_epochs") or 0)]
    if short_of:
        found.append(f"Ended within warm-up: {', '.join(short_of)}.")
    return found


def _examples(run):
    return run.results.get(f"{run.results['evaluated_on']}_examples", run.results.get("log_density_examples"))


def curves(groups):
    """A figure for each curve that a run has: a colour for each group, a line for each run."""
    found = [(title, _figure(groups, name, title)) for name, title in CURVES.items() if _has(groups, name)]
    return dict(panels=found, groups=groups) if found else None


def _has(groups, name):
    return any(np.isfinite(plotting.column(run.rows, name)).any() for group in groups for run in group.runs if run.rows)


def _figure(groups, name, title):
    found, late = [], []
    with plotting.canvas(lambda f: found.append(vector.svg(f, name)), 7, 3.6, xlabel="epoch", ylabel=title) as ax:
        for i, group in enumerate(groups):
            label = plotting.plain(f"{group.letter}  {group.label}")
            for run in group.runs:
                y = plotting.column(run.rows, name) if run.rows else np.zeros(0)
                keep = np.isfinite(y)
                if not keep.any():
                    continue
                epoch, scale = plotting.column(run.rows, "epoch")[keep], 100 if name.endswith("error") else 1
                warm = 0 if name.endswith("error") else np.sum(epoch <= (run.results.get("warmup_epochs") or 0))
                how = dict(color=plotting.COLOURS[i % 10], linewidth=1.0, linestyle=("-", "--")[i // 10 % 2])
                late.extend(plotting.curve(ax, epoch, scale * y[keep], warm, label=label, **how))
                label = "_nolegend_"  # of the group's first run alone
        margin = 0.05 * np.ptp(late) + 1e-9
        ax.set_ylim(0 if name.endswith("error") else min(late) - margin, max(late) + margin)
        ax.grid(True)
        ax.legend()
    return found[0]


def settings(groups):
    """The settings that differ, a column for each group."""
    runs = [group.runs for group in groups]
    rows = [(name, [short(each[0].settings.get(name)) for each in runs]) for name in differing(runs)]
    return dict(rows=rows, groups=groups) if rows else None


def runs(groups):
    """Each run with its numbers."""
    found = []
    for group in groups:
        for run in group.runs:
            error = run.measure(MEASURES[0][1])
            interval = run.results.get(f"{run.results['evaluated_on']}_error_interval")
            found.append((group, run, error, interval, run.measure(MEASURES[4][1])))
    return dict(rows=found)
