"""Runs that are killed at some change of a file, and once more as they go on: no bit differs, and nothing is left over.

The changes are those of killing.py; `make kills` makes as many kills as there are changes, the tests of every day a few.
"""

import functools
import gc
import os

import killing
import light
import numpy as np
import pytest
import trainings

from tfadgm.runs import select
from tfadgm.training import callbacks

EVERY = bool(os.environ.get("TFADGM_ALL_KILLS"))
KINDS = {
    "adgm": dict(model="adgm", dim_a=2, average=0.9),
    "cagem": dict(model="cagem", dim_z=(2, 2)),
    "m1m2": dict(model="m1m2", dim_z=(2, 2)),
    "bfloat16": dict(precision="bfloat16", batch_norm=True),
    "early stopping": dict(validation=6, patience=1, epochs=3, learning_rate=0.1),
    "bound": dict(stop="bound", labels=20, epochs=3),
    "restored": dict(on_nan="restore"),
    "selection": dict(select=True),
}
if EVERY:
    KINDS["2 replicas"] = dict(strategy="mirrored", batch_norm=True)  # see conftest.py
KILLS = 3  # of each kind, where not all are made; of the selection, whose runs take longer, one in its own files


@pytest.fixture(scope="module", autouse=True)
def no_clock():
    """Checkpoints are those of epochs: within one they come by the clock, and on a busy machine files would be others."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(callbacks.Checkpoint, "on_train_batch_end", lambda *arguments, **options: None)
        patch.setattr(select, "NETWORK_STEPS", 1)
        patch.setattr(select, "FOLDS", 2)
        yield


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A function of a kind: (settings, its changes of files, weights, listing) of a run that nothing killed."""
    data = trainings.write_data(tmp_path_factory.mktemp("data") / "own.npz")

    @functools.cache
    def found(kind):
        own, directory = trainings.settings(data, **KINDS[kind]), tmp_path_factory.mktemp("whole") / "run"
        with light.nothing_but_training(), killing.killed(directory) as changes:
            trainings.train(own, directory)
        return own, list(changes), trainings.weights(directory), trainings.listing(directory)

    return found


def go_on(own, directory, at):
    """Trains until the change of number `at` kills it; returns whether one did."""
    try:
        with killing.killed(directory, at):
            trainings.train(own, directory)
        return False
    except killing.Killed:
        gc.collect()  # files that a dead process has open, and with them its lock, are closed
        return True


def kills(kind, changes):
    """Yields (number of the first kill, of the second after it)."""
    generator = np.random.default_rng(len(kind))
    places = np.arange(1, len(changes) + 1)
    if not EVERY and kind == "selection":
        places = np.array([n for n, (_, path) in enumerate(changes, 1) if path.startswith("selection/")])[3:4]
    elif not EVERY:
        places = generator.choice(places, KILLS, replace=False)
    for place in sorted(places.tolist()):
        yield place, int(generator.integers(1, max(2, len(changes) // 2)))


@pytest.mark.parametrize("kind", KINDS)
def test_a_killed_run_goes_on_to_the_same_bits_and_leaves_nothing_over(kind, whole, tmp_path):
    own, changes, weights, files = whole(kind)
    assert len(changes) > 15, changes
    with light.nothing_but_training():
        for number, (first, second) in enumerate(kills(kind, changes)):
            directory = tmp_path / str(number) / "run"
            assert go_on(own, directory, first), changes[first - 1]
            go_on(own, directory, second)  # which may be after the last change that is left
            assert not go_on(own, directory, 0)
            assert trainings.same(trainings.weights(directory), weights), (first, changes[first - 1], second)
            assert trainings.listing(directory) == files, (first, changes[first - 1], second)
    print(f"{kind}: {number + 1} of {len(changes)} places")
