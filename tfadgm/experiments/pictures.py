"""Figures of the papers beyond a run's own: KL per unit, manifolds of a plane of latents; and one page with all of them."""

import numpy as np
import scipy.stats
import tensorflow as tf

from tfadgm.reporting import plotting


def kl_per_unit(units, path, given=()):
    """Draws the KL divergence of each unit, sorted, a curve per latent (Maaloe et al. 2016, figure 4a).

    Args:
      units: a dict of latent to KL per unit, nats (`diagnostics.kl_per_unit`).
      path: of the PNG.
      given: latents without such a KL (`diagnostics.not_by_unit`).
    """
    with plotting.canvas(path, 4.6, 3.2, xlabel="unit, sorted", ylabel="KL (nats)") as ax:
        for name, values in units.items():
            ax.plot(np.arange(1, len(values) + 1), np.sort(values)[::-1], marker=".", markersize=4, label=name)
        condition = f" given {', '.join(given)}" if given else ""
        ax.set(title=f"KL per unit{condition}, {sum(map(sum, units.values())):.1f} nats in all")
        ax.set_yscale("symlog", linthresh=0.01, subs=(2, 5))
        ax.set_ylim(0, 1.2 * max(0.01, max(np.max(values) for values in units.values())))
        ax.yaxis.set_major_formatter("{x:g}")
        ax.grid(True)
        ax.legend()


def error_curves(runs, path):
    """Draws the validation error of several runs against the epoch (Maaloe et al. 2016, figure 5, has the test error).

    Args:
      runs: a dict of label to rows of metrics.csv with a column validation_error.
      path: of the PNG.
    """
    with plotting.canvas(path, 6, 3.6, xlabel="epoch", ylabel="validation error (%)", yscale="log") as ax:
        for label, rows in runs.items():
            error = 100 * plotting.column(rows, "validation_error")
            ax.plot(plotting.column(rows, "epoch"), error, label=f"{label}, last {error[-1]:.2f}%")
        ax.yaxis.set_major_formatter("{x:g}")
        ax.yaxis.set_minor_formatter("{x:g}")
        ax.grid(True, which="both")
        ax.legend()


def density_by_samples(cells, path):
    """Draws log p(x) against the number of importance samples, a line per cell (Maaloe et al. 2017, figure 2a).

    Args:
      cells: a dict of label to {samples: nats}.
      path: of the PNG.
    """
    labels = dict(xlabel="importance samples", ylabel="log p(x) (nats)", xscale="log")
    with plotting.canvas(path, 6, 3.6, **labels) as ax:
        for label, found in cells.items():
            points = sorted((int(samples), nats) for samples, nats in found.items())
            ax.plot(*zip(*points, strict=True), marker="o", markersize=3, label=f"{label}, last {points[-1][1]:.2f}")
        ax.grid(True)
        ax.legend()


def learning_curves(runs, path):
    """Draws the training bound of several runs against training minutes, side by side.

    Args:
      runs: a dict of label to (rows of metrics.csv, epochs of warm-up, whose values are no bounds and are dotted).
      path: of the PNG.
    """
    with plotting.canvas(path, 6, 3.6, xlabel="training minutes", ylabel="bound of training examples (nats)") as ax:
        late = []
        for label, (rows, warmup) in runs.items():
            minutes, bound = plotting.column(rows, "seconds") / 60, plotting.column(rows, "unlabelled_bound")
            warm = np.sum(plotting.column(rows, "epoch") <= warmup)
            late.extend(plotting.curve(ax, minutes, bound, warm, label=f"{label}, last {bound[-1]:.1f}"))
        ax.set_ylim(min(late), max(late) + 0.05 * (max(late) - min(late)) + 1e-9)
        ax.grid(True)
        ax.legend()


def plane(size, low=None, high=None):
    """Returns a grid over a plane of latents, float32 [size * size, 2], the first coordinate to the right, the second up.

    With neither bound the quantiles of N(0, 1), as in Kingma and Welling 2014, figure 4; else evenly from `low` to `high`.
    """
    steps = (np.arange(size) + 0.5) / size
    ticks = scipy.stats.norm.ppf(steps) if low is None else low + (high - low) * steps
    right, up = np.meshgrid(ticks, ticks[::-1])
    return np.stack([right, up], -1).reshape(-1, 2).astype("float32")


def manifold(model, name, path, size=15, y=None):
    """Draws E[x | latent] over the plane of a latent of two units; for a class y, of that class.

    Args:
      model: a model of pictures.
      name: the latent, two units.
      path: of the PNG.
      size: pictures in a row.
      y: a class number, or None.

    Raises:
      ValueError: if the latent has not two units.
    """
    if model.sizes.get(name) != 2:
        raise ValueError(f"{name}: got {model.sizes.get(name)} units; allowed: 2")
    limits = [getattr(model.p[name], bound, None) for bound in ("low", "high")]
    points = tf.constant(plane(size, *limits))
    one_hot = None if y is None else tf.one_hot([y] * size**2, model.num_classes)
    x, _ = model.generate(tf.constant([0, 1]), size**2, one_hot, {name: points})
    tiles = plotting.pixels(model, model.preprocess.picture(x.numpy()))
    tiles = tiles.reshape(size, size, *tiles.shape[1:])
    title = f"E[x | {'' if y is None else f'y = {y}, '}{name}] over the plane of {name}"
    plotting.picture_grid(path, tiles, title)


def together(found, prefix):
    """Draws what several cells have in common: PREFIX_errors.png, PREFIX_bounds.png, PREFIX_samples.png.

    Args:
      found: a dict of label to (row of the cell's record, rows of metrics.csv, epochs of warm-up).
      prefix: a path.
    """
    prefix.parent.mkdir(parents=True, exist_ok=True)
    curves = {label: (rows, warmup) for label, (_, rows, warmup) in found.items() if rows}
    errors = {label: rows for label, (rows, _) in curves.items() if "validation_error" in rows[-1]}
    by_samples = {label: row.get("log_density_by_samples") for label, (row, _, _) in found.items()}
    by_samples = {label: densities for label, densities in by_samples.items() if densities}
    if len(errors) > 1:
        error_curves(errors, f"{prefix}_errors.png")
    if len(curves) > 1:
        learning_curves(curves, f"{prefix}_bounds.png")
    if len(by_samples) > 1:
        density_by_samples(by_samples, f"{prefix}_samples.png")
