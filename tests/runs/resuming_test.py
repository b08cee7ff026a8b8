"""What the same command, or nearly the same, does with a run directory: complete, on from damage, for longer, refused."""

import dataclasses
import json
import shutil

import numpy as np
import pytest

from tfadgm.reporting import figures, report
from tfadgm.runs import build, recipes, resuming, run, run_directory
from tfadgm.runs.run_directory import Run
from tfadgm.training import baseline, callbacks

SMALL = dict(
    hidden=(4,),
    dim_z=2,
    epochs=2,
    batch=20,
    density_samples=2,
    density_examples=5,
    test_samples=2,
    select=False,
    stop="none",
)


@pytest.fixture(autouse=True)
def light(monkeypatch):
    """Runs draw no figures and have a baseline that guesses; what they would export is counted, not written."""
    exported = []
    monkeypatch.setattr(baseline, "class_probabilities", lambda *arguments, **_: np.full((len(arguments[3]), 2), 0.5))
    monkeypatch.setattr(figures, "all_figures", lambda *arguments: None)
    monkeypatch.setattr(Run, "export", lambda self, **options: exported.append(options["results"]["epochs"]))
    return exported


def write_data(path, labelled=20, shift=0.0):
    generator = np.random.default_rng(0)
    y = np.arange(60) % 2
    x = generator.normal(y[:, None] + shift, 0.5, (60, 3)).astype("float32")
    np.savez(path, x=x, y=np.where(np.arange(60) < labelled, y, -1), x_test=x, y_test=y)
    return path


def own(path, model="m2", **changes):
    return recipes.resolve(model, f"npz:{path}", **{**SMALL, **changes})


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A finished run: (directory, the file of its data, its results)."""
    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(figures, "all_figures", lambda *arguments: None)
        patch.setattr(baseline, "class_probabilities", lambda *arguments, **_: np.full((len(arguments[3]), 2), 0.5))
        patch.setattr(Run, "export", lambda self, **options: None)
        results = run.train(own(write_data(folder / "own.npz"), checkpoint_seconds=0.0), folder / "run", quiet=True)
    return folder / "run", folder / "own.npz", results


@pytest.fixture
def copied(trained, tmp_path):
    """A copy of that run that a test may damage: (directory, settings, results)."""
    directory, data, results = trained
    shutil.copytree(directory, tmp_path / "run")
    return tmp_path / "run", own(data, checkpoint_seconds=0.0), results


def weights(directory):
    return [weight.numpy() for weight in Run.open(directory).model.weights]


def same(first, second):
    return all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


TIMED = ("train_seconds", "select_seconds", "steps_per_second", "peak_memory_mb")


def numbers(results):
    """Results without what depends on the machine's load."""
    return {name: value for name, value in json.loads(json.dumps(results)).items() if name not in TIMED}


# ------------------------------------------------------------------------------------------------------ lost and damaged


@pytest.mark.parametrize("content", ["{}", "[]", "3", "null", "{", "[" * 10_000])
def test_results_that_are_none_are_made_again(content, copied, capsys):
    directory, settings, results = copied
    (directory / "results.json").write_text(content)
    assert numbers(run.train(settings, directory, quiet=True)) == numbers(results)
    assert "results.json: lost or damaged; it is made again" in capsys.readouterr().err
    assert numbers(run_directory.read_json(directory / "results.json")) == numbers(results)


def test_lost_weights_of_a_finished_run_are_made_again_and_every_verb_says_how(copied, capsys):
    directory, settings, results = copied
    before = weights(directory)
    (directory / "model.weights.h5").unlink()
    with pytest.raises(ValueError, match="has lost model.weights.h5; run the same bin/train again to go on, or to make it"):
        Run.open(directory)
    assert numbers(run.train(settings, directory, quiet=True)) == numbers(results)
    assert "model.weights.h5: lost or damaged; it is made again" in capsys.readouterr().err
    assert same(weights(directory), before)


def test_a_damaged_newest_checkpoint_costs_an_epoch_and_no_bit(copied, capsys):
    directory, settings, results = copied
    before = weights(directory)
    for name in ("results.json", "model.weights.h5"):
        (directory / name).unlink()
    newest = max(directory.glob("checkpoints/ckpt-*.data*"), key=lambda path: int(path.name.split("-")[1].split(".")[0]))
    newest.write_bytes(newest.read_bytes()[:100])
    assert numbers(run.train(settings, directory, quiet=True)) == numbers(results)
    assert "a damaged checkpoint" in capsys.readouterr().err
    assert same(weights(directory), before)


def test_lost_checkpoints_and_a_lost_log_are_told(copied, capsys):
    directory, settings, results = copied
    (directory / "results.json").unlink()
    (directory / "metrics.csv").unlink()
    run.train(settings, directory, quiet=True)
    assert "metrics.csv: has no row of 2 of the 2 epochs so far" in capsys.readouterr().err
    (directory / "metrics.csv").write_text("epoch,objective\n1,-3\n2,-3\n")
    (directory / "results.json").unlink()
    shutil.rmtree(directory / "checkpoints")
    assert numbers(run.train(settings, directory, quiet=True)) == numbers(results)
    assert "holds no checkpoint of a run that had begun; it begins anew" in capsys.readouterr().err


# ------------------------------------------------------------------------------------------------------------ for longer


def test_a_run_is_trained_longer_and_keeps_its_earlier_results(copied, light, capsys):
    directory, settings, results = copied
    longer = dataclasses.replace(settings, epochs=5)
    again = run.train(longer, directory)
    told = capsys.readouterr().out
    assert "after 2 epochs goes on to 5 epochs, with the learning rate of such a run from there on" in told
    assert again["epochs"] == 5 and again["steps"] == 15 and again["elbo"] != results["elbo"] and light == [5]
    assert [int(row["epoch"]) for row in callbacks.read_rows(directory / "metrics.csv")] == [1, 2, 3, 4, 5]
    assert run_directory.read_json(directory / "results-after-2-epochs.json") == json.loads(json.dumps(results))
    assert Run.open(directory).settings.epochs == 5
    assert run.train(longer, directory, quiet=True) == json.loads(json.dumps(again))
    for shorter in (settings, dataclasses.replace(settings, epochs=None, minutes=1e-6)):
        with pytest.raises(ValueError, match="(epochs|minutes): got .* for .*run, which had .* already; allowed: more, or"):
            run.train(shorter, directory, quiet=True)


def test_with_a_constant_rate_a_run_made_longer_is_one_that_was_never_stopped_bit_for_bit(trained, tmp_path):
    for epochs, name in ((4, "whole"), (2, "parts"), (4, "parts")):
        run.train(own(trained[1], schedule="constant", epochs=epochs), tmp_path / name, quiet=True)
    assert same(weights(tmp_path / "whole"), weights(tmp_path / "parts"))


def test_a_run_of_epochs_goes_on_for_minutes_and_only_the_budget_may_change(copied):
    directory, settings, _ = copied
    with pytest.raises(ValueError, match="another configuration: beta was .*, now 7.0; allowed: another directory"):
        run.train(dataclasses.replace(settings, epochs=5, beta=7.0), directory, quiet=True)
    timed = dataclasses.replace(settings, epochs=None, minutes=5.0)
    assert resuming.existing_results(timed, directory) is None
    assert "after 2 epochs goes on to 5 minutes" in resuming.renew(timed, directory)
    assert not (directory / "results.json").exists() and Run.open(directory).settings.minutes == 5.0


def test_what_an_m1m2_starts_from_stays_as_it_was_when_the_run_is_made_longer(trained, tmp_path):
    first = own(trained[1], "m1m2", dim_z=(2, 2), epochs=2)
    run.train(first, tmp_path / "run", quiet=True)
    frozen = (tmp_path / "run" / "m1" / "model.weights.h5").read_bytes()
    results = run.train(dataclasses.replace(first, epochs=5), tmp_path / "run", quiet=True)
    assert results["epochs"] == 5 and (tmp_path / "run" / "m1" / "model.weights.h5").read_bytes() == frozen
    assert len(callbacks.read_rows(tmp_path / "run" / "metrics.csv")) == 4


# ------------------------------------------------------------------------------------------------------------ other data


def test_data_that_were_changed_since_are_told_by_every_command(tmp_path):
    path = write_data(tmp_path / "own.npz")
    run.train(own(path), tmp_path / "run", quiet=True)
    write_data(path, labelled=30)
    told = r"own.npz is not, or no longer, what the run began on .*; allowed: .* another run, of another --out"
    with pytest.raises(ValueError, match=told):
        run.train(own(path), tmp_path / "run", quiet=True)
    with pytest.raises(ValueError, match="own.npz is not, or no longer, what the run began on"):
        Run.open(tmp_path / "run").data()
    write_data(path, shift=0.1)  # labels and split as before
    with pytest.raises(ValueError, match="own.npz is not, or no longer, what the run began on"):
        run.train(own(path), tmp_path / "run", quiet=True)
    write_data(path)
    assert run.train(own(path), tmp_path / "run", quiet=True)["epochs"] == 2


def test_the_same_data_at_another_place_are_the_same_run(copied, tmp_path):
    directory, settings, results = copied
    moved = shutil.copy(settings.dataset.partition(":")[2], tmp_path / "moved.npz")
    assert run.train(own(moved, checkpoint_seconds=0.0), directory, quiet=True) == json.loads(json.dumps(results))
    assert Run.open(directory).settings.dataset == f"npz:{moved}"


def test_a_run_without_a_hash_of_its_data_opens_and_is_complete(copied):
    directory, settings, results = copied
    config = run_directory.read_json(directory / "config.json")
    del config["data"]
    config["settings"]["exact_classes"] = None
    run_directory.write_json(directory / "config.json", config)
    assert run.train(settings, directory, quiet=True) == json.loads(json.dumps(results))
    assert report.held_out(*Run.open(directory).data())[0] == "test"


def test_a_run_opened_from_another_directory_finds_data_that_were_given_by_a_relative_path(tmp_path, monkeypatch):
    write_data(tmp_path / "own.npz")
    monkeypatch.chdir(tmp_path)
    run.train(own("own.npz"), tmp_path / "run", quiet=True)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert len(Run.open("../run").held_out()[0]) == 60
    (tmp_path / "own.npz").unlink()
    with pytest.raises(ValueError, match=f"{tmp_path / 'own.npz'}: no such file"):
        Run.open("../run").data()


# ------------------------------------------------------------------------------------------------------------- few steps


@pytest.mark.parametrize("epochs, told", [(2, True), (334, False)])
def test_few_steps_are_told_before_training(epochs, told, tmp_path, capsys, monkeypatch):
    def begun(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(build, "train", begun)
    with pytest.raises(KeyboardInterrupt):
        run.train(own(write_data(tmp_path / "own.npz"), epochs=epochs), tmp_path / "run", quiet=True)
    line = "epochs: 2 of 3 steps are 6 optimizer steps, in which a model hardly learns; 1000 are --epochs=334, or a --batch"
    assert (line in capsys.readouterr().err) == told


def test_few_steps_of_a_budget_in_minutes_are_told_with_their_number(tmp_path, capsys):
    results = run.train(own(write_data(tmp_path / "own.npz"), epochs=None, minutes=1e-4), tmp_path / "run", quiet=True)
    assert f"minutes: 0.0001 were {results['steps']} optimizer steps, in which a model hardly" in capsys.readouterr().err
