"""Large arrays: in a file they are the same to the bit, and nobody makes a whole copy of one."""

import contextlib
import errno
import tracemalloc

import numpy as np
import pandas as pd
import pytest
from picture_examples import encoded
from tfrecord_files import describe, example, write

from tfadgm import registry, telling
from tfadgm.data import npz, on_disk, ranges, robust, sources, table_notes, table_preprocess

X = np.random.default_rng(0).normal(size=(500, 7)).astype("float32")


@contextlib.contextmanager
def small(monkeypatch, large=1000, values=256):
    """Within, what is beyond `large` bytes is large, and is read `values` at a time."""
    with monkeypatch.context() as patch:
        patch.setattr(on_disk, "LARGE_BYTES", large)
        patch.setattr(on_disk, "CHUNK_VALUES", values)
        patch.setattr(on_disk, "TOUCHED_BYTES", 4 * values)
        patch.setattr(on_disk, "PAGES_BYTES", 16)
        patch.setattr(npz, "BLOCK_BYTES", 4 * values)
        patch.setattr(sources, "CHUNK_CELLS", 4 * values)
        yield


@pytest.fixture
def mapped(monkeypatch):
    """X as a map, of which a few rows are read at a time."""
    with small(monkeypatch):
        grown = on_disk.Growing(X.shape[1:], X.dtype, "x")
        for start in range(0, len(X), 33):
            grown.add(X[start : start + 33])
        yield grown.array()


def test_a_small_array_is_in_memory_and_the_callers_own():
    grown = on_disk.Growing((7,), "float32", "x")
    grown.add(X[:3])
    grown.add(X[3:9].astype(">f4"))
    found = grown.array()
    assert type(found) is np.ndarray and found.flags.writeable and found.dtype.isnative
    np.testing.assert_array_equal(found, X[:9])
    assert on_disk.Growing((2, 3), "uint8", "x").array().shape == (0, 2, 3)
    with pytest.raises(ValueError, match=r"x: got rows \(6,\); allowed: \(7,\)"):
        grown.add(X[:, :6])


def test_whatever_is_read_of_a_map_is_what_is_read_of_an_array(mapped):
    assert isinstance(mapped, np.memmap) and on_disk.mapping(np.asarray(mapped)[3:, 2]) is not None
    np.testing.assert_array_equal(np.concatenate(list(on_disk.chunks(mapped))), X)
    assert max(map(len, on_disk.chunks(mapped))) == 256 // 7
    rows = np.random.default_rng(1).integers(0, 500, (6, 20))
    np.testing.assert_array_equal(on_disk.gather(mapped, rows), X[rows])
    for step in (1, 3, 70, 600):
        np.testing.assert_array_equal(on_disk.every(mapped, step), X[::step])
        blocks = list(on_disk.column_blocks(mapped, step))
        np.testing.assert_array_equal(np.concatenate([block for _, block in blocks], 1), X[::step])
        assert [first for first, _ in blocks] == np.cumsum([0, *(block.shape[1] for _, block in blocks[:-1])]).tolist()


def test_chosen_rows_of_a_map_are_read_when_they_are_asked_for(mapped):
    rows = np.random.default_rng(1).permutation(500)[:400]
    chosen, expected = on_disk.take(mapped, rows), X[rows]
    assert isinstance(chosen, on_disk.Chosen) and len(chosen) == 400 and chosen.shape == (400, 7) and chosen.ndim == 2
    for key in (slice(10, 50), slice(None), np.array([[3, 4], [9, 1]]), rows % 2 == 0, 7, (slice(5, 90), 2)):
        np.testing.assert_array_equal(chosen[key], expected[key])
    np.testing.assert_array_equal(np.asarray(chosen), expected)
    np.testing.assert_array_equal(np.concatenate(list(on_disk.chunks(chosen))), expected)
    np.testing.assert_array_equal(on_disk.gather(chosen, rows[:30] % 400), expected[rows[:30] % 400])
    again = on_disk.take(chosen, np.arange(300))
    np.testing.assert_array_equal(again[:], expected[:300])
    assert on_disk.take(mapped, np.arange(500)) is mapped
    assert type(on_disk.take(mapped, rows[:5])) is np.ndarray and type(on_disk.take(X, rows)) is np.ndarray


def test_a_full_disk_is_told_in_a_line(monkeypatch):
    class Full:
        def write(self, content):
            raise OSError(errno.ENOSPC, "No space left on device")

    with small(monkeypatch):
        monkeypatch.setattr(on_disk.tempfile, "TemporaryFile", lambda dir: Full())
        with pytest.raises(ValueError, match="own.npz: x: finds no room in .*; allowed: a TMPDIR on a larger disk"):
            on_disk.Growing((7,), "float32", "own.npz: x").add(X)


def test_moments_and_notes_of_a_map_are_those_of_the_array(mapped):
    gaps = np.where(np.random.default_rng(2).random(X.shape) < 0.1, np.nan, X).astype("float32")
    gaps[7, 3], gaps[:, 5] = 1e9, np.nan
    grown = on_disk.Growing((7,), "float32", "x")
    grown.add(gaps)
    for x, y in ((mapped, X), (grown.array(), gaps)):
        found, expected = robust.columns(x), robust.columns(y)
        for name in ("mean", "std", "low", "high"):
            np.testing.assert_allclose(getattr(found, name), getattr(expected, name), rtol=1e-6, atol=1e-12)
        assert found.far == expected.far
        kinds = ["number"] * 7
        fitted, exact = (table_preprocess.fit(each, kinds, [0] * 7).get_config() for each in (x, y))
        np.testing.assert_array_equal(fitted["scale"], exact["scale"])
        assert table_notes.duplicates(x) == 0 and table_notes.duplicates(x, y[:50]) == 50
    present = np.delete(gaps, 5, 1)
    found = robust.columns(gaps)
    assert found.far == {3: (1, 7, 1e9)} and found.mean[5] == found.std[5] == 0
    present[7, 3] = np.nan
    np.testing.assert_allclose(np.delete(found.mean, 5), np.nanmean(present.astype("float64"), 0), rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(np.delete(found.std, 5), np.nanstd(present.astype("float64"), 0), rtol=1e-6)


def test_what_does_not_fit_is_named_by_its_row_in_the_whole(mapped):
    whole = np.round(np.abs(X)) * 10
    whole[300, 2], whole[450, 1] = 2.5, 300
    grown = on_disk.Growing((7,), "float32", "x")
    grown.add(whole)
    told = []
    for x in (whole, grown.array()):
        with pytest.raises(ValueError, match=r"x holds 2.5 in row 300 \(from 0; 2 such values\)") as caught:
            ranges.as_dtype(x, "uint8")
        told.append(str(caught.value))
    assert told[0] == told[1]


COLUMNS = 240


def _numbers(rows, seed=0):
    return np.random.default_rng(seed).normal(size=(rows, COLUMNS)).astype("float32")


def _npz(folder, rows):
    np.savez(folder / "own.npz", x=_numbers(rows), y=np.where(np.arange(rows) % 4, -1, np.arange(rows) % 8))
    return "npz", folder / "own.npz"


def _columns_first(folder, rows):
    x = np.asfortranarray(_numbers(rows).reshape(rows, 6, -1), "float64")
    np.savez_compressed(folder / "own.npz", x=x, y=np.array(["a", "b", "", "c"])[np.arange(rows) % 4])
    return "npz", folder / "own.npz"


def _frame(rows):
    generator = np.random.default_rng(0)
    frame = pd.DataFrame(_numbers(rows).round(2)).add_prefix("c")
    frame["c1"] = np.where(generator.random(rows) < 0.1, np.nan, frame["c1"])
    frame["c2"] = np.array(["red", "green"])[generator.integers(0, 2, rows)]
    return frame.assign(label=np.array(["a", "", "b"])[np.arange(rows) % 3])


def _csv(folder, rows):
    _frame(rows).to_csv(folder / "own.csv", index=False)
    return "csv", folder / "own.csv"


def _parquet(folder, rows):
    _frame(rows).to_parquet(folder / "own.parquet", index=False, row_group_size=50)
    return "parquet", folder / "own.parquet"


def _images(folder, rows):
    generator = np.random.default_rng(0)
    for name in ("one", "two"):
        (folder / name).mkdir()
        for i in range(rows // 10):
            picture = generator.integers(0, 256, (64, 64)).astype("uint8")
            (folder / name / f"{i}.png").write_bytes(encoded(picture, "PNG"))
    return "images", folder


def _tfrecord(folder, rows):
    describe(folder, x=dict(dtype="float32", shape=[6, COLUMNS // 6], role="x"), y=dict(dtype="int64", role="label"))
    write(folder / "own.tfrecord", [example(x=x, y=i % 3 - 1) for i, x in enumerate(_numbers(rows))], "GZIP")
    return "tfrecord", folder / "own.tfrecord"


def _tfds(folder, rows):
    import tensorflow as tf

    tfds = pytest.importorskip("tensorflow_datasets")
    features = dict(image=tfds.features.Image(shape=(28, 28, 1)), label=tfds.features.ClassLabel(num_classes=10))
    x = np.random.default_rng(0).integers(0, 256, (rows // 2, 28, 28, 1)).astype("uint8")
    part = tf.data.Dataset.from_tensor_slices(dict(image=x, label=np.arange(len(x)) % 10))
    tfds.dataset_builders.store_as_tfds_dataset(
        name="own",
        version="1.0.0",
        features=tfds.features.FeaturesDict(features),
        split_datasets=dict(train=part, test=part),
        data_dir=str(folder),
        disable_shuffling=True,
    )
    return "mnist", dict(data_dir=str(folder), tfds_name="own")


SOURCES = {
    **dict(npz=_npz, columns_first=_columns_first, csv=_csv, parquet=_parquet),
    **dict(images=_images, tfrecord=_tfrecord, tfds=_tfds),
}


def _loading(kind, folder, rows):
    """Returns the function that loads a source of so many rows, which is made first."""
    folder.mkdir()
    name, place = SOURCES[kind](folder, rows)
    load = registry.lookup(registry.DATASETS, "dataset", name)
    return (lambda: load(**place)) if isinstance(place, dict) else lambda: load(str(place))


@pytest.mark.parametrize("kind", SOURCES)
def test_a_large_source_is_mapped_and_is_what_it_is_in_memory(kind, tmp_path, monkeypatch):
    load = _loading(kind, tmp_path / "own", 250)
    inside, told = load(), []
    assert not isinstance(inside.x_train, np.memmap)
    monkeypatch.setattr(telling, "advance", lambda *what: told.append(what))
    with small(monkeypatch, values=2048):
        monkeypatch.setattr(robust, "SAMPLE_VALUES", 8192)
        outside = load()
        assert isinstance(outside.x_train, np.memmap)
        np.testing.assert_array_equal(outside.x_train, inside.x_train)
        np.testing.assert_array_equal(outside.y_train, inside.y_train)
        assert outside.x_train.dtype == inside.x_train.dtype and outside.class_names == inside.class_names
        assert (outside.notes, outside.warnings, outside.columns) == (inside.notes, inside.warnings, inside.columns)
        assert (outside.likelihood, outside.scale, outside.levels) == (inside.likelihood, inside.scale, inside.levels)
        if inside.x_test is not None:
            np.testing.assert_array_equal(outside.x_test, inside.x_test)
    assert told and all(0 <= done <= total for _, done, total in told) and all(name for name, _, _ in told)


@pytest.mark.parametrize("kind", ["npz", "columns_first", "csv", "parquet", "images", "tfrecord"])
def test_memory_does_not_grow_with_the_data(kind, tmp_path, monkeypatch):
    def peak(rows):
        load = _loading(kind, tmp_path / str(rows), rows)
        tracemalloc.start()
        data = load()
        if data.columns is None:  # of a table it is fitted to some rows, for long
            data.make_preprocess()
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found, data.x_train.nbytes

    with small(monkeypatch, values=4096):
        for module, name, most in ((robust, "SAMPLE_VALUES", 8192), (table_preprocess, "FIT_ROWS", 100)):
            monkeypatch.setattr(module, name, most)
        peak(50)  # what is imported and built once
        (before, less), (after, more) = (peak(rows) for rows in (200, 600))
    assert after - before < 0.25 * (more - less), (before, less, after, more)
