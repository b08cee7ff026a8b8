"""Every plot of a finished run, as PNG files; `all_figures` draws those that apply."""

import math
import pathlib
from functools import partial

import numpy as np
import tensorflow as tf

from tfadgm import telling
from tfadgm.data import on_disk
from tfadgm.reporting import plotting, vector

SHOWN = 2000  # examples in a scatter plot
UNUSED = 1e-2  # standard deviation of the means of a latent's units, beside a prior of about 1


def training_curves(rows, path, warmup=0.0):
    """Draws objective and bounds (nats per example) and errors (%) against the epoch, a panel for each scale.

    `rows` is a list of dicts: epoch, objective, *_bound, and *_error and *_accuracy, fractions, both drawn as errors.
    What is missing or empty is left out; a curve joins the epochs that have a value. Nats of the first `warmup` epochs,
    which are no bounds, are dotted.
    """
    panels = curve_panels(rows)
    wide, high = min(2, len(panels)) or 1, math.ceil(len(panels) / 2) or 1
    with plotting.canvas(path, 4 * wide, 2.6 * high, (high, wide), xlabel="epoch", ylabel="nats per example") as axes:
        for i, ax in enumerate(np.ravel(axes)):
            curves(ax, rows, *panels[i], warmup) if i < len(panels) else ax.remove()


def curve_panels(rows):
    """Returns the panels of `training_curves`: (title, names of columns) each, of those that have a finite value."""
    panels = {"Objective": [], "Bounds": [], "Classification": [], "Errors": []}
    for name in dict.fromkeys(name for row in rows for name in row):
        own = dict(objective="Objective", classification_bound="Classification", cascade_bound="Classification").get(name)
        panel = own or dict(bound="Bounds", error="Errors", accuracy="Errors").get(name.rpartition("_")[2])
        if panel and np.isfinite(plotting.column(rows, name)).any():
            panels[panel].append(name)
    if panels["Objective"] and any(_same(rows, "objective", name) for name in panels["Bounds"]):
        panels["Objective"] = []  # the objective of a density model is its bound
    return [(title, names) for title, names in panels.items() if names]


def _same(rows, *names):
    return np.array_equal(*(plotting.column(rows, name) for name in names), equal_nan=True)


def curves(ax, rows, title, names, warmup):
    """Draws a panel: columns against the epoch; early values that would flatten the rest run off the axis."""
    percent, dots = "%" if title == "Errors" else "", dict(marker="o" if len(rows) < 30 else None, markersize=2.5)
    warmup = warmup if title in ("Objective", "Bounds") else 0
    epoch, late = plotting.column(rows, "epoch") if "epoch" in rows[0] else np.arange(1, len(rows) + 1), []
    for name in names:
        y, keep = plotting.column(rows, name), np.isfinite(plotting.column(rows, name))
        y = {"error": 100 * y, "accuracy": 100 * (1 - y)}.get(name.rpartition("_")[2], y)[keep]
        when = " in warm-up" if epoch[keep][-1] <= warmup else ""  # where it is no bound yet
        label = f"{name.replace('accuracy', 'error').replace('_', ' ')}{when}, last {y[-1]:.4g}{percent}"
        late.extend(plotting.curve(ax, epoch[keep], y, np.sum(epoch[keep] <= warmup), label=label, **dots))
    if 0 < warmup < epoch[-1]:
        ax.axvspan(0, warmup, color=plotting.QUIET, alpha=0.25, linewidth=0)
    margin = 0.1 * np.ptp(late)
    if margin and (warmup or 30 * margin < min(late) - ax.dataLim.y0):
        ax.set_ylim(min(late) - margin, (max(late) if warmup else ax.dataLim.y1) + margin)
    ax.set(title=title if len(names) > 1 else label.capitalize(), **({"ylabel": "%", "ylim": (0, None)} if percent else {}))
    ax.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
    if len(rows) == 1:
        ax.set_xlim(epoch[0] - 1, epoch[0] + 1)
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
    with plotting.canvas(path, size + 1, size, xlabel="predicted class", ylabel="true class") as ax:
        balanced = np.mean(np.diag(share)[counts.sum(1) > 0])
        title = f"error {100 * wrong / total:.2f}%, balanced accuracy {balanced:.2f}%"
        ax.figure.suptitle(f"Confusion: {wrong} of {total} wrong\n{title}")
        ax.figure.colorbar(ax.imshow(share, cmap=plotting.SHARES, vmin=0, vmax=100), label="share of the true class (%)")
        if len(class_names) <= plotting.MANY:
            plotting.ticks(ax.xaxis, class_names)
            plotting.ticks(ax.yaxis, class_names)
            for i, j in np.argwhere(counts):
                colour = "white" if share[i, j] > 50 else plotting.STRONG
                ax.text(j, i, counts[i, j], ha="center", va="center", color=colour, fontsize=7)


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
    with plotting.canvas(path, 4.6, 5, (2, 1), xlim=(0, 100)) as (above, below):
        above.get_gridspec().set_height_ratios([3, 1])
        above.set(title=f"Reliability: expected calibration error {100 * error:.2f}%", ylabel="accuracy (%)", ylim=(0, 104))
        above.bar(place, 100 * accuracy, 6.2, color=plotting.COLOURS[0], alpha=0.25)
        dots = dict(fmt="o", ms=3.5, lw=1, clip_on=False, label="model, 1 standard error")
        above.errorbar(100 * confidence, 100 * accuracy, 100 * deviation, **dots)
        above.plot([0, 100], [0, 100], "--", color=plotting.STRONG, lw=1, label="calibrated")
        above.legend(loc="upper left")
        below.bar(place, count, 6.2, color=plotting.QUIET)
        below.set(xlabel="confidence: largest q(y|x) (%)", ylabel="examples", yscale="log", ylim=(0.7, None))


def density_histogram(log_density, path):
    """Draws how log p(x) of examples is spread, [N] in nats; the lowest and the highest hundredth stand at the ends."""
    low, middle, high = np.quantile(log_density, (0.01, 0.5, 0.99))
    bins = int(np.clip(np.sqrt(len(log_density)), 5, 40))
    with plotting.canvas(path, 4.6, 2.4, xlabel="log p(x) (nats)", ylabel="examples") as ax:
        ax.hist(np.clip(log_density, low, high), bins, color=plotting.COLOURS[0], alpha=0.6)
        ax.axvline(middle, color=plotting.STRONG, lw=1, ls="--", label=f"median {middle:.5g}")
        ax.legend()


def generate_classes(model, seed, batch, latents=None, sampled=False):
    """Returns E[x | y, latents], or draws of a continuous x, [K, batch, D], for the first 20 classes; K is 1 without y.

    All classes have the noise of the one seed: examples at the same place differ in y alone.
    """
    results = []
    for one_hot in np.eye(model.num_classes, dtype="float32")[: plotting.MANY] if model.has_class else [None]:
        y = None if one_hot is None else tf.tile(one_hot[None], [batch, 1])
        means = not sampled or model.likelihood == "bernoulli"
        results.append(model.generate(tf.constant([seed, 3]), batch, y, latents, means)[0])
    return np.stack(results)


def class_samples(model, class_names, path, per_class=10, seed=0):
    """Draws pictures E[x | y, z], a row per class, the same z in a column; without classes a square of E[x | z].

    Of 2-D data 500 points per class; of tables a heatmap of E[x | y], the mean over 200 draws, against the feature.
    """
    preprocess, names = model.preprocess, list(class_names[: plotting.MANY]) if model.has_class else []
    if plotting.is_plane(preprocess):
        points = preprocess.picture(generate_classes(model, seed, 500, sampled=True))
        title = f"Samples of p({'x | y' if names else 'x'})"
        with plotting.canvas(path, 5.6, 4, title=title, xlabel="x[0]", ylabel="x[1]") as ax:
            plotting.scatter(ax, points.reshape(-1, 2), np.repeat(np.arange(len(points)), 500), names or ["samples"])
    elif plotting.is_image(preprocess.raw_shape):
        x = generate_classes(model, seed, per_class if names else per_class**2)
        tiles = plotting.pixels(model, preprocess.picture(x.reshape(-1, per_class, x.shape[-1])))
        title = f"Means of samples: E[x | {'y, z], same z in a column' if names else 'z]'}"
        plotting.picture_grid(path, tiles, title, names)
    else:
        x = generate_classes(model, seed, 200)
        shown = {"table": "values", "negative_binomial": "columns"}.get(model.likelihood)  # what networks read
        x = x if shown is None else x[..., : getattr(preprocess.layout, shown)]
        _table(path, *((x.mean(1), "class") if names else (x[0, : plotting.MANY], "sample")), names)


def _table(path, rows, sort, names):
    """Draws rows of x, [rows, D], as a heatmap."""
    scale, title = np.abs(rows).max(), f"Means: E[x] of each {sort}, in the scale of the network's input"
    with plotting.canvas(path, 7, 1.4 + 0.2 * len(rows), title=title, xlabel="feature", ylabel=sort) as ax:
        image = ax.imshow(rows, cmap="PuOr", vmin=-scale, vmax=scale, aspect="auto", interpolation="nearest")
        ax.figure.colorbar(image, label="E[x]")
        plotting.ticks(ax.yaxis, names)


def analogies(model, raw, path, classes):
    """Draws pictures x [N, *raw_shape] and E[x | y = k, z(x)] for every class k (Maaloe et al. 2016, figure 3a).

    z, all latents behind x that do not depend on y in p, is the mean of q at the most probable class y; `classes` are the
    names.
    """
    predicted = tf.one_hot(tf.argmax(model.log_answer(raw), 1), model.num_classes)
    encoded = model.encode(raw, predicted)
    generated = generate_classes(model, 0, len(raw), {name: encoded[name] for name in model.style}).swapaxes(0, 1)
    tiles = np.concatenate([np.asarray(raw, "float32")[:, None], model.preprocess.picture(generated)], 1)
    title = "Analogies: x, and E[x | y, z(x)] for each class y"
    plotting.picture_grid(path, plotting.pixels(model, tiles), title, column_names=["x", *classes[: plotting.MANY]])


def pca(points):
    """Returns points [N, D] in their first two principal components, [N, 2], and the shares of the variance of these."""
    centred = np.pad(points - np.mean(points, 0, "float64"), [(0, 1), (0, 1)])  # one latent has no second, one point none
    u, s, _ = np.linalg.svd(centred, full_matrices=False)
    return (u * s)[: len(points), :2], s[:2] ** 2 / max(np.sum(s**2), 1e-300)


def latent_pca(model, raw, y, class_names, path):
    """Draws the means of q's latents for raw examples, a panel for each, coloured by their classes y.

    Two principal components of each (Maaloe et al. 2016, figures 2d and 4b; Maaloe et al. 2017, figure 2b); a latent of two
    units as it is. The title tells where a latent is not used: its means then differ by less than `UNUSED`.
    """
    means = latent_means(model, raw)
    wide = min(3, len(means))
    high = math.ceil(len(means) / wide)
    with plotting.canvas(path, 1.4 + 3.7 * wide, 3.6 * high, (high, wide)) as axes:
        for i, ax in enumerate(np.ravel(axes)):
            if i >= len(means):
                ax.remove()
                continue
            latents(ax, *list(means.items())[i], y, class_names, legend=i % wide == wide - 1 or i == len(means) - 1)


def latent_means(model, raw):
    """Returns the means of q's latents of raw examples, a dict of [N, units]; of those that are not the same for every x."""
    encoded = [model.encode(raw[i : i + 500]) for i in range(0, len(raw), 500)]
    return {name: np.concatenate([part[name] for part in encoded]) for name in encoded[0] if model.q[name].given}


def unused(points):
    """Whether means [N, units] of a latent differ by less than `UNUSED`."""
    return bool(np.std(points, 0).max() < UNUSED)


def latents(ax, name, points, y, class_names, legend=True):
    """Draws a panel of `latent_pca`: the means [N, units] of the latent `name`."""
    title = f"Mean of q({name}|x), {len(points)} examples"
    if unused(points):
        title = f"q({name}|x) is the same for every x"
    labels = [f"{name}[0]", f"{name}[1]"]
    if points.shape[1] != 2:
        points, share = pca(points)
        labels = [f"component {k + 1} ({100 * share[k]:.1f}% of the variance)" for k in range(2)]
    ax.set(xlabel=labels[0], ylabel=labels[1], title=title)
    ax.xaxis.get_major_locator().set_params(nbins=5)  # small values have long labels
    plotting.scatter(ax, points, y, class_names, legend)


def reconstructions(model, raw, path):
    """Draws pictures x [N, *raw_shape], their reconstructions E[x | latents], latents the means of q, and as many samples.

    Of samples E[x | latents] is drawn too. (Maaloe et al. 2017, figure 4.) y is the most probable class.
    """
    values = model.encode(raw)
    y = None
    if model.has_class:
        y = tf.one_hot(tf.argmax(model.log_answer(raw), 1), model.num_classes)
        values = model.encode(raw, y)
    again, _ = model.generate(tf.constant([0, 6]), len(raw), y, {n: v for n, v in values.items() if n in model.p})
    drawn, _ = model.generate(tf.constant([0, 7]), len(raw))
    tiles = [np.asarray(raw, "float32"), *(model.preprocess.picture(x.numpy()) for x in (again, drawn))]
    rows = ["x", "reconstruction", "sample"]
    plotting.picture_grid(path, plotting.pixels(model, np.stack(tiles)), "Reconstructions and samples: E[x | latents]", rows)


def prediction_map(model, raw, y, labelled, class_names, path):
    """Draws q(y|x) over the plane, a blend of the classes' colours (Maaloe et al. 2016, figure 2c).

    Over it: points raw [N, 2] in the colours of y [N] (or None), and in black the points labelled in training [L, 2].
    """
    from tfadgm import evaluation

    low, high = (extreme(np.concatenate([raw, labelled]), 0) for extreme in (np.min, np.max))
    ticks = np.linspace(low - 0.15 * (high - low), high + 0.15 * (high - low), 100).astype(model.preprocess.raw_dtype)
    grid = np.stack(np.meshgrid(*ticks.T), -1)
    probabilities = evaluation.class_probabilities(model, grid.reshape(-1, 2), samples=20, chunk=1000)
    blend = probabilities.reshape(100, 100, -1) @ plotting.palette(len(class_names))
    with plotting.canvas(path, 5.6, 4, title="q(y|x); in black the labelled examples", xlabel="x[0]", ylabel="x[1]") as ax:
        extent = [*ticks[[0, -1], 0], *ticks[[0, -1], 1]]
        ax.imshow(1 - 0.5 * (1 - blend), origin="lower", extent=extent, aspect="auto", interpolation="bilinear")
        plotting.scatter(ax, raw, y, class_names)
        ax.scatter(*np.asarray(labelled).T, s=32, color="black", edgecolor="white", linewidths=0.8)


def shown_examples(data, split):
    """Returns up to 2000 raw examples and their classes (or None): of the test set, else held out, else of training."""
    x, y = (data.x_train, data.y_train) if data.x_test is None else (data.x_test, data.y_test)
    chosen = split.validation if data.x_test is None and len(split.validation) else np.arange(len(x))
    chosen = np.sort(np.random.default_rng(0).permutation(chosen)[:SHOWN])
    return on_disk.gather(x, chosen), None if y is None else y[chosen]


def all_figures(directory, model, data, split, rows, y=None, probabilities=None, y_names=None, warmup=0.0, vectors=None):
    """Draws every figure that can be into `directory`, which is made if need be, and returns the names of the files.

    `rows` are those of metrics.csv (see `training_curves`); y [N] and probabilities q(y|x) [N, K] are of the evaluated
    examples, None for models without classes; `y_names` are those of the values of the model's y, if they are not the data's
    classes; `warmup` is in epochs. Other examples: the test set's, else those held out, else of training. `vectors`, a dict,
    is given each figure as SVG too (see `vector.svg`), by its name.
    """
    pathlib.Path(directory).mkdir(parents=True, exist_ok=True)
    (raw, known), names = shown_examples(data, split), data.class_names
    labelled = on_disk.gather(data.x_train, split.labelled[:SHOWN])
    y_names = y_names or names
    jobs = dict(
        class_samples=partial(class_samples, model, y_names), latent_pca=partial(latent_pca, model, raw, known, names)
    )
    if rows:
        jobs["training_curves"] = partial(training_curves, rows, warmup=warmup)
    if y is not None:
        finite = np.isfinite(probabilities).all(1)
        y, probabilities = y[finite], probabilities[finite]
        columns = names if probabilities.shape[1] == len(names) else y_names  # clusters stand for classes, or beside them
        jobs["confusion_matrix"] = partial(confusion_matrix, y, probabilities.argmax(1), columns)
        jobs["reliability_diagram"] = partial(reliability_diagram, y, probabilities)
    if plotting.is_image(data.raw_shape):
        jobs["reconstructions"] = partial(reconstructions, model, raw[:10])
    if model.has_class and plotting.is_image(data.raw_shape):
        jobs["analogies"] = partial(analogies, model, raw[:10], classes=y_names)
    if model.classifies and plotting.is_plane(model.preprocess):
        jobs["prediction_map"] = partial(prediction_map, model, raw, known, labelled, y_names)
    written = []
    for done, (name, draw) in enumerate(jobs.items()):
        telling.advance("figures", done, len(jobs))
        if _drawn(draw, pathlib.Path(directory, f"{name}.png"), vectors):
            written.append(f"{name}.png")
    return written


def _drawn(draw, path, vectors):
    """Calls draw(path=path); what cannot be drawn, as numbers that are not finite, is told and does not end a run."""

    def save(figure):
        figure.savefig(path, format="png")
        if vectors is not None:
            vectors[path.stem] = vector.svg(figure, path.stem)

    try:
        with np.errstate(all="ignore"):
            draw(path=save)
        return True
    except Exception as error:  # of many kinds, and no picture is worth a run
        telling.warn(f"{path}: not drawn: {(str(error) or type(error).__name__).splitlines()[0]}")
        return False
