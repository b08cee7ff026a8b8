"""Every cell can be started; records, statuses and the table; the permutation of the digits that were found."""

import dataclasses

import light
import numpy as np
import pytest
import scipy.stats

from tfadgm import registry
from tfadgm.data import tfds_source
from tfadgm.experiments import CELLS, figures_page, listing, pictures, queue, runner, toys
from tfadgm.experiments.cell import MEASURES, Cell
from tfadgm.experiments.runner import draw
from tfadgm.reporting import figures
from tfadgm.runs import build, run
from tfadgm.training import callbacks

SMALL = dict(model="m2", dataset="digits", hidden=(8,), epochs=1)
TINY = Cell("tiny", "nobody, table 0", "error", 50.0, 1.0, SMALL, epochs=None)


@pytest.fixture(autouse=True)
def light_runs():
    """Runs of cells are not exported, and draw no figures of the papers."""
    with light.runs(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(runner, "draw", lambda opened: None)
        yield


@pytest.mark.parametrize("name", CELLS)
def test_each_cell_has_settings_that_its_model_takes(name):
    cell = CELLS[name]
    assert cell.name == name and cell.measure in MEASURES and cell.source
    assert {cell.run, cell.control} <= {None, *CELLS} and all(figure.endswith(".png") for figure in cell.figures)
    if cell.run:
        assert (cell.settings, cell.epochs) == (CELLS[cell.run].settings, CELLS[cell.run].epochs)
    if cell.settings is None:
        assert cell.call
        return
    assert cell.seeds >= 1 and cell.first in (None, *CELLS)
    settings = runner.settings_of(cell, 3, None, data_dir="somewhere")
    assert settings.seed == 3 and settings.epochs == cell.work > 0 and settings.minutes is None  # fixed work
    build._model_options(settings, registry.model_class(settings.model))  # refuses what the model does not have


def test_a_cell_runs_is_recorded_and_goes_on(tmp_path, monkeypatch):
    row = runner.run_cell(TINY, 0, None, tmp_path / "runs", tmp_path / "records")
    assert 0 <= row["value"] <= 100 and row["epochs"] == 1 and row["command"] == "bin/reproduce tiny --seeds=0"
    own = runner.machine.hardware()
    with monkeypatch.context() as patch:
        patch.setattr(runner.machine, "hardware", lambda: {name: "another machine" for name in own})
        again = runner.run_cell(TINY, 0, None, tmp_path / "runs", tmp_path / "records")
    assert again == row and "settings" in row  # a finished run is kept, and what it was trained on
    runner.run_cell(TINY, 1, None, tmp_path / "runs", tmp_path / "records")
    rows = runner.rows_of("tiny", tmp_path / "records")
    assert [r["seed"] for r in rows] == [0, 1]
    line = next(line for line in listing.table({"tiny": TINY}, tmp_path / "records") if line.startswith("| tiny"))
    assert (
        "| 0, 1 | 1 epochs | two seeds |" in line
        and "50 +- 1" in line
        and f"{np.mean([r['value'] for r in rows]):.2f}" in line
    )


def test_a_cell_that_is_interrupted_goes_on_to_the_same_numbers(tmp_path, monkeypatch):
    cell = dataclasses.replace(TINY, settings={**SMALL, "epochs": 4, "checkpoint_seconds": 0.0})
    whole = runner.run_cell(cell, 0, None, tmp_path / "whole", tmp_path / "records")
    on_epoch_end, killed = callbacks.Checkpoint.on_epoch_end, KeyboardInterrupt("killed")

    def stop(self, epoch, logs=None):
        on_epoch_end(self, epoch, logs)
        if epoch == 1:
            raise killed

    monkeypatch.setattr(callbacks.Checkpoint, "on_epoch_end", stop)
    with pytest.raises(KeyboardInterrupt):
        runner.run_cell(cell, 0, None, tmp_path / "parts", tmp_path / "records")
    monkeypatch.undo()
    parts = runner.run_cell(cell, 0, None, tmp_path / "parts", tmp_path / "records")
    assert parts["epochs"] == 4
    for name in ("value", "elbo", "nll", "ece"):
        assert parts[name] == whole[name]


def test_a_look_of_some_minutes_is_another_run_and_never_the_record(tmp_path):
    cell = CELLS["maaloe2016-table1-vae"]
    directories = [runner.directory_of(cell, 2, minutes, tmp_path).name for minutes in (None, 10.0)]
    assert directories == ["seed-2", "seed-2-10min"]
    with pytest.raises(ValueError, match="budget_minutes: got 3 for tiny, whose work is fixed; allowed: none"):
        runner.run_cell(TINY, 0, 3.0, tmp_path, tmp_path)
    assert runner.settings_of(cell, 2, 10.0).minutes == 10.0
    cell = dataclasses.replace(TINY, epochs=3)
    machine = dict(cores=2, processor="p", value=1.0, seed=0)
    rows = [dict(minutes=25.0, epochs=9, **machine), dict(minutes=None, epochs=2, **machine)]
    assert cell.on_record(rows) == [] and listing.status(cell, rows) == "a look"
    assert cell.on_record([*rows, dict(minutes=None, epochs=3, **machine)])[0]["epochs"] == 3


def test_a_record_of_another_recipe_is_none(tmp_path):
    cell, first = CELLS["kingma2014-table1-m1m2-100"], CELLS["kingma2014-m1"]
    assert cell.recipe()["first"] == first.recipe() and cell.recipe()["hidden"] == [600, 600]
    row = dict(cores=2, processor="p", value=5.0, seed=0, minutes=None, epochs=cell.epochs)
    assert cell.on_record([row])  # of a record that does not say
    assert cell.on_record([dict(row, settings=cell.recipe())])
    former = dict(row, settings={**cell.recipe(), "beta": 1.0, "first": {**first.recipe(), "closed_kl": False}})
    assert cell.on_record([former]) == [] and cell.changed(former) == ["beta", "first"]
    assert listing.status(cell, [former]) == "of a former recipe"
    runner.record(cell, former, tmp_path)
    assert not queue.is_done(cell, 0, tmp_path)
    (note,) = [line for line in listing.table({cell.name: cell}, tmp_path) if line.startswith("- ")]
    assert "by a recipe with beta, first of other values" in note
    assert CELLS["kingma2014-table1-nn-100"].recipe() is None


def test_figures_read_the_run_of_their_cell(tmp_path):
    shown = CELLS["maaloe2016-figure4"]
    theirs = runner.directory_of(CELLS[shown.run], 0, None, tmp_path)
    assert runner.directory_of(shown, 0, None, tmp_path) == theirs


def test_bayes_rule_is_compared_with_q_on_the_run_of_another_cell(tmp_path):
    settings = {**SMALL, "labels": 100}
    base = dataclasses.replace(TINY, settings=settings)
    cell = dataclasses.replace(
        base, name="ruled", run="tiny", measure="bayes_error", paper=None, call="tfadgm.experiments.toys:bayes"
    )
    runner.run_cell(base, 0, None, tmp_path, tmp_path / "records")
    row = runner.run_cell(cell, 0, None, tmp_path, tmp_path / "records")
    assert not (tmp_path / "ruled").exists()
    assert 0 <= row["value"] <= 100 and row["q_seconds"] > 0 and row["bayes_seconds"] > 0
    (line,) = (line for line in listing.blocks({"ruled": cell}, tmp_path / "records") if "Bayes' rule" in line)
    assert f"q(y|x) on the same examples {100 * row['q_error']:.2f}%" in line


def test_densities_are_told_by_the_number_of_samples(tmp_path, monkeypatch):
    settings = dict(model="vae", dataset="digits", hidden=(8,), epochs=1, density_samples=200, density_examples=20)
    cell = dataclasses.replace(TINY, name="dense", measure="log_density", settings=settings)
    row = runner.run_cell(cell, 0, None, tmp_path, tmp_path / "records")
    by_samples = row["log_density_by_samples"]
    assert list(by_samples) == [1, 10, 100, 200] and by_samples[200] == row["value"]
    assert by_samples[1] < by_samples[100]
    monkeypatch.setattr(runner, "_by_samples", None)  # a finished cell does not compute them again
    again = runner.run_cell(cell, 0, None, tmp_path, tmp_path / "records")
    assert again["log_density_by_samples"] == {str(samples): nats for samples, nats in by_samples.items()}
    found = {label: (row, *runner.metrics(cell, 0, None, tmp_path)) for label in ("one", "two")}
    pictures.together(found, tmp_path / "figures" / "dense")
    assert {path.name for path in (tmp_path / "figures").iterdir()} == {"dense_bounds.png", "dense_samples.png"}


def test_validation_errors_are_drawn_together(tmp_path):
    rows = [dict(epoch=e, seconds=e, unlabelled_bound=-1.0, validation_error=0.5 / e) for e in range(1, 6)]
    pictures.together({name: ({}, rows, 0.0) for name in "ab"}, tmp_path / "of")
    assert {path.name for path in tmp_path.iterdir()} == {"of_bounds.png", "of_errors.png"}


def test_a_cell_is_compared_with_its_control_seed_by_seed(tmp_path):
    control = dataclasses.replace(TINY, name="control")
    cell = dataclasses.replace(TINY, control="control")
    for seed, (ours, theirs) in enumerate([(1.0, 2.0), (2.0, 5.0), (0.0, None)]):
        for c, value in ((cell, ours), (control, theirs)):
            if value is not None:
                runner.record(c, dict(seed=seed, minutes=None, value=value, cores=2, processor="p"), tmp_path)
    mean, error, pairs = listing.against(cell, tmp_path)
    assert (mean, pairs) == (-2.0, 2) and error == pytest.approx(2**0.5 / 2**0.5)
    text = "\n".join(listing.blocks({"tiny": cell}, tmp_path))
    assert "less control: -2.00 +- 1.00 (2 seeds, standard error)" in text


def test_a_cell_of_a_plane_of_latents_draws_it_and_the_index_shows_it(tmp_path, monkeypatch):
    monkeypatch.setattr(run, "figures", figures)
    monkeypatch.setattr(runner, "draw", draw)
    settings = dict(model="vae", dataset="digits", hidden=(8,), epochs=1, dim_z=(2,), likelihood="bernoulli")
    cell = dataclasses.replace(TINY, name="plane", measure="log_density", settings=settings)
    row = runner.run_cell(cell, 0, None, tmp_path, tmp_path / "records")
    drawn = {path.name for path in (tmp_path / "plane" / "seed-0" / "figures").glob("*.png")}
    assert {"kl_per_unit.png", "manifold_z.png", "class_samples.png"} <= drawn
    cell = dataclasses.replace(cell, figures=("manifold_z.png", "absent.png"), source="A paper, figure 9")
    page = figures_page.write(tmp_path, {"plane": cell}, tmp_path / "records")
    assert page == tmp_path / "figures" / "index.html"
    ours, others = page.read_text().split("Further figures")
    assert "A paper, figure 9" in ours and f"here: {row['value']:.2f}" in ours and "not drawn yet: absent.png" in ours
    assert all((f"../plane/seed-0/figures/{name}" in ours) == (name == "manifold_z.png") for name in drawn)
    assert all((f"../plane/seed-0/figures/{name}" in others) == (name != "manifold_z.png") for name in drawn)


def test_a_plane_of_latents_is_drawn_for_each_class(tmp_path, monkeypatch):
    monkeypatch.setattr(runner, "draw", draw)
    settings = dict(model="m2", dataset="digits", hidden=(8,), epochs=1, dim_z=(2,), likelihood="bernoulli")
    runner.run_cell(dataclasses.replace(TINY, settings=settings), 0, None, tmp_path, tmp_path / "records")
    drawn = {path.name for path in (tmp_path / "tiny" / "seed-0" / "figures").glob("manifold*.png")}
    assert drawn == {"manifold_z.png", *(f"manifold_z_class_{k}.png" for k in range(10))}


def test_learning_curves_of_several_runs_are_drawn_together(tmp_path):
    rows = [dict(epoch=e, seconds=str(10.0 * e), unlabelled_bound=str(-100.0 / e)) for e in range(1, 6)]
    pictures.learning_curves({"one": (rows, 0.0), "two": (rows[:3], 2.0)}, tmp_path / "curves.png")
    assert (tmp_path / "curves.png").stat().st_size > 5000


def test_a_plane_covers_the_prior_evenly():
    normal, even = pictures.plane(10), pictures.plane(4, -1.0, 3.0)
    assert normal.shape == (100, 2) and even.min() == -0.5 and even.max() == 2.5
    assert normal[0].tolist() == [normal[:, 0].min(), normal[:, 1].max()]  # upper left
    np.testing.assert_allclose(scipy.stats.norm.cdf(normal[:10, 0]), np.arange(0.05, 1, 0.1), atol=1e-6)


def _rows(*values, **more):
    return [dict(value=value, minutes=None, **more) for value in values]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([49.0], "one seed"),
        ([49.0, 48.0], "two seeds"),
        ([50.0, 49.0, 51.0], "beaten"),
        ([51.0, 50.0, 52.0], "reproduced"),
        ([53.0, 53.1, 52.9], "not reproduced"),
        ([40.0, 55.0, 70.0], "not reproduced"),  # a spread of 15 must not help: the paper's is 1
        ([], "not run"),
    ],
)
def test_a_number_is_reproduced_by_three_seeds_within_two_standard_errors(values, expected):
    assert listing.status(TINY, _rows(*values)) == expected


def test_more_is_better_for_densities():
    cell = dataclasses.replace(TINY, measure="log_density", paper=-85.0, spread=None)
    assert listing.status(cell, _rows(-80.0, -86.0, -84.0)) == "beaten"
    assert listing.status(cell, _rows(-86.1, -85.1, -85.6)) == "not reproduced"
    assert listing.status(cell, _rows(-86.1, -85.1, -85.6, stderr=0.8)) == "not reproduced"  # three errors over seeds
    assert listing.status(cell, _rows(-86.4, -84.8, -85.6, stderr=0.8)) == "reproduced"
    assert listing.status(dataclasses.replace(cell, paper=None), _rows(-90.0)) == "measured"
    assert listing.status(dataclasses.replace(cell, comparable=False), _rows(-80.0)) == "measured"
    goal = dataclasses.replace(cell, paper=None, goal=-88.0)
    assert [listing.status(goal, _rows(value)) for value in (-87.0, -89.0)] == ["reached", "not reached"]


def test_data_that_are_not_there_are_told(tmp_path):
    (tmp_path / "mnist").mkdir()
    norb, mnist = CELLS["maaloe2016-table2-norb-sdgm"], CELLS["maaloe2016-table2-mnist-sdgm"]
    assert listing.status(norb, [], tmp_path) == "data not available"
    assert listing.status(mnist, [], tmp_path) == listing.status(norb, []) == "not run"


def _read_noise(name, splits, data_dir=None):
    rng = np.random.default_rng(len(splits[0]))
    return rng.integers(0, 256, (200, 28, 28, 1)).astype("uint8"), np.arange(200) % 10, [str(k) for k in range(10)]


def test_the_digits_of_dimensions_without_labels_are_judged(tmp_path, monkeypatch):
    monkeypatch.setattr(tfds_source, "read", _read_noise)
    cell = CELLS["untapped2017-section3-untapped"]
    small = dict(hidden=(8,), hidden_y=(8,), hidden_z=(8,), epochs=1, batch=50, labelled_batch=20, density_examples=20)
    cell = dataclasses.replace(cell, settings={**cell.settings, **small}, epochs=None)
    settings = runner.settings_of(cell, 0, None)
    results = toys.digit_extraction(cell, 0, tmp_path / "run", settings, {})
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


def test_the_papers_networks_are_fully_connected_and_the_packages_own_are_not():
    for cell in CELLS.values():
        if cell.settings is not None and cell.dataset != "freyface":
            trunk = runner.settings_of(cell, 0, None).trunk
            assert trunk == ("conv" if cell.name.startswith("own-") else "mlp"), cell.name


def test_how_sure_the_answers_are_is_told_of_the_cells_of_an_error(tmp_path):
    for seed, nll in enumerate((0.25, 0.75)):
        row = dict(seed=seed, minutes=None, value=3.0, cores=2, processor="p", ece=0.5, ece_equal_mass=0.02, nll=nll)
        runner.record(TINY, row, tmp_path)
    text = "\n".join(listing.table({"tiny": TINY}, tmp_path))
    assert "ECE 2.00% in bins of equal mass, NLL 0.500 nats" in text and "Brier" not in text
