"""Counts of genes in cells: `h5ad:FILE`, an AnnData file, dense or sparse. Needs `pip install 'tfadgm[h5ad]'`.

The counts are X, or layers["counts"], or raw.X, the first of these that holds counts; labels are a column of obs; genes go
by their names (var_names). A sparse matrix is read into memory as it is, 8 to 12 bytes for each number that is not 0; of a
dense one a few rows at a time. What the model is trained on is int32 [cells, genes], 4 bytes for each, in a temporary file
if it is large (`on_disk`): only the genes that are kept are made dense.
"""

import contextlib
import difflib
import warnings

import numpy as np
import pandas
import scipy.sparse

from tfadgm.data import count_preprocess, files, labels, on_disk, table, table_notes
from tfadgm.data.dataset import UNLABELLED, Dataset
from tfadgm.data.on_disk import CHUNK_VALUES

LABEL = table.LABEL_COLUMN
KIND = "an h5ad file"
MOST_GENES = 2000  # by default
PLACES = "X, layers['counts'] or raw.X"
# Of the Pearson residuals by which genes are chosen: the inverse dispersion that technical noise has (Lause et al. 2021).
INVERSE_DISPERSION = 100.0


class Cells:
    """The counts of an h5ad file that is open.

    Args:
      path: of the file.

    Attributes:
      where: the path, as errors call it.
      genes: their names, in the order of the columns of the counts.
      obs: a `pandas.DataFrame`, a row per cell, whose index has the cells' names.
      note: a line that says which matrix holds the counts, where it is not X; else "".

    Raises:
      ValueError: for what is no such file, or holds no counts; it names what it holds.
    """

    def __init__(self, path, file, read):
        self.where, self.note = str(path), ""
        self.obs = read(file["obs"])
        name, self._counts, var = self._choose(file, read)
        self.genes = [str(gene) for gene in read(var).index]
        if (len(self.obs), len(self.genes)) != tuple(self._counts.shape) or not self.obs.shape[0] or not self.genes:
            shape = f"{len(self.obs)} cells and {len(self.genes)} genes"
            raise ValueError(
                f"{path}: {name} has shape {tuple(self._counts.shape)} for {shape}; allowed: one row of each cell"
            )
        again = pandas.Series(self.genes).duplicated()
        if again.any():
            twice = (
                f"{self.genes[again.argmax()]!r} and {again.sum() - 1} more"
                if again.sum() > 1
                else repr(self.genes[again.argmax()])
            )
            told = "allowed: genes of different names, as adata.var_names_make_unique() makes them"
            raise ValueError(f"{path}: has the gene {twice} more than once; {told}")

    def _choose(self, file, read):
        """Returns (name, matrix, group of its var) of the first matrix that holds counts."""
        found, why = {"X": ("X", "var"), "layers['counts']": ("layers/counts", "var"), "raw.X": ("raw/X", "raw/var")}, {}
        for name, (place, var) in found.items():
            if place not in file or file[place].attrs.get("encoding-type") == "null":
                continue
            matrix = _matrix(file[place], read)
            why[name] = _no_count(matrix)
            if why[name] is None:
                if why := {other: what for other, what in why.items() if what}:
                    told = " and ".join(f"{other} holds {what}" for other, what in why.items())
                    self.note = f"counts: of {name}, as {told}"
                return name, matrix, file[var]
        held = "; ".join(f"{name} holds {what}" for name, what in why.items()) or f"has none of {PLACES}"
        layers = [
            name
            for name in file.get("layers", {})
            if name != "counts" and not _no_count(_matrix(file["layers"][name], read))
        ]
        hint = f", where layers[{layers[0]!r}], which holds counts, could be copied" if layers else ""
        allowed = f"counts ({count_preprocess.ALLOWED}) in {PLACES}{hint}; logarithms and shares are none"
        raise ValueError(f"{self.where}: {held}; allowed: {allowed}")

    def chunks(self, columns=None):
        """Yields the counts a few rows at a time, arrays [n, G] of their own dtype; `columns`: numbers of genes, or all."""
        return (part if columns is None else part[:, columns] for part in _parts(self._counts))

    def labels(self, name):
        """Returns the column `name` of obs as texts, "" where it is missing, a `pandas.Series`."""
        column = self.obs[name]
        return pandas.Series(
            ["" if missing else str(v) for v, missing in zip(column, column.isna(), strict=True)], dtype=object
        )

    @property
    def identifiers(self):
        """The names of the cells."""
        return [str(name) for name in self.obs.index]

    def rows(self, columns, kept=None):
        """Returns the counts of genes, int32 [N, len(columns)], of the cells `kept` (bool), or of all."""
        kept = np.ones(len(self.obs), bool) if kept is None else kept
        x, start = on_disk.Growing([len(columns)], "int32", self.where, int(kept.sum())), 0
        for chunk in self.chunks(columns):
            x.add(chunk[kept[start : start + len(chunk)]])
            start += len(chunk)
        return x.array()


@contextlib.contextmanager
def opened(path):
    """Opens an h5ad file as `Cells`."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of anndata, about its dependencies
            from anndata.io import read_elem
    except ImportError:
        raise ValueError(f"{path}: needs anndata; allowed: after pip install 'tfadgm[h5ad]'") from None
    import h5py

    files.check_regular(path, KIND)
    with contextlib.ExitStack() as stack:
        try:
            file = stack.enter_context(h5py.File(path, "r"))
            if "obs" not in file or "var" not in file:
                raise KeyError(f"has {', '.join(file) or 'nothing'}, and no obs and var")
            cells = Cells(path, file, read_elem)
        except ValueError:
            raise
        except Exception as error:  # of HDF5, and of what a file may hold
            reason = (str(error).strip(" '\n\"") or type(error).__name__).splitlines()[0]
            raise ValueError(f"{path}: not a readable h5ad file: {reason}") from error
        yield cells


def _matrix(place, read):
    """Returns a matrix that gives rows by slices: of HDF5, or sparse by rows in memory."""
    return place if not hasattr(place, "keys") else scipy.sparse.csr_matrix(read(place))


def _no_count(matrix):
    """Returns what a matrix holds that is no count, such as "0.5"; None if it holds counts alone."""
    parts = [matrix.data] if scipy.sparse.issparse(matrix) else _parts(matrix)
    for part in parts:
        if part.dtype.kind not in "uifb":
            return f"{part.dtype}"
        wrong = ~count_preprocess.are_counts(part)
        if wrong.any():
            return f"{part[wrong][0]:g}"
    return None


def _parts(matrix):
    """Yields a few rows at a time, as arrays [n, G]."""
    size = max(1, CHUNK_VALUES // max(1, matrix.shape[1]))
    for start in range(0, matrix.shape[0], size):
        part = matrix[start : start + size]
        yield part.toarray() if scipy.sparse.issparse(part) else np.asarray(part)


def load(argument=None, *, label=LABEL, genes=None, known=None, **_):
    """Returns the data set in the h5ad file `argument`; it has no test set.

    Args:
      argument: the path.
      label: the column of obs with the labels; None: there is none. A file without a column `LABEL` is unlabelled.
      genes: how many genes are read at most, those that vary most (see `variable`); None: `MOST_GENES`. Those without any
        count are none.
      known: names of the genes of a model, which are then read; None: they are chosen.

    Raises:
      ValueError: for what is no such file, holds no counts, or has no such column.
    """
    if not argument:
        raise ValueError("dataset h5ad: got no file; allowed: h5ad:FILE")
    with opened(files.expanded(argument)) as cells:
        label = _label(cells, label)
        columns, notes = (find(cells, known), []) if known is not None else _chosen(cells, genes or MOST_GENES)
        library = np.concatenate([chunk.sum(1, dtype="float64") for chunk in cells.chunks(columns)])
        empty = library == 0
        _check_empty(cells, empty, known is not None)
        x, names = cells.rows(columns, ~empty), [cells.genes[c] for c in columns]
        y, classes, spelled = np.full(len(x), UNLABELLED), [], {}
        if label is not None:
            found = labels.Labels(f"{cells.where}: column {label!r} of obs")
            found.add(cells.labels(label)[~empty])
            y, classes, spelled = found.result()
    where = cells.where
    if len(classes) == 1 and known is None:
        raise ValueError(f"{where}: the labels name 1 class, {classes[0]!r}; allowed: at least 2, or none")
    data = Dataset(where, x, y, None, None, list(classes), "negative_binomial", scale="log1p", feature_names=names)
    lack = f"has no column {LABEL!r} in obs" if label is None else f"column {label!r} of obs is unlabelled in every row"
    data.without_classes = "" if classes else f"{where}: {lack}"
    data.notes = (*[cells.note] * bool(cells.note), *notes, labels.told(y, classes, spelled))
    if empty.any():
        data.warnings = (f"{where}: {_empty(cells, empty)} and are left out",)
    return data


def _label(cells, label):
    if label is None or label in cells.obs:
        return label
    if label == LABEL:
        return None
    near = difflib.get_close_matches(label, [str(name) for name in cells.obs], 1, 0.5) or [str(name) for name in cells.obs]
    allowed = f"columns of obs, {table_notes.listed(near)}" if near else "none, as obs has no columns"
    raise ValueError(f"label: got {label!r}, which {cells.where} has not; allowed: {allowed}")


def _empty(cells, empty):
    first = cells.identifiers[int(empty.argmax())]
    return f"{empty.sum()} of {len(empty)} cells, first {first!r}, have no counts in the genes that are read"


def _check_empty(cells, empty, at_use):
    if empty.all() or (at_use and empty.any()):
        raise ValueError(f"{cells.where}: {_empty(cells, empty)}; allowed: cells with at least one count")


def read(path, known=None):
    """Returns (counts int32 [N, G], names of the N cells, lines that are told) of a file for a model.

    Args:
      path: of the file.
      known: names of the model's genes, in any order in the file; None: all of the file, by position.
    """
    with opened(path) as cells:
        columns = np.arange(len(cells.genes)) if known is None else find(cells, known)
        x = cells.rows(columns)
        _check_empty(cells, ~x.any(1), True)
        told = [cells.note] * bool(cells.note)
        if known is None:
            told.append(f"{path}: its genes are taken by position, as the model knows no names")
        elif len(cells.genes) > len(columns):
            told.append(f"{path}: {len(cells.genes) - len(columns)} genes that the model does not read are ignored")
        return x, cells.identifiers, tuple(told)


def find(cells, known):
    """Returns the numbers of the genes called `known`, or raises a ValueError that names those that are missing."""
    at = {gene: c for c, gene in enumerate(cells.genes)}
    missing = [name for name in known if name not in at]
    if missing:
        told = "allowed: the genes that the model was trained on, in any order, and others"
        raise ValueError(f"{cells.where}: has no gene {table_notes.listed(missing)}; {told}")
    return np.array([at[name] for name in known])


def _chosen(cells, most):
    """Returns (numbers of the genes that are read, lines about the others)."""
    totals = sum(chunk.sum(0, dtype="float64") for chunk in cells.chunks())
    seen = np.flatnonzero(totals)
    if len(seen) < 2:
        raise ValueError(f"{cells.where}: has counts of {len(seen)} genes; allowed: at least 2")
    notes = (
        [f"genes: {len(totals) - len(seen)} of {len(totals)} have no count and are left out"]
        if len(seen) < len(totals)
        else []
    )
    if len(seen) <= most:
        return seen, notes
    chosen = np.sort(seen[np.argsort(-variable(cells, totals)[seen], kind="stable")[:most]])
    notes.append(f"genes: {most} of {len(seen)} that vary most are read (--genes=N reads N)")
    return chosen, notes


def variable(cells, totals):
    """Returns the variance of each gene's Pearson residuals, float64 [G] (Lause, Berens and Kobak 2021, eq. 3).

        z_ng = (x_ng - mu_ng) / sqrt(mu_ng + mu_ng^2 / theta),  mu_ng = l_n f_g,    cut at +- sqrt(N)

    What a gene varies beyond counting noise, over all cells, without labels.

    Args:
      cells: a `Cells`.
      totals: the counts of each gene in all cells, [G].
    """
    frequency, limit = np.where(totals > 0, totals, 1.0) / totals.sum(), np.sqrt(len(cells.obs))
    total, squares = np.zeros(len(totals)), np.zeros(len(totals))
    for chunk in cells.chunks():
        mean = chunk.sum(1, dtype="float64")[:, np.newaxis] * frequency
        mean = np.where(mean > 0, mean, 1e-12)  # of a cell without counts
        z = np.clip((chunk - mean) / np.sqrt(mean + mean**2 / INVERSE_DISPERSION), -limit, limit)
        total, squares = total + z.sum(0), squares + (z**2).sum(0)
    return squares / len(cells.obs) - (total / len(cells.obs)) ** 2
