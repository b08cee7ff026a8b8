"""How tests write h5ad files."""

import warnings

import anndata
import pandas

LABELS = ("T cell", "B cell", "Unknown")


def save(path, x, obs=None, genes=None, layers=None, raw=None):
    """Writes an h5ad file and returns its path as text.

    Args:
      path: of the file.
      x: [cells, genes], dense or sparse.
      obs: {name: column}; None: a column `label` of `LABELS`, over and over.
      genes: their names; None: g0, g1, ...
      layers: {name: matrix}.
      raw: (matrix, names of its genes).
    """
    # anndata of this version cannot write the texts of this pandas by themselves, unless they are objects.
    with pandas.option_context("future.infer_string", False), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cells, columns = x.shape
        obs = pandas.DataFrame(obs or {"label": [LABELS[i % 3] for i in range(cells)]})
        obs.index = [f"cell{i}" for i in range(cells)]
        var = pandas.DataFrame(index=[f"g{c}" for c in range(columns)] if genes is None else genes)
        made = anndata.AnnData(x.astype("float32"), obs=obs, var=var, layers=layers)
        if raw is not None:
            made.raw = anndata.AnnData(raw[0].astype("float32"), obs=obs, var=pandas.DataFrame(index=raw[1]))
        made.write_h5ad(path)
    return str(path)
