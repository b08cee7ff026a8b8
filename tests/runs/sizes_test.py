"""A run of the user's own data at default settings: sizes by the data, a stop by the bound that resuming does not move."""

import dataclasses

import numpy as np
import pytest

from tfadgm.runs import recipes, resuming, run, run_directory
from tfadgm.training import callbacks


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """The path of an npz of two clusters in 3 columns, 60 rows, 8 labels."""
    generator = np.random.default_rng(0)
    y = np.arange(60) % 2
    x = (generator.normal(size=(60, 3)) + 2 * y[:, np.newaxis]).astype("float32")
    path = tmp_path_factory.mktemp("own") / "own.npz"
    np.savez(path, x=x, y=np.where(np.arange(60) < 8, y, -1))
    return path


def test_an_interrupted_run_that_its_bound_stops_ends_with_the_same_bits(own, tmp_path, monkeypatch, capsys):
    settings = recipes.resolve(
        "m2", f"npz:{own}", steps=1500, learning_rate=0.1, select=False, density_examples=5, density_samples=2
    )
    whole = run.train(settings, tmp_path / "whole")
    told = f"after epoch {whole['epochs']} of 15: the bound of the kept rows is best at epoch {whole['bound_best_epoch']}"
    assert capsys.readouterr().err.count(f"training ended {told}\n") == 1
    config = run_directory.read_json(tmp_path / "whole" / "config.json")
    assert config["sizes"] == dict(hidden=[64, 64], dim_z=[3], batch=60) and config["settings"]["hidden"] == "auto"
    assert whole["bound_best_epoch"] <= whole["epochs"] - 3 < 12 and whole["steps"] == 100 * whole["epochs"]
    rows = callbacks.read_rows(tmp_path / "whole" / "metrics.csv")
    bounds = [float(row["watched_bound"]) for row in rows]
    assert np.argmax(bounds) + 1 == whole["bound_best_epoch"] and len(bounds) == whole["epochs"]

    class Stopped(Exception):
        pass

    def interrupt(self, epoch, logs=None):
        if epoch == whole["bound_best_epoch"]:
            raise Stopped
        return end(self, epoch, logs)

    end = callbacks.Log.on_epoch_end
    monkeypatch.setattr(callbacks.Log, "on_epoch_end", interrupt)
    with pytest.raises(Stopped):
        run.train(settings, tmp_path / "cut", quiet=True)
    monkeypatch.setattr(callbacks.Log, "on_epoch_end", end)
    again = run.train(settings, tmp_path / "cut", quiet=True)
    assert [again[name] for name in ("epochs", "bound_best_epoch")] == [
        whole[name] for name in ("epochs", "bound_best_epoch")
    ]
    for one, other in zip(
        *(run_directory.Run.open(tmp_path / name).model.get_weights() for name in ("whole", "cut")), strict=True
    ):
        np.testing.assert_array_equal(one, other)


def test_a_run_from_before_sizes_followed_the_data_goes_on_with_its_own(own, tmp_path):
    fixed = recipes.resolve("sdgm", f"npz:{own}", epochs=100, hidden=(200, 200), dim_z=None, dim_a=None, batch=100)
    before = dataclasses.asdict(dataclasses.replace(fixed, stop="none", select=False))
    new = {name: before.pop(name) for name in ("steps", "stop", "select")}  # which there were not
    config = dict(settings=before, hold_out="stratified", data=None)
    run_directory.write_json(tmp_path / "config.json", config)
    found = resuming.as_begun(recipes.resolve("sdgm", f"npz:{own}"), tmp_path)
    assert dataclasses.asdict(found) == before | new | dict(validation=found.validation)
    run_directory.write_json(tmp_path / "config.json", config | dict(sizes={}))
    assert resuming.as_begun(recipes.resolve("sdgm", f"npz:{own}"), tmp_path).hidden == "auto"
