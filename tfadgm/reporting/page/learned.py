"""What a model has learned: what it draws, where its latents put the examples, and where the nats of the bound go."""

from functools import partial

import numpy as np

from tfadgm.evaluation import diagnostics
from tfadgm.reporting import figures, plotting, report, vector

PICTURES = dict(  # what is said of each figure
    class_samples="Draws of the model",
    prediction_map="Where it answers what",
    analogies="Analogies",
    reconstructions="Reconstructions, and draws",
)
EXAMPLES = 500  # that the bound is taken apart over


def samples(content):
    """The figures of what the model draws."""
    found = [(name, title, content.figures[name]) for name, title in PICTURES.items() if name in content.figures]
    labelled = content.model.has_class
    return dict(figures=found, names=content.names if labelled else None) if found else None


def latents(content):
    """A panel for each latent, coloured by class."""
    raw, y = figures.shown_examples(content.data, content.split)
    means = figures.latent_means(content.model, raw)
    names, found = content.data.class_names, []
    for name, points in means.items():
        draw = partial(figures.latents, name=name, points=points, y=y, class_names=names)
        found.append((name, points.shape[1], _drawn(draw, f"latents-{name}", 4.6 if y is None else 5.4, 3.6)))
    return dict(panels=found, examples=len(raw), coloured=y is not None) if found else None


def bound(content):
    """The bound by factor, the KL of each unit, and how many are active, over some held-out examples."""
    found = report.diagnose(content.model, content.data, content.split, EXAMPLES)
    total = sum(found["terms"].values()) + found["log_scale"]
    terms = [*found["terms"].items()]
    if found["log_scale"]:
        terms.append(("log |dx / d data|", found["log_scale"]))
    most = max(max(abs(value) for _, value in terms), 1e-9)
    units = [_units(name, np.array(values), found["active_units"].get(name)) for name, values in found["kl_per_unit"].items()]
    rest = diagnostics.not_by_unit(content.model, found["kl_per_unit"])
    return dict(terms=terms, total=total, most=most, units=units, examples=found["examples"], rest=rest)


def _units(name, kl, active):
    def draw(ax):
        ax.bar(np.arange(1, len(kl) + 1), np.sort(kl)[::-1], color=plotting.COLOURS[0])
        ax.set(xlabel=f"unit of {name}, sorted", ylabel="KL (nats)", title=f"{name}: {kl.sum():.2f} nats")
        ax.xaxis.get_major_locator().set_params(integer=True)
        ax.grid(True, axis="y")

    return dict(name=name, size=len(kl), sum=float(kl.sum()), most=float(kl.max()), active=active) | dict(
        figure=_drawn(draw, f"units-{name}", 4.2, 2.6)
    )


def curves(content):
    """A figure for each scale of the learning curves."""
    if not content.rows:
        return None
    found = []
    for title, names in figures.curve_panels(content.rows):
        draw = partial(figures.curves, rows=content.rows, title=title, names=names, warmup=content.warmup)
        found.append((title, _drawn(draw, f"curves-{title}", 4.6, 2.9, xlabel="epoch", ylabel="nats per example")))
    results = content.results
    of = results.get("bound_best_epoch")
    return dict(panels=found, warmup=content.warmup, results=results, epoch=of) if found else None


def _drawn(draw, name, width, height, **options):
    """Returns what draw(ax) draws as SVG."""
    found = []
    with plotting.canvas(lambda figure: found.append(vector.svg(figure, name)), width, height, **options) as ax:
        draw(ax)
    return found[0]
