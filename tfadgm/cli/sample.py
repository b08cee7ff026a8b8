"""Draws examples from a trained run: PREFIX.npz with x (raw units) and y (class numbers), and PREFIX.png of pictures.

  bin/sample --run=DIR
  bin/sample --run=DIR --classes=0,3 --n=16 --seed=0 --out=PREFIX --overwrite

  bin/sample --run=DIR --means

For a model of tables there is PREFIX.csv too: x as texts, categories and dates as in training, and the class in a column.

x is drawn from p(x | y), as the exported signature `generate` returns it for the same y and seed; with --means it is
E[x | y, latents], as `generate_mean` has it: smooth pictures, but rows of a table with less spread than the data.
"""

import csv
import math
import pathlib

from absl import flags

from tfadgm.cli import common
from tfadgm.runs import allowed


def define_flags():
    """Defines the flags; not at import, so that the verbs can be imported together."""
    common.define_path("run", "Directory of a run of bin/train.")
    flags.DEFINE_string(
        "classes", None, "Names of classes, or #0, #1, ... by number, as a row of a csv: 3,7 or '#0,\"a, b\"'; default: all."
    )
    flags.DEFINE_integer("n", 16, "Examples of each class (in all, for models without classes).", lower_bound=1)
    flags.DEFINE_integer("seed", 0, "Seed of the draws.", lower_bound=0, upper_bound=2**31 - 1)
    common.define_path("out", "PREFIX, the path of the files without .png, .npz and .csv; default: RUN/samples.")
    flags.DEFINE_bool("means", False, "Whether x is its mean given the latents, in place of a draw.")
    flags.DEFINE_bool("overwrite", False, "Whether existing files are replaced.")
    common.define_progress()


def before(argv):
    """Refuses what needs no TensorFlow."""
    values = flags.FLAGS
    if values.out is not None:
        check_out(values.out, values.overwrite)
    split_names(values.classes)
    allowed.check_run(values.run)
    check_out(_out(values), values.overwrite)


def _out(values):
    return values.out or str(pathlib.Path(values.run).expanduser() / "samples")


def main(argv):
    """Flags to one call each of `draw` and `write`."""
    from tfadgm.data import frames
    from tfadgm.runs import run_directory

    values = flags.FLAGS
    opened, out = run_directory.Run.open(values.run), _out(values)
    classes = class_numbers(split_names(values.classes), opened.class_names, opened.model.has_class)
    x, y = draw(opened.model, classes, values.n, values.seed, values.means)
    paths = write(opened.model, x, y, out)
    if opened.columns is not None:
        label = opened.settings.label or frames.LABEL
        paths.append(write_table(opened.columns, x, None if y is None else [opened.class_names[k] for k in y], out, label))
    for path in paths:
        print(path)


def check_out(out, overwrite=False):
    """Raises a ValueError if there is no prefix `out`, or a file of that prefix that must not be replaced."""
    if not out or not pathlib.Path(out).name:
        raise ValueError(f"out: got {out or 'none'}; allowed: --out=PREFIX, the files' path without .png, .npz and .csv")
    existing = [path for path in _paths(out) if path.exists()]
    if existing and not overwrite:
        raise ValueError(f"out: {existing[0]} exists; allowed: another prefix, or --overwrite")


def _paths(out):
    return [pathlib.Path(f"{out}{suffix}") for suffix in (".npz", ".png", ".csv")]


def split_names(text):
    """Returns the names in a row of a csv, in which a name that holds a comma is quoted; None for None."""
    try:
        return None if text is None else [name.strip() for name in next(csv.reader([text], skipinitialspace=True), [])]
    except csv.Error as error:
        raise ValueError(f"classes: got {text!r}; allowed: names as in a row of a csv file ({error})") from None


def class_numbers(wanted, class_names, has_classes=True):
    """Returns the numbers of the classes `wanted`, None for a model without classes.

    Args:
      wanted: for each class its name, else "#" and its number, else its number alone where no class is named by a number;
        None: all.
      class_names: K strings.
      has_classes: whether the model has a class.
    """
    if not has_classes:
        if wanted:
            raise ValueError(f"classes: got {','.join(wanted)}; allowed: none, as the model has no classes")
        return None
    known = {f"#{k}": k for k in range(len(class_names))}
    if not any(name.lstrip("+-").isdigit() for name in class_names):
        known |= {str(k): k for k in range(len(class_names))}
    known |= {name: k for k, name in enumerate(class_names)}
    unknown = [name for name in wanted or [] if name not in known]
    if unknown or wanted == []:
        allowed = f"{', '.join(class_names)} (or #0 to #{len(class_names) - 1})"
        raise ValueError(f"classes: got {', '.join(unknown) or 'none'}; allowed: {allowed}")
    return list(dict.fromkeys(known[name] for name in wanted or class_names))


def draw(model, classes, n, seed, means=False):
    """Returns (x float32 [N, *raw_shape], y int64 [N]), `n` examples per class in order; y is None if `classes` is.

    See `signatures.generate` for `means`.
    """
    import numpy as np
    import tensorflow as tf

    from tfadgm.serving import signatures

    y = None if classes is None else np.repeat(np.asarray(classes, "int64"), n)
    wanted = dict(n=tf.constant(n)) if y is None else dict(y=tf.constant(y))
    x = signatures.generate(model, tf.constant(seed), means=means, **wanted).numpy()
    if not np.isfinite(x).all():
        raise ValueError("run: the model draws numbers that are not finite; allowed: one whose training went well")
    return x, y


def write(model, x, y, out):
    """Writes PREFIX.npz and, if examples are pictures, PREFIX.png, a row per class; returns the paths written."""
    import numpy as np
    from PIL import Image

    from tfadgm.reporting import plotting

    arrays, picture, _ = _paths(out)
    arrays.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(arrays, x=x, **({} if y is None else {"y": y}))
    if not plotting.is_image(model.preprocess.raw_shape):
        return [arrays]
    rows = math.isqrt(len(x)) if y is None else 1 + int(np.count_nonzero(np.diff(y)))
    columns = -(-len(x) // rows)
    tiles = plotting.pixels(model, x)
    white = np.ones((rows * columns - len(x), *tiles.shape[1:]), tiles.dtype)
    tiles = np.concatenate([tiles, white]).reshape(rows, columns, *tiles.shape[1:])
    levels = np.rint(255 * plotting.mosaic(tiles)).astype("uint8")
    Image.fromarray(levels).save(picture)
    return [arrays, picture]


def write_table(columns, x, labels, out, label):
    """Writes PREFIX.csv, raw rows x [N, C] as texts, and their labels (or None) in a column `label`; returns its path."""
    from tfadgm.data import spelling

    path, found = _paths(out)[2], spelling.frame(x, columns)
    if labels is not None:
        found[label] = labels
    found.to_csv(path, index=False)
    return path


main.before = before


def entry():
    """The console command."""
    common.run(main, define_flags)


if __name__ == "__main__":
    entry()
