"""How every picture is drawn: the style, and the parts that figures share.

One style: matplotlib's objects on the Agg canvas (no pyplot) and the ten colours of Petroff 2021 ("Accessible color
sequences for data visualization"), which come again with another marker for classes 10 to 19.
"""

import contextlib
import math
import warnings

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap, to_rgb
from matplotlib.figure import Figure

from tfadgm.telling import printable

MANY = 20  # classes with a legend, numbers in cells and samples
LONGEST = 16  # letters of a name
LETTER = 0.09  # inches
QUIET, STRONG, GRID = "#c3c7cb", "#30343a", "#e8eaec"
COLOURS = "#3f90da #ffa90e #bd1f01 #94a4a2 #832db6 #a96b59 #e76300 #b9ac70 #717581 #92dadd".split()
# The share of a whole: on any ground 0 is not seen.
SHARES = LinearSegmentedColormap.from_list("shares", [(0.03, 0.32, 0.61, 0.0), (0.03, 0.32, 0.61, 1.0)])
STYLE = {
    **{"axes.spines.top": False, "axes.spines.right": False, "axes.edgecolor": QUIET, "axes.labelcolor": STRONG},
    **{"text.color": STRONG, "xtick.color": STRONG, "ytick.color": STRONG, "grid.color": GRID, "axes.axisbelow": True},
    **{"font.size": 9, "axes.titlesize": 9.5, "figure.titlesize": 9.5, "axes.titlelocation": "left", "legend.fontsize": 8},
    **{"legend.frameon": False, "lines.linewidth": 1.4, "axes.prop_cycle": matplotlib.cycler(color=COLOURS)},
    **{"savefig.dpi": 150, "figure.constrained_layout.h_pad": 0.08, "figure.constrained_layout.w_pad": 0.08},
}


@contextlib.contextmanager
def canvas(path, width, height, grid=(1, 1), **options):
    """Yields axes (or a grid of axes) with options such as labels, in a figure of width x height inches.

    It is saved as PNG to `path`, or `path` is a function that is given the figure.
    """
    with matplotlib.rc_context(STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"(?s)Glyph .* missing from")  # of names in scripts that the font lacks
        figure = Figure((width, height), layout="constrained")
        FigureCanvasAgg(figure)
        yield figure.subplots(*grid, subplot_kw=options)
        path(figure) if callable(path) else figure.savefig(path, format="png")


def plain(name):
    """Returns a name so that matplotlib shows it as it is: no formula, no control character, not hidden by its "_"."""
    name = printable(name).replace("$", r"\$")
    return f" {name}" if name.startswith("_") else name


def column(rows, name):
    """Returns the column `name` of rows read from a csv file, float64 [rows]; NaN where it is missing or empty."""
    return np.array([math.nan if row.get(name) in (None, "") else float(row[name]) for row in rows], "float64")


def curve(ax, x, y, warm, **options):
    """Draws y against x, both [N], thin dots over the first `warm` points: in warm-up the bound's terms are not all there.

    Returns the values by which the axis is scaled: those after warm-up, less an early tenth.
    """
    warm = warm if warm < len(y) else 0
    (line,) = ax.plot(x[warm:], y[warm:], **options)
    if warm:
        ax.plot(x[: warm + 1], y[: warm + 1], ":", color=line.get_color(), linewidth=0.8)
    return y[warm + (len(y) - warm) // 10 :]


def ticks(axis, names, step=1, start=0.0):
    """Writes names at start, start + step, ...; long ones stand upright on a horizontal axis, the longest are cut."""
    names = [name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}\N{HORIZONTAL ELLIPSIS}" for name in names]
    names = [plain(name) for name in names]
    rotation = 90 if axis.axis_name == "x" and _stand_upright(names) else 0
    axis.set_ticks(start + step * np.arange(len(names)), names, rotation=rotation)
    axis.set_tick_params(length=0)


def palette(classes):
    """Returns the colours of the classes, [K, 3]: the ten in turn, or a scale for more than 20 classes."""
    if classes > MANY:
        return matplotlib.colormaps["viridis"](np.linspace(0, 1, classes))[:, :3]
    return np.array([to_rgb(COLOURS[k % 10]) for k in range(classes)])


def scatter(ax, points, y, class_names, legend=True):
    """Draws points [N, 2] in the colours of their classes y [N], grey for unlabelled (-1, or y is None)."""
    y, dots = np.full(len(points), -1) if y is None else np.asarray(y), dict(s=7, linewidths=0, alpha=0.7)
    ax.scatter(*points[y < 0].T, color=QUIET, **dots)
    if len(class_names) > MANY:
        dots.update(cmap="viridis", vmin=0, vmax=len(class_names) - 1)
        ax.figure.colorbar(ax.scatter(*points[y >= 0].T, c=y[y >= 0], **dots), label="class number")
        return
    for k in np.unique(y[y >= 0]):
        ax.scatter(*points[y == k].T, color=COLOURS[k % 10], marker="o^"[k // 10], label=plain(class_names[k]), **dots)
    if legend and (y >= 0).any():
        ax.legend(loc="center left", bbox_to_anchor=(1, 0.5), markerscale=2)


def is_image(raw_shape):
    """Whether raw examples can be shown as pictures: [height, width] or [height, width, 1, 2 (a stereo pair), 3 or 4]."""
    return len(raw_shape) == 2 or (len(raw_shape) == 3 and 1 <= raw_shape[-1] <= 4)


def is_plane(preprocess):
    """Whether raw examples are points of a plane: two numbers."""
    return preprocess.raw_shape == (2,) and set(getattr(preprocess, "kinds", ["number"])) == {"number"}


def pixels(model, raw):
    """Returns raw pictures [..., *raw_shape] as [..., height, width] or [..., height, width, 3], clipped to [0, 1].

    Of four channels the first three are shown, as red, green and blue.
    """
    raw_shape, low = model.preprocess.raw_shape, model.preprocess.shift
    raw = raw[..., :3] if len(raw_shape) == 3 else raw
    high = low + 1 / model.preprocess.scale
    if model.likelihood == "gaussian":  # x has no range of its own
        low, high = (0, model.levels - 1) if model.levels else (np.min(raw), np.max(raw))
    shown = np.clip((raw - low) / np.maximum(high - low, 1e-30), 0, 1)
    if len(raw_shape) == 2 or raw_shape[-1] > 2:
        return shown
    return np.concatenate([shown[..., i] for i in range(raw_shape[-1])], -1)  # the pictures of a pair side by side


def mosaic(tiles):
    """Lays tiles [rows, columns, height, width(, 3)] side by side, a white line between them."""
    rows, columns, height, width, *colours = tiles.shape
    padded = np.pad(tiles, [(0, 0), (0, 0), (0, 1), (0, 1), *[(0, 0) for _ in colours]], constant_values=1.0)
    return padded.swapaxes(1, 2).reshape(rows * (height + 1), columns * (width + 1), *colours)[:-1, :-1]


def _stand_upright(names):
    return len(names) * _longest(names) > 20


def _longest(names):
    return min(LONGEST, max(map(len, names), default=0))


def picture_grid(path, tiles, title, row_names=(), column_names=()):
    """Draws the mosaic of tiles with names of rows and columns."""
    rows, columns, height, width = tiles.shape[:4]
    inch = min(0.5, 5.5 * height / width / columns, 8 / rows)  # the height of a tile
    left, top = (LETTER * _longest(names) for names in (row_names, column_names if _stand_upright(column_names) else ()))
    with canvas(path, max(3.6, inch * columns * width / height + 0.8 + left), inch * rows + 0.6 + top) as ax:
        ax.figure.suptitle(title)
        crisp = {"interpolation": "none"} if height < 150 * inch else {}  # which makes moire of what it shrinks
        ax.imshow(mosaic(tiles), cmap="gray", vmin=0, vmax=1, **crisp)
        ax.spines[:].set_visible(False)
        ax.xaxis.tick_top()
        ticks(ax.xaxis, column_names, width + 1, (width - 1) / 2)
        ticks(ax.yaxis, row_names, height + 1, (height - 1) / 2)
