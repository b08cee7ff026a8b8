"""What a model has learned: what it draws, where its latents put the examples, and where the nats of the bound go."""

from functools import partial

import numpy as np

from tfadgm.evaluation import diagnostics
from tfadgm.reporting import figures, plotting, report, vector
from tfadgm.reporting.page import tables

PICTURES = dict(  # title, and what is said
    class_samples=("New examples", ""),
    prediction_map=(
        "Where it answers what",
        "q(y|x) over the plane, a blend of the classes' colours; labelled examples in black.",
    ),
    analogies=(
        "Analogies",
        "Left an example, beside it what the model makes of each class with the latents of that example.",
    ),
    reconstructions=("Reconstructions", "Examples, what their latents keep of them, and as many free draws."),
)
EXAMPLES = 500  # that the bound is taken apart over


def samples(content):
    """The figures of what the model draws."""
    if content.data.columns is not None:
        return dict(figures=[], rows=tables.rows(content))
    found = []
    for name, (title, said) in PICTURES.items():
        if name in content.figures:
            kind = _kind(name, content.data.raw_shape)
            found.append((title, said or _drawn_examples(content), content.figures[name], kind))
    return dict(figures=found, rows=None) if found else None


def _kind(name, shape):
    """How the page shows a figure: pictures keep their pixels, and only what is drawn in lines is lit up in the dark."""
    return "plain" if name == "prediction_map" else "tiles" if plotting.is_image(shape) else "chart"


def _drawn_examples(content):
    """What is said of `figures.class_samples`."""
    model, each = content.model, "of each class" if content.model.has_class else "of the model"
    if plotting.is_plane(model.preprocess):
        return f"500 draws {each}."
    if plotting.is_image(content.data.raw_shape):
        same = "; the same latents in a column" if model.has_class else ""
        return f"Examples {each} that nobody has seen: latents are drawn, and the mean of x given these is shown{same}."
    return (
        "Means of 200 draws of each class, a column per feature, as the network reads it."
        if model.has_class
        else ("Draws of the model, a row each, a column per feature, as the network reads it.")
    )


def latents(content):
    """A panel for each latent that is used, coloured by class, and the names of the others."""
    raw, y = figures.shown_examples(content.data, content.split)
    means = figures.latent_means(content.model, raw)
    names, found = content.data.class_names, []
    same = [name for name, points in means.items() if figures.unused(points)]
    for name, points in means.items():
        if name in same:
            continue
        draw = partial(figures.latents, name=name, points=points, y=y, class_names=names)
        found.append((name, points.shape[1], _drawn(draw, f"latents-{name}", 4.4, 3.2)))
    return dict(panels=found, same=same, examples=len(raw), coloured=y is not None) if means else None


def bound(content):
    """The bound by factor, the KL of each unit, and how many are active, over some held-out examples."""
    found = report.diagnose(content.model, content.data, content.split, EXAMPLES)
    total = sum(found["terms"].values()) + found["log_scale"]
    terms = [*found["terms"].items()]
    if found["log_scale"]:
        terms.append(("log |dx / d data|", found["log_scale"]))
    most = max(max(abs(value) for _, value in terms), 1e-9)
    units = [
        _units(name, np.array(values), found["active_units"].get(name)) for name, values in found["kl_per_unit"].items()
    ]
    rest = diagnostics.not_by_unit(content.model, found["kl_per_unit"])
    about = dict(examples=found["examples"], part=content.part)
    return about | dict(terms=terms, total=total, most=most, units=units, rest=rest)


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
        found.append((title, _drawn(draw, f"curves-{title}", 4.4, 2.8, xlabel="epoch", ylabel="nats per example")))
    results = content.results
    of = results.get("bound_best_epoch")
    return dict(panels=found, warmup=content.warmup, results=results, epoch=of) if found else None


def _drawn(draw, name, width, height, **options):
    """Returns what draw(ax) draws as SVG."""
    found = []
    with plotting.canvas(lambda figure: found.append(vector.svg(figure, name)), width, height, **options) as ax:
        draw(ax)
    return found[0]
