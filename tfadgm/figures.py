"""Every plot of a finished run, as PNG files; `all_figures` draws those that apply.

One style: matplotlib's objects on the Agg canvas (no pyplot) and the ten colours of Petroff 2021 ("Accessible color
sequences for data visualization"), which come again with another marker for classes 10 to 19.
"""

import contextlib
import math
import pathlib
from functools import partial

import matplotlib
import numpy as np
import tensorflow as tf
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

MANY, SHOWN = 20, 2000  # classes with a legend, numbers in cells and samples; examples in a scatter plot
COLOURS = "#3f90da #ffa90e #bd1f01 #94a4a2 #832db6 #a96b59 #e76300 #b9ac70 #717581 #92dadd".split()
QUIET, STRONG = "#c3c7cb", "#30343a"
STYLE = {
    **{"axes.spines.top": False, "axes.spines.right": False, "axes.edgecolor": QUIET, "axes.labelcolor": STRONG},
    **{"text.color": STRONG, "xtick.color": STRONG, "ytick.color": STRONG, "grid.color": "#e8eaec", "axes.axisbelow": True},
    **{"font.size": 9, "axes.titlesize": 9.5, "figure.titlesize": 9.5, "axes.titlelocation": "left", "legend.fontsize": 8},
    **{"legend.frameon": False, "lines.linewidth": 1.4, "axes.prop_cycle": matplotlib.cycler(color=COLOURS)},
    **{"savefig.dpi": 150, "figure.constrained_layout.h_pad": 0.08, "figure.constrained_layout.w_pad": 0.08},
}


@contextlib.contextmanager
def canvas(path, width, height, grid=(1, 1), **options):
    """Yields axes (or a grid of axes) with options such as labels, in a figure of width x height inches, saved to `path`."""
    with matplotlib.rc_context(STYLE):
        figure = Figure((width, height), layout="constrained")
        FigureCanvasAgg(figure)
        yield figure.subplots(*grid, subplot_kw=options)
        figure.savefig(path, format="png")


def column(rows, name):
    """Returns the column `name` of rows read from a csv file, float64 [rows]; NaN where it is missing or empty."""
    return np.array([math.nan if row.get(name) in (None, "") else float(row[name]) for row in rows], "float64")


def training_curves(rows, path):
    """Draws objective and bounds (nats per example) and errors (%) against the epoch, a panel for each scale.

    `rows` is a list of dicts: epoch, objective, *_bound, and *_error and *_accuracy, fractions, both drawn as errors.
    What is missing or empty is left out; a curve joins the epochs that have a value.
    """
    panels = {"Objective": [], "Bounds": [], "Classification bound": [], "Errors": []}
    for name in dict.fromkeys(name for row in rows for name in row):
        own, kind = name.replace("_", " ").capitalize(), name.rpartition("_")[2]
        panel = own if own in panels else {"bound": "Bounds", "error": "Errors", "accuracy": "Errors"}.get(kind)
        if panel and np.isfinite(column(rows, name)).any():
            panels[panel].append(name)
    panels = [(title, names) for title, names in panels.items() if names]
    wide, high = min(2, len(panels)) or 1, math.ceil(len(panels) / 2) or 1
    with canvas(path, 4 * wide, 2.6 * high, (high, wide), xlabel="epoch", ylabel="nats per example") as axes:
        for i, ax in enumerate(np.ravel(axes)):
            _curves(ax, rows, *panels[i]) if i < len(panels) else ax.remove()


def _curves(ax, rows, title, names):
    """Draws columns against the epoch; early values that would flatten the rest run off the axis."""
    percent = "%" if title == "Errors" else ""
    epoch, late = column(rows, "epoch") if "epoch" in rows[0] else np.arange(1, len(rows) + 1), []
    for name in names:
        y, keep = column(rows, name), np.isfinite(column(rows, name))
        y = {"error": 100 * y, "accuracy": 100 * (1 - y)}.get(name.rpartition("_")[2], y)[keep]
        label = f"{name.replace('accuracy', 'error').replace('_', ' ')}, last {y[-1]:.4g}{percent}"
        ax.plot(epoch[keep], y, label=label, marker="o" if len(y) < 30 else None, markersize=2.5)
        late.extend(y[len(y) // 10 :])
    margin = 0.1 * np.ptp(late)
    if 0 < 30 * margin < min(late) - ax.dataLim.y0:
        ax.set_ylim(min(late) - margin, ax.dataLim.y1 + margin)
    ax.set(title=title if len(names) > 1 else label.capitalize(), **({"ylabel": "%", "ylim": (0, None)} if percent else {}))
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.grid(True)
    if len(names) > 1:
        ax.legend()


def confusion_counts(y, predicted, num_classes):
    """Returns how many examples of class i were predicted as class j, int64 [K, K]; unlabelled ones (-1) do not count."""
    pairs = np.asarray(y, "int64") * num_classes + np.asarray(predicted, "int64")
    return np.bincount(pairs[pairs >= 0], minlength=num_classes**2).reshape(num_classes, num_classes)


def confusion_matrix(y, predicted, class_names, path):
    """Draws counts [K, K], a row per true class, coloured by their share of the row; numbers for up to 20 classes."""
    counts, size = confusion_counts(y, predicted, len(class_names)), min(3 + 0.25 * len(class_names), 6)
    share = 100 * counts / np.maximum(counts.sum(1, keepdims=True), 1)
    wrong, total = counts.sum() - np.trace(counts), max(counts.sum(), 1)
    with canvas(path, size + 1, size, xlabel="predicted class", ylabel="true class") as ax:
        ax.figure.suptitle(f"Confusion: {wrong} of {total} wrong, error {100 * wrong / total:.2f}%")
        ax.figure.colorbar(ax.imshow(share, cmap="Blues", vmin=0, vmax=100), label="share of the true class (%)")
        if len(class_names) <= MANY:
            _ticks(ax.xaxis, class_names)
            _ticks(ax.yaxis, class_names)
            for i, j in np.argwhere(counts):
                colour = "white" if share[i, j] > 50 else STRONG
                ax.text(j, i, counts[i, j], ha="center", va="center", color=colour, fontsize=7)


def _ticks(axis, names, step=1, start=0.0):
    """Writes names at start, start + step, ...; long ones stand upright on a horizontal axis."""
    upright = axis.axis_name == "x" and len(names) * max(map(len, names), default=0) > 20
    axis.set_ticks(start + step * np.arange(len(names)), names, rotation=90 if upright else 0)
    axis.set_tick_params(length=0)


def reliability(y, probabilities, bins=15):
    """Returns (mean confidence, accuracy, count), each [bins], of the examples whose largest probability is in each bin."""
    top, right = np.max(probabilities, 1), np.argmax(probabilities, 1) == y
    place = np.minimum((top * bins).astype(int), bins - 1)
    count = np.bincount(place, minlength=bins)
    sums = [np.bincount(place, values, minlength=bins) for values in (top, right)]
    return *np.where(count, sums / np.maximum(count, 1), np.nan), count


def reliability_diagram(y, probabilities, path):
    """Draws accuracy against confidence in 15 bins, with a standard error, and counts beneath; y [N], q(y|x) [N, K]."""
    from tfadgm import evaluation

    error = evaluation.expected_calibration_error(probabilities, y, bins=15)
    confidence, accuracy, count = reliability(y, probabilities)
    deviation, place = np.sqrt(accuracy * (1 - accuracy) / np.maximum(count, 1)), 100 * (np.arange(15) + 0.5) / 15
    with canvas(path, 4.6, 5, (2, 1), xlim=(0, 100)) as (above, below):
        above.get_gridspec().set_height_ratios([3, 1])
        above.set(title=f"Reliability: expected calibration error {100 * error:.2f}%", ylabel="accuracy (%)", ylim=(0, 104))
        above.bar(place, 100 * accuracy, 6.2, color="#d3e5f6")
        dots = dict(fmt="o", ms=3.5, lw=1, clip_on=False, label="model, 1 standard error")
        above.errorbar(100 * confidence, 100 * accuracy, 100 * deviation, **dots)
        above.plot([0, 100], [0, 100], "--", color=STRONG, lw=1, label="calibrated")
        above.legend(loc="upper left")
        below.bar(place, count, 6.2, color=QUIET)
        below.set(xlabel="confidence: largest q(y|x) (%)", ylabel="examples", yscale="log", ylim=(0.7, None))


def is_image(raw_shape):
    """Whether raw examples can be shown as pictures: [height, width] or [height, width, 1, 2 (a stereo pair), 3 or 4]."""
    return len(raw_shape) == 2 or (len(raw_shape) == 3 and 1 <= raw_shape[-1] <= 4)


def pixels(model, raw):
    """Returns raw pictures [..., *raw_shape] as [..., height, width] or [..., height, width, 3], clipped to [0, 1]."""
    raw_shape, low = model.preprocess.raw_shape, model.preprocess.shift
    high = low + 1 / model.preprocess.scale
    if model.likelihood == "gaussian":  # x has no range of its own
        low, high = (0, model.levels - 1) if model.levels else (np.min(raw), np.max(raw))
    shown = np.clip((raw - low) / np.maximum(high - low, 1e-30), 0, 1)
    if len(raw_shape) == 2 or raw_shape[-1] > 2:
        return shown if len(raw_shape) == 2 else shown[..., :3]
    return np.concatenate([shown[..., i] for i in range(raw_shape[-1])], -1)  # the pictures of a pair side by side


def mosaic(tiles):
    """Lays tiles [rows, columns, height, width(, 3)] side by side, a white line between them."""
    rows, columns, height, width, *colours = tiles.shape
    padded = np.pad(tiles, [(0, 0), (0, 0), (0, 1), (0, 1), *[(0, 0) for _ in colours]], constant_values=1.0)
    return padded.swapaxes(1, 2).reshape(rows * (height + 1), columns * (width + 1), *colours)[:-1, :-1]


def picture_grid(path, tiles, title, row_names=(), column_names=()):
    """Draws the mosaic of tiles with names of rows and columns."""
    rows, columns, height, width = tiles.shape[:4]
    inch = min(0.5, 5.5 * height / width / columns, 8 / rows)  # the height of a tile
    with canvas(path, max(3.6, inch * columns * width / height + 0.8), inch * rows + 0.6) as ax:
        ax.figure.suptitle(title)
        crisp = {"interpolation": "nearest"} if height < 150 * inch else {}  # "nearest" makes moire of what it shrinks
        ax.imshow(mosaic(tiles), cmap="gray", vmin=0, vmax=1, **crisp)
        ax.spines[:].set_visible(False)
        ax.xaxis.tick_top()
        _ticks(ax.xaxis, column_names, width + 1, (width - 1) / 2)
        _ticks(ax.yaxis, row_names, height + 1, (height - 1) / 2)


def generate_classes(model, seed, batch, latents=None, sampled=False):
    """Returns E[x | y, latents], or draws of a continuous x, [K, batch, D], for the first 20 classes; K is 1 without y.

    All classes have the noise of the one seed: examples at the same place differ in y alone.
    """
    results = []
    for one_hot in np.eye(model.num_classes, dtype="float32")[:MANY] if model.has_class else [None]:
        y = None if one_hot is None else tf.tile(one_hot[None], [batch, 1])
        x, values = model.generate(tf.constant([seed, 3]), batch, y, latents)
        if sampled and model.likelihood != "bernoulli":
            x = model.p["x"].distribution(values).sample(seed=tf.constant([seed, 4]))
        results.append(x)
    return np.stack(results)


def class_samples(model, class_names, path, per_class=10, seed=0):
    """Draws pictures E[x | y, z], a row per class, the same z in a column; without classes a square of E[x | z].

    Of 2-D data 500 points per class; of tables a heatmap of E[x | y], the mean over 200 draws, against the feature.
    """
    preprocess, names = model.preprocess, list(class_names[:MANY]) if model.has_class else []
    if preprocess.raw_shape == (2,):
        points = preprocess.picture(generate_classes(model, seed, 500, sampled=True))
        with canvas(path, 5.6, 4, title=f"Samples of p({'x | y' if names else 'x'})", xlabel="x[0]", ylabel="x[1]") as ax:
            _scatter(ax, points.reshape(-1, 2), np.repeat(np.arange(len(points)), 500), names or ["samples"])
    elif is_image(preprocess.raw_shape):
        x = generate_classes(model, seed, per_class if names else per_class**2)
        tiles = pixels(model, preprocess.picture(x.reshape(-1, per_class, x.shape[-1])))
        picture_grid(path, tiles, f"Samples: E[x | {'y, z], same z in a column' if names else 'z]'}", names)
    else:
        x = generate_classes(model, seed, 200)
        _table(path, *((x.mean(1), "class") if names else (x[0, :MANY], "sample")), names)


def _table(path, rows, sort, names):
    """Draws rows of x, [rows, D], as a heatmap."""
    scale, title = np.abs(rows).max(), f"Samples: E[x] of each {sort}, in the scale of the network's input"
    with canvas(path, 7, 1.4 + 0.2 * len(rows), title=title, xlabel="feature", ylabel=sort) as ax:
        image = ax.imshow(rows, cmap="PuOr", vmin=-scale, vmax=scale, aspect="auto", interpolation="nearest")
        ax.figure.colorbar(image, label="E[x]")
        _ticks(ax.yaxis, names)


def analogies(model, raw, path, classes):
    """Draws pictures x [N, *raw_shape] and E[x | y = k, z(x)] for every class k (Maaloe et al. 2016, figure 3a).

    z, all latents behind x that do not depend on y in p, is the mean of q at the most probable class y; `classes` are the
    names.
    """
    predicted = tf.one_hot(tf.argmax(model.log_class_probs(raw, tf.constant([0, 5]), 100), 1), model.num_classes)
    encoded = model.encode(raw, predicted)
    generated = generate_classes(model, 0, len(raw), {name: encoded[name] for name in model.style}).swapaxes(0, 1)
    tiles = np.concatenate([np.asarray(raw, "float32")[:, None], model.preprocess.picture(generated)], 1)
    title = "Analogies: x, and E[x | y, z(x)] for each class y"
    picture_grid(path, pixels(model, tiles), title, column_names=["x", *classes[:MANY]])


def pca(points):
    """Returns points [N, D] in their first two principal components, [N, 2], and the shares of the variance of these."""
    centred = np.pad(points - np.mean(points, 0, "float64"), [(0, 0), (0, 1)])  # one latent has no second component
    u, s, _ = np.linalg.svd(centred, full_matrices=False)
    return (u * s)[:, :2], s[:2] ** 2 / max(np.sum(s**2), 1e-300)


def palette(classes):
    """Returns the colours of the classes, [K, 3]: the ten in turn, or a scale for more than 20 classes."""
    if classes > MANY:
        return matplotlib.colormaps["viridis"](np.linspace(0, 1, classes))[:, :3]
    return np.array([to_rgb(COLOURS[k % 10]) for k in range(classes)])


def _scatter(ax, points, y, class_names):
    """Draws points [N, 2] in the colours of their classes y [N], grey for unlabelled (-1, or y is None)."""
    y, dots = np.full(len(points), -1) if y is None else np.asarray(y), dict(s=7, linewidths=0, alpha=0.7)
    ax.scatter(*points[y < 0].T, color=QUIET, **dots)
    if len(class_names) > MANY:
        dots.update(cmap="viridis", vmin=0, vmax=len(class_names) - 1)
        ax.figure.colorbar(ax.scatter(*points[y >= 0].T, c=y[y >= 0], **dots), label="class number")
        return
    for k in np.unique(y[y >= 0]):
        ax.scatter(*points[y == k].T, color=COLOURS[k % 10], marker="o^"[k // 10], label=class_names[k], **dots)
    ax.legend(loc="center left", bbox_to_anchor=(1, 0.5), markerscale=2)


def latent_pca(model, raw, y, class_names, path):
    """Draws the means of q's first latent but y (a, else z) for raw examples in two principal components, coloured by y."""
    encoded = [model.encode(raw[i : i + 500]) for i in range(0, len(raw), 500)]
    name = next(iter(encoded[0]))
    coordinates, share = pca(np.concatenate([part[name] for part in encoded]))
    labels = [f"principal component {i + 1} ({100 * share[i]:.1f}% of the variance)" for i in range(2)]
    with canvas(path, 5.6, 4.4, xlabel=labels[0], ylabel=labels[1], title=f"Mean of q({name}|x), {len(raw)} examples") as ax:
        _scatter(ax, coordinates, y, class_names)


def prediction_map(model, raw, y, labelled, class_names, path):
    """Draws q(y|x) over the plane, a blend of the classes' colours (Maaloe et al. 2016, figure 2c).

    Over it: points raw [N, 2] in the colours of y [N] (or None), and in black the points labelled in training [L, 2].
    """
    from tfadgm import evaluation

    low, high = (extreme(np.concatenate([raw, labelled]), 0) for extreme in (np.min, np.max))
    ticks = np.linspace(low - 0.15 * (high - low), high + 0.15 * (high - low), 100).astype(model.preprocess.raw_dtype)
    grid = np.stack(np.meshgrid(*ticks.T), -1)
    probabilities = evaluation.class_probabilities(model, grid.reshape(-1, 2), samples=20, chunk=1000)
    blend = probabilities.reshape(100, 100, -1) @ palette(len(class_names))
    with canvas(path, 5.6, 4, title="q(y|x); in black the labelled examples", xlabel="x[0]", ylabel="x[1]") as ax:
        extent = [*ticks[[0, -1], 0], *ticks[[0, -1], 1]]
        ax.imshow(1 - 0.5 * (1 - blend), origin="lower", extent=extent, aspect="auto", interpolation="bilinear")
        _scatter(ax, raw, y, class_names)
        ax.scatter(*np.asarray(labelled).T, s=32, color="black", edgecolor="white", linewidths=0.8)


def _examples(data, split):
    """Returns up to 2000 raw examples and their classes (or None): of the test set, else held out, else of training."""
    x, y = (data.x_train, data.y_train) if data.x_test is None else (data.x_test, data.y_test)
    chosen = split.validation if data.x_test is None and len(split.validation) else np.arange(len(x))
    chosen = np.sort(np.random.default_rng(0).permutation(chosen)[:SHOWN])
    return np.asarray(x[chosen]), None if y is None else y[chosen]


def all_figures(directory, model, data, split, rows, y=None, probabilities=None, y_names=None):
    """Draws every figure that applies into `directory`, which is made if need be, and returns the names of the files.

    `rows` are those of metrics.csv (see `training_curves`); y [N] and probabilities q(y|x) [N, K] are of the evaluated
    examples, None for models without classes; `y_names` are those of the values of the model's y, if they are not the data's
    classes. Other examples: the test set's, else those held out, else of training.
    """
    pathlib.Path(directory).mkdir(parents=True, exist_ok=True)
    (raw, known), names, labelled = _examples(data, split), data.class_names, data.x_train[split.labelled[:SHOWN]]
    y_names = y_names or names
    jobs = dict(
        class_samples=partial(class_samples, model, y_names), latent_pca=partial(latent_pca, model, raw, known, names)
    )
    if rows:
        jobs["training_curves"] = partial(training_curves, rows)
    if y is not None:
        jobs["confusion_matrix"] = partial(confusion_matrix, y, probabilities.argmax(1), names)
        jobs["reliability_diagram"] = partial(reliability_diagram, y, probabilities)
    if model.has_class and is_image(data.raw_shape):
        jobs["analogies"] = partial(analogies, model, raw[:10], classes=y_names)
    if model.classifies and data.raw_shape == (2,):
        jobs["prediction_map"] = partial(prediction_map, model, raw, known, labelled, y_names)
    for name, draw in jobs.items():
        draw(path=pathlib.Path(directory, f"{name}.png"))
    return [f"{name}.png" for name in jobs]
