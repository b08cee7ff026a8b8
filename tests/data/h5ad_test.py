"""h5ad files as AnnData writes them: where counts and labels are found, which genes are read, what is refused."""

import importlib.util
import sys

import h5py
import numpy as np
import pandas
import pytest
import scipy.sparse
from h5ad_files import save

from tfadgm.data import h5ad

GENERATOR = np.random.default_rng(0)
N, G = 30, 12
X = GENERATOR.negative_binomial(0.4, 0.2, (N, G)) + np.eye(N, G, dtype="int64")
X[:, 0] += 1
LABELS = ["T cell", "B cell", "Unknown"] * 10
FRACTIONS = np.log1p(X / X.sum(1, keepdims=True) * 1e4)


KINDS = dict(dense=np.asarray, csr=scipy.sparse.csr_matrix, csc=scipy.sparse.csc_matrix)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("chunk", [1 << 20, 40])
def test_a_dense_and_a_sparse_x_are_the_same_counts(tmp_path, monkeypatch, kind, chunk):
    monkeypatch.setattr(h5ad, "CHUNK_VALUES", chunk)
    data = h5ad.load(save(tmp_path / "own.h5ad", KINDS[kind](X)))
    np.testing.assert_array_equal(data.x_train, X)
    assert data.x_train.dtype == np.int32 and data.likelihood == "negative_binomial"
    assert data.feature_names == [f"g{c}" for c in range(G)] and not data.warnings
    assert data.class_names == ["B cell", "T cell"] and data.y_train[:3].tolist() == [1, 0, -1]
    assert data.notes == (
        "labels: 2 classes (B cell 10, T cell 10), 10 of 30 examples unlabelled, of which by the label: 'Unknown' 10",
    )


def test_counts_are_found_in_a_layer_and_in_raw_and_where_is_told(tmp_path):
    data = h5ad.load(save(tmp_path / "a.h5ad", FRACTIONS, layers=dict(counts=scipy.sparse.csc_matrix(X), other=X)))
    np.testing.assert_array_equal(data.x_train, X)
    assert data.notes[0].startswith("counts: of layers['counts'], as X holds ")
    wide = np.concatenate([X, X[:, :2]], 1)
    names = [f"r{c}" for c in range(G + 2)]
    data = h5ad.load(save(tmp_path / "b.h5ad", FRACTIONS, raw=(scipy.sparse.csr_matrix(wide), names)))
    np.testing.assert_array_equal(data.x_train, wide)
    assert data.feature_names == names and data.notes[0].startswith("counts: of raw.X, as X holds ")


NOT_COUNTS = {
    "logarithms": (FRACTIONS, "X holds [0-9.]+; allowed: counts .*; logarithms and shares are none"),
    "sparse logarithms": (scipy.sparse.csr_matrix(FRACTIONS), "X holds [0-9.]+; allowed: counts"),
    "negative": (np.where(X == X.max(), -3, X), "X holds -3; allowed: counts"),
    "nan": (np.where(X == X.max(), np.nan, X), "X holds nan; allowed: counts"),
    "infinite": (np.where(X == X.max(), np.inf, X), "X holds inf; allowed: counts"),
    "large": (X * 2**25, "X holds [0-9.e+]+; allowed: counts .whole numbers from 0 to 16777216. in X, layers"),
}


@pytest.mark.parametrize("kind", NOT_COUNTS)
def test_what_is_no_count_is_refused_in_one_line(tmp_path, kind):
    x, message = NOT_COUNTS[kind]
    with pytest.raises(ValueError, match=message) as caught:
        h5ad.load(save(tmp_path / "own.h5ad", x))
    assert "own.h5ad: " in str(caught.value) and "\n" not in str(caught.value)


def test_a_layer_of_another_name_that_holds_counts_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"where layers\['spliced'\], which holds counts, could be copied"):
        h5ad.load(save(tmp_path / "own.h5ad", FRACTIONS, layers=dict(scaled=FRACTIONS, spliced=X)))


OF_LABELS = {
    "categories": (["a", "b", None] * 10, ["a", "b"], [0, 1, -1]),
    "texts": (["b", "", "a"] * 10, ["a", "b"], [1, -1, 0]),
    "unlabelled": (["a", "b", "unlabelled"] * 10, ["a", "b"], [0, 1, -1]),
    "numbers": ([1.0, np.nan, 2.0] * 10, ["1", "2"], [0, -1, 1]),
    "whole numbers": ([3, 4, -1] * 10, ["3", "4"], [0, 1, -1]),
    "truth": ([True, False, True] * 10, ["False", "True"], [1, 0, 1]),
    "truth or none": (pandas.array([True, False, None] * 10, "boolean"), ["False", "True"], [1, 0, -1]),
}


@pytest.mark.parametrize("kind", OF_LABELS)
def test_labels_of_every_kind_are_a_column_of_obs(tmp_path, kind):
    values, names, first = OF_LABELS[kind]
    data = h5ad.load(
        save(tmp_path / "own.h5ad", X, obs=dict(cell_type=values, label=["x", "y", "z"] * 10)), label="cell_type"
    )
    assert data.class_names == names and data.y_train[:3].tolist() == first


def test_a_column_that_is_missing_is_an_error_unless_it_is_the_usual_one(tmp_path):
    path = save(tmp_path / "own.h5ad", X, obs=dict(cell_type=LABELS, batch=LABELS))
    with pytest.raises(ValueError, match="label: got 'celltype', which .* has not; allowed: columns of obs, 'cell_type'"):
        h5ad.load(path, label="celltype")
    data = h5ad.load(path)
    assert not data.class_names and "has no column 'label' in obs" in data.without_classes and (data.y_train == -1).all()
    assert not h5ad.load(path, label=None).class_names


def test_one_class_alone_is_refused(tmp_path):
    with pytest.raises(ValueError, match="the labels name 1 class, 'a'; allowed: at least 2, or none"):
        h5ad.load(save(tmp_path / "own.h5ad", X, obs=dict(label=["a", "Unknown", ""] * 10)))


def test_genes_of_one_name_are_refused(tmp_path):
    path = save(tmp_path / "own.h5ad", X, genes=["g0", "g0", *(f"h{c}" for c in range(G - 2))])
    with pytest.raises(ValueError, match=r"has the gene 'g0' more than once; allowed: .*var_names_make_unique\(\)"):
        h5ad.load(path)


def test_genes_and_cells_without_counts_are_left_out_and_told(tmp_path):
    x = X.copy()
    x[:, [2, 5]] = 0
    x[[4, 9]] = 0
    data = h5ad.load(save(tmp_path / "own.h5ad", scipy.sparse.csr_matrix(x)))
    np.testing.assert_array_equal(data.x_train, np.delete(np.delete(x, [4, 9], 0), [2, 5], 1))
    assert len(data.y_train) == N - 2 and data.y_train[4] == -1
    assert "genes: 2 of 12 have no count and are left out" in data.notes
    assert "2 of 30 cells, first 'cell4', have no counts in the genes that are read and are left out" in data.warnings[0]


def test_the_genes_that_vary_most_are_read(tmp_path):
    """Beyond counting noise: a large mean alone is none, and labels have no part."""
    generator = np.random.default_rng(3)
    group = generator.integers(0, 2, 400)
    mean = np.full((400, 20), 3.0)
    mean[:, :4] = 60.0  # large, and the same in all cells
    mean[:, [7, 11]] = np.where(group, 8.0, 0.5)[:, None]
    path = save(tmp_path / "own.h5ad", generator.poisson(mean), obs=dict(label=generator.permutation(["a", "b"] * 200)))
    data = h5ad.load(path, genes=2)
    assert data.feature_names == ["g7", "g11"] and "genes: 2 of 20 that vary most are read (--genes=N reads N)" in data.notes
    assert len(h5ad.load(path).feature_names) == 20


def test_pearson_residuals_are_those_of_numpy(tmp_path):
    with h5ad.opened(save(tmp_path / "own.h5ad", X)) as cells:
        found = h5ad.variable(cells, X.sum(0).astype("float64"))
    mean = X.sum(1, keepdims=True) * X.sum(0) / X.sum()
    z = np.clip((X - mean) / np.sqrt(mean + mean**2 / 100), -np.sqrt(N), np.sqrt(N))
    np.testing.assert_allclose(found, z.var(0), rtol=1e-6)


def test_genes_of_a_model_are_found_by_name(tmp_path):
    order = GENERATOR.permutation(G)
    path = save(tmp_path / "own.h5ad", X[:, order], genes=[f"g{c}" for c in order])
    x, names, told = h5ad.read(path, ["g3", "g1", "g0"])
    np.testing.assert_array_equal(x, X[:, [3, 1, 0]])
    assert names[0] == "cell0" and told == (f"{path}: 9 genes that the model does not read are ignored",)
    with pytest.raises(ValueError, match="has no gene 'gx'; allowed: the genes that the model was trained on"):
        h5ad.read(path, ["g3", "gx"])
    assert "by position" in h5ad.read(path)[2][0]


def test_cells_without_counts_are_refused_at_use(tmp_path):
    x = X.copy()
    x[4] = np.arange(G) == 5
    path = save(tmp_path / "own.h5ad", x)
    for use in (lambda: h5ad.read(path, ["g0", "g1"]), lambda: h5ad.load(path, known=["g0", "g1"])):
        with pytest.raises(
            ValueError, match="1 of 30 cells, first 'cell4', have no counts .*; allowed: cells with at least"
        ):
            use()


def test_files_that_are_none_are_refused_in_one_line(tmp_path):
    (tmp_path / "text.h5ad").write_text("no")
    with h5py.File(tmp_path / "other.h5ad", "w") as file:
        file["x"] = [1]
    for name, message in (
        ("text", "not a readable h5ad file: "),
        ("other", "not a readable h5ad file: has x, and no obs and var"),
        ("missing", "no such file; allowed: an h5ad file"),
    ):
        with pytest.raises(ValueError, match=message) as caught:
            h5ad.load(str(tmp_path / f"{name}.h5ad"))
        assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match="got no file; allowed: h5ad:FILE"):
        h5ad.load(None)


def test_without_anndata_the_extra_is_named(tmp_path, monkeypatch):
    path = save(tmp_path / "own.h5ad", X)
    monkeypatch.setitem(sys.modules, "anndata.io", None)
    with pytest.raises(ValueError, match=r"own.h5ad: needs anndata; allowed: after pip install 'tfadgm\[h5ad\]'"):
        h5ad.load(path)


def test_the_loader_is_imported_without_anndata(monkeypatch):
    monkeypatch.setitem(sys.modules, "anndata", None)
    spec = importlib.util.spec_from_file_location("another", h5ad.__file__)
    spec.loader.exec_module(importlib.util.module_from_spec(spec))
