"""Every cell can be started; records, statuses and the table; the permutation of the digits that were found."""

import dataclasses

import numpy as np
import pytest
import scipy.stats

from tfadgm import registry, training
from tfadgm.data import tfds_source
from tfadgm.experiments import CELLS, pictures, runner, toys
from tfadgm.experiments.cell import MEASURES, Cell

TINY = Cell("tiny", "nobody, table 0", "error", 50.0, 1.0, dict(model="m2", dataset="digits", hidden=(8,), epochs=1))


@pytest.mark.parametrize("name", CELLS)
def test_each_cell_has_settings_that_its_model_takes(name):
    cell = CELLS[name]
    assert cell.name == name and cell.measure in MEASURES and cell.minutes > 0 and cell.source
    if cell.settings is None:
        assert cell.call
        return
    settings = runner.settings_of(cell, 3, 5.0, data_dir="somewhere")
    assert settings.seed == 3 and (settings.minutes == 5.0 or settings.epochs)
    assert set(training._model_options(settings, registry.model_class(settings.model))) <= {
        "options",
        *(field.name for field in dataclasses.fields(settings)),
    }


def test_a_cell_runs_is_recorded_and_goes_on(tmp_path, capsys):
    row = runner.run_cell(TINY, 0, None, tmp_path / "runs", tmp_path / "records")
    assert 0 <= row["value"] <= 100 and row["epochs"] == 1 and row["command"].startswith("bin/reproduce tiny --seeds=0")
    again = runner.run_cell(TINY, 0, None, tmp_path / "runs", tmp_path / "records")
    assert again["value"] == row["value"] and again["train_seconds"] == row["train_seconds"]  # a finished run is kept
    runner.run_cell(TINY, 1, None, tmp_path / "runs", tmp_path / "records")
    rows = runner.rows_of(TINY, tmp_path / "records")
    assert [r["seed"] for r in rows] == [0, 1]
    line = runner.table([TINY], tmp_path / "records")[-1]
    assert "| 0, 1 |" in line and "50 +- 1" in line and f"{np.mean([r['value'] for r in rows]):.2f}" in line


def test_a_cell_of_a_plane_of_latents_draws_it_and_the_index_shows_it(tmp_path):
    settings = dict(model="vae", dataset="digits", hidden=(8,), epochs=1, dim_z=(2,), likelihood="bernoulli")
    cell = dataclasses.replace(TINY, name="plane", measure="log_density", settings=settings)
    runner.run_cell(cell, 0, None, tmp_path, tmp_path / "records")
    drawn = {path.name for path in (tmp_path / "plane" / "seed-0" / "figures").glob("*.png")}
    assert {"kl_per_unit.png", "manifold_z.png", "class_samples.png"} <= drawn
    page = pictures.index(tmp_path).read_text()
    assert all(f"plane/seed-0/figures/{name}" in page for name in drawn)


def test_learning_curves_of_several_runs_are_drawn_together(tmp_path):
    rows = [dict(epoch=e, seconds=str(10.0 * e), unlabelled_bound=str(-100.0 / e)) for e in range(1, 6)]
    pictures.learning_curves({"one": rows, "two": rows[:3]}, tmp_path / "curves.png")
    assert (tmp_path / "curves.png").stat().st_size > 5000


def test_a_plane_covers_the_prior_evenly():
    normal, even = pictures.plane(10), pictures.plane(4, -1.0, 3.0)
    assert normal.shape == (100, 2) and even.min() == -0.5 and even.max() == 2.5
    assert normal[0].tolist() == [normal[:, 0].min(), normal[:, 1].max()]  # upper left
    np.testing.assert_allclose(scipy.stats.norm.cdf(normal[:10, 0]), np.arange(0.05, 1, 0.1), atol=1e-6)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([49.0], "reproduced"),
        ([51.9], "reproduced"),
        ([52.1], "not reproduced"),
        ([50.0, 60.0], "reproduced"),
        ([], "not run"),
    ],
)
def test_a_number_is_reproduced_if_it_is_as_good_within_two_spreads(values, expected):
    assert runner.status(TINY, [dict(value=v) for v in values]) == expected


def test_more_is_better_for_densities():
    cell = dataclasses.replace(TINY, measure="log_density", paper=-85.0, spread=0.5)
    assert runner.status(cell, [dict(value=-80.0)]) == "reproduced"
    assert runner.status(cell, [dict(value=-86.1)]) == "not reproduced"
    assert runner.status(dataclasses.replace(cell, paper=None), [dict(value=-90.0)]) == "measured"


def test_data_that_are_not_there_are_told(tmp_path):
    (tmp_path / "mnist").mkdir()
    norb, mnist = CELLS["maaloe2016-table2-norb-sdgm"], CELLS["maaloe2016-table2-mnist-sdgm"]
    assert runner.status(norb, [], tmp_path) == "data not available"
    assert runner.status(mnist, [], tmp_path) == runner.status(norb, []) == "not run"


def _read_noise(name, splits, data_dir=None):
    rng = np.random.default_rng(len(splits[0]))
    return rng.integers(0, 256, (200, 28, 28, 1)).astype("uint8"), np.arange(200) % 10, [str(k) for k in range(10)]


def test_the_digits_of_dimensions_without_labels_are_judged(tmp_path, monkeypatch):
    monkeypatch.setattr(tfds_source, "read", _read_noise)
    cell = CELLS["untapped2017-section3-untapped"]
    small = dict(hidden=(8,), hidden_y=(8,), hidden_z=(8,), epochs=1, batch=50, labelled_batch=20, density_examples=20)
    cell = dataclasses.replace(cell, settings={**cell.settings, **small})
    results = toys.digit_extraction(cell, 0, 1.0, tmp_path / "run", {})
    assert sorted(results["digits"]) == list(range(10)) and results["digits"][:5] == [0, 1, 2, 3, 4]
    assert 0 <= results["digits_found"] <= 5 and results["cross_entropy"] > 0
    assert (tmp_path / "run" / "figures" / "digit_extraction.png").exists()


@pytest.mark.parametrize("method", ["nn", "svm"])
def test_the_methods_of_scikit_learn_are_cells(method, tmp_path, monkeypatch):
    monkeypatch.setattr(tfds_source, "read", _read_noise)
    row = runner.run_cell(CELLS[f"kingma2014-table1-{method}-100"], 0, None, tmp_path, tmp_path / "records")
    assert 50 < row["value"] <= 100  # noise


def test_the_permutation_gives_each_found_digit_its_dimension():
    p = np.full((6, 6), 0.01)
    for k, digit in enumerate([0, 1, 2, 5, 3, 4]):
        p[k, digit] = 0.95
    digits, unique = toys.permutation(p, [0, 1, 2])
    assert digits.tolist() == [0, 1, 2, 5, 3, 4] and unique == 3


def test_of_two_claims_the_more_probable_wins_and_the_loser_gets_what_is_left():
    p = np.full((5, 5), 0.02)
    p[2, 4], p[3, 4], p[4, 2] = 0.6, 0.9, 0.5
    digits, unique = toys.permutation(p, [0, 1])
    assert digits.tolist() == [0, 1, 3, 4, 2] and unique == 1


def test_a_picture_of_a_labelled_digit_claims_nothing():
    p = np.full((4, 4), 0.1)
    p[2, 0], p[3, 3] = 0.9, 0.8
    digits, unique = toys.permutation(p, [0, 1])
    assert digits.tolist() == [0, 1, 2, 3] and unique == 1
